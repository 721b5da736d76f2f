"""Networks that learn pairs, on scenes-1: VSE with its hardest or all negatives, SCAN on regions, CCA beside them."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe, train_and_report
from networks import Tuned, compare
from rows import scaled_or_not

from xmrlib import CCA, SCAN, VSE, CCAConfig, SCANConfig, VSEConfig, data

SHARED = ("recipes/networks.py", "recipes/rows.py", "xmrlib/data/openmoji.py")
SEEDS = (0, 1, 2, 3, 4)
WAYS = ("i2t", "t2i")


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    scenes = data.load("scenes")
    rows = {"cca": recipe.row("CCA", "Lite0 whole x tf-idf; scaling, ridge, dim by validation for recall")}
    cca = CCAConfig(ridge="validation", dim="validation", choose_by="recall")
    recipe.run(rows["cca"], SEEDS[:1], lambda seed: train_and_report(scaled_or_not(CCA, cca), scenes))
    twenty = {"epochs": 20}
    for name, method, config, words in (
        ("hardest", VSE, VSEConfig.small(**twenty), "Lite0 whole x words, 20 epochs"),
        ("sum", VSE, VSEConfig.small(**twenty, negatives="sum"), "Lite0 whole x words, 20 epochs"),
        ("scan", SCAN, SCANConfig.small(epochs=6), "Lite0 regions x words, t2i LSE, 6 epochs"),
    ):
        ablation = "sum" if name == "sum" else None
        rows[name] = recipe.row(method.__name__, f"{words}; rate, scaling, epoch by validation for recall", ablation)
        recipe.run(rows[name], SEEDS, Tuned(method, config, scenes).once)
    by_pair = [("hardest", "sum"), ("hardest", "cca"), ("sum", "cca"), ("scan", "cca")]
    compare(
        recipe, rows, [(*pair, f"{measure}_{way}") for pair in by_pair for measure in ("r1", "r10") for way in WAYS]
    )
    recipe.close()


if __name__ == "__main__":
    main()
