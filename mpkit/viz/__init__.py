"""Figures and widgets of lessons and demo page. Functions return a figure; a notebook shows it as the value of a cell.

Still figures are matplotlib Figures without pyplot, 900 pixels wide. Figures in space are plotly Figures.
"""

from mpkit.viz.curves import loss_curves
from mpkit.viz.diagram import system_map
from mpkit.viz.flows import flow_arrows, flow_picture, trace_overlay
from mpkit.viz.latents import latent_map, latent_scatter
from mpkit.viz.pictures import head_axes, mask_overlay, moving_picture, picture_grid, picture_row
from mpkit.viz.views import ComponentColours, MotionViews
from mpkit.viz.volumes import volume_isosurface, volume_slices
from mpkit.viz.warps import warp_cones, warp_lattice
from mpkit.viz.widgets import explore, viewer

__all__ = [
    "ComponentColours", "MotionViews", "explore", "flow_arrows", "flow_picture", "head_axes", "latent_map",
    "latent_scatter", "loss_curves", "mask_overlay", "moving_picture", "picture_grid", "picture_row", "system_map",
    "trace_overlay", "viewer", "volume_isosurface", "volume_slices", "warp_cones", "warp_lattice",
]  # fmt: skip
