"""CM-GANs on made-up pairs, as a program: python tests/training_cmgans.py OUT SETTINGS. Also under torchrun."""

from __future__ import annotations

import json
import sys

from test_networks import pairs

from xmrlib.methods import CMGANs, CMGANsConfig
from xmrlib.stages import Run

SIZES = {
    "hidden": 16,
    "dim": 12,
    "inter_hidden": 16,
    "word_dim": 8,
    "text_maps": 6,
    "text_widths": (2, 3),
    "image_maps": 10,
}
VIEWS = {
    "features": {"image_view": "vector", "text_view": "vector"},
    "words": {"image_view": "vector", "text_view": "tokens", "text_options": {"min_count": 1}},
    "conv": {"image_view": "regions", "text_view": "tokens", "text_options": {"min_count": 1}},
}


def made(run: Run, encoder: str = "words", **settings) -> CMGANs:
    """Trained on enough for several batches an epoch."""
    own = SIZES | VIEWS[encoder] | {"encoder": encoder, "epochs": 2, "batch": 8, "learning_rate": 5e-3}
    return CMGANs(CMGANsConfig(**own | settings)).fit(pairs(32, 3), val=pairs(12, 3, seed=5), run=run)


if __name__ == "__main__":
    made(Run(sys.argv[1], "cpu", look=1), **json.loads(sys.argv[2]))
