"""One gallery over several processes: each searches its share, and all get the answer that one process would give.

torchrun --nproc-per-node 4 search.py

distributed.init_process_group("gloo")          # "nccl" where each process has a GPU
index = ShardedIndex.load("gallery.index")      # each process reads its share of the file
scores, rows = index.search(queries, k=10)      # on every process; the queries of process 0 count
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed
from torch.nn.functional import pad

from xmrlib.search.exact import Index
from xmrlib.search.vectors import by_score, check_k, checked


class ShardedIndex:
    """A gallery of which each process of `torch.distributed` holds a share; outside of a process group, all of it.

    own    this process's share. Rows are counted through the shares in the order of the processes, which may differ in
           size; None where there is nothing left for this process, which cannot be the first
    group  the processes that share the gallery; by default all

    Every process of the group must make the index, and call `search`, together. To add vectors, or to save them, use
    `own.add` before the shares are joined and `own.save` at any time.

    Raises `ValueError` where the shares differ in their dimension, their model or their similarity.

    >>> index = ShardedIndex(Index(torch.eye(3)))
    >>> index.search(torch.tensor([[0., 3., 4.]]), k=2)[1]
    tensor([[2, 1]])
    """

    def __init__(self, own: Index | None, group: Any = None):
        self.own, self.group = own, group
        joined = distributed.is_available() and distributed.is_initialized()
        self.processes = distributed.get_world_size(group) if joined else 1
        self.process = distributed.get_rank(group) if joined else 0
        self._device = _device_of(group, own) if joined else torch.device("cpu")
        made_by = zlib.crc32(f"{own.model}\0{own.similarity}".encode()) if own else 0
        facts = [len(own), own.dim, made_by] if own else [0, 0, 0]
        shares = self._gathered(torch.tensor(facts, device=self._device)).tolist()
        if not shares[0][0]:
            raise ValueError("the first process holds no vectors. Give it a share, and None to the last processes.")
        for process, share in enumerate(shares):
            if share[0] and share[1:] != shares[0][1:]:
                differ = f"{share[1]} dimensions, not {shares[0][1]}" if share[1] != shares[0][1] else "another model"
                raise ValueError(
                    f"the share of process {process} has {differ}, seen from process 0. Make all shares with one model "
                    "and one similarity."
                )
        self.dim, self.sizes = shares[0][1], [share[0] for share in shares]

    def __len__(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"ShardedIndex({len(self):,} x {self.dim}, process {self.process} of {self.processes}: {self.own!r})"

    def search(
        self,
        queries: Float[Tensor, "query dim"] | Float[np.ndarray, "query dim"] | None = None,
        k: int = 10,
        model: str = "",
    ) -> tuple[Float[Tensor, "query k"], Int[Tensor, "query k"]]:
        """The `k` best items of the whole gallery, on every process; what `Index.search` would give for all shares.

        queries  (query, dim) of the first process; what others hand over is not looked at and may be None
        k        how many to return, of the first process; where the gallery holds fewer items, all of them
        model    fingerprint of what made the queries, compared with the index's where both are given

        Raises `ValueError` on the first process for what `Index.search` refuses, and then `RuntimeError` on the others,
        so that none waits.
        """
        if self.processes == 1:
            return self.own.search(queries, k, model)
        queries, k = self._spread(queries, k, model)
        scores = torch.full((len(queries), k), -torch.inf, device=self._device)
        rows = torch.full((len(queries), k), -1, device=self._device)
        if self.own:
            own_scores, own_rows = self.own.search(queries, k)
            missing = (0, k - own_scores.shape[1])
            scores = pad(own_scores, missing, value=-torch.inf).to(self._device)
            rows = pad(own_rows + sum(self.sizes[: self.process]), missing, value=-1).to(self._device)
        # What is padded has the score -inf, and there are k true scores to go before it.
        scores, rows = by_score(*(torch.cat(list(self._gathered(part)), dim=1) for part in (scores, rows)))
        where = self.own.device if self.own else self._device
        return scores[:, :k].to(where), rows[:, :k].to(where)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        model: str = "",
        memory: int | None = None,
        device: str | torch.device = "cpu",
        group: Any = None,
    ) -> ShardedIndex:
        """This process's share of the index that `Index.save` wrote to `path`; nothing else of the file is read.

        Raises what `Index.load` raises.
        """
        joined = distributed.is_available() and distributed.is_initialized()
        processes, process = (distributed.get_world_size(group), distributed.get_rank(group)) if joined else (1, 0)
        everything = Index.load(path, model, memory)
        # Rounded up, so that the first process gets one where there are fewer vectors than processes.
        start, stop = (-(-len(everything) * place // processes) for place in (process, process + 1))
        return cls(everything.slice(start, stop).to(device) if stop > start else None, group)

    def _spread(self, queries: Any, k: int, model: str) -> tuple[Tensor, int]:
        """The queries of the first process, and its k."""
        problem, first = None, self.process == 0
        if first:
            try:
                check_k(k)
                if queries is None:
                    raise ValueError("the first process must hand over the queries; the others may leave them out.")
                queries = checked(queries, "queries", self.dim, model, self.own.model).to(self._device)
            except ValueError as error:
                problem = error
        asked = [0, 0] if problem or not first else [len(queries), min(k, len(self))]
        count, k = self._from_first(torch.tensor(asked, device=self._device)).tolist()
        if problem:
            raise problem
        if not count:
            raise RuntimeError("the first process refused the queries; its own message says why.")
        sent = queries if first else torch.empty(count, self.dim, device=self._device)
        return self._from_first(sent), k

    def _from_first(self, tensor: Tensor) -> Tensor:
        source = 0 if self.group is None else distributed.get_global_rank(self.group, 0)
        distributed.broadcast(tensor, source, group=self.group)
        return tensor

    def _gathered(self, tensor: Tensor) -> Tensor:
        """(process, …) what each process holds."""
        if self.processes == 1:
            return tensor[None]
        everywhere = [torch.empty_like(tensor) for _ in range(self.processes)]
        distributed.all_gather(everywhere, tensor.contiguous(), group=self.group)
        return torch.stack(everywhere)


def _device_of(group: Any, own: Index | None) -> torch.device:
    """Where tensors must lie to be sent: NCCL sends from GPUs only, others from the CPU."""
    if distributed.get_backend(group) != "nccl":
        return torch.device("cpu")
    return own.device if own and own.device.type == "cuda" else torch.device("cuda", torch.cuda.current_device())
