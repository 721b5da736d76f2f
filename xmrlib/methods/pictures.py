"""A backbone that is trained with the rest: pictures as bytes on the one side, the network that sees them in a method.

Elsewhere a backbone is fixed, and its features are computed once. Where a configuration sets `backbone_rate`, every
batch goes through it, and it moves at a rate of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from xmrlib.data.pairs import DataError, Images, Pairs
from xmrlib.features.backbones import backbone
from xmrlib.methods.base import MethodConfig
from xmrlib.methods.network import NetworkMethod, through
from xmrlib.methods.several import Several, SeveralImages
from xmrlib.methods.sides import ImageInput

VIEWS = {"regions": "grid", "vector": "whole"}  # what a backbone makes of a picture, by the kind that a method wants
SAMPLE = 1000  # pictures, about, from which the moments of a trained backbone's features are taken, before it moves


class PictureSide(SeveralImages):
    """Pictures as bytes, framed and brought to one size; as often as a method looks at them.

    views  what a `Trunk` makes of them for each look, "grid" or "whole"
    """

    def __init__(self, name: str, size: int, views: tuple[str, ...]) -> None:
        self.backbone, self.views = backbone(name, size), views

    @property
    def dim(self) -> list[int]:
        """The length of a vector that the backbone makes, look by look."""
        return [self.backbone.grid_dim if view == "grid" else self.backbone.dim for view in self.views]

    def fit(self, images: Images) -> Self:
        """Check that there are pictures."""
        if images.picture is None:
            raise DataError(
                "a backbone that is trained needs pictures, and these images have none; they bring "
                f"{', '.join(map(repr, images.given)) or 'nothing'}. Set backbone_rate to None, and the views to these."
            )
        return self

    def features(self, images: ImageInput) -> Several:
        """(n, 3, size, size) bytes, the same for every look: of a table, of pictures, or there already."""
        size = self.backbone.size
        if isinstance(images, Tensor):
            if images.dtype != torch.uint8 or images.shape[1:] != (3, size, size):
                found = f"{tuple(images.shape)} of {images.dtype}"
                raise DataError(f"pictures as bytes are needed, (n, 3, {size}, {size}) of torch.uint8, not {found}.")
            return Several((images,) * len(self.views))
        if isinstance(images, Images):
            self.fit(images)
            images = [images[row] for row in range(len(images))]
        pictures = [images] if isinstance(images, Image.Image) else list(images)
        strangers = [type(picture).__name__ for picture in pictures if not isinstance(picture, Image.Image)]
        if strangers or not pictures:
            raise TypeError(f"images must be Images, a Tensor or PIL pictures, not {(*strangers, 'nothing')[0]}.")
        return Several((self.backbone.pixels(pictures),) * len(self.views))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep. The weights are in the network; `pixels` names those that it began with."""
        looks = [
            {"view": view, "backbone": self.backbone.name, "dim": dim, "fingerprint": None}
            for view, dim in zip(self.views, self.dim, strict=True)
        ]
        return {"several": looks, "pixels": self.backbone.fingerprint}


class PictureMethod(NetworkMethod):
    """A network that may train its backbone. Where `config.backbone_rate` is a number, `image_kind` is a mapping."""

    def _pictures(self) -> PictureSide:
        views = tuple(VIEWS[kind] for kind in self.image_kind.values())
        return PictureSide(self.config.backbone, self.config.backbone_size, views)

    def _fitted_sides(self, train: Pairs, val: Pairs | None) -> tuple[Any, Any]:
        if self.config.backbone_rate is None:
            return super()._fitted_sides(train, val)
        pictures = self._pictures().fit(train.images)
        return pictures, super()._fitted_sides(train, val)[1]

    @classmethod
    def load(cls, path: str | Path, config: MethodConfig | None = None) -> Self:
        """As `Method.load`."""
        model = super().load(path, config)
        if model.config.backbone_rate is not None:
            model.image_side = model._pictures()
        return model


