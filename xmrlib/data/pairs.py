"""What a data set is here: a table of images and a table of texts, joined.

    images (n)                texts (m >= n)
    id   picture  label       id   fragments               image_of_text
    0    ...      farm        0    "A cow ...", "It is ..." 0
    1    ...      sea         1    "Boats ..."              1

Either side may consist of features only: the methods do not care what a vector was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, Shaped
from PIL import Image
from torch import Tensor

from xmrlib.data.checks import SPLITS, DataError, check_classes, check_everything, check_lengths, check_rows
from xmrlib.data.splits import deal


@dataclass(frozen=True, eq=False)
class Images:
    """The image side: `n` pictures, or features of pictures, or both.

    ids      one name per image
    picture  the picture of row `i` of the whole table, as an RGB `PIL.Image`; None where only features exist
    given    features that came with the data, by view name; the first axis runs over the images
    boxes    ground-truth boxes of row `i` in [0, 1], (regions, 4) as x0 y0 x1 y1; None where unknown
    key      names the whole table in the feature store (data set, version, knobs); None: features are not kept
    rows     which rows of the whole table these are; kept by `select`, so that a cached feature finds its image
    total    how many rows the whole table has
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
        check_rows("image", len(self.ids), self.given)

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

    def __post_init__(self) -> None:
        if self.fragments is not None and len(self.fragments) != len(self.ids):
            raise DataError(
                f"there are {len(self.fragments)} texts for {len(self.ids)} text ids: give one id per text."
            )
        check_rows("text", len(self.ids), self.given)

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
    truth          (n,) what a generator knows of each image, or None; of scenes, `xmrlib.data.scenes_truth.Scene`
    card           the data set's card: source, licence, split rule, known faults
    """

    name: str
    images: Images
    texts: Texts
    # Their lengths are compared in check_lengths, which can say what is wrong; "_" is one axis of any length.
    image_of_text: Int[np.ndarray, "_"]
    labels: Int[np.ndarray, "_"] | None = None
    classes: tuple[str, ...] = ()
    split: Shaped[np.ndarray, "_"] | None = None
    truth: tuple[Any, ...] | None = None
    card: Any = None

    def __post_init__(self) -> None:
        check_lengths(self)

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
    def text_labels(self) -> Int[np.ndarray, " text"] | None:
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
        """The images at `rows` (distinct row numbers, or one True or False per image), in that order, with their texts.

        Raises `DataError` for a row that is not there or named twice.
        """
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise DataError(
                    f"a mask of shape {rows.shape} cannot select from {len(self)} images: give ({len(self)},)."
                )
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        outside = rows[(rows < 0) | (rows >= len(self))]
        if len(outside):
            raise DataError(f"row {outside[0]} is outside 0..{len(self) - 1}, the images of {self.name}.")
        if len(np.unique(rows)) < len(rows):
            raise DataError("select() was given a row twice: an image may stand in a table once. Use np.unique(rows).")
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
        """`"each"`: every fragment is a text of its own. `"joined"`: all fragments of an image are one text.

        Texts come out in the order of their images. Raises `DataError` where features of texts came with the data and
        would have to be cut or merged.

        >>> one = Pairs("toy", Images(("a",)), Texts(("a",), (("a cow", "a red tractor"),)), np.array([0]))
        >>> list(one.with_texts("each").texts)
        ['a cow', 'a red tractor']
        >>> len(one.with_texts("each").with_texts("joined").texts)
        1
        """
        if how not in ("each", "joined"):
            raise DataError(f"texts can be 'each' or 'joined', not {how!r}.")
        texts, order = self.texts, np.argsort(self.image_of_text, kind="stable")
        if texts.fragments is None:
            single = len(order) == len(np.unique(self.image_of_text))
            if how == "each" or single:
                return self
            raise DataError(f"{self.name} has features of its texts only: they cannot be joined. Use them one by one.")
        ids: list[str] = []
        fragments: list[tuple[str, ...]] = []
        owner: list[int] = []
        for row in order:
            image, parts = int(self.image_of_text[row]), texts.fragments[row]
            if how == "each":
                ids += [texts.ids[row]] if len(parts) == 1 else [f"{texts.ids[row]}#{k}" for k in range(len(parts))]
                fragments += [(part,) for part in parts]
                owner += [image] * len(parts)
            elif owner and owner[-1] == image:
                fragments[-1] += parts
            else:
                ids.append(self.images.ids[image])
                fragments.append(parts)
                owner.append(image)
        unchanged = tuple(fragments) == texts.fragments
        if texts.given and not unchanged:
            raise DataError(
                f"{self.name} brings features of its texts ({', '.join(texts.given)}), one row per text: "
                f"with_texts({how!r}) would need other rows. Drop them with dataclasses.replace(texts, given={{}})."
            )
        return replace(
            self,
            texts=texts if unchanged else Texts(tuple(ids), tuple(fragments)),
            image_of_text=self.image_of_text if unchanged else np.array(owner, dtype=np.int64),
        )

    def resplit(
        self,
        val: float | int,
        test: float | int,
        seed: int = 0,
        groups: Sequence[Hashable] | np.ndarray | None = None,
    ) -> Pairs:
        """A new random split: `val` and `test` are shares of the images below 1, or whole numbers of images.

        groups  one key per image; images with the same key (an article, a drawing's family) end in the same split.
                A part may fall short of its size by less than the smallest group left over.

        Where there are classes, each part holds them in the proportions of the whole, as far as groups allow.
        Raises `DataError` where no training image would remain, or where a class ends in one split only.
        """
        sizes = {}
        for part, share in (("test", test), ("val", val)):
            if share < 0 or (share >= 1 and share != int(share)):
                raise DataError(f"{part}={share} is neither a share in [0, 1) nor a whole number of images.")
            sizes[part] = int(share) if share >= 1 else round(share * len(self))
        if sum(sizes.values()) >= len(self):
            raise DataError(
                f"val={sizes['val']} and test={sizes['test']} leave no training image of {len(self)}: take less."
            )
        if groups is not None and len(groups) != len(self):
            raise DataError(f"groups has {len(groups)} keys for {len(self)} images: give one key per image.")
        keys = np.arange(len(self)) if groups is None else groups
        split = deal(keys, self.labels, sizes, seed)
        fresh = replace(self, split=split)
        check_classes(fresh, remedy="Try another seed, larger parts, or leave the class out")
        return fresh

    def check(self) -> Pairs:
        """This very data set, once nothing is found wrong with it: what every loader calls before it hands it over.

        Raises `DataError`, naming row and remedy, for: no rows, an id used twice, an image without text, an empty text,
        a label or split that is not in the list, a class in one split only, features that are not finite.
        """
        check_everything(self)
        return self
