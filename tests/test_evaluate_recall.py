"""Recall@K and median rank against sorted lists, five captions an image, ties, folds, and every error."""

from __future__ import annotations

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import xmrlib.evaluate as evaluate

# The package offers the function `recall` under the name of its module.
from xmrlib.evaluate.recall import TILE, Places
from xmrlib.evaluate.recall import recall as recall_of

KS = (1, 5, 10)


@pytest.fixture
def unchecked():
    """The functions' own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(params=["numpy", "torch"])
def kernel(request, monkeypatch):
    """Each of the two ways of counting, in tiles so small that most lie off the diagonal."""
    monkeypatch.setitem(recall_of.__globals__, "uses_torch", lambda device: request.param == "torch")
    monkeypatch.setitem(TILE, "cpu", 150)
    return request.param


def places(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Place of the first right answer of each row, ties in index order."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return 1 + np.take_along_axis(right, order, axis=1).argmax(axis=1)


def right_answers(image_of_text: np.ndarray, images: int) -> np.ndarray:
    return image_of_text[None] == np.arange(images)[:, None]


def case(seed: int, images: int = 17, extra: int = 30, decimals: int = 9, ordered: bool = False):
    """Scores of `images` images and their texts, one to several each."""
    rng = np.random.default_rng(seed)
    image_of_text = np.concatenate([np.arange(images), rng.integers(0, images, extra)])
    image_of_text = np.sort(image_of_text) if ordered else rng.permutation(image_of_text)
    scores = rng.standard_normal((images, len(image_of_text))).round(decimals).astype(np.float32) + 0.0
    return scores, image_of_text


@pytest.mark.parametrize("decimals", [9, 1, 0])
@pytest.mark.parametrize("ordered", [True, False])
def test_index_order_equals_sorting(kernel, decimals, ordered):
    scores, image_of_text = case(0, decimals=decimals, ordered=ordered)
    right = right_answers(image_of_text, len(scores))
    found = evaluate.recall(scores, image_of_text, KS, ties="index")
    i2t, t2i = places(scores, right), places(scores.T, right.T)
    assert found.i2t == pytest.approx({k: (i2t <= k).mean() for k in KS})
    assert found.t2i == pytest.approx({k: (t2i <= k).mean() for k in KS})
    assert (found.median_rank_i2t, found.median_rank_t2i) == (np.median(i2t), np.median(t2i))


@pytest.mark.parametrize("decimals", [1, 0])
def test_expectation_equals_the_mean_over_random_orders(kernel, decimals):
    scores, image_of_text = case(1, images=9, extra=12, decimals=decimals)
    right, rng = right_answers(image_of_text, 9), np.random.default_rng(2)
    draws = []
    for _ in range(4000):
        rows, columns = rng.permutation(9), rng.permutation(21)
        i2t, t2i = places(scores[:, columns], right[:, columns]), places(scores[rows].T, right[rows].T)
        draws.append([*((i2t <= k).mean() for k in KS), *((t2i <= k).mean() for k in KS), i2t.mean(), t2i.mean()])
    found = evaluate.recall(scores, image_of_text, KS)
    both = (found.places_i2t.expected().mean(), found.places_t2i.expected().mean())
    assert [*found.i2t.values(), *found.t2i.values()] == pytest.approx(np.mean(draws, axis=0)[:6], abs=0.01)
    assert both == pytest.approx(np.mean(draws, axis=0)[6:], abs=0.1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 15))
def test_chance_of_a_place_within_k_by_drawing(higher, tied, own, k):
    own = min(own, tied)
    drawn = np.random.default_rng(0).permuted(np.tile(np.arange(tied) < own, (3000, 1)), axis=1)
    place = higher + 1 + drawn.argmax(axis=1)
    where = Places(np.array([higher]), np.array([tied]), np.array([own]))
    assert where.within(k)[0] == pytest.approx((place <= k).mean(), abs=0.05)
    assert where.expected()[0] == pytest.approx(place.mean(), abs=0.35)
    assert where.settled("worst").within(k)[0] <= where.within(k)[0] <= where.settled("best").within(k)[0]


def test_bounds_enclose_and_agree_without_ties(kernel):
    scores, image_of_text = case(3, decimals=0)
    bounds = evaluate.recall(scores, image_of_text, ties="bounds")
    for ties in ("expected", "index"):
        inside = evaluate.recall(scores, image_of_text, ties=ties)
        for k in KS:
            assert bounds.worst.i2t[k] <= inside.i2t[k] + 1e-12 and inside.i2t[k] <= bounds.best.i2t[k] + 1e-12
            assert bounds.worst.t2i[k] <= inside.t2i[k] + 1e-12 and inside.t2i[k] <= bounds.best.t2i[k] + 1e-12
    scores, image_of_text = case(3)
    bounds = evaluate.recall(scores, image_of_text, ties="bounds")
    assert bounds.worst.i2t == bounds.best.i2t == evaluate.recall(scores, image_of_text).i2t
    assert "worst" in str(bounds)


def test_five_captions_the_best_one_counts():
    images = torch.eye(4)
    texts = images.repeat_interleave(5, dim=0) + 0.9
    texts[[1, 7, 12]] = -1.0  # three bad captions harm their own queries only
    found = evaluate.recall_embeddings(images, texts, np.repeat(np.arange(4), 5))
    assert found.i2t[1] == 1.0 and found.t2i[1] == pytest.approx((17 + 3 * 0.25) / 20, abs=0.1)


@pytest.mark.parametrize("ordered", [True, False])
def test_embeddings_equal_the_matrix(kernel, ordered):
    _, image_of_text = case(4, ordered=ordered)
    rng = torch.Generator().manual_seed(4)
    # Signs with a norm of 4 keep every sum exact, so both ways see the same ties.
    images, texts = (torch.randn(n, 16, generator=rng).sign() for n in (17, 47))
    for ties in ("expected", "index"):
        a = evaluate.recall(images @ texts.T, image_of_text, ties=ties)
        b = evaluate.recall_embeddings(images, texts, image_of_text, ties=ties)
        assert str(a) == str(b)


def test_equal_items_tie_exactly_with_rounded_products(kernel):
    """Every image twice: an own score must tie with its double's, though sums of 700 products are rounded."""
    rng = torch.Generator().manual_seed(5)
    half = torch.randn(40, 700, generator=rng)
    images = torch.cat([half, half])
    found = evaluate.recall_embeddings(images, images, np.arange(80))
    assert found.t2i == {1: 0.5, 5: 1.0, 10: 1.0}
    assert found.median_rank_i2t == 1.5


