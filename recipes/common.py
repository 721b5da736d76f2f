"""What the recipes share: how a result is recorded, row by row and seed by seed.

A recipe trains and evaluates every row of one table of the book and writes results/NAME.json. Each finished (method,
ablation, seed) is on disk at once: a recipe that was stopped goes on where it was. A row remembers a hash of the
sources that made it; where they have changed since, its numbers are thrown away and made again. `seconds_train` is
processor time, which other work on the machine does not stretch.

    python recipes/first_methods_emoji.py            # or: xmr reproduce first_methods_emoji
    python recipes/first_methods_emoji.py --fresh    # forget what is stored

Real data sets are looked for in $XMR_DATA.
"""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import io
import json
import os
import pickle
import platform
import subprocess
import time
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs
    from xmrlib.evaluate import Report
    from xmrlib.methods import EmbeddingMethod

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"

# What trains a network, and what those that look at words and at pairs share.
NETWORK_SOURCES = ("xmrlib/methods/network.py", "xmrlib/stages.py", "xmrlib/train.py")
WORD_SOURCES = ("xmrlib/methods/pair_network.py", "xmrlib/nn/ranking.py", "xmrlib/features/sequences.py")
# The sources that decide a number: the method's own file, and what stands under every row.
METHOD_SOURCES = {
    "CCA": ("xmrlib/methods/cca.py",),
    "KernelCCA": ("xmrlib/methods/cca.py", "xmrlib/methods/kernel_cca.py"),
    "SemanticMatching": ("xmrlib/methods/semantic.py",),
    "CorrAE": ("xmrlib/methods/corr_ae.py", *NETWORK_SOURCES),
    "CCL": (
        "xmrlib/methods/ccl.py",
        "xmrlib/methods/ccl_layers.py",
        "xmrlib/methods/ccl_network.py",
        "xmrlib/methods/corr_ae.py",
        "xmrlib/nn/rbm.py",
        "xmrlib/features/sequences.py",
        *NETWORK_SOURCES,
    ),
    "MCSM": (
        *(f"xmrlib/methods/mcsm{part}.py" for part in ("", "_config", "_fusion", "_network", "_training")),
        "xmrlib/methods/pictures.py",
        "xmrlib/features/words.py",
        *NETWORK_SOURCES,
        *WORD_SOURCES,
    ),
    "CMGANs": (
        *(f"xmrlib/methods/cmgans{part}.py" for part in ("", "_config", "_network", "_training")),
        "xmrlib/methods/mcsm_network.py",
        "xmrlib/methods/mcsm_training.py",
        "xmrlib/methods/pictures.py",
        "xmrlib/features/words.py",
        *NETWORK_SOURCES,
        *WORD_SOURCES,
    ),
    "CRAN": (
        *(f"xmrlib/methods/cran{part}.py" for part in ("", "_config", "_network", "_relations", "_training")),
        "xmrlib/methods/mcsm_network.py",
        "xmrlib/methods/mcsm_training.py",
        "xmrlib/methods/scan.py",
        "xmrlib/nn/cross_attention.py",
        *NETWORK_SOURCES,
        *WORD_SOURCES,
    ),
    "DSCMR": ("xmrlib/methods/dscmr.py", *NETWORK_SOURCES),
    "ACMR": ("xmrlib/methods/acmr.py", *NETWORK_SOURCES),
    "VSE": ("xmrlib/methods/vse.py", *NETWORK_SOURCES, *WORD_SOURCES),
    "SCAN": ("xmrlib/methods/scan.py", "xmrlib/nn/cross_attention.py", *NETWORK_SOURCES, *WORD_SOURCES),
}
SHARED_SOURCES = (
    "xmrlib/methods/base.py",
    "xmrlib/methods/sides.py",
    "xmrlib/methods/several.py",
    "xmrlib/evaluate/precision.py",
    "xmrlib/evaluate/ranks.py",
    "xmrlib/evaluate/recall.py",
)
TEXT_SOURCES = ("xmrlib/features/text.py",)
PICTURE_SOURCES = ("xmrlib/features/views.py", "xmrlib/features/backbones.py", "xmrlib/features/lite0.py")


def data_sources(dataset: str) -> tuple[str, ...]:
    """The loader of a data set: every file of `xmrlib/data` that begins with its name."""
    return tuple(sorted(f"xmrlib/data/{path.name}" for path in (ROOT / "xmrlib/data").glob(f"{dataset}*.py")))


