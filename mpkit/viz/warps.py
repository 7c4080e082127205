"""Warps in space. A warp gives, for each cell of the output, the point to sample: the figures show these points."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.geometry import identity_grid
from mpkit.networks.warp import Warp
from mpkit.viz.style import new_scene, single

Part = Literal["rigid", "expression", "composed"]
LAYERS, ACROSS, THROUGH = 3, 9, 3  # of a lattice: depth layers, lines across each, lines in depth per row and column
CONES = (4, 8, 8)  # layers, rows and columns of cones
SHORTEST_SHARE = 0.05  # cones shorter than this share of the longest are left out
OFFSETS = [[0, "#dfe7c4"], [0.5, "#e0a458"], [1, "#b23a2e"]]  # short to long
SHADES = [[0, "#1d4e79"], [0.5, "#4f93b3"], [1, "#c5d9a8"]]  # near to far


def warp_lattice(warp: Warp, part: Part = "composed", title: str = ""):
    """A lattice of output cells, each drawn at the point that it samples, as a plotly Figure to be turned.

    The identity warp would fill the grey cube, [-1, 1] on each axis; what reaches out of the cube samples beyond the
    volume. The colour is the depth z of the output cell. A head that turns to the right shows as a lattice turned to
    the left: sampling is backward.
    warp: of a batch of one. part: "rigid" is the head pose alone, "expression" the canonical cells moved by delta
    alone, "composed" the grid that the model samples with. Raises ValueError for another part.
    """
    import plotly.graph_objects as go

    grid, identity = warp_grid(warp, part)
    x, y, z, depth = lattice_lines(torch.cat([grid, identity[..., 2:]], dim=-1), LAYERS, ACROSS, THROUGH).T
    lattice = go.Scatter3d(
        x=x, y=y, z=z, mode="lines", hoverinfo="skip", showlegend=False,
        line={"width": 2.5, "color": depth, "colorscale": SHADES, "cmin": -1, "cmax": 1,
              "colorbar": {"title": "z of the<br>output cell", "len": 0.5, "thickness": 12, "tickvals": [-1, 0, 1]}},
    )  # fmt: skip
    return new_scene([_cube(), lattice], title or f"{part} warp: where the cells of the output sample")


def warp_cones(warp: Warp, part: Part = "composed", title: str = ""):
    """The displacement of a warp as cones in space, a plotly Figure: each from a cell (base) to the point that it
    samples (tip).

    Length and colour are the displacement in half sides of the crop. Displacements under a twentieth of the longest
    have no cone.
    warp, part: see `warp_lattice`.
    """
    import plotly.graph_objects as go

    grid, identity = warp_grid(warp, part)
    start, end = (_thinned(points, CONES).flatten(0, 2) for points in (identity, grid))
    offset = end - start
    length = offset.norm(dim=1)
    kept = length > SHORTEST_SHARE * length.max()
    (x, y, z), (u, v, w) = (points[kept].numpy().T for points in (start, offset))
    cones = go.Cone(
        x=x, y=y, z=z, u=u, v=v, w=w, sizemode="raw", sizeref=1, anchor="tail", colorscale=OFFSETS, cmin=0,
        cmax=float(length.max()), colorbar={"title": "offset", "len": 0.5, "thickness": 12},
    )  # fmt: skip
    return new_scene([_cube(), cones], title or f"{part} warp: from each cell to where it samples")


def warp_grid(warp: Warp, part: Part) -> tuple[Tensor, Tensor]:
    """The sampling grid of a part of a warp, and the identity grid, (D, H, W, 3) each. Raises ValueError."""
    identity = identity_grid(*warp.grid.shape[1:4])[0]
    grids = {"rigid": warp.rigid, "expression": identity + warp.expression.cpu().movedim(1, -1), "composed": warp.grid}
    if part not in grids:
        raise ValueError(f"a warp has the parts {', '.join(grids)}, not {part!r}")
    return single(grids[part], 4), identity


def _cube():
    """The edges of the cube [-1, 1] as a plotly trace."""
    import plotly.graph_objects as go

    edges = lattice_lines(2 * identity_grid(2, 2, 2)[0], 2, 2, 2)
    options = {"mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": {"width": 2, "color": "#a9b0b6"}}
    return go.Scatter3d(**dict(zip("xyz", edges.T)), **options)


def _thinned(points: Tensor, counts: tuple[int, int, int]) -> Tensor:
    """Points (D, H, W, K) at `counts` evenly spaced indices of each axis, the first and the last among them."""
    for axis, count in enumerate(counts):
        size = points.shape[axis]
        index = torch.linspace(0, size - 1, min(count, size)).round().long()
        points = points.index_select(axis, index)
    return points


def lattice_lines(points: Tensor, layers: int, across: int, through: int) -> np.ndarray:
    """Lines through points (D, H, W, K), one after another, (N, K), with a row of NaN after each: in each of `layers`
    depth layers `across` rows and as many columns, and `through` x `through` lines in depth."""
    depth, height, width = points.shape[:3]
    bundles = []
    for axis, counts in enumerate([(depth, through, through), (layers, height, across), (layers, across, width)]):
        lines = _thinned(points, counts).movedim(axis, 2).flatten(0, 1)  # (lines, points of a line, K)
        bundles.append(F.pad(lines, (0, 0, 0, 1), value=float("nan")).flatten(0, 1))
    return torch.cat(bundles).numpy()