class Trunk(nn.Module):
    """A backbone that goes on learning: pixels in, the vectors of cells, or one vector, out.

    Only weights and biases move. Batch norm keeps the moments that it came with, and dropout stays off, so that a
    picture has the same features whatever is in its batch.
    """

    def __init__(self, name: str, size: int, view: str) -> None:
        super().__init__()
        found = backbone(name, size)
        self.view, self.chunk = view, found.batch
        self.network = found.build().requires_grad_(True)
        self._leave_out()
        for part in ("mean", "std"):  # of pixel values; as buffers they lie where the pictures are
            self.register_buffer(part, torch.tensor(getattr(found, part)).view(3, 1, 1), persistent=False)
        self.eval()

    def _leave_out(self) -> None:
        """Drop the layers that the view does not pass through, such as those of the classes."""
        parameters = list(self.network.parameters())
        out = getattr(self.network.eval(), self.view)(torch.zeros(1, 3, 32, 32)).sum()
        slopes = torch.autograd.grad(out, parameters, allow_unused=True)
        passed = {id(parameter) for parameter, slope in zip(parameters, slopes, strict=True) if slope is not None}
        for parent in list(self.network.modules()):
            for name, child in list(parent.named_children()):
                own = list(child.parameters())
                if own and not any(id(parameter) in passed for parameter in own):
                    setattr(parent, name, nn.Identity())

    def train(self, mode: bool = True) -> Self:
        """Stay as it is."""
        return super().train(False)

    def forward(self, pixels: UInt8[Tensor, "image 3 size size"]) -> Float[Tensor, "image *cell dim"]:
        """(n, cells, d) for "grid", (n, d) for "whole"; on a CPU without gradients a few pictures at a time."""
        if torch.is_grad_enabled() or pixels.is_cuda:
            return self._seen(pixels)
        return torch.cat([self._seen(part) for part in pixels.split(self.chunk)])

    def _seen(self, pixels: UInt8[Tensor, "image 3 size size"]) -> Float[Tensor, "image *cell dim"]:
        scaled = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found = getattr(self.network, self.view)(scaled).float()
        return found.flatten(2).transpose(1, 2) if self.view == "grid" else found


def trunk_of(config: Any, view: str) -> Trunk | None:
    """The backbone to be trained behind a view, where one is."""
    return None if config.backbone_rate is None else Trunk(config.backbone, config.backbone_size, view)


def before_training(network: nn.Module, trunk: Trunk | None, images: Any) -> Float[Tensor, "image *cell dim"]:
    """The features of training images, of which a scaling takes the moments: real regions one below the other.

    Those of a backbone that is trained are features of some pictures, as it gives them before it moves.
    """
    if trunk is None:
        return images if isinstance(images, Tensor) else images.features[images.mask]
    found = through(network, trunk, images[:: max(1, len(images) // SAMPLE)])
    return found.flatten(0, -2)


def groups(config: Any, parameters: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
    """Named parameters for an optimiser, those of a `Trunk` at their own rate."""
    trained = {name: parameter for name, parameter in parameters if parameter.requires_grad}
    within = [name for name in trained if "trunk." in name]
    others = [trained[name] for name in trained if name not in within]
    if not within:
        return [{"params": others}]
    return [{"params": others}, {"params": [trained[name] for name in within], "lr": config.backbone_rate}]


def check_trunk(config: Any, views: Mapping[str, str]) -> None:
    """Raise ValueError for settings of a backbone that cannot be.

    views  what each setting of a view must be where the backbone is trained
    """
    if config.backbone_rate is None:
        return
    if not config.backbone_rate > 0:
        raise ValueError(f"backbone_rate={config.backbone_rate} must be positive, or None for a fixed backbone.")
    for name, view in views.items():
        if getattr(config, name) != view:
            raise ValueError(
                f"{name}={getattr(config, name)!r} is computed once, and backbone_rate={config.backbone_rate} trains "
                f"the backbone. Set {name} to {view!r}, or backbone_rate to None."
            )
