"""The levels of CRAN and their sum: a level that is switched off is one that does not count."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from training_cran import GROUNDED, SIZES, VIEWS, with_twins

from xmrlib.methods import CRAN, CRANConfig
from xmrlib.methods.cran_config import LEVELS

OWN = SIZES | VIEWS | {"epochs": 1, "batch": 8, "learning_rate": 1e-2}
SOME = [levels for count in (1, 2) for levels in combinations(LEVELS, count)]


@pytest.mark.parametrize(
    ("levels", "form"),
    [(levels, form) for form in ({}, {"matching": "attended"}) for levels in SOME]
    + [(levels, GROUNDED) for levels in SOME if "local" in levels],
)
def test_a_level_that_is_off_is_one_of_weight_0(levels, form):
    train, val = with_twins(16), with_twins(12, seed=5)
    weights = tuple(float(level in levels) for level in LEVELS)
    whole = CRAN(CRANConfig(**OWN | form, weights=weights)).fit(train)
    part = CRAN(CRANConfig(**OWN | form, levels=levels)).fit(train)
    known = whole.network.state_dict()
    part.network.load_state_dict({name: known[name] for name in part.network.state_dict()})
    assert torch.allclose(part.similarity(val), whole.similarity(val), atol=1e-6)
    assert not torch.allclose(part.similarity(val), sum(whole.level_scores(val).values()), atol=1e-3)
