"""Mean average precision against its literal definition, scikit-learn, brute force over orders, and its properties."""

from __future__ import annotations

import itertools

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import xmrlib.evaluate as evaluate
from xmrlib.evaluate import precision, ranks


@pytest.fixture
def unchecked():
    """The functions' own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(params=["numpy", "torch"])
def kernel(request, monkeypatch):
    """Each of the two kernels; the one that GPUs use runs here on the CPU."""
    on_torch = request.param == "torch"
    for module in (ranks, precision):
        monkeypatch.setattr(module, "uses_torch", lambda device: on_torch)
    return request.param


def literal(order: np.ndarray, relevant: np.ndarray) -> float:
    """AP = (1/R) sum over ranks k of rel(k) times the share of relevant items among the first k."""
    hits = relevant[order]
    return sum(hits[: k + 1].mean() for k in range(len(hits)) if hits[k]) / hits.sum()


def literal_map(scores: np.ndarray, labels: np.ndarray, text_labels: np.ndarray) -> tuple[float, float]:
    """MAP in both directions, ties in index order."""
    i2t = [literal(np.argsort(-row, kind="stable"), text_labels == y) for row, y in zip(scores, labels, strict=True)]
    t2i = [literal(np.argsort(-row, kind="stable"), labels == y) for row, y in zip(scores.T, text_labels, strict=True)]
    return np.mean(i2t), np.mean(t2i)


def classes_for(rng, images, texts, classes=4):
    """Labels of both sides, every class on either side."""
    return np.resize(np.arange(classes), images), rng.permutation(np.resize(np.arange(classes), texts))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("decimals", [9, 1])
def test_index_order_equals_the_literal_definition(kernel, dtype, decimals):
    rng = np.random.default_rng(0)
    labels, text_labels = classes_for(rng, 30, 47)
    scores = torch.from_numpy(rng.standard_normal((30, 47)).round(decimals)).to(dtype)
    found = evaluate.map_all(scores, labels, text_labels, ties="index")
    assert (found.i2t, found.t2i) == pytest.approx(literal_map(scores.double().numpy(), labels, text_labels), abs=1e-12)


def test_equals_scikit_learn_without_ties(kernel):
    rng = np.random.default_rng(1)
    labels, text_labels = classes_for(rng, 40, 60)
    scores = rng.standard_normal((40, 60))
    expected = [average_precision_score(text_labels == y, row) for row, y in zip(scores, labels, strict=True)]
    assert evaluate.map_all(scores, labels, text_labels).ap_i2t == pytest.approx(expected, abs=1e-12)
    relevant = torch.from_numpy(text_labels[None] == labels[:, None])
    assert evaluate.average_precision(torch.from_numpy(scores), relevant).numpy() == pytest.approx(expected, abs=1e-12)


def every_order(scores: np.ndarray, relevant: np.ndarray) -> list[float]:
    """The average precision of each order of the items that the scores allow."""
    orders = (np.array(order) for order in itertools.permutations(range(len(scores))))
    return [literal(order, relevant) for order in orders if (np.diff(scores[order]) <= 0).all()]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(lambda x: any(r for _, r in x))
)
def test_expectation_and_bounds_equal_brute_force_over_all_orders(items):
    scores, relevant = np.array([s for s, _ in items], float), np.array([r for _, r in items])
    allowed = every_order(scores, relevant)
    for on_torch in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(precision, "uses_torch", lambda device, answer=on_torch: answer)
            mean = evaluate.average_precision(scores[None], relevant[None])
            worst, best = evaluate.average_precision(scores[None], relevant[None], ties="bounds")
        assert mean.item() == pytest.approx(np.mean(allowed), abs=1e-12)
        assert (worst.item(), best.item()) == pytest.approx((min(allowed), max(allowed)), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(4, 20),
    texts=st.integers(4, 30),
    levels=st.sampled_from([1, 2, 5, 1000]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_both_kernels_agree_and_bounds_enclose(seed, images, texts, levels, dtype):
    rng = np.random.default_rng(seed)
    labels, text_labels = classes_for(rng, images, texts)
    scores = (rng.integers(-levels, levels + 1, (images, texts)) / levels).astype(dtype)
    answers = {}
    for on_torch in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks, "uses_torch", lambda device, answer=on_torch: answer)
            answers[on_torch] = [evaluate.map_all(scores, labels, text_labels, ties=t) for t in evaluate_ties()]
    expected, bounds, index = answers[False]
    other_expected, other_bounds, other_index = answers[True]
    for a, b in ((expected, other_expected), (bounds.worst, other_bounds.worst), (bounds.best, other_bounds.best)):
        assert a.ap_i2t == pytest.approx(b.ap_i2t, abs=1e-12)
        assert a.ap_t2i == pytest.approx(b.ap_t2i, abs=1e-12)
    assert index.ap_i2t == pytest.approx(other_index.ap_i2t, abs=1e-12)
    for inside in (expected, index):
        assert (bounds.worst.ap_i2t <= inside.ap_i2t + 1e-12).all()
        assert (inside.ap_i2t <= bounds.best.ap_i2t + 1e-12).all()


def evaluate_ties():
    return ranks.TIES


def test_known_values():
    assert evaluate.average_precision(
        np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]])
    ).item() == pytest.approx(5 / 6)
    # All tied: chance, exactly.
    flat = evaluate.map_all(np.zeros((6, 6)), np.arange(6) % 3)
    assert flat.avg == pytest.approx(evaluate.chance(np.arange(6) % 3).avg, abs=1e-15)
    # A zero is a zero, whatever its sign; and -0.0 ties with it.
    one = evaluate.average_precision(np.array([[0.0, -0.0]]), np.array([[False, True]]))
    assert one.item() == 0.75
    # Infinite scores are scores.
    signs = evaluate.average_precision(np.array([[np.inf, -np.inf, 0.0]]), np.array([[True, True, False]]))
    assert signs.item() == pytest.approx((1 + 2 / 3) / 2)


def test_infinite_scores_on_the_other_kernel(monkeypatch):
    monkeypatch.setattr(precision, "uses_torch", lambda device: True)
    scores = np.array([[np.inf, np.inf, 0.0], [1.0, np.inf, 2.0]])
    relevant = np.array([[True, False, True], [True, False, False]])
    found = evaluate.average_precision(scores, relevant).numpy()
    assert found == pytest.approx([np.mean([0.75, 2 / 3]), 1 / 3])


def test_properties(kernel):
    rng = np.random.default_rng(2)
    labels, text_labels = classes_for(rng, 25, 35)
    same = (labels[:, None] == text_labels[None]).astype(float)
    assert evaluate.map_all(same, labels, text_labels).avg == 1.0
    scores = rng.standard_normal((25, 35)).astype(np.float32)
    found = evaluate.map_all(scores, labels, text_labels)
    # Only the order counts, not the order of rows, not the names of the classes.
    assert evaluate.map_all(np.exp(scores.astype(np.float64)), labels, text_labels).avg == pytest.approx(found.avg)
    rows, columns = rng.permutation(25), rng.permutation(35)
    shuffled = evaluate.map_all(scores[rows][:, columns], labels[rows], text_labels[columns])
    assert (shuffled.i2t, shuffled.t2i) == pytest.approx((found.i2t, found.t2i))
    assert evaluate.map_all(scores, 7 * labels + 3, 7 * text_labels + 3).avg == pytest.approx(found.avg)
    swapped = evaluate.map_all(scores.T, text_labels, labels)
    assert (swapped.i2t, swapped.t2i) == (found.t2i, found.i2t)
    # The input is left alone.
    before = scores.copy()
    evaluate.map_all(torch.from_numpy(scores), labels, text_labels)
    assert (scores == before).all()


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
@pytest.mark.parametrize("tile", [1, 100, 1 << 22])
def test_embeddings_equal_the_matrix(kernel, monkeypatch, similarity, tile):
    monkeypatch.setitem(ranks.TILE, "cpu", tile)
    rng = torch.Generator().manual_seed(3)
    # Signs of few dimensions: many ties. A norm of 4 keeps every sum exact.
    images, texts = (torch.randn(n, 16, generator=rng).sign() for n in (21, 33))
    labels, text_labels = classes_for(np.random.default_rng(3), 21, 33)
    scores = images @ texts.T / (16 if similarity == "cosine" else 1)
    for ties in ("expected", "index"):
        a = evaluate.map_all(scores, labels, text_labels, ties=ties)
        b = evaluate.map_embeddings(images, texts, labels, text_labels, ties=ties, similarity=similarity)
        assert (a.i2t, a.t2i) == pytest.approx((b.i2t, b.t2i), abs=1e-12)


def test_cosine_ignores_lengths_and_takes_a_zero_vector(kernel):
    rng = torch.Generator().manual_seed(4)
    images, texts = torch.randn(12, 5, generator=rng), torch.randn(12, 5, generator=rng)
    labels = np.arange(12) % 3
    a = evaluate.map_embeddings(images, texts, labels)
    b = evaluate.map_embeddings(images * torch.arange(1, 13)[:, None], 5 * texts, labels)
    assert a.avg == pytest.approx(b.avg, abs=1e-6)
    images[0] = 0
    found = evaluate.map_embeddings(images, texts, labels)
    assert found.ap_i2t[0] == pytest.approx(evaluate.random_average_precision(4, 12).item(), abs=1e-12)


def test_queries_without_a_relevant_item(kernel):
    scores = np.random.default_rng(5).standard_normal((4, 3))
    labels, text_labels = np.array([0, 1, 9, 1]), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"image 2 has class 9, which no text .*1 of 4 image queries"):
        evaluate.map_all(scores, labels, text_labels)
    found = evaluate.map_all(scores, labels, text_labels, without_relevant="exclude")
    assert np.isnan(found.ap_i2t).tolist() == [False, False, True, False]
    kept = evaluate.map_all(scores[[0, 1, 3]], labels[[0, 1, 3]], text_labels)
    assert found.i2t == pytest.approx(kept.i2t)
    with pytest.raises(ValueError, match="which no text"):
        evaluate.map_all(scores, labels + 20, text_labels, without_relevant="exclude")
    with pytest.raises(ValueError, match=r"query 1 has no relevant item"):
        evaluate.average_precision(scores[:2], np.array([[True, False, False], [False] * 3]))


@pytest.mark.parametrize("ties", ["expected", "bounds", "index"])
def test_a_nan_is_named_by_its_position(kernel, ties):
    scores = np.random.default_rng(6).standard_normal((8, 8)).astype(np.float32)
    scores[5, 3] = np.nan
    with pytest.raises(ValueError, match=r"scores\[5, 3\] is NaN"):
        evaluate.map_all(scores, np.arange(8) % 2, ties=ties)
    images = torch.ones(4, 2)
    images[2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"images\[2, 1\] is NaN"):
        evaluate.map_embeddings(images, torch.ones(4, 2), np.zeros(4, int), ties=ties)
    images[2, 1] = torch.inf
    with pytest.raises(ValueError, match=r"images\[2, 1\] is infinite"):
        evaluate.map_embeddings(images, torch.ones(4, 2), np.zeros(4, int))


def test_errors_at_the_door(unchecked):
    scores, labels = np.zeros((3, 4)), np.zeros(3, int)
    for arguments, message in [
        ((scores, None), "only Recall@K"),
        ((scores, np.zeros(5, int)), r"shape \(3,\); got \(5,\)"),
        ((scores, labels), r"3 images but 4 texts: pass text_labels"),
        ((scores, labels, np.zeros(3, int)), r"text_labels must have one class per text"),
        ((scores, labels - 1, np.zeros(4, int)), r"labels\[0\] = -1"),
        ((scores, labels.astype(float), np.zeros(4, int)), "must be integers"),
        ((np.zeros((0, 4)), labels[:0], np.zeros(4, int)), "scores is empty: there is no image"),
        ((np.zeros(3), labels), r"two axes \(image, text\)"),
        ((scores, labels, np.zeros(4, int), "random"), "ties='random' is unknown"),
        ((scores, labels, np.zeros(4, int), "expected", "ignore"), "without_relevant='ignore'"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate.map_all(*arguments)
    with pytest.raises(ValueError, match="3 dimensions, text embeddings 4"):
        evaluate.map_embeddings(np.zeros((2, 3)), np.zeros((2, 4)), labels[:2])
    with pytest.raises(ValueError, match="similarity='dot'"):
        evaluate.map_embeddings(np.zeros((2, 3)), np.zeros((2, 3)), labels[:2], similarity="dot")
    with pytest.raises(ValueError, match="relevant must be boolean"):
        evaluate.average_precision(scores, np.ones((3, 4)))
