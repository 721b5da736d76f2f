"""The modules of CCL from the bottom up, and the losses of its second stage; see `ccl.py` for the whole."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from xmrlib.distributed import BatchNorm
from xmrlib.methods.corr_ae import CorrAutoencoder
from xmrlib.methods.network import InputScaling
from xmrlib.nn.rbm import RBM, AutoencoderLayer

SIDES = ("image", "text")
HEAD = 256  # released code: outputs of the classifier on z, however many classes there are

# -- the losses of stage 2


def contrastive_loss(
    u: Float[Tensor, "pair common"], v: Float[Tensor, "pair common"], labels: Int[Tensor, " pair"], margin: float
) -> Float[Tensor, ""]:
    """L_contr: items of one class together, items of two classes at least `margin` apart, over all B x B pairs.

    The sum over B^2 pairs is divided by B, as in the code: twice the batch, twice the loss.
    """
    # As matrix products where there are more than 25 rows; what both sides share would cost these their last digits.
    middle = u.detach().mean(dim=0)
    distance = torch.cdist(u - middle, v - middle)
    same = labels[:, None] == labels[None]
    return torch.where(same, distance.square(), (margin - distance).clamp_min(0).square()).sum() / (2 * len(u))


class Balance(nn.Module):
    """The losses of stage 2 as one: weights as given, or in addition a scale for each that is learned.

    Learned: sum_k exp(-s_k) L_k + s_k / 2, after Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to
    weigh losses", CVPR 2018. The abstract of CCL says that the tasks are balanced adaptively and not how.
    """

    def __init__(self, weights: dict[str, float], learned: bool) -> None:
        super().__init__()
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.scales = nn.ParameterDict({name: torch.zeros(()) for name in self.weights} if learned else {})

    def forward(self, losses: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """The weighted sum."""
        total = 0.0
        for name, weight in self.weights.items():
            if name in self.scales:
                scale = self.scales[name]
                total = total + weight * ((-scale).exp() * losses[name] + scale / 2)
            else:
                total = total + weight * losses[name]
        return total


def mirrored(s: Float[Tensor, "item separate"]) -> Float[Tensor, "item separate"]:
    """Each row read backwards with probability 1/2, as the released code has it by mistake."""
    return torch.where(torch.rand(len(s), 1, device=s.device) < 0.5, s.flip(dims=(1,)), s)


# -- the modules, from the bottom up


class FeatureScaling(InputScaling):
    """As `InputScaling`, or "even": each column to mean 0, and all by one number to a mean variance of 1."""

    def __init__(self, dim: int, how: str) -> None:
        super().__init__(dim, "standard" if how == "even" else how)
        self.even = how == "even"

    def fit(self, features: Float[Tensor, "item dim"]) -> FeatureScaling:
        """Take mean and deviation from the training features."""
        super().fit(features)
        if self.even:
            self.scale.fill_((features - self.mean).square().mean().sqrt().clamp_min(1e-6))
        return self


class Stack(nn.Module):
    """1 A of one side and grain: scaled features, then two layers, each trained on what the one below gives."""

    def __init__(self, config: Any, dim: int, hidden: int, counts: bool) -> None:
        super().__init__()
        kind = "counts" if counts else "gaussian"
        self.scaling = FeatureScaling(dim, "none" if counts else config.scaling)
        if config.pretraining == "rbm":
            self.first = RBM(dim, hidden, kind, released=config.variant == "released")
            self.second = RBM(hidden, config.code)
        else:
            self.first, self.second = AutoencoderLayer(dim, hidden, kind), AutoencoderLayer(hidden, config.code)

    def below(self, x: Float[Tensor, "*item dim"]) -> Float[Tensor, "*item hidden"]:
        """What the second layer sees."""
        return self.first.hidden(self.scaling(x))

    def forward(self, x: Float[Tensor, "*item dim"]) -> Float[Tensor, "*item code"]:
        """The code."""
        return self.second.hidden(self.below(x))


def mean_of_parts(
    codes: Float[Tensor, "item part code"], mask: Bool[Tensor, "item part"]
) -> Float[Tensor, "item code"]:
    """The fine code of an instance: the mean over the parts that it has."""
    weights = mask.to(codes.dtype)[:, :, None]
    return (codes * weights).sum(dim=1) / weights.sum(dim=1)


class Classifier(nn.Module):
    """1 D: three hidden layers; the last is the separate representation.

    scaling  of what comes in: "none", "standard" (on the training split), or "batch", which follows what comes in while
             that changes
    """

    def __init__(self, dim: int, hidden: int, classes: int, dropout: float, scaling: str) -> None:
        super().__init__()
        self.scaling = BatchNorm(dim, affine=False) if scaling == "batch" else InputScaling(dim, scaling)
        sizes = (dim, hidden, hidden, hidden)
        layers = ((nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)) for a, b in zip(sizes, sizes[1:], strict=False))
        self.hidden = nn.Sequential(*(layer for three in layers for layer in three))
        self.classify = nn.Linear(hidden, classes)

    def layers(self, x: Float[Tensor, "item dim"]) -> Float[Tensor, "item separate"]:
        """The separate representation."""
        return self.hidden(self.scaling(x))

    def forward(self, x: Float[Tensor, "item dim"]) -> Float[Tensor, "item class_"]:
        """Logits."""
        return self.classify(self.layers(x))


class Branch(nn.Module):
    """E, one side: z is one tensor; u is made from it, and so are the classes."""

    def __init__(self, config: Any, dim: int, classes: int) -> None:
        super().__init__()
        outputs = max(HEAD, classes) if config.variant == "released" else classes
        self.first, self.second = nn.Linear(dim, config.hidden), nn.Linear(config.hidden, config.dim)
        self.classify = nn.Linear(config.dim, outputs)
        for layer in (self.first, self.second, self.classify):  # Caffe's "xavier"
            bound = math.sqrt(3 / layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)

    def forward(
        self, s: Float[Tensor, "item separate"]
    ) -> tuple[Float[Tensor, "item common"], Float[Tensor, "item class_"]]:
        """u and the logits."""
        z = self.second(self.first(s).sigmoid())
        return z.sigmoid(), self.classify(z)


class CCLNetwork(nn.Module):
    """All that is trained; `images` and `texts` go from features to u."""

    def __init__(self, config: Any, image: list[int], text: list[int], classes: int) -> None:
        super().__init__()
        self.grains = ("coarse", "fine") if config.grains == "both" else (config.grains,)
        self.stacks, self.joints, self.classifiers = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.separate_scaling, self.branches, self.common_scaling = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.associations = nn.ModuleDict(
            {grain: CorrAutoencoder(config.code, config.code, config.code) for grain in self.grains}
        )
        hidden = {"image": config.image_hidden, "text": config.text_hidden}
        parts = config.text_parts_options.get("encoder") if config.text_parts == "fragments" else config.text_parts
        for side, dims in (("image", image), ("text", text)):
            for grain, dim in zip(self.grains, dims, strict=True):
                counts = side == "text" and "bow" == (config.text_view if grain == "coarse" else parts)
                self.stacks[f"{side}_{grain}"] = Stack(config, dim, hidden[side], counts)
            size = config.code
            if len(self.grains) == 2:
                layer = RBM if config.fusion == "rbm" else AutoencoderLayer
                self.joints[side], size = layer(2 * config.code, config.fused), config.fused
            if config.supervised:
                scaling = "batch" if config.fine_tune else "none" if config.variant == "released" else "standard"
                self.classifiers[side] = Classifier(size, config.separate, classes, config.dropout, scaling)
                size = config.separate
            self.separate_scaling[side] = InputScaling(size, "standard")
            self.branches[side] = Branch(config, size, classes)
            self.common_scaling[side] = InputScaling(config.dim, "standard")

    def views(self, tensors: tuple[Tensor, ...]) -> dict[str, tuple[Tensor, ...]]:
        """The tensors of each grain: the whole, or the parts with their mask."""
        return {grain: (tensors[:1] if grain == "coarse" else tensors[-2:]) for grain in self.grains}

    def below(self, side: str, grain: str, x: Tensor, mask: Tensor | None = None) -> Float[Tensor, "item code"]:
        """1 A: the code of each instance in one grain."""
        codes = self.stacks[f"{side}_{grain}"](x)
        return codes if mask is None else mean_of_parts(codes, mask)

    def alike(self, side: str, *tensors: Tensor) -> Float[Tensor, "item codes"]:
        """1 B: the codes of both grains, made alike across the sides, one after the other."""
        below = {grain: self.below(side, grain, *own) for grain, own in self.views(tensors).items()}
        return torch.cat([self.associations[grain].encode(side, code) for grain, code in below.items()], dim=1)

    def fused(self, side: str, *tensors: Tensor) -> Float[Tensor, "item fused"]:
        """1 C: both grains in one code."""
        alike = self.alike(side, *tensors)
        return self.joints[side].hidden(alike) if side in self.joints else alike

    def below_classifier(self, side: str) -> dict[str, nn.Module]:
        """What `fused` goes through, under the names that it has in the stages A, B and C."""
        found: dict[str, nn.Module] = {}
        for grain in self.grains:
            stack = self.stacks[f"{side}_{grain}"]
            layers = {"scaling": stack.scaling, "first": stack.first, "second": stack.second}
            found |= {f"{side}_{grain}_{name}": layer for name, layer in layers.items()}
            found[f"association_{grain}"] = self.associations[grain]
        return found | ({f"{side}_both_joint": self.joints[side]} if side in self.joints else {})

    def separate(self, side: str, *tensors: Tensor) -> Float[Tensor, "item separate"]:
        """1 D: the separate representation, before it is standardised."""
        fused = self.fused(side, *tensors)
        return self.classifiers[side].layers(fused) if side in self.classifiers else fused

    def common(self, side: str, *tensors: Tensor) -> Float[Tensor, "item common"]:
        """E: u, standardised; takes the whole, the parts and their mask, as far as there are such grains."""
        u, _ = self.branches[side](self.separate_scaling[side](self.separate(side, *tensors)))
        return self.common_scaling[side](u)

    def images(self, *tensors: Tensor) -> Float[Tensor, "image common"]:
        """The common representation of images."""
        return self.common("image", *tensors)

    def texts(self, *tensors: Tensor) -> Float[Tensor, "text common"]:
        """The common representation of texts."""
        return self.common("text", *tensors)
