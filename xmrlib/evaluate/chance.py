"""What a model that knows nothing scores: the floor under every table, exact, not simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy.special import gammaln
from torch import Tensor

from xmrlib.evaluate.checks import as_image_of_text, as_labels, text_labels_for
from xmrlib.evaluate.ranks import harmonic


@dataclass(frozen=True)
class Chance:
    """The value expected from a random order, both directions."""

    i2t: float
    t2i: float

    @property
    def avg(self) -> float:
        """The plain mean of both directions."""
        return (self.i2t + self.t2i) / 2


def random_average_precision(relevant: int | np.ndarray, gallery: int) -> np.ndarray:
    """Expected average precision of a random order of `gallery` items, `relevant` of them right.

    (H + (relevant - 1) / (gallery - 1) · (gallery - H)) / gallery with the harmonic number H of the gallery: the closed
    form for one group of tied items (McSherry and Najork, ECIR 2008). It is larger than relevant / gallery, for a right
    item at the very top counts much.

    >>> random_average_precision(1, 2).item()   # 1 or 1/2
    0.75
    """
    h = harmonic(gallery)[-1]
    return np.asarray((h + (np.asarray(relevant) - 1) / max(gallery - 1, 1) * (gallery - h)) / gallery)


def chance(
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
) -> Chance:
    """MAP of a random order, given only how many items each class has.

    labels, text_labels  (image,) and (text,) classes; by default text i belongs to image i

    Queries whose class the other side has not are left out. Raises `ValueError` for missing or negative labels.

    >>> round(chance(np.repeat(np.arange(20), 5)).i2t, 3)   # Pascal Sentence's test split, 5 pairs a class
    0.09
    """
    labels = as_labels(labels, len(labels) if labels is not None else 0, "labels", "image")
    text_labels = text_labels_for(labels, text_labels, len(labels) if text_labels is None else len(text_labels))
    classes = int(max(labels.max(), text_labels.max())) + 1
    images, texts = np.bincount(labels, minlength=classes), np.bincount(text_labels, minlength=classes)

    def mean(queries: np.ndarray, items: np.ndarray) -> float:
        both = (queries > 0) & (items > 0)
        if not both.any():
            raise ValueError("images and texts have no class in common: chance MAP is not defined. Check the labels.")
        return float(np.average(random_average_precision(items[both], int(items.sum())), weights=queries[both]))

    return Chance(mean(images, texts), mean(texts, images))


def chance_recall(image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"], images: int, k: int) -> Chance:
    """Recall@`k` of a random order of the gallery.

    >>> chance_recall(np.arange(1000), images=1000, k=10)
    Chance(i2t=0.01, t2i=0.01)
    """
    rows = as_image_of_text(image_of_text, images, len(image_of_text))
    texts = len(rows)
    wrong = texts - np.bincount(rows, minlength=images)
    # All of the first k are wrong: C(wrong, k) / C(texts, k).
    k_texts = min(k, texts)
    possible = wrong >= k_texts
    wrong = wrong[possible]
    log = gammaln(wrong + 1) - gammaln(wrong - k_texts + 1) - gammaln(texts + 1) + gammaln(texts - k_texts + 1)
    return Chance(round(float(1 - np.exp(log).sum() / images), 12), min(k, images) / images)


def chance_median_rank(image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"], images: int) -> Chance:
    """Median over the queries of the expected place of the first right answer in a random order."""
    rows = as_image_of_text(image_of_text, images, len(image_of_text))
    return Chance(float(np.median((len(rows) + 1) / (np.bincount(rows, minlength=images) + 1))), (images + 1) / 2)
