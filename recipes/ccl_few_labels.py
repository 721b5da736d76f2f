"""What CCL makes of 3,000 pairs of scenes when the classes of only 100 of them are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ccl import SEEDS, SHARED, fitted
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe, train_and_report
from rows import scaled_or_not

from xmrlib import CCA, CCL, CCAConfig, CCLConfig, SemanticMatching, SemanticMatchingConfig, data

KNOWN = 100
# Small batches and more rounds over what is known, so that the classifiers take about as many steps as elsewhere.
STEPS = {"batch": 20, "supervised_epochs": 80, "epochs": 40}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py"))
    pairs = data.load("scenes")
    train, others = (np.flatnonzero(where) for where in (pairs.split == "train", pairs.split != "train"))

    def few(seed: int) -> data.Pairs:
        """The pairs that `CCLConfig(labelled=KNOWN, seed=seed)` knows the classes of, and the other splits."""
        told = np.random.default_rng(seed).choice(len(train), KNOWN, replace=False)
        return pairs.select(np.concatenate([train[told], others]))

    cca = recipe.row("CCA", "3,000 pairs, no classes; scaling, ridge, dim by validation")
    semantic = recipe.row(
        "SemanticMatching", f"{KNOWN} classes, no pairs; small networks, scaling, epoch by validation"
    )
    full = recipe.row("CCL", f"3,000 pairs, {KNOWN} classes, small; epoch by validation")
    alone = recipe.row("CCL", f"{KNOWN} pairs, {KNOWN} classes, small; epoch by validation", f"{KNOWN} pairs")
    tuned = CCAConfig(ridge="validation", dim="validation")
    recipe.run(cca, SEEDS[:1], lambda seed: train_and_report(scaled_or_not(CCA, tuned), pairs))
    networks = SemanticMatchingConfig(classifier="mlp", batch=STEPS["batch"], epochs=STEPS["supervised_epochs"])
    recipe.run(
        semantic, SEEDS, lambda s: train_and_report(scaled_or_not(SemanticMatching, replace(networks, seed=s)), few(s))
    )
    recipe.run(full, SEEDS, lambda s: fitted(CCL, CCLConfig.small(**STEPS, labelled=KNOWN, seed=s), pairs))
    recipe.run(alone, SEEDS, lambda s: fitted(CCL, CCLConfig.small(**STEPS, seed=s), few(s)))
    for other in (cca, semantic, alone):
        recipe.compare(full, other)
    recipe.close()


if __name__ == "__main__":
    main()
