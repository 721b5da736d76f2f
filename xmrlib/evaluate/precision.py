"""Mean average precision over all results, with category relevance (papers of the field: "MAP", "MAP@all").

A result is relevant when it has the query's class; it need not be the query's own partner. For a query with r relevant
items at positions p_1 < ... < p_r of the whole ranked list, average precision is the mean of i / p_i; MAP is its mean
over the queries, once for image queries over all texts (i2t) and once for text queries over all images (t2i).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from xmrlib.evaluate.checks import as_labels, as_matrix, refuse_nan, refuse_not_finite, same_width, text_labels_for
from xmrlib.evaluate.ranks import Ties, check_ties, list_average_precision, numpy_block, torch_block, uses_torch

WithoutRelevant = Literal["error", "exclude"]


@dataclass(frozen=True)
class MeanAveragePrecision:
    """MAP in both directions.

    i2t, t2i        image queries over texts, text queries over images
    ap_i2t, ap_t2i  average precision of each query; NaN where a query was excluded
    ties            the tie rule that gave the numbers
    """

    i2t: float
    t2i: float
    ap_i2t: np.ndarray = field(repr=False)
    ap_t2i: np.ndarray = field(repr=False)
    ties: str = "expected"

    @property
    def avg(self) -> float:
        """The plain mean of both directions, as the papers print it."""
        return (self.i2t + self.t2i) / 2

    def __str__(self) -> str:
        return f"MAP  i2t {self.i2t:.4f}  t2i {self.t2i:.4f}  avg {self.avg:.4f}  (ties: {self.ties})"


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value that an order of the tied items can give."""

    worst: MeanAveragePrecision
    best: MeanAveragePrecision

    def __str__(self) -> str:
        lines = (f"{way} {low:.4f} to {high:.4f}" for way, low, high in self._pairs())
        return "MAP  " + "  ".join(lines) + "  (ties: worst to best)"

    def _pairs(self):
        return ((way, getattr(self.worst, way), getattr(self.best, way)) for way in ("i2t", "t2i", "avg"))


def average_precision(
    scores: Float[Tensor, "query item"] | Float[np.ndarray, "query item"],
    relevant: Bool[Tensor, "query item"] | Bool[np.ndarray, "query item"],
    ties: Ties = "expected",
) -> Float[Tensor, " query"] | tuple[Float[Tensor, " query"], Float[Tensor, " query"]]:
    """Average precision of each query's ranked list, highest score first.

    scores    (query, item) of any floating-point type
    relevant  (query, item) which items are right answers
    ties      "expected", "bounds" (returns worst and best) or "index"

    Raises `ValueError` for a NaN, a query without a relevant item, or shapes that differ. Source: McSherry and Najork,
    ECIR 2008, for the expectation under ties.

    >>> average_precision(torch.tensor([[.9, .8, .1]]), torch.tensor([[True, False, True]])).tolist()
    [0.8333333333333333]
    >>> average_precision(torch.tensor([[.5, .5]]), torch.tensor([[True, False]])).tolist()   # 1 or 1/2
    [0.75]
    """
    check_ties(ties)
    scores = as_matrix(scores, "scores", ("query", "item"))
    relevant = torch.as_tensor(relevant).to(scores.device)
    if relevant.shape != scores.shape or relevant.dtype != torch.bool:
        raise ValueError(
            f"relevant must be boolean with the shape of scores {tuple(scores.shape)}; "
            f"got {relevant.dtype} {tuple(relevant.shape)}."
        )
    counts = relevant.sum(dim=1)
    if not bool(counts.all()):
        query = int((counts == 0).nonzero()[0])
        raise ValueError(
            f"query {query} has no relevant item ({int((counts == 0).sum())} such queries): its average precision is "
            "not defined. Leave such queries out."
        )
    refuse_nan(scores, "scores")
    if uses_torch(scores.device):
        # A stable sort brings each row's relevant items to the front, in their order.
        columns = relevant.byte().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
        found = torch_block(scores.clone(), columns, counts, ties)
    else:
        flags = relevant.numpy()
        found = torch.from_numpy(numpy_block(scores.numpy().copy(), lambda row: np.flatnonzero(flags[row]), ties))
    return (found[:, 0], found[:, 1]) if ties == "bounds" else found[:, 0]


def map_all(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
    ties: Ties = "expected",
    without_relevant: WithoutRelevant = "error",
) -> MeanAveragePrecision | Bounds:
    """MAP over all results in both directions, from a matrix of similarities.

    scores            (image, text), higher is more similar
    labels            (image,) class of each image
    text_labels       (text,) class of each text; by default text i belongs to image i
    ties              "expected" (a random order of tied items, in closed form), "bounds" or "index"
    without_relevant  what to do with a query whose class the other side has not: "error", or "exclude" it from the mean

    Raises `ValueError` for a NaN (with its position), shapes that differ, missing or negative labels, and queries
    without a relevant item.

    >>> scores = torch.tensor([[.9, .1, .8], [.2, .7, .3], [.6, .5, .4]])
    >>> print(map_all(scores, torch.tensor([0, 1, 0])))
    MAP  i2t 0.9444  t2i 1.0000  avg 0.9722  (ties: expected)
    """
    scores = as_matrix(scores, "scores", ("image", "text"))

    def rows(start: int, stop: int) -> Tensor:
        return scores[start:stop].clone(memory_format=torch.contiguous_format)

    def columns(start: int, stop: int) -> Tensor:
        return scores[:, start:stop].T.clone(memory_format=torch.contiguous_format)

    labels = as_labels(labels, scores.shape[0], "labels", "image")
    text_labels = text_labels_for(labels, text_labels, scores.shape[1])
    return both_directions(rows, columns, labels, text_labels, scores.device, ties, without_relevant, "scores")


