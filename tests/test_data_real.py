"""The loaders of real data sets, on a few made-up entries in exactly the files that a download leaves on disk."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

import xmrlib.data
from xmrlib.data import disk, flickr8k, openclipart, pascal, wikipedia
from xmrlib.data.pairs import SPLITS, DataError

REAL = ("wikipedia", "flickr8k", "pascal", "openclipart")


def count(data: xmrlib.data.Pairs) -> list[int]:
    return [int((data.split == part).sum()) for part in SPLITS]


# Wikipedia ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def wiki(tmp_path: Path) -> Path:
    """12 training and 6 test sections of 2 classes; sections 0 and 1, 2 and 3, ... are of one article."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "categories.list").write_text("art\nsea \n")
    rows = [(f"{row // 2:032x}-{row % 2}.1", f"{row:030x}", row // 2 % 2 + 1) for row in range(18)]
    for name, some in (("trainset", rows[:12]), ("testset", rows[12:])):
        (tmp_path / f"{name}_txt_img_cat.list").write_text("".join("\t".join(map(str, row)) + "\n" for row in some))
    for row, (text, image, _) in enumerate(rows):
        # Neither the bare ampersand nor HTML's entity is XML.
        (tmp_path / "texts" / f"{text}.xml").write_text(
            f'<document id="{text}" name="A" cat="1">\n<text>\n'
            f"Number {row} &ndash; R&B, ''in\nitalics''.\n\n\nEnd.\n</text>\n"
            f'<imageset><image id="{image}">x.jpg</image></imageset>\n</document>\n',
            encoding="utf-8",
        )
    sift, topics = np.arange(18.0)[:, None].repeat(4, 1), np.arange(18.0)[:, None].repeat(2, 1)
    arrays = {"I_tr": sift[:12], "I_te": sift[12:], "T_tr": topics[:12], "T_te": topics[12:]}
    scipy.io.savemat(tmp_path / "raw_features.mat", arrays)
    (tmp_path / "authors_validation_test_order.txt").write_text("3\n0\n5\n1\n2\n4\n")
    return tmp_path


def test_wikipedia_as_the_papers_split_it(wiki: Path) -> None:
    data = wikipedia.load(wiki, verify=False)
    assert count(data) == [12, 2, 4]
    assert [row for row in range(18) if data.split[row] == "val"] == [12, 15]
    assert data.texts.fragments[3] == ("Number 3 – R&B, in italics.", "End.")
    assert data.test.images.given["whole"][:, 0].tolist() == [13, 14, 16, 17]
    assert data.test.texts.given["vector"].shape == (4, 2)
    assert data.classes == ("art", "sea") and data.labels[:6].tolist() == [0, 0, 1, 1, 0, 0]
    with pytest.raises(DataError, match="features only"):
        data.images[0]


def test_wikipedia_official_keeps_articles_whole(wiki: Path) -> None:
    for seed in range(5):
        data = wikipedia.load(wiki, split="official", val=5, seed=seed, verify=False)
        assert count(data) == [8, 4, 6]
        assert (data.split[12:] == "test").all()
        article = np.array([wikipedia.article_of(name) for name in data.texts.ids])
        assert not set(article[data.split == "val"]) & set(article[data.split == "train"])
    with pytest.raises(DataError, match=r"val=12 is outside 1\.\.11"):
        wikipedia.load(wiki, split="official", val=12, verify=False)


def test_wikipedia_with_pictures(wiki: Path) -> None:
    with pytest.raises(DataError, match="images is missing, and given=False"):
        wikipedia.load(wiki, given=False, verify=False)
    names = wikipedia.load(wiki, verify=False).images.ids
    (wiki / "images" / "art").mkdir(parents=True)
    for row, name in enumerate(names[:-1]):
        Image.new("RGB", (8, 8), (row * 9, 0, 0)).save(wiki / "images" / "art" / f"{name}.jpg")
    with pytest.raises(DataError, match=f"has no {names[-1]}.jpg"):
        wikipedia.load(wiki, verify=False)
    Image.new("RGB", (8, 8), (0, 200, 0)).save(wiki / "images" / f"{names[-1]}.jpg")
    data = wikipedia.load(wiki, given=False, verify=False)
    assert not data.images.given and not data.texts.given and data.images.key
    assert data.images[17].getpixel((4, 4))[1] > 150 and data.select([3]).images[0].getpixel((4, 4))[0] > 20


def test_wikipedia_faults(wiki: Path) -> None:
    with pytest.raises(DataError, match="raw_features.mat is not the official file.*verify=False"):
        wikipedia.load(wiki)
    with pytest.raises(DataError, match="'papers' or 'official', not 'random'"):
        inspect.unwrap(wikipedia.load)(wiki, split="random")
    order = wiki / "authors_validation_test_order.txt"
    order.write_text("0 1 2 3 4 4")
    with pytest.raises(DataError, match=r"is not an order of the rows 0\.\.5"):
        wikipedia.load(wiki, verify=False)
    order.unlink()
    with pytest.raises(DataError, match="order.txt is missing.*split='official'"):
        wikipedia.load(wiki, verify=False)
    text = next((wiki / "texts").iterdir())
    whole = text.read_text(encoding="utf-8")
    text.write_text(whole[:60], encoding="utf-8")
    with pytest.raises(DataError, match="no <text>...</text>: it is short"):
        wikipedia.load(wiki, split="official", val=2, verify=False)
    text.unlink()
    with pytest.raises(DataError, match=f"{text.name} is missing"):
        wikipedia.load(wiki, split="official", val=2, verify=False)
    rows = wiki / "trainset_txt_img_cat.list"
    lines = rows.read_text()
    rows.write_text(lines + "a\tb\t1\n")
    with pytest.raises(DataError, match="holds 12 rows in I_tr, where the list has 13 lines"):
        wikipedia.load(wiki, verify=False)
    rows.write_text(lines.replace("\t2\n", "\t3\n"))
    with pytest.raises(DataError, match=r"line 3: .* is not 'text id, tab, image id, tab, class 1\.\.2'"):
        wikipedia.load(wiki, verify=False)
    rows.write_text(lines)
    (wiki / "raw_features.mat").write_bytes(b"no matrix")
    with pytest.raises(DataError, match="raw_features.mat cannot be read"):
        wikipedia.load(wiki, verify=False)


# Flickr8k -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """20 photographs and the captions of 21, with the tab-or-blank separators and stray blanks of the real file."""
    folder = tmp_path / "Flicker8k_Dataset"
    folder.mkdir()
    lines = []
    for row in range(21):
        if row < 20:
            Image.new("RGB", (20, 15), (row * 10, 0, 0)).save(folder / f"{row:04d}_a.jpg")
        for number in range(5):
            lines.append(
                f"{row:04d}_a.jpg#{number}{' ' if number == 0 else chr(9)}A dog  number {row} , line {number} . "
            )
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join([*lines, "0001_a.jpg.1#0\tNo photograph .", ""]))
    return tmp_path


def test_flickr8k(flickr: Path) -> None:
    data = flickr8k.load(flickr)
    assert repr(data) == "flickr8k: 20 images, 100 texts, no classes (train 14, val 2, test 4)"
    assert data.texts[6] == "A dog number 1 , line 1 ." and data.texts.ids[6] == "0001_a.jpg#1"
    joined = data.test.with_texts("joined")
    assert len(joined.texts) == 4 and len(joined.texts.fragments[0]) == 5
    assert (data.split == flickr8k.load(flickr).split).all()
    assert data.images[3].size == (20, 15)


def test_flickr8k_by_the_official_lists(flickr: Path) -> None:
    names = [f"{row:04d}_a.jpg" for row in range(20)]
    for part, some in (("train", names[:10]), ("dev", names[10:13]), ("test", names[13:18])):
        (flickr / f"Flickr_8k.{part}Images.txt").write_text("\n".join(some) + "\n")
    data = flickr8k.load(flickr)
    # The real lists leave out 91 photographs as well.
    assert count(data) == [10, 3, 5] and data.test.images.ids == tuple(names[13:18])
    assert data.test.images[0].getpixel((9, 9))[0] in range(125, 136)
    (flickr / "Flicker8k_Dataset" / names[14]).unlink()
    assert count(flickr8k.load(flickr)) == [13, 2, 4]
    with pytest.raises(DataError, match="0014_a.jpg of Flickr_8k.testImages.txt is no photograph here"):
        flickr8k.load(flickr, split="official")
    (flickr / "Flickr_8k.devImages.txt").write_text(names[0])
    (flickr / "Flickr_8k.testImages.txt").write_text(names[1])
    with pytest.raises(DataError, match="0000_a.jpg is in two lists, train and val"):
        flickr8k.load(flickr, split="official")


def test_flickr8k_faults(flickr: Path) -> None:
    captions = flickr / "Flickr8k.token.txt"
    whole = captions.read_text()
    captions.write_text(whole + "0001_a.jpg#1\tAgain .")
    with pytest.raises(DataError, match="line 107: caption 1 of 0001_a.jpg stands there twice"):
        flickr8k.load(flickr)
    captions.write_text("nothing\n" + whole)
    with pytest.raises(DataError, match="line 1: 'nothing' is not"):
        flickr8k.load(flickr)
    captions.write_text("\n".join(whole.split("\n")[5:]))
    with pytest.raises(DataError, match="0000_a.jpg has no caption"):
        flickr8k.load(flickr)
    captions.write_text(whole)
    photograph = flickr / "Flicker8k_Dataset" / "0002_a.jpg"
    photograph.write_bytes(photograph.read_bytes()[:200])
    with pytest.raises(DataError, match="0002_a.jpg cannot be read as a picture"):
        flickr8k.load(flickr)
    assert len(flickr8k.load(flickr, verify=False)) == 20
    for path in (flickr / "Flicker8k_Dataset").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no .jpg"):
        flickr8k.load(flickr)
    (flickr / "Flicker8k_Dataset").rmdir()
    with pytest.raises(DataError, match="Flicker8k_Dataset is missing"):
        flickr8k.load(flickr)
    captions.unlink()
    with pytest.raises(DataError, match="Flickr8k.token.txt is missing"):
        flickr8k.load(flickr)


# Pascal Sentence ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sentences(tmp_path: Path) -> list[dict]:
    entries = [
        {
            "id": f"2008_{row:06d}",
            "category": "cat" if row < 20 else "sofa",
            "sentences": [f"It & {row}.", " Two  words "],
        }
        for row in range(40)
    ]
    (tmp_path / "pascal_sentences.json").write_text(json.dumps(entries))
    return entries


def test_pascal_reads_json_and_page_alike(tmp_path: Path, sentences: list[dict]) -> None:
    data = pascal.load(tmp_path, pictures=False, verify=False)
    assert repr(data) == "pascal: 40 images, 80 texts, 2 classes (train 32, val 4, test 4)"
    assert np.bincount(data.test.labels).tolist() == [2, 2] and data.texts[1] == "Two words"
    with pytest.raises(DataError, match="no picture"):
        data.images[0]
    page = "<html><table>\n" + "".join(
        f'<tr>\n<td><img src="{entry["category"]}/{entry["id"]}.jpg"></td>\n<td><table>\n'
        + "".join(f"<tr><td> {line} </td></tr>\n" for line in entry["sentences"])
        + "</table></td>\n</tr>\n"
        for entry in sentences
    )
    (tmp_path / "pascal_sentences.json").unlink()
    (tmp_path / "pascal-sentences.html").write_text(page)
    again = pascal.load(tmp_path, pictures=False, verify=False)
    assert again.images.ids == data.images.ids and list(again.texts) == list(data.texts)


def test_pascal_with_pictures_and_faults(tmp_path: Path, sentences: list[dict]) -> None:
    with pytest.raises(DataError, match="cat/2008_000000.jpg is missing, and 39 more of 40.*pictures=False"):
        pascal.load(tmp_path, verify=False)
    for row, entry in enumerate(sentences):
        path = tmp_path / "images" / entry["category"] / f"{entry['id']}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (row * 6, 0, 0)).save(path)
    data = pascal.load(tmp_path, verify=False)
    assert data.images[39].getpixel((3, 3))[0] > 200
    with pytest.raises(DataError, match="holds 0 of 50 aeroplane entries: short"):
        pascal.load(tmp_path)
    (tmp_path / "pascal_sentences.json").write_text('[{"id": 1}]')
    with pytest.raises(DataError, match="id, category and sentences .KeyError"):
        pascal.load(tmp_path)
    (tmp_path / "pascal_sentences.json").unlink()
    (tmp_path / "pascal-sentences.html").write_text("<html>")
    with pytest.raises(DataError, match="names no picture"):
        pascal.load(tmp_path)


# Open Clip Art --------------------------------------------------------------------------------------------------------


def drawing(place: Path, name: str, title: str, words: list[str], shape: str = "circle", described: str = "") -> None:
    path = place / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    points = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    form = {"circle": '<circle cx="30" cy="30" r="{r}" fill="red"/>', "square": '<rect width="{r}" height="{r}"/>'}[
        shape
    ]
    path.write_text(
        '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="210mm" height="297mm" id="x">'
        '<metadata><rdf:RDF xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work rdf:about="">'
        f"<dc:title>{title}</dc:title><dc:description>{described}</dc:description>"
        f"<dc:subject><rdf:Bag>{points}</rdf:Bag></dc:subject>"
        "<dc:creator><cc:Agent><dc:title>Someone Else</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>"
        + form.format(r=10 + sum(map(ord, name)) % 400 / 20 + len(name))
        + "</svg>"
    )


@pytest.fixture
def clipart(tmp_path: Path) -> Path:
    place = tmp_path / openclipart.DRAWINGS
    for row, letter in enumerate("abcdefghijklmnopqrst"):
        drawing(
            place, f"animals/mammals/beast{letter}_{row:02d}", f"Wild beast {'ab' * row}x y", ["animal", f"q{letter}"]
        )
        drawing(place, f"tools/tool_of_{letter}", f"thing {'cd' * row}yy", ["tool", "HASH(0x9c)", "handy"], "square")
    return tmp_path


def test_openclipart(clipart: Path) -> None:
    place = clipart / openclipart.DRAWINGS
    drawing(place, "computer/icons/flat-theme/some", "Left out here", ["icon"])
    drawing(place, "recreation/games/cards/king", "Left out here", ["card"])
    drawing(place, "shapes/star", "Left out here", ["star"])
    drawing(place, "animals/nameless", "Animal", ["animals", "ANIMAL", "two", "words words"])
    data = openclipart.load(clipart, verify=False)
    assert len(data) == 40 and data.texts.fragments[data.images.ids.index("tools/tool_of_c")] == (
        "thing cdcdyy",
        "handy",
    )
    assert set(data.classes[label] for label in data.labels) == {"animals", "tools"}
    assert count(data) == [24, 4, 12]
    picture = data.images[0]
    # The circle lies in a corner of an A4 page; the picture is cut to it, on white.
    assert picture.mode == "RGB" and max(picture.size) <= 256 and abs(picture.width - picture.height) <= 2
    assert picture.getpixel((0, 0)) == (255, 255, 255) and picture.getpixel((picture.width // 2,) * 2) == (255, 0, 0)
    assert openclipart.load(clipart, size=64, verify=False).images.key != data.images.key
    with pytest.raises(DataError, match="short or altered: 40 drawings"):
        openclipart.load(clipart)


def test_openclipart_keeps_groups_whole_and_copies_once(clipart: Path) -> None:
    place = clipart / openclipart.DRAWINGS
    for row in range(8):
        drawing(place, f"animals/cow_bw_{row:02d}", f"cow {'q' * (row + 2)}", ["horns"])
        drawing(place, f"tools/series/{'mnopqrst'[row] * 3}", "one text", ["always"])
    twin = place / "tools" / "twin.svg"
    (place / "animals" / "twin.svg").parent.mkdir(exist_ok=True)
    drawing(place, "animals/twin", "Twin here", ["same"])
    drawing(place, "animals/another", "One animal more", ["larger"])
    os.symlink(place / "animals" / "twin.svg", twin)
    data = openclipart.load(clipart, verify=False)
    # Animals are the larger class here.
    assert [name for name in data.images.ids if name.endswith("twin")] == ["tools/twin"]
    for start in ("animals/cow_bw", "tools/series"):
        rows = [row for row, name in enumerate(data.images.ids) if name.startswith(start)]
        assert len(set(data.split[rows])) == 1
    groups = openclipart.groups_of(("a/x_01", "a/x_02", "b/y", "b/z"), (("p",), ("q",), ("q",), ("r",)))
    assert len(set(groups[:3])) == 1 and groups[3] != groups[0]


def test_openclipart_words() -> None:
    for line, words in (
        ("Clipart by Nicu Buculei - smiley111", "smiley"),
        ("AIGA_Symbol_Signs", ""),
        ("SVG Road Signs", "road"),
        ("Apple pie (B and W)", "apple pie"),
        ("Animals, PEOPLE and 3 tools", "and"),
        ("jean.victor.balin@gmail.com", ""),
        ("Rubik's cube", "rubik's cube"),
    ):
        assert openclipart.words_of(line) == words


def test_openclipart_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="holds no drawings.*xmr data fetch openclipart"):
        openclipart.load(tmp_path)
    with pytest.raises(DataError, match="openclipart is not at"):
        openclipart.load(tmp_path / "none")
    monkeypatch.setattr(openclipart.shutil, "which", lambda program: None)
    with pytest.raises(DataError, match="apt-get is not here.*packages.debian.org"):
        openclipart.fetch(tmp_path)
    monkeypatch.setattr(openclipart.shutil, "which", lambda program: program)
    with pytest.raises(DataError, match="`false download openclipart-svg` failed"):
        monkeypatch.setattr(
            openclipart, "_run", lambda command, *rest, run=openclipart._run: run(["false", *command[1:]], *rest)
        )
        openclipart.fetch(tmp_path)


# All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL)
def test_a_real_set_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMR_DATA", str(tmp_path))
    monkeypatch.setattr(openclipart, "_folder", lambda root: None)
    with pytest.raises(DataError, match=rf"{name} is not at .*root=.*XMR_DATA"):
        xmrlib.data.load(name)
    assert not next(entry for entry in xmrlib.data.listing() if entry["name"] == name)["ready"]


@pytest.mark.parametrize("name", REAL)
def test_cards_are_complete(name: str) -> None:
    card = xmrlib.data.card(name)
    for line in ("source", "licence", "size", "split", "views", "layout", "fetch", "cite", "faults"):
        assert getattr(card, line), line
    assert card.name == name and card._repr_html_()


def test_fetch_says_what_it_cannot() -> None:
    with pytest.raises(DataError, match="cannot be fetched by a program. Take wikipedia_dataset"):
        xmrlib.data.fetch("wikipedia")
    with pytest.raises(DataError, match="made on the spot"):
        xmrlib.data.fetch("emoji")


def test_fingerprints_follow_the_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    before = disk.fingerprint(path)
    assert before == disk.fingerprint([path])
    path.write_text("ab")
    assert disk.fingerprint(path) != before
