"""MCSM on emoji: texts of one line, pictures of one thing."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from mcsm import SEEDS, SHARED, first_rows, mcsm_rows

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "emoji", __doc__, sources)
    cut = dict.fromkeys(SEEDS, data.load("emoji"))
    rows, _ = mcsm_rows(recipe, cut, "Lite0 cells x words and tf-idf", ())
    for row in first_rows(recipe, cut, "Lite0 whole x tf-idf", {}).values():
        recipe.compare(rows["mcsm"], row)
    recipe.close()


if __name__ == "__main__":
    main()
