"""The modules of CM-GANs: two generators, which are autoencoders, and four discriminators; see `cmgans.py`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

from xmrlib.distributed import BatchNorm
from xmrlib.methods.mcsm_network import Words, any_of
from xmrlib.methods.network import InputScaling
from xmrlib.methods.pictures import trunk_of

SIDES = ("image", "text")
OTHER = {"image": "text", "text": "image"}
SLOPE = 0.2  # of every leaky ReLU


class Block(nn.Module):
    """Linear map, batch norm, leaky ReLU: what all networks of CM-GANs are made of."""

    def __init__(self, dim: int, units: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(dim, units), BatchNorm(units)
        nn.init.normal_(self.norm.weight, 1.0, 0.02)

    def forward(self, x: Float[Tensor, "item dim"]) -> Float[Tensor, "item units"]:
        """The units; in training, the batch norm sees this batch alone."""
        return leaky_relu(self.norm(self.linear(x).float()), SLOPE)


class Top(nn.Module):
    """The last layer of an encoder without its batch statistics: what both sides share."""

    def __init__(self, units: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(units, dim)
        self.weight, self.bias = nn.Parameter(torch.empty(dim).normal_(1.0, 0.02)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "item units"], norm: nn.Module) -> Float[Tensor, "item common"]:
        """s; `norm`, of a side's own, brings each dimension to mean 0 and variance 1."""
        return leaky_relu(norm(self.linear(x).float()) * self.weight + self.bias, SLOPE)


class Cells(nn.Module):
    """A picture as one vector: a convolution of width 1 over its cells, ReLU, the mean over the real ones."""

    def __init__(self, dim: int, maps: int, scaling: Any) -> None:
        super().__init__()
        self.scaling, self.layer = InputScaling(dim, scaling), nn.Linear(dim, maps)

    def forward(
        self, cells: Float[Tensor, "image cell dim"], mask: Bool[Tensor, "image cell"]
    ) -> Float[Tensor, "image feature"]:
        """h_i."""
        maps = self.layer(self.scaling(cells)).relu().float() * mask[:, :, None]
        return maps.sum(dim=1) / mask.sum(dim=1, keepdim=True)


class Pictures(nn.Module):
    """A picture as one vector by a backbone that is trained with the rest: its own, or a convolution over its cells."""

    def __init__(self, config: Any, dim: int) -> None:
        super().__init__()
        self.whole = config.image_view == "whole"
        self.trunk = trunk_of(config, "whole" if self.whole else "grid")
        how = config.scaling
        self.rest = InputScaling(dim, how) if self.whole else Cells(dim, config.image_maps, how)

    @property
    def scaling(self) -> InputScaling:
        """What brings the backbone's features to one scale."""
        return self.rest if self.whole else self.rest.scaling

    def forward(self, pixels: UInt8[Tensor, "image 3 size size"]) -> Float[Tensor, "image feature"]:
        """h_i."""
        found = self.trunk(pixels)
        if self.whole:
            return self.rest(found)
        return self.rest(found, torch.ones(found.shape[:2], dtype=torch.bool, device=found.device))


class WordFeatures(nn.Module):
    """A text as one vector: convolutions of several widths over its words, ReLU, each with its maximum over the text.

    Kim, "Convolutional neural networks for sentence classification", EMNLP 2014. Padding has no part in it.
    """

    def __init__(self, config: Any, words: int) -> None:
        super().__init__()
        self.words = Words(words, config.word_dim, trained=True)
        self.layers = nn.ModuleList(nn.Conv1d(config.word_dim, config.text_maps, width) for width in config.text_widths)

    def forward(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text feature"]:
        """h_t."""
        words, found = self.words(ids, mask).transpose(1, 2), []
        for layer in self.layers:
            around = layer.kernel_size[0] - 1  # each word at each place of the window, in the shortest text too
            real = any_of(pad(mask, (around, around)), around + 1, 1)
            maps = layer(pad(words, (around, around))).relu().float()
            found.append(maps.masked_fill(~real[:, None], 0).amax(dim=2))
        return torch.cat(found, dim=1)


class Generator(nn.Module):
    """One side's autoencoder: h, the features; s, the common representation; r, h again; and the classes of s.

    features  the module that gives h: a scaling where features are fixed, a convolution where they are learned
    dim       the length of h
    top       the last layer of the encoder, shared or not
    classify  what reads the classes in s, shared or not; None where there are none
    """

    def __init__(self, config: Any, features: nn.Module, dim: int, top: Top, classify: nn.Linear | None) -> None:
        super().__init__()
        self.features, self.top, self.classify = features, top, classify
        self.first, self.norm = Block(dim, config.hidden), BatchNorm(config.dim, affine=False)
        self.decoder = nn.Sequential(Block(config.dim, config.hidden), nn.Linear(config.hidden, dim))
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, h: Float[Tensor, "item feature"]) -> Float[Tensor, "item common"]:
        """s, the common representation."""
        return self.top(self.first(self.dropout(h)), self.norm)

    def decode(self, s: Float[Tensor, "item common"]) -> Float[Tensor, "item feature"]:
        """r, the reconstruction of h."""
        return self.decoder(s).float()


