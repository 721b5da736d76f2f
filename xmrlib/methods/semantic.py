"""Semantic matching: one classifier per side, trained apart; compare what they believe.

Rasiwasia et al., "A new approach to cross-modal multimedia retrieval", ACM MM 2010, section 4.2: the class
probabilities of an image and of a text live in the same space, the simplex over the classes, so that a cosine between
them means something. No pair is ever looked at. On most of the field's data sets its MAP by category is hard to beat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from xmrlib.data.pairs import DataError
from xmrlib.methods.base import EmbeddingMethod, MethodConfig, require_validation, standardiser, validation_score
from xmrlib.methods.sides import Views

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)  # what "validation" tries on each side


@dataclass(frozen=True)
class SemanticMatchingConfig(MethodConfig):
    """What semantic matching must be told.

    classifier   "logistic": multinomial logistic regression. "mlp": one hidden layer, ReLU, dropout
    image_c, text_c   logistic: how much the data weigh against the squared weights, scikit-learn's C. "validation"
                 tries PENALTIES, both sides together where both are open, and takes the best MAP on `val`
    standardise  standardise each feature with the training split's mean and standard deviation
    hidden, dropout, epochs, batch, learning_rate, weight_decay   the mlp's; with `val` the epoch of the lowest
                 validation loss is kept
    seed         the mlp's initial weights, order and dropout; the logistic regression has one solution
    """

    classifier: Literal["logistic", "mlp"] = "logistic"
    image_c: float | Literal["validation"] = 0.01
    text_c: float | Literal["validation"] = 0.01
    standardise: bool = True
    hidden: int = 256
    dropout: float = 0.5
    epochs: int = 40
    batch: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classifier not in ("logistic", "mlp"):
            raise ValueError(f'classifier={self.classifier!r} is neither "logistic" nor "mlp".')
        for name in ("image_c", "text_c"):
            value = getattr(self, name)
            if isinstance(value, str) and value != "validation":
                raise ValueError(f'{name}={value!r} is neither a number nor "validation".')
            if not isinstance(value, str) and not 0 < value < math.inf:
                raise ValueError(f"{name}={value} must be positive and finite.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is outside [0, 1).")
        for name in ("hidden", "epochs", "batch", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")


def logistic_regression(
    features: Float[Tensor, "item dim"],
    labels: Int[Tensor, " item"],
    classes: int,
    c: float,
    start: Float[Tensor, "affine class_"] | None = None,
    iterations: int = 300,
) -> Float[Tensor, "affine class_"]:
    """Weights, bias as their last row, that minimise  c * sum of cross-entropies + |weights|^2 / 2, the bias free.

    The sum is convex with one solution; L-BFGS starts at `start` or at 0. A class without items gets probability
    near 0. The same objective as scikit-learn's LogisticRegression(C=c).
    """
    from scipy.optimize import minimize

    features = torch.cat([features.double(), torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    targets = torch.nn.functional.one_hot(labels, classes).double()
    # A class that never occurs would push its bias towards minus infinity for ever; it stays out of the sum instead.
    present = targets.sum(dim=0) > 0

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.from_numpy(flat).reshape(features.shape[1], int(present.sum()))
        log_probabilities = (features @ weights).log_softmax(dim=1)
        penalised = weights.clone()
        penalised[-1] = 0
        value = -c * (targets[:, present] * log_probabilities).sum() + 0.5 * (penalised**2).sum()
        slope = c * features.T @ (log_probabilities.exp() - targets[:, present]) + penalised
        return float(value) / len(features) / c, (slope / len(features) / c).reshape(-1).numpy()

    first = torch.zeros(features.shape[1], classes, dtype=torch.float64) if start is None else start.double()
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-10, "gtol": 1e-6}
    flat = minimize(objective, first[:, present].reshape(-1).numpy(), jac=True, method="L-BFGS-B", options=options).x
    weights = torch.zeros_like(first)
    weights[:, present] = torch.from_numpy(flat).reshape(features.shape[1], -1)
    weights[-1, ~present] = -1e4
    return weights


def train_mlp(
    features: Float[Tensor, "item dim"],
    labels: Int[Tensor, " item"],
    classes: int,
    config: SemanticMatchingConfig,
    val: tuple[Float[Tensor, "other dim"], Int[Tensor, " other"]] | None = None,
) -> list[Float[Tensor, "affine out"]]:
    """Weights of the two layers (biases as last rows) of a small classifier, trained with AdamW on cross-entropy."""
    generator = torch.Generator().manual_seed(config.seed)
    features = features.float()
    layers = []
    for fan_in, fan_out in ((features.shape[1], config.hidden), (config.hidden, classes)):
        weights = torch.randn(fan_in + 1, fan_out, generator=generator) * math.sqrt(2 / fan_in)
        weights[-1] = 0
        layers.append(weights.requires_grad_())
    optimiser = torch.optim.AdamW(layers, lr=config.learning_rate, weight_decay=config.weight_decay)
    best, kept = math.inf, None
    for epoch in range(config.epochs):
        for rows in torch.randperm(len(features), generator=generator).split(config.batch):
            keep = torch.rand(len(rows), config.hidden, generator=generator) >= config.dropout
            hidden = (features[rows] @ layers[0][:-1] + layers[0][-1]).relu() * keep / (1 - config.dropout)
            loss = cross_entropy(hidden @ layers[1][:-1] + layers[1][-1], labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        last = float(loss.detach())
        if not math.isfinite(last):
            raise FloatingPointError(
                f"the loss of the classifier became {last} in epoch {epoch + 1} at learning rate "
                f"{config.learning_rate}. Lower the learning rate."
            )
        if val is not None:
            with torch.no_grad():
                last = float(cross_entropy(_logits(val[0].float(), layers), val[1]))
        if val is None or last < best:
            best, kept = last, [weights.detach().clone() for weights in layers]
    return kept


def _logits(features: Float[Tensor, "item dim"], layers: list[Tensor]) -> Float[Tensor, "item class_"]:
    for weights in layers[:-1]:
        features = (features.to(weights.dtype) @ weights[:-1] + weights[-1]).relu()
    return features.to(layers[-1].dtype) @ layers[-1][:-1] + layers[-1][-1]


class SemanticMatching(EmbeddingMethod):
    """Two classifiers, one per side; the embedding is the class probabilities, the similarity their cosine.

    Needs a class for every image, and no pairs.
    """

    Config: ClassVar[type[MethodConfig]] = SemanticMatchingConfig
    needs_labels: ClassVar[bool] = True

    def _learn(self, train: Views, val: Views | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        config = self.config
        penalties = {"image": config.image_c, "text": config.text_c}
        open_choices = [f"{side}_c" for side, c in penalties.items() if c == "validation"]
        if config.classifier == "mlp":
            open_choices = []
        require_validation(val, open_choices, self.name)
        if val is not None and val.labels is None:
            raise DataError(f"{self.name} validates on classes, and the validation split has no labels.")
        tensors: dict[str, Tensor] = {}
        candidates: dict[str, dict[float, list[Tensor]]] = {}
        for side in ("image", "text"):
            features, labels = (train.images, train.labels) if side == "image" else (train.texts, train.text_labels)
            mean, scale = standardiser(features)
            if not config.standardise:
                mean, scale = torch.zeros_like(mean), torch.ones_like(scale)
            tensors |= {f"{side}_mean": mean, f"{side}_scale": scale}
            features = (features.double() - mean) / scale
            if config.classifier == "mlp":
                held_out = None
                if val is not None:
                    other, other_labels = (val.images, val.labels) if side == "image" else (val.texts, val.text_labels)
                    held_out = (other.double() - mean) / scale, other_labels
                candidates[side] = {math.nan: train_mlp(features, labels, train.classes, config, held_out)}
                continue
            candidates[side], weights = {}, None
            for c in PENALTIES if penalties[side] == "validation" else (penalties[side],):
                weights = logistic_regression(features, labels, train.classes, c, start=weights)
                candidates[side][c] = [weights]
        (image_c, image_layers), (text_c, text_layers), facts = self._choose(candidates, tensors, val)
        tensors |= {f"image_layer_{i}": weights for i, weights in enumerate(image_layers)}
        tensors |= {f"text_layer_{i}": weights for i, weights in enumerate(text_layers)}
        return tensors, facts if config.classifier == "mlp" else {"image_c": image_c, "text_c": text_c} | facts

    def _choose(
        self, candidates: dict[str, dict[float, list[Tensor]]], tensors: dict[str, Tensor], val: Views | None
    ) -> tuple[tuple[float, list[Tensor]], tuple[float, list[Tensor]], dict[str, Any]]:
        """The pair of classifiers with the best MAP on `val`, where there is more than one."""
        pairs = [(image, text) for image in candidates["image"].items() for text in candidates["text"].items()]
        if len(pairs) == 1:
            return *pairs[0], {}
        believed = {
            (side, c): _probabilities(tensors, side, features, layers)
            for side, features in (("image", val.images), ("text", val.texts))
            for c, layers in candidates[side].items()
        }
        scores = [validation_score(believed["image", i[0]], believed["text", t[0]], val) for i, t in pairs]
        best = int(np.argmax(scores))
        return *pairs[best], {"validation_score": scores[best]}

    def probabilities(self, images: Any = None, texts: Any = None) -> Float[Tensor, "item class_"]:
        """(n, classes) what one side's classifier believes; give either images or texts."""
        self._require_fitted()
        if (images is None) == (texts is None):
            raise TypeError("probabilities takes either images or texts.")
        if images is not None:
            return self._embed_images(self.image_side.features(images))
        return self._embed_texts(self.text_side.features(texts))

    def _embed_images(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image common"]:
        return _probabilities(self.tensors, "image", features)

    def _embed_texts(self, features: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        return _probabilities(self.tensors, "text", features)


def _probabilities(
    tensors: dict[str, Tensor], side: str, features: Float[Tensor, "item dim"], layers: list[Tensor] | None = None
) -> Float[Tensor, "item class_"]:
    if layers is None:
        names = sorted(name for name in tensors if name.startswith(f"{side}_layer_"))
        layers = [tensors[name] for name in names]
    features = (features.double() - tensors[f"{side}_mean"]) / tensors[f"{side}_scale"]
    return _logits(features, layers).softmax(dim=1).float()
