"""The rows that the tables of networks share: every network is tuned in the same way and has the same seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common import Outcome, Recipe, Row, train_and_report
from rows import scaled_or_not

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs
    from xmrlib.methods.network import NetworkConfig, NetworkMethod

SEEDS = (0, 1, 2, 3, 4)
# Every network chooses among these by its own measure on the validation split, with the first seed.
GRID = tuple({"learning_rate": rate, "scaling": scaling} for rate in (1e-3, 3e-3) for scaling in ("none", "standard"))


class Tuned:
    """A network with the settings that do best on the validation split.

    chosen  learning rate and input scaling, once asked for
    """

    def __init__(self, method: type[NetworkMethod], config: NetworkConfig, data: Pairs) -> None:
        self.method, self.config, self.data = method, config, data
        self.best: tuple[NetworkMethod, float] | None = None
        self.chosen: Mapping[str, Any] = {}

    def _fit(self, config: NetworkConfig) -> tuple[NetworkMethod, float]:
        start = time.process_time()
        model = self.method(config).fit(self.data.train, val=self.data.val)
        return model, time.process_time() - start

    def once(self, seed: int) -> Outcome:
        """Train with `seed`; the first seed's winner is taken as it is."""
        from xmrlib import evaluate

        if self.best is None:
            for settings in GRID:
                found = self._fit(replace(self.config, seed=SEEDS[0], **settings))
                score = found[0].facts["validation_score"]
                print(f"  {self.method.__name__} {settings}: validation {score:.3f}, {found[1]:.0f} s", flush=True)
                if self.best is None or score > self.best[0].facts["validation_score"]:
                    self.best, self.chosen = found, settings
        same = seed == SEEDS[0]
        model, seconds = self.best if same else self._fit(replace(self.config, seed=seed, **self.chosen))
        report = evaluate.report(model.similarity(self.data.test), self.data.test)
        return Outcome(report, seconds, {**self.chosen, "epoch": model.facts["epoch"]})


def networks(
    recipe: Recipe, data: Pairs, rows: Mapping[str, tuple[type[NetworkMethod], NetworkConfig, str, str | None]]
) -> dict[str, Row]:
    """The first methods for reference, then the networks: of each its class, settings, words for these, ablation."""
    from xmrlib.methods import CCA, CCAConfig, SemanticMatching, SemanticMatchingConfig

    whole = "Lite0 whole x tf-idf"
    found = {
        "cca": recipe.row("CCA", f"{whole}; scaling, ridge, dim by validation"),
        "semantic": recipe.row("SemanticMatching", f"{whole}; small networks, scaling, epoch by validation"),
    }
    cca = CCAConfig(ridge="validation", dim="validation")
    recipe.run(found["cca"], SEEDS[:1], lambda seed: train_and_report(scaled_or_not(CCA, cca), data))

    def semantic(seed: int) -> Outcome:
        config = SemanticMatchingConfig(classifier="mlp", seed=seed)
        return train_and_report(scaled_or_not(SemanticMatching, config), data)

    recipe.run(found["semantic"], SEEDS, semantic)
    for name, (method, config, words, ablation) in rows.items():
        found[name] = recipe.row(method.__name__, f"{words}; rate, scaling, epoch by validation", ablation)
        recipe.run(found[name], SEEDS, Tuned(method, config, data).once)
    return found


def compare(recipe: Recipe, rows: Mapping[str, Row], orders: Sequence[tuple[str, str, str]]) -> None:
    """Record the difference of each (first, second, measure)."""
    for first, second, measure in orders:
        recipe.compare(rows[first], rows[second], measure)
