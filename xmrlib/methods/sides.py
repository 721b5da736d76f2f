"""The two sides of a method: from pictures and words to one feature vector each, and back from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from xmrlib.checkpoint import CheckpointError
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.features.sequences import FragmentVectors, TokenIds
from xmrlib.features.views import Regions

# What one item is: a vector, regions of a picture, words in order, or parts (patches, sentences) with a vector each; an
# item that was not taken apart is its own single part.
Kind = Literal["vector", "regions", "tokens", "parts"]
ImageInput = Images | Tensor | Image.Image | Sequence[Image.Image]
TextInput = Texts | Tensor | str | Sequence[str]


@dataclass(frozen=True)
class Views:
    """What a method learns from: the features of both sides, how they are joined, and the classes where known.

    images, texts   (n, d) and (m, e) features; or `Regions`, `TokenIds`, parts; or `Several` of these
    image_of_text   (m,) the row of the image that each text belongs to
    labels          (n,) class index of each image, or None
    classes         how many classes there are
    """

    images: Any
    texts: Any
    image_of_text: Int[Tensor, " text"]
    labels: Int[Tensor, " image"] | None = None
    classes: int = 0

    @property
    def text_labels(self) -> Int[Tensor, " text"] | None:
        """(m,) class index of each text: its image's."""
        return None if self.labels is None else self.labels[self.image_of_text]


def views_of(pairs: Pairs, image_side: ImageSide, text_side: TextSide) -> Views:
    """The features of both sides of `pairs`, as the fitted sides see them."""
    labels = None if pairs.labels is None else torch.as_tensor(np.asarray(pairs.labels), dtype=torch.long)
    classes = 0 if labels is None else max(len(pairs.classes), int(labels.max()) + 1)
    return Views(
        image_side.features(pairs.images),
        text_side.features(pairs.texts),
        torch.as_tensor(np.asarray(pairs.image_of_text), dtype=torch.long),
        labels,
        classes,
    )


def require_vectors(features: Tensor, what: str, dim: int | None, ids: Sequence[str] | None = None) -> Tensor:
    """`features` as float32 (n, d), or an error that says what is wrong with them."""
    if features.ndim != 2:
        raise DataError(
            f"{what} has the shape {tuple(features.shape)}; one vector per item is needed, (n, d). "
            "Choose such a view, or average over the middle axis."
        )
    if dim is not None and features.shape[1] != dim:
        raise DataError(f"{what} has {features.shape[1]} numbers per item; the model was fitted on {dim}.")
    features = features.to(torch.float32)
    broken = ~torch.isfinite(features).all(dim=1)
    if broken.any():
        row = int(broken.nonzero()[0])
        name = f" ({ids[row]!r})" if ids is not None else ""
        raise DataError(
            f"{what} holds NaN or infinity in {int(broken.sum())} of {len(features)} rows, first in row {row}{name}. "
            "Repair or leave out these rows."
        )
    return features


