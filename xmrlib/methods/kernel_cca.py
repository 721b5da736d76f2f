"""Kernel CCA: canonical correlation analysis among the similarities to training items, so that the lines may bend.

Hardoon, Szedmak and Shawe-Taylor, "Canonical correlation analysis: an overview with application to learning methods",
Neural Computation 2004, section 4. A kernel k is an inner product of features that need never be written down. On
landmarks l_1 .. l_p (all training items where there are few) they can be: with K = U diag(s) U' among the landmarks,

    phi(x) = (k(x, l_1), .., k(x, l_p)) U diag(s)^-1/2      gives      phi(x)' phi(y) = k(x, y)  on the landmarks,

and linear CCA on phi is kernel CCA, exactly. With fewer landmarks than items it is the approximation of Nystroem
(Williams and Seeger, NIPS 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError
from xmrlib.methods.base import EmbeddingMethod, MethodConfig, standardiser
from xmrlib.methods.cca import CCAConfig, embed, learn_directions
from xmrlib.methods.sides import Views

Kernel = Literal["rbf", "chi2", "cosine", "linear"]


@dataclass(frozen=True)
class KernelCCAConfig(CCAConfig):
    """What kernel CCA must be told, beside CCA's dim, ridge and weight.

    image_kernel, text_kernel  "rbf" exp(-|x - y|^2 / 2 s^2) with s = `width` times the median distance;
                               "chi2" exp(-chi^2(x, y) / s) for histograms, s = `width` times the mean of chi^2;
                               "cosine"; "linear". Histograms are not standardised for chi2, nor vectors for cosine
    width                      of the rbf and chi2 kernels, as a multiple of the typical distance
    landmarks                  items that span the features; up to this many training items it is exact
    ridge                      as for CCA, a share of the mean variance of the kernel's features
    """

    ridge: float | Literal["validation"] = 10.0
    image_kernel: Kernel = "rbf"
    text_kernel: Kernel = "cosine"
    width: float = 1.0
    landmarks: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("image_kernel", "text_kernel"):
            if getattr(self, name) not in get_args(Kernel):
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(get_args(Kernel))}.")
        if not 0 < self.width < math.inf:
            raise ValueError(f"width={self.width} must be positive and finite.")
        if self.landmarks < 2:
            raise ValueError(f"landmarks={self.landmarks} span nothing; at least 2 are needed.")


def chi_squared(
    left: Float[Tensor, "item dim"], right: Float[Tensor, "other dim"], chunk: int = 64
) -> Float[Tensor, "item other"]:
    """Sum over the dimensions of (x - y)^2 / (x + y), for histograms; 0 / 0 counts as 0."""
    # (x - y)^2 / (x + y) = x + y - 4 x y / (x + y), which takes fewer passes over (item, other, dim) numbers.
    rows = []
    for block in left.split(chunk):
        total = (block[:, None] + right).clamp_min_(1e-12)
        rows.append(torch.einsum("id,jd,ijd->ij", block, right, total.reciprocal_()))
    return (left.sum(1)[:, None] + right.sum(1) - 4 * torch.cat(rows)).clamp_min(0)


def kernel_matrix(
    left: Float[Tensor, "item dim"], right: Float[Tensor, "other dim"], kernel: Kernel, scale: float
) -> Float[Tensor, "item other"]:
    """k(x, y) for every x in `left` and y in `right`; `scale` is s of KernelCCAConfig.

    >>> kernel_matrix(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0]]), "rbf", scale=0.5)
    tensor([[1.0000],
            [0.1353]])
    """
    if kernel == "rbf":
        return torch.exp(-(torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist") ** 2) / (2 * scale**2))
    if kernel == "chi2":
        return torch.exp(-chi_squared(left, right) / scale)
    if kernel == "cosine":
        left, right = torch.nn.functional.normalize(left, dim=1), torch.nn.functional.normalize(right, dim=1)
    return left @ right.T


def typical_distance(features: Float[Tensor, "item dim"], kernel: Kernel, most: int = 1000) -> float:
    """The median distance (rbf) or the mean chi-squared (chi2) among `most` items, evenly spaced; else 1."""
    if kernel not in ("rbf", "chi2"):
        return 1.0
    rows = torch.linspace(0, len(features) - 1, min(most, len(features))).round().long()
    some = features[rows]
    above = torch.ones(len(some), len(some), dtype=torch.bool).triu(1)
    distances = (torch.cdist(some, some) if kernel == "rbf" else chi_squared(some, some))[above]
    typical = float(distances.median() if kernel == "rbf" else distances.mean())
    if typical <= 0:
        raise DataError(f"the {kernel} kernel has no scale: most of the {len(some)} items compared are equal.")
    return typical


class KernelCCA(EmbeddingMethod):
    """Regularised kernel CCA, cosine of weighted projections. Needs pairs, no classes."""

    Config: ClassVar[type[MethodConfig]] = KernelCCAConfig

    @property
    def correlations(self) -> Float[Tensor, " common"]:
        """(k,) canonical correlations on the training split, largest first."""
        self._require_fitted()
        return self.tensors["correlations"]

    def _learn(self, train: Views, val: Views | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = self._span("image", train.images) | self._span("text", train.texts)

        def spanned(views: Views) -> Views:
            images, texts = self._features(tensors, "image", views.images), self._features(tensors, "text", views.texts)
            return replace(views, images=images, texts=texts)

        found, facts = learn_directions(spanned(train), None if val is None else spanned(val), self.config, self.name)
        return tensors | found, facts

    def _span(self, side: str, features: Float[Tensor, "item dim"]) -> dict[str, Tensor]:
        """The landmarks of a side, their kernel's inverse root, and the scaling in front of it."""
        kernel = self._kernel(side)
        if kernel == "chi2" and float(features.min()) < 0:
            raise DataError(
                f"the chi2 kernel is for histograms; the {side} features go down to {float(features.min()):.3g}. "
                f'Set {side}_kernel to "rbf".'
            )
        mean, scale = standardiser(features)
        if kernel in ("chi2", "cosine") or not self.config.standardise:
            mean, scale = torch.zeros_like(mean), torch.ones_like(scale)
        features = (features.double() - mean) / scale
        rows = torch.linspace(0, len(features) - 1, min(self.config.landmarks, len(features))).round().long().unique()
        landmarks = features[rows]
        width = self.config.width * typical_distance(features, kernel)
        values, vectors = torch.linalg.eigh(kernel_matrix(landmarks, landmarks, kernel, width))
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        return {
            f"{side}_mean": mean,
            f"{side}_scale": scale,
            f"{side}_landmarks": landmarks,
            f"{side}_root": vectors[:, kept] / values[kept].sqrt(),
            f"{side}_width": torch.tensor(width, dtype=torch.float64),
        }

    def _kernel(self, side: str) -> Kernel:
        return self.config.image_kernel if side == "image" else self.config.text_kernel

    def _features(self, tensors: dict[str, Tensor], side: str, features: Float[Tensor, "item dim"]) -> Tensor:
        """phi(x) of the head of this file."""
        features = (features.double() - tensors[f"{side}_mean"]) / tensors[f"{side}_scale"]
        width = float(tensors[f"{side}_width"])
        similar = kernel_matrix(features, tensors[f"{side}_landmarks"], self._kernel(side), width)
        return similar @ tensors[f"{side}_root"]

    def _embed_images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        return embed(self._features(self.tensors, "image", features), self.tensors["image_projection"])

    def _embed_texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        return embed(self._features(self.tensors, "text", features), self.tensors["text_projection"])
