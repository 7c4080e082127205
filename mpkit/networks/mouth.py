"""The inside of the mouth (ours, beyond the paper): what parting lips show, which the source may hide.

`MouthField` draws, on the average face, logits that say where lips have parted and what is between them; the detail
path (`networks/detail.py`) paints with them where the source's mouth is closed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import window
from mpkit.networks.blocks import ResBlock, group_norm, upsample
from mpkit.networks.face_field import MOUTH_CHANNELS, Offsets, edge_fade

FACE_WINDOW = (0.0, 0.1, 0.3)  # where a head crop shows cheeks, nose and mouth: x, y, half side
# The stage `mouth` learns probabilities of disocclusion and of teeth, which have blurred edges. A picture shows the
# likelier of the two: the logit is multiplied by this, so 0 (one half) stays and all others move away from it.
SHARPNESS = 4.0


class MouthField(nn.Module):
    """condition (B, latent) = z + e -> logits (B, 9, M, M), `Offsets.mouth`. Their channels:

    0      disocclusion where the source's mouth is closed
    1      disocclusion where the source's mouth is open
    2      teeth
    3:6    colour of a tooth, 6:9 of what is none (gums, tongue, dark), see `interior_colours`

    A small decoder, because whether lips part at a point is not linear in the condition: learned first cells, and the
    condition in the adaptive norms of its residual blocks.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths, size = config.mouth_widths, config.latent_size
        self.constant = nn.Parameter(torch.randn(1, widths[0], config.mouth_start, config.mouth_start))
        self.blocks = nn.ModuleList(ResBlock(2, i, o, config, size) for i, o in zip((widths[0], *widths), widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], MOUTH_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)
        side = config.mouth_start * 2 ** (len(widths) - 1)
        self.register_buffer("fade", edge_fade(side), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        h = self.constant.repeat(len(condition), 1, 1, 1)  # (B, C, start, start)
        for index, block in enumerate(self.blocks):
            h = block(upsample(h, 2) if index else h, condition)
        return self.fade * self.out(F.relu(self.norm(h)))  # (B, 9, M, M)


def mouth_disocclusion(
    driver: Offsets, source: Offsets, driver_points: Tensor, source_points: Tensor, rotations: tuple[Tensor, Tensor]
) -> Tensor:
    """What parting lips show and the source hides: logits of disocclusion, of teeth, and of colours, (B, 8, h, w).

    driver_points, source_points (B, h, w, 3): the same points of the head, canonical, each with its own expression
    still in. rotations: R of driver and source, (B, 3, 3) each. A source that smiles shows its teeth already, so they
    are disoccluded less when its mouth opens; its tongue is still hidden. Two channels of the driver's field learn
    that.
    """
    closed, opened, rest = driver.mouth_logits(driver_points, rotations[0]).split([1, 1, MOUTH_CHANNELS - 2], dim=1)
    source_open = disocclusion_share(source.mouth_logits(source_points, rotations[1])[:, :1])
    return torch.cat([torch.lerp(closed, opened, source_open), rest], dim=1)


def disocclusion_share(logits: Tensor) -> Tensor:
    """Disocclusion logits -> how much of the result is painted as mouth interior, [0, 1): 0 for logits up to 0."""
    return torch.tanh(logits.clamp_min(0) / 2)


def interior_colours(logits: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, 6, h, w) -> colours of the mouth interior where it is a tooth and where it is none, (B, 3, h, w) each
    in [0, 1]. They are relative to the light on the source, the mean colour of `picture` (B, 4, H, W) in FACE_WINDOW:
    teeth in an old painting are as yellow as its skin."""
    light = window(picture[:, :3], FACE_WINDOW, 16).mean((2, 3), keepdim=True).repeat(1, 2, 1, 1)
    return (2 * torch.sigmoid(logits) * light).clamp(max=1).chunk(2, dim=1)


def interior_picture(teeth: Tensor, colours: Tensor, picture: Tensor) -> Tensor:
    """The mouth interior as a picture (B, 3, h, w): teeth where their logits (B, 1, h, w) say so, else what is behind.

    colours (B, 6, h, w) and picture as `interior_colours` takes them."""
    tooth, dark = interior_colours(colours, picture)
    return torch.lerp(dark, tooth, torch.sigmoid(SHARPNESS * teeth))
