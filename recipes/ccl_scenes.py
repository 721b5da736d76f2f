"""CCL on scenes: the full method, its ablations, and the simple methods that it must be measured against."""

from __future__ import annotations

from ccl import ABLATIONS, SEEDS, SHARED, ccl_rows
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    pairs = data.load("scenes")
    ccl_rows(recipe, dict.fromkeys(SEEDS, pairs), "Lite0 x tf-idf, whole and parts", list(ABLATIONS))
    recipe.close()


if __name__ == "__main__":
    main()
