"""The first methods on scenes-1: by class, by instance, and on twins that differ in arrangement only.

CCA stands here twice, with its settings chosen for MAP and chosen for recall: the two goals pull apart. Nothing but the
small networks is random, so that they alone have several seeds.
"""

from __future__ import annotations

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from rows import first_methods

from xmrlib import data

SEEDS = (0, 1, 2)
DRAWINGS = ("xmrlib/data/openmoji.py",)


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "scenes", __doc__.splitlines()[0], (*TEXT_SOURCES, *PICTURE_SOURCES, *DRAWINGS))
    scenes = data.load("scenes")
    first_methods(recipe, {0: scenes}, "Lite0 whole x tf-idf", {}, {}, choose_by="map", random_seeds=SEEDS)
    first_methods(recipe, {0: scenes}, "Lite0 whole x tf-idf", {}, {}, choose_by="recall")
    recipe.close()


if __name__ == "__main__":
    main()
