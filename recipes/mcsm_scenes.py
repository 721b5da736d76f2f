"""MCSM on scenes: both spaces, each by itself, every fusion, and what attention and recurrence add."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from mcsm import ABLATIONS, SEEDS, SHARED, mcsm_rows

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    pairs = data.load("scenes")
    mcsm_rows(recipe, dict.fromkeys(SEEDS, pairs), "Lite0 cells x words and tf-idf", list(ABLATIONS), {})
    recipe.close()


if __name__ == "__main__":
    main()
