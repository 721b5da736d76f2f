"""SCAN: every word looks for its regions (or every region for its words), and the best agreements make the score.

Lee, Chen, Hua, Hu and He, "Stacked cross attention for image-text matching", ECCV 2018. With v_k the regions of an
image, mapped into the common space, and e_j the words of a text, means of the two directions of a GRU, both of unit
length, attention from text to image ("t2i", Section 3.1) is

    s_kj = v_k . e_j                                     affinities, clipped at 0, of unit length over j
    c_j  = sum_k a_kj v_k,   a_.j = softmax_k(lambda_1 s_kj)               what word j sees of the image
    r_j  = cos(e_j, c_j)
    S    = 1/lambda_2 log sum_j exp(lambda_2 r_j)  ("lse")   or   mean_j r_j  ("mean")

and from image to text ("i2t") the same with regions and words exchanged. Training takes the hinges of VSE++ with the
hardest negatives of the batch, Section 3.2.
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
from xmrlib.methods.network import InputScaling, NetworkConfig
from xmrlib.methods.pair_network import PairNetwork, PairTable
from xmrlib.methods.sides import Kind, Views
from xmrlib.nn.cross_attention import cross_attention_scores
from xmrlib.nn.ranking import Negatives, hinge_loss, same_image
from xmrlib.stages import Optimiser, Stage, drop

DEVIATIONS = (
    # what, paper, released code, here
    ("clipping of affinities", "at 0", "leaky, slope 0.1", "as released"),
    ("two sentences of one picture in a batch", "not stated", "negatives of one another", "no negatives"),
    ("regions", "36 of a detector trained on Visual Genome", "read from a file", "the view `regions`"),
    ("words", "not stated", "in 4 or more sentences, between <start> and <end>", "in 2 or more texts, no marks"),
    ("two models", "sums of the scores of t2i and i2t in the best rows", "the same", "add two models' `similarity`"),
    ("choice of the epoch", "not stated", "best sum of recalls on validation", "as released, every epoch"),
    ("input scaling", "none", "none", "`scaling`, a setting; none by default"),
)


SHORTEST = 1e-3  # a vector shorter than this is divided by this in place of its length


@dataclass(frozen=True)
class SCANConfig(NetworkConfig):
    """What SCAN must be told; the defaults are those of the released code for Flickr30K.

    direction       "t2i": words attend to regions; "i2t": regions attend to words
    pooling         of the cosines of a pair: "lse" (log-sum-exp) or "mean"
    lambda_softmax, lambda_lse   lambda_1 and lambda_2; None: 9 and 6 for "t2i", 4 and 5 for "i2t"
    negatives, margin            as in VSE
    scaling         of the regions' features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    word_dim, dim   length of a word's vector, which is learned, and of the common space
    lower_after     the learning rate falls to a tenth after every so many epochs
    clip            the largest norm of the gradient
    """

    image_view: str = "regions"
    text_view: str = "tokens"
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 2e-4
    choose_by: Measure = "recall"
    direction: Literal["t2i", "i2t"] = "t2i"
    pooling: Literal["lse", "mean"] = "lse"
    lambda_softmax: float | None = None
    lambda_lse: float | None = None
    negatives: Negatives = "hardest"
    margin: float = 0.2
    scaling: Literal["none", "unit", "standard"] = "none"
    word_dim: int = 300
    dim: int = 1024
    lower_after: int = 15
    clip: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (
            ("direction", ("t2i", "i2t")),
            ("pooling", ("lse", "mean")),
            ("negatives", ("hardest", "sum")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(allowed)}.")
        for name in ("lambda_softmax", "lambda_lse", "margin", "word_dim", "dim", "lower_after", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be positive.")

    @classmethod
    def paper(cls, **settings: Any) -> SCANConfig:
        """The sizes of the paper: 36 regions of a detector, 1,024 dimensions."""
        return cls(**{"backbone": "fasterrcnn"} | settings)

    @classmethod
    def small(cls, **settings: Any) -> SCANConfig:
        """The sizes of the book on a laptop."""
        sizes = {"word_dim": 64, "dim": 128, "batch": 64, "epochs": 15, "lower_after": 10}
        return cls(**sizes | {"learning_rate": 1e-3, "scaling": "standard"} | settings)


class SCANNetwork(nn.Module):
    """A linear map for regions, word vectors and two GRUs for words, and attention between the two."""

    def __init__(self, config: SCANConfig, image: int, text: int, classes: int = 0) -> None:
        super().__init__()
        self.config = config
        self.image_scaling = InputScaling(image, config.scaling)
        self.region_layer = nn.Linear(image, config.dim)
        self.words = nn.Embedding(text, config.word_dim)
        self.forwards = nn.GRU(config.word_dim, config.dim, batch_first=True)
        self.backwards = nn.GRU(config.word_dim, config.dim, batch_first=True)
        nn.init.xavier_uniform_(self.region_layer.weight)
        nn.init.zeros_(self.region_layer.bias)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)

    def images(
        self, features: Float[Tensor, "image region dim"], mask: Bool[Tensor, "image region"]
    ) -> Float[Tensor, "image region common"]:
        """v: regions in the common space, of unit length; those that `mask` leaves out mean nothing."""
        # A region of zeros has no direction. Divided by next to nothing, its gradient would be more than fp16 holds.
        return normalize(self.region_layer(self.image_scaling(features)).float(), dim=-1, eps=SHORTEST)

    def texts(
        self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]
    ) -> Float[Tensor, "text word common"]:
        """e: words in the common space, of unit length; those that `mask` leaves out mean nothing."""
        vectors, order = self.words(ids), reversed_order(mask)
        ahead, _ = self.forwards(vectors)
        back, _ = self.backwards(along(vectors, order))
        return normalize((ahead + along(back, order)).float() / 2, dim=-1, eps=SHORTEST)

    def scores(
        self,
        regions: Float[Tensor, "image region common"],
        region_mask: Bool[Tensor, "image region"],
        words: Float[Tensor, "text word common"],
        word_mask: Bool[Tensor, "text word"],
    ) -> Float[Tensor, "image text"]:
        """S of every image with every text."""
        config = self.config
        return cross_attention_scores(
            regions,
            words,
            region_mask,
            word_mask,
            direction=config.direction,
            pooling=config.pooling,
            lambda_softmax=config.lambda_softmax,
            lambda_lse=config.lambda_lse,
        )


def reversed_order(mask: Bool[Tensor, "text word"]) -> Int[Tensor, "text word"]:
    """The places of each text's words from the last to the first, its padding left where it is: its own inverse.

    >>> reversed_order(torch.tensor([[True, True, True, False]]))
    tensor([[2, 1, 0, 3]])
    """
    place = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    return torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - place, place)


def along(sequence: Float[Tensor, "text word dim"], order: Int[Tensor, "text word"]) -> Float[Tensor, "text word dim"]:
    """Each text's words in another order."""
    return sequence.gather(1, order[:, :, None].expand_as(sequence))


