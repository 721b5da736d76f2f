"""What CRAN looks at: as the regions lie, so lie the weights, and a pair that is not there has none."""

from __future__ import annotations

import pytest
import torch
from test_cran import EACH, MATCHINGS, built, some

from xmrlib.methods.cran_looks import looks


@EACH
def test_weights_go_with_their_regions(form):
    network, order = built(**form), torch.tensor([1, 2, 3, 0])
    (whole, *parts), read = some(images=5, texts=5, regions=4)
    first = looks(network, (whole, *parts), read)
    second = looks(network, (whole, *(part[:, order] for part in parts)), read)
    for name, permuted in (
        ("regions", lambda found: found[:, order]),
        ("region_mask", lambda found: found[:, order]),
        ("agreement", lambda found: found[:, :, order]),
        ("region_pairs", lambda found: found[:, order][:, :, order]),
    ):
        found, moved = getattr(first, name), getattr(second, name)
        assert (found is None) == (moved is None), name
        if found is not None:
            assert torch.allclose(moved.float(), permuted(found).float(), atol=1e-6), name
            assert not torch.allclose(moved.float(), found.float(), atol=1e-3), name
    for name in ("words", "word_pairs", "held", "word_mask"):
        found, moved = getattr(first, name), getattr(second, name)
        assert (found is None) == (moved is None), name
        assert found is None or torch.allclose(moved.float(), found.float(), atol=1e-6), name


@pytest.mark.parametrize("place", [0, 2])
@MATCHINGS
def test_one_region_among_several_places_is_no_pair(matching, place):
    network = built(matching=matching)
    (whole, features, where, mask), read = some(images=5, texts=5, regions=4)
    mask = mask.clone()
    mask[1], mask[1, place] = False, True
    found = looks(network, (whole, features, where, mask), read).region_pairs
    if matching == "attended":
        assert found is None
    else:
        assert found[1].eq(0).all()
        assert torch.allclose(found.sum(dim=(1, 2)), torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]))


def test_one_region_is_no_pair_of_the_grounded_relation():
    network = built(relation="grounded", matching="best")
    (whole, features, where, mask), read = some(images=5, texts=5, regions=4)
    mask = torch.arange(4).expand_as(mask) == 2
    found = looks(network, (whole, features, where, mask), read)
    assert found.held.eq(0).all() and found.word_pairs.gt(0).any()
    # Both words of a pair speak of the one region.
    assert torch.allclose(found.region_pairs[:, 2, 2], found.word_pairs.sum(dim=(1, 2)))
    assert found.region_pairs.count_nonzero() == found.region_pairs[:, 2, 2].count_nonzero()
