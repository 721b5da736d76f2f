"""All-modal MAP, the authors' standardising, twins, and the report."""

from __future__ import annotations

import json
from types import SimpleNamespace

import jaxtyping
import numpy as np
import pytest
import torch

import xmrlib.evaluate as evaluate
from xmrlib.data.pairs import Images, Pairs, Texts


@pytest.fixture
def unchecked():
    """The functions' own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def z(x: np.ndarray, ddof: int, of: np.ndarray | None = None) -> np.ndarray:
    of = x if of is None else of
    return (x - of.mean(0)) / of.std(0, ddof=ddof)


def average_precision(row: np.ndarray, relevant: np.ndarray) -> float:
    positions = 1 + np.flatnonzero(relevant[np.argsort(-row)])
    return np.mean(np.arange(1, len(positions) + 1) / positions)


def case(seed: int = 0):
    rng = np.random.default_rng(seed)
    labels, text_labels = np.arange(20) % 4, rng.permutation(np.arange(28) % 4)
    centres = rng.standard_normal((4, 6))
    images = centres[labels] + rng.standard_normal((20, 6)) + 2
    texts = centres[text_labels] + rng.standard_normal((28, 6)) - 1
    return images, texts, labels, text_labels


@pytest.mark.parametrize("standardise", ["none", "train", "test", "test-queries"])
@pytest.mark.parametrize("keep_self", [False, True])
def test_embedding_map_equals_a_slow_one(standardise, keep_self):
    images, texts, labels, text_labels = case()
    train = (case(1)[0], case(1)[1])
    both = {
        "none": (images, texts),
        "train": (z(images, 0, train[0]), z(texts, 0, train[1])),
        "test": (z(images, 0), z(texts, 0)),
        "test-queries": (z(images, 1), z(texts, 1)),
    }[standardise]
    gallery = (images, texts) if standardise == "test-queries" else both
    i2t = [average_precision(r, text_labels == y) for r, y in zip(cosine(both[0], gallery[1]), labels, strict=True)]
    t2i = [average_precision(r, labels == y) for r, y in zip(cosine(both[1], gallery[0]), text_labels, strict=True)]
    union, classes = np.concatenate(both), np.concatenate([labels, text_labels])
    everything = []
    for query, row in enumerate(cosine(union, union)):
        relevant, kept = classes == classes[query], np.arange(48) != query
        row[query] = 2  # the query's distance to itself is 0: first place
        everything.append(
            average_precision(row, relevant) if keep_self else average_precision(row[kept], relevant[kept])
        )
    found = evaluate.embedding_map(
        torch.from_numpy(images),
        torch.from_numpy(texts),
        labels,
        text_labels,
        standardise,
        tuple(map(torch.from_numpy, train)) if standardise == "train" else None,
        keep_self,
    )
    assert found.ap_i2t == pytest.approx(i2t)
    assert found.ap_t2i == pytest.approx(t2i)
    assert [*found.ap_all_i, *found.ap_all_t] == pytest.approx(everything)
    assert found.avg == (found.i2t + found.t2i) / 2


@pytest.mark.parametrize("ties", ["expected", "index"])
@pytest.mark.parametrize("keep_self", [False, True])
def test_the_torch_kernel_agrees_on_all_modal_lists(monkeypatch, ties, keep_self):
    from xmrlib.evaluate import ranks

    images, texts, labels, text_labels = case()
    images, texts = np.sign(images), np.sign(texts)  # ties
    a = evaluate.embedding_map(images, texts, labels, text_labels, ties=ties, keep_self=keep_self)
    monkeypatch.setattr(ranks, "uses_torch", lambda device: True)
    b = evaluate.embedding_map(images, texts, labels, text_labels, ties=ties, keep_self=keep_self)
    assert [a.i2t, a.t2i, a.all_i, a.all_t] == pytest.approx([b.i2t, b.t2i, b.all_i, b.all_t], abs=1e-12)


def test_a_query_in_its_own_list_can_only_help():
    images, texts, labels, text_labels = case(2)
    without, kept = (evaluate.embedding_map(images, texts, labels, text_labels, keep_self=k) for k in (False, True))
    assert kept.all_i > without.all_i and kept.all_t > without.all_t
    assert (kept.i2t, kept.t2i) == (without.i2t, without.t2i)


def test_a_constant_dimension_stays_finite():
    images, texts, labels, text_labels = case(3)
    images[:, 2] = 1.0
    assert 0 < evaluate.embedding_map(images, texts, labels, text_labels, "test").avg < 1


def test_embedding_map_errors(unchecked):
    images, texts, labels, text_labels = case()
    for keywords, message in [
        ({"standardise": "train"}, r"needs train=\(images, texts\)"),
        ({"train": (images, texts)}, "and nothing else does"),
        ({"standardise": "zscore"}, "standardise='zscore' is unknown"),
        ({"ties": "bounds"}, "map_embeddings gives the bounds"),
        ({"standardise": "train", "train": (images[:, :3], texts)}, "cannot standardise"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate.embedding_map(images, texts, labels, text_labels, **keywords)


def test_twin_accuracy():
    image_of_text, twin = np.array([0, 1, 2, 3, 3]), np.array([1, 0, -1, -1])
    scores = np.zeros((4, 5))
    scores[0, 0], scores[1, 0] = 0.9, 0.8  # text 0: right; image 1: wrong
    found = evaluate.twin_accuracy(scores, image_of_text, twin)
    assert (found.per_image[:2] == [1.0, 0.0]).all() and np.isnan(found.per_image[2:]).all()
    assert (found.per_text[:2] == [1.0, 0.5]).all() and np.isnan(found.per_text[2:]).all()
    assert (found.i2t, found.t2i) == (0.5, 0.75)
    # Several texts each: all choices are averaged.
    scores = np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    found = evaluate.twin_accuracy(scores, np.array([0, 0, 1, 1]), np.array([1, 0]))
    assert found.i2t == (3 / 4 + 1) / 2 and found.t2i == (1 + 1 + 0 + 1) / 4


def test_twin_accuracy_by_chance():
    rng = np.random.default_rng(4)
    twin = np.arange(2000) ^ 1
    found = evaluate.twin_accuracy(rng.standard_normal((2000, 2000)).astype(np.float32), np.arange(2000), twin)
    assert (found.i2t, found.t2i) == pytest.approx((0.5, 0.5), abs=0.04)


def test_twin_errors():
    scores, own = np.zeros((3, 3)), np.arange(3)
    for twin, message in [
        ([-1, -1, -1], "no image has a twin"),
        ([1, 2, 0], "image 0 has twin 1, whose twin is 2"),
        ([0, -1, -1], "image 0 has twin 0"),
        ([3, -1, -1], "must name a row below 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate.twin_accuracy(scores, own, np.array(twin))


def toy(labels: bool = True, twins: bool = False, seed: int = 0, images: int = 60):
    """Pairs with two texts an image, and similarities that know a little."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"image {i}" for i in range(images))
    truth = tuple(SimpleNamespace(twin=ids[i ^ 1] if i < 20 else None) for i in range(images)) if twins else None
    image_of_text = np.repeat(np.arange(images), 2)
    classes = np.arange(images) % 3
    pairs = Pairs(
        "toy",
        Images(ids),
        Texts(tuple(f"text {i}" for i in range(2 * images))),
        image_of_text,
        classes if labels else None,
        ("farm", "sea", "sky") if labels else (),
        truth=truth,
    )
    knows = 1.5 * (image_of_text[None] == np.arange(images)[:, None]) + (classes[:, None] == classes[image_of_text])
    return pairs, (rng.standard_normal(knows.shape) + knows).astype(np.float32)


