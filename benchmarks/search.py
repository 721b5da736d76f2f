"""Exact search for 1,000 queries at once: this library, faiss, and the two lines everybody writes."""

from __future__ import annotations

import torch

from benchmarks.evaluate import Task

K = 10


def vectors(images: int, dim: int, queries: int = 1000) -> dict:
    """A gallery of unit vectors and queries near some of them."""
    rng = torch.Generator().manual_seed(0)
    gallery = torch.randn(images, dim, generator=rng)
    gallery /= gallery.norm(dim=1, keepdim=True)
    chosen = torch.randint(images, (queries,), generator=rng)
    wanted = gallery[chosen] + 0.05 * torch.randn(queries, dim, generator=rng)
    return {"gallery": gallery, "queries": wanted / wanted.norm(dim=1, keepdim=True)}


def facts(scores: torch.Tensor, rows: torch.Tensor) -> dict:
    """The rows as a sum that any exact answer shares, and the mean score."""
    return {"rows": int(rows.long().sum()), "mean_score": float(scores.double().mean())}


def index_here(data: dict) -> dict:
    from xmrlib.search import Index

    return data | {"index": Index(data["gallery"], similarity="inner")}


def search_here(data: dict) -> dict:
    return facts(*data["index"].search(data["queries"], K))


def index_faiss(data: dict) -> dict:
    import faiss

    index = faiss.IndexFlatIP(data["gallery"].shape[1])
    index.add(data["gallery"].numpy())
    return {"index": index, "queries": data["queries"]}


def search_faiss(data: dict) -> dict:
    scores, rows = data["index"].search(data["queries"].numpy(), K)
    return facts(torch.from_numpy(scores), torch.from_numpy(rows))


def search_topk(data: dict) -> dict:
    """A product and a top-k for each 65,536 vectors, and a top-k of these."""
    scores, rows, start = [], [], 0
    for part in data["gallery"].split(65_536):
        best = (data["queries"] @ part.T).topk(min(K, len(part)), dim=1)
        scores.append(best.values)
        rows.append(best.indices + start)
        start += len(part)
    best = torch.cat(scores, dim=1).topk(K, dim=1)
    return facts(best.values, torch.cat(rows, dim=1).gather(1, best.indices))


def search_floor(data: dict) -> dict:
    for part in data["gallery"].split(4096):
        data["queries"] @ part.T
    return {}


TASKS = {
    "search": Task(
        data=vectors,
        warm={"images": 1000, "dim": 8, "queries": 10},
        sizes=({"images": 100_000, "dim": 512}, {"images": 1_000_000, "dim": 512}),
        quick=({"images": 50_000, "dim": 128},),
        methods={
            "xmrlib": search_here,
            "faiss, flat": search_faiss,
            "product and top-k": search_topk,
            "floor (matrix products)": search_floor,
        },
        agree=1e-5,
        prepare={"xmrlib": index_here, "faiss, flat": index_faiss},
    ),
}
