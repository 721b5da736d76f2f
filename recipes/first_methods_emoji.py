"""The first methods on emoji: OpenMoji drawings and their names and keywords, 9 groups as classes, split by family."""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from rows import first_methods

from xmrlib import data

SEEDS = (0, 1, 2)


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "emoji", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, "xmrlib/data/openmoji.py"))
    cut = {seed: data.load("emoji", seed=seed) for seed in SEEDS}
    first_methods(recipe, cut, "Lite0 whole x tf-idf", {}, {})
    recipe.close()


if __name__ == "__main__":
    main()
