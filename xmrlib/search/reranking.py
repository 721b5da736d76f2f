"""Two stages: an index finds candidates, and a model that looks at both sides of a pair puts them in order.

A method that scores pairs has nothing that could be indexed. It is asked only about the first hundred of a method that
has: what the first stage missed is lost, so its Recall@100 is the ceiling of the second.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xmrlib.search.vectors import by_score, check_k
from xmrlib.settings import progress


def rerank(
    model: Any,
    images: Any,
    texts: Any,
    rows: Int[Tensor, "query candidate"],
    k: int = 10,
    find: Literal["images", "texts"] = "images",
    batch: int = 1,
) -> tuple[Float[Tensor, "query k"], Int[Tensor, "query k"]]:
    """The `k` best of each query's candidates by `model.similarity`: scores, highest first, and rows of the gallery.

    model   whatever scores pairs, as every method here does: `similarity(images, texts)` gives (image, text)
    images  a table of images, a list, or a tensor of features: the gallery, or the queries where texts are found
    texts   the same for texts
    rows    (query, candidate) rows of the gallery, as a search returns them, in any order
    k       how many to return; at most the number of candidates
    find    "images": texts are the queries. "texts": images are
    batch   queries scored in one call. All of them meet all their candidates there, and what was not asked for is
            thrown away: more than 1 pays where a call costs more than its pairs, or where all are candidates

    All scores are the model's: those of the first stage are on another scale and are never mixed in, so that what is no
    candidate cannot be returned. Equal scores put the lower row first. With the whole gallery as candidates the answer
    is that of scoring every pair. No more than `batch` x `candidate` items are selected at a time.

    Raises `ValueError` for k above the number of candidates, rows outside of the gallery, a line of rows too many or
    too few, and scores of another shape or not finite.

        _, rows = index.search(ccl.embed_texts(texts), k=100)
        scores, rows = rerank(cran, images, texts, rows, k=10)

    >>> class Nearness:
    ...     def similarity(self, images, texts):
    ...         return -(images[:, None] - texts[None]).abs()
    >>> images, texts = torch.tensor([0., 10., 20., 30.]), torch.tensor([19.])
    >>> rerank(Nearness(), images, texts, torch.tensor([[0, 1, 2]]), k=2)
    (tensor([[-1., -9.]]), tensor([[2, 1]]))
    """
    check_k(k)
    if find not in ("images", "texts"):
        raise ValueError(f'find={find!r} is unknown; choose "images" (for texts) or "texts" (for images).')
    if batch < 1:
        raise ValueError(f"batch={batch}: score at least 1 query in a call.")
    gallery, queries = (images, texts) if find == "images" else (texts, images)
    queries = queries if hasattr(queries, "__len__") and not isinstance(queries, str) else [queries]
    _check_rows(rows, len(queries), len(gallery), find)
    candidates = rows.shape[1]
    if k > candidates and candidates < len(gallery):
        raise ValueError(
            f"k={k} asks for more than the {candidates} candidates, and only candidates have a score. Search for at "
            f"least {k} in the first stage."
        )
    found = []
    for block in progress(list(torch.arange(len(queries)).split(batch)), label="second stage"):
        wanted, place = rows[block.to(rows.device)].unique(return_inverse=True)
        sides = {find: _select(gallery, wanted), _other(find): _select(queries, block)}
        with torch.no_grad():
            scores = torch.as_tensor(model.similarity(sides["images"], sides["texts"]))
        scores = _checked(scores, len(sides["images"]), len(sides["texts"]), model).to(rows.device)
        by_query = scores.T if find == "images" else scores
        best, order = by_score(by_query.gather(1, place), wanted[place])
        found.append((best[:, :k], order[:, :k]))
    return torch.cat([scores for scores, _ in found]), torch.cat([rows for _, rows in found])


def _other(find: str) -> str:
    return "texts" if find == "images" else "images"


def _select(table: Any, rows: Tensor) -> Any:
    """Some rows of a table, a tensor, an array or a list."""
    if isinstance(table, Tensor):
        return table[rows.to(table.device)]
    if isinstance(table, (list, tuple)):
        return [table[row] for row in rows.tolist()]
    rows = rows.cpu().numpy()
    return table.select(rows) if hasattr(table, "select") else table[rows]


def _check_rows(rows: Tensor, queries: int, gallery: int, find: str) -> None:
    if rows.ndim != 2 or not rows.numel():
        raise ValueError(f"rows must be (query, candidate) with at least one of each; got {tuple(rows.shape)}.")
    if len(rows) != queries:
        raise ValueError(f"there are {len(rows)} lines of rows for {queries} {_other(find)}; give one line each.")
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= gallery:
        raise ValueError(
            f"rows run from {low} to {high}, the {find} from 0 to {gallery - 1}. Hand over the {find} that were "
            "indexed, in their order."
        )


def _checked(scores: Tensor, images: int, texts: int, model: Any) -> Tensor:
    name = type(model).__name__
    if scores.shape != (images, texts):
        raise ValueError(
            f"{name}.similarity returned the shape {tuple(scores.shape)} for {images} images and {texts} texts; it "
            "must be (image, text)."
        )
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(f"{name}.similarity returned a NaN or an infinity, which cannot be ranked. Repair the model.")
    return scores
