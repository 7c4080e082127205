"""The detail path (ours, beyond the paper): G_2D that samples the SOURCE PICTURE, so that brush strokes and pores
survive.

A softmax over depth, refined at a higher resolution, finds the surface point that each output pixel shows. The two
warps know where that point came from: w_->d takes it to the canonical head, w_s-> to the source picture. This 2D flow,
plus a learned residual, samples the source picture at any resolution. G_2D sees the result and returns a colour and a
mask m:
    out = m * warped source + (1 - m) * colour
So it paints only what the source does not show: eyelids, skin that a turn newly shows. One side of a face may show what
the other hides, so G_2D also sees the source at the mirrored points of the canonical head, and blends that into its
colour. The inside of the mouth is a layer of its own over the result (`networks/mouth.py`).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, cell_centres, constant, identity_flow, project, resize_flow, sample
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, upsample
from mpkit.networks.face_field import Offsets
from mpkit.networks.mouth import MouthLayer

DEPTH_SCALE = 0.1  # of the refinement of depth: canonical units that the surface is off in cells of the volume


class Trace(NamedTuple):
    """Where the two warps take points of the driven view, and what the source shows there. h x w points."""

    surface: Tensor  # (B, h, w, 3) the points that were asked for, in the driven view
    canonical: Tensor  # (B, h, w, 3) the same points on the canonical head: pose and expression taken out by w_->d
    source: Tensor  # (B, h, w, 3) where w_s-> puts them in the source's view
    mirrored: Tensor  # (B, h, w, 3) where it puts their mirror images, canonical x negated
    area_ratio: Tensor  # (B, 1, h, w) of `source`, see `area_ratio`
    mirrored_area_ratio: Tensor  # (B, 1, h, w) of `mirrored`
    moved: Tensor  # (B, h, w, 3) how far the expressions move them on the head, from the driver's to the source's


class Detail(NamedTuple):
    """What the detail path did. RGBA is premultiplied: colour * alpha in the first three channels."""

    colour: Tensor  # (B, 4, S, S) RGBA painted by G_2D, with what the other side of the face shows
    mask: Tensor  # (B, 1, S, S) share of the warped source in the result
    warped: Tensor  # (B, 4, S, S) the source picture sampled by `flow`
    coarse_flow: Tensor  # (B, 2, h', w') from the warps and the depth softmax alone
    flow: Tensor  # (B, 2, h', w') with the learned residual; source coordinates (x, y) in [-1, 1]
    depth_weights: Tensor  # (B, D, H, W) softmax over depth: which voxel is visible
    depth: Tensor  # (B, 1, h, w) z of the visible point, finer: cells of the volume are too large for an ear's edge
    trace: Trace  # of the visible points, (h', w')
    mouth: MouthLayer | None = None  # what lies over the result

    @property
    def shown(self) -> Tensor:
        """Share of the warped source in the result, below the mouth layer, (B, 1, S, S)."""
        return self.mask if self.mouth is None else self.mouth.covering(self.mask)

    def float(self) -> "Detail":
        """What `render_at` and `move_shoulders` need, in fp32: autocast leaves half precision."""
        return self._replace(**{name: getattr(self, name).float() for name in ("colour", "mask", "flow")})


class Rendering(NamedTuple):
    """A rendered batch: `image` (B, 3, S, S) in [0, 1], foreground on black; `alpha` (B, 1, S, S) and `detail` where
    the config has the detail path, else None."""

    image: Tensor
    alpha: Tensor | None
    detail: Detail | None

    def under(self, mouth: MouthLayer) -> "Rendering":
        """This rendering with the mouth layer over it."""
        image, alpha = mouth.over(torch.cat([self.image, self.alpha], dim=1)).split([3, 1], dim=1)
        return Rendering(image, alpha, self.detail._replace(mouth=mouth))


class DetailRenderer(nn.Module):
    """P and G_2D with the detail path: driven volume (B, C, D, H, W), source picture, trace, condition -> Rendering."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, widths, condition = config.render_width, config.render_widths, config.latent_size
        self.shuffle = config.image_size // (config.volume_size * 2 ** len(widths))
        self.project = nn.Conv2d(config.volume_channels * config.volume_depth, width, 1)
        self.blocks = nn.ModuleList(ResBlock(2, width, width, config, condition) for _ in range(config.render_blocks))
        inputs = [width, *widths[:-1]]
        looks = 2 * 4 * self.shuffle**2  # channels that join the last stage: warped source, mirrored side
        inputs[-1] += looks
        self.depth = nn.Conv2d(width, config.volume_depth, 1)
        self.depth_middle = nn.Conv2d(inputs[-1] - looks, 1, 3, padding=1)
        self.flow_middle = nn.Conv2d(inputs[-1] - looks, 2, 3, padding=1)
        self.flow_last = nn.Conv2d(widths[-1], 2, 3, padding=1)
        self.facing = nn.Conv2d(2, widths[-1], 3, padding=1)
        for layer in (self.depth, self.depth_middle, self.flow_middle, self.flow_last, self.facing):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        self.up = nn.ModuleList(ResBlock(2, i, o, config, condition) for i, o in zip(inputs, widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], 6 * self.shuffle**2, 3, padding=1)  # RGBA, mask, share of the mirrored side
        if config.weight_standardization:
            standardize_weights(self, self.project, self.out)

    def forward(
        self, volume: Tensor, trace: Callable[[Tensor], Trace], picture: Tensor, condition: Tensor
    ) -> Rendering:
        """trace: points of the driven view (B, h, w, 3) -> Trace; picture (B, 4, S, S): the source, premultiplied RGBA;
        condition (B, latent) = z_d + e_s."""
        size = picture.shape[-1]
        h = self.project(project(volume))  # (B, width, H, W)
        for block in self.blocks:
            h = block(h, condition)
        depth_weights = torch.softmax(self.depth(h), dim=1)  # (B, D, H, W)
        for block in self.up[:-1]:
            h = block(upsample(h, 2), condition)
        depth = F.interpolate(expected_depth(depth_weights), size=h.shape[-2:], mode="bilinear", align_corners=False)
        depth = depth + DEPTH_SCALE * self.depth_middle(h).float()
        traced = trace(surface(depth, size // self.shuffle))
        coarse_flow, mirrored_flow = (to_flow(points) for points in (traced.source, traced.mirrored))
        flow = coarse_flow + upsample(self.flow_middle(h), 2)
        first_look, other_side = sample_picture(picture, flow, size), sample_picture(picture, mirrored_flow, size)
        looks = F.pixel_unshuffle(torch.cat([first_look, other_side], dim=1), self.shuffle)
        if h.is_contiguous(memory_format=torch.channels_last):  # else the next two convolutions convert all channels
            looks = looks.contiguous(memory_format=torch.channels_last)
        h = self.up[-1](torch.cat([upsample(h, 2), looks], dim=1), condition)  # (B, widths[-1], h', w')
        h = h + self.facing(torch.cat([traced.area_ratio, traced.mirrored_area_ratio], dim=1).detach())
        flow = flow + self.flow_last(h)

        pixels = F.pixel_shuffle(self.out(F.relu(self.norm(h))), self.shuffle)  # (B, 6, S, S)
        colour, mask, mirror = pixels.split([4, 1, 1], dim=1)
        mask = torch.sigmoid(mask + 1)
        colour = torch.lerp(torch.sigmoid(colour), other_side.to(colour.dtype), torch.sigmoid(mirror))
        warped = sample_picture(picture, flow, size)
        image, alpha = (mask * warped + (1 - mask) * colour).split([3, 1], dim=1)
        return Rendering(image, alpha, Detail(colour, mask, warped, coarse_flow, flow, depth_weights, depth, traced))


def trace_points(source: Offsets, source_pose: Pose, driver: Offsets, driver_pose: Pose, points: Tensor) -> Trace:
    """Follows points (B, h, w, 3) of the driven view through both warps to the source's view."""
    on_head = driver_pose.unapply(points)
    canonical = driver.displace(on_head)
    mirror = canonical * constant((-1, 1, 1), canonical)
    shown, mirrored = (source.displace(side) for side in (canonical, mirror))  # the source's expression put in
    in_source, mirrored = source_pose.apply(shown), source_pose.apply(mirrored)
    return Trace(
        surface=points,
        canonical=canonical,
        source=in_source,
        mirrored=mirrored,
        area_ratio=area_ratio(to_flow(in_source)),
        mirrored_area_ratio=area_ratio(to_flow(mirrored)),
        moved=shown - on_head,
    )


def identity_trace(points: Tensor) -> Trace:
    """A `trace` for measurements: points (B, h, w, 3) stay where they are, and nothing is hidden."""
    nothing = points.new_zeros(len(points), 1, *points.shape[1:3])
    return Trace(points, points, points, points, nothing, nothing, torch.zeros_like(points))


def to_flow(points: Tensor) -> Tensor:
    """Points (B, h, w, 3) of the source's view as a 2D flow (B, 2, h, w), order (x, y)."""
    return points[..., :2].movedim(-1, 1)


def area_ratio(flow: Tensor) -> Tensor:
    """How much source area a flow (B, 2, h, w) shows in each pixel, in areas of the pixel: (B, 1, h, w) in [-1, 2].

    It is the determinant of the flow's Jacobian: small where the source shows the surface at a slant, negative behind
    the source's outline, where the flow finds something other than what the head has there."""
    height, width = flow.shape[-2:]
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]  # over two pixels
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    area = (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]) * (height * width / 16)
    return F.avg_pool2d(area[:, None], 3, stride=1, padding=1, count_include_pad=False).clamp(-1, 2)


