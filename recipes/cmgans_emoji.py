"""CM-GANs on emoji: texts of one line, pictures of one thing."""

from __future__ import annotations

from cmgans import SEEDS, SHARED, cmgans_rows
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "emoji", __doc__, sources)
    cut = dict.fromkeys(SEEDS, data.load("emoji"))
    cmgans_rows(recipe, cut, "Lite0 x tf-idf", ccl={"scaling": "standard"})
    recipe.close()


if __name__ == "__main__":
    main()
