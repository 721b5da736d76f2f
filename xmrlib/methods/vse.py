"""VSE and VSE++: a picture and a sentence in one space, ranked by hinges; VSE++ heeds the hardest negative only.

Faghri, Fleet, Kiros and Fidler, "VSE++: improving visual-semantic embeddings with hard negatives", BMVC 2018. With
u = W phi(image) and v = the last state of a GRU over the sentence's words, both of unit length, s(i, c) = u_i . v_c,
[x]+ = max(0, x), and (i, c) a pair,

    SH(i, c) = sum_c' [alpha - s(i, c) + s(i, c')]+  +  sum_i' [alpha - s(i, c) + s(i', c)]+    equation 5, VSE0
    MH(i, c) = max_c' [alpha - s(i, c) + s(i, c')]+  +  max_i' [alpha - s(i, c) + s(i', c)]+    equation 6, VSE++

where c' and i' run through the wrong sentences and the wrong pictures of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from xmrlib.distributed import gather
from xmrlib.methods.base import Measure
from xmrlib.methods.network import EmbeddingNetwork, InputScaling, NetworkConfig
from xmrlib.methods.pair_network import PairTable
from xmrlib.methods.sides import Kind, Views
from xmrlib.nn.ranking import Negatives, hinge_loss, same_image
from xmrlib.stages import Optimiser, Stage, drop

DEVIATIONS = (
    # what, paper, released code, here
    ("two sentences of one picture in a batch", "not stated", "negatives of one another", "no negatives"),
    ("pictures", "random crops, mean over ten for R1+10C", "the same, or features from a file", "the whole picture"),
    ("image network", "fine-tuned after 30 epochs in the best rows", "the same, by a switch", "not trained"),
    ("words", "not stated", "in 4 or more sentences, between <start> and <end>", "in 2 or more texts, no marks"),
    ("choice of the epoch", "best sum of recalls on validation", "the same, every 500 steps", "every epoch"),
    ("input scaling", "not stated", "unit length", "`scaling`, a setting; unit length by default"),
)


@dataclass(frozen=True)
class VSEConfig(NetworkConfig):
    """What VSE must be told; the defaults are the released code's.

    negatives      "hardest" (VSE++) or "sum" over all in the batch (VSE0)
    margin         alpha
    scaling        of the image features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    word_dim, dim  length of a word's vector, which is learned, and of the common space
    lower_after    the learning rate falls to a tenth after every so many epochs
    clip           the largest norm of the gradient
    """

    text_view: str = "tokens"
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 2e-4
    choose_by: Measure = "recall"
    negatives: Negatives = "hardest"
    margin: float = 0.2
    scaling: Literal["none", "unit", "standard"] = "unit"
    word_dim: int = 300
    dim: int = 1024
    lower_after: int = 15
    clip: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negatives not in ("hardest", "sum"):
            raise ValueError(f'negatives={self.negatives!r} is neither "hardest" nor "sum".')
        for name in ("margin", "word_dim", "dim", "lower_after", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")

    @classmethod
    def paper(cls, **settings: Any) -> VSEConfig:
        """The sizes of the paper with VGG-19."""
        return cls(**{"backbone": "vgg19"} | settings)

    @classmethod
    def small(cls, **settings: Any) -> VSEConfig:
        """The sizes of the book on a laptop."""
        sizes = {"word_dim": 64, "dim": 128, "batch": 64}
        return cls(**sizes | {"learning_rate": 1e-3, "scaling": "standard"} | settings)


class VSENetwork(nn.Module):
    """A linear map for pictures; word vectors and a GRU for sentences."""

    def __init__(self, config: VSEConfig, image: int, text: int, classes: int = 0) -> None:
        super().__init__()
        self.image_scaling = InputScaling(image, config.scaling)
        self.image_layer = nn.Linear(image, config.dim)
        self.words = nn.Embedding(text, config.word_dim)
        self.gru = nn.GRU(config.word_dim, config.dim, batch_first=True)
        nn.init.xavier_uniform_(self.image_layer.weight)
        nn.init.zeros_(self.image_layer.bias)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)

    def images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        """u: pictures in the common space, of unit length."""
        return normalize(self.image_layer(self.image_scaling(features)), dim=1)

    def texts(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text common"]:
        """v: sentences in the common space, of unit length. A state knows nothing of what follows, padding included."""
        states, _ = self.gru(self.words(ids))
        last = mask.sum(dim=1) - 1
        return normalize(states[torch.arange(len(ids), device=ids.device), last], dim=1)


class VSE(EmbeddingNetwork):
    """Visual-semantic embedding, with the hardest negatives (VSE++) or with all (VSE0); learns from pairs alone."""

    Config: ClassVar[type[NetworkConfig]] = VSEConfig
    text_kind: Kind = "tokens"

    def _build(self, sizes: dict[str, int]) -> VSENetwork:
        return VSENetwork(self.config, **sizes)

    def _stages(self, network: VSENetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        config = self.config
        network.image_scaling.fit(train.images)
        optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)

        def step(batch: dict[str, Any], loop: Any) -> dict[str, Tensor]:
            u, v = gather(network.images(*batch["images"])), gather(network.texts(*batch["texts"]))
            loss = hinge_loss(u @ v.T, same_image(gather(batch["row"])), config.margin, config.negatives)
            loop.backward(loss)
            loop.update("network")
            return {"loss": loss}

        yield Stage(
            name="VSE",
            modules={"network": network},
            optimisers={"network": Optimiser(optimiser, drop(config.lower_after), config.clip)},
            data=PairTable.of(train),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=self._measure(network, val),
            patience=config.patience,
        )
