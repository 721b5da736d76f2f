"""The GPU paths of evaluation, search, cross attention and CRAN: `python -m benchmarks.gpu --output gpu.json`.

Needs torch, numpy, scipy, jaxtyping, einops, safetensors and Pillow. Values are first compared with the CPU's on a
smaller size; then each piece of work is timed, warm, with the device synchronised before and after, beside its matrix
products. `--device cpu --scale 250` tries it out without a GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import cran
from benchmarks.cross_attention import floor, ours, pairs
from benchmarks.evaluate import captions, classes
from benchmarks.search import vectors
from xmrlib.evaluate import average_precision, map_all, map_embeddings, recall_embeddings
from xmrlib.search import Index

# Forms of CRAN, images and regions; five texts an image. 36 regions are 1,260 pairs, each beside each of a text's 22
# phrases: with MS-COCO's 5,000 images 7e15 operations, minutes. A fifth of each side takes 3e14.
RELATED = ((tuple(cran.FORMS), 5_000, 5), (("cran",), 1_000, 36))


def check(device: torch.device) -> dict[str, float]:
    """The largest difference between the device and the CPU for each measure, on sizes that a CPU does at once."""
    worst = {}
    data = classes(2000, 64)
    # Signs tie almost everywhere and their sums are exact, so both must agree to the last digits, ties included.
    sides = {"as they are": (data["images"], data["texts"]), "ties": (data["images"].sign(), data["texts"].sign())}
    for name, (images, texts) in sides.items():
        for ties in ("expected", "index"):
            answers = []
            for where in ("cpu", device):
                found = map_embeddings(images.to(where), texts.to(where), data["labels"], ties=ties, similarity="inner")
                answers.append([found.i2t, found.t2i])
            worst[f"map {ties}, {name}"] = float(np.abs(np.subtract(*answers)).max())
    scores = data["images"].sign() @ data["texts"].sign().T
    bounds = [map_all(scores.to(where), data["labels"], ties="bounds") for where in ("cpu", device)]
    worst["map bounds"] = max(abs(getattr(bounds[0], b).avg - getattr(bounds[1], b).avg) for b in ("worst", "best"))
    relevant = data["labels"][:, None] == data["labels"][None]
    precision = [average_precision(scores.to(where), relevant.to(where)).cpu() for where in ("cpu", device)]
    worst["average precision"] = float((precision[0] - precision[1]).abs().max())
    data = captions(400, 64)
    for name, sign in (("as they are", False), ("ties", True)):
        images, texts = (data[side].sign() if sign else data[side] for side in ("images", "texts"))
        found = [
            recall_embeddings(images.to(where), texts.to(where), data["image_of_text"], similarity="inner")
            for where in ("cpu", device)
        ]
        worst[f"recall, {name}"] = max(abs(found[0].i2t[k] - found[1].i2t[k]) for k in (1, 5, 10))
        worst[f"recall, {name}"] = max(
            worst[f"recall, {name}"], *(abs(found[0].t2i[k] - found[1].t2i[k]) for k in (1, 5))
        )
    data = vectors(20_000, 64, 200)
    for name, sign in (("as they are", False), ("ties", True)):
        gallery, queries = (data[side].sign() if sign else data[side] for side in ("gallery", "queries"))
        (a, rows_a), (b, rows_b) = (
            Index(gallery.to(where), similarity="inner").search(queries.to(where), 10) for where in ("cpu", device)
        )
        worst[f"search scores, {name}"] = float((a - b.cpu()).abs().max())
        worst[f"search rows, {name}"] = float((rows_a != rows_b.cpu()).float().mean())
    data = pairs(40, dim=64)
    sides = [data[side] for side in ("regions", "words", "mask")]
    found = [ours(*(side.to(where) for side in sides)).cpu() for where in ("cpu", device)]
    worst["cross attention"] = float((found[0] - found[1]).abs().max())
    data = cran.features(20, 5, dim=64)
    with exact():
        for name, form in cran.FORMS.items():
            found = [cran.scores(cran.drawn(data, where, **form)) for where in ("cpu", device)]
            # The mean: attention that counts or not, above the average or below it, makes steps of rounding.
            worst[f"{name}, mean"] = max(float((found[0][k] - found[1][k]).abs().mean()) for k in found[0])
    return worst


def exact() -> AbstractContextManager:
    """Within, convolutions and recurrent layers multiply in float32, as products of matrices do: not in ten bits."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> dict:
    """Median and least seconds of `work`, warm, and the most memory it took on the device, in MB above the start."""
    synchronise = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    work()
    synchronise()
    peak = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
    seconds = []
    for _ in range(repeats):
        before = time.perf_counter()
        work()
        synchronise()
        seconds.append(time.perf_counter() - before)
    if device.type == "cuda":
        peak = round((torch.cuda.max_memory_allocated() - start) / 1e6, 1)
    return {"seconds": round(statistics.median(seconds), 5), "least": round(min(seconds), 5), "peak_mb": peak}


