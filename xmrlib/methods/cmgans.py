"""CM-GANs: one space for both modalities, made by two autoencoders that play against four discriminators.

Peng and Qi, "CM-GANs: cross-modal generative adversarial networks for common representation learning", ACM
Transactions on Multimedia Computing, Communications, and Applications 2019, arXiv:1710.05106. Each side, image or text,
is encoded and decoded, h -> s -> r; the encoders end in one layer with the same weights, and a classifier reads the
class of a pair in s. Discriminators within a modality tell originals from reconstructions; those between the modalities
are shown an original and say whether a common representation was made from it:

    L_GAN1 = E[log D_I(h_i) + log(1 - D_I(r_i))] + E[log D_T(h_t) + log(1 - D_T(r_t))]
    L_GAN2 = E[log D_CI(s_i, h_i) + 1/2 log(1 - D_CI(s_t, h_i)) + 1/2 log(1 - D_CI(s^_i, h_i))]
           + E[log D_CT(s_t, h_t) + 1/2 log(1 - D_CT(s_i, h_t)) + 1/2 log(1 - D_CT(s^_t, h_t))]

    discriminators: max L_GAN1 + L_GAN2;  generators: against both, each together with the cross-entropy of the classes

s^ is the common representation of an item of another class. In training the image generator plays against D_I and D_CT,
and the text generator against D_T and D_CI. Retrieval compares s by its cosine.
Which of this is the paper's and which the code's: `DEVIATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError, Pairs
from xmrlib.features.sequences import Tokens
from xmrlib.methods.cmgans_config import CMGANsConfig
from xmrlib.methods.cmgans_network import SIDES, Cells, CMGANsNetwork, Pictures
from xmrlib.methods.cmgans_training import UNKNOWN, GameTable, game_stage
from xmrlib.methods.mcsm_training import starting_vectors
from xmrlib.methods.network import EmbeddingNetwork, InputScaling, NetworkConfig, parts_of, through
from xmrlib.methods.pictures import PictureMethod, before_training
from xmrlib.methods.sides import ImageInput, ImageSide, Kind, TextInput, TextSide, Views
from xmrlib.stages import Run, Stage

# What the released evaluation does with s, which `common` returns: images against texts, each dimension is brought to
# mean 0 and variance 1 over the test set, on the side of the queries only; against everything, on both sides, and the
# query stays in the list.
AUTHORS_PROTOCOL = {"standardise": "test-queries", "keep_self": True}

DEVIATIONS = (
    # what, paper, released code, here
    (
        "features of images",
        "VGG-19, part of the generator",
        "fc7 of VGG-19, fixed",
        '`encoder`: fixed; "conv", a convolution over the cells of a fixed network; with `backbone_rate`, all trained',
    ),
    ("features of texts", "a word-CNN, part of the generator", "those of a word-CNN, fixed", "`encoder`: either"),
    (
        "layer shared by the encoders",
        "one for both sides",
        "two that begin equal: the move to the GPU separates them",
        "paper: one; released: two that begin equal",
    ),
    ("statistics of its batch norm", "not known", "of a side's own", "of a side's own"),
    (
        "wrong item between the modalities",
        "a wrong s beside the right h",
        "a wrong s beside the h it was made from, as right pairs are",
        "`mismatch`: as in each",
    ),
    ("reconstruction", "not known", "by the discriminators", "`reconstruction`: |r - h|^2 as well"),
    ("generators", "min log(1 - D)", "max log D", "`game`: max log D by default"),
    (
        "batches",
        "not known",
        "a random pair of a random class in each place",
        "paper: pairs, shuffled; released: the same",
    ),
    ("moves on a batch", "k and 1", "1 of each discriminator, then 5 of each generator", "as in the code"),
    ("optimiser of what is shared", "not known", "none", "one of its own, that moves after each generator"),
    ("classifier of s", "not known", "one a side", "`classifier`: one a side, or one for both"),
    ("output of the decoders", "not known", "linear, though fc7 is never below 0", "linear"),
    ("discriminators within a modality", "not known", "a single linear layer", "a single linear layer"),
    ("steadying of the game", "none", "none", "`label_smoothing`, `spectral_norm`, `r1`; none by default"),
    ("z-score of s", "not known", "of the queries, by the test set", "`standardise`: both sides, by the training set"),
    ("choice of the epoch", "not known", "the last of 2,000", "best on the validation split, where there is one"),
)


class CMGANs(PictureMethod, EmbeddingNetwork):
    """Cross-modal generative adversarial networks: both sides in one space, which the classes shape too."""

    Config: ClassVar[type[NetworkConfig]] = CMGANsConfig

    def __init__(self, config: CMGANsConfig | None = None) -> None:
        super().__init__(config)
        self._word_vectors: Tensor | None = None

    @property
    def image_kind(self) -> Kind | dict[str, Kind]:
        """A vector, the cells or regions of a picture, or the picture for a backbone that is trained."""
        return self.config.image_kind

    @property
    def text_kind(self) -> Kind:
        """A vector, or the words."""
        return "vector" if self.config.encoder == "features" else "tokens"

    @property
    def needs_labels(self) -> bool:
        """Whether there must be a class for every image."""
        return bool(self.config.uses_of_labels)

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(self, train: Pairs, val: Pairs | None = None, run: Run | None = None) -> Self:
        """Learn from `train`; where there is a `val`, keep the epoch that does best on it.

        Raises as `NetworkMethod.fit` does, and ValueError where gradients are to add up over batches: here several
        moves are made on each.
        """
        if run is not None and run.accumulate > 1:
            raise ValueError(
                f"accumulate={run.accumulate} adds up the gradients of several batches, and {self.name} moves several "
                "times on each. Set accumulate=1, and a larger batch."
            )
        return super().fit(train, val, run)

    def _fitted_sides(self, train: Pairs, val: Pairs | None) -> tuple[ImageSide, TextSide]:
        config = self.config
        sides = super()._fitted_sides(train, val)
        if self._differ_in(train.labels) == "class" and len(set(train.labels.tolist())) < 2:
            raise DataError(
                f"all {len(train)} images of {train.name} carry class {train.labels[0]}, so that no pair is wrong; "
                f'{self.name} needs at least 2 classes. Set differ_in="image" to tell images apart.'
            )
        encoder = sides[1].encoder
        self._word_vectors = None
        if isinstance(encoder, Tokens):
            self._word_vectors = starting_vectors(
                config.word_vectors, train.texts, encoder.words_, config.word_dim, encoder.min_count
            )
        return sides

    def _differ_in(self, labels: Any) -> str:
        """What a wrong pair must differ in."""
        how = self.config.differ_in
        return how if how != "auto" else "image" if labels is None or self.config.labelled else "class"

    def _known(self, train: Views) -> Tensor | None:
        """The class of each text as far as `labelled` lets it be known, `UNKNOWN` elsewhere."""
        few = self.config.labelled
        if few is None or train.labels is None:
            return train.text_labels
        if few > len(train.labels):
            raise DataError(f"labelled={few}, and the training split has {len(train.labels)} images.")
        told = torch.as_tensor(np.random.default_rng(self.config.seed).choice(len(train.labels), few, replace=False))
        shown = torch.full_like(train.labels, UNKNOWN)
        shown[told] = train.labels[told]
        return shown[train.image_of_text]

    def _build(self, sizes: dict[str, int]) -> CMGANsNetwork:
        return CMGANsNetwork(self.config, **sizes)

    def _stages(self, network: CMGANsNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        """The game, and at its end the moments of s on the training pairs."""
        config, features = self.config, {side: network.generators[side].features for side in SIDES}
        if self._word_vectors is not None:
            features["text"].words.start(self._word_vectors)
        below, images = features["image"], train.images
        if isinstance(below, Pictures):
            below.scaling.fit(before_training(network, below.trunk, images.views[0]))
        else:
            (below.scaling if isinstance(below, Cells) else below).fit(before_training(network, None, images))
        if isinstance(features["text"], InputScaling):
            features["text"].fit(train.texts)
        group = train.text_labels if self._differ_in(train.labels) == "class" else train.image_of_text
        sides = parts_of(train.images), parts_of(train.texts)
        table = GameTable(*sides, train.image_of_text, group, self._known(train))
        retrieve = self._measure(network, val)

        def measure() -> float:
            self._take_moments(network, train)
            return retrieve()

        yield game_stage(config, network, table, None if val is None else measure)
        self._take_moments(network, train)

    def _take_moments(self, network: CMGANsNetwork, train: Views) -> None:
        """Take the mean and the deviation of s from the training pairs, on each side by itself."""
        if not self.config.standardise:
            return
        for side, items in zip(SIDES, (train.images, train.texts), strict=True):
            network.scalings[side].fit(through(network, partial(network.common, side), items))

    # -- looking inside -----------------------------------------------------------------------------------------------

    def common(self, items: Pairs | ImageInput | TextInput, side: str) -> Float[Tensor, "item common"]:
        """(n, d) the common representations of one side, "image" or "text", as its encoder gives them."""
        return self._through("common", items, side)

    def reconstruct(self, items: Pairs | ImageInput | TextInput, side: str) -> Float[Tensor, "item feature"]:
        """(n, p) the reconstructions of one side, "image" or "text", at the level of `features`."""
        return self._through("reconstruct", items, side)

    def features(self, items: Pairs | ImageInput | TextInput, side: str) -> Float[Tensor, "item feature"]:
        """(n, p) h of one side, "image" or "text": scaled, or out of its convolution."""
        return self._through("features", items, side)

    def classes(self, items: Pairs | ImageInput | TextInput, side: str) -> Float[Tensor, "item class_"]:
        """(n, c) the probability of each class, read in s by the classifier of one side, "image" or "text"."""
        self._require_fitted()
        if not self.config.semantic:
            raise ValueError(f"this {self.name} was trained with semantic=0 and knows no classes. Train it with more.")
        return self._through("classes", items, side)

    def _through(self, part: str, items: Pairs | ImageInput | TextInput, side: str) -> Tensor:
        self._require_fitted()
        if side not in SIDES:
            raise ValueError(f'side={side!r} is neither "image" nor "text".')
        if isinstance(items, Pairs):
            items = items.images if side == "image" else items.texts
        found = (self.image_side if side == "image" else self.text_side).features(items)
        return through(self.network, partial(getattr(self.network, part), side), found)
