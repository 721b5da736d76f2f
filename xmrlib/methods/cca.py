"""Canonical correlation analysis: the straight lines on which images and texts agree best.

Hotelling, "Relations between two sets of variates", Biometrika 1936; for retrieval: Rasiwasia et al., "A new approach
to cross-modal multimedia retrieval", ACM MM 2010, section 4. With Sigma the covariances of the standardised features,

    maximise  w_x' Sigma_xy w_y   where   w_x' (Sigma_xx + rho_x I) w_x  =  w_y' (Sigma_yy + rho_y I) w_y  =  1.

Whitening turns this into one singular value decomposition: if W' (Sigma + rho I) W = 1 on each side, the projections
are W_x A and W_y B with W_x' Sigma_xy W_y = A diag(c) B'. The singular values c are the (regularised) canonical
correlations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError
from xmrlib.methods.base import (
    EmbeddingMethod,
    Measure,
    MethodConfig,
    require_validation,
    standardiser,
    validation_score,
)
from xmrlib.methods.sides import Views

RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0)
DIMS = (5, 10, 20, 40, 80, 160, 320)
WEIGHTS = (0.0, 0.5, 1.0, 2.0)
Choice = Literal["validation"]  # the best value on the validation split


@dataclass(frozen=True)
class CCAConfig(MethodConfig):
    """What CCA must be told; each of the first three may be "validation": the best of RIDGES, DIMS, WEIGHTS on `val`.

    dim          how many pairs of directions to keep; None keeps all there are
    ridge        rho of each side as a share of the mean variance of its features, trace(Sigma) / d. Standardised
                 features have mean variance 1, so that 0.1 adds 0.1 to the diagonal of Sigma
    weight       directions are multiplied by their canonical correlation to this power. 0: all count alike (the
                 textbook's CCA). 1: a direction on which the sides hardly agree hardly counts
    standardise  divide each feature by its standard deviation on the training split; the mean is always taken off
    choose_by    what "validation" maximises: "map" over classes, "recall" (mean of Recall@1, @5, @10), or "auto": MAP
                 where there are classes
    """

    dim: int | Choice | None = None
    ridge: float | Choice = 0.1
    weight: float | Choice = 1.0
    standardise: bool = True
    choose_by: Measure = "auto"

    def __post_init__(self) -> None:
        for name in ("dim", "ridge", "weight"):
            value = getattr(self, name)
            if isinstance(value, str) and value != "validation":
                raise ValueError(f'{name}={value!r} is neither a number nor "validation".')
        if isinstance(self.dim, int) and self.dim < 1:
            raise ValueError(f"dim={self.dim} keeps no direction; it must be at least 1, or None for all.")
        if not isinstance(self.ridge, str) and not 0 <= self.ridge < math.inf:
            raise ValueError(f"ridge={self.ridge} must be 0 or more, and finite.")
        if not isinstance(self.weight, str) and not 0 <= self.weight < math.inf:
            raise ValueError(f"weight={self.weight} must be 0 or more, and finite.")


def principal_axes(
    features: Float[Tensor, "pair dim"],
) -> tuple[Float[Tensor, "dim rank"], Float[Tensor, " rank"]]:
    """The eigenvectors of the covariance of centred features that carry variance, and these variances, largest first.

    With fewer pairs than dimensions the (n, n) matrix of inner products is decomposed in place of the (d, d)
    covariance: the two share their non-zero eigenvalues, and x' u / sqrt(n lambda) takes an eigenvector over.
    """
    pairs, dim = features.shape
    if pairs >= dim:
        variances, axes = torch.linalg.eigh(features.T @ features / pairs)
    else:
        variances, axes = torch.linalg.eigh(features @ features.T / pairs)
    variances, axes = variances.flip(0), axes.flip(1)
    # Below this share of the largest variance an eigenvalue is rounding, not variance.
    kept = variances > variances[0].clamp_min(0) * max(pairs, dim) * torch.finfo(features.dtype).eps
    variances, axes = variances[kept], axes[:, kept]
    if pairs < dim:
        axes = features.T @ axes / (pairs * variances).sqrt()
    return axes, variances


def canonical_directions(
    images: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair text_dim"],
    ridge: float,
    axes: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> tuple[Float[Tensor, "dim rank"], Float[Tensor, "text_dim rank"], Float[Tensor, " rank"]]:
    """Projections of both sides and their canonical correlations, from centred features, row i beside row i.

    ridge  rho as a share of the mean variance, as in CCAConfig; 0 gives the textbook's CCA
    axes   the `principal_axes` of both sides where they are known already: they do not depend on the ridge

    The sign of a direction is free: the largest entry of each image projection is made positive.

    >>> x = torch.tensor([[-1.0, 0], [0, 1], [1, -1]], dtype=torch.float64)
    >>> y = x @ torch.tensor([[2.0, 1], [0, 3]], dtype=torch.float64)
    >>> canonical_directions(x, y, ridge=0.0)[2].round(decimals=6).tolist()
    [1.0, 1.0]
    """
    (image_axes, image_variances), (text_axes, text_variances) = axes or (principal_axes(images), principal_axes(texts))
    whiten_images = image_axes / (image_variances + ridge * image_variances.sum() / images.shape[1]).sqrt()
    whiten_texts = text_axes / (text_variances + ridge * text_variances.sum() / texts.shape[1]).sqrt()
    agreement = (images @ whiten_images).T @ (texts @ whiten_texts) / len(images)
    left, correlations, right = torch.linalg.svd(agreement, full_matrices=False)
    image_projection, text_projection = whiten_images @ left, whiten_texts @ right.T
    largest = image_projection.abs().argmax(dim=0, keepdim=True)
    sign = torch.where(image_projection.gather(0, largest) < 0, -1.0, 1.0).to(images.dtype)
    # Rounding may lift a perfect correlation a hair above 1.
    return image_projection * sign, text_projection * sign, correlations.clamp(0, 1)


class CCA(EmbeddingMethod):
    """Regularised canonical correlation analysis, cosine of weighted projections. Needs pairs, no classes.

    After `fit`: `correlations` (k,), and `facts` with the dim, ridge and weight in use.
    """

    Config: ClassVar[type[MethodConfig]] = CCAConfig

    @property
    def correlations(self) -> Float[Tensor, " common"]:
        """(k,) canonical correlations on the training split, largest first."""
        self._require_fitted()
        return self.tensors["correlations"]

    def _learn(self, train: Views, val: Views | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {}
        for side, features in (("image", train.images), ("text", train.texts)):
            mean, scale = standardiser(features)
            tensors[f"{side}_mean"] = mean
            tensors[f"{side}_scale"] = scale if self.config.standardise else torch.ones_like(scale)

        def scaled(views: Views) -> Views:
            images, texts = _apply(tensors, "image", views.images), _apply(tensors, "text", views.texts)
            return replace(views, images=images, texts=texts)

        found, facts = learn_directions(scaled(train), None if val is None else scaled(val), self.config, self.name)
        return tensors | found, facts

    def _embed_images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        return embed(_apply(self.tensors, "image", features), self.tensors["image_projection"])

    def _embed_texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        return embed(_apply(self.tensors, "text", features), self.tensors["text_projection"])


def learn_directions(
    train: Views, val: Views | None, config: CCAConfig, name: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weighted projections of both sides, with what the configuration leaves open chosen on `val`.

    Kernel CCA, `name` in an error, calls it too, on the features that its kernels span.
    """
    open_choices = [choice for choice in ("dim", "ridge", "weight") if getattr(config, choice) == "validation"]
    require_validation(val, open_choices, name)
    images, texts = train.images[train.image_of_text], train.texts  # an image with five texts stands in five rows
    image_centre, text_centre = images.mean(dim=0), texts.mean(dim=0)
    images, texts = images - image_centre, texts - text_centre
    axes = principal_axes(images), principal_axes(texts)
    rank = min(axes[0][1].numel(), axes[1][1].numel())
    if rank == 0:
        raise DataError(f"{name} finds no variation in one side: all {len(texts)} rows of it are equal.")
    if isinstance(config.dim, int) and config.dim > rank:
        raise DataError(
            f"dim={config.dim} is more than {rank}, the most directions that {len(images)} pairs of {images.shape[1]} "
            f"and {texts.shape[1]} features hold. Set dim to at most {rank}, or to None."
        )
    ridges = RIDGES if config.ridge == "validation" else (config.ridge,)
    weights = WEIGHTS if config.weight == "validation" else (config.weight,)
    dims = tuple(d for d in DIMS if d < rank) + (rank,) if config.dim == "validation" else (config.dim or rank,)
    best: tuple[float, dict[str, Tensor], dict[str, Any]] | None = None
    for ridge in ridges:
        image_projection, text_projection, correlations = canonical_directions(images, texts, ridge, axes)
        for weight in weights:
            image_weighted = image_projection * correlations**weight
            text_weighted = text_projection * correlations**weight
            if open_choices:
                image_val = (val.images - image_centre) @ image_weighted
                text_val = (val.texts - text_centre) @ text_weighted
            for dim in dims:
                score = 0.0
                if open_choices:
                    score = validation_score(image_val[:, :dim], text_val[:, :dim], val, config.choose_by)
                if best is None or score > best[0]:
                    tensors = {
                        "image_projection": torch.cat([image_weighted, -image_centre[None] @ image_weighted])[:, :dim],
                        "text_projection": torch.cat([text_weighted, -text_centre[None] @ text_weighted])[:, :dim],
                        "correlations": correlations[:dim],
                    }
                    facts = {"dim": dim, "ridge": ridge, "weight": weight}
                    best = score, tensors, facts | ({"validation_score": score} if open_choices else {})
    return best[1], best[2]


def embed(
    features: Float[Tensor, "item dim"], projection: Float[Tensor, "affine common"]
) -> Float[Tensor, "item common"]:
    """Project features with a matrix whose last row is the offset; float64 inside, float32 out."""
    return (features @ projection[:-1] + projection[-1]).float()


def _apply(tensors: dict[str, Tensor], side: str, features: Float[Tensor, "item dim"]) -> Float[Tensor, "item dim"]:
    return (features.double() - tensors[f"{side}_mean"]) / tensors[f"{side}_scale"]
