"""Configurations of the networks: frozen dataclasses that convert to and from JSON.

All presets use the same code. `base256` and `base512` are the paper's sizes (Fig. 9-11); `tiny` is the bundled model,
small enough for two CPU cores, with the detail path; `nano` is for tests and lessons.
"""

import dataclasses
import json
from dataclasses import dataclass

from mpkit.errors import MpkitError, WeightsError


class _JsonConfig:
    """Conversion to JSON and back, for every config."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str):
        """Raises WeightsError when `text` is not a config of this version of mpkit."""
        try:
            fields = json.loads(text)
            return cls(**{name: _as_tuple(value) for name, value in fields.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"not a {cls.__name__} that this version of mpkit knows: {error}") from None


@dataclass(frozen=True)
class ModelConfig(_JsonConfig):
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
    vector_downscale: int = 4  # pixel-unshuffle before the global branch
    latent_size: int = 64  # length of e and of z
    motion_size: int = 128  # side of the face crop E_mtn sees
    motion_widths: tuple[int, ...] = (32, 48, 64, 96)  # the two ResNets of E_mtn
    motion_blocks: tuple[int, ...] = (1, 1, 1, 1)  # (2, 2, 2, 2) is ResNet-18
    motion_pool: int = 4  # E_mtn ends in a grid of this side; 0 = global average, as a ResNet
    motion_window: tuple[float, float, float] = (0.0, 0.06, 0.62)  # part of the crop it sees: x, y, half side
    warp_start: tuple[int, int] = (3, 4)  # depth and side of the first cells of W
    warp_width: int = 128  # channels of the first cells of W
    warp_widths: tuple[int, ...] = (96, 64, 32)  # residual blocks of W
    warp_scales: tuple[tuple[int, int, int], ...] = ((2, 2, 2), (2, 2, 2), (1, 2, 2))  # upsampling after each
    pose_conditioning: bool = True  # ours: W also takes R, t, s, so that shoulders can stay while the head turns
    warp_basis: bool = True  # ours: W adds a linear mix of learned offset fields (networks/warp.py)
    face_size: int = 80  # ours: side of the fine offset fields over the face (networks/face_field.py); 0 = none
    face_window: tuple[float, float, float] = (0.0, 0.1, 0.7)  # where they lie in the canonical frame: x, y, half side
    face_extra: int = 32  # fields beyond latent_size, whose weights come from a small network
    mouth_widths: tuple[int, ...] = (48, 32, 24, 12)  # ours: residual blocks of the mouth field (networks/mouth.py)
    mouth_start: int = 12  # side of its first cells; doubled between blocks
    mouth_window: tuple[float, float, float] = (0.0, 0.255, 0.22)  # where in the canonical frame: x, y, half side
    volume_widths: tuple[int, ...] = (16, 32, 48)  # G_3D, from fine to coarse
    volume_scales: tuple[tuple[int, int, int], ...] = ((1, 2, 2), (2, 2, 2))  # its downsampling, mirrored upwards
    render_width: int = 96  # channels of G_2D at the volume's resolution
    render_blocks: int = 2  # residual blocks there
    render_widths: tuple[int, ...] = (48, 24)  # one residual block per doubling of the resolution
    detail: bool = True  # ours: the detail path (networks/detail.py)
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
        if self.face_size and len(self.mouth_widths) < 3:
            raise ValueError("mouth_widths must name at least three blocks")


@dataclass(frozen=True)
class EnhancerConfig(_JsonConfig):
    """The enhancer G_enh: pictures of `image_size` in, twice that out. Defaults: the paper's."""

    preset: str = "base512"
    image_size: int = 512  # side of its input, G_base's picture
    stem_downscale: int = 1  # pixel-unshuffle before the first convolution (undone by the last); 1 = the paper's
    stem_width: int = 64  # channels of the first convolution
    encoder_widths: tuple[int, ...] = (128, 256, 512)  # residual blocks, an average pooling after each
    volume_channels: int = 96
    volume_depth: int = 16
    blocks_3d: int = 6  # residual 3D blocks that close the encoder
    decoder_width: int = 512  # channels of the decoder at the volume's resolution
    decoder_blocks: int = 8  # residual blocks there
    decoder_widths: tuple[int, ...] = (256, 128, 128)  # residual blocks, an upsampling before each
    final_widths: tuple[int, ...] = (128, 64, 32)  # residual blocks at the full resolution
    residual: bool = False  # ours: its input is enlarged and corrected, see networks/enhancer.py
    normalization_groups: int = 32
    weight_standardization: bool = True

    def __post_init__(self):
        if len(self.encoder_widths) != len(self.decoder_widths):
            raise ValueError("encoder_widths and decoder_widths must have the same length: pooling mirrors upsampling")
        step = self.stem_downscale * 2 ** len(self.encoder_widths)
        if 2 * self.image_size % step:
            raise ValueError(f"twice image_size must divide by {step}, got image_size {self.image_size}")