def line(
    device: torch.device, repeats: int, task: str, size: dict, method: str, work: Callable[[], object], **more
) -> dict:
    """A row of the table, printed."""
    row = {"task": task, "size": size, "method": method} | timed(work, device, repeats) | more
    print(json.dumps(row), flush=True)
    return row


def measure(device: torch.device, repeats: int, scale: int) -> Iterator[dict]:
    """The five pieces of work, and the matrix products of each."""
    add, few = partial(line, device, repeats), partial(line, device, 1 + repeats // 3)
    size = {"images": 20_000 // scale, "dim": 512}
    data = classes(**size)
    images, texts = data["images"].to(device), data["texts"].to(device)
    found = map_embeddings(images, texts, data["labels"])
    values = {"i2t": found.i2t, "t2i": found.t2i}
    yield add("map", size, "xmrlib", lambda: map_embeddings(images, texts, data["labels"]), values=values)
    yield add("map", size, "floor (matrix products)", lambda: [images @ texts.T, texts @ images.T])
    yield add(
        "map", size, "floor (and the sorting)", lambda: [(p @ texts.T).sort(dim=1) for p in images.split(3000)] * 2
    )

    size = {"images": 5_000 // scale, "dim": 1024}
    data = captions(**size)
    images, texts, own = data["images"].to(device), data["texts"].to(device), data["image_of_text"]
    values = recall_embeddings(images, texts, own).i2t
    yield add("recall", size, "xmrlib", lambda: recall_embeddings(images, texts, own), values=values)
    yield add("recall", size, "floor (matrix products)", lambda: images @ texts.T)

    size = {"images": 1_000_000 // scale, "dim": 512}
    data = vectors(**size)
    index, queries = Index(data["gallery"].to(device), similarity="inner"), data["queries"].to(device)
    gallery = data["gallery"].to(device)
    yield add("search", size, "xmrlib", lambda: index.search(queries, 10))
    yield add("search", size, "product and top-k", lambda: [(queries @ p.T).topk(10) for p in gallery.split(1 << 18)])
    yield add("search", size, "floor (matrix products)", lambda: [queries @ p.T for p in gallery.split(1 << 18)])

    # The test set of MS-COCO: 36 regions with up to 17 words, 1,024 numbers each.
    images, texts = 5_000 // scale, 25_000 // scale
    data = pairs(texts)
    mask = data["mask"].to(device)
    for precision in (torch.bfloat16, torch.float32):
        size = {"images": images, "texts": texts, "precision": str(precision).removeprefix("torch.")}
        regions, words = data["regions"][:images].to(device, precision), data["words"].to(device, precision)
        with torch.inference_mode():
            yield few("attend", size, "xmrlib", partial(ours, regions, words, mask))
            yield few("attend", size, "xmrlib, compiled", partial(ours, regions, words, mask, compiled=True))
            tiles = [(r, w) for r in regions.split(250) for w in words.split(2500)]
            yield few("attend", size, "floor (matrix products)", lambda tiles=tiles: [floor(*t, None) for t in tiles])
    yield from relate(few, device, scale)


def relate(add: Callable[..., dict], device: torch.device, scale: int) -> Iterator[dict]:
    """CRAN, from features on the host to the scores of its three levels there; what a user waits for."""
    for forms, images, regions in RELATED:
        size = {"images": images // scale, "texts": 5 * (images // scale), "regions": regions}
        data = cran.features(size["images"], regions)
        for name in forms:
            form = cran.FORMS[name]
            ready = cran.drawn(data, device, **form)
            with exact():
                yield add(name, size, "xmrlib", partial(cran.scored, ready))
            yield add(name, size, "floor (matrix products)", partial(cran.floor, data, device, **form))


def main() -> int:
    """Check, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=int, default=1, help="divide every size by this, to try the script out")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    facts = {
        "device": name,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "float32_products": torch.get_float32_matmul_precision(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "differences_from_the_cpu": check(device),
    }
    print(json.dumps(facts, indent=1), flush=True)
    facts["rows"] = []
    for row in measure(device, options.repeats, options.scale):
        facts["rows"].append(row)
        if options.output:
            options.output.write_text(json.dumps(facts, indent=1) + "\n")
    worst = {k: v for k, v in facts["differences_from_the_cpu"].items() if v > (1e-6 if "ties" in k else 1e-3)}
    if worst:
        print(f"the device and the CPU differ: {worst}", file=sys.stderr)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
