"""Precision along the ranked list: the precision-recall curve, and precision among the first K.

Where items tie, the number of right answers among the first K is its expectation over a random order of the tied items:
inside a tied group it grows in a straight line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from xmrlib.evaluate.checks import as_labels, as_matrix, refuse_nan, text_labels_for

Direction = Literal["i2t", "t2i"]


@dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve, the mean over all queries of one direction.

    recall, precision  (point,) the curve, recall increasing
    direction          "i2t" or "t2i"
    interpolated       whether a point holds the greatest precision at that recall or beyond; else points are ranks
    """

    recall: np.ndarray
    precision: np.ndarray
    direction: str
    interpolated: bool


def precision_recall(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
    direction: Direction = "i2t",
    levels: int | None = 11,
) -> PrecisionRecall:
    """The precision-recall curve, averaged over the queries.

    scores, labels, text_labels  as for `map_all`
    direction                    "i2t": image queries over texts; "t2i": the other way
    levels                       number of recall levels from 0 to 1, at which precision is interpolated: the greatest
                                 precision at that recall or a higher one (11 is the classical choice of TREC);
                                 None: no interpolation, one point for each rank, mean recall against mean precision

    Raises `ValueError` as `map_all` does.

    >>> curve = precision_recall(np.array([[.9, .8, .1]]), np.array([0]), np.array([0, 1, 0]), levels=3)
    >>> curve.recall.tolist(), curve.precision.round(3).tolist()
    ([0.0, 0.5, 1.0], [1.0, 1.0, 0.667])
    """
    if levels is not None and levels < 2:
        raise ValueError(f"levels={levels}: a curve needs at least 2 recall levels, or None for one point a rank.")
    precision, reached, queries = 0.0, 0.0, 0
    grid = None if levels is None else np.linspace(0, 1, levels)
    for hits, relevant in _expected_hits(scores, labels, text_labels, direction):
        along, recall = hits / np.arange(1, len(hits) + 1), hits / relevant
        if grid is not None:
            greatest = np.maximum.accumulate(along[::-1])[::-1]
            # The sums of expected hits carry rounding errors; a level counts as reached within 1e-9 of it.
            along, recall = greatest[np.minimum(recall.searchsorted(grid - 1e-9), len(hits) - 1)], grid
        precision, reached, queries = precision + along, reached + recall, queries + 1
    return PrecisionRecall(reached / queries, precision / queries, direction, interpolated=grid is not None)


def precision_at(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
    scopes: Sequence[int] = (1, 10, 50, 100),
    direction: Direction = "i2t",
) -> dict[int, float]:
    """Mean precision among the first K results, for each K of `scopes` ("precision at scope").

    Raises `ValueError` as `map_all` does, and for a K beyond the gallery.

    >>> precision_at(np.array([[.9, .8, .1]]), np.array([0]), np.array([0, 1, 0]), scopes=(1, 2))
    {1: 1.0, 2: 0.5}
    """
    curve = precision_recall(scores, labels, text_labels, direction, levels=None)
    outside = [k for k in scopes if not 1 <= k <= len(curve.precision)]
    if outside:
        raise ValueError(f"scope {outside[0]} is outside 1..{len(curve.precision)}, the size of the gallery.")
    return {k: float(curve.precision[k - 1]) for k in scopes}


def _expected_hits(scores, labels, text_labels, direction: str) -> Iterator[tuple[np.ndarray, int]]:
    """For each query, the expected number of right answers among the first 1, 2, ... items, and the number of all."""
    scores = as_matrix(scores, "scores", ("image", "text"))
    refuse_nan(scores, "scores")
    queries = as_labels(labels, scores.shape[0], "labels", "image")
    items = text_labels_for(queries, text_labels, scores.shape[1])
    if direction == "t2i":
        scores, queries, items = scores.T, items, queries
    elif direction != "i2t":
        raise ValueError(f'direction={direction!r} is unknown; choose "i2t" or "t2i".')
    for query, (row, label) in enumerate(zip(scores.cpu().numpy(), queries, strict=True)):
        is_relevant = items == label
        if not is_relevant.any():
            raise ValueError(
                f"query {query} of {direction} has class {label}, which no item of the gallery has: its "
                "precision-recall curve is not defined. Leave such queries out."
            )
        order = np.argsort(-row)
        ordered, is_relevant = row[order], is_relevant[order].astype(float)
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        sizes = np.diff(np.append(starts, len(row)))
        share = np.add.reduceat(is_relevant, starts) / sizes
        yield np.cumsum(np.repeat(share, sizes)), int(is_relevant.sum())
