"""Reading a data set from disk: a file that is missing, short, altered or not readable is named, with the remedy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from xmrlib import settings
from xmrlib.data.checks import DataError


def folder_of(name: str, root: str | Path | None, remedy: str) -> Path:
    """The folder where data set `name` lies: `root`, else `settings.data_directory() / name`."""
    place = settings.data_directory() / name if root is None else Path(root).expanduser()
    if not place.is_dir():
        raise DataError(f"{name} is not at {place}. {remedy} Or say where it lies: root=..., or $XMR_DATA.")
    return place


def need(path: Path, remedy: str) -> Path:
    """`path`, once it is known to be a file with something in it."""
    if not path.is_file():
        raise DataError(f"{path} is missing. {remedy}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty. {remedy}")
    return path


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The text of a file; raises `DataError` with the line of the first byte that is no such text."""
    data = path.read_bytes()
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {encoding.upper().removesuffix('-SIG')}. "
            "Save the file as UTF-8, or name its encoding, for instance encoding='cp1252'."
        ) from error
    except LookupError as error:
        raise DataError(f"there is no encoding {encoding!r}. Try 'utf-8' or 'cp1252'.") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sums(root: Path, sums: Mapping[str, str], remedy: str) -> None:
    """Compare files under `root` with the checksums of a card."""
    for name, expected in sums.items():
        found = sha256(need(root / name, remedy))
        if found != expected:
            raise DataError(
                f"{root / name} is not the official file: its sha256 begins {found[:12]}, not {expected[:12]}. "
                f"{remedy} To use it as it is, pass verify=False."
            )


def on_white(picture: Image.Image) -> Image.Image:
    """A picture as RGB, upright, what is transparent shown white."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "RGB":
        return picture
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, (0, 0), layer)
        return paper
    if picture.mode.startswith("I"):
        # Sixteen-bit grey is scaled, not cut, to eight.
        low, high = picture.getextrema()
        return picture.point(lambda level: (level - low) * (255 / max(1, high - low))).convert("L").convert("RGB")
    return picture.convert("RGB")


def open_picture(path: Path) -> Image.Image:
    """The picture in a file, as RGB on white."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return on_white(picture)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. It was there when the data set was loaded: put it back.") from error
    except Exception as error:
        raise DataError(f"{path} cannot be read as a picture: {error}. Replace it, or leave its row out.") from error


def pictures(paths: Sequence[Path]) -> Callable[[int], Image.Image]:
    """What `Images.picture` wants: each picture is read when it is asked for."""
    paths = tuple(paths)
    return lambda row: open_picture(paths[row])


def unreadable(path: Path) -> str | None:
    """Why a picture cannot be read, or None: the whole file is decoded, a JPEG at an eighth of its size to be quick."""
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (max(1, picture.width // 8), max(1, picture.height // 8)))
            picture.load()
    except Exception as error:
        return str(error) or type(error).__name__
    return None


def verify(paths: Sequence[Path], names: Sequence[str] | None = None) -> None:
    """Decode every picture once; raises `DataError` for the first that cannot be read, by its path or its name."""
    for place, path in enumerate(settings.progress(paths, len(paths), "looking into the pictures")):
        why = unreadable(path)
        if why is not None:
            raise DataError(
                f"{path if names is None else names[place]} cannot be read as a picture: {why}. "
                "Replace the file, or leave its row out. verify=False skips this check."
            )


def once(key: str, look: Callable[[], None]) -> None:
    """Call `look`, unless it was content before with what `key` names: a note in the cache says so.

    Large sets take minutes to look through. A key that holds the `fingerprint` of the files changes with each of them.
    """
    note = settings.cache_directory() / "verified" / fingerprint(key)
    if not note.is_file():
        look()
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def fingerprint(*parts: object) -> str:
    """A short name for whatever the parts say, for keys in the feature store.

    A path stands for its name, its size and the time it was last written.
    """
    digest = hashlib.sha256()
    for part in parts:
        for item in part if isinstance(part, (list, tuple)) else (part,):
            if isinstance(item, Path):
                about = item.stat()
                item = f"{item.resolve()} {about.st_size} {about.st_mtime_ns}"
            digest.update(f"{item}\0".encode())
    return digest.hexdigest()[:16]
