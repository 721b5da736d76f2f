"""Chance levels, curves and intervals: exact values, slow definitions, and coverage."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
import torch

import xmrlib.evaluate as evaluate


@pytest.fixture
def unchecked():
    """The functions' own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


WIKIPEDIA_TEST = np.repeat(np.arange(10), [25, 60, 63, 58, 40, 39, 34, 29, 43, 71])


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        (WIKIPEDIA_TEST, 0.121),
        (np.repeat(np.arange(20), 5), 0.090),  # Pascal Sentence's test split; one simulation gave .089
        (np.repeat(np.arange(200), 20), 0.0070),  # XMediaNet
    ],
)
def test_chance_of_the_papers_test_splits(labels, level):
    assert evaluate.chance(labels).avg == pytest.approx(level, abs=0.0005)


def test_chance_is_the_mean_over_random_scores():
    rng = np.random.default_rng(0)
    labels, text_labels = rng.integers(0, 5, 60), np.concatenate([np.arange(5), rng.integers(0, 5, 75)])
    draws = [evaluate.map_all(rng.random((60, 80)), labels, text_labels) for _ in range(60)]
    expected = evaluate.chance(labels, text_labels)
    assert np.mean([d.i2t for d in draws]) == pytest.approx(expected.i2t, abs=0.004)
    assert np.mean([d.t2i for d in draws]) == pytest.approx(expected.t2i, abs=0.004)


def test_chance_recall_is_that_of_equal_scores():
    image_of_text = np.repeat(np.arange(12), 5)
    flat = evaluate.recall(np.zeros((12, 60)), image_of_text, ks=(1, 5, 10, 59, 60))
    for k in flat.i2t:
        expected = evaluate.chance_recall(image_of_text, images=12, k=k)
        assert (flat.i2t[k], flat.t2i[k]) == pytest.approx((expected.i2t, expected.t2i))
    median = evaluate.chance_median_rank(image_of_text, images=12)
    assert (flat.median_rank_i2t, flat.median_rank_t2i) == pytest.approx((median.i2t, median.t2i))


def test_chance_errors(unchecked):
    with pytest.raises(ValueError, match="no class in common"):
        evaluate.chance(np.array([0, 0]), np.array([1, 1]))
    with pytest.raises(ValueError, match="only Recall@K"):
        evaluate.chance(None)


def slow_curve(scores, labels, text_labels, levels):
    """Interpolated precision by its definition, ties aside."""
    curves = []
    for row, label in zip(scores, labels, strict=True):
        hits = (text_labels == label)[np.argsort(-row)]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        recall = np.cumsum(hits) / hits.sum()
        curves.append([max(p for p, r in zip(precision, recall, strict=True) if r >= level - 1e-9) for level in levels])
    return np.mean(curves, axis=0)


@pytest.mark.parametrize("levels", [2, 11, 101])
def test_curve_equals_its_definition(levels):
    rng = np.random.default_rng(1)
    labels, text_labels = np.arange(15) % 3, rng.permutation(np.arange(24) % 3)
    scores = rng.standard_normal((15, 24))
    curve = evaluate.precision_recall(scores, labels, text_labels, levels=levels)
    assert curve.recall == pytest.approx(np.linspace(0, 1, levels))
    assert curve.precision == pytest.approx(slow_curve(scores, labels, text_labels, curve.recall))
    assert (np.diff(curve.precision) <= 1e-12).all()
    other = evaluate.precision_recall(scores, labels, text_labels, "t2i", levels)
    assert other.precision == pytest.approx(slow_curve(scores.T, text_labels, labels, curve.recall))


def test_full_curve_and_precision_at_scope():
    rng = np.random.default_rng(2)
    labels, text_labels = np.arange(15) % 3, rng.permutation(np.arange(24) % 3)
    scores = torch.from_numpy(rng.standard_normal((15, 24)))
    full = evaluate.precision_recall(scores, labels, text_labels, levels=None)
    assert len(full.precision) == 24 and full.recall[-1] == pytest.approx(1) and not full.interpolated
    assert full.precision[-1] == pytest.approx(8 / 24)
    top = evaluate.precision_at(scores, labels, text_labels, scopes=(1, 3, 24))
    best = scores.argsort(dim=1, descending=True)[:, :3].numpy()
    assert top[3] == pytest.approx((text_labels[best] == labels[:, None]).mean())
    assert top[24] == pytest.approx(full.precision[-1])
    # A perfect ranking holds precision 1 along the whole curve; equal scores hold the share of the class.
    same = (labels[:, None] == text_labels[None]).astype(float)
    assert (evaluate.precision_recall(same, labels, text_labels).precision == 1).all()
    assert evaluate.precision_recall(0 * same, labels, text_labels).precision == pytest.approx(1 / 3)


def test_ties_do_not_depend_on_the_order_of_the_gallery():
    rng = np.random.default_rng(3)
    labels, text_labels = np.arange(10) % 2, rng.permutation(np.arange(20) % 2)
    scores = rng.integers(0, 3, (10, 20)).astype(float)
    order = rng.permutation(20)
    a = evaluate.precision_recall(scores, labels, text_labels, levels=None).precision
    b = evaluate.precision_recall(scores[:, order], labels, text_labels[order], levels=None).precision
    assert a == pytest.approx(b)


