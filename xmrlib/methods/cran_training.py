"""How CRAN is trained: which pairs a batch holds, the loss of a level, and the stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xmrlib.distributed import gather
from xmrlib.methods.cran_config import Level
from xmrlib.methods.cran_network import CRANNetwork
from xmrlib.methods.mcsm_training import noise_for, ranking_loss
from xmrlib.methods.pair_network import PairTable
from xmrlib.nn.ranking import hinge_loss, same_image
from xmrlib.stages import Optimiser, Stage, drop


def level_loss(
    scores: Float[Tensor, "pair pair"],
    row: Int[Tensor, " pair"],
    negatives: str,
    margin: float = 0.2,
    sharpness: float | Tensor = 10.0,
    noise: Float[Tensor, "pair 2 pair"] | None = None,
) -> Float[Tensor, ""]:
    """How far wrong texts and wrong images come near the right ones at one level, summed over the batch.

    scores     of the image of each pair (rows) with the text of each pair (columns); the diagonal holds the pairs
    row        which image each pair is of: two texts of one image are no negatives of one another
    negatives  "hardest" or "sum": see `hinge_loss`; "random": one wrong text and one wrong image, drawn by `noise`;
               "softmax": cross entropy of the right one among all, both ways, of `sharpness` times the scores

    >>> level_loss(torch.eye(2), torch.arange(2), "hardest")
    tensor(0.)
    """
    if negatives in ("hardest", "sum"):
        return hinge_loss(scores, same_image(row), margin, negatives)
    if negatives == "random":
        return len(scores) * ranking_loss(scores, row, margin, noise)
    others = same_image(row) & ~torch.eye(len(row), dtype=torch.bool, device=row.device)
    logits, right = (sharpness * scores).masked_fill(others, -torch.inf), torch.arange(len(row), device=row.device)
    return cross_entropy(logits, right, reduction="sum") + cross_entropy(logits.T, right, reduction="sum")


def level_losses(
    scores: dict[str, Float[Tensor, "pair pair"]],
    row: Int[Tensor, " pair"],
    config: Any,
    sharpness: Mapping[str, Tensor] | nn.ParameterDict,
    noise: Float[Tensor, "pair 2 pair"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """The loss of each level by itself.

    The grounded relation is judged by what it adds to the local level, which its loss leaves as it is.
    """
    judged = dict(scores)
    if config.grounded and "relation" in scores:
        judged["relation"] = scores["local"].detach() + scores["relation"]
    return {
        name: level_loss(found.float(), row, config.negatives, config.margin, sharpness[name].exp(), noise)
        for name, found in judged.items()
    }


def order_with_partners(
    partner: Int[np.ndarray, " text"], batch: int
) -> Callable[[torch.Generator], Int[Tensor, " text"]]:
    """The order of an epoch: shuffled, but a text and its partner in one batch, side by side.

    partner  the row of each text's partner, -1 for none
    """

    def drawn(generator: torch.Generator) -> Int[Tensor, " text"]:
        shuffled = torch.randperm(len(partner), generator=generator).tolist()
        rank = {row: place for place, row in enumerate(shuffled)}
        waiting: list[int] = []  # a pair for which the batch had one place left
        rows: list[int] = []
        for row in shuffled:
            other = int(partner[row])
            if other < 0:
                rows.append(row)
            elif rank[row] < rank[other]:
                if batch - len(rows) % batch >= 2:
                    rows += [row, other]
                else:
                    waiting += [row, other]
            if len(waiting) and len(rows) % batch == 0:
                rows, waiting = rows + waiting, []
        return torch.tensor(rows + waiting)

    return drawn


def cran_stages(
    network: CRANNetwork,
    table: PairTable,
    partner: Int[np.ndarray, " text"] | None,
    measure: Callable[[Sequence[Level]], float] | None,
) -> Iterator[Stage]:
    """One training of all levels, or one a level.

    measure  the value on the validation split of the sum of some levels
    """
    config = network.config
    parts = [config.levels] if config.joint else [(level,) for level in config.levels]
    for levels in parts:
        if config.joint:
            parameters = list(network.parameters())
        else:
            parameters = network.parameters_of(levels[0])
        seen = ("local", "relation") if levels == ("relation",) and config.grounded else levels
        yield _stage(network, levels, seen, parameters, table, partner, measure)


def _stage(
    network: CRANNetwork,
    levels: Sequence[Level],
    seen: Sequence[Level],
    parameters: list[Tensor],
    table: PairTable,
    partner: Int[np.ndarray, " text"] | None,
    measure: Callable[[Sequence[Level]], float] | None,
) -> Stage:
    """The training of `levels`; `seen` are those whose sum is measured."""
    config = network.config

    def step(batch: dict[str, Any], loop: Any) -> dict[str, Tensor]:
        # Each process scores its own images with the texts of all.
        images = network.images(*batch["images"], seen)
        texts = {
            name: tuple(gather(part) for part in parts) for name, parts in network.texts(*batch["texts"], seen).items()
        }
        scores = {name: gather(found) for name, found in network.scores(images, texts).items()}
        row = gather(batch["row"])
        noise = gather(noise_for(len(batch["row"]), len(row), row.device)) if config.negatives == "random" else None
        found = level_losses(scores, row, config, network.sharpness, noise)
        found = {name: found[name] / len(row) for name in levels}
        loss = sum(found.values())
        loop.backward(loss)
        loop.update("network")
        return {"loss": loss} | (found if len(found) > 1 else {})

    return Stage(
        name="CRAN" if len(levels) > 1 or config.joint else levels[0],
        modules={"network": network},
        optimisers={
            "network": Optimiser(
                torch.optim.Adam(parameters, config.learning_rate), drop(config.lower_after), config.clip
            )
        },
        data=table,
        batch=config.batch,
        epochs=config.epochs,
        step=step,
        measure=None if measure is None else lambda: measure(seen),
        patience=config.patience,
        order=None if partner is None else order_with_partners(partner, config.batch),
    )
