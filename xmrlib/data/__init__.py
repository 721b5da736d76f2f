"""Pairs in: the built-in data sets, the real ones, and the reader's own table.

data = xmrlib.data.load("scenes")            # made on the spot, no download
data = xmrlib.data.load("wikipedia")         # read from settings.data_directory()/wikipedia
data = xmrlib.data.load("data/f30k_precomp") # a folder of features in the layout of VSE++ and SCAN
data = xmrlib.data.load("my/pairs.csv")      # the reader's own
"""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path
from typing import Any

from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

__all__ = ["Card", "DataError", "Images", "Pairs", "Texts", "card", "fetch", "listing", "load", "names"]

# Each module has `load(**options) -> Pairs`, a card, and for a real set `present()`; it is imported when first named.
BUILT_IN = ("emoji", "scenes")
REAL = ("wikipedia", "flickr8k", "pascal", "openclipart", "flickr30k", "coco", "precomputed")
TABLES = (".csv", ".jsonl")


def names() -> tuple[str, ...]:
    """The names that `load` knows.

    >>> names()
    ('emoji', 'scenes', 'wikipedia', 'flickr8k', 'pascal', 'openclipart', 'flickr30k', 'coco', 'precomputed')
    """
    return BUILT_IN + REAL


def _module(name: str) -> Any:
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"there is no data set {name!r}; there are {', '.join(names())}, "
            f"or the path of your own table ({' or '.join(TABLES)}), of a file of captions in Karpathy's form (.json), "
            f"or of a folder of precomputed features.{hint}"
        )
    return importlib.import_module(f"xmrlib.data.{name}")


def load(name_or_path: str | os.PathLike[str], **options: Any) -> Pairs:
    """A data set with all its splits, by name, or from the path of the reader's own `.csv` or `.jsonl`.

    A path may also name a `.json` in the form of Karpathy's (`dataset_flickr8k.json`, see `xmrlib.data.karpathy`), or
    a folder of precomputed features (`f30k_precomp`, see `xmrlib.data.precomputed`).
    Options go to the data set's own loader: `root=` (where a real set lies), `split=` (Wikipedia), `seed=`, ...
    Raises `DataError` for an unknown name, and for every fault of the data, with the remedy.
    """
    name = os.fspath(name_or_path)
    if name in names():
        return _module(name).load(**options)
    if Path(name).suffix.lower() in TABLES:
        from xmrlib.data import table

        return table.load(name, **options)
    if Path(name).suffix.lower() == ".json":
        from xmrlib.data import karpathy

        return karpathy.load(name, **options)
    if _module("precomputed").present(name):
        return _module("precomputed").load(name, **options)
    if Path(name).exists():
        raise DataError(
            f"{name} is not a table: give a file that ends in {' or '.join(TABLES)}, a .json of Karpathy's, or a "
            "folder that holds SPLIT_ims.npy and SPLIT_caps.txt."
        )
    return _module(name).load(**options)


def card(name: str) -> Card:
    """The card of the data set `name`: source, licence, size, checksums, split rule, known faults."""
    module = _module(name)
    # A generated set writes its card from what it generates.
    return module.CARD if hasattr(module, "CARD") else module.load().card


def fetch(name: str, **options: Any) -> Path:
    """Put the data set `name` on disk where it can be fetched by a program, and return its folder.

    Raises `DataError` with the way to get it by hand where it cannot.
    """
    module = _module(name)
    if not hasattr(module, "fetch"):
        if name in BUILT_IN:
            raise DataError(f"{name} is made on the spot: there is nothing to fetch. Load it.")
        raise DataError(f"{name} cannot be fetched by a program. {card(name).fetch}")
    return module.fetch(**options)


def listing() -> list[dict[str, Any]]:
    """One entry per data set for a table on the terminal: name, title, kind, and whether it is ready to load."""
    entries = []
    for name in names():
        module, about = _module(name), card(name)
        entries.append(
            {
                "name": name,
                "title": about.title,
                "kind": "built in" if name in BUILT_IN else "real",
                "ready": name in BUILT_IN or bool(module.present()),
                "fetchable": hasattr(module, "fetch"),
                "licence": about.licence,
            }
        )
    return entries
