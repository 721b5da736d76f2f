"""The second stage: the pair model's order among the candidates, both directions, and every refusal."""

from __future__ import annotations

from types import SimpleNamespace

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from xmrlib import evaluate
from xmrlib.data.pairs import Images, Pairs, Texts
from xmrlib.methods import CCA, CCAConfig, SemanticMatching, SemanticMatchingConfig
from xmrlib.search import Index, rerank

IMAGES, TEXTS, DIM = 15, 40, 6
FEATURES = {
    "image": torch.randn(IMAGES, DIM, generator=torch.Generator().manual_seed(0)),
    "text": torch.randn(TEXTS, DIM, generator=torch.Generator().manual_seed(1)),
}


@pytest.fixture
def unchecked():
    """The function's own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Pairwise:
    """Scores no embedding could give: rounded, so that some tie, and different from the first stage's."""

    def __init__(self, side=lambda table: table):
        self.side, self.calls = side, []

    def similarity(self, images, texts):
        images, texts = self.side(images), self.side(texts)
        self.calls.append((len(images), len(texts)))
        return -(images[:, None] - texts[None]).abs().amax(dim=2).mul(4).round()


def first_stage(find: str, k: int) -> torch.Tensor:
    gallery, queries = ("image", "text") if find == "images" else ("text", "image")
    return Index(FEATURES[gallery]).search(FEATURES[queries], k)[1]


@pytest.mark.parametrize("find", ["images", "texts"])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_all_as_candidates_is_scoring_every_pair(find, batch):
    full = Pairwise().similarity(FEATURES["image"], FEATURES["text"])
    by_query = full.T if find == "images" else full
    expected = by_query.sort(dim=1, descending=True, stable=True)
    rows = first_stage(find, by_query.shape[1])
    scores, found = rerank(Pairwise(), FEATURES["image"], FEATURES["text"], rows, 1000, find, batch)
    assert torch.equal(found, expected.indices) and torch.equal(scores, expected.values)
    # In the measures' own terms: the same Recall@K for each K.
    again, image_of_text = torch.empty_like(by_query).scatter(1, found, scores), np.arange(TEXTS) % IMAGES
    a, b = (evaluate.recall(s, image_of_text) for s in (again.T if find == "images" else again, full))
    assert (a.i2t, a.t2i) == (b.i2t, b.t2i)


