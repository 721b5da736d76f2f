"""Corr-AE: an autoencoder for each side, and the codes of a pair pulled together.

Feng, Wang and Li, "Cross-modal retrieval with correspondence autoencoder", ACM MM 2014. With x the features of a side,
c = sigmoid(W x + b) its code and x^ = sigmoid(V c + d), or V c + d for real features, what comes back,

    L = (1 - lambda) 1/2 (|x^_i - x_i|^2 + |x^_t - x_t|^2)  +  lambda 1/2 |c_i - c_t|^2        mean over the pairs

lambda = 0 leaves two autoencoders that know nothing of each other, lambda = 1 two encoders that may agree on anything,
the constant included. The first stage of CCL trains two of these, on whole instances and on their parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xmrlib.methods.network import EmbeddingNetwork, InputScaling, NetworkConfig, through
from xmrlib.methods.sides import Views
from xmrlib.stages import Optimiser, Stage, Table

DEVIATIONS = (
    # what, paper, CCL's released code, here
    ("lambda", "0.8, from memory", "0.7", "`correlation`, 0.7"),
    ("below the autoencoders", "two RBMs a side", "two RBMs a side and grain", "the scaled features; CCL has the RBMs"),
    ("optimiser", "not remembered", "SGD with momentum", "Adam"),
    (
        "similarity",
        "of the codes",
        "none: CCL goes on from the codes",
        "cosine, codes standardised on the training split",
    ),
)


class CorrAutoencoder(nn.Module):
    """Both autoencoders.

    image, text  lengths of the inputs
    code         length of the codes
    output       what comes back: "sigmoid" for inputs between 0 and 1, "linear" for others
    """

    def __init__(self, image: int, text: int, code: int, output: Literal["sigmoid", "linear"] = "sigmoid") -> None:
        super().__init__()
        self.output = output
        self.encoders = nn.ModuleDict({"image": nn.Linear(image, code), "text": nn.Linear(text, code)})
        self.decoders = nn.ModuleDict({"image": nn.Linear(code, image), "text": nn.Linear(code, text)})

    def encode(self, side: str, x: Float[Tensor, "*item dim"]) -> Float[Tensor, "*item code"]:
        """c: the code of one side."""
        return self.encoders[side](x).sigmoid()

    def decode(self, side: str, code: Float[Tensor, "*item code"]) -> Float[Tensor, "*item dim"]:
        """x^: what comes back."""
        back = self.decoders[side](code)
        return back.sigmoid() if self.output == "sigmoid" else back


def corr_ae_loss(
    network: CorrAutoencoder,
    images: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair text_dim"],
    correlation: float,
) -> dict[str, Float[Tensor, ""]]:
    """L, and its two parts before they are weighed: "intra" (what comes back) and "inter" (the pair's codes)."""
    codes = {side: network.encode(side, x) for side, x in (("image", images), ("text", texts))}
    intra = sum(
        (network.decode(side, codes[side]) - x).square().sum(dim=1).mean() / 2
        for side, x in (("image", images), ("text", texts))
    )
    inter = (codes["image"] - codes["text"]).square().sum(dim=1).mean() / 2
    return {"loss": (1 - correlation) * intra + correlation * inter, "intra": intra, "inter": inter}


@dataclass(frozen=True)
class CorrAEConfig(NetworkConfig):
    """What Corr-AE must be told.

    correlation  lambda, between 0 (each side for itself) and 1 (nothing has to come back)
    code         units of the code
    scaling      of the features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    """

    epochs: int = 60
    correlation: float = 0.7
    code: int = 1024
    scaling: Literal["none", "unit", "standard"] = "standard"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.correlation <= 1:
            raise ValueError(f"correlation={self.correlation} is outside [0, 1].")
        if not self.code > 0:
            raise ValueError(f"code={self.code} must be positive.")

    @classmethod
    def paper(cls, **settings: Any) -> CorrAEConfig:
        """The sizes that CCL's code has."""
        return cls(**{"backbone": "vgg19", "text_view": "bow"} | settings)

    @classmethod
    def small(cls, **settings: Any) -> CorrAEConfig:
        """The sizes of the book on a laptop."""
        return cls(**{"code": 256, "epochs": 20} | settings)


class CorrAENetwork(nn.Module):
    """Scaled features, both autoencoders, and the codes' scaling for the comparison."""

    def __init__(self, config: CorrAEConfig, image: int, text: int, classes: int = 0) -> None:
        super().__init__()
        self.scaling = nn.ModuleDict(
            {"image": InputScaling(image, config.scaling), "text": InputScaling(text, config.scaling)}
        )
        self.pair = CorrAutoencoder(image, text, config.code, "linear")
        self.codes = nn.ModuleDict({side: InputScaling(config.code, "standard") for side in ("image", "text")})

    def images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image code"]:
        """Codes of images, standardised."""
        return self.codes["image"](self.pair.encode("image", self.scaling["image"](features)))

    def texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text code"]:
        """Codes of texts, standardised."""
        return self.codes["text"](self.pair.encode("text", self.scaling["text"](features)))

    @torch.no_grad()
    def standardise_codes(self, images: Tensor, texts: Tensor) -> None:
        """Take the codes' mean and deviation from the training features."""
        for side, features in (("image", images), ("text", texts)):
            self.codes[side].fit(
                through(self, lambda x, side=side: self.pair.encode(side, self.scaling[side](x)), features)
            )


class CorrAE(EmbeddingNetwork):
    """Correspondence autoencoder; learns from pairs alone."""

    Config: ClassVar[type[NetworkConfig]] = CorrAEConfig

    def _build(self, sizes: dict[str, int]) -> CorrAENetwork:
        return CorrAENetwork(self.config, **sizes)

    def _stages(self, network: CorrAENetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        config = self.config
        network.scaling["image"].fit(train.images)
        network.scaling["text"].fit(train.texts)
        optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)

        def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
            images, texts = (network.scaling[side](batch[side]) for side in ("image", "text"))
            losses = corr_ae_loss(network.pair, images, texts, config.correlation)
            loop.backward(losses["loss"])
            loop.update("network")
            return losses

        def measure() -> float:
            network.standardise_codes(train.images, train.texts)
            return self._measure(network, val)()

        yield Stage(
            name="Corr-AE",
            modules={"network": network},
            optimisers={"network": Optimiser(optimiser)},
            data=Table(image=train.images[train.image_of_text], text=train.texts),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=None if val is None else measure,
            patience=config.patience,
        )
        network.standardise_codes(train.images, train.texts)
