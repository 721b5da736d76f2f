"""What a data set is: joins, splits and the faults that are found at the door."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import xmrlib.data
from xmrlib.data.pairs import SPLITS, DataError, Images, Pairs, Texts


def make(
    images: int = 12, captions: int = 2, classes: int = 3, split: bool = True, order: np.ndarray | None = None
) -> Pairs:
    """A small whole data set; picture i is a plain square of grey level i, text k of image i says so."""
    owner = np.repeat(np.arange(images), captions)
    owner = owner if order is None else owner[order]
    return Pairs(
        name="toy",
        images=Images(
            tuple(f"image {i}" for i in range(images)),
            picture=lambda row: Image.new("RGB", (2, 2), (row, row, row)),
            given={"whole": torch.arange(images, dtype=torch.float32)[:, None]},
            key="toy",
        ),
        texts=Texts(
            tuple(f"text {k}" for k in range(len(owner))),
            tuple((f"grey {i}", f"line {k}") for k, i in enumerate(owner)),
        ),
        image_of_text=owner,
        labels=np.arange(images) % classes,
        classes=tuple("abcdefgh"[:classes]),
        split=np.array([SPLITS[i // classes % 3] for i in range(images)]) if split else None,
        truth=tuple(range(images)),
    )


def agrees(part: Pairs) -> None:
    """Every column of a part still speaks of the same image."""
    for i in range(len(part)):
        row = int(part.images.rows[i])
        assert part.images.ids[i] == f"image {row}" and part.truth[i] == row
        assert part.images[i].getpixel((0, 0)) == (row, row, row)
        assert part.images.given["whole"][i].item() == row
        assert part.labels[i] == row % len(part.classes)
    for k, i in enumerate(part.image_of_text):
        assert part.texts.fragments[k][0] == f"grey {part.images.rows[i]}"
        assert part.text_labels[k] == part.labels[i]


def test_it_counts_and_prints() -> None:
    data = make().check()
    assert repr(data) == "toy: 12 images, 24 texts, 3 classes (train 6, val 3, test 3)"
    assert (len(data.train), len(data.val), len(data.test)) == (6, 3, 3)
    assert repr(replace(data, labels=None, split=None)) == "toy: 12 images, 24 texts, no classes"
    assert data.texts[0] == "grey 0 line 0" and len(list(data.images)) == 12


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_select_keeps_every_column_together(data: st.DataObject) -> None:
    images, captions = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    order = np.array(data.draw(st.permutations(range(images * captions))))
    whole = make(images, captions, split=False, order=order)
    rows = data.draw(st.lists(st.integers(0, images - 1), min_size=1, max_size=images, unique=True))
    part = whole.select(rows)
    agrees(part)
    assert list(part.images.rows) == rows and len(part.texts) == captions * len(rows)
    again = part.select(np.arange(len(rows))[::-1])
    agrees(again)
    assert again.images.key == "toy" and again.images.total == images


def test_select_by_mask_and_its_errors() -> None:
    data = make()
    assert len(data.select(data.labels == 1)) == 4
    with pytest.raises(DataError, match="row 12 is outside"):
        data.select([0, 12])
    with pytest.raises(DataError, match="row -1 is outside"):
        data.select([-1])
    with pytest.raises(DataError, match="a row twice"):
        data.select([1, 1])
    with pytest.raises(DataError, match="mask of shape"):
        data.select(np.ones(3, dtype=bool))


def test_sample_is_seeded_and_bounded() -> None:
    data = make()
    assert data.sample(5, seed=3).images.ids == data.sample(5, seed=3).images.ids
    assert data.sample(5, seed=3).images.ids != data.sample(5, seed=4).images.ids
    for size in (0, 13):
        with pytest.raises(DataError, match="outside 1..12"):
            data.sample(size)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_each_and_joined_hold_the_same_words(images: int, captions: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(images * captions)
    data = make(images, captions, split=False, order=order)
    each, joined = data.with_texts("each"), data.with_texts("joined")
    assert len(each.texts) == 2 * len(data.texts) and len(joined.texts) == images
    assert list(joined.image_of_text) == list(range(images))
    assert sorted(each.texts) == sorted(part for text in data.texts.fragments for part in text)
    assert len(set(each.texts.ids)) == len(each.texts)
    for k, i in enumerate(joined.image_of_text):
        own = [
            part for text, j in zip(data.texts.fragments, data.image_of_text, strict=True) if i == j for part in text
        ]
        assert list(joined.texts.fragments[k]) == own
    assert each.with_texts("joined").texts.fragments == joined.texts.fragments
    each.check()
    joined.check()


def test_texts_that_are_features_are_not_cut() -> None:
    data = make(3, 1, split=False)
    vectors = replace(data, texts=replace(data.texts, given={"vector": torch.zeros(3, 4)}))
    assert vectors.with_texts("joined").texts.given.keys() == {"vector"}
    with pytest.raises(DataError, match="brings features of its texts"):
        vectors.with_texts("each")
    bare = replace(data, texts=Texts(data.texts.ids, None, {"vector": torch.zeros(3, 4)}))
    assert bare.with_texts("each") is bare
    with pytest.raises(DataError, match="no words"):
        bare.texts[0]
    two = make(3, 2, split=False)
    with pytest.raises(DataError, match="cannot be joined"):
        replace(two, texts=Texts(two.texts.ids, None, {"vector": torch.zeros(6, 4)})).with_texts("joined")
    with pytest.raises(DataError, match="'each' or 'joined'"):
        inspect.unwrap(Pairs.with_texts)(data, "all")  # past the type check that tests add


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 40), st.integers(0, 99), st.integers(1, 6))
def test_groups_never_straddle(images: int, seed: int, size: int) -> None:
    data = replace(make(images, 1, 1, split=False), labels=None)
    groups = np.arange(images) // size
    fresh = data.resplit(val=0.1, test=0.3, seed=seed, groups=groups)
    for group in np.unique(groups):
        assert len(set(fresh.split[groups == group])) == 1
    assert (fresh.split == "test").sum() <= round(0.3 * images)
    assert (fresh.split == data.resplit(val=0.1, test=0.3, seed=seed, groups=groups).split).all()
    assert (fresh.split == "train").any()


def test_resplit_sizes_and_errors() -> None:
    data = make(30, 1)
    fresh = data.resplit(val=3, test=0.3, seed=1)
    assert [int((fresh.split == part).sum()) for part in SPLITS] == [18, 3, 9]
    assert fresh.images is data.images
    with pytest.raises(DataError, match="no training image"):
        data.resplit(val=0.5, test=0.5)
    with pytest.raises(DataError, match="neither a share"):
        data.resplit(val=1.5, test=2)
    with pytest.raises(DataError, match="groups has 3 keys"):
        data.resplit(val=1, test=2, groups=[1, 2, 3])
    with pytest.raises(DataError, match="in 'train' only"):
        make(30, 1, 8).resplit(val=0, test=1)
    with pytest.raises(DataError, match="no 'val' split"):
        _ = make(split=False).val


def test_faults_at_the_door() -> None:
    data = make()
    for change, message in (
        ({"image_of_text": np.full(24, 12)}, r"image_of_text\[0\] is 12, but there are 12 images"),
        ({"image_of_text": np.zeros(3, dtype=int)}, "image_of_text has 3 entries"),
        ({"labels": np.full(12, 3)}, r"labels\[0\] is 3, but there are 3 classes"),
        ({"labels": np.zeros(5, dtype=int)}, "labels has 5 entries"),
        ({"split": np.array(["train"] * 11 + ["dev"])}, "split of image row 11 is 'dev'"),
        ({"truth": (1,)}, "truth has 1 entries"),
    ):
        with pytest.raises(DataError, match=message):
            replace(data, **change)
    with pytest.raises(DataError, match="feature 'whole' has 11 rows for 12 images"):
        replace(data.images, given={"whole": torch.zeros(11, 2)})
    with pytest.raises(DataError, match="feature 'vector' has 2 rows for 24 texts"):
        replace(data.texts, given={"vector": torch.zeros(2, 2)})
    with pytest.raises(DataError, match="1 texts for 24 text ids"):
        replace(data.texts, fragments=(("a",),))


def test_faults_that_check_finds() -> None:
    data = make()
    broken = data.images.given["whole"].clone()
    broken[7] = torch.nan
    twice = (data.images.ids[1], *data.images.ids[1:])
    empty = (("fine",), *data.texts.fragments[1:-1], ("fine", " \n"))
    for faulty, message in (
        (replace(data, images=replace(data.images, given={"whole": broken})), "image row 7 .* NaN or infinite"),
        (replace(data, images=replace(data.images, ids=twice)), "image rows 0 and 1 share the id 'image 1'"),
        (replace(data, texts=replace(data.texts, fragments=empty)), "text row 23 .* is empty"),
        (replace(data, image_of_text=np.zeros(24, dtype=int)), r"image row 1 \('image 1'\) has no text"),
        (replace(data, split=np.where(data.labels == 2, "train", data.split)), "class 'c' .* is in 'train' only"),
        (replace(data, split=np.where(data.labels == 2, "test", data.split)), "class 'c' .* is in 'test' only"),
        (
            replace(data, split=np.where((data.labels == 2) & (data.split == "train"), "val", data.split)),
            "class 'c' .* is in 'val' and 'test' only",
        ),
    ):
        with pytest.raises(DataError, match=message):
            faulty.check()
    nothing = Pairs("none", Images(()), Texts((), ()), np.zeros(0, dtype=int))
    with pytest.raises(DataError, match="0 rows"):
        nothing.check()
    assert data.check() is data


def test_a_side_of_features_only() -> None:
    images = Images(("a", "b"), given={"whole": torch.zeros(2, 3)})
    with pytest.raises(DataError, match="brings features only"):
        images[0]
    assert Texts.of(["a cow"])[0] == "a cow"


def test_names_and_unknown_names() -> None:
    known = {"emoji", "scenes", "wikipedia", "flickr8k", "pascal", "openclipart", "flickr30k", "coco", "precomputed"}
    assert known == set(xmrlib.data.names())
    with pytest.raises(DataError, match="there are emoji, scenes.*Did you mean 'flickr8k'"):
        xmrlib.data.load("flicker8k")
    with pytest.raises(DataError, match="no data set 'nuswide'"):
        xmrlib.data.card("nuswide")


def test_a_card_prints_and_shows() -> None:
    card = xmrlib.data.Card(
        "toy", "A <toy>", "Two pairs.", licence="CC0", classes=("a", "b"), checksums={"x": "1f"}, faults=("f",)
    )
    assert "licence  CC0" in str(card) and "2: a, b" in str(card) and "x  1f" in str(card)
    assert "A &lt;toy&gt;" in card._repr_html_() and "<li>f</li>" in card._repr_html_()
    assert card.as_dict()["classes"] == ["a", "b"]
