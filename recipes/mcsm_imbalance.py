"""MCSM where pictures are cluttered, where texts talk, where both do and where neither does: which space wins?

Scenes of four kinds, 1,200 to learn from in each: with 0 or 8 props in every picture that no text names, and with none
or five sentences on average in every text that no picture shows. Twice: as elsewhere, where tf-idf is the whole of a
text, which drops much of the talk by itself; and "plain", with the mean of its word vectors, and attention right over
regions and words, without LSTM and convolution.
"""

from __future__ import annotations

from functools import partial

from common import PICTURE_SOURCES, TEXT_SOURCES, Recipe
from mcsm import SHARED, Trained

from xmrlib import data

SEEDS = (0, 1, 2)
KINDS = {
    "calm": {"clutter": 0, "nonvisual": 0.0},
    "clutter": {"clutter": 8, "nonvisual": 0.0},
    "talk": {"clutter": 0, "nonvisual": 5.0},
    "both": {"clutter": 8, "nonvisual": 5.0},
}


# Fewer pairs, so more epochs.
WAYS = {
    "": {"epochs": 15},
    "plain-": {
        "epochs": 15,
        "recurrence": False,
        "kernels": (),
        "maps": (),
        "pools": (),
        "text_whole": "vector",
        "text_whole_options": {"dim": 300, "idf": False},
    },
}


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    for prefix, settings in WAYS.items():
        for kind, knobs in KINDS.items():
            pairs = data.load("scenes", train=1200, val=200, test=400, **knobs)
            trained = Trained(dict.fromkeys(SEEDS, pairs), settings)
            ways = {
                "visual": partial(trained.alone, 0),
                "textual": partial(trained.alone, 1),
                "fused": partial(trained.fused, "adaptive"),
                "sum": partial(trained.fused, "sum"),
            }
            rows = {}
            for way, once in ways.items():
                what = "1,200 scenes, small; epoch by validation"
                rows[way] = recipe.row("MCSM", what, f"{prefix}{kind}-{way}")
                recipe.run(rows[way], SEEDS, once)
            recipe.compare(rows["visual"], rows["textual"])
            for other in ("visual", "textual", "sum"):
                recipe.compare(rows["fused"], rows[other])
    recipe.close()


if __name__ == "__main__":
    main()
