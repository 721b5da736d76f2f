"""Approximate search by faiss: most of the k nearest, for a fraction of the products. `pip install xmrlib[search]`.

    flat    every product, as `Index` does
    hnsw    walks a graph of neighbours (Malkov and Yashunin, 2018); vectors are kept whole
    ivf     looks into the lists whose centres are nearest; vectors are kept whole
    ivf-pq  the same, vectors are kept as codes of a few bytes (Jégou, Douze and Schmid, 2011)

What it misses depends on the vectors and on no formula: measure it, with `recall_against_exact`, on your own queries.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xmrlib.search.exact import Index
from xmrlib.search.files import whole
from xmrlib.search.kinds import Kind, build, default_effort, knobs_of, learned_from, need_faiss, parameters
from xmrlib.search.vectors import Similarity, by_score, check_k, check_similarity, checked, unit

FORMAT = "xmrlib-approximate-index-1"
PORTION = 1 << 16


class ApproximateIndex:
    """Vectors that can be searched for most of the nearest to a query; the face of `Index`, faiss behind it.

    embeddings  (item, dim) what is searched; faiss keeps a copy on the CPU
    kind        "flat", "hnsw", "ivf" or "ivf-pq"
    model       fingerprint of what made them; queries that name another one are refused
    similarity  "cosine" or "inner" product
    links       hnsw: neighbours of each vector in the graph, by default 32
    breadth     hnsw: candidates looked at while a vector is linked, by default 100
    lists       ivf, ivf-pq: how many lists, by default about the square root of the number of items
    parts       ivf-pq: bytes a vector is kept in; divides dim, by default about an eighth of it
    effort      hnsw: candidates kept on the way through the graph, by default 64; ivf, ivf-pq: lists looked into, by
                default a sixteenth. May be set at any time, or given with a search

    Raises `ImportError` without faiss, and `ValueError` for an unknown kind, a knob that the kind has not, too few
    vectors to learn the lists from, parts that do not divide dim, and whatever `Index` refuses.

    >>> index = ApproximateIndex(torch.eye(4), kind="flat")
    >>> index.search(torch.tensor([[0., 0., 2., 1.]]), k=2)[1]
    tensor([[2, 3]])
    """

    def __init__(
        self,
        embeddings: Float[Tensor, "item dim"] | Float[np.ndarray, "item dim"],
        kind: Kind = "hnsw",
        model: str = "",
        similarity: Similarity = "cosine",
        *,
        links: int | None = None,
        breadth: int | None = None,
        lists: int | None = None,
        parts: int | None = None,
        effort: int | None = None,
    ):
        need_faiss()
        check_similarity(similarity)
        self.kind, self.model, self.similarity = kind, model, similarity
        vectors = checked(embeddings, "embeddings")
        knobs = {"links": links, "breadth": breadth, "lists": lists, "parts": parts}
        self._index = build(kind, *vectors.shape, knobs)
        self.effort = default_effort(kind, self._index) if effort is None else effort
        self._parameters(self.effort, 1)  # refuses before an hour of work, not after it
        self._train(vectors)
        self._append(vectors)

    @property
    def dim(self) -> int:
        """The number of dimensions of each vector."""
        return self._index.d

    @property
    def knobs(self) -> dict[str, int]:
        """What the index was built with: `links` and `breadth`, `lists`, `parts`, as far as its kind has them."""
        return knobs_of(self.kind, self._index)

    def __len__(self) -> int:
        return self._index.ntotal

    def __repr__(self) -> str:
        knobs = "".join(f", {name} {value}" for name, value in self.knobs.items())
        made_by = f", made by {self.model}" if self.model else ""
        return f"ApproximateIndex({len(self):,} x {self.dim}, {self.kind}{knobs}, {self.similarity}{made_by})"

    def add(self, embeddings: Float[Tensor, "item dim"] | Float[np.ndarray, "item dim"], model: str = "") -> None:
        """Append more vectors of the same model; their rows follow those already there.

        The lists of "ivf" and the codes of "ivf-pq" stay as they were learned: build the index again where what is
        added is much, or of another sort. Raises `ValueError` as `Index.add` does.
        """
        self._append(checked(embeddings, "embeddings", self.dim, model, self.model))

    def search(
        self,
        queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"],
        k: int = 10,
        model: str = "",
        effort: int | None = None,
    ) -> tuple[Float[Tensor, "query k"], Int[Tensor, "query k"]]:
        """Most of the `k` best items of each query: their scores, highest first, and their rows.

        queries  (query, dim) embedded by the model that made the index
        k        how many to return; where the index holds fewer items, all of them
        model    fingerprint of what made the queries, compared with the index's where both are given
        effort   for this search alone: more of it finds more and takes longer

        A query that came by fewer than `k` items is answered by looking at all. The scores of "ivf-pq" are those of its
        codes, not of the vectors. Raises `ValueError` as `Index.search` does.
        """
        check_k(k)
        asked = self._ready(checked(queries, "queries", self.dim, model, self.model))
        k, effort = min(k, len(self)), self.effort if effort is None else effort
        scores, rows = _search(self._index, asked, k, self._parameters(effort, k))
        short = (rows < 0).any(axis=1)
        if short.any():
            scores[short], rows[short] = self._look_at_all(asked[short], k)
        # faiss leaves the order of equal scores open.
        return by_score(torch.from_numpy(scores), torch.from_numpy(rows))

    def save(self, path: str | os.PathLike) -> Path:
        """Write one file, which `faiss.read_index` reads too, with the facts as JSON behind; nothing half-written.

        Raises `OSError` where there is no room; what stood at `path` before then still stands there.
        """
        about = {"format": FORMAT, "kind": self.kind, "model": self.model, "similarity": self.similarity}
        about |= {"items": len(self), "dim": self.dim, "effort": self.effort}
        with whole(path) as draft:
            try:
                need_faiss().write_index(self._index, str(draft))
            except RuntimeError as error:
                raise OSError(f"{path} could not be written: {_reason(error)}. Is there room on the disk?") from error
            with open(draft, "ab") as file:
                trailer = json.dumps(about | {"bytes": file.tell()}).encode()
                file.write(trailer + len(trailer).to_bytes(8, "little"))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike, model: str = "") -> ApproximateIndex:
        """The index in the file at `path`.

        model  fingerprint that the index must have; empty accepts any

        Raises `ImportError` without faiss, `ValueError` for a file that is no approximate index or was made by another
        model, `FileNotFoundError` where none is.
        """
        path, faiss = Path(path), need_faiss()
        if not path.is_file():
            raise FileNotFoundError(f"there is no index at {path}; make one with ApproximateIndex(...).save(path).")
        about = _facts(path)
        if model and about["model"] != model:
            raise ValueError(f"{path} was made by {about['model']!r}, not by {model!r}. Build the index again.")
        try:
            found = faiss.read_index(str(path))
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read as an index ({_reason(error)}). Build it again.") from error
        index = cls.__new__(cls)
        index._index, index.kind, index.model = found, about["kind"], about["model"]
        index.similarity, index.effort = about["similarity"], about["effort"]
        return index

    def _ready(self, vectors: Tensor) -> np.ndarray:
        return (unit(vectors) if self.similarity == "cosine" else vectors).cpu().numpy()

    def _append(self, vectors: Tensor) -> None:
        # In portions, so that vectors of unit length are not all there a second time.
        for portion in vectors.split(PORTION):
            self._index.add(self._ready(portion))

    def _train(self, vectors: Tensor) -> None:
        if self._index.is_trained:
            return
        most = learned_from(self._index)
        chosen = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))[:most].sort().values
        self._index.train(self._ready(vectors[chosen.to(vectors.device)]))

    def _parameters(self, effort: int | None, k: int) -> Any:
        return parameters(self.kind, self._index, effort, k)

    def _look_at_all(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.kind == "hnsw":
            return _search(self._index.storage, queries, k)
        return _search(self._index, queries, k, self._parameters(self._index.nlist, k))


def recall_against_exact(
    approximate: ApproximateIndex,
    exact: Index,
    queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"],
    k: int = 10,
    effort: int | None = None,
) -> float:
    """The share of the `k` best items that an approximate index finds, over `queries`: 1.0 where it misses none.

    approximate, exact  two indexes of the same vectors
    queries             (query, dim) such as will be asked; a few hundred fix the share within about two per cent
    effort              of the approximate index, in place of its own

    An item that ties with the k-th best is as good as it. Raises `ValueError` where the indexes differ in size.

    >>> vectors = torch.randn(500, 16)
    >>> exact, lists = Index(vectors), ApproximateIndex(vectors, "ivf", lists=8)
    >>> recall_against_exact(lists, exact, torch.randn(50, 16), effort=8)
    1.0
    >>> recall_against_exact(lists, exact, torch.randn(50, 16), effort=1) < 1
    True
    """
    if (len(approximate), approximate.dim) != (len(exact), exact.dim):
        raise ValueError(f"{approximate!r} and {exact!r} hold different vectors. Build both from the same.")
    if approximate.similarity != exact.similarity:
        raise ValueError(f"{approximate!r} and {exact!r} measure different similarities. Build both with the same.")
    _, rows = approximate.search(queries, k, exact.model, effort)
    best, _ = exact.search(queries, k)
    return float((exact.score(queries, rows) >= best[:, -1:]).double().mean())


def _search(index: Any, queries: np.ndarray, k: int, parameters: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """faiss's own search, also where `faiss.contrib.torch_utils` was imported, whose search takes no parameters.

    That module, which pytorch-metric-learning imports, puts a method of its own in place of `search` and leaves the
    first one under `search_numpy`.
    """
    return getattr(index, "search_numpy", index.search)(queries, k, params=parameters)


def _facts(path: Path) -> dict[str, Any]:
    """The JSON at the end of an approximate index's file."""
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            file.seek(max(0, size - 8))
            length = int.from_bytes(file.read(8), "little")
            file.seek(max(0, size - 8 - min(length, size)))
            about = json.loads(file.read(min(length, size)))
        if about["format"] == FORMAT and about["bytes"] + length + 8 == size:
            return about
    except (ValueError, KeyError, TypeError, OverflowError):
        pass
    raise ValueError(
        f"{path} is no approximate index of xmrlib, or it is cut short. Build it again; "
        "what Index.save wrote is read by Index.load."
    )


def _reason(error: RuntimeError) -> str:
    """What faiss complains of, without the name of its source file."""
    return str(error).strip().splitlines()[-1].split(": ", 2)[-1][:160]
