"""Exact search against a full sort, on awkward sizes, with ties, saved and loaded, and every refusal."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrlib import search
from xmrlib.search import Index


@pytest.fixture
def unchecked():
    """The class's own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def vectors(items: int, dim: int = 16, seed: int = 0, signs: bool = False) -> torch.Tensor:
    drawn = torch.randn(items, dim, generator=torch.Generator().manual_seed(seed))
    return drawn.sign() if signs else drawn


def sorted_search(items: torch.Tensor, queries: torch.Tensor, k: int):
    """Everything scored, everything sorted; the lower row first among equals."""
    scores = queries @ items.T
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return scores.gather(1, order), order


@settings(max_examples=40, deadline=None)
@given(
    items=st.integers(1, 150),
    queries=st.integers(1, 9),
    k=st.integers(1, 30),
    memory=st.sampled_from([4, 400, 4_000, None]),
    signs=st.booleans(),
    group=st.sampled_from([3, 32]),
)
def test_equals_a_full_sort(items, queries, k, memory, signs, group):
    # Signs: sums of small integers are exact, and almost everything ties.
    gallery, wanted = vectors(items, signs=signs), vectors(queries, seed=1, signs=signs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "GROUP", group)
        scores, rows = Index(gallery, similarity="inner", memory=memory).search(wanted, k)
    expected_scores, expected_rows = sorted_search(gallery, wanted, k)
    assert rows.shape == (queries, min(k, items))
    assert torch.equal(rows, expected_rows)
    torch.testing.assert_close(scores, expected_scores)


def test_rising_scores_and_equal_scores():
    """The worst orders for a running threshold: every item better than all before, and every item the same."""
    rising = torch.arange(1.0, 5001)[:, None]
    scores, rows = Index(rising, similarity="inner", memory=4 * 2 * 600).search(torch.ones(2, 1), 3)
    assert rows.tolist() == [[4999, 4998, 4997]] * 2 and scores[0, 0] == 5000
    flat = Index(torch.ones(5000, 1), similarity="inner", memory=4 * 2 * 600)
    assert flat.search(torch.ones(2, 1), 4)[1].tolist() == [[0, 1, 2, 3]] * 2


def test_cosine_ignores_length_and_returns_cosines():
    gallery, wanted = vectors(300), vectors(4, seed=1)
    scores, rows = Index(gallery * torch.rand(300, 1).add(0.1)).search(7 * wanted, 5)
    expected = torch.nn.functional.cosine_similarity(wanted[:, None], gallery[None], dim=2)
    assert torch.equal(rows, expected.argsort(dim=1, descending=True)[:, :5])
    torch.testing.assert_close(scores, expected.gather(1, rows))
    assert (np.diff(scores.numpy(), axis=1) <= 0).all()


def test_added_vectors_follow():
    gallery, wanted = vectors(500), vectors(6, seed=1)
    index = Index(gallery[:200])
    index.add(gallery[200:201])
    index.add(gallery[201:].numpy())
    assert len(index) == 500 and index.dim == 16
    for a, b in zip(index.search(wanted, 20), Index(gallery).search(wanted, 20), strict=True):
        torch.testing.assert_close(a, b)


def test_more_wanted_than_there_are():
    scores, rows = Index(vectors(3)).search(vectors(2, seed=1), k=10)
    assert rows.shape == (2, 3) and rows.sort(dim=1).values.tolist() == [[0, 1, 2]] * 2
    assert torch.isfinite(scores).all()


def test_saved_and_loaded(tmp_path):
    index = Index(vectors(100), model="cca 1f3a", similarity="inner")
    index.add(vectors(20, seed=2), model="cca 1f3a")
    path = index.save(tmp_path / "pictures.index")
    assert [p.name for p in tmp_path.iterdir()] == ["pictures.index"]  # nothing half-written is left
    again = Index.load(path, model="cca 1f3a")
    assert repr(again) == repr(index) == "Index(120 x 16, inner, made by cca 1f3a)"
    wanted = vectors(5, seed=1)
    for a, b in zip(index.search(wanted), again.search(wanted), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(again.to("cpu").search(wanted)[1], again.search(wanted)[1])
    with pytest.raises(ValueError, match="made by 'cca 1f3a', not by 'sm 99'"):
        Index.load(path, model="sm 99")
    with pytest.raises(ValueError, match="spaces have nothing in common"):
        again.search(wanted, model="sm 99")
    with pytest.raises(FileNotFoundError, match="there is no index at"):
        Index.load(tmp_path / "none")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read as an index"):
        Index.load(path)
    other = tmp_path / "weights.safetensors"
    search.save_file({"embeddings": torch.ones(2, 2)}, other)
    with pytest.raises(ValueError, match="is no index of xmrlib"):
        Index.load(other)


def test_errors_at_the_door(unchecked):
    index = Index(vectors(10), model="a")
    broken = vectors(4)
    broken[2, 3] = torch.nan
    for call, message in [
        (lambda: index.search(vectors(2, dim=8)), "queries have 8 dimensions, the index 16"),
        (lambda: index.add(vectors(2, dim=8)), "embeddings have 8 dimensions, the index 16"),
        (lambda: index.add(vectors(2), model="b"), "made by 'b', the index by 'a'"),
        (lambda: index.search(vectors(2), k=0), "k=0"),
        (lambda: index.search(broken), r"queries\[2\] holds a NaN"),
        (lambda: Index(broken), r"embeddings\[2\] holds a NaN"),
        (lambda: Index(torch.ones(3)), r"must be \(item, dim\)"),
        (lambda: Index(torch.ones(0, 3)), "at least one item"),
        (lambda: Index(torch.ones(2, 3), similarity="l2"), "similarity='l2'"),
        (lambda: Index(torch.ones(2, 3), memory=1), "cannot hold one score"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
