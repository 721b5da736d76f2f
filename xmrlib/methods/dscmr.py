"""DSCMR: two networks with a common top, pulled by labels, by pairs of the same class, and by the pairs themselves.

Zhen, Hu, Wang and Peng, "Deep supervised cross-modal retrieval", CVPR 2019. With u_i, v_i the representations of an
image and of its text, y_i the class in one-hot form, P the linear classifier that both sides share,

    J1 = 1/n sum_i |P u_i - y_i| + |P v_i - y_i|                     labels, with one classifier for both sides
    J2 = 1/n^2 sum_ij  l(u_i, v_j) + l(u_i, u_j) + l(v_i, v_j)       of one class or not, across the sides and within
         l(a, b) = log(1 + e^G) - S G,   G = cos(a, b) / 2,   S = 1 for one class, else 0
    J3 = 1/n sum_i |u_i - v_i|                                       pairs

    J  = J1 + lambda J2 + eta J3
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, softplus

from xmrlib.distributed import gather
from xmrlib.methods.network import EmbeddingNetwork, InputScaling, NetworkConfig
from xmrlib.methods.sides import Views
from xmrlib.stages import Optimiser, Stage, Table

DEVIATIONS = (
    # what, paper, released code, here
    ("norms in J1, J3", "1/n times the Frobenius norm of the batch", "mean of the rows' norms", "as released"),
    ("choice of the epoch", "not stated", "best MAP on the test split", "best on the validation split"),
    ("order of the training pairs", "not stated", "never shuffled", "shuffled in every epoch"),
    ("input scaling", "not stated", "none", "`scaling`, a setting; none by default"),
)


@dataclass(frozen=True)
class DSCMRConfig(NetworkConfig):
    """What DSCMR must be told; the defaults are the released code's, fewer epochs apart.

    scaling        of the input features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    hidden, dim    units of each side's own layer and of the common representation
    within         lambda, the weight of J2
    pairs          eta, the weight of J3
    """

    epochs: int = 60
    batch: int = 100
    learning_rate: float = 1e-4
    scaling: Literal["none", "unit", "standard"] = "none"
    hidden: int = 2048
    dim: int = 1024
    within: float = 1e-3
    pairs: float = 1e-1

    @classmethod
    def paper(cls, **settings: Any) -> DSCMRConfig:
        """The sizes of the paper: VGG-19's 4,096 numbers a picture, 500 epochs."""
        return cls(**{"epochs": 500, "backbone": "vgg19"} | settings)

    @classmethod
    def small(cls, **settings: Any) -> DSCMRConfig:
        """The sizes of the book on a laptop."""
        return cls(**{"hidden": 512, "dim": 256, "epochs": 30, "learning_rate": 3e-4, "scaling": "standard"} | settings)


class DSCMRNetwork(nn.Module):
    """A layer for each side, then one layer and one classifier for both."""

    def __init__(self, config: DSCMRConfig, image: int, text: int, classes: int) -> None:
        super().__init__()
        self.image_scaling = InputScaling(image, config.scaling)
        self.text_scaling = InputScaling(text, config.scaling)
        self.image_layer = nn.Linear(image, config.hidden)
        self.text_layer = nn.Linear(text, config.hidden)
        self.common = nn.Linear(config.hidden, config.dim)
        self.classify = nn.Linear(config.dim, classes)

    def images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        """u: images in the common space."""
        return self.common(self.image_layer(self.image_scaling(features)).relu())

    def texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        """v: texts in the common space."""
        return self.common(self.text_layer(self.text_scaling(features)).relu())


def row_norm_loss(difference: Float[Tensor, "item dim"]) -> Float[Tensor, ""]:
    """The mean length of the rows."""
    return difference.norm(dim=1).mean()


def same_class_loss(
    first: Float[Tensor, "item dim"], second: Float[Tensor, "other dim"], same: Float[Tensor, "item other"]
) -> Float[Tensor, ""]:
    """Minus the mean log-likelihood that two items are of the same class where `same` is 1; one of the three in J2."""
    half_cosine = normalize(first, dim=1) @ normalize(second, dim=1).T / 2
    return (softplus(half_cosine) - same * half_cosine).mean()


def dscmr_loss(
    u: Float[Tensor, "pair common"],
    v: Float[Tensor, "pair common"],
    classify: nn.Linear,
    labels: Int[Tensor, " pair"],
    within: float,
    pairs: float,
) -> dict[str, Float[Tensor, ""]]:
    """J and its three parts."""
    target = one_hot(labels, classify.out_features).to(u.dtype)
    j1 = row_norm_loss(classify(u) - target) + row_norm_loss(classify(v) - target)
    all_u, all_v, all_labels = gather(u), gather(v), gather(labels)
    same = (all_labels[:, None] == all_labels[None]).to(u.dtype)
    j2 = sum(same_class_loss(a, b, same) for a, b in ((all_u, all_v), (all_u, all_u), (all_v, all_v)))
    j3 = row_norm_loss(u - v)
    return {"loss": j1 + within * j2 + pairs * j3, "labels": j1, "within": j2, "pairs": j3}


class DSCMR(EmbeddingNetwork):
    """Deep supervised cross-modal retrieval; needs a class for every image."""

    Config: ClassVar[type[NetworkConfig]] = DSCMRConfig
    needs_labels: ClassVar[bool] = True

    def _build(self, sizes: dict[str, int]) -> DSCMRNetwork:
        return DSCMRNetwork(self.config, **sizes)

    def _stages(self, network: DSCMRNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        config = self.config
        network.image_scaling.fit(train.images)
        network.text_scaling.fit(train.texts)
        optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.5, 0.999))

        def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
            u, v = network.images(batch["image"]), network.texts(batch["text"])
            losses = dscmr_loss(u, v, network.classify, batch["label"], config.within, config.pairs)
            loop.backward(losses["loss"])
            loop.update("network")
            return losses

        yield Stage(
            name="DSCMR",
            modules={"network": network},
            optimisers={"network": Optimiser(optimiser)},
            data=Table(image=train.images[train.image_of_text], text=train.texts, label=train.text_labels),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=self._measure(network, val),
            patience=config.patience,
        )
