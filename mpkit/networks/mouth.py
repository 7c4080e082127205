"""The inside of the mouth (ours): a small RGBA picture that is laid over the result between the lips.

`MouthField` draws it for every frame from z_d and from what the source shows of its own mouth. The flow cannot show a
source's teeth: it takes them along with the lips, but they move with the skull. The layer is drawn for the average
face, on the plane of the lips; an affine map (`MouthLayer.placement`) places it in the driven view, at any resolution
of the result.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, affine, constant, identity_flow, invert_affine, sample, slide_along_rays, window
from mpkit.networks.blocks import ResBlock, group_norm, upsample
from mpkit.networks.face_field import edge_fade, in_window

FACE_WINDOW = (0.0, 0.1, 0.3)  # where a head crop shows cheeks, nose and mouth: x, y, half side
LIPS_DEPTH = -0.5  # canonical z of the lips, between their corners and their middle
INITIAL_ALPHA_LOGIT = -3.0
PATCH = 4  # cells of a side of the patches that the encoder's first convolution takes


class MouthLayer(NamedTuple):
    """An RGBA picture and where it lies in the view."""

    texture: Tensor  # (B, 4, M, M) colour, not premultiplied, and alpha, in [0, 1]
    placement: Tensor  # (B, 2, 3) affine map from view x, y to the texture, [-1, 1] over it

    @property
    def points(self) -> Tensor:
        """The points of the view at which the cells of the texture lie, (B, M, M, 2)."""
        return cells_in_view(self.placement, self.texture.shape[-1])

    def at(self, points: Tensor) -> Tensor:
        """What lies at points (B, h, w, 2) of the view: premultiplied RGBA (B, 4, h, w)."""
        colour, alpha = self.texture.split([3, 1], dim=1)
        return sample(torch.cat([colour * alpha, alpha], dim=1), affine(self.placement, points))

    def over(self, picture: Tensor) -> Tensor:
        """The layer over a view (B, 3 or 4, N, N): RGB or premultiplied RGBA."""
        return self._laid(picture, lambda layer: layer[:, : picture.shape[1]])

    def covering(self, mask: Tensor) -> Tensor:
        """What is left of a share (B, 1, N, N) of the view below this layer."""
        return self._laid(mask, lambda layer: 0)

    def _laid(self, picture: Tensor, added: Callable[[Tensor], Tensor | float]) -> Tensor:
        """A view less what the layer covers, plus what `added` makes of the layer (B, 4, h, w)."""
        size, (rows, columns) = picture.shape[-1], self._box(picture.shape[-1])
        points = identity_flow(size, size, picture.device, self.placement.dtype)[..., rows, columns].movedim(1, -1)
        layer = self.at(points.expand(len(picture), -1, -1, -1))
        result = picture.clone()
        result[..., rows, columns] = picture[..., rows, columns] * (1 - layer[:, 3:]) + added(layer)
        return result

    def _box(self, size: int) -> tuple[slice, slice]:
        """Rows and columns of a view of size x size pixels outside which the layers of this batch are transparent. All
        of them on a GPU, which would have to be waited for."""
        if self.placement.device.type != "cpu":
            return slice(size), slice(size)
        corners = constant(((-1, -1), (1, -1), (-1, 1), (1, 1)), self.placement)
        corners = affine(invert_affine(self.placement), corners.expand(len(self.placement), 1, 4, 2))
        pixels = (corners.flatten(0, 2) + 1) * size / 2
        low, high = pixels.amin(0).floor().clamp(0, size), pixels.amax(0).ceil().clamp(0, size)
        (left, top), (right, bottom) = low.int().tolist(), high.int().tolist()
        return slice(top, bottom), slice(left, right)


class SourceMouth(NamedTuple):
    """What a source shows of its mouth, computed once."""

    texture: Tensor  # (B, 4, M, M) premultiplied RGBA, where `MouthLayer.texture` lies
    features: Tensor  # (B, widths[0], start, start) of it
    light: Tensor  # (B, 3) mean colour of FACE_WINDOW, foreground on black


def mouth_placement(pose: Pose, align: Tensor | None, place: tuple[float, float, float]) -> Tensor:
    """`MouthLayer.placement` for a head pose, the face's alignment (B, 2, 3) and the mouth's place on the average face.

    A camera sees the mouth interior between the lips, however deep it lies: the map follows the camera's rays to the
    plane of the lips."""
    points = constant((((0, 0, 0), (1, 0, 0), (0, 1, 0)),), pose.scale).expand(len(pose.scale), -1, -1)
    at_lips = slide_along_rays(pose.unapply(points), pose.rotation, LIPS_DEPTH)
    origin, x, y = in_window(at_lips[:, None], align, place)[:, 0].unbind(1)
    return torch.stack([x - origin, y - origin, origin], dim=-1)


def cells_in_view(placement: Tensor, side: int) -> Tensor:
    """The points of the view, (B, side, side, 2), at which a mouth layer with a placement (B, 2, 3) has its cells."""
    cells = identity_flow(side, side, placement.device, placement.dtype).movedim(1, -1)
    return affine(invert_affine(placement), cells.expand(len(placement), -1, -1, -1))


class MouthField(nn.Module):
    """The mouth layer of a driven frame. A small decoder with adaptive norms: first cells, from the source's mouth, are
    enlarged to the texture. Its condition: z_d + e, z_s + e, the light on the source, and the camera's direction in the
    driver's head frame.

    Out: the logit of the colour less that of the light, since teeth in an old painting are as yellow as its skin, and
    yet can be white in a dark face; the logit of alpha; and the logit of the share that the source's own mouth has in
    the colour.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths = config.mouth_widths
        self.side = config.mouth_start * 2 ** (len(widths) - 1)  # M
        self.pool = self.side // PATCH // config.mouth_start
        self.patches = nn.Conv2d(4 * PATCH**2, widths[0], 1)
        self.encoder = nn.ModuleList(ResBlock(2, widths[0], widths[0], config) for _ in range(2))
        self.constant = nn.Parameter(torch.randn(1, widths[0], config.mouth_start, config.mouth_start))
        condition = 2 * config.latent_size + 3 + 3
        self.blocks = nn.ModuleList(ResBlock(2, i, o, config, condition) for i, o in zip((widths[0], *widths), widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], 5, 3, padding=1)
        nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)
        self.register_buffer("fade", edge_fade(self.side), persistent=False)

    def encode(self, picture: Tensor, placement: Tensor) -> SourceMouth:
        """What a source (B, 4, S, S) shows of its mouth; `placement`: its `mouth_placement`."""
        texture = sample(picture, cells_in_view(placement, self.side), padding="border")
        light = window(picture[:, :3], FACE_WINDOW, 16).mean((2, 3))
        h = self.patches(F.pixel_unshuffle(texture / light.mean(1).clamp_min(0.05).view(-1, 1, 1, 1), PATCH))
        h = self.encoder[0](h)
        h = self.encoder[1](F.avg_pool2d(h, self.pool) if self.pool > 1 else h)
        return SourceMouth(texture, h, light)

    def forward(self, source: SourceMouth, z_driver: Tensor, z_source: Tensor, vector: Tensor, pose: Pose) -> Tensor:
        """z_driver, z_source, vector = e (B, latent); pose: the driver's. Returns `MouthLayer.texture`."""
        condition = torch.cat([z_driver + vector, z_source + vector, source.light, pose.rotation[:, 2]], dim=1)
        h = self.constant + source.features
        for index, block in enumerate(self.blocks):
            h = block(upsample(h, 2) if index else h, condition)
        colour, alpha, share = self.out(F.relu(self.norm(h))).to(source.texture.dtype).split([3, 1, 1], dim=1)
        drawn = torch.sigmoid(colour + torch.logit(source.light, eps=0.02)[..., None, None])
        shown = source.texture[:, :3] / source.texture[:, 3:].clamp_min(1e-3)
        colour = torch.lerp(drawn, shown.clamp(max=1), torch.sigmoid(share))
        return torch.cat([colour, self.fade * torch.sigmoid(alpha + INITIAL_ALPHA_LOGIT)], dim=1)
