"""Training steps on a GPU at the papers' sizes: `python -m benchmarks.training --output training.json`.

Every stage of every network, on random features, in the loop that a user runs. For each batch:

    loop        milliseconds of a step in that loop, from one step to the next, data and guards included
    graph       the same step as one CUDA graph, launched again and again: what the device needs, without the host
    arithmetic  its multiplications and additions (matrix products, recurrent layers, distances) at the rate of a large
                product on this device in the same precision
    memory      parameters, gradients, optimiser state and the batch, each read and written as often as it must be, at
                the rate of a large copy

The launch-bound share is 1 - graph / loop. The floor is the larger of the last two. Needs torch, numpy, scipy,
jaxtyping, einops, safetensors, nltk, tqdm and lightning-fabric.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import xmrlib as xmr
from xmrlib.features.backbones import BACKBONES, backbone
from xmrlib.features.published import published
from xmrlib.features.sequences import FragmentVectors, TokenIds
from xmrlib.features.views import Regions
from xmrlib.methods.several import Several
from xmrlib.methods.sides import Views
from xmrlib.stages import Run, Stage
from xmrlib.train import Loop, run

IMAGE, WORDS, CLASSES, PARTS = 4096, 1000, 20, 5  # VGG-19's vector, a vocabulary, classes, patches and sentences
REGION, REGIONS, LENGTH = 2048, 36, 16  # a detector's vector, regions a picture, words a sentence
CELL, CELLS, ARTICLE, ARTICLE_WORDS = 512, 49, 2904, 76_480  # VGG-19's map, words an article, and all words of these
SENTENCES = 80  # words of a text of five sentences
# A method with settings of its own; VGG-19 is drawn at random, for speed does not depend on its weights.
TRAINED = {"backbone_rate": 1e-5}
SETTINGS = {
    "CM-GANs, VGG-19 trained": ("CMGANs", {"encoder": "conv", "image_view": "whole"} | TRAINED),
    "MCSM, VGG-19 trained": ("MCSM", TRAINED),
    "CRAN, 36 regions": ("CRAN", {}),
    "CRAN, 36 regions attended": ("CRAN", {"matching": "attended"}),
    "CRAN, 36 regions grounded": ("CRAN", {"relation": "grounded", "matching": "best"}),
}
METHODS = ("CCL", "CorrAE", "DSCMR", "ACMR", "VSE", "SCAN", "MCSM", "CMGANs", "CRAN", *SETTINGS)
FEW = {"CRAN": 5}  # regions a picture, where not as many as a detector gives
# Beyond this: every picture with every text, articles in memory many times over, or a backbone's maps.
MOST = {"SCAN": 1000, "MCSM": 640, "CRAN": 5120, **dict.fromkeys(SETTINGS, 80)} | {"CRAN, 36 regions": 640}
FIRST, TIMED = 15, 30  # steps before the clock starts, and under it


def made_up(method: str, pairs: int, config: Any, regions: int = REGIONS) -> tuple[Views, dict[str, Any]]:
    """Random features of `pairs` pairs as the method wants them, and their sizes."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def counts(*shape: int) -> Tensor:
        drawn = torch.poisson(torch.full(shape, 0.05), generator=generator)
        drawn[..., 0] += 1  # no text is empty
        return drawn

    labels, own = torch.randint(CLASSES, (pairs,), generator=generator), torch.arange(pairs)
    image, text = IMAGE, WORDS
    if method == "CCL":
        every = torch.ones(pairs, PARTS, dtype=torch.bool)
        patches = Regions(normal(pairs, PARTS, IMAGE), torch.zeros(pairs, PARTS, 4), every)
        images = Several((normal(pairs, IMAGE), patches))
        texts = Several((counts(pairs, WORDS), FragmentVectors(counts(pairs, PARTS, WORDS), every)))
        image, text = [IMAGE, IMAGE], [WORDS, WORDS]
    elif method == "CMGANs" and config.encoder != "features":
        ids = torch.randint(1, 10_000, (pairs, SENTENCES), generator=generator)
        images, text = normal(pairs, IMAGE), 10_000
        texts = TokenIds(ids, torch.ones(pairs, SENTENCES, dtype=torch.bool), torch.zeros_like(ids))
    elif method == "MCSM":
        every = torch.ones(pairs, CELLS, dtype=torch.bool)
        images = Several(
            (Regions(normal(pairs, CELLS, CELL), torch.zeros(pairs, CELLS, 4), every), normal(pairs, IMAGE))
        )
        ids = torch.randint(1, ARTICLE_WORDS, (pairs, ARTICLE), generator=generator)
        tokens = TokenIds(ids, torch.ones(pairs, ARTICLE, dtype=torch.bool), torch.zeros_like(ids))
        whole = "text_whole" in config.text_kinds
        texts = Several((counts(pairs, WORDS), tokens) if whole else (tokens,))
        image, text = [CELL, IMAGE], [WORDS, ARTICLE_WORDS] if whole else [ARTICLE_WORDS]
    elif method in ("VSE", "SCAN", "CRAN"):
        ids = torch.randint(1, 10_000, (pairs, LENGTH), generator=generator)
        texts, text = TokenIds(ids, torch.ones(pairs, LENGTH, dtype=torch.bool), torch.zeros_like(ids)), 10_000
        images = normal(pairs, IMAGE)
        if method == "SCAN":
            every = torch.ones(pairs, REGIONS, dtype=torch.bool)
            images, image = Regions(normal(pairs, REGIONS, REGION), torch.zeros(pairs, REGIONS, 4), every), REGION
        if method == "CRAN":
            boxes, every = normal(pairs, regions, 4).sigmoid(), torch.ones(pairs, regions, dtype=torch.bool)
            images = Several((images, Regions(normal(pairs, regions, IMAGE), boxes, every)))
            image = [IMAGE, IMAGE]
    else:
        images, texts = normal(pairs, IMAGE), counts(pairs, WORDS)
    if getattr(config, "backbone_rate", None):
        size, network = config.backbone_size, backbone(config.backbone, config.backbone_size)
        pixels = torch.randint(256, (pairs, 3, size, size), generator=generator, dtype=torch.uint8)
        image = [network.grid_dim, network.dim] if method == "MCSM" else [network.dim]
        images = Several((pixels,) * len(image))
    return Views(images, texts, own, labels, CLASSES), {"image": image, "text": text, "classes": CLASSES}


