"""VSE++ on made-up pairs, as a program: python tests/training_vse.py OUT. Also under torchrun."""

from __future__ import annotations

import sys

import numpy as np
import torch

from xmrlib.data.pairs import Images, Pairs, Texts
from xmrlib.methods.vse import VSE, VSEConfig
from xmrlib.stages import Run

WORDS = "cow boat drum tree cake rain lamp fish road bell".split()


def made_pairs(count: int = 96) -> Pairs:
    """Images whose features say which of ten words their text has; two texts an image."""
    rng = np.random.default_rng(0)
    has = rng.random((count, len(WORDS))) < 0.3
    features = torch.from_numpy(np.float32(has + 0.3 * rng.normal(size=has.shape)))
    said = [" ".join(np.array(WORDS)[rng.permutation(np.flatnonzero(row))]) or "nothing" for row in has for _ in (0, 1)]
    ids = tuple(f"{row:03d}" for row in range(count))
    texts = Texts(tuple(f"{i}{k}" for i in ids for k in "ab"), tuple((text,) for text in said))
    return Pairs("made up", Images(ids, given={"whole": features}), texts, np.repeat(np.arange(count), 2))


if __name__ == "__main__":
    pairs = made_pairs()
    config = VSEConfig(epochs=4, batch=32, word_dim=8, dim=16, learning_rate=5e-3, scaling="standard")
    VSE(config).fit(pairs.select(range(64)), val=pairs.select(range(64, 96)), run=Run(sys.argv[1], "cpu", look=1))
