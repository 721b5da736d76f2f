"""Scenes of three classes that were in no training pair: what is left of what the other seven taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ccl import SEEDS, SHARED, fitted
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe, train_and_report
from rows import scaled_or_not

from xmrlib import CCA, CCL, CCAConfig, CCLConfig, SemanticMatching, SemanticMatchingConfig, data

UNSEEN = 3


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py"))
    pairs = data.load("scenes")
    cut = {}
    for seed in SEEDS:
        unseen = np.isin(pairs.labels, np.random.default_rng(seed).choice(len(pairs.classes), UNSEEN, replace=False))
        cut[seed] = pairs.select(unseen == (pairs.split == "test"))
    words = f"{UNSEEN} of {len(pairs.classes)} classes in the test split only"
    cca = recipe.row("CCA", f"{words}; scaling, ridge, dim by validation")
    semantic = recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation")
    full = recipe.row("CCL", f"{words}, small; epoch by validation")
    tuned, networks = CCAConfig(ridge="validation", dim="validation"), SemanticMatchingConfig(classifier="mlp")
    recipe.run(cca, SEEDS, lambda s: train_and_report(scaled_or_not(CCA, tuned), cut[s]))
    recipe.run(
        semantic, SEEDS, lambda s: train_and_report(scaled_or_not(SemanticMatching, replace(networks, seed=s)), cut[s])
    )
    recipe.run(full, SEEDS, lambda s: fitted(CCL, CCLConfig.small(seed=s), cut[s]))
    for other in (cca, semantic):
        for measure in ("map_avg", "r10_t2i"):
            recipe.compare(full, other, measure)
    recipe.close()


if __name__ == "__main__":
    main()
