"""Sets of items, the regions of images or the words of texts: padded to one length, and taken some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from math import ceil

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Bytes of a chunk, at most, on a CPU: a product of matrices is slower by a third where one does not fit into its cache.
CHUNK = 1 << 25
# The items (set item dim), and True where one is real (set item); None where all are.
Sets = tuple[Tensor, Tensor | None]


def check_sets(items: Tensor, mask: Tensor | None, owner: str, item: str) -> None:
    """Raise `ValueError` for the wrong shape or, where that may be looked at, for a set without an item.

    owner, item  what messages call a set and an item of it: "image" and "region"
    """
    if items.ndim != 3 or 0 in items.shape:
        raise ValueError(f"{item}s must be ({owner}, {item}, dim), at least one of each; got {tuple(items.shape)}.")
    if mask is None:
        return
    if mask.shape != items.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(
            f"{item}_mask must be {tuple(items.shape[:2])} of torch.bool, True where a {item} is real; "
            f"got {tuple(mask.shape)} of {mask.dtype}."
        )
    if may_look(mask) and not bool(mask.any(dim=1).all()):
        empty = int((~mask.any(dim=1)).nonzero()[0])
        raise ValueError(f"{owner} {empty} has no {item}, so there is nothing to score; leave it out or give it one.")


def may_look(mask: Tensor) -> bool:
    """Whether values of `mask` may be read: not in a training step on a GPU, where the host would have to wait."""
    return mask.device.type == "cpu" or not torch.is_grad_enabled()


def without_padding(
    items: Float[Tensor, "set item dim"], mask: Bool[Tensor, "set item"] | None
) -> Float[Tensor, "set item dim"]:
    """`items` with zeros where `mask` says that there is none, whatever stood there, NaN included."""
    return items if mask is None else items.masked_fill(~mask[:, :, None], 0)


def chunks(sets: Sets, size: int) -> Iterator[tuple[Int[Tensor, " row"], Sets]]:
    """The rows, and the sets there, of at most `size` sets at a time, with zeros for padding.

    Of large sets fewer come at a time: no more than `CHUNK` bytes. Where the mask may be looked at, small sets come
    first, the real items of a set come first in it, and a chunk is as long as its largest set has real items.

    >>> mask = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    >>> [(rows.tolist(), items.shape[1]) for rows, (items, _) in chunks((torch.ones(3, 3, 2), mask), size=2)]
    [([1, 2], 2), ([0], 3)]
    """
    items, mask = sets
    if items.device.type == "cpu":
        size = max(1, min(size, CHUNK // max(1, items[0].nbytes)))
    size = ceil(len(items) / ceil(len(items) / size))
    order = torch.arange(len(items), device=items.device)
    if mask is None or (may_look(mask) and bool(mask.all())):
        for rows, part in zip(order.split(size), items.split(size), strict=True):
            yield rows, (part, None if mask is None else mask[rows])
        return
    counts, place = torch.full((len(items),), items.shape[1]), torch.arange(items.shape[1], device=items.device)
    place = place.expand(mask.shape)
    if may_look(mask):
        counts, order = mask.sum(dim=1).sort(stable=True)
        place = mask.sort(dim=1, descending=True, stable=True).indices
    # One gather of everything has one backward pass; without gradients, one a chunk spares the copy.
    gradients = torch.is_grad_enabled()
    parts = without_padding(items, mask)[order[:, None], place[order]].split(size) if gradients else repeat(items)
    for rows, part, count in zip(order.split(size), parts, counts.cpu().split(size), strict=False):
        longest = int(count[-1])
        where = rows[:, None], place[rows, :longest]
        real = mask[where]
        if gradients:
            yield rows, (part[:, :longest], real)
        else:
            yield rows, (part[where].masked_fill_(~real[:, :, None], 0), real)
