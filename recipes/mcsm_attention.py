"""Attention against the mean on scenes where regions and segments are weighed as they are: MCSM without its LSTMs.

An LSTM hands on what it has read, so that a mean of its states is no plain mean of regions. Without it, it is.
"""

from __future__ import annotations

from functools import partial

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from mcsm import SEEDS, SHARED, Trained

from xmrlib import data

WAYS = {"attention": {"recurrence": False}, "mean": {"recurrence": False, "attention": False}}


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    pairs, rows = data.load("scenes"), {}
    for name, settings in WAYS.items():
        trained = Trained(dict.fromkeys(SEEDS, pairs), settings)
        for way, once in (
            ("visual", partial(trained.alone, 0)),
            ("textual", partial(trained.alone, 1)),
            ("fused", partial(trained.fused, "adaptive")),
        ):
            rows[name, way] = recipe.row("MCSM", "no LSTM, small; epoch by validation", f"{name}-{way}")
            recipe.run(rows[name, way], SEEDS, once)
    for way in ("visual", "textual", "fused"):
        recipe.compare(rows["attention", way], rows["mean", way])
    recipe.close()


if __name__ == "__main__":
    main()
