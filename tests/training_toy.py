"""A small training with two stages and two optimisers, to be broken off and gone on with.

As a program: python tests/training_toy.py OUT [key=value ...]; the weights go to OUT/weights.pt. Also under torchrun.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from xmrlib import train
from xmrlib.distributed import BatchNorm, gather, rank
from xmrlib.stages import Optimiser, Run, Stage, Table, cosine, drop


class Toy:
    """Two stages: a network with batch norm and dropout, then a second one on what the first learned."""

    def __init__(self, dropout: float = 0.2, epochs: int = 3, patience: int | None = None, rate: float = 1e-2) -> None:
        self.dropout, self.epochs, self.patience, self.rate = dropout, epochs, patience, rate
        self.modules: dict[str, nn.Module] = {}
        self.steps: list[tuple[str, int]] = []

    def stages(self) -> Iterator[Stage]:
        """What `train.run` is given."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(120, 6, generator=generator)
        y = torch.randn(120, 6, generator=generator) + x.roll(1, dims=1)
        first = nn.Sequential(
            nn.Linear(6, 16, bias=False), BatchNorm(16), nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(16, 6)
        )
        other = nn.Linear(6, 6)
        self.modules |= {"first": first, "other": other}
        optimisers = {
            "first": Optimiser(torch.optim.AdamW(first.parameters(), lr=self.rate), cosine(warmup=0.5), clip=1.0),
            "other": Optimiser(torch.optim.SGD(other.parameters(), lr=self.rate, momentum=0.9), drop(2), every=2),
        }

        def step(batch: dict[str, Tensor], loop: train.Loop) -> dict[str, Tensor]:
            self.steps.append((loop.stage.name, loop.step))
            # Every item against every other of the joined batch, as in-batch losses do.
            scores = gather(first(batch["x"])) @ gather(other(batch["y"])).T
            loss = mse_loss(scores, torch.eye(len(scores)))
            loop.backward(loss)
            loop.update("first")
            if loop.due("other"):
                loop.update("other")
            return {"loss": loss, "trace": scores.trace()}

        def measure() -> float:
            return -float(mse_loss(first(x), other(y)))

        yield Stage("one", {"first": first, "other": other}, optimisers, Table(x=x, y=y), 20, self.epochs, step,
                    measure, self.patience)  # fmt: skip

        second = nn.Linear(6, 6)
        self.modules["second"] = second
        with torch.no_grad():
            made = first(x)

        def again(batch: dict[str, Tensor], loop: train.Loop) -> dict[str, Tensor]:
            self.steps.append((loop.stage.name, loop.step))
            loss = mse_loss(second(batch["made"]), batch["y"])
            loop.backward(loss)
            loop.update("second")
            return {"loss": loss}

        optimiser = Optimiser(torch.optim.Adam(second.parameters(), lr=self.rate))
        yield Stage("two", {"first": first, "second": second}, {"second": optimiser}, Table(made=made, y=y), 20,
                    self.epochs, again)  # fmt: skip

    def weights(self) -> dict[str, Tensor]:
        """All weights by name."""
        return {f"{n}.{k}": t.clone() for n, m in self.modules.items() for k, t in m.state_dict().items()}


def main() -> None:
    settings: dict[str, Any] = {"seed": 0, "look": 4, "save_seconds": 0.0}
    for word in sys.argv[2:]:
        name, _, value = word.partition("=")
        settings[name] = float(value) if "." in value else int(value)
    ours = {name: settings.pop(name) for name in ("dropout", "epochs", "patience", "rate") if name in settings}
    seed = settings.pop("seed")
    toy = Toy(**ours)
    train.run(toy.stages(), seed, Run(out=sys.argv[1], device="cpu", **settings), {"seed": seed, **ours})
    if rank() == 0:
        torch.save(toy.weights(), f"{sys.argv[1]}/weights.pt")


if __name__ == "__main__":
    main()