def test_folds_are_galleries_of_their_own():
    scores, image_of_text = case(6, images=20, ordered=True)
    found = evaluate.recall_folds(scores, image_of_text, folds=4)
    parts = []
    for fold in range(4):
        texts = image_of_text // 5 == fold
        parts.append(evaluate.recall(scores[5 * fold : 5 * fold + 5][:, texts], image_of_text[texts] - 5 * fold))
    assert found.i2t == pytest.approx({k: np.mean([part.i2t[k] for part in parts]) for k in KS})
    assert found.median_rank_t2i == np.mean([part.median_rank_t2i for part in parts])
    whole = evaluate.recall(scores, image_of_text)
    assert evaluate.recall_folds(scores, image_of_text, folds=1).t2i == whole.t2i
    assert found.t2i[5] > whole.t2i[5]


def test_k_beyond_the_gallery_is_certain():
    scores, image_of_text = case(7)
    assert evaluate.recall(scores, image_of_text, ks=(1000,)).i2t == {1000: 1.0}
    flat = evaluate.recall(np.zeros((5, 5)), np.arange(5), ks=(1, 5, 9))
    assert flat.i2t == pytest.approx({1: 0.2, 5: 1.0, 9: 1.0}) and flat.median_rank_i2t == 3


def test_a_thousand_images_and_five_texts_each_by_chance():
    """K of 1,000 images for a text; for an image any of its five texts among K of 5,000."""
    ks, image_of_text = (1, 5, 10, 50, 200, 1000, 5000), np.repeat(np.arange(1000), 5)
    t2i = {k: min(k / 1000, 1) for k in ks}
    i2t = {k: 1 - math.comb(4995, k) / math.comb(5000, k) for k in ks}
    assert [round(100 * i2t[k], 2) for k in KS] == [round(100 * t2i[k], 2) for k in KS] == [0.1, 0.5, 1.0]
    flat = evaluate.recall(np.zeros((1000, 5000), dtype=np.float32), image_of_text, ks)
    assert flat.t2i == pytest.approx(t2i) and flat.i2t == pytest.approx(i2t)
    scores = np.random.default_rng(0).random((1000, 5000), dtype=np.float32)
    drawn = evaluate.recall(scores, image_of_text, ks)
    for found, chance, asked in ((drawn.t2i, t2i, 5000), (drawn.i2t, i2t, 1000)):
        values = [found[k] for k in ks]
        assert values == sorted(values) and found[5000] == 1.0
        for k in ks:  # within four standard deviations
            assert abs(found[k] - chance[k]) <= 4 * math.sqrt(chance[k] * (1 - chance[k]) / asked) + 1e-9


def test_a_nan_is_named_by_its_position(kernel):
    scores, image_of_text = case(8)
    scores[11, 40] = np.nan
    with pytest.raises(ValueError, match=r"scores\[11, 40\] is NaN"):
        evaluate.recall(scores, image_of_text)


def test_errors_at_the_door(unchecked):
    scores = np.zeros((3, 4))
    for arguments, message in [
        ((scores, np.array([0, 1, 2])), r"shape \(4,\); got \(3,\)"),
        ((scores, np.array([0, 1, 2, 3])), r"image_of_text\[3\] = 3 is outside 0\.\.2"),
        ((scores, np.array([0, 1, -1, 2])), r"image_of_text\[2\] = -1"),
        ((scores, np.array([0, 0, 2, 2])), r"image 1 has no text \(1 such"),
        ((scores, np.array([0.0, 1, 2, 2])), "must be integers"),
        ((np.zeros((3, 0)), np.zeros(0, int)), "there is no text"),
        ((scores, np.array([0, 1, 2, 2]), ()), "name at least one K"),
        ((scores, np.array([0, 1, 2, 2]), (0,)), "at least 1"),
        ((scores, np.array([0, 1, 2, 2]), (1,), "none"), "ties='none'"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate.recall(*arguments)
    with pytest.raises(ValueError, match=r"folds=4 is outside 1\.\.3"):
        evaluate.recall_folds(scores, np.array([0, 1, 2, 2]), folds=4)
    with pytest.raises(ValueError, match="no mean over folds"):
        evaluate.recall_folds(scores, np.array([0, 1, 2, 2]), folds=1, ties="bounds")
