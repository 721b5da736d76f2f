"""How large the tiles of cross attention are: in a CPU's cache, and enough to fill a GPU."""

from __future__ import annotations

from math import ceil, isqrt

import torch
from torch import Tensor

# Bytes that a tile works in: within the cache of a CPU, enough to fill a GPU.
MEMORY = {"cpu": 1 << 23, "cuda": 1 << 30}
# Rows from which on a product of matrices is at its full speed, and tiles' memories that it may fill to have as many.
ROWS, BLOCK = 1024, 4
ALIVE = 4  # numbers at a time for each region with each word: affinity, weight, mixture, product


def precise(items: Tensor) -> torch.dtype:
    """The type that is computed in: float32 at least."""
    return torch.promote_types(items.dtype, torch.float32)


def gram_pays(contexts: Tensor, queries: Tensor) -> bool:
    """Whether Gram matrices and mixtures of weights take fewer multiplications than contexts do."""
    answers, dim, asks = contexts.shape[1], contexts.shape[2], queries.shape[0] * queries.shape[1]
    return answers * dim + asks * answers < asks * dim


def tile_size(contexts: Tensor, queries: Tensor, memory: int, by_gram: bool) -> tuple[int, int]:
    """How many contexts and how many queries a tile has; at least one of each."""
    (_, answers, dim), (_, asks, _), numbers = contexts.shape, queries.shape, memory // precise(contexts).itemsize
    pairs = max(1, numbers // (asks * (ALIVE * answers if by_gram else ALIVE * answers + dim)))
    # Fewer than 16 queries make small products and short rows; but a chunk of queries is prepared for every
    # chunk of contexts, so contexts are more.
    height = min(len(queries), max(isqrt(pairs // 8), min(16, pairs)))
    most = numbers // answers**2 if by_gram else pairs
    return max(1, min(len(contexts), pairs // height, most)), height


def block_size(contexts: Tensor, queries: Tensor, memory: int, width: int, height: int) -> int:
    """How many contexts share a product with a chunk of queries: those of a tile, or more if that has few rows."""
    (_, answers, _), asks = contexts.shape, queries.shape[1]
    most = BLOCK * memory // (precise(contexts).itemsize * answers * asks * height)
    return max(width, min(len(contexts), ceil(ROWS / answers), most))