def linear(dim: int, units: int, spectral: bool) -> nn.Module:
    """A layer of a discriminator, with the largest singular value at 1 if `spectral`."""
    layer = nn.Linear(dim, units)
    return spectral_norm(layer) if spectral else layer


class IntraDiscriminator(nn.Module):
    """Whether h is an original or a reconstruction: one linear layer, as in the code, and so weak on purpose."""

    def __init__(self, dim: int, spectral: bool) -> None:
        super().__init__()
        self.out = linear(dim, 1, spectral)

    def forward(self, h: Float[Tensor, "item feature"]) -> Float[Tensor, " item"]:
        """Logits of "original"."""
        return self.out(h)[:, 0].float()


class InterDiscriminator(nn.Module):
    """Whether a common representation belongs to the original that stands beside it: of that side, of that item.

    Spectral norm takes the place of batch norm, which would undo it.
    """

    def __init__(self, common: int, dim: int, units: int, spectral: bool) -> None:
        super().__init__()
        self.hidden = linear(common + dim, units, True) if spectral else Block(common + dim, units)
        self.out, self.spectral = linear(units, 1, spectral), spectral

    def forward(self, s: Float[Tensor, "item common"], h: Float[Tensor, "item feature"]) -> Float[Tensor, " item"]:
        """Logits of "this s was made from this h"."""
        hidden = self.hidden(torch.cat([s, h], dim=1))
        return self.out(leaky_relu(hidden, SLOPE) if self.spectral else hidden)[:, 0].float()


class CMGANsNetwork(nn.Module):
    """All that is trained; `images` and `texts` go from a side's input to what retrieval compares.

    image, text  the length of a vector, or how many words there are; where a backbone is trained, a list of one
    classes      how many there are
    """

    def __init__(self, config: Any, image: int | list[int], text: int, classes: int) -> None:
        super().__init__()
        self.compare = config.compare
        if config.backbone_rate is not None:
            (image,) = image
            below = {"image": Pictures(config, image)}
        elif config.encoder == "conv":
            below = {"image": Cells(image, config.image_maps, config.scaling)}
        else:
            below = {"image": InputScaling(image, config.scaling)}
        cells = "regions" in (config.image_kind, *getattr(config.image_kind, "values", tuple)())
        dims = {"image": config.image_maps if cells else image}
        if config.encoder == "features":
            below["text"], dims["text"] = InputScaling(text, config.scaling), text
        else:
            below["text"], dims["text"] = WordFeatures(config, text), config.text_maps * len(config.text_widths)
        tops = {side: Top(config.hidden, config.dim) for side in SIDES}
        if config.shares == "weights":
            tops["text"] = tops["image"]
        elif config.shares == "start":
            tops["text"] = copy.deepcopy(tops["image"])
        readers = {side: nn.Linear(config.dim, classes) if config.semantic else None for side in SIDES}
        if config.classifier == "shared":
            readers["text"] = readers["image"]
        self.generators = nn.ModuleDict(
            {side: Generator(config, below[side], dims[side], tops[side], readers[side]) for side in SIDES}
        )
        self.scalings = nn.ModuleDict({side: InputScaling(config.dim, "standard") for side in SIDES})
        self.standardise = config.standardise
        self.intra, self.inter = nn.ModuleDict(), nn.ModuleDict()
        for side in SIDES:
            if config.intra:
                self.intra[side] = IntraDiscriminator(dims[side], config.spectral_norm)
            if config.inter:
                self.inter[side] = InterDiscriminator(config.dim, dims[side], config.inter_hidden, config.spectral_norm)

    def features(self, side: str, *tensors: Tensor) -> Float[Tensor, "item feature"]:
        """h of one side."""
        return self.generators[side].features(*tensors)

    def common(self, side: str, *tensors: Tensor) -> Float[Tensor, "item common"]:
        """s of one side, as the encoder gives it."""
        return self.generators[side].encode(self.features(side, *tensors))

    def classes(self, side: str, *tensors: Tensor) -> Float[Tensor, "item class_"]:
        """The probability of each class, as the classifier of one side sees it in s."""
        return self.generators[side].classify(self.common(side, *tensors)).softmax(dim=1)

    def reconstruct(self, side: str, *tensors: Tensor) -> Float[Tensor, "item feature"]:
        """r of one side, at the level of h."""
        return self.generators[side].decode(self.common(side, *tensors))

    def _compared(self, side: str, *tensors: Tensor) -> Tensor:
        if self.compare == "classes":
            return self.classes(side, *tensors)
        s = self.common(side, *tensors)
        return self.scalings[side](s) if self.standardise else s

    def images(self, *tensors: Tensor) -> Float[Tensor, "image compared"]:
        """What retrieval compares of images: s, standardised on the training pairs; or probabilities of classes."""
        return self._compared("image", *tensors)

    def texts(self, *tensors: Tensor) -> Float[Tensor, "text compared"]:
        """The same of texts."""
        return self._compared("text", *tensors)
