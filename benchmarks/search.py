"""Search for 1,000 queries at once: exact, by this library, by faiss, by the two lines everybody writes; approximate.

python -m benchmarks search       exact search of 100,000 and 1,000,000 vectors, each in a process of its own
python -m benchmarks.search       what the approximate kinds cost and miss, on 100,000 vectors (some minutes)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


# What is asked of each kind: how it is built (parts as a share of the dimensions), and the efforts it is searched with.
APPROXIMATE = (
    ("flat", None, (None,)),
    ("hnsw", None, (16, 64, 256)),
    ("ivf", None, (4, 16, 64)),
    ("ivf-pq", 8, (16, 64)),
    ("ivf-pq", 4, (16, 64)),
)


def embedded(images: int, dim: int, queries: int) -> dict:
    """Unit vectors as a model makes them: 48 dimensions that mean something, spread over all, and noise in all.

    A query is another view of an item, as a text is of its image. Independent random vectors would be harder, for they
    have no neighbourhoods; clusters far apart would be easier.
    """
    rng = torch.Generator().manual_seed(0)
    spread = torch.randn(48, dim, generator=rng) / 48**0.5

    def view(latent: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(latent @ spread + 0.5 * torch.randn(len(latent), dim, generator=rng))

    latent = torch.randn(images, 48, generator=rng)
    return {"gallery": view(latent), "queries": view(latent[torch.randperm(images, generator=rng)[:queries]])}


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """What `work` returns, and its seconds by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def megabytes(index) -> float:
    """The size of an index, as a file."""
    with tempfile.TemporaryDirectory() as folder:
        return index.save(Path(folder) / "index").stat().st_size / 1e6


def approximate_rows(images: int, dim: int, queries: int) -> Iterator[dict]:
    """Each kind and effort: seconds to build, milliseconds a query in a batch and alone, recall against exact."""
    from xmrlib.search import ApproximateIndex, Index, recall_against_exact

    data = embedded(images, dim, queries)
    wanted, few = data["queries"], data["queries"][:50]

    def row(name: str, built: tuple, effort: int | None = None) -> dict:
        index, how = built[0], {} if effort is None else {"effort": effort}
        _, batch, batch_cpu = timed(lambda: index.search(wanted, K, **how))
        _, alone, _ = timed(lambda: [index.search(query[None], K, **how) for query in few])
        return {
            "index": name,
            "effort": effort,
            "build_seconds": round(built[1], 2),
            "build_cpu_seconds": round(built[2], 2),
            "megabytes": round(megabytes(index), 1),
            "batch_ms": round(1000 * batch / len(wanted), 3),
            "batch_cpu_ms": round(1000 * batch_cpu / len(wanted), 3),
            "alone_ms": round(1000 * alone / len(few), 3),
            "load": round(os.getloadavg()[0], 1),
        }

    built = timed(lambda: Index(data["gallery"]))
    exact = built[0]
    yield row("Index (exact)", built) | {"recall": 1.0}
    for kind, share, efforts in APPROXIMATE:
        knobs = {"parts": dim // share} if share else {}
        built = timed(lambda kind=kind, knobs=knobs: ApproximateIndex(data["gallery"], kind, **knobs))
        name = ", ".join([kind, *(f"{name} {value}" for name, value in built[0].knobs.items())])
        for effort in efforts:
            recall = recall_against_exact(built[0], exact, wanted, K, effort)
            yield row(name, built, effort) | {"recall": round(recall, 4)}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="a JSON file to write")
    options = parser.parse_args(arguments)
    print(f"{options.images:,} x {options.dim}, {options.queries:,} queries, k={K}, {torch.get_num_threads()} threads")
    print(
        f"{'index':36}{'effort':>7}{'build':>10}{'size':>9}{'batch':>10}{'(cpu)':>10}{'alone':>10}{'recall':>8}{'load':>6}"
    )
    measured = []
    for row in approximate_rows(options.images, options.dim, options.queries):
        measured.append(row)
        times = "".join(f"{row[name]:7.2f} ms" for name in ("batch_ms", "batch_cpu_ms", "alone_ms"))
        first = f"{row['index']:36}{row['effort'] or '':>7}{row['build_seconds']:8.1f} s{row['megabytes']:6.0f} MB"
        print(f"{first}{times}{row['recall']:8.3f}{row['load']:6.1f}", flush=True)
    if options.output:
        options.output.write_text(
            json.dumps({"size": vars(options) | {"output": None}, "rows": measured}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
