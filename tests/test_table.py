"""The reader's own table: what comes out of a good one, and what is said of every bad one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import xmrlib.data
from xmrlib.data.pairs import SPLITS, DataError

GOOD = """image,text,label,split
a.png,A cow.,farm,train
a.png,"It rains, again.",farm,train
b.png,Two boats.,sea,train
c.png,A barn.,farm,test
d.png,An island.,sea,test
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for level, name in enumerate("abcd"):
        Image.new("RGB", (8, 8), (level, level, level)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "pairs.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_table(folder: Path) -> None:
    data = xmrlib.data.load(write(folder, GOOD))
    assert repr(data) == "pairs: 4 images, 5 texts, 2 classes (train 2, test 2)"
    assert list(data.texts) == ["A cow.", "It rains, again.", "Two boats.", "A barn.", "An island."]
    assert data.texts.ids == ("a.png#0", "a.png#1", "b.png", "c.png", "d.png")
    assert list(data.image_of_text) == [0, 0, 1, 2, 3] and data.classes == ("farm", "sea")
    assert data.test.images[1].getpixel((0, 0)) == (3, 3, 3)
    assert data.images.key == xmrlib.data.load(folder / "pairs.csv").images.key
    assert "5 texts" in str(data.card)


def test_what_a_table_may_look_like(folder: Path) -> None:
    with_mark = xmrlib.data.load(write(folder, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()))
    assert len(with_mark.texts) == 5
    bare = xmrlib.data.load(
        write(folder, "image; text\na.png; A cow; \n".replace("; \n", "\n"), "x.csv"), delimiter=";"
    )
    assert bare.labels is None and bare.split is None and bare.texts[0] == "A cow"
    other = xmrlib.data.load(write(folder, "file,caption\na.png,A cow\n"), columns={"image": "file", "text": "caption"})
    assert len(other) == 1
    old = xmrlib.data.load(write(folder, "image,text\na.png,caf\xe9\n".encode("cp1252")), encoding="cp1252")
    assert old.texts[0] == "caf\xe9"
    (folder / "sub").mkdir()
    moved = xmrlib.data.load(write(folder / "sub", "image,text\na.png,A cow\n"), root=folder)
    assert len(moved) == 1
    # The same file by another path is the same image; numbers as classes stand in their order.
    same = xmrlib.data.load(write(folder, "image,text,label\na.png,A cow,10\nsub/../a.png,A bull,10\nb.png,A boat,9\n"))
    assert len(same) == 2 and same.classes == ("9", "10")


def test_json_lines(folder: Path) -> None:
    rows = [
        {"image": "a.png", "text": ["A cow.", "A bull."], "label": 1, "split": "training", "id": "x"},
        {"image": "b.png", "text": "A boat\u2028at sea.", "label": 1, "split": "dev"},
    ]
    path = write(folder, "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "pairs.jsonl")
    data = xmrlib.data.load(path)
    assert list(data.texts) == ["A cow.", "A bull.", "A boat at sea."]
    assert data.texts.ids == ("x#0", "x#1", "b.png") and list(data.split) == ["train", "val"]


def test_a_split_is_made_with_groups_whole(folder: Path) -> None:
    lines = ["image,text,group"]
    for row in range(40):
        Image.new("L", (4, 4), row).save(folder / f"{row}.png")
        lines.append(f"{row}.png,number {row},{'' if row >= 30 else row // 3}")
    # A later row of an early image must not move it out of its place.
    lines.append("0.png,naught,0")
    data = xmrlib.data.load(write(folder, "\n".join(lines)), val=0.1, test=0.2, seed=1)
    assert [int((data.split == part).sum()) for part in SPLITS] == [28, 4, 8]
    for group in range(10):
        assert len(set(data.split[group * 3 : group * 3 + 3])) == 1


def expect(folder: Path, text: str | bytes, message: str, name: str = "pairs.csv", **options: object) -> None:
    with pytest.raises(DataError, match=message) as caught:
        xmrlib.data.load(write(folder, text, name), **options)
    assert name in str(caught.value)


def test_every_fault_of_a_csv_is_named_with_its_line(folder: Path) -> None:
    expect(folder, GOOD.replace("c.png", "z.png"), "line 5: the image .*z.png is missing.*root=")
    expect(folder, GOOD + ".,A folder.,sea,test\n", "line 7: .* is a folder")
    expect(folder, GOOD.replace("Two boats.", " "), "line 4: the text is empty.*remove the row")
    expect(folder, GOOD.replace("Two boats.", "nan"), "line 4: text is 'nan', a missing value")
    expect(folder, GOOD.replace("d.png", ""), "line 6: the image is empty")
    expect(folder, GOOD.replace("d.png", "https://x.org/d.png"), "line 6: .* is an address")
    expect(folder, GOOD.replace("An island.,sea", "An island.,NaN"), "line 6: label is 'NaN'.*Leave the field empty")
    expect(folder, GOOD.replace("An island.,sea", "An island.,"), "line 6: the label is empty, where line 2 has one")
    expect(
        folder, GOOD.replace("island.,sea,test", "island.,sea,exam"), "line 6: the split is 'exam'.*train, val, test"
    )
    expect(folder, GOOD.replace('again.",farm', 'again.",sea'), "lines 2 and 3: a.png has two labels")
    expect(folder, GOOD.replace('again.",farm,train', 'again.",farm,test'), "lines 2 and 3: a.png is in two splits")
    expect(folder, GOOD.replace("Two boats.", "Two boats, a pier."), "line 4: 5 fields for 4 columns.*quotes")
    expect(folder, GOOD + "a.png,A cow.\n", "line 7: the row ends before column 'label'")
    expect(folder, GOOD + 'a.png,"A cow.,farm,train\n', "quote never closed")
    expect(folder, GOOD.replace("image,", "picture,"), "line 1: there is no column 'image', only 'picture'")
    expect(folder, GOOD.replace("label", "text"), "line 1: column 'text' stands there twice")
    expect(folder, GOOD.replace(",", ";"), "parted by ';'. Then pass delimiter")
    expect(folder, GOOD.splitlines()[0] + "\n", "0 rows below its header")
    expect(folder, "", "is empty")
    expect(folder, "\n", "there is no column 'image', only nothing")
    expect(folder, GOOD.encode() + b"a.png,caf\xe9,farm,train\n", "line 7: byte 0xe9 is not UTF-8.*cp1252")
    expect(folder, GOOD.encode("utf-16"), "line 1: byte 0xff is not UTF-8")
    with pytest.raises(DataError, match="there is no encoding 'utf-99'"):
        xmrlib.data.load(write(folder, GOOD), encoding="utf-99")
    with pytest.raises(DataError, match="columns names 'words'"):
        xmrlib.data.load(write(folder, GOOD), columns={"words": "text"})
    with pytest.raises(DataError, match="none.csv is missing"):
        xmrlib.data.load(folder / "none.csv")
    with pytest.raises(DataError, match="is not a table"):
        xmrlib.data.load(folder)


def test_a_row_over_two_lines_does_not_shift_the_count(folder: Path) -> None:
    text = 'image,text\na.png,"A cow\nin the rain"\n\nb.png,\n'
    expect(folder, text, "line 5: the text is empty")


def test_ids_and_groups(folder: Path) -> None:
    table = "image,text,split,id,group\na.png,A cow,train,1,x\nb.png,A boat,{split},{id},x\nc.png,A barn,test,3,y\n"
    data = xmrlib.data.load(write(folder, table.format(split="train", id=2)))
    assert data.texts.ids == ("1", "2", "3")
    expect(folder, table.format(split="train", id=1), "lines 2 and 3: the id '1' stands there twice")
    expect(folder, table.format(split="test", id=2), "lines 2 and 3: group 'x' is in two splits, 'train' and 'test'")


def test_a_class_in_one_split_only(folder: Path) -> None:
    with pytest.raises(DataError, match="class 'sea' .* is in 'train' only"):
        xmrlib.data.load(write(folder, GOOD.replace("island.,sea", "island.,farm")))


def test_every_fault_of_json_lines(folder: Path) -> None:
    good = '{"image": "a.png", "text": "A cow."}\n'
    for bad, message in (
        ('{"image": "b.png"}', "line 2: there is no 'text', only 'image'"),
        ('{"image": "b.png", "text": []}', "line 2: the text is empty"),
        ('{"image": "b.png", "text": ["A boat.", ""]}', "line 2: the text is empty"),
        ('{"image": "b.png", "text": NaN}', "line 2: text is nan, which is no text"),
        ('{"image": "b.png", "text": null}', "line 2: the text is empty"),
        ('{"image": 3, "text": "A boat."}', "line 2: image is 3, which is no text"),
        ('{"image": "b.png", "text": "A boat.", "label": NaN}', "line 2: label is 'nan', a missing value"),
        ('{"image": "b.png", "text": "A boat.", "label": ["sea"]}', "line 2: label is .*sea.*no text"),
        ('{"image": "b.png", "text": "A boat."', "line 2: .*one JSON object"),
        ('["b.png", "A boat."]', "line 2: .* is no object"),
    ):
        expect(folder, good + bad, message, "pairs.jsonl")


def test_pictures_that_cannot_be_read(folder: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    for kind in ("png", "jpg"):
        noise.save(folder / f"whole.{kind}")
        data = (folder / f"whole.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(data[: len(data) // 2])
        table = f"image,text\nwhole.{kind},Noise\ncut.{kind},Half\n"
        expect(folder, table, rf"line 3: .*cut.{kind} cannot be read as a picture.*verify=False")
        loaded = xmrlib.data.load(write(folder, table), verify=False)
        assert loaded.images[0].size == (64, 64)
        with pytest.raises(DataError, match=f"cut.{kind} cannot be read"):
            loaded.images[1]
    write(folder, "no picture at all", "words.png")
    expect(folder, "image,text\nwords.png,Words\n", "line 2: .*words.png cannot be read")
    gone = xmrlib.data.load(write(folder, "image,text\nwhole.jpg,Noise\n"))
    (folder / "whole.jpg").unlink()
    with pytest.raises(DataError, match="whole.jpg is missing. It was there"):
        gone.images[0]


def test_pictures_come_as_rgb_on_white(folder: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(folder / "clear.png")
    Image.new("P", (2, 2), 0).save(folder / "palette.gif")
    Image.fromarray(np.array([[0, 65535]], dtype=np.uint16)).save(folder / "deep.png")
    turned = Image.new("RGB", (4, 2))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    names = ("clear.png", "palette.gif", "deep.png", "turned.jpg")
    data = xmrlib.data.load(write(folder, "image,text\n" + "".join(f"{name},x\n" for name in names)))
    assert {picture.mode for picture in data.images} == {"RGB"}
    assert data.images[0].getpixel((0, 0)) == (255, 255, 255)
    assert [data.images[2].getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (255, 255, 255)]
    assert data.images[3].size == (2, 4)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
PLAIN = WORDS.map(lambda word: " ".join(word.split())).filter(
    lambda word: word and word.lower() not in {"nan", "null", "none", "n/a", "#n/a", "<na>"}
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from("abcd"), PLAIN), min_size=1, max_size=8))
def test_whatever_is_written_is_read(folder: Path, rows: list[tuple[str, str]]) -> None:
    with open(folder / "any.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "text"), *((f"{name}.png", text) for name, text in rows)])
    lines = [json.dumps({"image": f"{name}.png", "text": text}) for name, text in rows]
    write(folder, "\n".join(lines), "any.jsonl")
    for name in ("any.csv", "any.jsonl"):
        data = xmrlib.data.load(folder / name, verify=False)
        assert len(data) == len({name for name, _ in rows}) and len(data.texts) == len(rows)
        found = [(data.images.ids[i][0], text) for i, text in zip(data.image_of_text, data.texts, strict=True)]
        assert sorted(found) == sorted(rows)
        assert (np.diff(data.image_of_text) >= 0).all()


FAULTS = {
    "missing image": (lambda row: {**row, "image": "gone.png"}, "is missing"),
    "empty text": (lambda row: {**row, "text": "  "}, "text is empty"),
    "missing value": (lambda row: {**row, "text": "NaN"}, "missing value"),
    "unreadable": (lambda row: {**row, "image": "broken.png"}, "cannot be read"),
    "split": (lambda row: {**row, "split": "holdout"}, "the split is"),
    "no label": (lambda row: {**row, "label": ""}, "label is empty"),
    "twice": (lambda row: {**row, "id": "0"}, "id '0' stands there twice"),
    "two splits": (lambda row: {**row, "image": "0.png", "split": "test", "label": "x"}, "in two splits"),
    "class": (lambda row: {**row, "label": "only here"}, "is in 'train' only"),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fault=st.sampled_from(sorted(FAULTS)),
    place=st.integers(1, 5),
    size=st.integers(6, 12),
    kind=st.sampled_from(["csv", "jsonl"]),
)
def test_one_bad_row_anywhere_is_found(folder: Path, fault: str, place: int, size: int, kind: str) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = []
    for row in range(size):
        Image.new("L", (2, 2), row).save(folder / f"{row}.png")
        # Row 0 and rows 1 to 5 are training rows of class x; the last two keep the class in test as well.
        rows.append(dict(image=f"{row}.png", text=f"text {row}", label="x", split="train", id=str(row)))
    Image.new("L", (2, 2)).save(folder / "last.png")
    rows.append(dict(image="last.png", text="last", label="x", split="test", id="last"))
    change, message = FAULTS[fault]
    rows[place] = change(rows[place])
    path = folder / f"bad.{kind}"
    if kind == "csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=message) as caught:
        xmrlib.data.load(path)
    if fault != "class":
        assert str(place + (2 if kind == "csv" else 1)) in str(caught.value)