def synchronise() -> None:
    """Wait for the device, where there is one to wait for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class HostFree(Loop):
    """What a step may ask of the loop, without anything that a CUDA graph could not repeat."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients."""
        loss.backward()

    def update(self, name: str) -> None:
        """Move and forget."""
        optimiser = self.stage.optimisers[name].optimiser
        optimiser.step()
        optimiser.zero_grad(set_to_none=False)


def recurrent(inputs: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Of a recurrent layer forwards: each item of the sequence with each weight of a matrix."""
    items = 1
    for size in inputs[:-1]:
        items *= size
    return 2 * items * sum(shape[0] * shape[1] for shape in weights if len(shape) == 2)


def recurrent_backward(inputs: Any, weights: Any, *more: Any, **named: Any) -> int:
    """And backwards: once for the inputs, once for the weights."""
    return 2 * recurrent(inputs, weights)


def distances(x: Any, y: Any, *_: Any, **__: Any) -> int:
    """A difference, a square and a sum for each number of each pair of rows."""
    return 3 * x[-2] * y[-2] * x[-1]


def distances_backward(gradient: Any, x: Any, y: Any, *_: Any, **__: Any) -> int:
    """The same again."""
    return distances(x, y)


COUNTED = {
    torch.ops.aten._cudnn_rnn: recurrent,
    torch.ops.aten._cudnn_rnn_backward: recurrent_backward,
    torch.ops.aten._cdist_forward: distances,
    torch.ops.aten._cdist_backward: distances_backward,
}


def traffic(stage: Stage, batch: Any) -> int:
    """The least bytes of a step.

    A weight is read forwards and backwards, its gradient written and read, each state of the optimiser and the weight
    itself read and written; the batch is read once.
    """
    total = 0
    for entry in stage.optimisers.values():
        states = 2 if isinstance(entry.optimiser, torch.optim.Adam) else 1
        for group in entry.optimiser.param_groups:
            total += sum(p.numel() * p.element_size() * (4 + 2 * states + 2) for p in group["params"])
    tensors: list[Tensor] = []

    def collect(value: Any) -> None:
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
            collect(part)
        if isinstance(value, Tensor):
            tensors.append(value)

    collect(batch)
    return total + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def graph_seconds(stage: Stage, batch: Any, loop: Loop, autocast: Callable[[], Any]) -> float | str:
    """Seconds of a step as a CUDA graph, or why it cannot be one."""
    free = HostFree(loop.fabric, loop.run, stage, loop.steps, loop.step)
    for entry in stage.optimisers.values():
        for group in entry.optimiser.param_groups:
            group["capturable"] = True
        for state in entry.optimiser.state.values():
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], device="cuda")
    try:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), autocast():
            for _ in range(3):
                stage.step(batch, free)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), autocast():
            stage.step(batch, free)
    except (RuntimeError, AttributeError) as error:
        torch.cuda.synchronize()
        return str(error).splitlines()[0][:120]
    for _ in range(5):
        graph.replay()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMED):
        graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / TIMED


class Clock:
    """Puts itself between the loop and a stage's step, and takes the time from step to step."""

    def __init__(self, ceilings: dict[str, float], graphs: bool) -> None:
        self.ceilings, self.graphs = ceilings, graphs
        self.rows: list[dict[str, Any]] = []

    def stages(self, stages: Iterator[Stage]) -> Iterator[Stage]:
        """The stages, long enough to be timed and no longer."""
        for stage in stages:
            steps = max(len(stage.data) // stage.batch, 1)
            yield dataclasses.replace(
                stage, epochs=-(-(FIRST + TIMED) // steps), step=self._timed(stage), measure=None, patience=None
            )
            self._finish()

    def _timed(self, stage: Stage) -> Callable[[Any, Loop], Any]:
        self.current: dict[str, Any] = {"stage": stage.name, "batch": stage.batch}
        self.what, count = None, 0

        def step(batch: Any, loop: Loop) -> Any:
            nonlocal count
            if count in (FIRST, FIRST + TIMED - 1):
                synchronise()
                self.current["last" if count > FIRST else "first"] = time.perf_counter()
            count += 1
            self.what = stage, batch, loop
            return stage.step(batch, loop)

        return step

    def _finish(self) -> None:
        stage, batch, loop = self.what
        row, self.what = self.current, None
        for module in stage.modules.values():
            module.train()
        seconds = (row.pop("last") - row.pop("first")) / (TIMED - 1)
        with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:  # as many in any precision
            stage.step(batch, loop)
        arithmetic, memory = counter.get_total_flops(), traffic(stage, batch)
        row |= {
            "parameters": sum(
                p.numel() for e in stage.optimisers.values() for g in e.optimiser.param_groups for p in g["params"]
            ),
            "operations": arithmetic,
            "bytes": memory,
            "loop_ms": 1e3 * seconds,
            "arithmetic_ms": 1e3 * arithmetic / self.ceilings["operations_a_second"],
            "memory_ms": 1e3 * memory / self.ceilings["bytes_a_second"],
        }
        row["floor_ms"] = max(row["arithmetic_ms"], row["memory_ms"])
        row["loop_over_floor"] = row["loop_ms"] / row["floor_ms"]
        if self.graphs:
            found = graph_seconds(stage, batch, loop, loop.fabric.autocast)
            if isinstance(found, str):
                row["no_graph"] = found
            else:
                row["graph_ms"] = 1e3 * found
                row["launch_bound_share"] = max(0.0, 1 - row["graph_ms"] / row["loop_ms"])
                row["graph_over_floor"] = row["graph_ms"] / row["floor_ms"]
        self.rows.append({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()})


def ceilings(device: str, precision: str) -> dict[str, float]:
    """What the device reaches in a large product and in a large copy, bytes read and written counted."""
    size, kind = (8192 if device == "cuda" else 512), torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    source = torch.randn(8 * size**2, device=device)
    found = {}
    for name, work, amount in (
        ("operations_a_second", lambda: a @ b, 2 * size**3),
        ("bytes_a_second", source.clone, 2 * source.numel() * 4),
    ):
        for _ in range(3):
            work()
        synchronise()
        start = time.perf_counter()
        for _ in range(20):
            work()
        synchronise()
        found[name] = amount * 20 / (time.perf_counter() - start)
    return found


def measure(name: str, batch: int, where: Run, clock: Clock, smaller: bool) -> None:
    """Every stage of one method with one batch."""
    if where.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    kind, settings = SETTINGS.get(name, (name, {}))
    config = getattr(xmr, f"{kind}Config")
    config = (config.small if smaller else config.paper)(batch=batch, **settings)
    method = getattr(xmr, kind)(config)
    views, sizes = made_up(kind, 2 * batch, config, FEW.get(name, REGIONS))
    torch.manual_seed(0)
    network = method._build(sizes)
    before = len(clock.rows)
    stages = clock.stages(method._stages(network, views, None))
    run(stages, 0, where, {"method": name})
    for row in clock.rows[before:]:
        row |= {"method": name, "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6)}
        print(json.dumps(row), flush=True)


@contextmanager
def drawn_at_random(name: str) -> Iterator[None]:
    """Within, a published network has random weights, and needs no download."""
    backbone.cache_clear()
    with patch.dict(BACKBONES, {name: lambda size: published(name, size, weights="random")}):
        yield
    backbone.cache_clear()


def main() -> int:
    """Measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--batches", type=int, nargs="+", default=[80, 640, 5120, 20480])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script out")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--small", action="store_true", help="the sizes of the book in place of the papers'")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    gpu = options.device == "cuda"
    if gpu and not torch.cuda.is_available():
        print("python -m benchmarks.training measures a GPU, and torch sees none here.", file=sys.stderr)
        return 1
    found = ceilings(options.device, options.precision)
    facts = {
        "device": torch.cuda.get_device_name() if gpu else platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "precision": options.precision,
        "sizes": "small" if options.small else "paper",
        "ceilings": found,
    }
    print(json.dumps(facts), flush=True)
    clock, where = Clock(found, graphs=gpu), Run(device=options.device, precision=options.precision)
    facts["rows"] = clock.rows
    for name in options.methods:
        for batch in options.batches:
            if batch > MOST.get(name, batch):
                continue
            with drawn_at_random("vgg19"):
                measure(name, batch, where, clock, options.small)
            if options.output:
                options.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