@dataclass(frozen=True)
class StudentConfig(_JsonConfig):
    """The student G_DT of a fixed set of `avatars`. Defaults: the paper's."""

    preset: str = "base512"
    image_size: int = 512  # side of the driver's crop and of the output
    avatars: int = 100
    stem_downscale: int = 1  # pixel-unshuffle before the first convolution (undone by the last); 1 = the paper's
    encoder_widths: tuple[int, ...] = (64, 128, 256, 512)  # the driver's encoder, one per stage
    encoder_blocks: tuple[int, ...] = (2, 2, 2, 2)  # (2, 2, 2, 2) is ResNet-18
    widths: tuple[int, ...] = (192, 192, 192, 192, 192, 96, 48, 24)  # its SPADE blocks; the last ones upsample
    identity_size: int = 64  # largest side of a learned identity tensor; enlarged bilinearly above
    alpha: bool = False  # ours: a fourth channel, so that no matting network runs per frame
    normalization_groups: int = 32
    weight_standardization: bool = True

    def __post_init__(self):
        step = self.stem_downscale * 2 ** (1 + len(self.encoder_widths))
        if self.image_size % step:
            raise ValueError(f"image_size must divide by {step}, got {self.image_size}")
        if len(self.widths) < 1 + len(self.encoder_widths):
            raise ValueError("widths must name at least one block per halving of the encoder")


@dataclass(frozen=True)
class DiscriminatorConfig(_JsonConfig):
    """The multi-scale patch discriminator. Defaults: the paper's."""

    preset: str = "base512"
    scales: int = 4  # patch discriminators, each sees half the resolution of the one before
    widths: tuple[int, ...] = (64, 128, 256, 512)  # of each; all but the last convolution halve the picture
    normalization_groups: int = 32
    spectral_normalization: bool = True
    channels: int = 3  # of its input; 6: a picture, and the source that it was made of


@dataclass(frozen=True)
class GazeConfig(_JsonConfig):
    """The gaze network, whose features are a loss."""

    preset: str = "tiny"
    eye_size: int = 48  # side of an eye crop in pixels
    widths: tuple[int, ...] = (24, 48, 64)  # channels of its stages, each half as large as the one before
    features: int = 128  # length of an eye's vector (the paper's: 256)
    keypoint_features: int = 32  # length of the keypoints' vector (the paper's: 64)
    normalization_groups: int = 8


