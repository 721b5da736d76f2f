"""The rows that the tables of MCSM share: one training a seed gives both spaces and every way to fuse them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import Outcome, Recipe, Row, train_and_report
from rows import scaled_or_not

from xmrlib import CCA, MCSM, CCAConfig, MCSMConfig, SemanticMatching, SemanticMatchingConfig, evaluate
from xmrlib.methods.mcsm_fusion import best_weight, fuse
from xmrlib.methods.sides import Views

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs
    from xmrlib.evaluate import Report

SEEDS = (0, 1, 2, 3, 4)
SHARED = ("recipes/mcsm.py", "recipes/rows.py")
# What each ablation needs a training of its own for; all else is as `MCSMConfig.small` has it.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {"mean": {"attention": False}, "feedforward": {"recurrence": False}}
FUSIONS = ("sum", "max", "rank", "product")  # other ways to make one similarity of the two that a training gives
# What a model says of each item beside its scores: a value an item by the name of its measure.
Look = Callable[[MCSM, "Pairs"], Mapping[str, np.ndarray]]


def asked(visual: Tensor, textual: Tensor, how: str = "adaptive", weight: float = 0.5) -> tuple[Tensor, Tensor]:
    """The fused similarities where images ask, and where texts do: r looks at what each query finds."""
    return tuple(fuse(visual, textual, how, weight, axis) for axis in (1, 0))


def of_values(report: Report, values: Mapping[str, np.ndarray]) -> Report:
    """`report` with measures that have a value an item in place of its own."""
    intervals = {name: evaluate.bootstrap(found) for name, found in values.items()}
    return replace(
        report,
        metrics={name: float(found.mean()) for name, found in values.items()},
        intervals={name: (found.low, found.high) for name, found in intervals.items()},
        queries={name: [(found, np.arange(len(found)))] for name, found in values.items()},
    )


def with_values(report: Report, values: Mapping[str, np.ndarray]) -> Report:
    """`report`, and beside its own measures those of `values` that are shares of hits."""
    more = of_values(report, {name: found for name, found in values.items() if name.startswith("pointing")})
    return replace(
        report,
        metrics=report.metrics | more.metrics,
        intervals=report.intervals | more.intervals,
        queries=report.queries | more.queries,
    )


class Trained:
    """MCSMs that are trained once a seed, however many rows look at them."""

    def __init__(self, cut: Mapping[int, Pairs], settings: Mapping[str, Any], look: Look | None = None) -> None:
        self.cut, self.settings, self.look = cut, settings, look
        self.found: dict[int, tuple[Any, ...]] = {}

    def at(self, seed: int) -> tuple[Any, ...]:
        """Both spaces on the validation and on the test split, values an item, processor seconds and epochs."""
        if seed not in self.found:
            data, start = self.cut[seed], time.process_time()
            model = MCSM(MCSMConfig.small(**self.settings, seed=seed)).fit(data.train, val=data.val)
            seconds = time.process_time() - start
            epochs = {name: space["epoch"] for name, space in model.facts["spaces"].items()}
            values = {} if self.look is None else self.look(model, data.test)
            self.found[seed] = model.spaces(data.val), model.spaces(data.test), values, seconds, epochs
        return self.found[seed]

    def fused(self, how: str, seed: int) -> Outcome:
        """Report one way to fuse the spaces."""
        _, test, values, seconds, epochs = self.at(seed)
        found = with_values(evaluate.report(asked(*test, how), self.cut[seed].test), values)
        return Outcome(found, seconds, {"epochs": epochs})

    def alone(self, place: int, seed: int) -> Outcome:
        """Report one space."""
        _, test, values, seconds, epochs = self.at(seed)
        found = with_values(evaluate.report(test[place], self.cut[seed].test), values)
        return Outcome(found, seconds, {"epochs": epochs})

    def weighted(self, seed: int) -> Outcome:
        """Report the adaptive fusion with the weight that is best on the validation split."""
        val, test, _, seconds, epochs = self.at(seed)
        split = self.cut[seed].val
        told = Views(
            None, None, torch.as_tensor(split.image_of_text), torch.as_tensor(split.labels), len(split.classes)
        )
        weight = best_weight(*val, told, "adaptive")
        found = evaluate.report(asked(*test, "adaptive", weight), self.cut[seed].test)
        return Outcome(found, seconds, {"epochs": epochs, "weight": weight})


def first_rows(recipe: Recipe, cut: Mapping[int, Pairs], words: str, views: Mapping[str, Any]) -> dict[str, Row]:
    """CCA and semantic matching with small networks, as the tables of CCL have them."""
    fixed = len({id(pairs) for pairs in cut.values()}) == 1
    rows = {
        "cca": recipe.row("CCA", f"{words}; scaling, ridge, dim by validation"),
        "semantic": recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation"),
    }
    cca = CCAConfig(**views, ridge="validation", dim="validation")
    recipe.run(
        rows["cca"], tuple(cut)[: 1 if fixed else None], lambda s: train_and_report(scaled_or_not(CCA, cca), cut[s])
    )
    networks = SemanticMatchingConfig(**views, classifier="mlp")
    recipe.run(
        rows["semantic"],
        tuple(cut),
        lambda s: train_and_report(scaled_or_not(SemanticMatching, replace(networks, seed=s)), cut[s]),
    )
    return rows


def mcsm_rows(
    recipe: Recipe,
    cut: Mapping[int, Pairs],
    words: str,
    ablations: Sequence[str] = tuple(ABLATIONS),
    settings: Mapping[str, Any] | None = None,
    look: Look | None = None,
) -> tuple[dict[str, Row], dict[str, Trained]]:
    """Train and record MCSM, its spaces, its fusions and its ablations, and compare.

    cut       the data as each seed splits them
    words     the features in words
    settings  of MCSM alone
    look      what else is measured of the full method and of each ablation

    Of an ablation both spaces have rows of their own, "visual-mean" beside "mean". Returns the rows, and who made them.
    """
    settings = dict(settings or {})

    def row(name: str | None) -> Row:
        return recipe.row("MCSM", f"{words}, small; epoch by validation", name)

    trained = {"mcsm": (full := Trained(cut, settings, look))}
    rows = {name or "mcsm": row(name) for name in (None, "visual", "textual", *FUSIONS, "weighted")}
    recipe.run(rows["mcsm"], tuple(cut), lambda seed: full.fused("adaptive", seed))
    for place, name in enumerate(("visual", "textual")):
        recipe.run(rows[name], tuple(cut), lambda seed, place=place: full.alone(place, seed))
    for how in FUSIONS:
        recipe.run(rows[how], tuple(cut), lambda seed, how=how: full.fused(how, seed))
    recipe.run(rows["weighted"], tuple(cut), full.weighted)
    for name in ("visual", "textual", *FUSIONS, "weighted"):
        recipe.compare(rows["mcsm"], rows[name])
    recipe.compare(rows["visual"], rows["textual"])
    recipe.compare(rows["sum"], rows["visual"])
    for name in ablations:
        other = trained[name] = Trained(cut, settings | ABLATIONS[name], look)
        rows[name] = row(name)
        recipe.run(rows[name], tuple(cut), lambda seed, other=other: other.fused("adaptive", seed))
        recipe.compare(rows["mcsm"], rows[name])
        for place, space in enumerate(("visual", "textual")):
            rows[f"{space}-{name}"] = row(f"{space}-{name}")
            recipe.run(
                rows[f"{space}-{name}"], tuple(cut), lambda seed, other=other, place=place: other.alone(place, seed)
            )
            recipe.compare(rows[space], rows[f"{space}-{name}"])
    return rows, trained
