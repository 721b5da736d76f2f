"""The emoji data set: drawings, lines of text, families that stay in one split."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest

from xmrlib.data import openmoji
from xmrlib.data.emoji import CLASSES, family_of, load, text_of
from xmrlib.data.pairs import DataError


@pytest.fixture(scope="module")
def data():
    return load()


def test_size_and_classes(data):
    assert 1500 <= len(data) <= 1900 and data.classes == CLASSES and len(CLASSES) == 9
    assert (data.labels == CLASSES.index("Flags")).sum() == 60
    for part in (data.train, data.val, data.test):
        assert set(part.labels) == set(range(9))
    assert len(data.val) / len(data) == pytest.approx(0.1, abs=0.02)
    assert len(data.test) / len(data) == pytest.approx(0.25, abs=0.02)


def test_families_stay_together(data):
    homes, texts = defaultdict(set), defaultdict(set)
    for row in range(len(data)):
        homes[data.truth[row]["family"]].add(data.split[row])
        texts[data.texts[row]].add(data.split[row])
    assert all(len(parts) == 1 for parts in homes.values())
    # So no text of the test is, word for word, in the training split.
    assert all(len(parts) == 1 for parts in texts.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MAN CLIMBING", "WOMAN CLIMBING"),
        ("CLOCK FACE ONE OCLOCK", "CLOCK FACE TEN-THIRTY"),
        ("NORTH EAST ARROW", "BLACK RIGHTWARDS ARROW"),
        ("GREEN HEART", "PURPLE HEART"),
        ("MALE VAMPIRE", "VAMPIRE"),
        ("BUS", "ONCOMING BUS"),
        ("KEYCAP 3", "KEYCAP TEN"),
    ],
)
def test_variants_are_one_family(one, other):
    assert family_of(one, "any") == family_of(other, "any")


def test_texts_do_not_name_their_class(data):
    words = {word for name in CLASSES for word in re.findall("[a-z]+", name.lower())}
    for row in range(len(data)):
        text = data.texts[row]
        assert text.strip() and text == text.lower()
        assert not words & set(text.split()), text
    assert text_of("WHITE FLAG", ["waving_white_flag"]) == "white waving"
    assert text_of("DOG", ["dog2"]) == "dog"


def test_pictures_are_drawn_when_asked_for(data):
    picture = data.images[5]
    assert picture.size == (224, 224) and picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    openmoji.rendered.cache_clear()
    assert data.images[5].tobytes() == picture.tobytes()
    assert load(size=64).images[5].size == (64, 64)
    assert load(size=64).images.key != data.images.key


def test_same_split_twice(data):
    assert np.array_equal(load().split, data.split)
    assert not np.array_equal(load(seed=1).split, data.split)


@pytest.mark.parametrize("knobs", [{"val": 0.6, "test": 0.5}, {"test": 0.0}, {"size": 2}])
def test_refuses(knobs):
    with pytest.raises(DataError):
        load(**knobs)


def test_unknown_drawing():
    with pytest.raises(ValueError, match="no drawing '10FFFF'"):
        openmoji.drawing_of("10FFFF")
