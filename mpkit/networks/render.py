"""G_2D, the renderer, with the projection P before it and, optionally, the detail path (ours).

The detail path. A softmax over depth says how far away the surface is that each output pixel shows. The two warps
already know where such a point came from: through w_->d to the canonical head, through w_s-> to the source picture. The
2D flow so found, plus a learned residual flow, samples the SOURCE PICTURE at any resolution. G_2D sees the result and
returns colour and a mask m:   out = m * warped source + (1 - m) * colour.
Brush strokes survive; G_2D paints what the source does not show (mouth inside, lids, newly seen skin). A face has two
sides: what one hides, the other may show. So G_2D also sees the source at the mirrored points of the canonical head,
and a share of what it paints is that.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.faces.canonical import CHIN
from mpkit.geometry import Pose, cell_centres, identity_flow, project, resize_flow, sample, window
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, upsample
from mpkit.networks.warp import MOUTH_CHANNELS, hiding

FACE = (0.0, 0.1, 0.3)  # where a head crop shows cheeks, nose and mouth, about: x, y, half side
MASK_AT_REST = 3.0  # logit of the mask where nothing is hidden, about
# Where lips end and teeth begin is learned (stage `mouth`) as a probability, which is a blurred edge. What is shown is
# the likelier: a probability of one half stays, and all others move away from it, so much.
SHARPNESS = 4.0
# Single teeth are too narrow for the mouth's field, and nobody's are where another's are: these are an average row.
TEETH_ENDS = (0.0, 0.047, 0.083, 0.125, 0.164)  # canonical |x| where one ends: crowns of 8.5, 6.5, 7.5 and 7 mm
TEETH_GAP = 0.006  # half width of the shadow there
GAP_SHADOW, CHEEK_SHADOW = 0.25, 0.3  # how dark it is there, and beside the last of them
NECK = (-0.03, 0.19)  # below the chin, canonical: where what moves with the head ends, and where the shoulders begin
FADE = 0.3  # within so far of the crop's border shoulders move less and less: there the rest of the picture begins


class Detail(NamedTuple):
    """What the detail path did. RGBA is premultiplied: colour * alpha in the first three channels."""

    colour: Tensor  # (B, 4, S, S) RGBA painted by G_2D, what the other side of the face shows included
    mask: Tensor  # (B, 1, S, S) share of the warped source in the result
    warped: Tensor  # (B, 4, S, S) the source picture sampled by `flow`
    coarse_flow: Tensor  # (B, 2, h', w') from the warps and the depth softmax alone
    flow: Tensor  # (B, 2, h', w') with the learned residual; source coordinates (x, y) in [-1, 1]
    depth_weights: Tensor  # (B, D, h, w) softmax over depth: which voxel is seen


class Rendering(NamedTuple):
    """Output of G_2D: `image` (B, 3, S, S) in [0, 1], foreground on black; `alpha` (B, 1, S, S) and `detail` where the
    config has the detail path, else None."""

    image: Tensor
    alpha: Tensor | None
    detail: Detail | None


class Renderer(nn.Module):
    """driven volume (B, C, D, H, W) [, source positions, picture, condition] -> Rendering."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.detail = config.detail
        condition = config.latent_size if config.detail else 0
        width, widths = config.render_width, config.render_widths
        self.shuffle = config.image_size // (config.volume_size * 2 ** len(widths))
        self.project = nn.Conv2d(config.volume_channels * config.volume_depth, width, 1)
        self.blocks = nn.ModuleList(ResBlock(2, width, width, config, condition) for _ in range(config.render_blocks))
        inputs = [width, *widths[:-1]]
        if config.detail:
            looks = 2 * 4 * self.shuffle**2  # the warped source and its mirrored side join the last stage
            inputs[-1] += looks
            self.depth = nn.Conv2d(width, config.volume_depth, 1)
            self.flow_middle = nn.Conv2d(inputs[-1] - looks, 2, 3, padding=1)
            self.flow_last = nn.Conv2d(widths[-1], 2, 3, padding=1)
            self.facing = nn.Conv2d(2, widths[-1], 3, padding=1)
            for layer in (self.depth, self.flow_middle, self.flow_last, self.facing):
                nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        self.up = nn.ModuleList(ResBlock(2, i, o, config, condition) for i, o in zip(inputs, widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], (6 if config.detail else 3) * self.shuffle**2, 3, padding=1)
        if config.weight_standardization:
            standardize_weights(self, self.project, self.out)

    def forward(
        self,
        volume: Tensor,
        trace: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] | None = None,
        picture: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Rendering:
        """With the detail path: `trace` takes points of the driven view (B, h, w, 3) to the source's view, their mirror
        images on the head too, and says what a mouth uncovers there (B, 9, h, w): the logits of
        `networks.warp.uncovered`, and how far across the mouth it is, canonical x; `picture` (B, 4, S, S) is the
        premultiplied RGBA source, `condition` (B, latent) = z_d + e_s."""
        h = self.project(project(volume))
        for block in self.blocks:
            h = block(h, condition)
        if not self.detail:
            for block in self.up:
                h = block(upsample(h, 2))
            return Rendering(torch.sigmoid(self._to_pixels(h)), None, None)

        depth_weights = torch.softmax(self.depth(h), dim=1)
        points = surface(depth_weights, picture.shape[-1] // self.shuffle)
        places, mirrored, inside = trace(points)
        coarse_flow, mirrored_flow = (there[..., :2].movedim(-1, 1) for there in (places, mirrored))
        for block in self.up[:-1]:
            h = block(upsample(h, 2), condition)
        flow = coarse_flow + upsample(self.flow_middle(h), 2)
        size = picture.shape[-1]
        first_look, other_side = sample_picture(picture, flow, size), sample_picture(picture, mirrored_flow, size)
        looks = F.pixel_unshuffle(torch.cat([first_look, other_side], dim=1), self.shuffle)
        h = self.up[-1](torch.cat([upsample(h, 2), looks], dim=1), condition)
        h = h + self.facing(torch.cat([growth(coarse_flow), growth(mirrored_flow)], dim=1).detach())
        flow = flow + self.flow_last(h)
        hidden, tooth, colours, across = upsample(inside, self.shuffle).split([1, 1, 6, 1], dim=1)
        hidden = sharpened(hidden)
        colour, mask, mirror = self._to_pixels(h).split([4, 1, 1], dim=1)
        mask = torch.sigmoid(mask + 1 - hidden)
        colour = torch.lerp(torch.sigmoid(colour), other_side.to(colour.dtype), torch.sigmoid(mirror))
        teeth, dark = inside_colours(colours, picture)
        teeth = teeth * (1 - teeth_shadow(across))
        mouth_colour, share = torch.lerp(dark, teeth, torch.sigmoid(SHARPNESS * tooth)), hiding(hidden)
        colour = torch.cat([share * mouth_colour + (1 - share) * colour[:, :3], colour[:, 3:]], dim=1)
        warped = sample_picture(picture, flow, size)
        image, alpha = (mask * warped + (1 - mask) * colour).split([3, 1], dim=1)
        return Rendering(image, alpha, Detail(colour, mask, warped, coarse_flow, flow, depth_weights))

    def _to_pixels(self, h: Tensor) -> Tensor:
        return F.pixel_shuffle(self.out(F.relu(self.norm(h))), self.shuffle)


def stay(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A `trace` for measurements: points (B, h, w, 3) stay where they are, and nothing is hidden."""
    return points, points, points.new_zeros(len(points), MOUTH_CHANNELS, *points.shape[1:3])


def teeth_shadow(across: Tensor) -> Tensor:
    """How dark it is between two teeth, and beside the cheeks, at canonical x; any shape, in [0, 1]."""
    across = across.abs()
    gaps = sum(torch.exp(-(((across - end) / TEETH_GAP) ** 2)) for end in TEETH_ENDS)
    return GAP_SHADOW * gaps + CHEEK_SHADOW * (across / TEETH_ENDS[-1]).clamp(max=1) ** 2


def inside_colours(logits: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, 6, h, w) -> the colours that a mouth's inside has where it is a tooth, and where it is none, (B, 3, h,
    w) in [0, 1], in the light that falls on the source: relative to the mean of `picture` (B, 4, H, W) in FACE. The
    teeth of an old painting are as yellow as its skin."""
    light = window(picture[:, :3], FACE, 16).mean((2, 3), keepdim=True).repeat(1, 2, 1, 1)
    return (2 * torch.sigmoid(logits) * light).clamp(max=1).chunk(2, dim=1)


def sharpened(hidden: Tensor) -> Tensor:
    """The logit of how surely something is hidden, told apart more clearly: 0 and MASK_AT_REST, where it is as likely
    hidden as not, stay; what lies between goes towards 0, what lies beyond far beyond."""
    share = hidden.clamp(0, 2 * MASK_AT_REST) / MASK_AT_REST
    return MASK_AT_REST * share**SHARPNESS + hidden.clamp_max(0)


def growth(flow: Tensor) -> Tensor:
    """How much source a flow (B, 2, h, w) shows in each pixel, in areas of its own (B, 1, h, w), within [-1, 2]: the
    determinant of its Jacobian. Little where the source shows a surface at a slant, and negative behind its outline:
    what is seen there is not what the head has there."""
    height, width = flow.shape[-2:]
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]  # over two pixels
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    area = (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]) * (height * width / 16)
    return F.avg_pool2d(area[:, None], 3, stride=1, padding=1, count_include_pad=False).clamp(-1, 2)


