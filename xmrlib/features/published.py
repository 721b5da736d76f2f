"""torchvision's networks with their published weights: VGG-19, ResNet-50 and Faster R-CNN. They need a download."""

from __future__ import annotations

import urllib.error
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from xmrlib.features.backbones import BACKBONES, IMAGENET_MEAN, IMAGENET_STD, Backbone, checksum
from xmrlib.settings import cache_directory

# Name of the file, in which the digits are the beginning of its SHA-256.
FILES = {
    "vgg19": "vgg19-dcbb9e9d.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "fasterrcnn": "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
}
SERVER = "https://download.pytorch.org/models/"


class WeightsError(RuntimeError):
    """Published weights cannot be had; the message says where to put the file."""


def weight_file(name: str) -> Path:
    """The file of published weights for a network, fetched and checked where it is not there yet.

    Looked for in the cache of xmrlib, then in that of torch. Raises `WeightsError` with the remedy.
    """
    file = FILES[name]
    digits = file.rpartition("-")[2].removesuffix(".pth")
    path = cache_directory() / "weights" / file
    for place in (path, Path(torch.hub.get_dir()) / "checkpoints" / file):
        if place.exists():
            found = checksum(place)
            if found.startswith(digits):
                return place
            raise WeightsError(f"{place} is damaged: its SHA-256 begins with {found[:8]}, not {digits}. Delete it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(SERVER + file, str(path), hash_prefix=digits, progress=False)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"the weights of {name} could not be fetched from {SERVER}{file} ({error}). Fetch the file on a machine "
            f"with a connection and put it at {path}, or use backbone='lite0', which needs no download."
        ) from error
    return path


class VGG19(nn.Module):
    """VGG-19 (Simonyan and Zisserman 2015): `whole` is fc7 after its ReLU, 4,096; `grid` is pool5, 512 x 7 x 7."""

    dim, grid_dim = 4096, 512

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg19

        self.network = vgg19(weights=None)

    def grid(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 512 h32 w32"]:
        return self.network.features(pixels)

    def whole(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 4096"]:
        pooled = self.network.avgpool(self.grid(pixels))
        return self.network.classifier[:5](rearrange(pooled, "n d h w -> n (d h w)"))


class ResNet50(nn.Module):
    """ResNet-50 (He et al. 2016): `grid` is the end of layer4, 2,048 x 7 x 7; `whole` its mean."""

    dim, grid_dim = 2048, 2048

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.network = resnet50(weights=None)

    def grid(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 2048 h32 w32"]:
        net = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def whole(self, pixels: Float[Tensor, "image 3 h w"]) -> Float[Tensor, "image 2048"]:
        return self.grid(pixels).mean((2, 3))


NETWORKS: dict[str, type[VGG19] | type[ResNet50]] = {"vgg19": VGG19, "resnet50": ResNet50}


def published(name: str, size: int = 224, weights: str | Path = "published", seed: int = 0) -> Backbone:
    """One of torchvision's classifiers as a backbone.

    weights  "published", "random" (drawn from `seed`: for tests), or the path of a state dictionary
    """
    network = NETWORKS[name]
    path = None if weights == "random" else weight_file(name) if weights == "published" else Path(weights)

    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = network()
        if path is not None:
            model.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return model

    mean, std = (tuple(255 * value for value in part) for part in (IMAGENET_MEAN, IMAGENET_STD))
    identity = f"random-{seed}" if path is None else checksum(path)
    return Backbone(name, size, network.dim, network.grid_dim, mean, std, "centre", identity, build, batch=4)


BACKBONES |= {name: lambda size, name=name: published(name, size) for name in NETWORKS}


def faster_rcnn(min_size: int = 800) -> nn.Module:
    """The detector as its published weights want it: frozen normalisation, with epsilon 0.

    torchvision builds this form only together with the download; without weights its own function gives another.
    """
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    model = FasterRCNN(backbone, num_classes=91, min_size=min_size)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
    return model


@dataclass(frozen=True)
class Detector:
    """Faster R-CNN (Ren et al. 2015) with ResNet-50 and a feature pyramid, trained on MS-COCO.

    weights    "published", "random" or the path of a state dictionary
    min_size   the shorter side of the picture, in pixels
    overlap    of two boxes of one class, the less certain goes when they share more than this (intersection over union)
    """

    weights: str = "published"
    min_size: int = 800
    overlap: float = 0.5
    dim: int = 1024

    @cached_property
    def path(self) -> Path | None:
        if self.weights == "random":
            return None
        return weight_file("fasterrcnn") if self.weights == "published" else Path(self.weights)

    @property
    def fingerprint(self) -> str:
        """Two detectors with one fingerprint give the same regions."""
        identity = "random-0" if self.path is None else checksum(self.path)
        return f"fasterrcnn:{identity}:{self.min_size}:{self.overlap}"

    @cached_property
    def model(self) -> nn.Module:
        """The network, built and loaded when it is first needed; on the GPU where there is one."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = faster_rcnn(self.min_size)
        if self.path is not None:
            model.load_state_dict(torch.load(self.path, map_location="cpu", weights_only=True))
        return model.eval().requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def regions(
        self, picture: Image.Image, most: int = 36
    ) -> tuple[Float[Tensor, "region 1024"], Float[Tensor, "region 4"]]:
        """The features (fc7 of the proposal) and boxes, in [0, 1], of the regions it is surest of, surest first."""
        from torchvision.ops import batched_nms, clip_boxes_to_image

        heads, device = self.model.roi_heads, next(self.model.parameters()).device
        pixels = rearrange(torch.from_numpy(np.array(picture.convert("RGB"))), "h w c -> c h w").to(device) / 255
        images, _ = self.model.transform([pixels])
        maps = self.model.backbone(images.tensors)
        proposals, _ = self.model.rpn(images, maps)
        features = heads.box_head(heads.box_roi_pool(maps, proposals, images.image_sizes))
        logits, shifts = heads.box_predictor(features)
        sure, kind = logits.softmax(1)[:, 1:].max(1)  # class 0 is background
        refined = heads.box_coder.decode(shifts, proposals)[torch.arange(len(kind)), kind + 1]
        high, wide = images.image_sizes[0]
        boxes = clip_boxes_to_image(refined, (high, wide))
        kept = batched_nms(boxes, sure, kind, self.overlap)[:most]
        return features[kept].cpu(), (boxes[kept] / boxes.new_tensor([wide, high, wide, high])).cpu()


@lru_cache(maxsize=2)
def detector(name: str = "fasterrcnn") -> Detector:
    """The detector called `name`, with its published weights."""
    if name != "fasterrcnn":
        raise ValueError(f"unknown detector {name!r}; there is 'fasterrcnn'.")
    return Detector()
