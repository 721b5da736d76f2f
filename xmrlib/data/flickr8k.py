"""Flickr8k (Hodosh et al. 2013): photographs with five captions each, and no classes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from xmrlib import settings
from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

CAPTIONS = "Flickr8k.token.txt"
FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}

CARD = Card(
    name="flickr8k",
    title="Flickr 8k",
    summary="Photographs of people and animals doing something, each described by five people in a sentence.",
    source="M. Hodosh, P. Young, J. Hockenmaier, University of Illinois; form at "
    "https://forms.illinois.edu/sec/1713398, copies under the name Flickr8k",
    licence="research and education, not for sale; the photographs belong to their takers",
    size="8,091 photographs and 40,455 captions, 1.1 GB; whatever photographs are present are used",
    split="the official 6,000 / 1,000 / 1,000 where the three lists and their photographs are all present; "
    "else 70 / 10 / 20 per cent of the photographs, shuffled with seed 0",
    views="pictures; five texts per image (join them with .with_texts('joined'))",
    layout=(
        CAPTIONS,
        " or ".join(f"{folder}/" for folder in FOLDERS),
        *(f"{name} (official split)" for name in LISTS.values()),
    ),
    fetch="Ask for the data set on the authors' page, and unpack Flickr8k_Dataset.zip and Flickr8k_text.zip into "
    "$XMR_DATA/flickr8k.",
    cite="M. Hodosh, P. Young, J. Hockenmaier, Framing Image Description as a Ranking Task, JAIR 47, 2013",
    faults=(
        "In three lines of the caption file a blank stands for the tab; most captions end in a loose ' .'.",
        "Five captions belong to 2258277193_586949ec62.jpg.1, which is no photograph.",
        "Two captions are the single letter 'a'.",
        "Captions of one photograph are often near copies of each other, and other photographs fit them too: "
        "Recall@K counts one right answer where there are several.",
    ),
)

# The file name ends at '#', then the caption's number; the tab is a blank in places.
_LINE = re.compile(r"(?P<name>[^#]+)#(?P<number>\d+)[ \t]+(?P<caption>.+)")


def present(root: str | Path | None = None) -> bool:
    """Whether captions and a folder of photographs are there."""
    place = settings.data_directory() / "flickr8k" if root is None else Path(root)
    return (place / CAPTIONS).is_file() and any((place / folder).is_dir() for folder in FOLDERS)


def load(
    root: str | Path | None = None,
    *,
    split: Literal["auto", "official", "seeded"] = "auto",
    seed: int = 0,
    verify: bool = True,
) -> Pairs:
    """The photographs that are present, in the order of their file names, with their captions as one text each.

    split   "official": by the three lists; "seeded": 70 / 10 / 20 per cent, shuffled with `seed`;
            "auto": official where lists and photographs are complete, else seeded
    verify  look into every photograph, and complain of the first that cannot be read (up to 2 ms each)

    Raises `DataError` for a file that is missing or altered.
    """
    if split not in ("auto", "official", "seeded"):
        raise DataError(f"split is 'auto', 'official' or 'seeded', not {split!r}.")
    place = disk.folder_of("flickr8k", root, CARD.fetch)
    captions = _captions(disk.need(place / CAPTIONS, CARD.fetch))
    folder = next((place / name for name in FOLDERS if (place / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{place / FOLDERS[0]} is missing: the photographs. {CARD.fetch}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".jpg")
    if not paths:
        raise DataError(f"{folder} holds no .jpg: the photographs. {CARD.fetch}")
    for path in paths:
        if path.name not in captions:
            raise DataError(f"{path} has no caption in {CAPTIONS}. Take the photograph away or complete the captions.")
    if verify:
        disk.verify(paths)
    names = [path.name for path in paths]
    texts = [(f"{name}#{number}", text) for name in names for number, text in captions[name]]
    pairs = Pairs(
        name="flickr8k",
        images=Images(tuple(names), disk.pictures(paths), key=f"flickr8k-{disk.fingerprint(paths)}"),
        texts=Texts(tuple(name for name, _ in texts), tuple((text,) for _, text in texts)),
        image_of_text=np.repeat(np.arange(len(names)), [len(captions[name]) for name in names]),
        card=CARD,
    )
    lists = {part: place / name for part, name in LISTS.items()}
    complete = all(path.is_file() for path in lists.values())
    if split == "official" or (split == "auto" and complete):
        official = _official(pairs, lists, must=split == "official")
        if official is not None:
            return official.check()
    return pairs.resplit(val=0.1, test=0.2, seed=seed).check()


def _captions(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The captions of each file name, as (number, caption) in order."""
    found: dict[str, dict[int, str]] = {}
    for line_number, line in enumerate(disk.read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DataError(f"{path}, line {line_number}: {line[:60]!r} is not 'photograph.jpg#number, tab, caption'.")
        own = found.setdefault(match["name"].strip(), {})
        if int(match["number"]) in own:
            raise DataError(
                f"{path}, line {line_number}: caption {match['number']} of {match['name']} stands there twice."
            )
        own[int(match["number"])] = " ".join(match["caption"].split())
    return {name: sorted(own.items()) for name, own in found.items()}


def _official(pairs: Pairs, lists: dict[str, Path], must: bool) -> Pairs | None:
    """The pairs of the three lists; None, or an error where they are a `must`, if a photograph of a list is absent."""
    rows = {name: row for row, name in enumerate(pairs.images.ids)}
    split = np.full(len(rows), "", dtype="<U5")
    for part, path in lists.items():
        for name in disk.read_text(disk.need(path, "Unpack Flickr8k_text.zip again, or use split='seeded'.")).split():
            if name not in rows:
                if must:
                    raise DataError(f"{name} of {path.name} is no photograph here. {CARD.fetch} Or use split='seeded'.")
                return None
            if split[rows[name]]:
                raise DataError(f"{name} is in two lists, {split[rows[name]]} and {part}: {path.name} is altered.")
            split[rows[name]] = part
    kept = np.flatnonzero(split != "")
    return replace(pairs.select(kept), split=split[kept])