@pytest.mark.parametrize("find", ["images", "texts"])
@pytest.mark.parametrize("batch", [1, 4])
def test_only_candidates_are_returned_and_by_the_second_score(find, batch):
    full = Pairwise().similarity(FEATURES["image"], FEATURES["text"])
    by_query = full.T if find == "images" else full
    rows, model = first_stage(find, 8), Pairwise()
    scores, found = rerank(model, FEATURES["image"], FEATURES["text"], rows, 5, find, batch)
    assert scores.shape == found.shape == (len(by_query), 5)
    for query, (line, row) in enumerate(zip(found.tolist(), rows.tolist(), strict=True)):
        best = sorted(row, key=lambda item: (-by_query[query, item], item))[:5]
        assert line == best and torch.equal(scores[query], by_query[query, best])
    most = max(max(call) for call in model.calls)
    assert len(model.calls) == -(-len(by_query) // batch) and most <= 8 * batch


def test_the_order_of_candidates_does_not_matter():
    rows = first_stage("images", 8)
    one = rerank(Pairwise(), FEATURES["image"], FEATURES["text"], rows, 8)
    other = rerank(Pairwise(), FEATURES["image"], FEATURES["text"], rows.flip(1), 8)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_tables_lists_arrays_and_single_queries():
    """What a method accepts as images or texts is passed on in kind."""
    tables = {
        "image": Images(tuple(map(str, range(IMAGES))), given={"x": FEATURES["image"]}),
        "text": Texts(tuple(map(str, range(TEXTS))), given={"x": FEATURES["text"]}),
    }
    rows = first_stage("images", 8)
    expected = rerank(Pairwise(), FEATURES["image"], FEATURES["text"], rows, 3)[1]
    table = Pairwise(lambda side: side.given["x"])
    assert torch.equal(rerank(table, tables["image"], tables["text"], rows, 3)[1], expected)
    listed = Pairwise(torch.stack)
    assert torch.equal(rerank(listed, list(FEATURES["image"]), list(FEATURES["text"]), rows, 3)[1], expected)
    array = Pairwise(torch.as_tensor)
    assert torch.equal(rerank(array, FEATURES["image"].numpy(), FEATURES["text"].numpy(), rows, 3)[1], expected)

    seen = []
    model = SimpleNamespace(similarity=lambda images, texts: seen.append((images, texts)) or torch.ones(2, 1))
    assert rerank(model, ["a", "b", "c"], "one sentence", torch.tensor([[2, 0]]), 1)[1].tolist() == [[0]]
    assert seen == [(["a", "c"], ["one sentence"])]
    picture = Image.new("RGB", (1, 1))
    model = SimpleNamespace(similarity=lambda images, texts: torch.tensor([[1.0, 2.0]]))
    assert rerank(model, picture, ["a", "b", "c"], torch.tensor([[2, 0]]), 1, "texts")[1].tolist() == [[2]]


def test_the_methods_of_this_library_take_both_stages():
    """One finds, another puts in order; sentences that are in no table are queries like any other."""
    words = ["cow", "boat", "tree", "lamp", "fish", "star"]
    texts = [f"{a} {b} {b}" for a in words for b in words]
    given = torch.eye(36) + 0.1 * torch.randn(36, 36, generator=torch.Generator().manual_seed(2))
    pairs = Pairs(
        "toy",
        Images(tuple(map(str, range(36))), given={"x": given}),
        Texts(tuple(map(str, range(36))), tuple((text,) for text in texts)),
        np.arange(36),
        labels=np.arange(36) % 6,
        classes=tuple(words),
    )
    first = CCA(CCAConfig(image_view="x", dim=4)).fit(pairs)
    second = SemanticMatching(SemanticMatchingConfig(image_view="x")).fit(pairs)
    asked = ["boat lamp lamp", "a cow under a star"]
    _, rows = Index(first.embed_images(pairs.images)).search(first.embed_texts(asked), 12)
    scores, found = rerank(second, pairs.images, asked, rows, 5)
    full = second.similarity(pairs.images, asked).T
    assert all(set(line) <= set(row) for line, row in zip(found.tolist(), rows.tolist(), strict=True))
    torch.testing.assert_close(scores, full.gather(1, found))
    _, rows = Index(first.embed_texts(pairs.texts)).search(first.embed_images(pairs.images), 36)
    scores, _ = rerank(second, pairs.images, pairs.texts, rows, 36, "texts", batch=36)
    torch.testing.assert_close(scores, second.similarity(pairs).sort(dim=1, descending=True).values)


def test_progress_is_shown_where_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("XMR_PROGRESS", "1")
    monkeypatch.delenv("XMR_BOOK", raising=False)
    rerank(Pairwise(), FEATURES["image"], FEATURES["text"], first_stage("images", 3), 3)
    assert "second stage" in capsys.readouterr().out


def test_errors_at_the_door(unchecked):
    rows = first_stage("images", 8)
    images, texts = FEATURES["image"], FEATURES["text"]
    wrong = SimpleNamespace(similarity=lambda images, texts: torch.ones(len(texts), len(images)))
    nan = SimpleNamespace(similarity=lambda images, texts: torch.full((len(images), len(texts)), torch.nan))
    for call, message in [
        (lambda: rerank(Pairwise(), images, texts, rows, 0), "k=0"),
        (lambda: rerank(Pairwise(), images, texts, rows, 9), "k=9 asks for more than the 8 candidates.*at least 9"),
        (lambda: rerank(Pairwise(), images, texts, rows, 5, "both"), "find='both'"),
        (lambda: rerank(Pairwise(), images, texts, rows, 5, batch=0), "batch=0"),
        (lambda: rerank(Pairwise(), images, texts, rows, 5, "texts"), "40 lines of rows for 15 images"),
        (lambda: rerank(Pairwise(), images[:9], texts, rows, 5), "the images from 0 to 8"),
        (lambda: rerank(Pairwise(), images, texts, rows - 40, 5), "rows run from -40"),
        (lambda: rerank(Pairwise(), images, texts, rows[0], 5), r"rows must be \(query, candidate\)"),
        (lambda: rerank(wrong, images, texts, rows, 5), r"returned the shape \(1, 8\) for 8 images and 1 texts"),
        (lambda: rerank(nan, images, texts, rows, 5), "SimpleNamespace.similarity returned a NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
