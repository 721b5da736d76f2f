"""Cutting a table into train, validation and test: groups whole, classes in proportion."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from jaxtyping import Int, Shaped


def deal(
    groups: Sequence[Hashable] | Int[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"] | None,
    sizes: Mapping[str, int],
    seed: int,
) -> Shaped[np.ndarray, " image"]:
    """The split of each image: random parts of the given sizes, the rest "train".

    groups  images with equal keys end in the same part
    labels  where there are classes, each part holds them in the proportions of the whole, as far as groups allow
    sizes   how many images each part shall have; a part may fall short of it by less than the smallest group left over

    >>> deal([0, 0, 1, 1, 2, 2], None, {"test": 2}, seed=0).tolist()
    ['train', 'train', 'train', 'train', 'test', 'test']
    """
    members: dict[Hashable, list[int]] = {}
    for row, key in enumerate(groups):
        members.setdefault(key, []).append(row)
    blocks = list(members.values())
    labels = np.zeros(len(groups), dtype=np.int64) if labels is None else labels
    # The class of a group is the one that most of its images have.
    kinds = [int(np.bincount(labels[block]).argmax()) for block in blocks]
    counts = np.bincount([kind for kind, block in zip(kinds, blocks, strict=True) for _ in block])
    room = {part: shares(size, counts) for part, size in sizes.items()}
    split = np.full(len(groups), "train", dtype="<U5")
    order = np.random.default_rng(seed).permutation(len(blocks))
    # What the shares of the classes leave over is dealt in a second round, whatever its class.
    for by_class in (True, False):
        for place in order:
            block, kind = blocks[place], kinds[place]
            if split[block[0]] != "train":
                continue
            free = {part: left[kind] if by_class else left.sum() for part, left in room.items()}
            part = next((part for part, left in free.items() if len(block) <= left), None)
            if part is not None:
                split[block] = part
                room[part][kind] -= len(block)
    return split


def shares(size: int, counts: Int[np.ndarray, " class_"]) -> Int[np.ndarray, " class_"]:
    """`size` in whole numbers proportional to `counts`: what rounding down leaves goes to the largest remainders.

    >>> shares(10, np.array([70, 26, 4])).tolist()
    [7, 3, 0]
    """
    exact = size * counts / counts.sum()
    found = np.floor(exact).astype(np.int64)
    found[np.argsort(found - exact, kind="stable")[: size - found.sum()]] += 1
    return found
