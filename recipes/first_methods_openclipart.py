"""The first methods on Open Clip Art: 14 classes, class words removed from the texts, split by group.

The seed splits: 10 % to choose by, 30 % to test on. Drawings with one text or one file stem stay together.
"""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from rows import first_methods

from xmrlib import data

SEEDS = (0, 1, 2)


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "openclipart", __doc__.splitlines()[0], (*TEXT_SOURCES, *PICTURE_SOURCES))
    cut = {seed: data.load("openclipart", seed=seed) for seed in SEEDS}
    first_methods(recipe, cut, "Lite0 whole x tf-idf", {}, {})
    recipe.close()


if __name__ == "__main__":
    main()
