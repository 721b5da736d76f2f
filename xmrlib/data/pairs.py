"""What a data set is here: a table of images and a table of texts, joined.

    images (n)                texts (m >= n)
    id   picture  label       id   fragments               image_of_text
    0    ...      farm        0    "A cow ...", "It is ..." 0
    1    ...      sea         1    "Boats ..."              1

Either side may consist of features only: the methods do not care what a vector was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

SPLITS = ("train", "val", "test")


class DataError(ValueError):
    """Something is wrong with the data; the message names the row, the value and the remedy."""


@dataclass(frozen=True, eq=False)
class Images:
    """The image side: `n` pictures, or features of pictures, or both.

    ids      one name per image
    picture  the picture of row `i` of the whole table, as an RGB `PIL.Image`; None where only features exist
    given    features that came with the data, by view name; the first axis runs over the images
    boxes    ground-truth boxes of row `i` in [0, 1], (regions, 4) as x0 y0 x1 y1; None where unknown
    key      names the whole table in the feature store (data set, version, knobs); None: features are not kept
    rows     which rows of the whole table these are
    """

    ids: tuple[str, ...]
    picture: Callable[[int], Image.Image] | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)
    boxes: Callable[[int], np.ndarray] | None = None
    key: str | None = None
    rows: np.ndarray | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        if self.rows is None:
            object.__setattr__(self, "rows", np.arange(len(self.ids)))
        if self.total is None:
            object.__setattr__(self, "total", len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Image.Image:
        """The picture of image `index`."""
        if self.picture is None:
            raise DataError(
                f"image {self.ids[index]!r} has no picture: this data set brings features only "
                f"({', '.join(self.given) or 'none'}). Use one of these views."
            )
        return self.picture(int(self.rows[index]))

    def __iter__(self) -> Iterator[Image.Image]:
        return (self[index] for index in range(len(self)))

    def select(self, rows: np.ndarray) -> Images:
        """The images at `rows`, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            given={name: features[rows] for name, features in self.given.items()},
            rows=self.rows[rows],
        )


@dataclass(frozen=True, eq=False)
class Texts:
    """The text side: `m` texts, each of one or more fragments (sentences, captions), or features of texts, or both.

    ids        one name per text
    fragments  the parts of each text; None where only features exist
    given      features that came with the data, by view name; the first axis runs over the texts
    """

    ids: tuple[str, ...]
    fragments: tuple[tuple[str, ...], ...] | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> str:
        """Text `index` as one string."""
        if self.fragments is None:
            raise DataError(
                f"text {self.ids[index]!r} has no words: this data set brings features only "
                f"({', '.join(self.given) or 'none'}). Use one of these views."
            )
        return " ".join(self.fragments[index])

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def select(self, rows: np.ndarray) -> Texts:
        """The texts at `rows`, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            fragments=None if self.fragments is None else tuple(self.fragments[row] for row in rows),
            given={name: features[rows] for name, features in self.given.items()},
        )

    @classmethod
    def of(cls, strings: Sequence[str]) -> Texts:
        """Texts from plain strings, for queries.

        >>> Texts.of(["a cow near a tractor"])[0]
        'a cow near a tractor'
        """
        return cls(ids=tuple(f"query {i}" for i in range(len(strings))), fragments=tuple((s,) for s in strings))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images and texts joined by `image_of_text`, with an optional class per image and a split per image.

    image_of_text  (m,) the row of the image that each text belongs to
    labels         (n,) class index of each image, or None; without labels only Recall@K is defined
    classes        the names of the classes
    split          (n,) "train", "val" or "test" for each image, or None where the data set has no split
    truth          (n,) what a generator knows of each image (scenes), or None
    card           the data set's card: source, licence, split rule, known faults
    """

    name: str
    images: Images
    texts: Texts
    image_of_text: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    split: np.ndarray | None = None
    truth: tuple[Any, ...] | None = None
    card: Any = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.labels is not None else ", no classes"
        parts = ""
        if self.split is not None:
            counts = [f"{part} {int((self.split == part).sum()):,}" for part in SPLITS if (self.split == part).any()]
            parts = f" ({', '.join(counts)})"
        return f"{self.name}: {len(self.images):,} images, {len(self.texts):,} texts{classes}{parts}"

    @property
    def text_labels(self) -> np.ndarray | None:
        """(m,) class index of each text: its image's."""
        return None if self.labels is None else self.labels[self.image_of_text]

    @property
    def train(self) -> Pairs:
        """The training split."""
        return self._part("train")

    @property
    def val(self) -> Pairs:
        """The validation split."""
        return self._part("val")

    @property
    def test(self) -> Pairs:
        """The test split."""
        return self._part("test")

    def _part(self, part: str) -> Pairs:
        if self.split is None or not (self.split == part).any():
            raise DataError(f"{self.name} has no {part!r} split. Make one with .resplit(val=..., test=..., seed=...).")
        return self.select(np.flatnonzero(self.split == part))

    def select(self, rows: np.ndarray | Sequence[int]) -> Pairs:
        """The images at `rows`, in that order, with all their texts."""
        rows = np.asarray(rows, dtype=np.int64)
        place = np.full(len(self.images), -1)
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[self.image_of_text] >= 0)
        kept = kept[np.argsort(place[self.image_of_text[kept]], kind="stable")]
        return replace(
            self,
            images=self.images.select(rows),
            texts=self.texts.select(kept),
            image_of_text=place[self.image_of_text[kept]],
            labels=None if self.labels is None else self.labels[rows],
            split=None if self.split is None else self.split[rows],
            truth=None if self.truth is None else tuple(self.truth[row] for row in rows),
        )

    def sample(self, size: int, seed: int = 0) -> Pairs:
        """`size` images drawn at random without replacement, with their texts, in the order of the table."""
        if not 0 < size <= len(self):
            raise DataError(f"sample size {size} is outside 1..{len(self)}, the number of images in {self.name}.")
        return self.select(np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False)))

    def with_texts(self, how: Literal["each", "joined"]) -> Pairs:
        """`"each"`: every fragment is a text of its own. `"joined"`: all fragments of an image are one text."""
        raise NotImplementedError
