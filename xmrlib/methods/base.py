"""What every method has in common: configure, fit, compare, save, load.

model = CCA(CCAConfig(ridge=0.1)).fit(data.train, val=data.val)
model.similarity(data.test)                        # (n_images, n_texts), higher is better
model.save("runs/cca");  CCA.load("runs/cca")      # one safetensors file, the configuration as JSON inside
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from xmrlib import checkpoint
from xmrlib.checkpoint import CheckpointError
from xmrlib.data.pairs import DataError, Pairs
from xmrlib.methods.several import (
    Kinds,
    new_image_side,
    new_text_side,
    restored_image_side,
    restored_text_side,
)
from xmrlib.methods.sides import ImageInput, ImageSide, TextInput, TextSide, Views, views_of

Measure = Literal["auto", "map", "recall"]
FORMAT = 1  # of the checkpoint; a reader of another number refuses


@dataclasses.dataclass(frozen=True)
class MethodConfig:
    """What every method must be told: which view of each side it looks at.

    image_view    "whole" (a backbone's features of the picture) or the name of given features
    text_view     "tfidf", "bow", "vector" or the name of given features
    backbone      the network behind "whole"
    text_options  handed to the text encoder, for example {"dim": 200}
    """

    image_view: str = "whole"
    text_view: str = "tfidf"
    backbone: str = "lite0"
    text_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def small(cls) -> Self:
        """The sizes of the book on a laptop."""
        return cls()


class Method:
    """A way to compare images with texts. A subclass sets `Config` and writes `_learn` and `similarity`.

    config   a frozen dataclass, or None for its defaults
    tensors  what `fit` learned
    facts    what `fit` chose (plain JSON values), for instance a ridge picked on the validation split
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    needs_labels: ClassVar[bool] = False
    image_kind: Kinds = "vector"
    text_kind: Kinds = "vector"

    def __init__(self, config: MethodConfig | None = None) -> None:
        config = self.Config() if config is None else config
        if type(config) is not self.Config:
            raise TypeError(f"{self.name} takes a {self.Config.__name__}, not a {type(config).__name__}.")
        self.config = config
        self.image_side: ImageSide | None = None
        self.text_side: TextSide | None = None
        self.tensors: dict[str, Tensor] = {}
        self.facts: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The method's name, as tables print it."""
        return type(self).__name__

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `load` has run."""
        return bool(self.tensors)

    def __repr__(self) -> str:
        return f"{self.name}({self.config}{', fitted' if self.fitted else ''})"

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(self, train: Pairs, val: Pairs | None = None) -> Self:
        """Learn from `train`; `val` serves only to choose what the configuration leaves to "validation".

        Everything fitted (vocabulary, idf, scaling, projections) sees the training split alone.
        Raises DataError for a missing view, NaN, missing labels, a single class, or too few pairs.
        """
        sides = self._fitted_sides(train, val)
        learned_from, validation = (None if pairs is None else views_of(pairs, *sides) for pairs in (train, val))
        # The old state goes only when the new one is complete: a failed fit leaves the model as it was.
        tensors, facts = self._learn(learned_from, validation)
        (self.image_side, self.text_side), self.tensors, self.facts = sides, tensors, facts
        return self

    def _fitted_sides(self, train: Pairs, val: Pairs | None) -> tuple[ImageSide, TextSide]:
        """Both sides, fitted on `train`, once it is clear that there is something to learn from."""
        if len(train) < 2 or len(train.texts) < 2:
            raise DataError(f"{self.name} needs at least 2 pairs to learn from; {train.name} has {len(train)}.")
        if self.needs_labels:
            self._require_classes(train, val)
        config = self.config
        image_side = new_image_side(config, self.image_kind).fit(train.images)
        text_side = new_text_side(config, self.text_kind).fit(train.texts)
        return image_side, text_side

    def _learn(self, train: Views, val: Views | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        raise NotImplementedError

    def _require_classes(self, train: Pairs, val: Pairs | None) -> None:
        if train.labels is None:
            raise DataError(f"{self.name} learns from classes; {train.name} has no labels. Use CCA, which needs none.")
        if len(set(train.labels.tolist())) < 2:
            raise DataError(
                f"{self.name} needs at least 2 classes; all {len(train)} images of {train.name} carry class "
                f"{train.labels[0]}."
            )
        unseen = [] if val is None or val.labels is None else sorted({*val.labels.tolist()} - {*train.labels.tolist()})
        if unseen and len(val.classes) == len(train.classes):
            raise DataError(
                f"class {train.classes[unseen[0]] if train.classes else unseen[0]!r} is in the validation split only: "
                f"{self.name} cannot learn it from {train.name}. Split again, or leave its images out."
            )

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError(f"this {self.name} has learned nothing yet. Call fit(train, val) or {self.name}.load.")

    # -- comparing --------------------------------------------------------------------------------------------------

    def similarity(self, images: Pairs | ImageInput, texts: TextInput | None = None) -> Float[Tensor, "image text"]:
        """(n, m) similarity of every image to every text, higher is better; a `Pairs` stands for both its sides."""
        raise NotImplementedError

    @staticmethod
    def _sides(images: Pairs | ImageInput, texts: TextInput | None) -> tuple[ImageInput, TextInput]:
        if isinstance(images, Pairs):
            return images.images, images.texts if texts is None else texts
        if texts is None:
            raise TypeError("similarity needs texts beside the images, or one Pairs that holds both.")
        return images, texts

    # -- keeping ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as one file, all or nothing; a folder gets `model.safetensors`."""
        self._require_fitted()
        path = checkpoint_path(path)
        text_facts, text_tensors = self.text_side.state()
        about = {
            "format": FORMAT,
            "method": self.name,
            "config": dataclasses.asdict(self.config),
            "facts": self.facts,
            "image_side": self.image_side.state(),
            "text_side": text_facts,
        }
        tensors = {f"model.{name}": tensor for name, tensor in self.tensors.items()}
        tensors |= {f"text.{name}": tensor for name, tensor in text_tensors.items()}
        return checkpoint.write(path, tensors, about)

    @classmethod
    def load(cls, path: str | Path, config: MethodConfig | None = None) -> Self:
        """The model saved at `path`. With `config`, refuse a checkpoint that was trained with another one.

        Raises CheckpointError where the file holds another method, configuration, format or backbone.
        """
        about, tensors = read_checkpoint(path)
        if about["method"] != cls.__name__:
            raise CheckpointError(
                f"{path} holds a {about['method']}, not a {cls.__name__}. Load it with xmrlib.methods.load, "
                f"or with {about['method']}.load."
            )
        known = {field.name for field in dataclasses.fields(cls.Config)}
        strange = sorted(set(about["config"]) ^ known)
        if strange:
            raise CheckpointError(
                f"{path} was written by another version: {cls.Config.__name__} differs in {', '.join(strange)}. "
                "Train again."
            )
        saved = cls.Config(**about["config"])
        if config is not None and config != saved:
            differs = [name for name in known if getattr(config, name) != getattr(saved, name)]
            listed = ", ".join(f"{name} ({getattr(saved, name)!r})" for name in sorted(differs))
            raise CheckpointError(f"{path} was trained with another {listed}. Leave `config` out, or train again.")
        model = cls(saved)
        model.facts = about["facts"]
        model.image_side = restored_image_side(about["image_side"], model.image_kind)
        text_tensors = checkpoint.with_prefix(tensors, "text.")
        model.text_side = restored_text_side(about["text_side"], model.text_kind, text_tensors)
        model.tensors = checkpoint.with_prefix(tensors, "model.")
        return model


class EmbeddingMethod(Method):
    """A method with a common space: each side is embedded on its own, similarity is the cosine. It can be indexed."""

    def _embed_images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        raise NotImplementedError

    def _embed_texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        raise NotImplementedError

    def embed_images(self, images: ImageInput) -> Float[Tensor, "image common"]:
        """(n, d) vectors of unit length: of a table of images, of pictures, or of their features."""
        self._require_fitted()
        return normalize(self._embed_images(self.image_side.features(images)), dim=1)

    def embed_texts(self, texts: TextInput) -> Float[Tensor, "text common"]:
        """(m, d) vectors of unit length: of a table of texts, of plain strings, or of their features."""
        self._require_fitted()
        return normalize(self._embed_texts(self.text_side.features(texts)), dim=1)

    def similarity(self, images: Pairs | ImageInput, texts: TextInput | None = None) -> Float[Tensor, "image text"]:
        """(n, m) cosine of every image with every text; a `Pairs` stands for both its sides."""
        self._require_fitted()
        images, texts = self._sides(images, texts)
        return self.embed_images(images) @ self.embed_texts(texts).T


def standardiser(features: Float[Tensor, "item dim"]) -> tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]:
    """The mean and the standard deviation of each column, in float64; a constant column gets the scale 1."""
    features = features.double()
    mean, scale = features.mean(dim=0), features.std(dim=0, correction=0)
    constant = scale <= 1e-7 * features.abs().amax(dim=0)
    return mean, torch.where(constant, 1.0, scale)


