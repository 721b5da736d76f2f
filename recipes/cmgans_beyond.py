"""CM-GANs beyond two classifiers: few labels, classes that were in no training pair, and order within a class.

Scenes. "few": 3,000 pairs, the classes of only 100 of them known. "unseen": three classes in the test split only.
"within": each query against the items of its own class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ccl import fitted
from ccl_few_labels import KNOWN, STEPS
from ccl_unseen_classes import UNSEEN
from ccl_within_class import outcome
from cmgans import SEEDS, SHARED
from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe, train_and_report
from rows import scaled_or_not

from xmrlib import CMGANs, CMGANsConfig, SemanticMatching, SemanticMatchingConfig, data

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs

OTHERS = tuple(f"recipes/ccl_{name}.py" for name in ("few_labels", "unseen_classes", "within_class"))


def semantic(seed: int, pairs: Pairs, **settings: int) -> Outcome:
    """Semantic matching, its scaling chosen on the validation split."""
    config = SemanticMatchingConfig(classifier="mlp", seed=seed, **settings)
    return train_and_report(scaled_or_not(SemanticMatching, config), pairs)


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, *OTHERS, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    pairs = data.load("scenes")
    train, others = (np.flatnonzero(where) for where in (pairs.split == "train", pairs.split != "train"))

    def few(seed: int) -> Pairs:
        told = np.random.default_rng(seed).choice(len(train), KNOWN, replace=False)
        return pairs.select(np.concatenate([train[told], others]))

    def cut(seed: int) -> Pairs:
        unseen = np.isin(pairs.labels, np.random.default_rng(seed).choice(len(pairs.classes), UNSEEN, replace=False))
        return pairs.select(unseen == (pairs.split == "test"))

    full = recipe.row("CMGANs", f"3,000 pairs, {KNOWN} classes, small; epoch by validation")
    alone = recipe.row("CMGANs", f"{KNOWN} pairs, {KNOWN} classes, small; epoch by validation", f"{KNOWN} pairs")
    other = recipe.row("SemanticMatching", f"{KNOWN} classes, no pairs; small networks, scaling, epoch by validation")
    steps = {"batch": STEPS["batch"], "epochs": STEPS["supervised_epochs"], "halve_after": 30}
    recipe.run(full, SEEDS, lambda s: fitted(CMGANs, CMGANsConfig.small(labelled=KNOWN, seed=s), pairs))
    recipe.run(alone, SEEDS, lambda s: fitted(CMGANs, CMGANsConfig.small(**steps, seed=s), few(s)))
    given = {"batch": STEPS["batch"], "epochs": STEPS["supervised_epochs"]}
    recipe.run(other, SEEDS, lambda s: semantic(s, few(s), **given))
    recipe.compare(full, alone)
    recipe.compare(full, other)

    words = f"{UNSEEN} of {len(pairs.classes)} classes in the test split only"
    full = recipe.row("CMGANs", f"{words}, small; epoch by validation")
    other = recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation")
    recipe.run(full, SEEDS, lambda s: fitted(CMGANs, CMGANsConfig.small(seed=s), cut(s)))
    recipe.run(other, SEEDS, lambda s: semantic(s, cut(s)))
    for measure in ("map_avg", "r10_t2i"):
        recipe.compare(full, other, measure)

    words = "within each class, Lite0 x tf-idf"
    full = recipe.row("CMGANs", f"{words}, small; epoch by validation")
    pairs_only = recipe.row("CMGANs", f"{words}, small; epoch by validation", "unsupervised")
    other = recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation")
    recall = CMGANsConfig.small(choose_by="recall", differ_in="image")
    recipe.run(full, SEEDS, lambda s: outcome([CMGANs(replace(recall, seed=s))], pairs))
    recipe.run(pairs_only, SEEDS, lambda s: outcome([CMGANs(replace(recall, semantic=0.0, seed=s))], pairs))
    networks = SemanticMatchingConfig(classifier="mlp")
    recipe.run(other, SEEDS, lambda s: outcome(scaled_or_not(SemanticMatching, replace(networks, seed=s)), pairs))
    for second in (pairs_only, other):
        for measure in ("r10_i2t", "r10_t2i"):
            recipe.compare(full, second, measure)
    recipe.close()


if __name__ == "__main__":
    main()