class ImageSide:
    """One view of the image side: given features where the data bring them, else a backbone's features of the picture.

    view      "whole", or the name of given features such as "sift"
    backbone  the network behind "whole"; its fingerprint goes into the checkpoint
    """

    def __init__(self, view: str, backbone: str, kind: Kind = "vector", dim: int | None = None) -> None:
        self.view, self.backbone, self.kind, self.dim = view, backbone, kind, dim
        self.fingerprint: str | None = None

    def fit(self, images: Images) -> ImageSide:
        """Check that the view is there, and remember the backbone that makes it; the first features set the length."""
        if self.view not in images.given:
            if images.picture is None:
                raise DataError(
                    f"these images have no picture and no view {self.view!r}; they bring "
                    f"{', '.join(map(repr, images.given)) or 'nothing'}. Set image_view to one of these."
                )
            self.fingerprint = backbone_fingerprint(self.view, self.backbone)
        return self

    def features(self, images: ImageInput) -> Float[Tensor, "image dim"] | Regions:
        """(n, d) features, or regions, of a table of images, of pictures, or of features that are there already."""
        if isinstance(images, Tensor):
            return self._checked(images, "the image features")
        if isinstance(images, Image.Image):
            images = [images]
        if not isinstance(images, Images):
            pictures = list(images)
            strangers = [type(picture).__name__ for picture in pictures if not isinstance(picture, Image.Image)]
            if strangers:
                raise TypeError(f"images must be Images, a Tensor or PIL pictures, not {strangers[0]}.")
            images = Images(ids=tuple(f"query {i}" for i in range(len(pictures))), picture=pictures.__getitem__)
        if self.view in images.given:
            features = images.given[self.view]
        elif images.picture is None:
            raise DataError(
                f"these images have no picture and no view {self.view!r}; they bring "
                f"{', '.join(map(repr, images.given)) or 'nothing'}. The model was fitted on {self.view!r}."
            )
        elif self.dim is not None and self.fingerprint is None:
            raise DataError(
                f"the model was fitted on given features {self.view!r} and knows no way from a picture to them; "
                "hand it a (n, d) tensor of such features instead of pictures."
            )
        else:
            from xmrlib import features as extraction

            features = extraction.view(images, self.view, backbone=self.backbone)
        return self._checked(features, f"the image view {self.view!r}", images.ids)

    def _checked(self, features: Tensor | Regions, what: str, ids: Sequence[str] | None = None) -> Tensor | Regions:
        if self.kind == "vector":
            if not isinstance(features, Tensor):
                raise DataError(f"{what} is no single tensor; one vector per image is needed: 'whole'.")
            features = require_vectors(features, what, self.dim, ids)
            self.dim = features.shape[1]
            return features
        if isinstance(features, Tensor):
            if self.kind == "parts" and features.ndim == 2:
                features = features[:, None]
            if features.ndim != 3:
                raise DataError(f"{what} has the shape {tuple(features.shape)}; {self.kind} are needed, (n, r, d).")
            boxes = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(*features.shape[:2], 4)
            features = Regions(features.float(), boxes, torch.ones(features.shape[:2], dtype=torch.bool))
        count, regions = features.mask.shape
        flat = features.features.reshape(count, -1)
        require_vectors(flat, what, None if self.dim is None else regions * self.dim, ids)
        empty = (~features.mask.any(dim=1)).nonzero()
        if len(empty):
            row = int(empty[0])
            raise DataError(f"{what}: image {row if ids is None else repr(ids[row])} has no region. Leave it out.")
        self.dim = features.features.shape[2]
        return features

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this side."""
        return {"view": self.view, "backbone": self.backbone, "dim": self.dim, "fingerprint": self.fingerprint}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], kind: Kind = "vector") -> ImageSide:
        """The side that `state` describes, once the backbone installed here proves to be the one it was fitted with."""
        side = cls(state["view"], state["backbone"], kind, state["dim"])
        side.fingerprint = state["fingerprint"]
        if side.fingerprint is not None:
            here = backbone_fingerprint(side.view, side.backbone)
            if here != side.fingerprint:
                raise CheckpointError(
                    f"the model was fitted on backbone {side.backbone!r} with fingerprint {side.fingerprint}; the one "
                    f"installed here has {here}. Install the former weights, or train again."
                )
        return side


class TextSide:
    """One view of the text side: given features where the data bring them, else an encoder of the words.

    view     "tfidf", "bow", "vector", or the name of given features such as "lda"
    options  handed to the encoder, for example {"dim": 200} for tf-idf with a truncated SVD
    """

    def __init__(
        self, view: str, options: Mapping[str, Any] | None = None, kind: Kind = "vector", dim: int | None = None
    ) -> None:
        self.view, self.options, self.kind, self.dim = view, dict(options or {}), kind, dim
        self.encoder: Any = None

    def fit(self, texts: Texts) -> TextSide:
        """Fit the encoder on `texts`, the training texts and no others; given features need none.

        The first features set the length of the vectors.
        """
        if self.view not in texts.given:
            if texts.fragments is None:
                raise DataError(
                    f"these texts have no words and no view {self.view!r}; they bring "
                    f"{', '.join(map(repr, texts.given)) or 'nothing'}. Set text_view to one of these."
                )
            from xmrlib import features as extraction

            self.encoder = extraction.text_encoder(self.view, **self.options).fit(texts)
        return self

    def features(self, texts: TextInput) -> Float[Tensor, "text dim"] | TokenIds | FragmentVectors:
        """(m, e) features, word numbers, or parts, of a table of texts, of strings, or of features already there."""
        if isinstance(texts, Tensor):
            if self.kind == "tokens":
                raise DataError(
                    f"the model reads words; a tensor of shape {tuple(texts.shape)} has none. Give strings."
                )
            return self._parts(texts) if self.kind == "parts" else require_vectors(texts, "the text features", self.dim)
        if isinstance(texts, str):
            texts = [texts]
        if not isinstance(texts, Texts):
            strangers = [type(text).__name__ for text in texts if not isinstance(text, str)]
            if strangers:
                raise TypeError(f"texts must be Texts, a Tensor or strings, not {strangers[0]}.")
            texts = Texts.of(list(texts))
        if self.encoder is None:
            if self.view not in texts.given:
                raise DataError(
                    f"the model was fitted on given features {self.view!r} and knows no way from words to them; "
                    "hand it a (m, e) tensor of such features, or train with text_view='tfidf'."
                )
            features = texts.given[self.view]
        else:
            features = self.encoder.transform(texts)
        if self.kind == "tokens":
            if isinstance(features, Tensor):
                raise DataError(f"the text view {self.view!r} has no words in order; set text_view='tokens'.")
            self.dim = len(self.encoder.words_)
            return features
        if self.kind == "parts":
            return self._parts(features, texts.ids)
        if not isinstance(features, Tensor):
            raise DataError(f"the text view {self.view!r} is no single tensor; one vector a text is needed: 'tfidf'.")
        features = require_vectors(features, f"the text view {self.view!r}", self.dim, texts.ids)
        self.dim = features.shape[1]
        return features

    def _parts(self, features: Any, ids: Sequence[str] | None = None) -> FragmentVectors:
        """Parts of texts as given, (m, p, d) without a mask, or (m, d): each text its own single part."""
        if isinstance(features, Tensor):
            features = features[:, None] if features.ndim == 2 else features
            if features.ndim != 3:
                shape = tuple(features.shape)
                raise DataError(f"the text view {self.view!r} has the shape {shape}; (m, p, d) is needed.")
            features = FragmentVectors(features.float(), torch.ones(features.shape[:2], dtype=torch.bool))
        if not isinstance(features, FragmentVectors):
            raise DataError(f"the text view {self.view!r} has no vectors of parts; set it to 'fragments' or 'tfidf'.")
        parts, dim = features.features.shape[1:]
        flat = features.features.reshape(len(features), -1)
        require_vectors(flat, f"the text view {self.view!r}", None if self.dim is None else parts * self.dim, ids)
        self.dim = dim
        return features

    def knows(self, text: str) -> bool:
        """Whether any word of `text` stood in the training texts; a query without one could only be guessed at."""
        found = self.features(text)
        if isinstance(found, TokenIds):
            return bool((found.ids > 1).any())
        return bool((found.features if isinstance(found, FragmentVectors) else found).any())

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint must keep of this side: plain facts, and tensors."""
        facts = {"view": self.view, "options": self.options, "dim": self.dim, "encoder": None}
        if self.encoder is None:
            return facts, {}
        facts["encoder"], tensors = self.encoder.state()
        return facts, tensors

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], kind: Kind, tensors: dict[str, Tensor]) -> TextSide:
        """The side that `facts` and `tensors` describe."""
        side = cls(facts["view"], facts["options"], kind, facts["dim"])
        if facts["encoder"] is not None:
            from xmrlib import features as extraction

            side.encoder = extraction.encoder_from_state(facts["encoder"], tensors)
        return side


def backbone_fingerprint(view: str, backbone: str) -> str:
    """A short name for the exact weights, scaling and input size behind a view of `backbone`."""
    from xmrlib import features as extraction

    return extraction.fingerprint(backbone, view)
