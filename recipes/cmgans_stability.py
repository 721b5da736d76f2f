"""CM-GANs on emoji with twenty seeds: does any game diverge or collapse?"""

from __future__ import annotations

from cmgans import SHARED, trained
from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe

from xmrlib import CMGANsConfig, data

SEEDS = tuple(range(20))


def main() -> None:
    """Make both rows: discriminators with spectral norm, as `small` has them, and without."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "emoji", __doc__, sources)
    pairs = data.load("emoji")
    for name, settings in ((None, {}), ("loose", {"spectral_norm": False})):
        row = recipe.row("CMGANs", "Lite0 x tf-idf, small; epoch by validation", name)
        recipe.run(row, SEEDS, lambda s, settings=settings: trained(CMGANsConfig.small(**settings, seed=s), pairs))
    recipe.close()


if __name__ == "__main__":
    main()
