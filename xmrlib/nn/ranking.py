"""Losses that ask one thing: an item's own partner before all others of the batch."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Negatives = Literal["hardest", "sum"]


def hinge_loss(
    scores: Float[Tensor, "pair pair"],
    same: Bool[Tensor, "pair pair"],
    margin: float = 0.2,
    negatives: Negatives = "hardest",
) -> Float[Tensor, ""]:
    """How far wrong texts and wrong images come within `margin` of the right ones, summed over the batch.

    scores     of the image of each pair (rows) with the text of each pair (columns); the diagonal holds the pairs
    same       True where row and column are of one image, the diagonal included: no negatives of one another
    negatives  "hardest": the worst text for each image and the worst image for each text; "sum": all of them

    A pair without any negative in the batch counts 0. Raises ValueError for an unknown `negatives`.

    Source: Faghri et al., VSE++, BMVC 2018, Section 2: "sum" is its loss SH, equation 5; "hardest" MH, equation 6.

    >>> scores = torch.tensor([[0.5, 0.4], [0.1, 0.5]])
    >>> hinge_loss(scores, torch.eye(2, dtype=torch.bool))  # only the first image's second text comes near, twice
    tensor(0.2000)
    """
    if negatives not in get_args(Negatives):
        raise ValueError(f"negatives={negatives!r} is unknown; choose from {', '.join(get_args(Negatives))}.")
    own = scores.diagonal()
    wrong_text = (margin + scores - own[:, None]).clamp(min=0).masked_fill(same, 0)
    wrong_image = (margin + scores - own[None, :]).clamp(min=0).masked_fill(same, 0)
    if negatives == "hardest":
        return wrong_text.amax(dim=1).sum() + wrong_image.amax(dim=0).sum()
    return wrong_text.sum() + wrong_image.sum()


def same_image(image: torch.Tensor) -> Bool[Tensor, "pair pair"]:
    """Where two pairs are of one image, given the image's number of each pair.

    >>> same_image(torch.tensor([4, 4, 7])).long()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [0, 0, 1]])
    """
    return image[:, None] == image[None, :]
