"""What else papers measure: all-modal MAP, the authors' ways with embeddings, and the choice between twins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from xmrlib.evaluate.checks import as_image_of_text, as_labels, as_matrix, refuse_nan, text_labels_for
from xmrlib.evaluate.precision import as_embeddings, one_direction
from xmrlib.evaluate.ranks import check_ties

Standardise = Literal["none", "train", "test", "test-queries"]


@dataclass(frozen=True)
class EmbeddingMap:
    """MAP of a common space, bi-modal and all-modal.

    i2t, t2i      image queries over texts, text queries over images
    all_i, all_t  image queries and text queries over the union of images and texts
    standardise   how the embeddings were standardised before the cosine
    keep_self     whether a query stayed in its own all-modal list
    ap_*          average precision of each query
    """

    i2t: float
    t2i: float
    all_i: float
    all_t: float
    standardise: str
    keep_self: bool
    ties: str
    ap_i2t: np.ndarray = field(repr=False)
    ap_t2i: np.ndarray = field(repr=False)
    ap_all_i: np.ndarray = field(repr=False)
    ap_all_t: np.ndarray = field(repr=False)

    @property
    def avg(self) -> float:
        """The plain mean of both bi-modal directions."""
        return (self.i2t + self.t2i) / 2

    def __str__(self) -> str:
        return (
            f"MAP  i2t {self.i2t:.4f}  t2i {self.t2i:.4f}  avg {self.avg:.4f}  all_i {self.all_i:.4f}  "
            f"all_t {self.all_t:.4f}  (standardise: {self.standardise}, the query "
            f"{'stays in' if self.keep_self else 'leaves'} its all-modal list, ties: {self.ties})"
        )


def embedding_map(
    images: Float[Tensor, "image dim"] | Float[np.ndarray, "image dim"],
    texts: Float[Tensor, "text dim"] | Float[np.ndarray, "text dim"],
    labels: Int[Tensor, " image"] | Int[np.ndarray, " image"],
    text_labels: Int[Tensor, " text"] | Int[np.ndarray, " text"] | None = None,
    standardise: Standardise = "none",
    train: tuple[Float[Tensor, "train_image dim"], Float[Tensor, "train_text dim"]] | None = None,
    keep_self: bool = False,
    ties: Literal["expected", "index"] = "expected",
) -> EmbeddingMap:
    """Bi-modal and all-modal MAP by the cosine of embeddings, standardised as one of the released evaluations does it.

    standardise  "none": as they are (MCSM's way, on vectors of unit length).
                 "train": each side with mean and deviation of its `train` embeddings: the honest way.
                 "test": each side with its own test statistics, population deviation (CCL, `calMap.py`).
                 "test-queries": in the bi-modal lists only the queries are standardised, by test statistics and with
                 the sample deviation, the gallery stays raw; in the all-modal lists both sides are (CM-GANs,
                 `evalMAP.m`, `evalAllMAP.m`).
                 The last two look at the whole test set at once: protocol "authors".
    train        (images, texts) embeddings of the training split, for "train"
    keep_self    whether the query itself stays in its all-modal list, always in first place (CM-GANs' script does so)

    A dimension that does not vary is divided by 1. Raises `ValueError` as `map_embeddings` does, and where the training
    embeddings are missing.
    """
    check_ties(ties)
    if ties == "bounds":
        raise ValueError('embedding_map knows ties="expected" and "index"; map_embeddings gives the bounds.')
    if (standardise == "train") != (train is not None):
        raise ValueError(
            'standardise="train" needs train=(images, texts) of the training split, and nothing else does.'
        )
    images, texts = as_embeddings(images, texts, "inner")
    labels = as_labels(labels, len(images), "labels", "image")
    text_labels = text_labels_for(labels, text_labels, len(texts))
    raw = normalize(images), normalize(texts)
    if standardise == "none":
        scaled = raw
    elif standardise == "train":
        scaled = tuple(
            normalize(_z_score(side, as_matrix(known, "train", ("item", "dim")).to(side), correction=0))
            for side, known in zip((images, texts), train, strict=True)
        )
    elif standardise in ("test", "test-queries"):
        correction = 0 if standardise == "test" else 1
        scaled = tuple(normalize(_z_score(side, side, correction)) for side in (images, texts))
    else:
        raise ValueError(f"standardise={standardise!r} is unknown; choose none, train, test or test-queries.")
    gallery = raw if standardise == "test-queries" else scaled

    def bimodal(query: int) -> np.ndarray:
        classes = (labels, text_labels)
        nouns = ("image", "text")
        return one_direction(
            lambda a, b: scaled[query][a:b] @ gallery[1 - query].T,
            classes[query],
            classes[1 - query],
            images.device,
            ties,
            "error",
            "scores" if query == 0 else "scores.T",
            (nouns[query], nouns[1 - query]),
        )[:, 0]

    union, union_labels = torch.cat(scaled), np.concatenate([labels, text_labels])
    if not keep_self:
        alone = np.bincount(union_labels)[union_labels] == 1
        if alone.any():
            item = int(np.argmax(alone))
            raise ValueError(
                f"class {union_labels[item]} has a single item: as a query it has nothing to find. Check the labels."
            )

    def rows(start: int, stop: int) -> Tensor:
        scores = union[start:stop] @ union.T
        if keep_self:
            # The distance of a query to itself is 0; rounding must not put anything above it.
            here = torch.arange(stop - start, device=scores.device)
            scores[here, here + start] = torch.inf
        return scores

    drop = None if keep_self else np.arange(len(union))
    everything = one_direction(
        rows, union_labels, union_labels, images.device, ties, "error", "all-modal scores", ("query", "item"), drop
    )[:, 0]
    lists = (bimodal(0), bimodal(1), everything[: len(images)], everything[len(images) :])
    return EmbeddingMap(*(float(ap.mean()) for ap in lists), standardise, keep_self, ties, *lists)


def _z_score(values: Tensor, reference: Tensor, correction: int) -> Tensor:
    """`values` standardised by the mean and deviation of `reference`."""
    if reference.shape[1] != values.shape[1] or len(reference) <= correction:
        raise ValueError(f"cannot standardise {tuple(values.shape)} with the statistics of {tuple(reference.shape)}.")
    deviation = reference.std(dim=0, correction=correction)
    return (values - reference.mean(dim=0)) / torch.where(deviation > 0, deviation, 1)


@dataclass(frozen=True)
class TwinAccuracy:
    """How often a query prefers its own partner to its twin's, in [0, 1]; chance is .5.

    i2t, t2i            over image queries and text queries that have a twin
    per_image           (image,) share of right choices of each image; NaN without a twin
    per_text            (text,) the same for each text
    """

    i2t: float
    t2i: float
    per_image: np.ndarray = field(repr=False)
    per_text: np.ndarray = field(repr=False)


def twin_accuracy(
    scores: Float[Tensor, "image text"] | Float[np.ndarray, "image text"],
    image_of_text: Int[Tensor, " text"] | Int[np.ndarray, " text"],
    twin: Int[np.ndarray, " image"] | Int[Tensor, " image"],
) -> TwinAccuracy:
    """The choice between twins: two images that differ in their arrangement only, and their two texts.

    An image query is right where its own text scores higher than its twin's text; a text query where its own image
    scores higher than the twin image. A tie counts one half. With several texts an image, all choices are averaged.

    twin  (image,) row of each image's twin, -1 for an image without one

    Raises `ValueError` where nobody has a twin, a row is out of range, or the relation is not mutual.

    >>> result = twin_accuracy(np.array([[.9, .2], [.8, .3]]), np.array([0, 1]), np.array([1, 0]))
    >>> result.i2t, result.t2i
    (0.5, 1.0)
    """
    scores = as_matrix(scores, "scores", ("image", "text"))
    refuse_nan(scores, "scores")
    own = as_image_of_text(image_of_text, *scores.shape)
    twin = np.asarray(twin.cpu() if isinstance(twin, Tensor) else twin)
    images = len(scores)
    if twin.shape != (images,) or (twin >= images).any():
        raise ValueError(f"twin must name a row below {images} (or -1) for each image; got shape {twin.shape}.")
    having = np.flatnonzero(twin >= 0)
    if not len(having):
        raise ValueError("no image has a twin: twin accuracy is not defined. Is this a split with twins?")
    wrong = having[(twin[twin[having]] != having) | (twin[having] == having)]
    if len(wrong):
        raise ValueError(
            f"image {wrong[0]} has twin {twin[wrong[0]]}, whose twin is {twin[twin[wrong[0]]]}, not {wrong[0]}."
        )
    values = scores.cpu().numpy()
    order = np.argsort(own, kind="stable")
    texts_of = np.split(order, np.searchsorted(own[order], np.arange(1, images)))
    per_image, per_text = np.full(images, np.nan), np.full(len(own), np.nan)

    def preferred(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        return (right > wrong) + 0.5 * (right == wrong)

    for image in having:
        mine, other = texts_of[image], texts_of[twin[image]]
        per_image[image] = preferred(values[image, mine][:, None], values[image, other]).mean()
        per_text[mine] = preferred(values[image, mine], values[twin[image], mine])
    return TwinAccuracy(float(np.nanmean(per_image)), float(np.nanmean(per_text)), per_image, per_text)