def validation_score(
    images: Float[Tensor, "image dim"], texts: Float[Tensor, "text dim"], views: Views, measure: Measure = "auto"
) -> float:
    """How well embeddings retrieve on the validation split, the mean of both directions.

    measure  "map": over all, by class. "recall": the mean of Recall@1, @5 and @10, which moves less by chance than
             Recall@1 alone. "auto": "map" where there are classes
    """
    return retrieval_score(normalize(images, dim=1) @ normalize(texts, dim=1).T, views, measure)


def retrieval_score(scores: Float[Tensor, "image text"], views: Views, measure: Measure = "auto") -> float:
    """How well scores retrieve, the mean of both directions; `measure` as in `validation_score`."""
    from xmrlib import evaluate

    if measure == "map" and views.labels is None:
        raise DataError('MAP needs classes, and the validation split has no labels. Choose by "recall".')
    if measure != "recall" and views.labels is not None:
        return evaluate.map_all(scores, views.labels.numpy(), text_labels=views.text_labels.numpy()).avg
    recall = evaluate.recall(scores, views.image_of_text.numpy())
    return sum(recall.i2t[k] + recall.t2i[k] for k in (1, 5, 10)) / 6


def require_validation(val: Views | None, names: list[str], method: str) -> None:
    """Raise where something is to be chosen on a validation split that is not there."""
    if names and val is None:
        raise DataError(
            f"{method} is to choose {', '.join(names)} on a validation split, and there is none. "
            "Call fit(train, val=...), or set a number."
        )


def checkpoint_path(path: str | Path) -> Path:
    """The file behind `path`: itself where it ends in .safetensors, else `model.safetensors` inside it."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / "model.safetensors"


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a checkpoint says of itself, and its tensors; nothing in it is executed."""
    return checkpoint.read(checkpoint_path(path), FORMAT)
