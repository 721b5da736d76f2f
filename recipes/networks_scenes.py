"""Networks on scenes-1: by class, by instance, and on twins; SCAN looks at regions, the others at the whole picture."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from networks import compare, networks

from xmrlib import ACMR, DSCMR, SCAN, VSE, ACMRConfig, DSCMRConfig, SCANConfig, VSEConfig, data

SHARED = ("recipes/networks.py", "xmrlib/data/openmoji.py")
# Half of the papers' 30 epochs, and a quarter: forty networks are to be trained on one core.
SHORT, SHORTER = {"epochs": 15}, {"epochs": 8}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    rows = networks(
        recipe,
        data.load("scenes"),
        {
            "dscmr": (DSCMR, DSCMRConfig.small(**SHORT), "Lite0 whole x tf-idf, 15 epochs", None),
            "acmr": (ACMR, ACMRConfig.small(**SHORT), "Lite0 whole x tf-idf, 15 epochs", None),
            "hardest": (VSE, VSEConfig.small(**SHORT), "Lite0 whole x words, 15 epochs", None),
            "sum": (VSE, VSEConfig.small(**SHORT, negatives="sum"), "Lite0 whole x words, 15 epochs", "sum"),
            "scan": (SCAN, SCANConfig.small(**SHORTER), "Lite0 regions x words, t2i LSE, 8 epochs", None),
        },
    )
    by_class = [("dscmr", "cca"), ("acmr", "cca"), ("dscmr", "semantic"), ("acmr", "semantic"), ("dscmr", "acmr")]
    by_pair = [("hardest", "sum"), ("hardest", "cca"), ("sum", "cca"), ("scan", "hardest"), ("scan", "sum")]
    orders = [(*pair, "map_avg") for pair in by_class]
    compare(recipe, rows, orders + [(*pair, f"r1_{way}") for pair in by_pair for way in ("i2t", "t2i")])
    recipe.close()


if __name__ == "__main__":
    main()
