"""Networks trained on photographs, used as they are: pictures in, features out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of values in [0, 1], red green blue


class Encoder(Protocol):
    """What a network must offer: one vector per picture, and the feature map that lies before it."""

    def whole(self, pixels: Tensor) -> Tensor: ...

    def grid(self, pixels: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Backbone:
    """A network with everything that decides its features: weights, scaling, frame and size of the input.

    mean, std   of pixel values in 0..255; the input is (value - mean) / std
    frame       "squash": the whole picture is brought to a square, so that nothing is cut off and cell (i, j) of the
                grid stands for the same part of every picture. "centre": the shorter side becomes 8/7 of `size` and
                the central square is cut out, as the networks of torchvision were evaluated (256, then 224).
    weights     names the weights: a checksum
    batch       how many pictures go through the network at once on a CPU
    dim         length of the vector of a whole picture; `grid_dim` of the vector of a cell
    """

    name: str
    size: int
    dim: int
    grid_dim: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    frame: Literal["squash", "centre"]
    weights: str
    build: Callable[[], nn.Module] = field(repr=False, compare=False)
    batch: int = 16

    @property
    def fingerprint(self) -> str:
        """Two backbones with one fingerprint give the same features; it goes into checkpoints and cache keys."""
        scaling = hashlib.sha256(repr((self.mean, self.std)).encode()).hexdigest()[:6]
        return f"{self.name}:{self.weights}:{scaling}:{self.frame}:{self.size}"

    @cached_property
    def model(self) -> nn.Module:
        """The network, built and loaded when it is first needed; on the GPU where there is one."""
        network = self.build().eval().requires_grad_(False).to(memory_format=torch.channels_last)
        return network.to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def cells(self) -> int:
        """How many cells the grid has: one per 32 x 32 pixels of the input."""
        return (self.size // 32) ** 2

    def pixels(self, pictures: Sequence[Image.Image]) -> UInt8[Tensor, "image 3 size size"]:
        """The pictures, framed and brought to the size of the input; not yet scaled."""
        framed = [torch.from_numpy(self._framed(picture)) for picture in pictures]
        return rearrange(torch.stack(framed), "n h w c -> n c h w")

    def _framed(self, picture: Image.Image) -> np.ndarray:
        picture = picture.convert("RGB")
        if self.frame == "centre":
            shorter = round(self.size * 8 / 7)
            sides = [shorter * side // min(picture.size) for side in picture.size]
            picture = picture.resize(sides, Image.Resampling.BILINEAR)
            left, top = (round((side - self.size) / 2) for side in picture.size)
            picture = picture.crop((left, top, left + self.size, top + self.size))
        elif picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.array(picture)

    def scaled(self, pixels: UInt8[Tensor, "image 3 size size"]) -> Float[Tensor, "image 3 size size"]:
        """Pixel values as the network expects them."""
        mean, std = (torch.tensor(part).view(3, 1, 1).to(pixels.device) for part in (self.mean, self.std))
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    def whole(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "image dim"]:
        """One vector per picture."""
        return self._run("whole", pictures)

    def grid(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "image cell dim"]:
        """One vector per cell of the last feature map, row by row from the top left."""
        return rearrange(self._run("grid", pictures), "n d h w -> n (h w) d")

    @torch.inference_mode()
    def _run(self, what: str, pictures: Sequence[Image.Image]) -> Tensor:
        """Encode in batches of one fixed size, the last one filled up with blanks.

        On a CPU each new shape costs most of a second (oneDNN plans anew), and one shape for all makes a picture's
        features independent of the pictures around it.
        """
        device = next(self.model.parameters()).device
        chunk = self.batch if device.type == "cpu" else max(len(pictures), 1)
        parts = []
        for begin in range(0, len(pictures), chunk):
            pixels = self.pixels(pictures[begin : begin + chunk])
            blank = pixels.new_zeros(chunk - len(pixels), *pixels.shape[1:])
            scaled = self.scaled(torch.cat([pixels, blank]).to(device))
            # TF32 would cost the features of a GPU three digits.
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                parts.append(getattr(self.model, what)(scaled)[: len(pixels)].float().cpu())
        return torch.cat(parts)


def checksum(path: Path) -> str:
    """The first 16 digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _lite0(size: int) -> Backbone:
    from xmrlib.features import lite0

    path = lite0.weight_file()
    mean, std = (127.0,) * 3, (128.0,) * 3
    build = lambda: lite0.load(path).fused()  # noqa: E731
    return Backbone("lite0", size, lite0.HEAD, lite0.HEAD, mean, std, "squash", checksum(path), build)


BACKBONES: dict[str, Callable[[int], Backbone]] = {"lite0": _lite0}


@lru_cache(maxsize=8)
def backbone(name: str = "lite0", size: int = 224) -> Backbone:
    """The backbone called `name` ("lite0", "vgg19", "resnet50"), for square inputs of `size` pixels a side.

    Raises `ValueError` for an unknown name, and an error with the remedy where the weights cannot be had.
    """
    from xmrlib.features import published  # noqa: F401  adds torchvision's networks to the table

    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; there are {', '.join(BACKBONES)}.")
    if size < 32 or size % 32:
        near = max(32, round(size / 32) * 32)
        raise ValueError(f"the input size must be a multiple of 32 pixels, not {size}: use {near}.")
    return BACKBONES[name](size)
