"""Features on disk: computed once, one row per image, safe to kill at any moment.

A store is a folder with one memory-mapped `.npy` file per field, a file of marks, and a lock. The mark of a row is the
checksum of its bytes and is written after them. A row without its mark is computed again; so is a row whose bytes no
longer fit its mark. Killing the process therefore costs at most the batch in flight and never yields a wrong row.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from xmrlib.settings import progress

Batch = Mapping[str, np.ndarray]
MARKED = np.uint64(1) << np.uint64(32)  # tells the checksum 0 from "not computed"


class StoreError(RuntimeError):
    """The feature store cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Field:
    """One array of the store: the shape of a row and the type of its numbers."""

    shape: tuple[int, ...]
    dtype: str


def identity(**parts: object) -> str:
    """A short name for what decides the features: the same parts give the same name, on every machine.

    >>> identity(view="whole", size=160) == identity(size=160, view="whole")
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


class FeatureStore:
    """Rows of features under `folder`, for a table of `total` images.

    Only the rows asked for are computed. Several processes may share a store: one computes, the others wait for it.
    """

    def __init__(self, folder: Path, total: int, fields: Mapping[str, Field], about: Mapping[str, object] = {}) -> None:
        self.folder, self.total, self.fields = Path(folder), total, dict(fields)
        self.about = {**about, "total": total, "fields": {k: [list(f.shape), f.dtype] for k, f in fields.items()}}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            self._open()

    def _lock(self):
        from filelock import FileLock

        return FileLock(self.folder / "lock")

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _open(self) -> None:
        """Map the files; whatever is missing, cut short or of another shape is made anew, empty."""
        layout = {k: ((self.total, *f.shape), np.dtype(f.dtype)) for k, f in self.fields.items()}
        layout["marks"] = ((self.total,), np.dtype("uint64"))
        faults = {name: fault for name, (shape, dtype) in layout.items() if (fault := self._fault(name, shape, dtype))}
        if any(fault != "is missing" for fault in faults.values()) or 0 < len(faults) < len(layout):
            named = "; ".join(f"{self._path(name)} {fault}" for name, fault in faults.items())
            warnings.warn(f"feature store damaged: {named}. Its features will be computed again.", stacklevel=4)
        if faults:
            # Rows that lost a part are worthless: begin again with all files, the marks first.
            for name in ("marks", *self.fields):
                self._path(name).unlink(missing_ok=True)
            for name in (*self.fields, "marks"):
                self._create(self._path(name), *layout[name])
            (self.folder / "about.json").write_text(json.dumps(self.about, indent=1))
        self._marks = npy.open_memmap(self._path("marks"), mode="r+")
        self._rows = {name: npy.open_memmap(self._path(name), mode="r") for name in self.fields}

    def _fault(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> str:
        """What is wrong with a file, or "". A file cut short must not be mapped: reading it would end the process."""
        path = self._path(name)
        if not path.exists():
            return "is missing"
        try:
            with path.open("rb") as file:
                npy.read_magic(file)
                found, fortran, kind = npy.read_array_header_1_0(file)
                expected = file.tell() + int(np.prod(shape)) * dtype.itemsize
        except (ValueError, OSError) as error:
            return f"cannot be read ({error})"
        if found != shape or kind != dtype or fortran:
            return f"holds {kind} {found} instead of {dtype} {shape}"
        if path.stat().st_size != expected:
            return f"has {path.stat().st_size:,} bytes instead of {expected:,}"
        return ""

    @staticmethod
    def _create(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """An empty array, which takes no room on disk until it is written; it appears under its name when complete."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, header)
            file.truncate(file.tell() + int(np.prod(shape)) * dtype.itemsize)
            os.fsync(file.fileno())
        partial.replace(path)

    def _sums(self, rows: np.ndarray, values: Batch) -> np.ndarray:
        """(row,) the mark of each row: a checksum over the row number and the bytes of all fields."""
        sums = np.empty(len(rows), dtype=np.uint64)
        for place, row in enumerate(rows):
            total = int(row)
            for name in self.fields:
                total = zlib.crc32(np.ascontiguousarray(values[name][place]), total)
            sums[place] = MARKED | np.uint64(total)
        return sums

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that have not been computed, sorted."""
        rows = np.unique(rows)
        return rows[self._marks[rows] == 0]

    def write(self, rows: np.ndarray, values: Batch) -> None:
        """Write the features of `rows`, then their marks.

        Rows go through the file, not the map: on a full disk that is an error, where the map would end the process.
        """
        rows = np.asarray(rows)
        for name, field in self.fields.items():
            block = np.ascontiguousarray(values[name], dtype=field.dtype)
            if block.shape != (len(rows), *field.shape):
                raise StoreError(f"field {name!r} must be {(len(rows), *field.shape)}, not {block.shape}")
            values = {**values, name: block}
            stride = int(np.prod(field.shape)) * block.itemsize
            try:
                with self._path(name).open("r+b", buffering=0) as file:
                    for place, row in enumerate(rows):
                        file.seek(self._rows[name].offset + int(row) * stride)
                        file.write(block[place].tobytes())
                    os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(
                    f"cannot write {self._path(name)}: {error.strerror}. Free some room, or let XMR_CACHE name "
                    "a folder on another disk; what is finished stays."
                ) from error
        self._marks[rows] = self._sums(rows, values)
        self._marks.flush()

    def read(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The features of `rows`, and which of them are whole: computed, and still with the checksum they had."""
        values = {name: self._rows[name][rows] for name in self.fields}
        return values, self._marks[rows] == self._sums(rows, values)

    def verify(self) -> np.ndarray:
        """Rows that were computed and no longer fit their checksum; they are unmarked, so that they are made again."""
        rows = np.flatnonzero(self._marks)
        bad = np.concatenate([part[~self.read(part)[1]] for part in np.array_split(rows, len(rows) // 256 + 1)])
        self._marks[bad] = 0
        self._marks.flush()
        return bad

    def fill(
        self, rows: np.ndarray, compute: Callable[[np.ndarray], Batch], batch: int = 32, label: str = ""
    ) -> dict[str, np.ndarray]:
        """The features of `rows`; what is missing or damaged is computed by `compute(some rows)` and kept."""
        wanted = np.unique(rows)
        place = np.searchsorted(wanted, rows)
        values, whole = self.read(wanted)
        if not whole.all():
            with self._lock():
                values, whole = self.read(wanted)  # another process may have filled them while we waited
                damaged = wanted[~whole & (self._marks[wanted] != 0)]
                if len(damaged):
                    warnings.warn(
                        f"{len(damaged)} row(s) of the feature store {self.folder} do not fit their checksum "
                        f"(first: {damaged[0]}) and are computed again.",
                        stacklevel=3,
                    )
                missing = wanted[~whole]
                for begin in progress(range(0, len(missing), batch), label=label):
                    part = missing[begin : begin + batch]
                    self.write(part, compute(part))
                values, whole = self.read(wanted)
            if not whole.all():
                raise StoreError(f"the disk under {self.folder} does not give back what was written to it.")
        return {name: block[place] for name, block in values.items()}
