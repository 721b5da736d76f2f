"""The rows that the tables of MCSM share: one training a seed gives both spaces and every way to fuse them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from common import Outcome, Recipe, Row, train_and_report
from rows import scaled_or_not

from xmrlib import CCA, MCSM, CCAConfig, MCSMConfig, SemanticMatching, SemanticMatchingConfig, evaluate
from xmrlib.methods.mcsm_fusion import best_weight, fuse
from xmrlib.methods.sides import Views

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs

SEEDS = (0, 1, 2, 3, 4)
SHARED = ("recipes/mcsm.py", "recipes/rows.py")
# What each ablation needs a training of its own for; all else is as `MCSMConfig.small` has it.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {"mean": {"attention": False}, "feedforward": {"recurrence": False}}
FUSIONS = ("sum", "max", "rank", "product")  # other ways to make one similarity of the two that a training gives


def asked(visual: Tensor, textual: Tensor, how: str, weight: float = 0.5) -> tuple[Tensor, Tensor]:
    """The fused similarities where images ask, and where texts do: r looks at what each query finds."""
    return tuple(fuse(visual, textual, how, weight, axis) for axis in (1, 0))


class Trained:
    """MCSMs that are trained once a seed, however many rows look at them."""

    def __init__(self, cut: Mapping[int, Pairs], settings: Mapping[str, Any]) -> None:
        self.cut, self.settings = cut, settings
        self.found: dict[int, tuple[MCSM, float, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]] = {}

    def outcome(self, seed: int, scores: Callable[..., Any]) -> Outcome:
        """Report what `scores(visual, textual)` makes of the spaces on the test split."""
        data = self.cut[seed]
        if seed not in self.found:
            start = time.process_time()
            model = MCSM(MCSMConfig.small(**self.settings, seed=seed)).fit(data.train, val=data.val)
            seconds = time.process_time() - start
            self.found[seed] = model, seconds, model.spaces(data.val), model.spaces(data.test)
        model, seconds, val, test = self.found[seed]
        scored, chosen = scores(val, test, data)
        epochs = {name: space["epoch"] for name, space in model.facts["spaces"].items()}
        return Outcome(evaluate.report(scored, data.test), seconds, {"epochs": epochs} | chosen)


def mcsm_rows(
    recipe: Recipe, cut: Mapping[int, Pairs], words: str, ablations: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Row]:
    """Train and record CCA, semantic matching, MCSM, its spaces, its fusions and its ablations, and compare.

    cut       the data as each seed splits them
    words     the features in words
    settings  of MCSM alone
    """
    fixed = len({id(pairs) for pairs in cut.values()}) == 1
    rows = {
        "cca": recipe.row("CCA", "Lite0 whole x tf-idf; scaling, ridge, dim by validation"),
        "semantic": recipe.row(
            "SemanticMatching", "Lite0 whole x tf-idf; small networks, scaling, epoch by validation"
        ),
    }
    switches = (None, "visual", "textual", *FUSIONS, "weighted", *ablations)
    rows |= {name or "mcsm": recipe.row("MCSM", f"{words}, small; epoch by validation", name) for name in switches}
    cca = CCAConfig(ridge="validation", dim="validation")
    recipe.run(
        rows["cca"], tuple(cut)[: 1 if fixed else None], lambda s: train_and_report(scaled_or_not(CCA, cca), cut[s])
    )
    networks = SemanticMatchingConfig(classifier="mlp")
    recipe.run(
        rows["semantic"],
        tuple(cut),
        lambda s: train_and_report(scaled_or_not(SemanticMatching, replace(networks, seed=s)), cut[s]),
    )
    full = Trained(cut, settings)
    ways: dict[str, Callable[..., Any]] = {
        "mcsm": lambda val, test, data: (asked(*test, "adaptive"), {}),
        "visual": lambda val, test, data: (test[0], {}),
        "textual": lambda val, test, data: (test[1], {}),
    }
    ways |= {how: lambda val, test, data, how=how: (asked(*test, how), {}) for how in FUSIONS}

    def weighted(val: tuple, test: tuple, data: Pairs) -> tuple[Any, dict[str, float]]:
        split = data.val
        told = Views(
            None, None, torch.as_tensor(split.image_of_text), torch.as_tensor(split.labels), len(split.classes)
        )
        weight = best_weight(*val, told, "adaptive")
        return asked(*test, "adaptive", weight), {"weight": weight}

    ways["weighted"] = weighted
    for name, way in ways.items():
        recipe.run(rows[name], tuple(cut), lambda seed, way=way: full.outcome(seed, way))
    for other in ("cca", "semantic"):
        recipe.compare(rows["mcsm"], rows[other])
    for name in tuple(ways)[1:]:
        recipe.compare(rows["mcsm"], rows[name])
    recipe.compare(rows["visual"], rows["textual"])
    for name in ablations:
        other = Trained(cut, {**settings, **ABLATIONS[name]})
        recipe.run(rows[name], tuple(cut), lambda seed, other=other: other.outcome(seed, ways["mcsm"]))
        recipe.compare(rows["mcsm"], rows[name])
    return rows
