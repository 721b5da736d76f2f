"""CRAN on made-up pairs, as a program: python tests/training_cran.py OUT. Also under torchrun."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import torch
from test_networks import pairs

from xmrlib.data.pairs import Pairs
from xmrlib.methods import CRAN, CRANConfig
from xmrlib.stages import Run

SIZES = {"dim": 12, "word_dim": 8, "predicate_dim": 4, "sentence_maps": 6, "text_options": {"min_count": 1}}
VIEWS = {"image_view": "vector", "image_regions": "regions"}
GROUNDED = {"relation": "grounded", "matching": "best"}


@dataclass(frozen=True)
class Twin:
    """As much of a scene as tells twins."""

    twin: str | None


def with_twins(size: int = 32, seed: int = 0, **settings) -> Pairs:
    """Pairs of which every two are twins, but for the last three."""
    data = pairs(size, 3, seed=seed, **settings)
    boxes = torch.rand(size, 4, 4, generator=torch.Generator().manual_seed(seed)) / 2
    boxes[..., 2:] += 0.5
    names = [f"i{row ^ 1}" if row < size - 3 - (size - 3) % 2 else None for row in range(size)]
    images = replace(data.images, given=data.images.given | {"boxes": boxes})
    return replace(data, images=images, truth=tuple(map(Twin, names)))


def made(run: Run, **settings) -> CRAN:
    """Trained with nothing random in a step, so that the number of processes should make no difference."""
    own = SIZES | VIEWS | GROUNDED | {"epochs": 2, "batch": 8, "learning_rate": 5e-3, "negatives": "softmax"}
    return CRAN(CRANConfig(**own | settings)).fit(with_twins(), val=pairs(12, 3, seed=5), run=run)


if __name__ == "__main__":
    made(Run(sys.argv[1], "cpu", look=1))