def expected_depth(depth_weights: Tensor) -> Tensor:
    """The mean z of a softmax over depth (B, D, H, W), (B, 1, H, W)."""
    centres = cell_centres(depth_weights.shape[1], depth_weights.device)
    return (depth_weights.float() * centres.view(1, -1, 1, 1)).sum(1, keepdim=True)


def surface(depth: Tensor, size: int) -> Tensor:
    """The visible point of each pixel: z (B, 1, h, w) -> view points (B, size, size, 3)."""
    z = F.interpolate(depth, size=(size, size), mode="bilinear", align_corners=False)
    return torch.cat([identity_flow(size, size, z.device).expand(len(z), -1, -1, -1), z], dim=1).movedim(1, -1)


def sample_picture(picture: Tensor, flow: Tensor, size: int) -> Tensor:
    """The picture (B, C, H, W) sampled by a flow (B, 2, h, w) that is first resized to `size`: (B, C, size, size).
    Beyond its edge the picture goes on with its border pixels, as a coat that the picture cuts off does."""
    return sample(picture, resize_flow(flow, size).movedim(1, -1), padding="border")


def render_at(picture: Tensor, detail: Detail, size: int) -> Tensor:
    """The detail path at another resolution: premultiplied RGBA (B, 4, size, size) from the picture at its own
    megapixels. Only flow, mask and colour are enlarged, so strokes and pores stay as sharp as the picture has them.
    The mouth layer is laid over it at this resolution.

    picture (B, 4, N, N): the crop in `size` pixels, or more of the picture around it, which the flow may reach."""
    mask, colour = (
        F.interpolate(layer.contiguous(), size=(size, size), mode="bilinear", align_corners=False)
        for layer in (detail.mask, detail.colour)
    )
    crop_share = min(1, size / picture.shape[-1])  # of the picture's side
    grid = resize_flow(detail.flow, size).movedim(1, -1) * crop_share
    result = torch.lerp(colour, sample(picture, grid, padding="border"), mask)  # one pass over the megapixels
    return result if detail.mouth is None else detail.mouth.over(result)
