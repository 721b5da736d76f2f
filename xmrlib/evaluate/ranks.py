"""Average precision of ranked lists, exact: the one kernel under every MAP of the library.

A query's average precision needs one thing only: how many items of the gallery score at least as high as each relevant
item. So a row of scores is sorted by value alone, the relevant scores by themselves, and the second list is looked up
in the first. No order of indices is ever made; where nothing ties, that is all.

Where items tie, the ranked list is not defined by the scores. Three rules:

    "expected"  the expectation of average precision over a random order of the tied items, in closed form
                (McSherry and Najork, Computing information retrieval performance measures efficiently in the
                presence of tied scores, ECIR 2008, section 3)
    "bounds"    the worst and the best order: irrelevant items first, relevant items first
    "index"     the lower index first, as a stable sort gives it; only for repeating what others did
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from xmrlib.evaluate.checks import refuse_nan

Ties = Literal["expected", "bounds", "index"]
TIES = ("expected", "bounds", "index")

# Scores held at a time. The C allocator keeps blocks below 32 MB, so a CPU tile of 16 MB is not paged in again
# and again; a GPU sorts with about 30 bytes a score beside it, 2 GB for this size.
TILE = {"cpu": 1 << 22, "cuda": 1 << 26}


def tile_rows(columns: int, device: torch.device) -> int:
    """How many rows of `columns` scores are worked on at a time."""
    return max(1, TILE.get(device.type, TILE["cpu"]) // columns)


def threads() -> int:
    """How many threads share the work on a CPU: as many as torch was given."""
    return max(1, torch.get_num_threads())


def check_ties(ties: str) -> None:
    """Raise `ValueError` for an unknown tie rule."""
    if ties not in TIES:
        raise ValueError(f"ties={ties!r} is unknown; choose one of {', '.join(TIES)}.")


@lru_cache(maxsize=8)
def harmonic(size: int) -> np.ndarray:
    """The harmonic numbers H_0 .. H_size."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size + 1))])


def _tied_precision(ties, before, ahead, relevant, size, place, table):
    """What one relevant item of a group of tied items adds to the sum of precisions; NumPy and torch alike.

    before    items that score higher than the group         ahead  relevant ones among them
    relevant  relevant items in the group                    size   all items in the group
    place     1 .. relevant, the item's number among the relevant ones of its group
    """
    if ties == "best":
        return (ahead + place) / (before + place)
    if ties == "worst":
        return (ahead + place) / (before + size - relevant + place)
    # Position i of the group is relevant with probability relevant / size; then (i - 1)(relevant - 1) / (size - 1)
    # relevant ones are expected among the i - 1 before it. Summed over i, with h = sum of 1 / (before + i):
    h = table[before + size] - table[before]
    others = size - 1
    return ((ahead + 1) * h + (relevant - 1) / (others + (others == 0)) * (size - (before + 1) * h)) / size


def row_average_precision(
    row: np.ndarray, columns: np.ndarray, ties: Ties, drop: int | None = None
) -> tuple[float, ...]:
    """Average precision of one ranked list, on the CPU.

    row      (g,) scores of the gallery; sorted in place
    columns  (r,) which items are relevant, r >= 1
    drop     an item that is not part of the list (the query itself)

    Returns one number, or two (worst, best) for `ties="bounds"`; NaN where a score is NaN.
    """
    if drop is not None:
        # Below every other score, an item changes no precision of a relevant one.
        row[drop] = -np.inf
        columns = columns[columns != drop]
    if ties == "index":
        order = np.argsort(-row, kind="stable")
        if np.isnan(row[order[-1]]):
            return (np.nan,)
        is_relevant = np.zeros(len(row), bool)
        is_relevant[columns] = True
        positions = np.flatnonzero(is_relevant[order]) + 1
        return (float(np.mean(np.arange(1, len(columns) + 1) / positions)),)

    relevant = np.sort(row[columns])
    row.sort()
    count, size = len(relevant), len(row)
    if np.isnan(row[-1]):
        return (np.nan,) * (2 if ties == "bounds" else 1)
    lower = row.searchsorted(relevant)
    precision = np.arange(count, 0, -1) / (size - lower)
    tied = row.take(lower + 1, mode="clip") == relevant
    tied[-1] &= lower[-1] + 1 < size  # there is no next item after the last
    if not tied.any():
        mean = float(precision.mean())
        return (mean, mean) if ties == "bounds" else (mean,)

    at = np.flatnonzero(tied)
    score = relevant[at]
    lower = lower[at]
    not_higher = row.searchsorted(score, "right")
    first, last = relevant.searchsorted(score), relevant.searchsorted(score, "right")
    means = []
    for rule in ("worst", "best") if ties == "bounds" else ("expected",):
        precision[at] = _tied_precision(
            rule,
            before=size - not_higher,
            ahead=count - last,
            relevant=last - first,
            size=not_higher - lower,
            place=last - at,
            table=harmonic(size),
        )
        means.append(float(precision.mean()))
    return tuple(means)