def test_report_holds_what_the_functions_give():
    pairs, scores = toy(twins=True)
    report = evaluate.report(scores, pairs, samples=200)
    names = ["map_i2t", "map_t2i", "map_avg"]
    names += [f"{m}_{way}" for m in ("r1", "r5", "r10", "medr", "twin") for way in ("i2t", "t2i")]
    assert list(report.metrics) == names and set(report.chance) == set(names)
    found, places = (
        evaluate.map_all(scores, pairs.labels, pairs.text_labels),
        evaluate.recall(scores, pairs.image_of_text),
    )
    assert report.metrics["map_avg"] == pytest.approx(found.avg)
    assert report.metrics["r5_t2i"] == pytest.approx(places.t2i[5])
    assert report.metrics["medr_i2t"] == places.median_rank_i2t
    for name, (low, high) in report.intervals.items():
        assert low <= report.metrics[name] <= high
        assert name.startswith("medr") or 0 <= low <= high <= 1
    assert report.metrics["map_avg"] > report.chance["map_avg"]


def test_report_reads_well():
    pairs, scores = toy(twins=True)
    report = evaluate.report(scores, pairs, samples=100)
    lines = str(report).splitlines()
    assert lines[0] == "toy: 60 images, 120 texts in the gallery"
    assert "protocol honest; ties: expectation over a random order" in str(report)
    assert "100 draws" in str(report) and "20 images" in lines[-1]
    columns = [line.find("image→text") for line in lines if "image→text" in line]
    assert len(columns) == 1 and lines[2].startswith("MAP") and lines[2][columns[0] - 1] == " "
    assert "<table" in report._repr_html_() and "image→text" in report._repr_html_()
    assert json.loads(report.to_json())["metrics"] == report.metrics


