"""The reader's own pairs: a CSV or JSON Lines file with a row per pair.

    image,text,label,split,id,group
    photos/cow.jpg,A cow beside a red tractor.,farm,train,,field 3
    photos/cow.jpg,It rains on the herd.,farm,train,,field 3
    photos/boat.jpg,"Two boats, one island.",sea,test,,

`image` is a path, seen from the file's own folder, and `text` what is said of it; the other columns may be absent.
Several rows of one image are several texts of it. In JSON Lines `text` may also be a list of texts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import SPLITS, DataError, Images, Pairs, Texts

COLUMNS = ("image", "text", "label", "split", "id", "group")
# How other tools name the splits.
_SPLITS = {name: name for name in SPLITS} | {"training": "train", "validation": "val", "valid": "val", "dev": "val"}
# How a missing value looks once another program has written it.
_MISSING = {"nan", "null", "none", "n/a", "#n/a", "<na>"}


@dataclass(frozen=True)
class _Row:
    """One pair of the file; `line` is where it begins, `texts` are what it says."""

    line: int
    image: Path
    name: str
    texts: tuple[str, ...]
    label: str
    split: str
    id: str
    group: str


def load(
    path: str | Path,
    *,
    root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    val: float | int | None = None,
    test: float | int | None = None,
    seed: int = 0,
    verify: bool = True,
) -> Pairs:
    """The pairs of a `.csv` or `.jsonl` file; images in the order in which the file first names them.

    root      the folder that image paths start from; the file's own by default
    columns   what the file calls its columns, where it is something else: {"text": "caption"}
    delimiter what stands between the fields of a CSV
    encoding  of the file; UTF-8, with or without a mark at the start
    val, test make a new split of these sizes, with `seed`, groups kept whole; without them the column `split` counts
    verify    look into every picture, and complain of the first that cannot be read

    Raises `DataError` with the line and the remedy for whatever is wrong with the file or the pictures.
    """
    path = Path(path).expanduser()
    disk.need(path, "Give the path of a CSV or JSON Lines file of pairs.")
    reader = _jsonl if path.suffix.lower() == ".jsonl" else _csv
    wanted = dict(zip(COLUMNS, COLUMNS, strict=True)) | dict(columns or {})
    unknown = set(wanted) - set(COLUMNS)
    if unknown:
        raise DataError(f"columns names {sorted(unknown)[0]!r}, but a table has {', '.join(COLUMNS)}.")
    folder = path.parent if root is None else Path(root).expanduser()
    source = disk.read_text(path, encoding)
    rows = [
        _row(path, line, fields, folder, wanted)
        for line, fields in reader(path, source, delimiter, tuple(wanted.values()))
    ]
    if not rows:
        raise DataError(f"{path} has 0 rows below its header: write one row per pair.")
    # The row that first names each image.
    first: dict[Path, _Row] = {}
    for row in rows:
        first.setdefault(row.image, row)
    pairs = _pairs(path, rows, first)
    if verify:
        disk.verify(list(first), [f"{path}, line {row.line}: {row.image}" for row in first.values()])
    if val is not None or test is not None:
        # An image without a group is one of its own.
        groups = [row.group or row.image for row in first.values()]
        pairs = replace(pairs, split=None).resplit(val=val or 0, test=test or 0, seed=seed, groups=groups)
    return pairs.check()


def _csv(path: Path, source: str, delimiter: str, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a CSV, with the line it begins on."""
    reader = csv.DictReader(io.StringIO(source, newline=""), delimiter=delimiter, strict=True)
    try:
        header = reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        for name in wanted[:2]:
            if name not in header:
                hint = ""
                if len(header) == 1:
                    other = next((mark for mark in (";", "\t", ",") if mark != delimiter and mark in header[0]), None)
                    hint = f" Are its fields parted by {other!r}? Then pass delimiter={other!r}." if other else ""
                found = ", ".join(map(repr, header)) or "nothing"
                raise DataError(
                    f"{path}, line 1: there is no column {name!r}, only {found}.{hint} Name the columns "
                    f"{' and '.join(wanted[:2])}, or say what they are called: columns={{'text': ...}}."
                )
        doubled = next((name for name in header if name in wanted and header.count(name) > 1), None)
        if doubled:
            raise DataError(f"{path}, line 1: column {doubled!r} stands there twice. Rename or remove one of them.")
        for fields in reader:
            # A row may run over several lines; what counts is where it begins.
            inside = [value for value in fields.values() if isinstance(value, str)] + fields.get(None, [])
            line = reader.line_num - sum(value.count("\n") for value in inside)
            if None in fields:
                raise DataError(
                    f"{path}, line {line}: {len(header) + len(fields[None])} fields for {len(header)} columns. "
                    "Put a text that holds a comma into double quotes."
                )
            short = next((name for name in header if fields[name] is None), None)
            if short is not None:
                raise DataError(f"{path}, line {line}: the row ends before column {short!r}. Give it all its fields.")
            yield line, fields
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}. Is a double quote never closed, or not doubled inside a text?"
        ) from error


