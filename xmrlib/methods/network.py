"""What the methods that are networks have in common: built with a seed, trained by `train.run`, kept as weights.

A subclass writes `_build` (the modules) and `_stages` (how they are trained), and reads top to bottom beside its paper.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from xmrlib.data.pairs import DataError, Pairs
from xmrlib.methods.base import EmbeddingMethod, Measure, Method, MethodConfig, retrieval_score
from xmrlib.methods.several import Several, SeveralImages, SeveralTexts
from xmrlib.methods.sides import ImageSide, TextSide, Views, views_of
from xmrlib.stages import Run, Stage

BATCH = 256  # items that go through a trained network at once


@dataclasses.dataclass(frozen=True)
class NetworkConfig(MethodConfig):
    """What every network must be told.

    epochs, batch, learning_rate   of the training
    patience    stop after so many epochs without a better value on the validation split; None: run all epochs
    choose_by   that value, by which the best epoch is kept where there is a validation split: "map" over classes,
                "recall" (mean of Recall@1, @5, @10), or "auto": MAP where there are classes
    seed        of initial weights, order, dropout and whatever else is random
    """

    epochs: int = 30
    batch: int = 100
    learning_rate: float = 1e-3
    patience: int | None = None
    choose_by: Measure = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience} must be at least 1, or None for all epochs.")
        if self.choose_by not in ("auto", "map", "recall"):
            raise ValueError(f'choose_by={self.choose_by!r} is none of "auto", "map", "recall".')


class InputScaling(nn.Module):
    """Features as they are, of unit length, or with each column to mean 0 and variance 1 on the training split."""

    def __init__(self, dim: int, how: Literal["none", "unit", "standard"]) -> None:
        super().__init__()
        if how not in ("none", "unit", "standard"):
            raise ValueError(f'scaling={how!r} is none of "none", "unit", "standard".')
        self.how = how
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def fit(self, features: Float[Tensor, "item dim"]) -> Self:
        """Take mean and standard deviation from the training features."""
        if self.how == "standard":
            self.mean.copy_(features.mean(dim=0))
            spread = features.std(dim=0, correction=0)
            self.scale.copy_(torch.where(spread > 1e-6 * spread.max(), spread, torch.ones_like(spread)))
        return self

    def forward(self, features: Float[Tensor, "*item dim"]) -> Float[Tensor, "*item dim"]:
        """The scaled features."""
        return normalize(features, dim=-1) if self.how == "unit" else (features - self.mean) / self.scale


class NetworkMethod(Method):
    """A method whose knowledge is the weights of a network.

    network   the network with its weights, in evaluation mode
    history   the log of the training: losses, learning rates, values on the validation split
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig

    def __init__(self, config: MethodConfig | None = None) -> None:
        super().__init__(config)
        self.history: list[dict[str, Any]] = []
        self._network: nn.Module | None = None

    def _build(self, sizes: dict[str, int]) -> nn.Module:
        """The network; sizes: "image" and "text" (length of a vector, or words in the vocabulary), "classes"."""
        raise NotImplementedError

    def _stages(self, network: nn.Module, train: Views, val: Views | None) -> Iterator[Stage]:
        """How the network is trained."""
        raise NotImplementedError

    def fit(self, train: Pairs, val: Pairs | None = None, run: Run | None = None) -> Self:
        """Learn from `train`; where there is a `val`, keep the epoch that does best on it, else the last one.

        run  where and how: device, precision, and the folder from which a training that was cut off goes on

        Raises DataError for a missing view, NaN, missing labels, a single class or too few pairs; TrainingStopped where
        training cannot go on; CheckpointError where the folder holds another run.
        """
        from xmrlib import train as training

        config, run = self.config, run or Run()
        if config.patience is not None and val is None:
            raise DataError(
                f"{self.name}: patience={config.patience} needs a validation split. Call fit(train, val=...), or set "
                "patience=None."
            )
        sides = self._fitted_sides(train, val)
        learned_from, validation = (None if pairs is None else views_of(pairs, *sides) for pairs in (train, val))
        facts = {"sizes": {"image": sides[0].dim, "text": sides[1].dim, "classes": learned_from.classes}}
        built: list[nn.Module] = []

        def stages() -> Iterator[Stage]:
            built.append(self._build(facts["sizes"]))
            yield from self._stages(built[0], learned_from, validation)

        history = training.run(stages(), config.seed, run, self._about(train, val, sides))
        last = max((line["stage_number"] for line in history), default=0)
        values = [(r["validation"], r["epoch"]) for r in history if "validation" in r and r["stage_number"] == last]
        if values:
            facts |= dict(zip(("validation_score", "epoch"), max(values, key=lambda found: found[0]), strict=True))
        (self.image_side, self.text_side), self.facts, self.history = sides, facts, history
        self._network = built[0].eval()
        self.tensors = {name: tensor.detach().cpu() for name, tensor in built[0].state_dict().items()}
        return self

    def _about(
        self, train: Pairs, val: Pairs | None, sides: tuple[ImageSide | SeveralImages, TextSide | SeveralTexts]
    ) -> dict[str, Any]:
        """What decides the result of a training: a run goes on only from a checkpoint that agrees in all of it."""
        text_facts, text_tensors = sides[1].state()
        digest = hashlib.sha256(json.dumps(text_facts, sort_keys=True).encode())
        for name in sorted(text_tensors):
            digest.update(text_tensors[name].contiguous().numpy().tobytes())
        data = {
            part: {"name": pairs.name, "images": len(pairs), "texts": len(pairs.texts), "ids": _hash(pairs)}
            for part, pairs in (("train", train), ("val", val))
            if pairs is not None
        }
        config = dataclasses.asdict(self.config)
        return (
            {"method": self.name, "image_side": sides[0].state(), "vocabulary": digest.hexdigest()[:16]} | data | config
        )

    @property
    def network(self) -> nn.Module:
        """The network with its weights, in evaluation mode."""
        self._require_fitted()
        if self._network is None:
            network = self._build(self.facts["sizes"])
            network.load_state_dict(self.tensors)
            self._network = network.eval()
        return self._network

    def to(self, device: str | torch.device) -> Self:
        """Let the trained network work on another device."""
        self.network.to(device)
        return self

    def _measure(self, network: nn.Module, val: Views | None) -> Callable[[], float] | None:
        """What the loop calls after every epoch; None where there is no validation split."""
        if val is None:
            return None
        return lambda: retrieval_score(self._scores(network, val.images, val.texts), val, self.config.choose_by)

    def _scores(self, network: nn.Module, images: Any, texts: Any) -> Float[Tensor, "image text"]:
        """The similarity of all images and texts under `network`."""
        raise NotImplementedError


