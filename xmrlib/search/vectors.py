"""What may be indexed and asked: vectors that are finite, of one length, and made by the model that made the index."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Similarity = Literal["cosine", "inner"]
Vectors = Tensor | np.ndarray

# The product of two such lengths still fits into a float32.
LONGEST = 1e18


def checked(vectors: Vectors, name: str, dim: int | None = None, model: str = "", index_model: str = "") -> Tensor:
    """`vectors` as (item, dim) float32; not copied where they are that already.

    Raises `ValueError`, which calls them `name`, for another shape, a dimension other than `dim`, a fingerprint other
    than the index's, and for values that are not finite or too great to be multiplied.
    """
    found = _as_tensor(vectors).detach()
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(
            f"{name} must be (item, dim) with at least one item and one dimension; got {tuple(found.shape)}. "
            "One vector alone is embeddings[None]."
        )
    if dim is not None and found.shape[1] != dim:
        raise ValueError(
            f"{name} have {found.shape[1]} dimensions, the index {dim}: they come from different models. "
            "Embed the queries with the model that made the index."
        )
    if model and index_model and model != index_model:
        raise ValueError(
            f"{name} were made by {model!r}, the index by {index_model!r}: their spaces have nothing in common. "
            "Load the model that made the index, or build the index again."
        )
    found = found.float().contiguous()
    lengths = torch.linalg.vector_norm(found, dim=1)
    # Also true of NaN, which is not less than anything.
    wrong = ~(lengths < LONGEST)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        if bool(torch.isfinite(found[row]).all()):
            length = float(found[row].cpu().double().norm())
            raise ValueError(
                f"{name}[{row}] has the length {length:.1e}; products of vectors beyond {LONGEST:.0e} do not fit into "
                "a float32. Divide all vectors by a common number."
            )
        raise ValueError(
            f"{name}[{row}] holds a NaN or an infinity; it cannot be searched. Leave it out, or repair it."
        )
    return found


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1; those shorter than 1e-12 stay as they are. Not copied where all have that length already."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    if bool(((lengths - 1).abs() < 1e-6).all()):
        return vectors
    return vectors / lengths.clamp_min(1e-12)


def check_similarity(similarity: Any) -> None:
    """Raise `ValueError` for a similarity that is none."""
    if similarity not in ("cosine", "inner"):
        raise ValueError(f'similarity={similarity!r} is unknown; choose "cosine" or "inner".')


def check_k(k: int) -> None:
    """Raise `ValueError` where no result is asked for."""
    if k < 1:
        raise ValueError(f"k={k}: ask for at least 1 result.")


def by_score(scores: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each line of `scores` from high to low with its `rows`, the lower row first among equals."""
    rows, order = rows.sort(dim=1)
    scores, order = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores, rows.gather(1, order)


def _as_tensor(vectors: Vectors) -> Tensor:
    # torch warns of arrays that must not be written to, such as memory-mapped files; here they are only read.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.as_tensor(vectors)
