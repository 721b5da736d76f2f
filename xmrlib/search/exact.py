"""Exact search: the k nearest of a million vectors, a chunk at a time, on the CPU or a GPU.

Every score is computed and none is kept longer than its chunk. Each query knows its k-th best score so far; a chunk is
looked at closer only where the greatest score of some 128 columns beats that, which soon is hardly anywhere. What
remains is the matrix product.

A matrix product rounds differently in each place and shape of the matrices. So the few items that it finds are scored
again, one by one in float64: a query gets the same answer alone and in a batch, from one process and from eight. Only
where more than eight items tie for the last place may rounding choose among them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.functional import pad

from xmrlib.search.files import whole
from xmrlib.search.vectors import Similarity, by_score, check_k, check_similarity, checked, unit

FORMAT = "xmrlib-index-1"

# Columns whose greatest score is looked at together; so many that torch looks through the maxima of a chunk in one
# thread. On cores that others use too, its threads wait longer for each other than they work.
GROUP = 128
# Bytes of scores at a time. The allocator keeps blocks below 32 MB, so a CPU tile is never paged in twice.
MEMORY = {"cpu": 1 << 24, "cuda": 1 << 30}
# Items found beyond the k wanted, so that rounding in the product does not decide who is the k-th.
SPARE = 8
# Vectors added in small portions are joined up to so many; larger portions stay where they lie.
JOINED = 1 << 16


class Index:
    """Vectors that can be searched for the nearest to a query, exactly.

    embeddings  (item, dim) what is searched; kept as float32 where they lie, CPU or GPU. They are copied only where
                they are not float32, or not of unit length for the cosine: write nothing into them afterwards
    model       fingerprint of what made them; queries that name another one are refused
    similarity  "cosine" or "inner" product
    memory      bytes that the scores of one chunk may take; by default 16 MB on a CPU, 1 GB on a GPU

    Raises `ValueError` for embeddings that are not finite, not two-dimensional, or longer than 1e18.

    >>> index = Index(torch.tensor([[1., 0.], [0., 1.], [1., 1.]]))
    >>> scores, rows = index.search(torch.tensor([[2., 1.]]), k=2)
    >>> rows.tolist()
    [[2, 0]]
    """

    def __init__(
        self,
        embeddings: Float[Tensor, "item dim"] | Float[np.ndarray, "item dim"],
        model: str = "",
        similarity: Similarity = "cosine",
        memory: int | None = None,
    ):
        check_similarity(similarity)
        if memory is not None and memory < 4:
            raise ValueError(f"memory={memory} bytes cannot hold one score; give at least 4, better 16 MB (1 << 24).")
        self.model, self.similarity, self.memory = model, similarity, memory
        self._parts: list[Tensor] = []
        self.add(embeddings, model)

    @property
    def dim(self) -> int:
        """The number of dimensions of each vector."""
        return self._parts[0].shape[1]

    @property
    def device(self) -> torch.device:
        """Where the vectors lie."""
        return self._parts[0].device

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __repr__(self) -> str:
        made_by = f", made by {self.model}" if self.model else ""
        return f"Index({len(self):,} x {self.dim}, {self.similarity}{made_by})"

    def add(self, embeddings: Float[Tensor, "item dim"] | Float[np.ndarray, "item dim"], model: str = "") -> None:
        """Append more vectors of the same model; their rows follow those already there.

        Raises `ValueError` for another dimension, another fingerprint, or values that are not finite.
        """
        new = self._prepared(embeddings, "embeddings", model, None if not self._parts else self.dim)
        parts = [*self._parts, new.to(self.device) if self._parts else new]
        # Thousands of portions would be thousands of small products. Like joins like, as in a binary counter.
        while len(parts) > 1 and len(parts[-2]) <= len(parts[-1]) <= JOINED // 2:
            parts[-2:] = [torch.cat(parts[-2:])]
        self._parts = parts

    def to(self, device: str | torch.device) -> Index:
        """The same index on another device."""
        return self._of([part.to(device) for part in self._parts], self.model, self.similarity, self.memory)

    def slice(self, start: int, stop: int) -> Index:
        """The items of rows `start` to `stop`, without the last, as an index of its own; nothing is copied.

        Raises `ValueError` for rows that are not there, or none.
        """
        if not 0 <= start < stop <= len(self):
            raise ValueError(f"rows {start} to {stop} are no part of 0 to {len(self)}; leave at least one row.")
        parts, first = [], 0
        for part in self._parts:
            inside = part[max(0, start - first) : max(0, stop - first)]
            parts += [inside] if len(inside) else []
            first += len(part)
        return self._of(parts, self.model, self.similarity, self.memory)

    @classmethod
    def _of(cls, parts: list[Tensor], model: str, similarity: Similarity, memory: int | None) -> Index:
        index = cls.__new__(cls)
        index.model, index.similarity, index.memory, index._parts = model, similarity, memory, parts
        return index

    def search(
        self,
        queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"],
        k: int = 10,
        model: str = "",
    ) -> tuple[Float[Tensor, "query k"], Int[Tensor, "query k"]]:
        """The `k` best items of each query: their scores, highest first, and their rows; the lower row first in a tie.

        queries  (query, dim) embedded by the model that made the index
        k        how many to return; where the index holds fewer items, all of them
        model    fingerprint of what made the queries, compared with the index's where both are given

        Raises `ValueError` for another dimension, another fingerprint, or values that are not finite.
        """
        check_k(k)
        queries = self._prepared(queries, "queries", model, self.dim).to(self.device)
        k = min(k, len(self))
        step = max(1, min(1024, self._memory // 4))
        found = [self._search_block(block, k) for block in queries.split(step)]
        return torch.cat([scores for scores, _ in found]), torch.cat([rows for _, rows in found])

    def score(
        self,
        queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"],
        rows: Int[Tensor, "query item"],
    ) -> Float[Tensor, "query item"]:
        """The similarity of each query to the items at its `rows`, summed in float64.

        >>> Index(torch.eye(3)).score(torch.tensor([[0., 3., 4.]]), torch.tensor([[2, 1]]))
        tensor([[0.8000, 0.6000]])
        """
        queries = self._prepared(queries, "queries", "", self.dim).to(self.device)
        rows = rows.to(self.device)
        if len(rows) != len(queries):
            raise ValueError(f"there are {len(rows)} lines of rows for {len(queries)} queries; give one line each.")
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise ValueError(
                f"rows run from {int(rows.min())} to {int(rows.max())}, the index from 0 to {len(self) - 1}."
            )
        return self._score(queries, rows)

    @property
    def _memory(self) -> int:
        return self.memory or MEMORY.get(self.device.type, MEMORY["cpu"])

    def _search_block(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        kept = min(k + SPARE, len(self))
        best = queries.new_full((len(queries), kept), -torch.inf)
        rows = torch.full((len(queries), kept), -1, device=queries.device)
        chunk = max(1, self._memory // (4 * len(queries)))
        chunk = chunk // GROUP * GROUP or chunk  # whole groups need no padding
        start = 0
        for part in self._parts:
            for items in part.split(chunk):
                _merge(best, rows, queries @ items.T, start)
                start += len(items)
        scores, rows = by_score(self._score(queries, rows), rows)
        return scores[:, :k], rows[:, :k]

    def _score(self, queries: Tensor, rows: Tensor) -> Tensor:
        wide = torch.float32 if self.device.type == "mps" else torch.float64  # Apple's GPUs know no float64
        scores = queries.new_empty(rows.shape)
        at_once = max(1, self._memory // (32 * self.dim))
        start = 0
        for part in self._parts:
            inside = ((rows >= start) & (rows < start + len(part))).nonzero()
            for query, place in (some.unbind(dim=1) for some in inside.split(at_once)):
                items = part[rows[query, place] - start].to(wide)
                scores[query, place] = (items * queries[query].to(wide)).sum(dim=1).float()
            start += len(part)
        return scores

    def _prepared(self, vectors, name: str, model: str, dim: int | None) -> Tensor:
        """`vectors` checked, as float32, of unit length for the cosine."""
        found = checked(vectors, name, dim, model, self.model)
        return unit(found) if self.similarity == "cosine" else found

    def save(self, path: str | os.PathLike) -> Path:
        """Write vectors, fingerprint and settings to one safetensors file; nothing is pickled, nothing half-written.

        The vectors go to the disk a portion at a time and are never in memory twice. Raises `OSError` where there is no
        room; what stood at `path` before then still stands there.
        """
        about = {"format": FORMAT, "model": self.model, "similarity": self.similarity}
        about |= {"items": len(self), "dim": self.dim}
        shape = [len(self), self.dim]
        tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}
        # safetensors' own writer wants all in one piece, and makes another copy of it.
        header = json.dumps({"__metadata__": {"index": json.dumps(about)}, "embeddings": tensor}).encode()
        header += b" " * (-len(header) % 8)
        with whole(path) as draft, open(draft, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for part in self._parts:
                for items in part.split(JOINED):
                    file.write(items.cpu().numpy().astype("<f4", copy=False).data)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike, model: str = "", memory: int | None = None) -> Index:
        """The index in the file at `path`; vectors are read from the disk when a search first comes to them.

        model  fingerprint that the index must have; empty accepts any

        Raises `ValueError` for a file that is no index or was made by another model, `FileNotFoundError` where none is.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no index at {path}; make one with Index(embeddings).save(path).")
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get("index", "{}"))
                written_as = about.get("format") if isinstance(about, dict) else None
                embeddings = file.get_tensor("embeddings") if written_as == FORMAT else None
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read as an index ({error}); it may be cut short, or be an approximate one, which "
                "ApproximateIndex.load reads. Build it again."
            ) from error
        if embeddings is None:
            raise ValueError(
                f"{path} is no index of xmrlib (format {written_as!r}, expected {FORMAT!r}). Give a file that "
                "Index.save wrote."
            )
        if model and about["model"] != model:
            raise ValueError(f"{path} was made by {about['model']!r}, not by {model!r}. Build the index again.")
        return cls._of([embeddings], about["model"], about["similarity"], memory)


