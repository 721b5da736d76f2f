"""Arrays that are larger than the memory: files of rows, one below the other, read where they are looked at."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmrlib.data.checks import DataError

# What a tensor knows of itself; to say it no number need be read.
_FACTS = {
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "layout", "is_cuda")),
    *(Tensor.__len__, Tensor.dim, Tensor.size, Tensor.numel, Tensor.is_floating_point),
}


class Mapped(Tensor):
    """Arrays with the same columns as one tensor of all their rows, none of them read before it is asked for.

    Rows that follow one another in one array come out as a view of it: `.train` of a data set reads nothing. Rows from
    here and there are copied, and only they. Any other operation reads everything and gives a plain tensor.

    >>> both = Mapped([torch.zeros(3, 2), torch.ones(2, 2)])
    >>> both.shape, both[np.array([1, 4])].tolist()
    (torch.Size([5, 2]), [[0.0, 0.0], [1.0, 1.0]])
    """

    parts: tuple[Tensor, ...]

    @staticmethod
    def __new__(cls, parts: Sequence[Tensor]) -> Mapped:
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        # One number, stretched: it has the shape and the type, and takes no memory.
        self = torch.zeros(1, dtype=parts[0].dtype).expand(shape).as_subclass(cls)
        self.parts = tuple(parts)
        return self

    def __init__(self, parts: Sequence[Tensor]) -> None:
        super().__init__()

    def __repr__(self, **_: Any) -> str:
        return f"Mapped{tuple(self.shape)} of {self.dtype}, in {len(self.parts)} files"

    def whole(self) -> Tensor:
        """All rows, in memory."""
        return torch.cat(self.parts)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _FACTS:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **kwargs)
        if function is Tensor.__getitem__ and isinstance(args[0], Mapped):
            return args[0]._rows(args[1])
        if function is Tensor.__setitem__ and isinstance(args[0], Mapped):
            raise TypeError("these features lie in files and cannot be written to: change a copy, features.whole().")

        def read(value: Any) -> Any:
            if isinstance(value, Mapped):
                return value.whole()
            return type(value)(map(read, value)) if type(value) in (list, tuple) else value

        return function(*read(args), **{name: read(value) for name, value in kwargs.items()})

    def _rows(self, key: Any) -> Tensor:
        if isinstance(key, tuple) or key is None or key is Ellipsis:
            return self.whole()[key]
        rows = np.arange(len(self))[key.numpy() if isinstance(key, Tensor) else key]
        if rows.ndim > 1:
            return self.whole()[key]
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        if rows.ndim == 0:
            home = int(np.searchsorted(starts, rows, side="right")) - 1
            return self.parts[home][int(rows - starts[home])]
        if len(rows) and (np.diff(rows) == 1).all():
            first, last = rows[0], rows[-1] + 1
            inside = [
                part[max(first - start, 0) : last - start]
                for part, start in zip(self.parts, starts[:-1], strict=True)
                if start < last and start + len(part) > first
            ]
            return inside[0] if len(inside) == 1 else Mapped(inside)
        found = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for part, start in zip(self.parts, starts[:-1], strict=True):
            here = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            found[here] = part[rows[here] - start]
        return found


def open_array(path: Path, remedy: str) -> np.ndarray:
    """The array in a `.npy` file, mapped and not read; raises `DataError` where the file is short or no such array."""
    try:
        try:
            # Copy on write: who changes the array changes his own copy, not the file.
            array = np.load(path, mmap_mode="c", allow_pickle=False)
        except OSError as error:
            # Of a file larger than the memory the system may refuse a copy that could be written to.
            if error.errno != errno.ENOMEM:
                raise
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise DataError(f"{path} is no whole array of numbers: {error}. It is short or altered. {remedy}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.dtype.isnative or array.itemsize > 8:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{path} holds {kind}: floating point numbers are needed. Save it again as float32.")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"{path} has 0 rows. {remedy}")
    return array