@dataclass(frozen=True)
class IdentityConfig(_JsonConfig):
    """The identity network (ours), which takes VGGFace's place."""

    preset: str = "tiny"
    face_size: int = 96  # side of the face window in pixels
    face_window: tuple[float, float, float] = (0.0, 0.04, 0.6)  # part of the head crop it sees: x, y, half side
    widths: tuple[int, ...] = (32, 64, 96, 128)  # channels of its stages
    features: int = 96  # length of the identity vector
    normalization_groups: int = 8


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
    warp_basis=False,
    face_size=0,
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
        render_widths=(24, 16), face_size=24, face_extra=8, mouth_widths=(16, 8, 8), mouth_start=4,
    ),
    "tiny": ModelConfig(),
    # the same network at half the picture: half the volume's side, so W starts at the same 4 x 4, doubles once less
    "base256": dataclasses.replace(
        PAPER, preset="base256", image_size=256, volume_size=32,
        warp_scales=((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 1)),
    ),
    "base512": PAPER,
}  # fmt: skip

ENHANCERS = {
    "nano": EnhancerConfig(
        preset="nano", image_size=64, stem_downscale=2, stem_width=16, encoder_widths=(16, 24), volume_channels=8,
        volume_depth=4, blocks_3d=1, decoder_width=24, decoder_blocks=1, decoder_widths=(24, 16), final_widths=(16,),
        residual=True, normalization_groups=8, weight_standardization=False,
    ),
    "tiny": EnhancerConfig(
        preset="tiny", image_size=256, stem_downscale=4, stem_width=32, encoder_widths=(48, 96), volume_channels=16,
        volume_depth=8, blocks_3d=1, decoder_width=96, decoder_blocks=2, decoder_widths=(64, 48), final_widths=(32,),
        residual=True, normalization_groups=8, weight_standardization=False,
    ),
    "base256": EnhancerConfig(preset="base256", image_size=256),
    "base512": EnhancerConfig(),
}  # fmt: skip

STUDENTS = {
    "nano": StudentConfig(
        preset="nano", image_size=64, avatars=3, encoder_widths=(16, 24), encoder_blocks=(1, 1),
        widths=(24, 24, 16, 16), identity_size=16, alpha=True, normalization_groups=8,
        weight_standardization=False,
    ),
    "tiny": StudentConfig(
        preset="tiny", image_size=256, avatars=8, stem_downscale=2, encoder_widths=(48, 64, 96),
        encoder_blocks=(1, 1, 1), widths=(64, 64, 48, 32, 16), alpha=True, normalization_groups=8,
        weight_standardization=False,
    ),
    "base256": StudentConfig(preset="base256", image_size=256),
    "base512": StudentConfig(),
}  # fmt: skip

DISCRIMINATORS = {
    "nano": DiscriminatorConfig(preset="nano", scales=2, widths=(16, 24, 32), normalization_groups=8),
    "tiny": DiscriminatorConfig(preset="tiny", scales=3, widths=(24, 48, 96, 96), normalization_groups=8),
    "base256": DiscriminatorConfig(preset="base256"),
    "base512": DiscriminatorConfig(),
    "crops": DiscriminatorConfig(preset="crops", scales=1, widths=(32, 64, 96), normalization_groups=8),
    # Stage mouth's. With spectral normalization, and without the source, it did not learn to tell blurred teeth from
    # sharp ones (docs/training-log.md, 19.).
    "mouths": DiscriminatorConfig(
        preset="mouths",
        scales=2,
        widths=(48, 96, 128),
        normalization_groups=8,
        spectral_normalization=False,
        channels=6,
    ),
}


GAZE = {name: GazeConfig(preset=name) for name in PRESETS} | {
    "nano": GazeConfig(preset="nano", eye_size=16, widths=(16, 24), features=32, keypoint_features=16)
}
IDENTITY = {name: IdentityConfig(preset=name) for name in PRESETS} | {
    "nano": IdentityConfig(preset="nano", face_size=32, widths=(16, 24), features=32)
}


def preset(name: str, table: dict = PRESETS):
    """The config called `name` in PRESETS (the base model), ENHANCERS, STUDENTS or DISCRIMINATORS.

    Raises MpkitError for an unknown name."""
    if name not in table:
        raise MpkitError(f"unknown preset {name!r}: choose one of {', '.join(table)}")
    return table[name]


def _as_tuple(value):
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
