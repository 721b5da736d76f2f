"""CM-GANs on Open Clip Art: 14 classes, class words removed from the texts, split by group; the seed splits."""

from __future__ import annotations

from cmgans import SEEDS, SHARED, cmgans_rows
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe

from xmrlib import data


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED)
    recipe = Recipe(__file__, "openclipart", __doc__, sources)
    cut = {seed: data.load("openclipart", seed=seed) for seed in SEEDS}
    cmgans_rows(recipe, cut, "Lite0 x tf-idf", ccl={"scaling": "even", "code": 512, "supervised_epochs": 32})
    recipe.close()


if __name__ == "__main__":
    main()
