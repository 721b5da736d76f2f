"""Exact search: the k nearest of a million vectors, a chunk at a time, on the CPU or a GPU.

Every score is computed and none is kept longer than its chunk. Each query knows its k-th best score so far; a chunk is
looked at closer only where the greatest score of some 256 columns beats that, which soon is hardly anywhere. What
remains is the matrix product.

    index = Index(model.embed_images(data.test), model="a fingerprint of the fitted model")
    scores, rows = index.search(model.embed_texts(["a cow near a tractor"]), k=5, model=...)

Items that tie are listed lower row first, on every machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize, pad

Similarity = Literal["cosine", "inner"]
FORMAT = "xmrlib-index-1"

# Columns whose greatest score is looked at together.
GROUP = 256
# Bytes of scores at a time. The allocator keeps blocks below 32 MB, so a CPU tile is never paged in twice.
MEMORY = {"cpu": 1 << 24, "cuda": 1 << 30}


class Index:
    """Vectors that can be searched for the nearest to a query, exactly.

    embeddings  (item, dim) what is searched; kept as float32 where they lie, CPU or GPU
    model       fingerprint of what made them; queries that name another one are refused
    similarity  "cosine" or "inner" product
    memory      bytes that the scores of one chunk may take; by default 16 MB on a CPU, 1 GB on a GPU

    Raises `ValueError` for embeddings that are not finite or not two-dimensional.

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
        if similarity not in ("cosine", "inner"):
            raise ValueError(f'similarity={similarity!r} is unknown; choose "cosine" or "inner".')
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
        """Append more vectors of the same model; their rows follow those already there, nothing is copied."""
        new = self._prepared(embeddings, "embeddings", model, None if not self._parts else self.dim)
        self._parts.append(new.to(self.device) if self._parts else new)

    def to(self, device: str | torch.device) -> Index:
        """The same index on another device."""
        moved = Index.__new__(Index)
        moved.model, moved.similarity, moved.memory = self.model, self.similarity, self.memory
        moved._parts = [part.to(device) for part in self._parts]
        return moved

    def search(
        self,
        queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"],
        k: int = 10,
        model: str = "",
    ) -> tuple[Float[Tensor, "query k"], Int[Tensor, "query k"]]:
        """The `k` best items of each query: their scores, highest first, and their rows.

        queries  (query, dim) embedded by the model that made the index
        k        how many to return; where the index holds fewer items, all of them
        model    fingerprint of what made the queries, compared with the index's where both are given

        Raises `ValueError` for another dimension, another fingerprint, or values that are not finite.
        """
        if k < 1:
            raise ValueError(f"k={k}: ask for at least 1 result.")
        queries = self._prepared(queries, "queries", model, self.dim).to(self.device)
        k = min(k, len(self))
        memory = self.memory or MEMORY.get(self.device.type, MEMORY["cpu"])
        step = int(max(1, min(1024, memory // 4)))
        found = []
        for block in queries.split(step):
            chunk = max(1, memory // (4 * len(block)))
            # Whole groups need no padding.
            found.append(self._search_block(block, k, chunk // GROUP * GROUP or chunk))
        return torch.cat([scores for scores, _ in found]), torch.cat([rows for _, rows in found])

    def _search_block(self, queries: Tensor, k: int, chunk: int) -> tuple[Tensor, Tensor]:
        best = queries.new_full((len(queries), k), -torch.inf)
        rows = torch.full((len(queries), k), -1, device=queries.device)
        start = 0
        for part in self._parts:
            for items in part.split(chunk):
                _merge(best, rows, queries @ items.T, start)
                start += len(items)
        return best, rows

    def _prepared(self, embeddings, name: str, model: str, dim: int | None) -> Tensor:
        """`embeddings` checked, as float32, of unit length for the cosine."""
        embeddings = torch.as_tensor(embeddings).detach()
        if embeddings.ndim != 2 or not len(embeddings):
            raise ValueError(f"{name} must be (item, dim) with at least one item; got {tuple(embeddings.shape)}.")
        if dim is not None and embeddings.shape[1] != dim:
            raise ValueError(
                f"{name} have {embeddings.shape[1]} dimensions, the index {dim}: they come from different models. "
                "Embed the queries with the model that made the index."
            )
        if model and self.model and model != self.model:
            raise ValueError(
                f"{name} were made by {model!r}, the index by {self.model!r}: their spaces have nothing in common. "
                "Load the model that made the index, or build the index again."
            )
        embeddings = embeddings.float()
        # A NaN or an infinity makes the sum one too; only then is each row looked at, which takes memory.
        if not bool(torch.isfinite(embeddings.sum())):
            finite = torch.isfinite(embeddings).all(dim=1)
            if not bool(finite.all()):
                row = int((~finite).nonzero()[0])
                raise ValueError(f"{name}[{row}] holds a NaN or an infinity; it cannot be searched.")
        return normalize(embeddings) if self.similarity == "cosine" else embeddings

    def save(self, path: str | os.PathLike) -> Path:
        """Write vectors, fingerprint and settings to one safetensors file; nothing is pickled, nothing half-written."""
        path = Path(path)
        facts = {"format": FORMAT, "model": self.model, "similarity": self.similarity}
        facts |= {"items": len(self), "dim": self.dim}
        unfinished = path.with_name(path.name + ".part")
        save_file({"embeddings": torch.cat(self._parts).cpu()}, unfinished, {"index": json.dumps(facts)})
        os.replace(unfinished, path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike, model: str = "", memory: int | None = None) -> Index:
        """The index in the file at `path`.

        model  fingerprint that the index must have; empty accepts any

        Raises `ValueError` for a file that is no index or was made by another model, `FileNotFoundError` where none is.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"there is no index at {path}; make one with Index(embeddings).save(path).")
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads((file.metadata() or {}).get("index", "{}"))
                embeddings = file.get_tensor("embeddings") if facts.get("format") == FORMAT else None
        except Exception as error:
            raise ValueError(
                f"{path} cannot be read as an index ({error}); it may be cut short. Build it again."
            ) from error
        if embeddings is None:
            raise ValueError(f"{path} is no index of xmrlib (format {facts.get('format')!r}, expected {FORMAT!r}).")
        if model and facts["model"] != model:
            raise ValueError(f"{path} was made by {facts['model']!r}, not by {model!r}. Build the index again.")
        index = cls.__new__(cls)
        index.model, index.similarity, index.memory = facts["model"], facts["similarity"], memory
        index._parts = [embeddings]
        return index


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
    atleast = greatest.topk(k, dim=1).values[:, -1:] if greatest.shape[1] >= k else torch.full_like(above, -torch.inf)
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
