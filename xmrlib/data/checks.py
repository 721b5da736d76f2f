"""What can be wrong with a data set, looked for before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs

SPLITS = ("train", "val", "test")


class DataError(ValueError):
    """Something is wrong with the data; the message names the row, the value and the remedy."""


def check_everything(pairs: Pairs) -> None:
    """Raise `DataError` for the first fault of a whole data set; see `Pairs.check`."""
    if len(pairs) == 0 or len(pairs.texts) == 0:
        raise DataError(f"{pairs.name} has 0 rows: an image and a text at least are needed.")
    for side, table in (("image", pairs.images), ("text", pairs.texts)):
        check_ids(side, table.ids)
        for view, features in table.given.items():
            bad = np.flatnonzero(~features.reshape(len(features), -1).isfinite().all(1).cpu().numpy())
            if len(bad):
                raise DataError(
                    f"feature {view!r} of {side} row {bad[0]} ({table.ids[bad[0]]!r}) is NaN or infinite "
                    f"({len(bad)} such rows). Leave these rows out or extract their features again."
                )
    without = np.setdiff1d(np.arange(len(pairs)), pairs.image_of_text)
    if len(without):
        raise DataError(
            f"image row {without[0]} ({pairs.images.ids[without[0]]!r}) has no text ({len(without)} such images). "
            "Give it one, or leave it out with .select()."
        )
    for row, parts in enumerate(pairs.texts.fragments or ()):
        if not parts or not all(part.strip() for part in parts):
            raise DataError(f"text row {row} ({pairs.texts.ids[row]!r}) is empty. Give it words or leave it out.")
    check_classes(pairs, remedy="Make the split again with .resplit(), or leave the class out")


def check_lengths(pairs: Pairs) -> None:
    """What must hold for every part of a data set too, and costs next to nothing to look at."""
    images, texts = len(pairs.images), len(pairs.texts)
    for what, values, rows in (
        ("image_of_text", pairs.image_of_text, texts),
        ("labels", pairs.labels, images),
        ("split", pairs.split, images),
        ("truth", pairs.truth, images),
    ):
        if values is not None and len(values) != rows:
            raise DataError(f"{what} has {len(values)} entries, but there are {rows} rows: give one entry per row.")
    for what, values, limit, of in (
        ("image_of_text", pairs.image_of_text, images, "images"),
        ("labels", pairs.labels, len(pairs.classes), "classes"),
    ):
        bad = [] if values is None else np.flatnonzero((values < 0) | (values >= limit))
        if len(bad):
            raise DataError(f"{what}[{bad[0]}] is {values[bad[0]]}, but there are {limit} {of}: use 0..{limit - 1}.")
    if pairs.split is not None:
        bad = np.flatnonzero(~np.isin(pairs.split, SPLITS))
        if len(bad):
            raise DataError(
                f"split of image row {bad[0]} is {str(pairs.split[bad[0]])!r}: use one of {', '.join(SPLITS)}."
            )


def check_rows(side: str, rows: int, given: Mapping[str, Tensor]) -> None:
    for view, features in given.items():
        if len(features) != rows:
            raise DataError(
                f"feature {view!r} has {len(features)} rows for {rows} {side}s: give one per {side}, in order."
            )


def check_ids(side: str, ids: tuple[str, ...]) -> None:
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in first:
            raise DataError(f"{side} rows {first[name]} and {row} share the id {name!r}: give each row its own id.")
        first[name] = row


def check_classes(pairs: Pairs, remedy: str) -> None:
    """A class must be learnt in the training split and asked for in another."""
    splits = set() if pairs.split is None else set(pairs.split.tolist())
    if pairs.labels is None or len(splits) < 2:
        return
    for label in np.unique(pairs.labels):
        of_class = pairs.split[pairs.labels == label]
        parts = set(of_class.tolist())
        if len(parts) < 2 or ("train" in splits and "train" not in parts):
            where = " and ".join(repr(part) for part in SPLITS if part in parts)
            raise DataError(
                f"class {pairs.classes[label]!r} ({len(of_class)} images) is in {where} only: it cannot be both learnt "
                f"and asked for. {remedy}."
            )
