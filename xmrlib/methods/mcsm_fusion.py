"""Two similarities as one: MCSM's adaptive fusion, and simpler ones to compare it with.

With V the similarities in the visual space, T those in the textual one, and r their place between the least (0) and the
largest (1) that a query has over its gallery,

    r(W)_pq = (W_pq - min_q W_pq) / (max_q W_pq - min_q W_pq),  0/0 = 0        Sim = r(T) V + r(V) T    "adaptive"

so that a pair that stands high in one space counts more in the other. r does not change when W is scaled or moved; Sim
does, for V and T stand in it as they are.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.methods.base import Measure
from xmrlib.methods.sides import Views

Fusion = Literal["adaptive", "sum", "max", "rank", "product"]
Bounds = tuple[float, float]  # the least and the largest similarity of a query
Embedded = tuple[Float[Tensor, "image _"], Float[Tensor, "text _"]]  # both sides in one space
WEIGHED = ("adaptive", "sum", "rank")  # what a weight has a meaning in
STEPS = 20  # weights that are tried, less one
BLOCK = {"cpu": 1 << 23, "cuda": 1 << 26}  # scores of each space that are held at a time


def fuse(
    visual: Float[Tensor, "image text"],
    textual: Float[Tensor, "image text"],
    how: Fusion = "adaptive",
    weight: float = 0.5,
    axis: int = 1,
    bounds: tuple[Bounds, Bounds] | None = None,
) -> Float[Tensor, "image text"]:
    """One similarity out of two.

    how     "adaptive"  2 (w r(V) T + (1 - w) r(T) V), which at w = 1/2 is the formula above
            "sum"       2 (w V + (1 - w) T)
            "max"       the larger of V and T
            "rank"      2 (w p(V) + (1 - w) p(T)), p the share of the gallery that an item stands before
            "product"   r(V) r(T), which no scaling of a space changes
    weight  w; 1/2 in "max" and "product"
    axis    along which r and p look: 1 where images ask for texts, 0 where texts ask for images
    bounds  the least and the largest similarity in each space, in place of every query's own

    >>> fuse(torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.2, 0.4, 0.2]]))
    tensor([[0.0000, 0.7000, 0.2000]])
    """
    if how not in get_args(Fusion):
        raise ValueError(f"how={how!r} is none of {', '.join(map(repr, get_args(Fusion)))}.")
    if not 0 <= weight <= 1 or (weight != 0.5 and how not in WEIGHED):
        raise ValueError(
            f"weight={weight} has no place in the fusion {how!r}: between 0 and 1 in {', '.join(WEIGHED)}, else .5."
        )
    if axis not in (0, 1):
        raise ValueError(f"axis={axis} is neither 1 (images ask for texts) nor 0 (texts ask for images).")
    if bounds is not None and how == "rank":
        raise ValueError("the fusion 'rank' looks at the order in a gallery; it has no use for bounds.")
    if how == "sum":
        return 2 * (weight * visual + (1 - weight) * textual)
    if how == "max":
        return torch.maximum(visual, textual)
    if how == "rank":
        return 2 * (weight * places(visual, axis) + (1 - weight) * places(textual, axis))
    of_visual, of_textual = bounds or (None, None)
    v, t = rescaled(visual, axis, of_visual), rescaled(textual, axis, of_textual)
    if how == "product":
        return v.mul_(t)
    return v.mul_(textual).mul_(2 * weight).add_(t.mul_(visual), alpha=2 * (1 - weight))


def fuse_embeddings(
    visual: Embedded,
    textual: Embedded,
    how: Fusion = "adaptive",
    weight: float = 0.5,
    axis: int = 1,
    bounds: tuple[Bounds, Bounds] | None = None,
) -> Float[Tensor, "image text"]:
    """`fuse` of the similarities in two spaces, of which some queries at a time are held, each with its whole gallery.

    visual, textual  the same images, (image, dim), and texts, (text, dim), in each space, of unit length for cosines

    Beside the result this takes a few times `BLOCK` scores. For both directions, `mcsm_both.fuse_both_ways` makes every
    product once. Raises `ValueError` for spaces of other items, and what `fuse` raises.

    >>> fuse_embeddings((torch.eye(1), torch.tensor([[0.0], [0.5], [1.0]])), (torch.eye(1), torch.ones(3, 1)))
    tensor([[0.0000, 0.5000, 1.0000]])
    """
    (images, texts), (same_images, same_texts) = visual, textual
    counts = len(images), len(texts)
    if counts != (len(same_images), len(same_texts)):
        raise ValueError(
            f"the visual space holds {counts[0]} images and {counts[1]} texts, the textual one {len(same_images)} and "
            f"{len(same_texts)}; both must hold the same."
        )
    fused, every = images.new_empty(counts), slice(None)
    queries, gallery = counts if axis == 1 else counts[::-1]
    step = max(1, BLOCK.get(images.device.type, BLOCK["cpu"]) // gallery)
    for start in range(0, queries, step):
        asked = slice(start, start + step)
        rows, columns = (asked, every) if axis == 1 else (every, asked)
        v, t = images[rows] @ texts[columns].T, same_images[rows] @ same_texts[columns].T
        fused[rows, columns] = fuse(v, t, how, weight, axis, bounds)
    return fused


def rescaled(
    scores: Float[Tensor, "image text"], axis: int = 1, bounds: Bounds | None = None
) -> Float[Tensor, "image text"]:
    """r: 0 at the least and 1 at the largest score along `axis`, or at `bounds`; 0 where these are the same.

    >>> rescaled(torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))
    tensor([[0.0000, 0.2500, 1.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    if bounds is None:
        least, largest = scores.amin(dim=axis, keepdim=True), scores.amax(dim=axis, keepdim=True)
    else:
        least, largest = (torch.full((1, 1), value, dtype=scores.dtype, device=scores.device) for value in bounds)
    span = largest - least
    # Below a bound that is not its own, a score counts as if it were there: no product of two negative numbers is high.
    return (scores - least).clamp_min_(0).div_(span.where(span > 0, torch.inf))


def places(scores: Float[Tensor, "image text"], axis: int = 1) -> Float[Tensor, "image text"]:
    """p: 0 for the last and 1 for the first along `axis`; those that tie share their places.

    >>> places(torch.tensor([[0.1, 0.9, 0.1]]))
    tensor([[0.2500, 1.0000, 0.2500]])
    """
    rows = (scores if axis == 1 else scores.T).contiguous()
    order = rows.sort(dim=1).values
    below, upto = torch.searchsorted(order, rows), torch.searchsorted(order, rows, right=True)
    found = (below + upto - 1).to(scores.dtype) / (2 * max(rows.shape[1] - 1, 1))
    return found if axis == 1 else found.T


def typical_bounds(scores: Float[Tensor, "image text"]) -> Bounds:
    """The least and the largest similarity that a query has, on the mean over queries of both directions."""
    least, largest = (
        sum(found.double().mean() for found in (extreme(dim=0), extreme(dim=1))) / 2
        for extreme in (scores.amin, scores.amax)
    )
    return float(least), float(largest)


def both_ways(
    for_images: Float[Tensor, "image text"],
    for_texts: Float[Tensor, "image text"],
    views: Views,
    measure: Measure = "auto",
) -> float:
    """How well two matrices retrieve, one for images that ask and one for texts; `measure` as in `retrieval_score`."""
    from xmrlib import evaluate

    if measure != "recall" and views.labels is not None:
        labels, text_labels = views.labels.numpy(), views.text_labels.numpy()
        found = [evaluate.map_all(scores, labels, text_labels=text_labels) for scores in (for_images, for_texts)]
        return (found[0].i2t + found[1].t2i) / 2
    found = [evaluate.recall(scores, views.image_of_text.numpy()) for scores in (for_images, for_texts)]
    return sum(found[0].i2t[k] + found[1].t2i[k] for k in (1, 5, 10)) / 6


def best_weight(
    visual: Float[Tensor, "image text"],
    textual: Float[Tensor, "image text"],
    views: Views,
    how: Fusion,
    axes: tuple[int, int] = (1, 0),
    measure: Measure = "auto",
) -> float:
    """The weight that retrieves best on `views`, out of 0, .05, ..., 1; of several the one nearest to 1/2.

    axes  along which images and texts, when they ask, are looked at
    """
    tried = sorted((step / STEPS for step in range(STEPS + 1)), key=lambda weight: abs(weight - 0.5))
    scores = [both_ways(*(fuse(visual, textual, how, w, axis) for axis in axes), views, measure) for w in tried]
    return tried[scores.index(max(scores))]
