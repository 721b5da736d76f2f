"""Networks on emoji: what they add to CCA and to two classifiers, by class and by instance, on OpenMoji drawings."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from networks import compare, networks

from xmrlib import ACMR, DSCMR, VSE, ACMRConfig, DSCMRConfig, VSEConfig, data

SHARED = ("recipes/networks.py", "xmrlib/data/openmoji.py")


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "emoji", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    rows = networks(
        recipe,
        data.load("emoji"),
        {
            "dscmr": (DSCMR, DSCMRConfig.small(), "Lite0 whole x tf-idf", None),
            "acmr": (ACMR, ACMRConfig.small(), "Lite0 whole x tf-idf", None),
            "hardest": (VSE, VSEConfig.small(), "Lite0 whole x words", None),
            "sum": (VSE, VSEConfig.small(negatives="sum"), "Lite0 whole x words", "sum"),
        },
    )
    by_class = [("dscmr", "cca"), ("acmr", "cca"), ("dscmr", "semantic"), ("acmr", "semantic"), ("dscmr", "acmr")]
    by_pair = [("hardest", "sum"), ("hardest", "cca"), ("sum", "cca")]
    orders = [(*pair, "map_avg") for pair in by_class]
    compare(recipe, rows, orders + [(*pair, f"r1_{way}") for pair in by_pair for way in ("i2t", "t2i")])
    recipe.close()


if __name__ == "__main__":
    main()
