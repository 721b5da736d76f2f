"""Captioned photographs with the splits of Karpathy and Fei-Fei (2015): `dataset_flickr30k.json` and its siblings.

    {"dataset": "flickr30k", "images": [
      {"filename": "1000092795.jpg", "imgid": 0, "split": "train", "sentids": [0, 1, 2, 3, 4], "sentences": [
        {"raw": "Two young guys ...", "tokens": ["two", "young", ...], "imgid": 0, "sentid": 0}, ...]}, ...]}

MS-COCO's file also has a `filepath`, the folder of the picture, a `cocoid`, and a fourth split, `restval`.
`xmrlib.data.load("flickr30k")` and `load("coco")` come here; so does the path of any file of this form.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import SPLITS, DataError, Images, Pairs, Texts

# Where the pictures may lie, seen from the JSON file, as archives unpack and as people rename.
FOLDERS = ("images", "Images", "flickr30k-images", "flickr30k_images", "Flicker8k_Dataset", "Flickr8k_Dataset", ".")
RESTVAL = "restval"
CAPTIONS = 5
ARCHIVE = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
REMEDY = f"Unpack {ARCHIVE} again."


@dataclass(frozen=True)
class _Entry:
    """One image of the file; `place` is where its picture lies, seen from the folder of all pictures."""

    name: str
    place: Path
    split: str
    captions: tuple[str, ...]


def load(
    path: str | Path,
    *,
    name: str | None = None,
    card: Card | None = None,
    counts: Mapping[str, int] | None = None,
    restval: bool = True,
    captions: int | None = CAPTIONS,
    words: Literal["raw", "tokens"] = "raw",
    pictures: bool = True,
    folder: str | Path | None = None,
    complete: bool = True,
    verify: bool = True,
) -> Pairs:
    """The images of a Karpathy file in its order, each with its captions as one text each; there are no classes.

    name      of the data set; by default what the file says of itself
    card      its card; by default a short one
    counts    how many images of each split the official file names; looked at where `verify` is on
    restval   True: the images of "restval" (MS-COCO) join the training split; False: they are left out
    captions  keep the first so many of an image, as all published numbers do; None keeps all, also a sixth
    words     "raw": the sentence as it was written; "tokens": Karpathy's words, in small letters without punctuation
    pictures  False loads the captions alone: the image side then has names and nothing else
    folder    where the pictures lie; by default one of several usual folders beside the file
    complete  False leaves out images whose picture is absent, in place of an error
    verify    compare the counts, and look into every picture; a set that was found whole is not looked into again
              until one of its files changes

    Raises `DataError` for a file that is missing, short or altered, an unknown split, an image with too few captions or
    with an empty one, a picture that is absent or cannot be read.
    """
    if words not in ("raw", "tokens"):
        raise DataError(f"words are 'raw' or 'tokens', not {words!r}.")
    if captions is not None and captions < 1:
        raise DataError(f"captions={captions} must be at least 1, or None for all.")
    path = Path(path).expanduser()
    remedy = REMEDY if card is None else card.fetch
    listed, own_name = _listed(path, name, remedy)
    entries = [_entry(path, row, fields, captions, words) for row, fields in enumerate(listed)]
    if verify and counts is not None:
        _check_counts(path, entries, counts, remedy)
    entries = [entry for entry in entries if restval or entry.split != RESTVAL]
    if not entries:
        raise DataError(f"{path} names no image outside {RESTVAL!r}. {remedy}")
    doubled = [name for name, times in Counter(entry.name for entry in entries).items() if times > 1]
    if doubled:
        raise DataError(f"{path} names {doubled[0]} twice: it is altered. {remedy}")
    images = Images(tuple(entry.name for entry in entries))
    if pictures:
        base, absent = _base(path.parent, entries, folder)
        if absent and complete:
            raise DataError(
                f"{base / entries[min(absent)].place} is missing, and {len(absent) - 1:,} more of {len(entries):,} "
                f"pictures that {path.name} names. {remedy} Say where they lie with folder=..., take what is there "
                "with complete=False, or load the captions alone with pictures=False."
            )
        entries = [entry for row, entry in enumerate(entries) if row not in absent]
        if not entries:
            raise DataError(
                f"{base} holds none of the {len(absent):,} pictures that {path.name} names. {remedy} Say where they "
                "lie with folder=..., or load the captions alone with pictures=False."
            )
        paths = [base / entry.place for entry in entries]
        key = f"{own_name}-{disk.fingerprint(paths)}"
        if verify:
            disk.once(key, lambda: disk.verify(paths))
        images = Images(tuple(entry.name for entry in entries), disk.pictures(paths), key=key)
    texts = [(f"{entry.name}#{number}", text) for entry in entries for number, text in enumerate(entry.captions)]
    return Pairs(
        name=own_name,
        images=images,
        texts=Texts(tuple(text_id for text_id, _ in texts), tuple((text,) for _, text in texts)),
        image_of_text=np.repeat(np.arange(len(entries)), [len(entry.captions) for entry in entries]),
        split=np.array(["train" if entry.split == RESTVAL else entry.split for entry in entries]),
        card=card or _card(own_name, path, len(entries), len(texts)),
    ).check()


def _listed(path: Path, name: str | None, remedy: str) -> tuple[list[Any], str]:
    """The images that the file lists, and the name of the data set."""
    try:
        content = json.loads(disk.read_text(disk.need(path, remedy)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON: {error}. It is short or altered. {remedy}") from error
    listed = content.get("images") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise DataError(
            f"{path} has no list 'images' with something in it: it is none of Karpathy's files, or altered. {remedy}"
        )
    said = content.get("dataset")
    if name is not None and said not in (None, name):
        raise DataError(f"{path} is the file of {said!r}, not of {name!r}. {remedy}")
    return listed, name or (said if isinstance(said, str) else path.stem)


def _entry(path: Path, row: int, fields: Any, captions: int | None, words: str) -> _Entry:
    """One image; `captions` and `words` as in `load`."""
    place = f"{path}, images[{row}]"
    try:
        name, split, sentences = fields["filename"], fields["split"], fields["sentences"]
        place += f" ({name})"
        said = [sentence["raw"] if words == "raw" else " ".join(sentence["tokens"]) for sentence in sentences]
        texts = [" ".join(text.split()) for text in said]
        numbers = len(fields.get("sentids", sentences))
        picture = Path(fields.get("filepath", ""), name)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else f"a field of another kind ({error})"
        raise DataError(
            f"{place} has {what}: an image has filename, split and sentences, a sentence raw and tokens. {REMEDY}"
        ) from error
    if split not in (*SPLITS, RESTVAL):
        raise DataError(f"{place} is in the split {split!r}: there are {', '.join(SPLITS)} and {RESTVAL}. {REMEDY}")
    if numbers != len(texts):
        raise DataError(f"{place} has {numbers} sentids and {len(texts)} sentences: the file is altered. {REMEDY}")
    if len(texts) < (captions or 1):
        raise DataError(
            f"{place} has {len(texts)} captions, where {captions or 1} are asked for. Complete the file, or take fewer "
            "of each image, captions=..., or all there are, captions=None."
        )
    texts = texts[:captions]
    if not all(texts):
        number = texts.index("")
        raise DataError(f"{place}: sentence {number} is empty. Give it words, or take fewer captions of each image.")
    return _Entry(name, picture, split, tuple(texts))


def _check_counts(path: Path, entries: Sequence[_Entry], counts: Mapping[str, int], remedy: str) -> None:
    for split, expected in counts.items():
        found = sum(entry.split == split for entry in entries)
        if found != expected:
            raise DataError(
                f"{path} names {found:,} images in {split!r}, not {expected:,}: short or altered. {remedy} "
                "To use it as it is, pass verify=False."
            )


def _base(root: Path, entries: Sequence[_Entry], folder: str | Path | None) -> tuple[Path, set[int]]:
    """The folder that holds most of the pictures, and the rows of those that it lacks."""
    if folder is not None:
        chosen = Path(folder).expanduser()
        if not chosen.is_dir():
            raise DataError(f"folder={str(folder)!r} is no folder: give the one that holds the pictures.")
        return chosen, _absent(chosen, entries)
    bases = [root / name for name in FOLDERS]
    missing = [_absent(base, entries) for base in bases]
    best = min(range(len(bases)), key=lambda place: len(missing[place]))
    return bases[best], missing[best]


def _absent(base: Path, entries: Sequence[_Entry]) -> set[int]:
    # One look at each folder: to ask for a hundred thousand files one by one takes a network disk minutes.
    inside = {
        folder: set(os.listdir(base / folder)) if (base / folder).is_dir() else set()
        for folder in {entry.place.parent for entry in entries}
    }
    return {row for row, entry in enumerate(entries) if entry.place.name not in inside[entry.place.parent]}


def _card(name: str, path: Path, images: int, texts: int) -> Card:
    return Card(
        name=name,
        title=f"Captions of {path.name}",
        summary="Photographs with captions, read from a file in the form of Karpathy's.",
        source=str(path),
        size=f"{images:,} images, {texts:,} texts",
        split="the field 'split' of each image; 'restval' joins train",
    )
