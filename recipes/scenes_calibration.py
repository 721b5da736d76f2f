"""Is scenes-1 neither too easy nor too hard? Two first methods, and an oracle that reads the truth.

Semantic matching has to reach between .5 and .8 MAP, and CCA, tuned for recall, less than .3 Recall@1 with 1,000
pictures in the gallery: room above both, up to the oracle. Each seed is a world of its own, made from that seed; the
first is scenes-1.

    python recipes/scenes_calibration.py
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe, Row, train_and_report

from xmrlib import data, evaluate
from xmrlib.data.pairs import Pairs
from xmrlib.data.scenes_oracle import oracle
from xmrlib.methods import CCA, CCAConfig, SemanticMatching, SemanticMatchingConfig

SEEDS = (1, 2, 3)
WORDS = "Lite0 whole x tf-idf"


@lru_cache(maxsize=len(SEEDS))
def world(seed: int) -> Pairs:
    """The scenes of one seed."""
    return data.load("scenes", seed=seed)


def read_truth(seed: int, relations: bool) -> Outcome:
    """What one scores who knows the objects and boxes of each picture and what each text says."""
    pairs = world(seed)
    scores = torch.from_numpy(oracle(pairs.train, pairs.test, relations))
    return Outcome(evaluate.report(scores, pairs.test), 0.0, {})


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__.splitlines()[0], ("xmrlib/data/openmoji.py",))
    seen = (*recipe.sources, *TEXT_SOURCES, *PICTURE_SOURCES)
    matching = recipe.row("SemanticMatching", f"{WORDS}; logistic regressions, C by validation")
    cca = recipe.row("CCA", f"{WORDS}; ridge, dim by validation for recall")
    rows = {
        "matching": replace(matching, sources=tuple(sorted({*matching.sources, *seen}))),
        "cca": replace(cca, sources=tuple(sorted({*cca.sources, *seen}))),
        "oracle": Row("Oracle", "objects, boxes, what is said", tuple(sorted(set(recipe.sources)))),
        "objects": Row("Oracle", "objects, what is said of them", tuple(sorted(set(recipe.sources))), "relations"),
    }
    recipe.run(rows["oracle"], SEEDS, lambda seed: read_truth(seed, True))
    recipe.run(rows["objects"], SEEDS, lambda seed: read_truth(seed, False))
    by_recall = CCAConfig(ridge="validation", dim="validation", choose_by="recall")
    by_class = SemanticMatchingConfig(image_c="validation", text_c="validation")
    recipe.run(rows["matching"], SEEDS, lambda seed: train_and_report(SemanticMatching(by_class), world(seed)))
    recipe.run(rows["cca"], SEEDS, lambda seed: train_and_report(CCA(by_recall), world(seed)))
    recipe.compare(rows["oracle"], rows["objects"], "r1_i2t")
    recipe.close()


if __name__ == "__main__":
    main()