def map_embeddings(
    images: Float[Tensor, "image dim"] | Float[np.ndarray, "image dim"],
    texts: Float[Tensor, "text dim"] | Float[np.ndarray, "text dim"],
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
    ties: Ties = "expected",
    similarity: Literal["cosine", "inner"] = "cosine",
    without_relevant: WithoutRelevant = "error",
) -> MeanAveragePrecision | Bounds:
    """`map_all` of the embeddings' similarities, a tile at a time: the full matrix is never formed.

    images, texts  (image, dim) and (text, dim) in one space, on the CPU or a GPU
    similarity     "cosine" or "inner" product

    Raises what `map_all` raises, and `ValueError` for embeddings of different widths or that are not finite.
    """
    images, texts = as_embeddings(images, texts, similarity)
    labels = as_labels(labels, len(images), "labels", "image")
    text_labels = text_labels_for(labels, text_labels, len(texts))

    def rows(start: int, stop: int) -> Tensor:
        return images[start:stop] @ texts.T

    def columns(start: int, stop: int) -> Tensor:
        return texts[start:stop] @ images.T

    return both_directions(rows, columns, labels, text_labels, images.device, ties, without_relevant, "scores")


def as_embeddings(
    images: Tensor | np.ndarray, texts: Tensor | np.ndarray, similarity: Literal["cosine", "inner"]
) -> tuple[Tensor, Tensor]:
    """Both sides checked, of one type and device, and of unit length for "cosine" (a zero vector stays zero)."""
    if similarity not in ("cosine", "inner"):
        raise ValueError(f'similarity={similarity!r} is unknown; choose "cosine" or "inner".')
    images = as_matrix(images, "images", ("image", "dim"))
    texts = as_matrix(texts, "texts", ("text", "dim")).to(images.device)
    same_width(images, texts)
    refuse_not_finite(images, "images")
    refuse_not_finite(texts, "texts")
    both = torch.promote_types(images.dtype, texts.dtype)
    images, texts = images.to(both), texts.to(both)
    return (normalize(images), normalize(texts)) if similarity == "cosine" else (images, texts)


def both_directions(
    rows: Callable[[int, int], Tensor],
    columns: Callable[[int, int], Tensor],
    labels: np.ndarray,
    text_labels: np.ndarray,
    device: torch.device,
    ties: Ties,
    without_relevant: WithoutRelevant,
    name: str,
) -> MeanAveragePrecision | Bounds:
    """MAP of both directions from two functions that give tiles of scores: of images a..b, of texts a..b."""
    check_ties(ties)
    if without_relevant not in ("error", "exclude"):
        raise ValueError(f'without_relevant={without_relevant!r} is unknown; choose "error" or "exclude".')
    i2t = one_direction(rows, labels, text_labels, device, ties, without_relevant, name, ("image", "text"))
    t2i = one_direction(columns, text_labels, labels, device, ties, without_relevant, f"{name}.T", ("text", "image"))
    results = [
        MeanAveragePrecision(float(np.nanmean(a)), float(np.nanmean(b)), a, b, rule)
        for a, b, rule in zip(i2t.T, t2i.T, ("worst", "best") if ties == "bounds" else (ties,), strict=True)
    ]
    return Bounds(*results) if ties == "bounds" else results[0]


def one_direction(
    block_of: Callable[[int, int], Tensor],
    query_labels: np.ndarray,
    item_labels: np.ndarray,
    device: torch.device,
    ties: Ties,
    without_relevant: WithoutRelevant,
    name: str,
    nouns: tuple[str, str],
    drop: np.ndarray | None = None,
) -> np.ndarray:
    """Average precision of each query of one direction: (query, 1), or (query, 2) for "bounds"."""
    classes, item_class = np.unique(item_labels, return_inverse=True)
    by_class = np.split(np.argsort(item_class, kind="stable"), np.cumsum(np.bincount(item_class))[:-1])
    place = np.minimum(np.searchsorted(classes, query_labels), len(classes) - 1)
    without = classes[place] != query_labels
    if without.all() or (without.any() and without_relevant == "error"):
        query, (noun, other) = int(np.argmax(without)), nouns
        raise ValueError(
            f"{noun} {query} has class {query_labels[query]}, which no {other} of the gallery has "
            f"({int(without.sum())} of {len(without)} {noun} queries): average precision is not defined. Check the "
            'labels, or leave such queries out of the mean with without_relevant="exclude" where some remain.'
        )
    query_class = np.where(without, -1, place)
    return list_average_precision(
        block_of, len(query_labels), len(item_labels), device, query_class, by_class, ties, name, drop
    )
