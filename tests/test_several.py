"""Sides with several views: fitted together, kept together, back as they were."""

from __future__ import annotations

import pytest
import torch
from test_networks import pairs

from xmrlib.data.pairs import DataError
from xmrlib.methods import CCLConfig
from xmrlib.methods.network import parts_of
from xmrlib.methods.several import (
    SeveralImages,
    SeveralTexts,
    new_image_side,
    new_text_side,
    restored_image_side,
    restored_text_side,
)
from xmrlib.methods.sides import ImageSide, TextSide

IMAGES = {"image_view": "vector", "image_parts": "parts"}
TEXTS = {"text_view": "vector", "text_parts": "parts"}
SETTINGS = {"image_view": "vector", "image_parts": "regions", "text_view": "bow", "text_options": {"min_count": 1}}
PARTS = {"encoder": "tfidf", "options": {"min_count": 1}}


def sides(**settings) -> tuple[SeveralImages, SeveralTexts]:
    config = CCLConfig(**SETTINGS | {"text_parts_options": PARTS} | settings)
    return new_image_side(config, IMAGES), new_text_side(config, TEXTS)


def test_all_views_are_fitted_and_there_in_order():
    data = pairs()
    images, texts = (side.fit(part) for side, part in zip(sides(), (data.images, data.texts), strict=True))
    seen, read = images.features(data.images), texts.features(data.texts)
    assert images.dim == [12, 6] and texts.dim == [seen_words(texts, 0), seen_words(texts, 1)]
    assert len(seen) == len(read) == 8
    assert [tensor.shape for tensor in parts_of(seen)] == [(8, 12), (8, 4, 6), (8, 4)]
    assert parts_of(read)[1].shape == (8, 2, texts.dim[1]) and parts_of(read)[2].all()
    rows = torch.tensor([5, 2])
    for some, whole in zip(parts_of(seen[rows]), parts_of(seen), strict=True):
        assert torch.equal(some, whole[rows])
    assert len(read[2:5]) == 3


def seen_words(texts: SeveralTexts, view: int) -> int:
    encoder = texts.sides[view].encoder
    return len(getattr(encoder, "inner_", encoder).words_)


def test_state_and_back():
    data = pairs()
    images, texts = (side.fit(part) for side, part in zip(sides(), (data.images, data.texts), strict=True))
    seen, read = images.features(data.images), texts.features(data.texts)
    facts, tensors = texts.state()
    assert all(name.startswith(("0.", "1.")) for name in tensors) and tensors
    for again, kinds, item, before in (
        (restored_image_side(images.state(), IMAGES), IMAGES, data.images, seen),
        (restored_text_side(facts, TEXTS, tensors), TEXTS, data.texts, read),
    ):
        assert [side.kind for side in again.sides] == list(kinds.values())
        for ours, theirs in zip(parts_of(again.features(item)), parts_of(before), strict=True):
            assert torch.equal(ours, theirs)
        assert again.dim == [*(images if item is data.images else texts).dim]
    assert restored_text_side(facts, TEXTS, tensors).state()[0] == facts
    with pytest.raises(ValueError, match="zip"):
        restored_image_side(images.state(), {"image_view": "vector"})


def test_one_view_is_the_plain_side():
    config = CCLConfig(**SETTINGS)
    assert isinstance(new_image_side(config, "vector"), ImageSide)
    text_side = new_text_side(config, "vector").fit(pairs().texts)
    assert isinstance(text_side, TextSide)
    facts, tensors = text_side.state()
    assert isinstance(restored_text_side(facts, "vector", tensors), TextSide)
    assert isinstance(restored_image_side(ImageSide("vector", "lite0").state(), "vector"), ImageSide)


def test_a_word_that_any_view_knows_is_known():
    data = pairs()
    texts = sides(text_options={"min_count": 1, "max_words": 1})[1].fit(data.texts)
    whole, parts = texts.sides
    assert len(whole.encoder.words_) == 1
    assert not whole.knows("a drum") and parts.knows("a drum") and texts.knows("a drum")
    assert not texts.knows("xyzzy")


def test_a_view_that_is_missing_is_named():
    data = pairs()
    with pytest.raises(DataError, match="no view 'patches'"):
        sides(image_parts="patches")[0].fit(data.images)
    with pytest.raises(DataError, match="no vectors of parts"):
        sides(text_parts="tokens", text_parts_options={})[1].fit(data.texts).features(data.texts)
