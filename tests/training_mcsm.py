"""MCSM on made-up pairs, as a program: python tests/training_mcsm.py OUT. Also under torchrun."""

from __future__ import annotations

import sys

from test_networks import pairs

from xmrlib.methods import MCSM, MCSMConfig
from xmrlib.stages import Run

SIZES = {"dim": 16, "image_hidden": 12, "text_hidden": 12, "word_dim": 8, "kernels": (2,), "maps": (12,), "pools": (2,)}
WORDS = {"text_options": {"min_count": 1}, "text_whole_options": {"min_count": 1}}
VIEWS = {"image_regions": "regions", "image_view": "vector"}


def made(run: Run) -> MCSM:
    """Trained with nothing random in a step, so that the number of processes should make no difference."""
    settings = {"dropout": 0.0, "negatives": "hardest", "epochs": 2, "batch": 8, "learning_rate": 5e-3}
    config = MCSMConfig(**SIZES | WORDS | VIEWS | settings)
    return MCSM(config).fit(pairs(32, 3), val=pairs(12, 3, seed=5), run=run)


if __name__ == "__main__":
    made(Run(sys.argv[1], "cpu", look=1))
