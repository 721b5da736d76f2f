"""The rows that the tables of CCL share: the full method, each of its switches, and the first methods beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common import Outcome, Recipe, Row, train_and_report
from rows import scaled_or_not

from xmrlib import CCA, CCL, CCAConfig, CCLConfig, CorrAE, CorrAEConfig, SemanticMatching, SemanticMatchingConfig

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs

SEEDS = (0, 1, 2, 3, 4)
SHARED = ("recipes/ccl.py", "recipes/rows.py")
SCALINGS = ("standard", "even")  # each row chooses with its first seed, as semantic matching does with every seed
# What each ablation sets; all else is as the full method has it.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "frozen": {"fine_tune": 0.0},  # A to C stay as they are in 1 D, and train for longer
    "coarse": {"grains": "coarse"},
    "intra": {"correlation": 0.0},
    "softmax": {"contrastive": 0.0},
    "contrastive": {"classification": 0.0},
    "unsupervised": {"supervised": False},
    "fine": {"grains": "fine"},
    "inter": {"correlation": 1.0},
    "learned": {"balance": "learned"},
}


def fitted(method: type, config: Any, data: Pairs) -> Outcome:
    """One training on the training split, its epochs chosen on the validation split."""
    from xmrlib import evaluate

    start = time.process_time()
    model = method(config).fit(data.train, val=data.val)
    seconds = time.process_time() - start
    report = evaluate.report(model.similarity(data.test), data.test)
    return Outcome(report, seconds, {"epoch": model.facts["epoch"]})


def ccl_rows(
    recipe: Recipe,
    cut: Mapping[int, Pairs],
    words: str,
    ablations: Sequence[str],
    views: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Row]:
    """Train and record CCA, semantic matching, Corr-AE, CCL and its ablations, and compare each with the full method.

    cut       the data as each seed splits them
    words     the features in words
    views     the features, as settings that every method takes
    settings  of CCL alone
    """
    views, fixed = views or {}, len({id(pairs) for pairs in cut.values()}) == 1
    rows = {
        "cca": recipe.row("CCA", f"{words}; scaling, ridge, dim by validation"),
        "semantic": recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation"),
        "corr_ae": recipe.row("CorrAE", f"{words}; epoch by validation"),
        "ccl": recipe.row("CCL", f"{words}, small; scaling, epoch by validation"),
    }
    rows |= {name: recipe.row("CCL", f"{words}, small; scaling, epoch by validation", name) for name in ablations}
    cca = CCAConfig(**views, ridge="validation", dim="validation")
    recipe.run(
        rows["cca"], tuple(cut)[: 1 if fixed else None], lambda s: train_and_report(scaled_or_not(CCA, cca), cut[s])
    )

    def semantic(seed: int) -> Outcome:
        config = SemanticMatchingConfig(**views, classifier="mlp", seed=seed)
        return train_and_report(scaled_or_not(SemanticMatching, config), cut[seed])

    recipe.run(rows["semantic"], tuple(cut), semantic)
    recipe.run(
        rows["corr_ae"],
        tuple(cut),
        lambda seed: fitted(CorrAE, CorrAEConfig.small(**views, seed=seed), cut[seed]),
    )
    for name in ("ccl", *ablations):
        config = {**views, **(settings or {}), **ABLATIONS.get(name, {})}

        def ccl(seed: int, config: Mapping[str, Any] = config) -> Outcome:
            if seed == next(iter(cut)):
                candidates = [CCL(CCLConfig.small(**config, scaling=how, seed=seed)) for how in SCALINGS]
                return train_and_report(candidates, cut[seed])
            known = recipe.rows[-1]["chosen"][0]["scaling"]
            return fitted(CCL, CCLConfig.small(**config, scaling=known, seed=seed), cut[seed])

        recipe.run(rows[name], tuple(cut), ccl)
        for other in ("cca", "semantic", "corr_ae") if name == "ccl" else (name,):
            recipe.compare(rows["ccl"], rows[other])
    return rows