def test_report_of_two_matrices_takes_each_direction_from_its_own():
    pairs, scores = toy(twins=True)
    noise = np.random.default_rng(2).standard_normal(scores.shape).astype(np.float32)
    for_images, for_texts = scores + noise, scores - noise
    both = evaluate.report((for_images, for_texts), pairs, samples=50)
    first, second = (evaluate.report(part, pairs, samples=50) for part in (for_images, for_texts))
    for name, value in both.metrics.items():
        if name.endswith("i2t"):
            assert value == first.metrics[name] and both.intervals[name] == first.intervals[name]
        elif name.endswith("t2i"):
            assert value == second.metrics[name]
    assert first.metrics["map_i2t"] != second.metrics["map_i2t"]
    assert both.metrics["map_avg"] == pytest.approx((both.metrics["map_i2t"] + both.metrics["map_t2i"]) / 2)


def test_report_without_labels_or_twins():
    pairs, scores = toy(labels=False)
    report = evaluate.report(scores, pairs, samples=50)
    assert not any(name.startswith(("map", "twin")) for name in report.metrics)
    assert "MAP is not defined, only Recall@K" in str(report)
    assert "mean of both" not in str(report)


def test_report_by_the_authors_protocol_orders_ties_by_index():
    pairs, scores = toy()
    scores = scores.round()
    honest, authors = (evaluate.report(scores, pairs, protocol=p, samples=50) for p in ("honest", "authors"))
    assert authors.ties == "index" and "tied items in index order" in str(authors)
    assert authors.metrics["map_i2t"] == evaluate.map_all(scores, pairs.labels, pairs.text_labels, ties="index").i2t
    assert authors.metrics["map_i2t"] != honest.metrics["map_i2t"]


def test_compare_over_queries_and_seeds():
    pairs, scores = toy()
    rng = np.random.default_rng(1)
    noisy = [scores + 2 * rng.standard_normal(scores.shape).astype(np.float32) for _ in range(3)]
    good = [evaluate.report(scores, pairs, samples=20) for _ in noisy]
    bad = [evaluate.report(s, pairs, samples=20) for s in noisy]
    for measure in ("map_avg", "map_i2t", "r10_t2i"):
        difference = evaluate.compare(good, bad, measure)
        expected = np.mean([a.metrics[measure] - b.metrics[measure] for a, b in zip(good, bad, strict=True)])
        assert difference.value == pytest.approx(expected) and difference.excludes_zero
    assert not evaluate.compare(good[0], good[0]).excludes_zero
    other = evaluate.report(scores, pairs, protocol="authors", samples=20)
    with pytest.raises(ValueError, match="same pairs, protocol and number of seeds"):
        evaluate.compare(good[0], other)
    with pytest.raises(ValueError, match="same pairs, protocol and number of seeds"):
        evaluate.compare(good, bad[:2])
    with pytest.raises(ValueError, match="measure='medr_i2t' cannot be compared; choose one of map_i2t"):
        evaluate.compare(good, bad, "medr_i2t")


def test_report_errors(unchecked):
    pairs, scores = toy()
    with pytest.raises(ValueError, match=r"shape \(60, 60\), but toy has 60 images and 120 texts"):
        evaluate.report((scores, scores[:, :60]), pairs)
    with pytest.raises(ValueError, match=r"shape \(60, 60\), but toy has 60 images and 120 texts"):
        evaluate.report(scores[:, :60], pairs)
    with pytest.raises(ValueError, match="protocol='best'"):
        evaluate.report(scores, pairs, protocol="best")
    scores[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"scores\[3, 4\] is NaN"):
        evaluate.report(scores, pairs)