def _merge(best: Tensor, rows: Tensor, scores: Tensor, start: int) -> None:
    """Bring `best` and `rows` up to date with the scores of a chunk whose first item has row `start`.

    The greatest score of each group of columns tells which groups can hold one of a query's k best; only those are read
    again. Lower rows go first among equals.
    """
    k, columns = best.shape[1], scores.shape[1]
    if columns % GROUP:
        scores = pad(scores, (0, GROUP - columns % GROUP), value=-torch.inf)
    groups = rearrange(scores, "query (group column) -> query group column", column=GROUP)
    greatest = groups.amax(dim=2)
    # A later item must beat the k-th best so far, for a tie goes to the lower row. And as the k greatest groups hold k
    # items already, nothing below the k-th of their maxima can stay.
    above = best[:, -1:]
    atleast = torch.full_like(above, -torch.inf)
    if greatest.shape[1] >= k:
        atleast = greatest.topk(k, dim=1).values[:, -1:]
    elif columns >= k and int(rows[0, -1]) < 0:  # the first chunk, where nothing is known that keeps most items out
        atleast = scores.topk(k, dim=1).values[:, -1:]
    query, group = ((greatest > above) & (greatest >= atleast)).nonzero(as_tuple=True)
    if not len(query):
        return
    candidates = groups[query, group]
    of, column = ((candidates > above[query]) & (candidates >= atleast[query])).nonzero(as_tuple=True)
    values, entering, item = candidates[of, column], query[of], start + group[of] * GROUP + column

    counts = torch.bincount(entering, minlength=len(best))
    place = k + torch.arange(len(entering), device=best.device) - (counts.cumsum(0) - counts)[entering]
    hit = counts.nonzero()[:, 0]
    line = torch.empty_like(counts).index_put_((hit,), torch.arange(len(hit), device=best.device))[entering]
    wide = best.new_full((len(hit), k + int(counts.max())), -torch.inf)
    wide_rows = rows.new_full(wide.shape, -1)
    wide[:, :k], wide_rows[:, :k] = best[hit], rows[hit]
    wide[line, place], wide_rows[line, place] = values, item
    # Stable, and in order of rows before: what was known comes first, then the chunk from left to right.
    order = wide.argsort(dim=1, descending=True, stable=True)[:, :k]
    best[hit], rows[hit] = wide.gather(1, order), wide_rows.gather(1, order)
