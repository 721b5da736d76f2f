"""CCL on Open Clip Art: 14 classes, class words removed from the texts, split by group; the seed splits."""

from __future__ import annotations

from ccl import SEEDS, SHARED, ccl_rows
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "openclipart", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    cut = {seed: data.load("openclipart", seed=seed) for seed in SEEDS}
    ccl_rows(recipe, cut, "Lite0 x tf-idf, whole and parts", ["coarse", "intra", "softmax", "contrastive"])
    recipe.close()


if __name__ == "__main__":
    main()
