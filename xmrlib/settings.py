"""The few switches that come from the environment, in one place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

Choice = TypeVar("Choice")
Item = TypeVar("Item")


def full() -> bool:
    """Whether `XMR_FULL=1` asks for the papers' sizes (hours, a GPU) instead of the book's (minutes, a laptop)."""
    return os.environ.get("XMR_FULL", "0") == "1"


def choose(*, small: Choice, full: Choice) -> Choice:
    """Return `full` where `XMR_FULL=1` is set, else `small`: one cell of a chapter serves a laptop and a GPU.

    >>> choose(small=200, full=20_000)
    200
    """
    return full if os.environ.get("XMR_FULL", "0") == "1" else small


def in_book() -> bool:
    """Whether the code runs inside a build of the static page (`XMR_BOOK=1`), where no kernel will answer a widget."""
    return os.environ.get("XMR_BOOK", "0") == "1"


def cache_directory() -> Path:
    """Where features and downloads are kept: `$XMR_CACHE`, else the user's own cache folder."""
    import pooch

    path = Path(os.environ.get("XMR_CACHE") or pooch.os_cache("xmrlib"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def data_directory() -> Path:
    """Where real data sets lie on disk: `$XMR_DATA`, else `data/` inside the cache."""
    return Path(os.environ.get("XMR_DATA") or cache_directory() / "data")


def progress(iterable: Iterable[Item], total: int | None = None, label: str = "") -> Iterable[Item]:
    """Go through `iterable` with a progress bar on a terminal, or where `XMR_PROGRESS=1` asks for one; else in silence.

    The bar goes to stdout: in a build of the page whatever is written to stderr counts as a failure.

    >>> list(progress([1, 2, 3], label="counting"))
    [1, 2, 3]
    """
    asked = os.environ.get("XMR_PROGRESS")
    if asked == "0" or (asked != "1" and not sys.stdout.isatty()) or in_book():
        return iterable
    from tqdm import tqdm

    return tqdm(iterable, total=total, desc=label or None, file=sys.stdout, dynamic_ncols=True)
