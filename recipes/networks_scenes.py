"""Networks that learn classes, on scenes-1: what they add to CCA and to two classifiers, by class and on twins."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from networks import compare, networks

from xmrlib import ACMR, DSCMR, ACMRConfig, DSCMRConfig, data

SHARED = ("recipes/networks.py", "recipes/rows.py", "xmrlib/data/openmoji.py")
SHORT = {"epochs": 15}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    rows = networks(
        recipe,
        data.load("scenes"),
        {
            "dscmr": (DSCMR, DSCMRConfig.small(**SHORT), "Lite0 whole x tf-idf, 15 epochs", None),
            "acmr": (ACMR, ACMRConfig.small(**SHORT), "Lite0 whole x tf-idf, 15 epochs", None),
        },
    )
    by_class = [("dscmr", "cca"), ("acmr", "cca"), ("dscmr", "semantic"), ("acmr", "semantic"), ("dscmr", "acmr")]
    compare(recipe, rows, [(*pair, "map_avg") for pair in by_class])
    recipe.close()


if __name__ == "__main__":
    main()
