"""Wikipedia (Rasiwasia et al. 2010): 2,866 sections of featured articles, each with its picture, in 10 classes.

Read from the authors' archive as it unpacks; the pictures may be absent, since features of both sides come with it.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from xmrlib import settings
from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

LISTS = {"train": "trainset_txt_img_cat.list", "test": "testset_txt_img_cat.list"}
ORDER = "authors_validation_test_order.txt"
FEATURES = "raw_features.mat"
REMEDY = "Unpack the authors' archive (wikipedia_dataset.tar.gz) there again."

CARD = Card(
    name="wikipedia",
    title="Wikipedia featured articles (UCSD)",
    summary="Sections of Wikipedia's featured articles, each with one picture and one of 10 classes. The "
    "oldest measure of cross-modal retrieval, and a small one.",
    source="N. Rasiwasia et al., UC San Diego, http://www.svcl.ucsd.edu/projects/crossmodal/",
    licence="texts CC BY-SA 3.0 and GFDL; features for research; pictures under licences of their own",
    size="2,866 pairs, 16 MB without pictures",
    classes=("art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"),
    split="split='papers': 2,173 train, and of the 693 official test pairs the first 231 of the authors' order for "
    "validation, the last 462 for test. split='official': all 693 are test, and 231 validation pairs are cut from "
    "train by article (seeded), so that no article of train is validated on.",
    views="image 'whole': SIFT bag of words, 128; text 'vector': topics by LDA, 10; words, a fragment per paragraph",
    layout=(
        *LISTS.values(),
        "categories.list",
        FEATURES,
        "texts/*.xml",
        f"{ORDER} (split='papers')",
        "images/ (optional)",
    ),
    fetch="Take wikipedia_dataset.tar.gz from the authors' page and unpack it into $XMR_DATA/wikipedia. "
    f"{ORDER} is the order of the 693 test pairs in the released MCSM evaluation (indice.mat), one number a line.",
    cite="N. Rasiwasia et al., A New Approach to Cross-Modal Multimedia Retrieval, ACM Multimedia 2010",
    checksums={
        FEATURES: "ca628f765a69575e168ab29eb97f5ade12fadf47b31de1328c7ff631c7f225ae",
        LISTS["train"]: "30c1ba8afbe90da5986de9b12496b6dd2e4680d3876b79ab7aae2e437d5819a3",
        LISTS["test"]: "ec3123ee31cc89dd95fbeb23eb73b2ecfd1d8909bba863723471aad99408c1eb",
        "categories.list": "4929f3ee00e9de9ffe11f9ab18fc8919b0f6182cc801309409df2f2d05e2b0f5",
        ORDER: "d947cecbae384065b83e988022044269999b2d28cf5b1d17fb8ca6b53d25f5f3",
    },
    faults=(
        "Of the 693 official test sections 552 come from an article that has another section in the training list. "
        "With split='papers' that is 183 of 231 in validation and 369 of 462 in test.",
        "The SIFT side is weak: a classifier on it is right a quarter of the time, so every method stays near .25 to "
        ".31 MAP with it. The .48 of the papers needs other features of the pictures.",
        "888 of the 2,866 text files are not well-formed XML (bare ampersands, entities of HTML): read here by hand.",
        "One class per section, where many a section is history, warfare and royalty at once.",
        "231 validation pairs are few: their classes hold between 9 and 33.",
    ),
)

_TEXT = re.compile(r"<text>(.*?)</text>", re.DOTALL)


def present(root: str | Path | None = None) -> bool:
    """Whether the list files and features are there."""
    place = settings.data_directory() / "wikipedia" if root is None else Path(root)
    return all((place / name).is_file() for name in (*LISTS.values(), FEATURES))


def load(
    root: str | Path | None = None,
    *,
    split: Literal["papers", "official"] = "papers",
    given: bool = True,
    val: int = 231,
    seed: int = 0,
    verify: bool = True,
) -> Pairs:
    """The Wikipedia pairs, train first, then test, each in the order of its list file and of the features' rows.

    split   "papers": 2,173 / 231 / 462; "official": 693 test pairs, `val` pairs cut from train by article with `seed`
    given   keep the features that come with the data; False leaves the words and the pictures, if `images/` is there
    verify  compare the lists and the features with the card's checksums

    Raises `DataError` for a file that is missing, short or altered.
    """
    if split not in ("papers", "official"):
        raise DataError(f"split is 'papers' or 'official', not {split!r}.")
    place = disk.folder_of("wikipedia", root, CARD.fetch)
    if verify:
        sums = {name: value for name, value in CARD.checksums.items() if name != ORDER}
        disk.check_sums(place, sums, REMEDY)
    names = disk.read_text(disk.need(place / "categories.list", REMEDY)).split()
    rows: list[tuple[str, str, int]] = []
    counts = {}
    for part, name in LISTS.items():
        found = _rows(disk.need(place / name, REMEDY), len(names))
        counts[part] = len(found)
        rows += found
    texts, pictures, labels = zip(*rows, strict=True)
    sift, topics = _features(disk.need(place / FEATURES, REMEDY), counts)
    return Pairs(
        name="wikipedia",
        images=_images(place, pictures, {"whole": sift} if given else {}),
        texts=Texts(
            texts, tuple(_words(place / "texts" / f"{name}.xml") for name in texts), {"vector": topics} if given else {}
        ),
        image_of_text=np.arange(len(rows)),
        labels=np.array(labels),
        classes=tuple(names),
        split=_cut(texts, counts, val, seed) if split == "official" else _papers(place, counts, verify),
        card=CARD,
    ).check()


def article_of(text_id: str) -> str:
    """The article that a section comes from: sections of one article share the first half of their ids.

    >>> article_of("6d6ead4cf7fd78eea820ac94d101f602-5.1")
    '6d6ead4cf7fd78eea820ac94d101f602'
    """
    return text_id.rsplit("-", 1)[0]


def _rows(path: Path, classes: int) -> list[tuple[str, str, int]]:
    """(text id, image id, class index) of each line; the file counts classes from 1."""
    rows = []
    for number, line in enumerate(disk.read_text(path).splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 3 or not fields[2].strip().isdigit() or not 1 <= int(fields[2]) <= classes:
            raise DataError(
                f"{path}, line {number}: {line!r} is not 'text id, tab, image id, tab, class 1..{classes}'. {REMEDY}"
            )
        rows.append((fields[0], fields[1], int(fields[2]) - 1))
    return rows


def _features(path: Path, counts: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """SIFT (n, 128) and topics (n, 10), train rows first."""
    import scipy.io

    try:
        arrays = scipy.io.loadmat(path, variable_names=["I_tr", "I_te", "T_tr", "T_te"])
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error}. {REMEDY}") from error
    sides = []
    for side in "IT":
        for part, name in (("train", f"{side}_tr"), ("test", f"{side}_te")):
            if name not in arrays or len(arrays[name]) != counts[part]:
                found = f"{len(arrays[name])} rows" if name in arrays else "nothing"
                raise DataError(f"{path} holds {found} in {name}, where the list has {counts[part]} lines. {REMEDY}")
        sides.append(torch.from_numpy(np.concatenate([arrays[f"{side}_tr"], arrays[f"{side}_te"]])).float())
    return sides[0], sides[1]


def _words(path: Path) -> tuple[str, ...]:
    """The paragraphs of a section. No XML parser is used: 888 of the files would stop one."""
    found = _TEXT.search(disk.read_text(disk.need(path, REMEDY)))
    if found is None:
        raise DataError(f"{path} has no <text>...</text>: it is short or altered. {REMEDY}")
    # Runs of two and more apostrophes are Wikipedia's bold and italics.
    plain = re.sub(r"''+", "", html.unescape(found[1]))
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", plain))
    return tuple(paragraph for paragraph in paragraphs if paragraph)


def _images(place: Path, ids: tuple[str, ...], given: dict[str, torch.Tensor]) -> Images:
    folder = place / "images"
    if not folder.is_dir():
        if not given:
            raise DataError(f"{folder} is missing, and given=False asks for pictures. {REMEDY} Or keep given=True.")
        return Images(ids, given=given)
    # The archive sorts the pictures into a folder per class; copies without these folders are about too.
    found = {path.stem: path for path in folder.rglob("*.jpg")}
    for name in ids:
        if name not in found:
            raise DataError(
                f"{folder} has no {name}.jpg. {REMEDY} Or move {folder.name}/ away, to use the features alone."
            )
    paths = [found[name] for name in ids]
    return Images(ids, disk.pictures(paths), given, key=f"wikipedia-{disk.fingerprint(paths)}")


def _papers(place: Path, counts: dict[str, int], verify: bool) -> np.ndarray:
    remedy = f"It is the authors' order of the test pairs, rows counted from 0. {CARD.fetch} Or use split='official'."
    path = disk.need(place / ORDER, remedy)
    if verify:
        disk.check_sums(place, {ORDER: CARD.checksums[ORDER]}, remedy)
    lines = disk.read_text(path).split()
    if sorted(line for line in lines) != sorted(str(row) for row in range(counts["test"])):
        raise DataError(f"{path} is not an order of the rows 0..{counts['test'] - 1}: {len(lines)} numbers. {remedy}")
    order = np.array(lines, dtype=np.int64) + counts["train"]
    split = np.full(sum(counts.values()), "train", dtype="<U5")
    # The authors drop the first third of their order for validation: 231 of 693.
    split[order] = "test"
    split[order[: counts["test"] // 3]] = "val"
    return split


def _cut(texts: tuple[str, ...], counts: dict[str, int], val: int, seed: int) -> np.ndarray:
    if not 0 < val < counts["train"]:
        raise DataError(f"val={val} is outside 1..{counts['train'] - 1}, the training pairs it is cut from.")
    split = np.array(["train"] * counts["train"] + ["test"] * counts["test"])
    members: dict[str, list[int]] = {}
    for row, name in enumerate(texts[: counts["train"]]):
        members.setdefault(article_of(name), []).append(row)
    articles, free = list(members.values()), val
    for place in np.random.default_rng(seed).permutation(len(articles)):
        if len(articles[place]) <= free:
            split[articles[place]] = "val"
            free -= len(articles[place])
    return split