@functools.cache
def code_only(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what is left decides what it computes.

    >>> code_only('def f(x):\\n    "Twice."\\n    return 2 * x  # why\\n')
    'def f(x):\\n    return 2 * x'
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                for row in range(first.lineno - 1, first.end_lineno):
                    lines[row] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def source_hash(paths: Sequence[str], root: Path = ROOT) -> str:
    """One hash of what the files at `paths` compute; a comment, a docstring or a blank line does not change it."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        file = root / path
        digest.update(
            f"{path}\n{code_only(file.read_text(encoding='utf-8')) if file.is_file() else 'missing'}\n".encode()
        )
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    method    as the class is called
    ablation  None for the full method, else its switch in one word
    config    the features and settings in words
    sources   files that decide its numbers, relative to the repository
    """

    method: str
    config: str
    sources: tuple[str, ...]
    ablation: str | None = None

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What tells rows apart."""
        return self.method, self.ablation, self.config


@dataclass(frozen=True)
class Outcome:
    """One training and its evaluation; `chosen` is what the validation split decided."""

    report: Report
    seconds: float
    chosen: dict[str, Any]


class Recipe:
    """The record of one table, in results/NAME.json."""

    def __init__(self, file: str, dataset: str, about: str, sources: Sequence[str], protocol: str = "honest") -> None:
        parser = argparse.ArgumentParser(Path(file).stem, description=about)
        parser.add_argument("--fresh", action="store_true", help="forget what is stored and begin again")
        parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the record")
        options = parser.parse_args()
        self.name = Path(file).stem
        self.path = options.results / f"{self.name}.json"
        self.sources = (*sources, *SHARED_SOURCES, *data_sources(dataset), f"recipes/{Path(file).name}")
        self.reports: dict[tuple, list[Report | None]] = {}
        self.rows: list[dict[str, Any]] = []
        self.head = {"recipe": self.name, "dataset": dataset, "split": "test", "protocol": protocol, "about": about}
        self.chance: dict[str, float] = {}
        self.comparisons: list[dict[str, Any]] = []
        self.stored: dict[str, Any] = {}
        if self.path.is_file() and not options.fresh:
            self.stored = json.loads(self.path.read_text())
            self.chance = self.stored.get("chance", {})

    def row(self, method: str, config: str, ablation: str | None = None) -> Row:
        """A line of the table, with the sources that decide it."""
        sources = (*METHOD_SOURCES[method], *self.sources)
        return Row(method, config, tuple(sorted(set(sources))), ablation)

    def run(self, row: Row, seeds: Sequence[int], once: Callable[[int], Outcome]) -> None:
        """Call `once(seed)` for every seed that is not stored yet, and store each outcome at once.

        While `once` runs, `self.rows[-1]["chosen"]` says what the seeds before it chose.
        """
        fingerprint = source_hash(row.sources)
        entry = {
            "method": row.method, "variant": None, "ablation": row.ablation, "config": row.config,
            "source_hash": fingerprint, "sources": list(row.sources), "seeds": [], "metrics": {}, "intervals": {},
            "chosen": [], "seconds_train": 0.0,
        }  # fmt: skip
        for old in self.stored.get("rows", []):
            same = (old["method"], old["ablation"], old["config"]) == row.key
            if same and old["source_hash"] == fingerprint and old["seeds"] == list(seeds)[: len(old["seeds"])]:
                entry = old
        self.rows.append(entry)
        kept = self.path.parent / ".reports" / f"{self.name}-{_words(row)}-{fingerprint}.pickle".replace("/", " ")
        reports = pickle.loads(kept.read_bytes()) if entry["seeds"] and kept.is_file() else []
        reports = self.reports.setdefault(row.key, [*reports, *[None] * len(entry["seeds"])][: len(entry["seeds"])])
        for seed in list(seeds)[len(entry["seeds"]) :]:
            outcome = once(seed)
            reports.append(outcome.report)
            self._add(entry, seed, outcome)
            self._write()
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(reports))  # for the comparisons of a recipe that was stopped
            shown = ", ".join(f"{name} {value:.3f}" for name, value in outcome.report.metrics.items() if name in _SHOWN)
            print(
                f"{row.method} {row.ablation or ''} ({row.config}), seed {seed}: {shown}  {outcome.chosen}", flush=True
            )
        self._write()

    def _add(self, entry: dict[str, Any], seed: int, outcome: Outcome) -> None:
        from xmrlib.evaluate import over_seeds

        trained = entry["seconds_train"] * len(entry["seeds"])
        entry["seeds"].append(seed)
        entry["chosen"].append(outcome.chosen)
        entry["seconds_train"] = round((trained + outcome.seconds) / len(entry["seeds"]), 2)
        before = [{k: v["values"][i] for k, v in entry["metrics"].items()} for i in range(len(entry["seeds"]) - 1)]
        entry["metrics"] = _rounded(over_seeds([*before, outcome.report.metrics]))
        for name, interval in outcome.report.intervals.items():
            entry["intervals"].setdefault(name, []).append(_rounded(list(interval)))
        if not self.chance:
            self.chance = _rounded(dict(outcome.report.chance))

    def compare(self, first: Row, second: Row, measure: str = "map_avg") -> None:
        """Record the paired difference first - second with its 95 % interval over queries and seeds."""
        from xmrlib.evaluate import compare

        names = {"first": _words(first), "second": _words(second), "measure": measure}
        hashes = [source_hash(row.sources) for row in (first, second)]
        reports = [self.reports.get(row.key, [None]) for row in (first, second)]
        # A method in which nothing is random has one seed, and meets each seed of the other.
        seeds = max(map(len, reports))
        reports = [side * seeds if len(side) == 1 else side for side in reports]
        old = [c for c in self.stored.get("comparisons", []) if names.items() <= c.items() and c["hashes"] == hashes]
        if all(report is not None for side in reports for report in side):
            if len({(report.name, report.images, report.texts) for report in reports[0]}) == 1:
                parts = [compare(*reports, measure=measure)]
            else:  # each seed has a test split of its own: compare on each, and keep the widest of their intervals
                parts = [compare(*pair, measure=measure) for pair in zip(*reports, strict=True)]
            found = {
                "difference": sum(part.value for part in parts) / len(parts),
                "low": min(part.low for part in parts),
                "high": max(part.high for part in parts),
            }
            self.comparisons.append(names | _rounded(found) | {"hashes": hashes})
        elif old:
            self.comparisons.append(old[0])
        else:
            print(f"{names}: both rows must be made in one run to be compared; use --fresh.")
        self._write()

    def _write(self) -> None:
        """All or nothing, so that a record is whole whenever one looks. Rows to come keep their stored numbers."""
        made = {(r["method"], r["ablation"], r["config"]) for r in self.rows}
        later = [r for r in self.stored.get("rows", []) if (r["method"], r["ablation"], r["config"]) not in made]
        record = (
            self.head
            | {"rows": self.rows + later, "comparisons": self.comparisons, "chance": self.chance}
            | about_run()
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.part")
        draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        draft.replace(self.path)

    def close(self) -> None:
        """Leave only the rows that this recipe still has."""
        self.stored = {}
        self._write()
        print(f"wrote {os.path.relpath(self.path)}")


def train_and_report(
    candidates: EmbeddingMethod | Sequence[EmbeddingMethod], data: Pairs, learn_from: str = "train"
) -> Outcome:
    """Fit on a part of `data`, report on its test split.

    candidates  one method, or several settings of it: the best on the validation split goes on
    learn_from  "train": the validation split serves to choose only. "refit": once it has chosen, learn again from
                training and validation pairs together. "both": nothing is left to choose, learn from both at once
    """
    from xmrlib import evaluate

    candidates = [*candidates] if isinstance(candidates, Sequence) else [candidates]
    both = data.select((data.split != "test").nonzero()[0])
    start = time.process_time()
    for model in candidates:
        if learn_from == "both":
            model.fit(both)
        else:
            model.fit(data.train, val=data.val)
    model = (
        candidates[0] if len(candidates) == 1 else max(candidates, key=lambda model: _on_validation(model, data.val))
    )
    chosen = {name: model.facts[name] for name in model.facts if name not in ("validation_score", "sizes")}
    for name, value in vars(model.config).items():
        if any(getattr(other.config, name) != value for other in candidates):
            chosen[name] = value
    seconds = (time.process_time() - start) / len(candidates)
    if learn_from == "refit":
        model = type(model)(replace(model.config, **chosen)).fit(both)
    return Outcome(evaluate.report(model.similarity(data.test), data.test), seconds, _rounded(chosen))


def _on_validation(model: EmbeddingMethod, val: Pairs) -> float:
    """What "validation" means inside a method, for choices that are made outside it."""
    from xmrlib.methods.base import validation_score
    from xmrlib.methods.sides import views_of

    views = views_of(val, model.image_side, model.text_side)
    measure = getattr(model.config, "choose_by", "auto")
    return validation_score(model.embed_images(val.images), model.embed_texts(val.texts), views, measure)


def about_run() -> dict[str, Any]:
    """Where and when a record was made."""
    import torch

    import xmrlib

    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "device": f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "xmrlib": xmrlib.__version__},
        "commit": commit or None,
        "date": datetime.now(UTC).date().isoformat(),
    }


_SHOWN = ("map_i2t", "map_t2i", "map_avg", "r1_i2t", "r1_t2i", "twin_i2t", "twin_t2i")


def _words(row: Row) -> str:
    return " ".join(filter(None, (row.method, row.ablation, f"({row.config})")))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value
