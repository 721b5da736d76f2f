"""ACMR: two projectors that keep class and pair apart from modality, against a classifier that looks for the modality.

Wang, Yang, Xu, Hanjalic and Shen, "Adversarial cross-modal retrieval", ACM MM 2017. With u_i, v_i the projections of
an image and of its text, p their class probabilities under one classifier for both sides, y the class,

    L_imd = -1/n sum_i log p_y(u_i) + log p_y(v_i)                             labels (intra-modal discrimination)
    L_imi = mean |u_i - v_j| over pairs of one class
            + lambda mean max(0, mu - |u_i - v_k|) over pairs of two classes   triplets (inter-modal invariance)
    L_adv = -1/n sum_i log D(u_i) + log(1 - D(v_i))                            D believes "this was an image"

    projectors and label classifier:  min  alpha L_imi + beta L_imd - gamma L_adv
    modality classifier D:            min  L_adv

The two move in turn, each with an optimiser of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from xmrlib.distributed import gather
from xmrlib.methods.network import EmbeddingNetwork, InputScaling, NetworkConfig, frozen
from xmrlib.methods.sides import Views
from xmrlib.stages import Optimiser, Stage, Table

DEVIATIONS = (
    # what, paper, released code, here
    ("the game", "projectors descend -L_adv", "L_adv never reaches the projectors", "as in the paper"),
    ("label classifier", "trained with the projectors", "left at its random start", "as in the paper"),
    (
        "triplets",
        "distance to the same class + lambda hinge(mu - distance to another)",
        "one hinge over the batch's sums: .1 + 5 x squared distances of pairs - those to the other class's likest item",
        "as in the paper, means over all couples of the batch",
    ),
    ("weights", "alpha, beta by grid search", "100 x labels + 1 x triplets", "1, 1"),
    ("weight of L_adv", "a constant", "0 to 1 along a logistic curve, without effect", "that curve times `adversary`"),
    ("moves of the projectors per move of D", "k", "1", "`steps`, 1 by default"),
    ("regulariser", "Frobenius norms of the weights", "none", "none"),
    ("modality classifier", "fully connected layers", "three without anything between them", "one hidden layer, ReLU"),
    ("comparison", "distance", "Euclidean distance, MAP over the first 50", "cosine, MAP over all"),
    ("choice of the epoch", "not stated", "the last", "best on the validation split"),
    ("order of the training pairs", "not stated", "never shuffled", "shuffled in every epoch"),
    ("input scaling", "not stated", "none", "`scaling`, a setting; none by default"),
)


@dataclass(frozen=True)
class ACMRConfig(NetworkConfig):
    """What ACMR must be told; the defaults are the released code's sizes.

    scaling        of the input features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    image_hidden, text_hidden   units of each projector's first layer
    middle, dim    of the second layer and of the common space, on both sides
    invariance     alpha, the weight of L_imi
    labels         beta, the weight of L_imd
    adversary      gamma, the weight of L_adv at the end of training; 0: no game
    margin         mu, the distance beyond which items of two classes are left alone
    push           lambda, the weight of these items
    steps          the modality classifier moves at every so many-th move of the projectors
    """

    epochs: int = 50
    batch: int = 64
    learning_rate: float = 1e-4
    scaling: Literal["none", "unit", "standard"] = "none"
    image_hidden: int = 512
    text_hidden: int = 40
    middle: int = 100
    dim: int = 40
    invariance: float = 1.0
    labels: float = 1.0
    adversary: float = 1.0
    margin: float = 1.0
    push: float = 1.0
    steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("image_hidden", "text_hidden", "middle", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.dim < 2:
            raise ValueError(f"dim={self.dim} leaves no room for a common space; set 2 or more.")
        for name in ("invariance", "labels", "adversary", "margin", "push"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more, and finite.")

    @classmethod
    def paper(cls, **settings: Any) -> ACMRConfig:
        """VGG-19's 4,096 numbers a picture, the released code's 200 epochs."""
        return cls(**{"epochs": 200, "backbone": "vgg19"} | settings)

    @classmethod
    def small(cls, **settings: Any) -> ACMRConfig:
        """The sizes of the book on a laptop."""
        sizes = {"text_hidden": 512, "middle": 256, "dim": 128, "epochs": 30}
        return cls(**sizes | {"learning_rate": 3e-4, "scaling": "standard"} | settings)


class ACMRNetwork(nn.Module):
    """A projector for each side, a classifier of labels for both, and the classifier of modality that plays against."""

    def __init__(self, config: ACMRConfig, image: int, text: int, classes: int) -> None:
        super().__init__()
        self.image_scaling = InputScaling(image, config.scaling)
        self.text_scaling = InputScaling(text, config.scaling)
        self.image_projector = projector(image, config.image_hidden, config.middle, config.dim)
        self.text_projector = projector(text, config.text_hidden, config.middle, config.dim)
        self.classify = nn.Linear(config.dim, classes)
        self.modality = nn.Sequential(nn.Linear(config.dim, config.dim // 2), nn.ReLU(), nn.Linear(config.dim // 2, 1))

    def images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        """u: images in the common space."""
        return self.image_projector(self.image_scaling(features))

    def texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        """v: texts in the common space."""
        return self.text_projector(self.text_scaling(features))


def projector(*sizes: int) -> nn.Sequential:
    """Layers of these sizes, each with tanh."""
    return nn.Sequential(*(part for fan in pairwise(sizes) for part in (nn.Linear(*fan), nn.Tanh())))


def label_loss(
    u: Float[Tensor, "pair common"],
    v: Float[Tensor, "pair common"],
    classify: nn.Linear,
    labels: Int[Tensor, " pair"],
) -> Float[Tensor, ""]:
    """L_imd: the mean cross-entropy of the classes, of both sides together."""
    return cross_entropy(classify(u), labels) + cross_entropy(classify(v), labels)


def invariance_loss(
    u: Float[Tensor, "pair common"],
    v: Float[Tensor, "pair common"],
    labels: Int[Tensor, " pair"],
    margin: float,
    push: float,
) -> Float[Tensor, ""]:
    """L_imi over all couples of an image with a text; a batch of one class has only its first part."""
    squares = u.square().sum(dim=1)[:, None] + v.square().sum(dim=1)[None] - 2 * u @ v.T
    distance = squares.clamp(min=1e-12).sqrt()  # the root's slope at 0 is infinite
    same = labels[:, None] == labels[None]
    pull = (distance * same).sum() / same.sum()
    apart = ((margin - distance).clamp(min=0) * ~same).sum() / (~same).sum().clamp(min=1)
    return pull + push * apart


def modality_loss(
    modality: nn.Module, u: Float[Tensor, "pair common"], v: Float[Tensor, "pair common"]
) -> Float[Tensor, ""]:
    """L_adv: how badly the modality classifier tells images from texts; 2 log 2 where it knows nothing."""
    return softplus(-modality(u)).mean() + softplus(modality(v)).mean()


def game(done: float) -> float:
    """How much of the adversary's weight counts when a share `done` of the training lies behind: 0 at first, then 1.

    Ganin and Lempitsky, ICML 2015, Section 4; the released code has it too.

    >>> game(0.0), round(game(0.5), 3)
    (0.0, 0.987)
    """
    return 2 / (1 + math.exp(-10 * done)) - 1


class ACMR(EmbeddingNetwork):
    """Adversarial cross-modal retrieval; needs a class for every image."""

    Config: ClassVar[type[NetworkConfig]] = ACMRConfig
    needs_labels: ClassVar[bool] = True

    def _build(self, sizes: dict[str, int]) -> ACMRNetwork:
        return ACMRNetwork(self.config, **sizes)

    def _stages(self, network: ACMRNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        config = self.config
        network.image_scaling.fit(train.images)
        network.text_scaling.fit(train.texts)
        players = (network.image_projector, network.text_projector, network.classify)
        moved = [parameter for module in players for parameter in module.parameters()]
        adam = {"lr": config.learning_rate, "betas": (0.5, 0.999)}

        def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
            u, v = network.images(batch["image"]), network.texts(batch["text"])
            labels = label_loss(u, v, network.classify, batch["label"])
            couples = gather(u), gather(v), gather(batch["label"])
            invariance = invariance_loss(*couples, config.margin, config.push)
            with frozen(network.modality):
                told_apart = modality_loss(network.modality, u, v)
            weight = config.adversary * game(loop.done / config.epochs)
            loss = config.invariance * invariance + config.labels * labels - weight * told_apart
            loop.backward(loss)
            loop.update("projectors")
            if loop.due("modality"):
                loop.backward(modality_loss(network.modality, u.detach(), v.detach()))
                loop.update("modality")
            return {"loss": loss, "labels": labels, "invariance": invariance, "modality": told_apart}

        yield Stage(
            name="ACMR",
            modules={"network": network},
            optimisers={
                "projectors": Optimiser(torch.optim.Adam(moved, **adam)),
                "modality": Optimiser(torch.optim.Adam(network.modality.parameters(), **adam), every=config.steps),
            },
            data=Table(image=train.images[train.image_of_text], text=train.texts, label=train.text_labels),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=self._measure(network, val),
            patience=config.patience,
        )
