"""CRAN on scenes: the levels one by one and added up, trained together and apart, plain pairs, and other methods."""

from __future__ import annotations

from functools import partial

from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe
from cran import SEEDS, SHARED, Beside, Trained, by_chance, only, report_of, with_values
from rows import scaled_or_not

from xmrlib import CCA, SCAN, VSE, CCAConfig, SCANConfig, VSEConfig, data, evaluate

WORDS = "Lite0 whole and regions x words, small; epoch by validation"
LEVELS = ("global", "local", "relation")
SUMS = (("global",), ("local",), ("relation",), ("global", "local"), ("local", "relation"))
MEASURES = ("r1_i2t", "r1_t2i")
TWINS = ("twin_i2t", "twin_t2i", "twin_near")


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    scenes = data.load("scenes")

    def row(name: str | None):
        return recipe.row("CRAN", WORDS, name)

    full = Trained(scenes, look=True)
    rows = {"full": row(None)}
    recipe.run(rows["full"], SEEDS, partial(full.levels, None))
    for levels in SUMS:
        name = " ".join(levels)
        rows[name] = row(name)
        recipe.run(rows[name], SEEDS, partial(full.levels, levels))
    rows["weights"] = row("weights")
    recipe.run(rows["weights"], SEEDS, full.weighted)
    for first, second in (
        ("local", "global"),
        ("local", "relation"),
        ("global local", "global"),
        ("global local", "local"),
        ("local relation", "local"),
        ("local relation", "relation"),
        ("full", "global local"),
        ("full", "local relation"),
        ("weights", "full"),
    ):
        for measure in MEASURES:
            recipe.compare(rows[first], rows[second], measure)

    apart = Trained(scenes, look=True, joint=False)
    for levels in (None, *((level,) for level in LEVELS)):
        name = "apart" if levels is None else f"apart {levels[0]}"
        rows[name] = row(name)
        recipe.run(rows[name], SEEDS, partial(apart.levels, levels))
        together = rows["full" if levels is None else levels[0]]
        for measure in (*MEASURES, *TWINS[:2]) if levels in (None, ("relation",)) else MEASURES:
            recipe.compare(together, rows[name], measure)

    pairs = Trained(scenes, look=True, relation="pairs")
    for levels in (None, *SUMS):
        name = "pairs" if levels is None else f"pairs {' '.join(levels)}"
        rows[name] = row(name)
        recipe.run(rows[name], SEEDS, partial(pairs.levels, levels))
    for first, second in (
        ("pairs global local", "pairs global"),
        ("pairs local", "pairs relation"),
        ("pairs", "pairs global local"),
        ("full", "pairs"),
    ):
        for measure in MEASURES:
            recipe.compare(rows[first], rows[second], measure)
    for measure in TWINS:
        recipe.compare(rows["relation"], rows["pairs relation"], measure)

    def even(_: int) -> Outcome:
        plain = evaluate.report(full.at(SEEDS[0])[1]["local"], scenes.test)
        return Outcome(only(with_values(plain, by_chance(scenes.test)), "pointing"), 0.0, {})

    rows["even"] = row("even")
    recipe.run(rows["even"], SEEDS[:1], even)
    for name in ("full", "pairs"):
        for measure in ("pointing_regions", "pointing_relations"):
            recipe.compare(rows[name], rows["even"], measure)
    recipe.compare(rows["full"], rows["pairs"], "pointing_regions")

    rows["cca"] = recipe.row("CCA", "Lite0 whole x tf-idf; scaling, ridge, dim by validation for recall")
    cca = CCAConfig(ridge="validation", dim="validation", choose_by="recall")

    def first(_: int) -> Outcome:
        tried = [model.fit(scenes.train, val=scenes.val) for model in scaled_or_not(CCA, cca)]
        best = max(tried, key=lambda model: model.facts["validation_score"])
        return Outcome(report_of(best, scenes), 0.0, {})

    recipe.run(rows["cca"], SEEDS[:1], first)
    for name, method, config, words in (
        ("vse", VSE, VSEConfig.small(epochs=20), "Lite0 whole x words, 20 epochs"),
        ("scan", SCAN, SCANConfig.small(epochs=6), "Lite0 regions x words, t2i LSE, 6 epochs"),
    ):
        rows[name] = recipe.row(method.__name__, f"{words}; rate, scaling, epoch by validation for recall")
        recipe.run(rows[name], SEEDS, Beside(method, config, scenes).told)
    for name in ("cca", "vse", "scan"):
        for measure in MEASURES:
            recipe.compare(rows["full"], rows[name], measure)
            recipe.compare(rows["local"], rows[name], measure)
    recipe.close()


if __name__ == "__main__":
    main()
