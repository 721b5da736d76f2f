"""Open Clip Art, from Debian's package openclipart-svg: real drawings with titles, descriptions and keywords.

The largest free set of drawings with words that a package manager brings: no account, no form, no root.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from xmrlib import settings
from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

PACKAGE = "openclipart-svg"
DRAWINGS = "usr/share/openclipart/svg"
FOLDERS = (
    *("animals", "buildings", "computer", "education", "electronics", "food", "geography"),
    *("office", "people", "plants", "recreation", "signs_and_symbols", "tools", "transportation"),
)
CLASSES = tuple(folder.replace("_", " ") for folder in FOLDERS)
# What release 0.18 holds in these folders: a fingerprint of names, words and drawings.
CONTENT = "1502ab4064932373"
# Theme icons are one hand's work in one style, and playing cards differ by a number: neither has words of its own.
LEFT_OUT = (
    *(f"computer/icons/{theme}-theme/" for theme in ("etiquette", "flat", "lemon")),
    "recreation/games/cards/",
)

CARD = Card(
    name="openclipart",
    title="Open Clip Art Library 0.18",
    summary="Drawings by many hands, in colour and in black and white, with a title, at times a description, and "
    "keywords; the folder is the class.",
    source="Open Clip Art Project; Debian packages openclipart-svg (25 MB) and openclipart-png (131 MB, not needed)",
    licence="public domain",
    size="8,121 drawings in the package, of which 2,393 pairs are used: those of the 14 named folders of at least 40 "
    "drawings, but for icon themes and playing cards, with at least three words besides the words of the classes",
    classes=CLASSES,
    split="groups (same text, or same file name but for numbers and 'bw') are dealt whole with seed 0: 30 % test, 10 % "
    "validation, 60 % train",
    views="pictures drawn from SVG on white; a text has up to three fragments: title, description, keywords",
    layout=(f"{DRAWINGS}/CLASS/**/*.svg",),
    fetch="`xmr data fetch openclipart` (by apt-get download, no root needed), or `apt-get install openclipart-svg`.",
    cite="Open Clip Art Library, release 0.18, 2005, https://openclipart.org",
    faults=(
        "Split at random, 24 % of the test texts would stand in train word for word: hence the groups.",
        "A fifth of the drawings are flags, which are easy on both sides; a third are signs and symbols.",
        "About 190 drawings lie in more than one folder: each counts once, for the smallest class of these.",
        "Titles are in English, Italian, French, Spanish and Portuguese; the name of the drawer is often part of them.",
        "A folder is one opinion: a chess piece is recreation, a penguin of the Linux kind is an animal or a computer.",
        "Words in pictures are not drawn: the fonts of a machine would make the picture another one elsewhere.",
    ),
)

_WORK = re.compile(r"<(?:\w+:)?Work\b.*?</(?:\w+:)?Work>", re.DOTALL)
# What the collection's own machinery wrote into the words, and what says who drew it.
_NOISE = re.compile(
    r"clip ?arts? by [\w ]+? - ?|part of [^.(]*(\([^)]*\))?|aiga_symbol_signs|eps converted from\s+\S+|\S+@\S+"
    r"|https?:\S+|\(b and w\)|various clip ?arts|\br16 sibmission|gold-theme|blueberry - iconset"
    r"|architetto francesco rollandin|hash\(\w*\)|\bclip ?arts?\b|\b(hash|unsorted|svg)\b",
    re.IGNORECASE,
)
_CLASS_WORD = re.compile(
    r"animals?|buildings?|computers?|educational|educations?|electronics?|foods?|geography|geographical|offices?|peoples?"
    r"|persons?|plants?|recreational|recreations?|signs?|symbols?|tools?|transports?|transportation",
)
# Seen on paper they are nothing: off the page, or made of text alone.
_BLANK = {
    *("animals/birds/duck_yellow_ii_kurt_cagl_", "animals/birds/penguin/tux_didier_fabert_01"),
    *("electronics/bulb/light_bulb_karl_bartel_01", "office/large_braces.svg_amos_01"),
    *("recreation/sports/badminton_racket_brice_b_01", "recreation/sports/football_pitch__andy_bur_01"),
    *("signs_and_symbols/font_samples_revdoug_01", "signs_and_symbols/teschio_fabio_olivo_01"),
}


def present(root: str | Path | None = None) -> bool:
    """Whether the drawings are there: fetched, or installed with the system."""
    return _folder(root) is not None


def fetch(root: str | Path | None = None) -> Path:
    """Download Debian's package and unpack it into `root`, without root's rights; returns the folder.

    Raises `DataError` where there is no `apt-get` or it cannot reach an archive.
    """
    place = settings.data_directory() / "openclipart" if root is None else Path(root).expanduser()
    if _folder(place) is not None:
        return place
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DataError(
                f"{program} is not here: {PACKAGE} can be fetched so on Debian and Ubuntu only. Elsewhere take the "
                f".deb from https://packages.debian.org/{PACKAGE}, unpack its data.tar, and pass root=... to it."
            )
    place.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", PACKAGE], place, "Is the machine online? Try `apt-get update` first.")
    package = max(place.glob(f"{PACKAGE}_*.deb"), key=lambda path: path.stat().st_mtime)
    _run(["dpkg-deb", "-x", package.name, "."], place, "Delete the .deb and fetch it again.")
    package.unlink()
    return place


def load(
    root: str | Path | None = None,
    *,
    seed: int = 0,
    size: int = 256,
    words: int = 3,
    verify: bool = True,
) -> Pairs:
    """The drawings with words, in the order of their file names, one text each.

    size   longest side of a picture in pixels; a drawing is cut to what is drawn
    words  the fewest different words a text may have, class words not counted
    seed   draws the split
    verify complain where the drawings are not those of release 0.18

    Raises `DataError` where the drawings are missing or short.
    """
    place = _folder(root)
    if place is None:
        disk.folder_of("openclipart", root, CARD.fetch)
        raise DataError(f"{root or settings.data_directory() / 'openclipart'} holds no drawings. {CARD.fetch}")
    rows = _rows(place, words, verify)
    paths = [place / f"{name}.svg" for name, _, _ in rows]
    texts = tuple(fragments for _, fragments, _ in rows)
    names = tuple(name for name, _, _ in rows)
    pairs = Pairs(
        name="openclipart",
        images=Images(
            names,
            picture=lambda row: draw(paths[row], size),
            key=f"openclipart-1-{size}px-{disk.fingerprint(*(f'{name} {digest}' for name, _, digest in rows))}",
        ),
        texts=Texts(names, texts),
        image_of_text=np.arange(len(rows)),
        labels=np.array([FOLDERS.index(name.split("/")[0]) for name in names]),
        classes=CLASSES,
        card=CARD,
    )
    return pairs.resplit(val=0.1, test=0.3, seed=seed, groups=groups_of(names, texts)).check()


def draw(path: Path, size: int) -> Image.Image:
    """The drawing on white, cut to what is drawn and a small margin, its longest side `size` pixels."""
    import resvg_py

    try:
        # The scale of millimetres and points is needed, or half of the drawings would have no size at all.
        # System fonts are left out: the same drawing must be the same picture on every machine.
        png = resvg_py.svg_to_bytes(svg_path=str(path), width=3 * size // 2, dpi=96, skip_system_fonts=True)
    except ValueError as error:
        raise DataError(f"{path} cannot be drawn: {error}. {CARD.fetch}") from error
    layer = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    paper = Image.new("RGB", layer.size, "white")
    paper.paste(layer, (0, 0), layer)
    # Many a drawing is a corner of an A4 page.
    drawn = paper.convert("L").point(lambda grey: 255 * (grey < 250)).getbbox()
    if drawn is not None:
        margin = max(drawn[2] - drawn[0], drawn[3] - drawn[1]) // 25 + 1
        paper = ImageOps.expand(paper.crop(drawn), margin, "white")
    paper.thumbnail((size, size), Image.Resampling.LANCZOS)
    return paper


def words_of(line: str) -> str:
    """A title, description or keyword without the collection's own noise and without the words of the classes.

    >>> words_of("Clipart by Nicu Buculei - brown_bear, ANIMAL")
    'brown bear'
    """
    found = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", _NOISE.sub(" ", line).replace("_", " "))
    return " ".join(word.lower() for word in found if len(word) > 1 and not _CLASS_WORD.fullmatch(word.lower()))


def stem_of(name: str) -> str:
    """The file's name without what tells copies apart: numbers, and 'bw' for black and white.

    >>> stem_of("food/apple_pie_bw_01"), stem_of("food/apple_pie")
    ('apple_pie', 'apple_pie')
    """
    stem = re.sub(r"([\W_]*(\d+|bw|colou?r))*[\W_]*$", "", name.rsplit("/", 1)[-1].lower())
    return stem or name


def groups_of(names: tuple[str, ...], texts: tuple[tuple[str, ...], ...]) -> list[int]:
    """A group for each drawing: those with the same text or the same stem end in one, by whatever chain."""
    parent = list(range(len(names)))

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[tuple[str, str], int] = {}
    for row, (name, fragments) in enumerate(zip(names, texts, strict=True)):
        for mark in (("text", " ".join(fragments)), ("stem", stem_of(name))):
            parent[find(row)] = find(first.setdefault(mark, row))
    return [find(row) for row in range(len(names))]


def _folder(root: str | Path | None) -> Path | None:
    """Where the class folders are."""
    given = settings.data_directory() / "openclipart" if root is None else Path(root).expanduser()
    places = [given / DRAWINGS, given / "svg", given]
    places += [Path("/") / DRAWINGS] if root is None else []
    return next((place for place in places if (place / FOLDERS[0]).is_dir()), None)


def _run(command: list[str], place: Path, remedy: str) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"`{' '.join(command)}` failed in {place}: {last}. {remedy}")


def _rows(place: Path, words: int, verify: bool) -> list[tuple[str, tuple[str, ...], str]]:
    """(name, fragments, digest of the drawing) of every drawing kept."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for folder in FOLDERS:
        for path in sorted((place / folder).rglob("*.svg")):
            name = path.relative_to(place).with_suffix("").as_posix()
            if name.startswith(LEFT_OUT) or name in _BLANK:
                continue
            # A link to a file in another folder counts as a copy of it.
            source = path.read_bytes().decode("utf-8", "replace")
            fragments = _fragments(source)
            if len(set(re.findall(r"[\w']+", " ".join(fragments)))) >= words:
                found.setdefault(_digest(source), []).append((name, fragments))
    size = Counter(name.split("/")[0] for copies in found.values() for name, _ in copies)
    if not found:
        raise DataError(f"{place} holds no drawings with words in the folders {', '.join(FOLDERS)}. {CARD.fetch}")
    content = disk.fingerprint(
        sorted(f"{name} {text} {digest}" for digest, copies in found.items() for name, text in copies)
    )
    if verify and words == 3 and content != CONTENT:
        raise DataError(
            f"{place} is short or altered: {sum(map(len, found.values())):,} drawings with words, content {content}, "
            f"not {CONTENT} as in release 0.18. {CARD.fetch} To use it as it is, pass verify=False."
        )
    # A drawing that lies in several folders counts once, for the smallest class of these.
    return sorted(
        (*min(copies, key=lambda copy: (size[copy[0].split("/")[0]], copy[0])), digest)
        for digest, copies in found.items()
    )


def _fragments(source: str) -> tuple[str, ...]:
    """Title, description and keywords of a drawing, those that hold a word."""
    work = _WORK.search(source)
    if work is None:
        return ()
    lines = []
    for tag in ("title", "description", "subject"):
        match = re.search(rf"<(?:\w+:)?{tag}\b[^>]*(?<!/)>(.*?)</(?:\w+:)?{tag}>", work[0], re.DOTALL)
        inside = match[1] if match else ""
        parts = re.findall(r"<(?:\w+:)?li\b[^>]*>(.*?)</", inside, re.DOTALL) if tag == "subject" else [inside]
        kept = [words_of(html.unescape(html.unescape(part))) for part in parts]
        line = ", ".join(part for part in kept if part)
        if line and line not in lines:
            lines.append(line)
    return tuple(lines)


def _digest(source: str) -> str:
    """What is drawn, without the words about it: two files with the same digest are the same drawing."""
    body = re.sub(r"<metadata.*?</metadata>", "", source, flags=re.DOTALL)
    body = body[body.find(">", body.find("<svg")) :]
    return hashlib.sha256(" ".join(body.split()).encode()).hexdigest()
