"""MCSM on Open Clip Art: 14 classes, class words removed from the texts, split by group; the seed splits."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from mcsm import SEEDS, SHARED, first_rows, mcsm_rows

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "openclipart", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    cut = {seed: data.load("openclipart", seed=seed) for seed in SEEDS}
    rows, _ = mcsm_rows(recipe, cut, "Lite0 cells x words and tf-idf", ())
    for row in first_rows(recipe, cut, "Lite0 whole x tf-idf", {}).values():
        recipe.compare(rows["mcsm"], row)
    recipe.close()


if __name__ == "__main__":
    main()
