"""CM-GANs on Wikipedia: 693 official test pairs, SIFT bags of words and tf-idf of the texts."""

from __future__ import annotations

from cmgans import SEEDS, SHARED, cmgans_rows
from common import TEXT_SOURCES, Recipe

from xmrlib import data

VIEWS = {"text_view": "tfidf", "text_options": {"dim": 200}}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "wikipedia", __doc__, (*TEXT_SOURCES, *SHARED))
    cut = {seed: data.load("wikipedia", split="official", seed=seed) for seed in SEEDS}
    whole = {"grains": "coarse", "scaling": "standard"}
    cmgans_rows(recipe, cut, "SIFT 128 x tf-idf 200", ("autoencoder", "inter", "classes"), VIEWS, whole)
    recipe.close()


if __name__ == "__main__":
    main()