class SCAN(PairNetwork):
    """Stacked cross attention; learns from pairs alone and scores pairs, so that it can re-rank but not be indexed."""

    Config: ClassVar[type[NetworkConfig]] = SCANConfig
    image_kind: Kind = "regions"
    text_kind: Kind = "tokens"

    def _build(self, sizes: dict[str, int]) -> SCANNetwork:
        return SCANNetwork(self.config, **sizes)

    def _stages(self, network: SCANNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        config = self.config
        network.image_scaling.fit(train.images.features[train.images.mask])
        optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)

        def step(batch: dict[str, Any], loop: Any) -> dict[str, Tensor]:
            regions, words = network.images(*batch["images"]), network.texts(*batch["texts"])
            region_mask, word_mask = batch["images"][1], batch["texts"][1]
            # Each process scores its own images with the texts of all.
            scores = gather(network.scores(regions, region_mask, gather(words), gather(word_mask)))
            loss = hinge_loss(scores, same_image(gather(batch["row"])), config.margin, config.negatives)
            loop.backward(loss)
            loop.update("network")
            return {"loss": loss}

        yield Stage(
            name="SCAN",
            modules={"network": network},
            optimisers={"network": Optimiser(optimiser, drop(config.lower_after), config.clip)},
            data=PairTable.of(train),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=self._measure(network, val),
            patience=config.patience,
        )
