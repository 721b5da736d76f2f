"""Recall@K and median rank: is the query's own partner among the first K results?

An image may have several texts (five captions in Flickr and COCO). An image query is answered by any of its own texts,
the best placed one counts; a text query is answered by its image alone.

Nothing is sorted. The place of a query's first right answer is one more than the number of items that score higher than
the best right one, so counting is enough, and one tile of scores serves both directions. Where items tie with the best
right answer, its place is random: Recall@K is then the probability that it comes among the first K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xmrlib.evaluate.checks import as_image_of_text, as_matrix, refuse_nan
from xmrlib.evaluate.precision import as_embeddings
from xmrlib.evaluate.ranks import Ties, check_ties, threads, uses_torch

# A tile stays within a core's cache on the CPU; on a GPU it is large enough to fill the device.
TILE = {"cpu": 1 << 21, "cuda": 1 << 26}


@dataclass(frozen=True)
class Places:
    """Where each query's first right answer stands.

    higher  (query,) items that score higher than the best right answer
    tied    (query,) items that score the same, right answers included
    own     (query,) right answers among the tied
    """

    higher: np.ndarray
    tied: np.ndarray
    own: np.ndarray

    def within(self, k: int) -> np.ndarray:
        """(query,) probability that a right answer is among the first `k`, in [0, 1]; 0 or 1 where nothing ties.

        >>> Places(np.array([0, 3]), np.array([4, 1]), np.array([1, 1])).within(2).tolist()
        [0.5, 0.0]
        """
        open_places = np.maximum(k - self.higher, 0)
        missed = np.ones(len(self.higher))
        for drawn in range(min(k, int(open_places.max(initial=0)))):
            # All `drawn` items before were wrong ones of the tied group: is the next one wrong too?
            wrong, left = self.tied - self.own - drawn, self.tied - drawn
            chance = np.where(left > 0, np.maximum(wrong, 0) / np.maximum(left, 1), 0.0)
            missed = np.where(drawn < open_places, missed * chance, missed)
        return np.where(open_places > 0, 1 - missed, 0.0)

    def expected(self) -> np.ndarray:
        """(query,) expected place of the first right answer, from 1."""
        return self.higher + (self.tied + 1) / (self.own + 1)

    def settled(self, rule: Literal["worst", "best"]) -> Places:
        """The places after every tie is settled against ("worst") or for ("best") the right answers."""
        one = np.ones_like(self.own)
        return Places(self.higher + (self.tied - self.own if rule == "worst" else 0), one, one)


@dataclass(frozen=True)
class Recall:
    """Recall@K in [0, 1] and median rank, both directions.

    i2t, t2i                          recall by K
    median_rank_i2t, median_rank_t2i  median place of the first right answer, from 1
    places_i2t, places_t2i            each query's place (for intervals); None for a mean over folds
    """

    i2t: dict[int, float]
    t2i: dict[int, float]
    median_rank_i2t: float
    median_rank_t2i: float
    ties: str = "expected"
    places_i2t: Places | None = field(default=None, repr=False)
    places_t2i: Places | None = field(default=None, repr=False)

    def __str__(self) -> str:
        lines = []
        for way, median in (("i2t", self.median_rank_i2t), ("t2i", self.median_rank_t2i)):
            recalls = "  ".join(f"R@{k} {value:.3f}" for k, value in getattr(self, way).items())
            lines.append(f"{way}  {recalls}  median rank {median:g}")
        return "\n".join(lines)


@dataclass(frozen=True)
class RecallBounds:
    """The least and the greatest recall that an order of the tied items can give."""

    worst: Recall
    best: Recall

    def __str__(self) -> str:
        return f"worst\n{self.worst}\nbest\n{self.best}"


def recall(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"],
    ks: Sequence[int] = (1, 5, 10),
    ties: Ties = "expected",
) -> Recall | RecallBounds:
    """Recall@K and median rank in both directions, from a matrix of similarities.

    scores         (image, text), higher is more similar
    image_of_text  (text,) the row of each text's image; an image may have several texts
    ties           "expected" (a random order), "bounds" (worst and best) or "index" (the lower index first)

    Raises `ValueError` for a NaN (with its position), an image without a text, and rows out of range.

    >>> scores = torch.tensor([[.9, .2, .1, .8], [.3, .4, .7, .6]])
    >>> print(recall(scores, np.array([0, 0, 1, 1]), ks=(1, 2)))
    i2t  R@1 1.000  R@2 1.000  median rank 1
    t2i  R@1 0.500  R@2 1.000  median rank 1.5
    """
    scores = as_matrix(scores, "scores", ("image", "text"))
    rows = as_image_of_text(image_of_text, *scores.shape)
    order = np.argsort(rows, kind="stable")
    in_order = bool((order == np.arange(len(order))).all())
    index = None if in_order else torch.from_numpy(order).to(scores.device)

    def tile(images: slice, texts: slice) -> Tensor:
        return scores[images, texts] if index is None else scores[images][:, index[texts]]

    return _recall(tile, rows, order, len(scores), scores.device, ks, ties)


def recall_embeddings(
    images: Float[Tensor, "image dim"] | Float[np.ndarray, "image dim"],
    texts: Float[Tensor, "text dim"] | Float[np.ndarray, "text dim"],
    image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"],
    ks: Sequence[int] = (1, 5, 10),
    ties: Ties = "expected",
    similarity: Literal["cosine", "inner"] = "cosine",
) -> Recall | RecallBounds:
    """`recall` of the embeddings' similarities, a tile at a time: the full matrix is never formed.

    images, texts  (image, dim) and (text, dim) in one space, on the CPU or a GPU

    Raises what `recall` raises, and `ValueError` for embeddings of different widths or that are not finite.
    """
    images, texts = as_embeddings(images, texts, similarity)
    rows = as_image_of_text(image_of_text, len(images), len(texts))
    order = np.argsort(rows, kind="stable")
    if (order != np.arange(len(order))).any():
        texts = texts[torch.from_numpy(order).to(texts.device)]

    def tile(image_rows: slice, text_rows: slice) -> Tensor:
        return images[image_rows] @ texts[text_rows].T

    return _recall(tile, rows, order, len(images), images.device, ks, ties)


def recall_folds(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"],
    folds: int = 5,
    ks: Sequence[int] = (1, 5, 10),
    ties: Literal["expected", "index"] = "expected",
) -> Recall:
    """The mean of `recall` over `folds` runs of consecutive images, each a gallery of its own.

    COCO's "1K" numbers are this with five folds of its 5,000 test images (Karpathy and Fei-Fei 2015). A smaller gallery
    is easier: never compare them with numbers over the whole.
    """
    scores = as_matrix(scores, "scores", ("image", "text"))
    rows = as_image_of_text(image_of_text, *scores.shape)
    if not 1 <= folds <= len(scores):
        raise ValueError(f"folds={folds} is outside 1..{len(scores)}, the number of images.")
    if ties == "bounds":
        raise ValueError('ties="bounds" has no mean over folds; use "expected" or "index".')
    parts = []
    for images in np.array_split(np.arange(len(scores)), folds):
        texts = np.flatnonzero((rows >= images[0]) & (rows <= images[-1]))
        part = scores[images[0] : images[-1] + 1][:, torch.from_numpy(texts).to(scores.device)]
        parts.append(recall(part, rows[texts] - images[0], ks, ties))
    return Recall(
        i2t={k: float(np.mean([part.i2t[k] for part in parts])) for k in ks},
        t2i={k: float(np.mean([part.t2i[k] for part in parts])) for k in ks},
        median_rank_i2t=float(np.mean([part.median_rank_i2t for part in parts])),
        median_rank_t2i=float(np.mean([part.median_rank_t2i for part in parts])),
        ties=ties,
    )


def _recall(
    tile: Callable[[slice, slice], Tensor],
    rows: np.ndarray,
    order: np.ndarray,
    images: int,
    device: torch.device,
    ks: Sequence[int],
    ties: Ties,
) -> Recall | RecallBounds:
    """Recall from tiles of scores, whose texts come in `order`, sorted by their image."""
    check_ties(ties)
    ks = tuple(ks)
    if not ks or min(ks) < 1:
        raise ValueError(f"ks={ks}: name at least one K, each at least 1.")
    places = _Counter(tile, rows[order], order, images, device, index_order=ties == "index").count()
    if ties == "bounds":
        return RecallBounds(
            *(_measures([part.settled(rule) for part in places], ks, rule) for rule in ("worst", "best"))
        )
    return _measures(places, ks, ties)


def _measures(places: Sequence[Places], ks: Iterable[int], ties: str) -> Recall:
    i2t, t2i = places
    return Recall(
        i2t={k: float(i2t.within(k).mean()) for k in ks},
        t2i={k: float(t2i.within(k).mean()) for k in ks},
        median_rank_i2t=float(np.median(i2t.expected())),
        median_rank_t2i=float(np.median(t2i.expected())),
        ties=ties,
        places_i2t=i2t,
        places_t2i=t2i,
    )


class _Counter:
    """Counts, for every query, the items above and beside its best right answer, tile by tile.

    The tiles on the diagonal hold each query's own pairs. They come first and give the scores to beat; so an own score
    and the scores it is compared with come from matrix products of the same shape, and equal items tie exactly.
    """

    def __init__(self, tile, image_of_text, order, images, device, index_order):
        self.tile, self.order, self.index_order = tile, order, index_order
        self.image_of_text = image_of_text
        self.texts_from = np.searchsorted(image_of_text, np.arange(images + 1))
        texts = len(image_of_text)
        size = TILE.get(device.type, TILE["cpu"])
        step = int(min(max(1, np.sqrt(size * images / texts)), images))
        edges = [*range(0, images, step), images]
        self.image_slices = [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
        self.text_slices = [slice(*self.texts_from[[part.start, part.stop]]) for part in self.image_slices]
        self.on_torch = uses_torch(device)
        # Row 0: images, row 1: texts. The scores to beat, and what is counted.
        self.best = [None, None]
        self.higher, self.atleast, self.earlier = ([np.zeros(n, np.int64) for n in (images, texts)] for _ in range(3))
        self.own = [np.ones(n, np.int64) for n in (images, texts)]
        self.own_index = [np.zeros(images, np.int64), image_of_text]

    def count(self) -> tuple[Places, Places]:
        with ThreadPoolExecutor(threads()) as self.pool:
            for images, texts in zip(self.image_slices, self.text_slices, strict=True):
                block = self._tile(images, texts)
                self._note_own(block, images, texts)
                self._add(block, images, texts)
            for row, images in enumerate(self.image_slices):
                for column, texts in enumerate(self.text_slices):
                    if row != column:
                        self._add(self._tile(images, texts), images, texts)
        places = []
        for side in (0, 1):
            tied = self.atleast[side] - self.higher[side]
            one = np.ones_like(tied)
            if self.index_order:
                places.append(Places(self.higher[side] + self.earlier[side], one, one))
            else:
                places.append(Places(self.higher[side], tied, self.own[side]))
        return tuple(places)

    def _tile(self, images: slice, texts: slice) -> Tensor:
        block = self.tile(images, texts)
        if bool(torch.isnan(block.amax())):
            wrong = torch.isnan(block).nonzero()[0].tolist()
            text = int(self.order[texts.start + wrong[1]])
            refuse_nan(block[wrong[0], wrong[1]].reshape(1, 1), "scores", images.start + wrong[0], text)
        return block

    def _note_own(self, block: Tensor, images: slice, texts: slice) -> None:
        own_image = self.image_of_text[texts] - images.start
        own = block[torch.from_numpy(own_image).to(block.device), torch.arange(block.shape[1], device=block.device)]
        own = own.cpu().numpy()
        starts = self.texts_from[images] - texts.start
        best = np.maximum.reduceat(own, starts)
        is_best = own == best[own_image]
        self.own[0][images] = np.add.reduceat(is_best.astype(np.int64), starts)
        # The first of the best right answers, where the order of the index counts.
        candidates = np.where(is_best, self.order[texts], len(self.order))
        self.own_index[0][images] = np.minimum.reduceat(candidates, starts)
        for side, part, values in ((0, images, best), (1, texts, own)):
            if self.best[side] is None:
                self.best[side] = np.zeros(len(self.higher[side]), values.dtype)
            self.best[side][part] = values

    def _add(self, block: Tensor, images: slice, texts: slice) -> None:
        best_image, best_text = self.best[0][images], self.best[1][texts]
        if self.on_torch:
            device = block.device
            image, text = torch.from_numpy(best_image).to(device)[:, None], torch.from_numpy(best_text).to(device)
            sums = torch.stack([(block > image).sum(1), (block >= image).sum(1)]).cpu().numpy()
            columns = torch.stack([(block > text).sum(0), (block >= text).sum(0)]).cpu().numpy()
        else:
            sums, columns = self._count_numpy(block.numpy(), best_image[:, None], best_text)
        for side, part, found in ((0, images, sums), (1, texts, columns)):
            self.higher[side][part] += found[0]
            self.atleast[side][part] += found[1]
        if self.index_order:
            values = block.cpu().numpy()
            earlier = self.order[texts] < self.own_index[0][images, None]
            self.earlier[0][images] += ((values == best_image[:, None]) & earlier).sum(1)
            earlier = np.arange(images.start, images.stop)[:, None] < self.own_index[1][texts]
            self.earlier[1][texts] += ((values == best_text) & earlier).sum(0)

    def _count_numpy(self, block: np.ndarray, image: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(2, images) and (2, texts): how many scores are above, and at least, the score to beat."""
        sums = np.empty((2, block.shape[0]), np.int64)

        def work(start: int) -> np.ndarray:
            # 128 rows at a time: their sum fits a byte, and bytes are added 32 or 64 at once.
            rows = slice(start, start + 128)
            part, columns = block[rows], np.empty((2, block.shape[1]), np.uint8)
            for which, compare in enumerate((np.greater, np.greater_equal)):
                sums[which, rows] = [np.count_nonzero(row) for row in compare(part, image[rows])]
                columns[which] = compare(part, text).view(np.uint8).sum(axis=0, dtype=np.uint8)
            return columns

        starts = range(0, block.shape[0], 128)
        parts = list(self.pool.map(work, starts))
        return sums, np.sum(parts, axis=0, dtype=np.int64)