def numpy_block(
    block: np.ndarray,
    columns: Callable[[int], np.ndarray],
    ties: Ties,
    drop: np.ndarray | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> np.ndarray:
    """Average precision of every row of `block`, which is overwritten: (rows, 1), or (rows, 2) for "bounds"."""
    answers = np.empty((len(block), 2 if ties == "bounds" else 1))

    def work(rows: range) -> None:
        for row in rows:
            gone = None if drop is None else int(drop[row])
            answers[row] = row_average_precision(block[row], columns(row), ties, gone)

    if pool is None:
        work(range(len(block)))
    else:
        # NumPy lets go of the interpreter while it sorts, so threads share the rows.
        edges = np.linspace(0, len(block), 4 * threads() + 1).astype(int)
        list(pool.map(work, (range(a, b) for a, b in zip(edges, edges[1:], strict=False))))
    return answers


def torch_block(block: Tensor, columns: Tensor, counts: Tensor, ties: Ties, drop: Tensor | None = None) -> Tensor:
    """The same for all rows at once, on any device; `block` is overwritten.

    columns  (rows, most) relevant items of each row, the first counts[row] of them valid
    drop     (rows,) an item of each row that is not part of its list and not among its `columns`
    """
    size = block.shape[1]
    if drop is not None:
        block.scatter_(1, drop[:, None], -torch.inf)
    number = torch.arange(columns.shape[1], device=block.device)
    valid = number < counts[:, None]
    relevant = torch.where(valid, block.gather(1, columns), torch.inf)
    if ties == "index":
        order = block.argsort(dim=1, descending=True, stable=True)
        position = torch.empty_like(order).scatter_(1, order, torch.arange(size, device=block.device).expand_as(order))
        position = torch.where(valid, position.gather(1, columns), size).sort(dim=1).values
        precisions = [(number + 1) / (position + 1).double()]
    else:
        relevant, ordered = relevant.sort(dim=1).values, block.sort(dim=1).values
        lower, not_higher = (torch.searchsorted(ordered, relevant, right=right) for right in (False, True))
        first, last = (torch.searchsorted(relevant, relevant, right=right) for right in (False, True))
        last = torch.minimum(last, counts[:, None])  # an infinite score ties with the padding
        precisions = [
            _tied_precision(
                rule,
                before=size - not_higher,
                ahead=(counts[:, None] - last).double(),
                relevant=(last - first).double(),
                size=not_higher - lower,
                place=(last - number).double(),
                table=torch.from_numpy(harmonic(size)).to(block.device),
            )
            for rule in (("worst", "best") if ties == "bounds" else ("expected",))
        ]
    means = [torch.where(valid, precision, 0).sum(dim=1) / counts for precision in precisions]
    return torch.stack(means, dim=1)


def uses_torch(device: torch.device) -> bool:
    """Whether the torch kernel runs on `device`. On a CPU, NumPy sorts five times as fast: it uses its vector units."""
    return device.type != "cpu"


def list_average_precision(
    block_of: Callable[[int, int], Tensor],
    queries: int,
    gallery: int,
    device: torch.device,
    query_class: np.ndarray,
    items_of_class: list[np.ndarray],
    ties: Ties,
    name: str,
    drop: np.ndarray | None = None,
) -> np.ndarray:
    """Average precision of many queries, a tile of scores at a time.

    block_of        scores of queries a to b over the gallery, (b - a, gallery), the callee's to overwrite
    query_class     (queries,) class of each query; -1 for a query that is left out (its answer is NaN)
    items_of_class  the gallery's items of each class
    drop            (queries,) item that is not part of the query's list

    Returns (queries, 1), or (queries, 2) for "bounds". Raises `ValueError` where a score is NaN.
    """
    step = tile_rows(gallery, device)
    answers = np.full((queries, 2 if ties == "bounds" else 1), np.nan)
    on_torch = uses_torch(device)
    if on_torch:
        most = max(len(items) for items in items_of_class)
        table = np.zeros((len(items_of_class), most), np.int64)
        for row, items in zip(table, items_of_class, strict=True):
            row[: len(items)] = items
        table, sizes = torch.from_numpy(table).to(device), np.array([len(items) for items in items_of_class])

    with ThreadPoolExecutor(threads()) as pool:
        for start in range(0, queries, step):
            stop = min(start + step, queries)
            kept = np.flatnonzero(query_class[start:stop] >= 0)
            if not len(kept):
                continue
            block = block_of(start, stop)
            classes, dropped = query_class[start:stop][kept], None if drop is None else drop[start:stop][kept]
            if on_torch:
                if len(kept) < stop - start:
                    block = block[torch.from_numpy(kept).to(device)]
                if bool(torch.isnan(block).any()):
                    refuse_nan(block_of(start, stop), name, rows_from=start)
                columns, counts = (
                    table[torch.from_numpy(classes).to(device)],
                    torch.from_numpy(sizes[classes]).to(device),
                )
                gone = None
                if dropped is not None:
                    gone = torch.from_numpy(dropped).to(device)
                    columns, counts = _without(columns, counts, gone)
                answers[start + kept] = torch_block(block, columns, counts, ties, gone).cpu().numpy()
            else:
                block = block.numpy()
                if len(kept) < len(block):
                    block = block[kept]
                found = numpy_block(block, lambda row: items_of_class[classes[row]], ties, dropped, pool)  # noqa: B023
                if np.isnan(found).any():
                    refuse_nan(block_of(start, stop), name, rows_from=start)
                answers[start + kept] = found
    return answers


def _without(columns: Tensor, counts: Tensor, gone: Tensor) -> tuple[Tensor, Tensor]:
    """`columns` with each row's item `gone` moved behind the valid ones, and the counts without it."""
    number = torch.arange(columns.shape[1], device=columns.device)
    wrong = (columns == gone[:, None]) & (number < counts[:, None])
    last = columns.gather(1, (counts - 1).clamp(min=0)[:, None])
    return torch.where(wrong, last, columns), counts - wrong.sum(dim=1)
