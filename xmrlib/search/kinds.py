"""The kinds of approximate index that faiss is asked for: what each may be told, and when it refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal

Kind = Literal["flat", "hnsw", "ivf", "ivf-pq"]
KNOBS = {"flat": (), "hnsw": ("links", "breadth"), "ivf": ("lists",), "ivf-pq": ("lists", "parts")}

# k-means in faiss warns of fewer vectors per centre than the first number, and draws a sample where there are more than
# the second.
LEAST, MOST = 39, 256
CODES = 256  # centres per part: a code is a byte


def need_faiss() -> ModuleType:
    """faiss, or an `ImportError` that says how to get it."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "an approximate index needs faiss: pip install 'xmrlib[search]'. Index needs nothing and is exact."
        ) from error
    return faiss


def build(kind: str, count: int, dim: int, given: Mapping[str, int | None]) -> Any:
    """An empty faiss index of inner products for `count` vectors; what is not `given` is chosen.

    Raises `ValueError` for an unknown kind, a knob that it has not, and too few vectors to learn from.
    """
    faiss = need_faiss()
    metric = faiss.METRIC_INNER_PRODUCT  # of unit vectors it is the cosine
    if kind not in KNOBS:
        raise ValueError(f"kind={kind!r} is unknown; choose from {', '.join(map(repr, KNOBS))}.")
    for name, value in given.items():
        if value is not None and name not in KNOBS[kind]:
            takes = " and ".join(KNOBS[kind]) or "no knobs"
            raise ValueError(f"{name}={value} means nothing to {kind!r}, which takes {takes}. Leave it out.")
        if value is not None and value < (2 if name == "links" else 1):
            raise ValueError(f"{name}={value} is too few; give at least {2 if name == 'links' else 1}.")
    if kind == "flat":
        return faiss.IndexFlat(dim, metric)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, given["links"] or 32, metric)
        index.hnsw.efConstruction = given["breadth"] or 100
        return index
    lists, centres = _lists(count, given["lists"], kind), faiss.IndexFlat(dim, metric)
    if kind == "ivf":
        index = faiss.IndexIVFFlat(centres, dim, lists, metric)
    else:
        index = faiss.IndexIVFPQ(centres, dim, lists, _parts(count, dim, given["parts"]), 8, metric)
    return index


def learned_from(index: Any) -> int:
    """How many vectors at most the lists and codes of a faiss index are learned from."""
    return MOST * max(index.nlist, CODES)


def knobs_of(kind: str, index: Any) -> dict[str, int]:
    """What a faiss index was built with."""
    read = {
        "links": lambda: index.hnsw.nb_neighbors(1),
        "breadth": lambda: index.hnsw.efConstruction,
        "lists": lambda: index.nlist,
        "parts": lambda: index.pq.M,
    }
    return {name: int(read[name]()) for name in KNOBS[kind]}


def default_effort(kind: str, index: Any) -> int | None:
    """64 candidates on the way through a graph; a sixteenth of the lists; nothing for "flat"."""
    return {"flat": None, "hnsw": 64}[kind] if kind in ("flat", "hnsw") else -(-index.nlist // 16)


def parameters(kind: str, index: Any, effort: int | None, k: int) -> Any:
    """`effort` as faiss wants to be told. Raises `ValueError` where the kind has none, or where it is below 1."""
    if kind == "flat":
        if effort is not None:
            raise ValueError(f"effort={effort} means nothing to 'flat', which looks at everything. Leave it out.")
        return None
    if effort is None or effort < 1:
        raise ValueError(f"effort={effort} must be at least 1.")
    if kind == "hnsw":
        return need_faiss().SearchParametersHNSW(efSearch=max(effort, k))
    return need_faiss().SearchParametersIVF(nprobe=min(effort, index.nlist))


def _lists(count: int, lists: int | None, kind: str) -> int:
    """How many lists, where there are enough vectors to learn their centres from."""
    affordable = count // LEAST
    if lists is None:
        lists = max(1, min(2 ** round(math.log2(math.sqrt(count))), affordable))
    if lists > affordable:
        remedy = f"Choose lists={affordable} or fewer" if affordable else "Choose kind='hnsw'"
        raise ValueError(
            f"{kind!r} with lists={lists} needs {LEAST} x {lists} = {LEAST * lists:,} vectors to learn from; there are "
            f"{count:,}. {remedy}, or search exactly with Index."
        )
    return lists


def _parts(count: int, dim: int, parts: int | None) -> int:
    """How many parts, where they divide the vectors and there are enough of these to learn the codes from."""
    divisors = [part for part in range(1, dim + 1) if dim % part == 0]
    if parts is None:
        parts = max(part for part in divisors if part <= max(1, dim // 8))
    if parts not in divisors:
        near = sorted(sorted(divisors, key=lambda divisor: abs(divisor - parts))[:3])
        raise ValueError(f"parts={parts} does not divide dim={dim}. Choose for instance {', '.join(map(str, near))}.")
    if count < LEAST * CODES:
        raise ValueError(
            f"'ivf-pq' needs {LEAST} x {CODES} = {LEAST * CODES:,} vectors to learn its codes from; there are "
            f"{count:,}. Choose kind='ivf' or 'hnsw', or search exactly with Index."
        )
    return parts