def test_curve_errors(unchecked):
    scores, labels = np.zeros((3, 3)), np.zeros(3, int)
    for keywords, message in [
        ({"levels": 1}, "at least 2 recall levels"),
        ({"direction": "both"}, "direction='both'"),
        ({"text_labels": np.ones(3, int)}, "query 0 of i2t has class 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate.precision_recall(scores, labels, **keywords)
    with pytest.raises(ValueError, match=r"scope 4 is outside 1\.\.3"):
        evaluate.precision_at(scores, labels, scopes=(1, 4))
    scores[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"scores\[1, 2\] is NaN"):
        evaluate.precision_recall(scores, labels)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(4), 0
    for trial in range(300):
        interval = evaluate.bootstrap(rng.random(80), samples=400, seed=trial)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(5)
    image_of_text = np.repeat(np.arange(100), 5)
    values = rng.random(100)[image_of_text]  # the five captions of an image succeed together
    alone, together = evaluate.bootstrap(values), evaluate.bootstrap(values, image_of_text)
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert alone.value == together.value == pytest.approx(values.mean())


def test_seeds_widen_the_interval_and_cover():
    rng, covered = np.random.default_rng(6), 0
    for trial in range(200):
        # Five trainings whose means differ by chance around .5, measured on the same queries.
        values = 0.5 + 0.05 * rng.standard_normal((5, 1)) + 0.1 * rng.standard_normal((1, 60))
        interval = evaluate.bootstrap(values, samples=400, seed=trial)
        covered += interval.low <= 0.5 <= interval.high
    assert covered / 200 >= 0.86
    values = 0.5 + np.array([[-0.1], [0.1]]) + np.zeros((2, 50))
    assert evaluate.bootstrap(values).low < 0.45 and evaluate.bootstrap(values[0]).low == pytest.approx(0.4)


def test_directions_are_averaged_and_excluded_queries_ignored():
    image_of_text = np.repeat(np.arange(40), 3)
    rng = np.random.default_rng(7)
    i2t, t2i = rng.random(40), rng.random(120)
    both = evaluate.bootstrap([i2t, t2i], [None, image_of_text])
    assert both.value == pytest.approx((i2t.mean() + t2i.mean()) / 2)
    assert both.low < both.value < both.high
    i2t[3] = np.nan
    assert evaluate.bootstrap(i2t).value == pytest.approx(np.nanmean(i2t))


def test_paired_difference_is_surer_than_two_intervals():
    rng = np.random.default_rng(8)
    hard = rng.random(200)
    a, b = hard + 0.02 + 0.01 * rng.standard_normal(200), hard
    difference = evaluate.paired_bootstrap(a, b)
    assert difference.excludes_zero and difference.value == pytest.approx((a - b).mean())
    assert evaluate.bootstrap(b).high > evaluate.bootstrap(a).low  # their own intervals overlap
    assert not evaluate.paired_bootstrap(b, b[::-1]).excludes_zero
    again = evaluate.paired_bootstrap(a, b)
    assert again == difference  # a seed fixes the draws


def test_median_interval_equals_a_plain_bootstrap():
    rng = np.random.default_rng(9)
    ranks = rng.integers(1, 50, 61).astype(float)
    found = evaluate.bootstrap_median(ranks, samples=3000)
    plain = np.quantile([np.median(rng.choice(ranks, 61)) for _ in range(3000)], (0.025, 0.975))
    assert found.value == np.median(ranks)
    assert (found.low, found.high) == pytest.approx(plain, abs=2.5)
    even = evaluate.bootstrap_median(np.array([1.0, 2.0]), samples=400)
    assert (even.low, even.value, even.high) == (1.0, 1.5, 2.0)


def test_statistics_errors(unchecked):
    for call, message in [
        (lambda: evaluate.bootstrap(np.array([])), "no value to average"),
        (lambda: evaluate.bootstrap(np.array([np.nan, np.nan])), "no value to average"),
        (lambda: evaluate.bootstrap(np.ones(3), np.zeros(2, int)), r"got \(2,\)"),
        (lambda: evaluate.bootstrap(np.ones(3), level=1.0), "level=1.0"),
        (lambda: evaluate.bootstrap(np.ones(3), samples=0), "samples=0"),
        (lambda: evaluate.bootstrap([np.ones(3), np.ones((2, 3))]), "different numbers of seeds"),
        (lambda: evaluate.bootstrap([np.ones(3)], [None, None]), "1 directions of values but 2"),
        (lambda: evaluate.paired_bootstrap(np.ones(3), np.ones(4)), "needs the same queries"),
        (lambda: evaluate.over_seeds([]), "at least one run"),
        (lambda: evaluate.over_seeds([{"map_i2t": 1.0}, {"map_t2i": 1.0}]), "measure different things"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
