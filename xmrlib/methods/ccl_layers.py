"""Stages 1 A, C and D of CCL: how a layer and a classifier are trained; see `ccl.py` for the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from xmrlib.data.pairs import DataError
from xmrlib.methods.ccl_network import CCLNetwork
from xmrlib.methods.network import parts_of, through
from xmrlib.nn.rbm import RBM
from xmrlib.stages import Optimiser, Schedule, Stage, Table, constant, cosine


def momentum(share: float, ramp: float) -> float:
    """From .5 towards .9 as the share of a stage that lies behind grows.

    >>> [round(momentum(share, ramp=0.2), 3) for share in (0.0, 0.2, 1.0)]
    [0.5, 0.753, 0.897]
    """
    return 0.9 - 0.4 * math.exp(-share / ramp)


def inverse(decay: float) -> Schedule:
    """A learning rate that falls as 1 / (1 + share/decay) over the share of a stage that lies behind."""
    return lambda done, epochs: 1 / (1 + done / epochs / decay)


def halving(life: float) -> Schedule:
    """A learning rate that halves with every `life`, a share of the stage."""
    return lambda done, epochs: 0.5 ** (done / epochs / life)


@dataclass(frozen=True)
class Divergence:
    """How the released code trains an RBM; all times are shares of its 50,000 steps.

    rate, l2          at the start; of the weights alone
    target, cost      of the sparsity; cost 0: none
    ramp              of the momentum from .5 towards .9
    longer_after      Gibbs steps are added from here on, one every tenth
    sample_after      counts are sampled in place of means from here on
    """

    rate: float
    l2: float
    target: float = 0.1
    cost: float = 0.01
    ramp: float = 0.2
    longer_after: float = 0.3
    sample_after: float = 1.0


DIVERGENCE = {
    ("image", "first"): Divergence(rate=0.001, l2=0.001, target=0.2, cost=0.1, longer_after=1.0),
    ("image", "second"): Divergence(rate=0.05, l2=0.001),
    ("text", "first"): Divergence(rate=0.1, l2=0.0001, target=0.2, ramp=0.1, sample_after=0.1),
    ("text", "second"): Divergence(rate=0.01, l2=0.001),
    ("image", "joint"): Divergence(rate=0.01, l2=0.0001, cost=0.0, longer_after=1.0),
    ("text", "joint"): Divergence(rate=0.01, l2=0.0001, cost=0.0, longer_after=1.0),
}


def layer_stage(
    config: Any,
    side: str,
    place: str,
    grain: str,
    layer: nn.Module,
    x: Float[Tensor, "item dim"],
    epochs: int,
    scaling: nn.Module | None = None,
) -> Stage:
    """A and C: one layer that learns without labels and without the other side.

    place, grain  which layer it is: "first" or "second" of "coarse" or "fine", or "joint" of "both"
    x             what it sees, (item, dim)
    scaling       of the features below it, which goes where the layer goes
    """
    if layer.kind == "counts" and bool((x < 0).any()):
        raise DataError(
            f"the {grain} text features were taken for counts of words and hold {float(x.min()):.3g}. Give a view that "
            'is no count another name than "bow", or, for parts that the data bring, set text_parts_options={}.'
        )
    how = DIVERGENCE["image" if layer.kind == "gaussian" else side, place]
    released, rbm = config.variant == "released", isinstance(layer, RBM)
    if rbm:
        weights, biases = (
            {"params": [layer.weight], "weight_decay": how.l2},
            [layer.visible_bias, layer.hidden_bias],
        )
        optimiser = torch.optim.SGD([weights, {"params": biases}], how.rate * config.pretraining_rate, momentum=0.5)
    else:
        optimiser = torch.optim.Adam(layer.parameters(), lr=config.learning_rate * config.pretraining_rate)

    def diverge(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
        behind, share = loop.done / epochs, 1 / loop.run.accumulate
        longer = released and behind > how.longer_after
        steps = 2 + int((behind - how.longer_after) / 0.1) if longer else 1
        sampled = released and behind > how.sample_after
        error = layer.contrastive_divergence(batch["x"], steps, sampled, share)
        if how.cost:
            layer.sparsity(how.target, how.cost, share)
        for group in optimiser.param_groups:
            group["momentum"] = momentum(behind, how.ramp)
        loop.update("layer")
        return {"loss": error}

    def reconstruct(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
        loss = layer.loss(batch["x"])
        loop.backward(loss)
        loop.update("layer")
        return {"loss": loss}

    return Stage(
        name=f"1{'C' if place == 'joint' else 'A'} {side} {grain} {place}",
        modules={f"{side}_{grain}_{place}": layer} | ({} if scaling is None else {f"{side}_{grain}_scaling": scaling}),
        optimisers={"layer": Optimiser(optimiser, inverse(0.2) if rbm else constant)},
        data=Table(x=x),
        batch=config.batch,
        epochs=epochs,
        step=diverge if rbm else reconstruct,
    )


def classifier_stage(
    config: Any, side: str, network: CCLNetwork, items: Any, labels: Int[Tensor, " item"], held_out: Any
) -> Stage:
    """D: the classes, a side by itself.

    items, labels  of the training split
    held_out       the same of the validation split, whose cross-entropy chooses the epoch; None: the last is kept
    """
    classifier = network.classifiers[side]
    lower = network.below_classifier(side) if config.fine_tune else {}
    released, rate = config.variant == "released", config.learning_rate
    schedule = cosine(warmup=1.0) if config.fine_tune else constant
    if released:
        rate = 0.01
        make, settings = torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.001}
    else:
        make, settings = torch.optim.Adam, {"weight_decay": config.weight_decay}
    tuned = [parameter for module in lower.values() for parameter in module.parameters()]
    groups = [{"params": [*classifier.parameters()]}]
    optimiser = make([*groups, {"params": tuned, "lr": rate * config.fine_tune}] if tuned else groups, rate, **settings)
    fused = partial(network.fused, side)
    codes = through(network, fused, items)
    if not config.fine_tune:
        see, forward = (lambda of: through(network, fused, of)), classifier
        classifier.scaling.fit(codes)
        table = {"0": codes}
    else:
        table = {str(i): part for i, part in enumerate(parts_of(items))}
        classifier.scaling.running_mean.copy_(codes.mean(dim=0))
        classifier.scaling.running_var.copy_(codes.var(dim=0))

        def see(of: Any) -> Any:
            return of

        def forward(*parts: Tensor) -> Tensor:
            damaged = (
                dropout(p, config.feature_dropout, classifier.training) if p.is_floating_point() else p for p in parts
            )
            return classifier(fused(*damaged))

    other, other_labels = (None, None) if held_out is None else (see(held_out[0]), held_out[1])

    def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
        loss = cross_entropy(forward(*(batch[name] for name in table)), batch["label"])
        loop.backward(loss)
        loop.update("classifier")
        return {"loss": loss}

    def measure() -> float:
        return -float(cross_entropy(through(network, forward, other), other_labels))

    return Stage(
        name=f"1D {side}",
        modules={f"classifier_{side}": classifier} | lower,
        optimisers={"classifier": Optimiser(optimiser, halving(0.2) if released else schedule)},
        data=Table(**table, label=labels),
        batch=config.batch,
        epochs=config.supervised_epochs,
        step=step,
        measure=None if held_out is None else measure,
        patience=None if held_out is None else config.patience,
    )
