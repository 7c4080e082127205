"""Configurations: what a model is made of. Frozen dataclasses, JSON in, JSON out.

The presets share one code. `base256` and `base512` are the paper's base model (Fig. 9-11); `tiny` is the bundled one,
small enough for two CPU cores, with the detail path; `nano` is for tests and notebook cells.
"""

import dataclasses
import json
from dataclasses import dataclass

from mpkit.errors import WeightsError


@dataclass(frozen=True)
class ModelConfig:
    """The base model G_base. Sizes are pixels or cells, widths are channels."""

    preset: str = "tiny"
    image_size: int = 256  # side of the square head crop the networks see
    volume_channels: int = 16  # C of the appearance volume v_s
    volume_depth: int = 12  # D of the appearance volume
    volume_size: int = 32  # H = W of the appearance volume
    stem_downscale: int = 8  # pixel-unshuffle before the first convolution of E_app; 1 = the paper's 7x7 convolution
    appearance_widths: tuple[int, ...] = (96, 96)  # residual blocks of E_app (one per average pooling in the paper)
    appearance_blocks_3d: int = 1  # residual 3D blocks that close E_app
    vector_widths: tuple[int, ...] = (48, 64, 96, 128)  # E_app's global branch, one per stage
    vector_blocks: tuple[int, ...] = (1, 1, 1, 1)  # residual blocks per stage of it
    vector_bottleneck: bool = False  # True: bottleneck blocks, so (3, 4, 6, 3) is ResNet-50
    vector_downscale: int = 4  # pixel-unshuffle before it
    latent_size: int = 64  # length of e and of z
    motion_size: int = 64  # side of the face crop E_mtn sees
    motion_widths: tuple[int, ...] = (32, 48, 64, 96)  # the two ResNets of E_mtn
    motion_blocks: tuple[int, ...] = (1, 1, 1, 1)  # (2, 2, 2, 2) is ResNet-18
    motion_pool: int = 4  # E_mtn ends in a grid of this side; 0 = global average, as a ResNet
    motion_window: tuple[float, float, float] = (0.0, 0.06, 0.62)  # part of the crop it sees: x, y, half side
    warp_start: tuple[int, int] = (3, 4)  # depth and side of the first cells of W
    warp_width: int = 128  # channels of the first cells of W
    warp_widths: tuple[int, ...] = (96, 64, 32)  # residual blocks of W
    warp_scales: tuple[tuple[int, int, int], ...] = ((2, 2, 2), (2, 2, 2), (1, 2, 2))  # upsampling after each
    pose_conditioning: bool = True  # ours: W also sees R, t, s, so that shoulders can stay while the head turns
    volume_widths: tuple[int, ...] = (16, 32, 48)  # G_3D, from fine to coarse
    volume_scales: tuple[tuple[int, int, int], ...] = ((1, 2, 2), (2, 2, 2))  # its downsampling, mirrored upwards
    render_width: int = 96  # channels of G_2D at the volume's resolution
    render_blocks: int = 2  # residual blocks there
    render_widths: tuple[int, ...] = (48, 24)  # one residual block per doubling of the resolution
    detail: bool = True  # ours: the detail path, see networks/render.py
    normalization_groups: int = 8  # of GroupNorm
    weight_standardization: bool = False

    def __post_init__(self):
        for name in ("image_size", "volume_channels", "volume_depth", "volume_size", "latent_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if len(self.warp_widths) != len(self.warp_scales):
            raise ValueError("warp_widths and warp_scales must have the same length")
        if len(self.volume_widths) != len(self.volume_scales) + 1:
            raise ValueError("volume_widths must be one longer than volume_scales")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "ModelConfig":
        """Raises WeightsError when `text` is not a config of this version of mpkit."""
        try:
            fields = json.loads(text)
            return ModelConfig(**{name: _as_tuple(value) for name, value in fields.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"not a model config that this version of mpkit knows: {error}") from None


PAPER = ModelConfig(
    preset="base512",
    image_size=512,
    volume_channels=96,
    volume_depth=16,
    volume_size=64,
    stem_downscale=1,
    appearance_widths=(128, 256, 512),
    appearance_blocks_3d=6,
    vector_widths=(256, 512, 1024, 2048),
    vector_blocks=(3, 4, 6, 3),
    vector_bottleneck=True,
    vector_downscale=1,
    latent_size=512,
    motion_size=256,
    motion_widths=(64, 128, 256, 512),
    motion_blocks=(2, 2, 2, 2),
    motion_pool=0,
    warp_start=(4, 4),
    warp_width=512,
    warp_widths=(256, 128, 64, 32),
    warp_scales=((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)),
    pose_conditioning=False,
    volume_widths=(192, 384, 512),
    volume_scales=((1, 2, 2), (2, 2, 2)),
    render_width=512,
    render_blocks=8,
    render_widths=(256, 128, 64),
    detail=False,
    normalization_groups=32,
    weight_standardization=True,
)

PRESETS = {
    "nano": ModelConfig(
        preset="nano", image_size=64, volume_channels=8, volume_depth=8, volume_size=16, stem_downscale=4,
        appearance_widths=(32,), vector_widths=(16, 24), vector_blocks=(1, 1), latent_size=32, motion_size=32,
        motion_widths=(16, 24), motion_blocks=(1, 1), warp_start=(2, 4), warp_width=32, warp_widths=(24, 16),
        warp_scales=((2, 2, 2), (2, 2, 2)), volume_widths=(8, 16, 16), render_width=32, render_blocks=1,
        render_widths=(24, 16),
    ),
    "tiny": ModelConfig(),
    # the same network sees half the picture: half the volume's side, so W starts at the same 4 x 4 and doubles once less
    "base256": dataclasses.replace(
        PAPER, preset="base256", image_size=256, volume_size=32,
        warp_scales=((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 1)),
    ),
    "base512": PAPER,
}  # fmt: skip


def preset(name: str) -> ModelConfig:
    """Raises ValueError for an unknown name."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _as_tuple(value):
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