def surface(depth_weights: Tensor, size: int) -> Tensor:
    """The visible point of each pixel: softmax over depth (B, D, h, w) -> view points (B, size, size, 3)."""
    z = torch.einsum("bdhw,d->bhw", depth_weights.float(), cell_centres(depth_weights.shape[1], depth_weights.device))
    z = F.interpolate(z[:, None], size=(size, size), mode="bilinear", align_corners=False)
    return torch.cat([identity_flow(size, size, z.device).expand(len(z), -1, -1, -1), z], dim=1).movedim(1, -1)


def sample_picture(picture: Tensor, flow: Tensor, size: int) -> Tensor:
    """The picture (B, C, H, W) seen through a flow (B, 2, h, w) enlarged to `size`: (B, C, size, size). A coat that
    the picture cuts off goes on beyond its edge."""
    return sample(picture, resize_flow(flow, size).movedim(1, -1), padding="border")


def render_at(picture: Tensor, detail: Detail, size: int) -> Tensor:
    """The detail path at another resolution: premultiplied RGBA (B, 4, size, size) from the picture at its own
    megapixels. Only flow, mask and colour are enlarged, so strokes and pores stay as sharp as the picture has them."""
    mask, colour = (
        F.interpolate(layer.contiguous(), size=(size, size), mode="bilinear", align_corners=False)
        for layer in (detail.mask, detail.colour)
    )
    return torch.lerp(colour, sample_picture(picture, detail.flow, size), mask)  # one pass over the megapixels


def move_shoulders(detail: Detail, pose: Pose, shift: Tensor) -> Detail:
    """What `render_at` shows, its shoulders moved by `shift` (B, 2). The head, in `pose`, stays; the neck stretches,
    and so does the strip along the crop's border."""
    size = detail.mask.shape[-1]
    here = identity_flow(size, size, shift.device)
    chin = pose.apply(torch.from_numpy(CHIN).to(shift).expand(len(shift), 1, 3))[:, 0, 1]
    below = (here[:, 1:] - chin.view(-1, 1, 1, 1)) / pose.scale.view(-1, 1, 1, 1)
    share = ((below - NECK[0]) / (NECK[1] - NECK[0])).clamp(0, 1)
    share = share * share * (3 - 2 * share) * ((1 - here.abs()).amin(1, keepdim=True) / FADE).clamp_max(1)
    origin = here - share * shift.view(-1, 2, 1, 1)
    offset = resize_flow(detail.flow, size) - here
    layers = sample(torch.cat([detail.colour, detail.mask, offset], dim=1), origin.movedim(1, -1), padding="border")
    colour, mask, offset = layers.split([4, 1, 2], dim=1)
    return detail._replace(colour=colour, mask=mask, flow=origin + offset)
