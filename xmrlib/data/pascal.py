"""Pascal Sentence (Rashtchian et al. 2010): 1,000 photographs of 20 classes, five sentences each."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np

from xmrlib import settings
from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

SENTENCES = "pascal_sentences.json"
PAGE = "pascal-sentences.html"
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

CARD = Card(
    name="pascal",
    title="Pascal Sentence",
    summary="50 photographs of each of PASCAL VOC 2008's 20 classes, described in five sentences by five people.",
    source="C. Rashtchian et al., University of Illinois, http://vision.cs.uiuc.edu/pascal-sentences/",
    licence="sentences CC BY-SA 3.0; the photographs belong to their takers",
    size="1,000 photographs, 4,998 sentences",
    classes=CLASSES,
    split="800 / 100 / 100: 40, 5 and 5 of each class, drawn with seed 0 (the papers' own lists are not published)",
    views="pictures; a text per sentence (join them with .with_texts('joined'))",
    layout=(f"{PAGE} or {SENTENCES}", "CLASS/ID.jpg or images/CLASS/ID.jpg"),
    fetch="Save http://vision.cs.uiuc.edu/pascal-sentences/ with its pictures into $XMR_DATA/pascal: the page as "
    f"{PAGE}, each picture as CLASS/ID.jpg.",
    cite="C. Rashtchian et al., Collecting Image Annotations Using Amazon's Mechanical Turk, NAACL HLT Workshop, 2010",
    faults=(
        "Four photographs do not have five sentences: three have 4, one has 6.",
        "One sentence is the single letter 'A'.",
        "100 test pairs: an interval of about .04 to either side of every MAP. Differences below .03 mean nothing.",
        "A photograph has one class, though a person sits on the sofa: 'person' is the class that texts name most.",
    ),
)

_PART = re.compile(r'<img src="(?P<class>[^"/]+)/(?P<id>[^"/]+)\.jpg"|<tr><td>(?P<sentence>.*?)</td></tr>', re.DOTALL)


def present(root: str | Path | None = None) -> bool:
    """Whether the sentences are there."""
    try:
        place = _place(root)
    except DataError:
        return False
    return (place / SENTENCES).is_file() or (place / PAGE).is_file()


def load(root: str | Path | None = None, *, pictures: bool = True, seed: int = 0, verify: bool = True) -> Pairs:
    """The photographs in the order of the page, each with its sentences as one text each.

    pictures  False loads the sentences alone, for work on texts: the image side then has names and nothing else
    seed      draws the split: of each class a tenth for validation and a tenth for test
    verify    expect 20 classes of 50, and look into every photograph

    Raises `DataError` for a file that is missing, short or altered.
    """
    place = _place(root)
    entries = _json(place / SENTENCES) if (place / SENTENCES).is_file() else _page(disk.need(place / PAGE, CARD.fetch))
    ids = tuple(f"{entry['category']}/{entry['id']}" for entry in entries)
    classes = CLASSES if verify else tuple(sorted({entry["category"] for entry in entries}))
    for entry in entries:
        if entry["category"] not in classes:
            raise DataError(f"{entry['category']!r} of {entry['id']} is none of the 20 classes. {CARD.fetch}")
    labels = np.array([classes.index(entry["category"]) for entry in entries])
    if verify and (np.bincount(labels, minlength=20) != 50).any():
        short = int(np.flatnonzero(np.bincount(labels, minlength=20) != 50)[0])
        count = int((labels == short).sum())
        raise DataError(f"{place} holds {count} of 50 {CLASSES[short]} entries: short or altered. {CARD.fetch}")
    texts = [
        (f"{name}#{k}", line)
        for name, entry in zip(ids, entries, strict=True)
        for k, line in enumerate(entry["sentences"])
    ]
    return Pairs(
        name="pascal",
        images=_images(place, ids, verify) if pictures else Images(ids),
        texts=Texts(tuple(name for name, _ in texts), tuple((line,) for _, line in texts)),
        image_of_text=np.repeat(np.arange(len(ids)), [len(entry["sentences"]) for entry in entries]),
        labels=labels,
        classes=classes,
        split=_split(labels, seed),
        card=CARD,
    ).check()


def _place(root: str | Path | None) -> Path:
    if root is None and not (settings.data_directory() / "pascal").is_dir():
        # A folder by the data set's full name will do as well.
        root = next((path for path in [settings.data_directory() / "pascal_sentence"] if path.is_dir()), None)
    return disk.folder_of("pascal", root, CARD.fetch)


def _json(path: Path) -> list[dict]:
    try:
        entries = json.loads(disk.read_text(path))
        return [
            {
                "id": str(entry["id"]),
                "category": str(entry["category"]),
                "sentences": [" ".join(line.split()) for line in entry["sentences"] if line.strip()],
            }
            for entry in entries
        ]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no list of objects with id, category and sentences "
            f"({type(error).__name__}: {error}). {CARD.fetch}"
        ) from error


def _page(path: Path) -> list[dict]:
    """The entries of the page: a picture, followed by the rows of its sentences."""
    entries: list[dict] = []
    for part in _PART.finditer(disk.read_text(path)):
        if part["id"]:
            entries.append({"id": part["id"], "category": part["class"], "sentences": []})
        elif entries and part["sentence"].strip():
            entries[-1]["sentences"].append(" ".join(html.unescape(part["sentence"]).split()))
    if not entries:
        raise DataError(f"{path} names no picture: it is not the page of sentences. {CARD.fetch}")
    return entries


def _images(place: Path, ids: tuple[str, ...], verify: bool) -> Images:
    folder = next((path for path in (place / "images", place) if (path / f"{ids[0]}.jpg").is_file()), None)
    missing = ids if folder is None else [name for name in ids if not (folder / f"{name}.jpg").is_file()]
    if missing:
        raise DataError(
            f"{(folder or place) / missing[0]}.jpg is missing, and {len(missing) - 1} more of {len(ids)} photographs. "
            f"{CARD.fetch} Or load the sentences alone: load('pascal', pictures=False)."
        )
    paths = [folder / f"{name}.jpg" for name in ids]
    if verify:
        disk.verify(paths)
    return Images(ids, disk.pictures(paths), key=f"pascal-{disk.fingerprint(paths)}")


def _split(labels: np.ndarray, seed: int) -> np.ndarray:
    split = np.full(len(labels), "train", dtype="<U5")
    generator = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        tenth = max(1, len(rows) // 10)
        split[rows[:tenth]] = "test"
        split[rows[tenth : 2 * tenth]] = "val"
    return split
