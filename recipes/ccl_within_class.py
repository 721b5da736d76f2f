"""Scenes, each query against the items of its own class only: what is known of a pair beyond its class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from ccl import SEEDS, SHARED
from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe
from rows import scaled_or_not

from xmrlib import (
    CCA,
    CCL,
    CCAConfig,
    CCLConfig,
    CorrAE,
    CorrAEConfig,
    SemanticMatching,
    SemanticMatchingConfig,
    data,
    evaluate,
)

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs
    from xmrlib.methods import EmbeddingMethod

ELSEWHERE = -2.0  # below every cosine: items of other classes come last


def within_class(scores: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """(n, m) scores with those of other classes moved to the end of every list."""
    labels = torch.as_tensor(pairs.labels)
    return scores.where(labels[:, None] == labels[torch.as_tensor(pairs.image_of_text)], ELSEWHERE)


def outcome(candidates: Sequence[EmbeddingMethod], pairs: Pairs) -> Outcome:
    """Train each, and report on the test split the one that is best within the classes of the validation split."""
    start, val, test = time.process_time(), *(replace(p, labels=None, classes=()) for p in (pairs.val, pairs.test))
    found = []
    for model in candidates:
        model.fit(pairs.train, val=pairs.val)
        metrics = evaluate.report(within_class(model.similarity(pairs.val), pairs.val), val).metrics
        found.append((metrics["r10_i2t"] + metrics["r10_t2i"], -len(found), model))
    model = max(found)[2]
    seconds = (time.process_time() - start) / len(found)
    report = evaluate.report(within_class(model.similarity(pairs.test), pairs.test), test)
    chosen = {name: value for name, value in vars(model.config).items() if name in ("standardise", "scaling")}
    return Outcome(report, seconds, chosen)


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py"))
    pairs = data.load("scenes")
    words = "within each class, Lite0 x tf-idf"
    cca = recipe.row("CCA", f"{words}; scaling, ridge, dim by validation")
    semantic = recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation")
    corr_ae = recipe.row("CorrAE", f"{words}; epoch by validation")
    full = recipe.row("CCL", f"{words}, whole and parts, small; epoch by validation")
    pairs_only = recipe.row("CCL", f"{words}, whole and parts, small; epoch by validation", "unsupervised")
    tuned = CCAConfig(ridge="validation", dim="validation", choose_by="recall")
    networks = SemanticMatchingConfig(classifier="mlp")
    recipe.run(cca, SEEDS[:1], lambda s: outcome(scaled_or_not(CCA, tuned), pairs))
    recipe.run(semantic, SEEDS, lambda s: outcome(scaled_or_not(SemanticMatching, replace(networks, seed=s)), pairs))
    recipe.run(corr_ae, SEEDS, lambda s: outcome([CorrAE(CorrAEConfig.small(seed=s, choose_by="recall"))], pairs))
    recipe.run(full, SEEDS, lambda s: outcome([CCL(CCLConfig.small(seed=s, choose_by="recall"))], pairs))
    recipe.run(
        pairs_only,
        SEEDS,
        lambda s: outcome([CCL(CCLConfig.small(seed=s, choose_by="recall", supervised=False))], pairs),
    )
    for other in (cca, semantic, corr_ae, pairs_only):
        for measure in ("r10_i2t", "r10_t2i"):
            recipe.compare(full, other, measure)
    recipe.close()


if __name__ == "__main__":
    main()
