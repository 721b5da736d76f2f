"""CRAN on 1,000 photographs of Flickr8k: grid regions, five captions each, 200 photographs to test, levels added up.

700 photographs to learn from, 100 to choose by, 200 to test on, shuffled by the seed. Regions are the 49 cells of the
last map of Lite0, whose receptive fields reach far beyond a cell.
"""

from __future__ import annotations

import time
from functools import partial

from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe, train_and_report
from cran import SHARED
from rows import scaled_or_not

from xmrlib import CCA, CRAN, VSE, CCAConfig, CRANConfig, VSEConfig, data, evaluate

SEEDS = (0, 1, 2, 3, 4)
WORDS = "Lite0 whole and 49 cells x words, small; epoch by validation"
SUMS = (("global",), ("local",), ("relation",), ("global", "local"), ("local", "relation"))
SETTINGS = {"image_regions": "grid", "batch": 32, "epochs": 8, "lower_after": 6}
FORMS = {"": {"relation": "grounded"}, "pairs": {"relation": "pairs"}}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "flickr8k", __doc__.splitlines()[0], (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    cut = {seed: data.load("flickr8k", split="seeded", seed=seed, verify=seed == 0) for seed in SEEDS}
    rows, kept = {}, {}

    def scores(form: str, seed: int) -> tuple:
        if (form, seed) not in kept:
            start, pairs = time.process_time(), cut[seed]
            config = CRANConfig.small(**SETTINGS, **FORMS[form], seed=seed)
            model = CRAN(config).fit(pairs.train, val=pairs.val)
            seconds = time.process_time() - start
            kept[form, seed] = model.level_scores(pairs.test), seconds, model.facts["epoch"]
        return kept[form, seed]

    def levels(form: str, names: tuple[str, ...] | None, seed: int) -> Outcome:
        found, seconds, epoch = scores(form, seed)
        total = sum(found[name] for name in names or found)
        return Outcome(evaluate.report(total, cut[seed].test), seconds, {"epoch": epoch})

    for form in FORMS:
        for names in (None, *SUMS):
            name = " ".join(filter(None, (form, *(names or ())))) or None
            rows[name] = recipe.row("CRAN", WORDS, name)
            recipe.run(rows[name], SEEDS, partial(levels, form, names))
    cca = CCAConfig(ridge="validation", dim="validation", choose_by="recall")
    rows["cca"] = recipe.row(
        "CCA", "Lite0 whole x tf-idf of each caption; scaling, ridge, dim by validation for recall"
    )
    recipe.run(rows["cca"], SEEDS, lambda seed: train_and_report(scaled_or_not(CCA, cca), cut[seed]))
    rows["vse"] = recipe.row("VSE", "Lite0 whole x words, small, 20 epochs; epoch by validation")
    vse = partial(VSEConfig.small, epochs=20)
    recipe.run(rows["vse"], SEEDS, lambda seed: train_and_report(VSE(vse(seed=seed)), cut[seed]))
    for first, second in (
        ("global local", "global"),
        ("global local", "local"),
        ("local relation", "local"),
        (None, "global local"),
        (None, "pairs"),
        (None, "cca"),
        (None, "vse"),
        ("global", "vse"),
    ):
        for measure in ("r1_i2t", "r1_t2i", "r10_i2t", "r10_t2i"):
            recipe.compare(rows[first], rows[second], measure)
    recipe.close()


if __name__ == "__main__":
    main()