class EmbeddingNetwork(NetworkMethod, EmbeddingMethod):
    """A network with a common space: `network.images(...)` and `network.texts(...)` embed each side."""

    def _scores(self, network: nn.Module, images: Any, texts: Any) -> Float[Tensor, "image text"]:
        embedded = (through(network, network.images, images), through(network, network.texts, texts))
        return normalize(embedded[0], dim=1) @ normalize(embedded[1], dim=1).T

    def _embed_images(self, features: Any) -> Float[Tensor, "image common"]:
        return through(self.network, self.network.images, features)

    def _embed_texts(self, features: Any) -> Float[Tensor, "text common"]:
        return through(self.network, self.network.texts, features)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, a loss passes through `module` to what lies before it and leaves no gradient in the module itself."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def through(network: nn.Module, forward: Callable[..., Tensor], features: Any) -> Float[Tensor, "item *shape"]:
    """Send many items through a part of a network, some at a time, and collect what comes out on the CPU."""
    device = next(network.parameters()).device
    tensors = parts_of(features)
    with torch.inference_mode():
        parts = [
            forward(*(tensor[start : start + BATCH].to(device) for tensor in tensors)).float().cpu()
            for start in range(0, len(tensors[0]), BATCH)
        ]
    return torch.cat(parts)


def parts_of(features: Any) -> tuple[Tensor, ...]:
    """The tensors that a network takes: a vector by itself, parts or words with their mask, several in turn."""
    if isinstance(features, Tensor):
        return (features,)
    if isinstance(features, Several):
        return tuple(part for view in features.views for part in parts_of(view))
    return (features.ids if hasattr(features, "ids") else features.features), features.mask


def _hash(pairs: Pairs) -> str:
    rows = np.asarray(pairs.image_of_text, dtype=np.int64).tobytes()
    return hashlib.sha256(json.dumps([pairs.images.ids, pairs.texts.ids]).encode() + rows).hexdigest()[:16]
