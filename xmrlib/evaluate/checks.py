"""The door: what comes in is looked at once, and an error names the value, the limit and the remedy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def as_matrix(values: Tensor | np.ndarray, name: str, axes: tuple[str, str]) -> Tensor:
    """`values` as a floating-point tensor with two axes, neither empty; half precision becomes single, exactly."""
    values = torch.as_tensor(values).detach()
    if values.ndim != 2:
        raise ValueError(f"{name} must have two axes ({axes[0]}, {axes[1]}); got shape {tuple(values.shape)}.")
    for axis, size in zip(axes, values.shape, strict=True):
        if size == 0:
            raise ValueError(f"{name} is empty: there is no {axis}. Nothing can be ranked.")
    if values.dtype in (torch.float16, torch.bfloat16):
        return values.float()
    return values if values.is_floating_point() else values.double()


def as_labels(labels: Tensor | np.ndarray | None, size: int, name: str, of: str) -> np.ndarray:
    """`labels` as an integer array with one non-negative class for each of the `size` items called `of`."""
    if labels is None:
        raise ValueError(
            f"{name} is None: without class labels MAP is not defined, only Recall@K is "
            "(xmrlib.evaluate.recall needs image_of_text alone)."
        )
    labels = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if labels.shape != (size,):
        raise ValueError(f"{name} must have one class per {of}, shape ({size},); got {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must be integers (class indices); got dtype {labels.dtype}.")
    if (labels < 0).any():
        row = int(np.argmax(labels < 0))
        raise ValueError(
            f"{name}[{row}] = {labels[row]}: a class index is at least 0. Drop items without a class first."
        )
    return labels.astype(np.int64)


def text_labels_for(labels: np.ndarray, text_labels: Tensor | np.ndarray | None, texts: int) -> np.ndarray:
    """The classes of the texts; by default text `i` belongs to image `i`, if there are as many texts as images."""
    if text_labels is None:
        if len(labels) != texts:
            raise ValueError(
                f"{len(labels)} images but {texts} texts: pass text_labels as well (Pairs.text_labels has them)."
            )
        return labels
    return as_labels(text_labels, texts, "text_labels", "text")


def as_image_of_text(image_of_text: Tensor | np.ndarray, images: int, texts: int) -> np.ndarray:
    """`image_of_text` as an integer array within range, every image having at least one text."""
    rows = image_of_text.cpu().numpy() if isinstance(image_of_text, Tensor) else np.asarray(image_of_text)
    if rows.shape != (texts,):
        raise ValueError(f"image_of_text must have one row per text, shape ({texts},); got {rows.shape}.")
    if not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"image_of_text must be integers (rows of images); got dtype {rows.dtype}.")
    outside = (rows < 0) | (rows >= images)
    if outside.any():
        text = int(np.argmax(outside))
        raise ValueError(f"image_of_text[{text}] = {rows[text]} is outside 0..{images - 1}, the rows of the images.")
    without = np.bincount(rows, minlength=images) == 0
    if without.any():
        image = int(np.argmax(without))
        raise ValueError(
            f"image {image} has no text ({int(without.sum())} such images): its recall is not defined. "
            "Leave images without a text out of the gallery."
        )
    return rows.astype(np.int64)


def refuse_nan(scores: Tensor | np.ndarray, name: str, rows_from: int = 0, columns_from: int = 0) -> None:
    """Raise `ValueError` with the position of the first NaN of `scores`; a NaN has no place in a ranking."""
    scores = torch.as_tensor(scores)
    wrong = torch.isnan(scores).nonzero()
    if len(wrong):
        row, column = int(wrong[0, 0]) + rows_from, int(wrong[0, 1]) + columns_from
        raise ValueError(
            f"{name}[{row}, {column}] is NaN ({len(wrong)} of the {scores.numel():,} values looked at): a NaN cannot "
            "be ranked. Look for a division by a zero norm, or a diverged model."
        )


def refuse_not_finite(embeddings: Tensor, name: str) -> None:
    """Raise `ValueError` with the position of the first NaN or infinity of `embeddings`."""
    # A NaN or an infinity makes the sum one too; only then is it worth a closer look, which takes memory.
    if bool(torch.isfinite(embeddings.sum())):
        return
    refuse_nan(embeddings, name)
    if not bool(torch.isfinite(embeddings).all()):
        row, column = (~torch.isfinite(embeddings)).nonzero()[0].tolist()
        raise ValueError(f"{name}[{row}, {column}] is infinite; embeddings must be finite. Has the model diverged?")


def same_width(images: Tensor, texts: Tensor) -> None:
    """Raise `ValueError` unless both sides lie in one space."""
    if images.shape[1] != texts.shape[1]:
        raise ValueError(
            f"image embeddings have {images.shape[1]} dimensions, text embeddings {texts.shape[1]}: "
            "they must lie in one space. Are both from the same fitted model?"
        )