def _jsonl(path: Path, source: str, delimiter: str, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object of a JSON Lines file, with its line."""
    # Not splitlines(): it would cut at characters that JSON allows inside a string.
    for line, text in enumerate(source.split("\n"), 1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {line}: {error}. Each line must be one JSON object.") from error
        if not isinstance(fields, dict):
            raise DataError(
                f'{path}, line {line}: {text.strip()[:40]!r} is no object: write {{"image": ..., "text": ...}}.'
            )
        for name in wanted[:2]:
            if name not in fields:
                raise DataError(
                    f"{path}, line {line}: there is no {name!r}, only {', '.join(map(repr, fields)) or 'nothing'}. "
                    "Add it, or say what it is called: columns={'text': ...}."
                )
        yield line, fields


def _row(path: Path, line: int, fields: Mapping[str, Any], folder: Path, wanted: Mapping[str, str]) -> _Row:
    def plain(column: str, value: Any) -> str:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not isinstance(value, str) and not (number and column not in ("image", "text")):
            raise DataError(f"{path}, line {line}: {column} is {value!r}, which is no text. Write it in quotes.")
        found = " ".join(str(value).split()) if value is not None else ""
        if found.lower() in _MISSING:
            remedy = "Fill it in or remove the row" if column in ("image", "text") else "Leave the field empty instead"
            raise DataError(f"{path}, line {line}: {column} is {found!r}, a missing value. {remedy}.")
        return found

    said = fields[wanted["text"]]
    texts = tuple(plain("text", text) for text in (said if isinstance(said, list) else [said]))
    if not texts or not all(texts):
        raise DataError(f"{path}, line {line}: the text is empty. Give it words or remove the row.")
    image = fields[wanted["image"]]
    name = plain("image", image)
    if not name:
        raise DataError(f"{path}, line {line}: the image is empty. Name a file or remove the row.")
    # The path itself may hold two blanks in a row.
    place = folder / str(image).strip()
    if "://" in name:
        raise DataError(f"{path}, line {line}: {name} is an address. Download the picture and name the file.")
    if not place.is_file():
        what = "is a folder" if place.is_dir() else "is missing"
        raise DataError(
            f"{path}, line {line}: the image {place} {what}. Paths start from {folder}: correct it, or pass root=."
        )
    other = {column: plain(column, fields.get(wanted[column])) for column in COLUMNS[2:]}
    split = other["split"].lower()
    if split and split not in _SPLITS:
        raise DataError(f"{path}, line {line}: the split is {other['split']!r}. Use one of {', '.join(SPLITS)}.")
    return _Row(line, place.resolve(), name, texts, other["label"], _SPLITS.get(split, ""), other["id"], other["group"])


def _pairs(path: Path, rows: list[_Row], first: dict[Path, _Row]) -> Pairs:
    ids: dict[str, _Row] = {}
    homes: dict[str, _Row] = {}
    for row in rows:
        _agree(path, first[row.image], row)
        if row.id and ids.setdefault(row.id, row) is not row:
            raise DataError(
                f"{path}, lines {ids[row.id].line} and {row.line}: the id {row.id!r} stands there twice. An id names a "
                "row: make it another one, or leave the column out (rows of one image belong together by its path)."
            )
        home = homes.setdefault(row.group, row)
        if row.group and row.split != home.split:
            raise DataError(
                f"{path}, lines {home.line} and {row.line}: group {row.group!r} is in two splits, {home.split!r} and "
                f"{row.split!r}. Put all of it into one, or let val=..., test=... make the split."
            )
    images = list(first.values())
    for column in ("label", "split"):
        without = next((row for row in images if not getattr(row, column)), None)
        with_one = next((row for row in images if getattr(row, column)), None)
        if without is not None and with_one is not None:
            raise DataError(
                f"{path}, line {without.line}: the {column} is empty, where line {with_one.line} has one. "
                "Fill it in for every row or for none."
            )
    place = {row.image: index for index, row in enumerate(images)}
    said = [(row, k, text) for row in rows for k, text in enumerate(row.texts)]
    # Texts stand in the order of their images.
    said.sort(key=lambda entry: place[entry[0].image])
    owner = np.array([place[row.image] for row, _, _ in said])
    classes = tuple(sorted({row.label for row in images if row.label}, key=_natural))
    names = _distinct([row.name for row in images], [str(row.image) for row in images])
    paths = [row.image for row in images]
    return Pairs(
        name=path.stem,
        images=Images(names, disk.pictures(paths), key=f"table-{disk.fingerprint(paths)}"),
        texts=Texts(_text_ids(said, names, owner), tuple((text,) for _, _, text in said)),
        image_of_text=owner,
        labels=np.array([classes.index(row.label) for row in images]) if classes else None,
        classes=classes,
        split=np.array([row.split for row in images]) if images[0].split else None,
        card=_card(path, len(images), len(said), classes),
    )


def _agree(path: Path, own: _Row, row: _Row) -> None:
    """Rows of one image must say the same of it."""
    if row.split != own.split:
        raise DataError(
            f"{path}, lines {own.line} and {row.line}: {row.name} is in two splits, {own.split!r} and {row.split!r}: "
            "the test would ask for what was learnt. Put all rows of an image into one split."
        )
    for column in ("label", "group"):
        mine, theirs = getattr(row, column), getattr(own, column)
        if mine != theirs:
            raise DataError(
                f"{path}, lines {own.line} and {row.line}: {row.name} has two {column}s, {theirs!r} and {mine!r}. "
                "An image has one."
            )


def _text_ids(said: list[tuple[_Row, int, str]], names: tuple[str, ...], owner: np.ndarray) -> tuple[str, ...]:
    """The row's own id; else the image's name, with a number where it has several texts."""
    count = np.bincount(owner, minlength=len(names))
    seen = np.zeros(len(names), dtype=np.int64)
    ids, whole = [], []
    for (row, k, _), image in zip(said, owner, strict=True):
        number = "" if count[image] == 1 else f"#{seen[image]}"
        seen[image] += 1
        ids.append((row.id + (f"#{k}" if len(row.texts) > 1 else "")) or names[image] + number)
        whole.append(f"{names[image]}{number}")
    return _distinct(ids, whole)


def _distinct(short: list[str], whole: list[str]) -> tuple[str, ...]:
    """The short names, where they tell everything apart; else the whole ones."""
    return tuple(short if len(set(short)) == len(short) else whole)


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers by their size, words by the alphabet."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def _card(path: Path, images: int, texts: int, classes: tuple[str, ...]) -> Card:
    return Card(
        name=path.stem,
        title=f"Own pairs, {path.name}",
        summary="Read from a table.",
        source=str(path),
        size=f"{images:,} images, {texts:,} texts",
        classes=classes,
        split="the column 'split', or val=... and test=... of the call",
    )
