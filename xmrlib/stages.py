"""What a method says about its training: stages, their optimisers, their data. `train.py` runs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn

if TYPE_CHECKING:
    from xmrlib.train import Loop


@dataclass(frozen=True)
class Run:
    """Where and how to train. What decides the result stands in the method's configuration, not here.

    out           folder for checkpoint and log; None: nothing is kept, so that nothing can be resumed
    device        "auto" (a GPU if there is one), "cpu" or "cuda"
    precision     "auto": bf16 where a GPU has it natively, else fp32. Or "fp32", "bf16", "fp16" (mixed). On a CPU
                  LSTMs run in bf16 only where it has AVX-512
    accumulate    gradients to add up before an optimiser moves. A loss that compares the items of a batch with one
                  another does not see more of them by this
    save_seconds  time between two checkpoints; the end of an epoch makes one too
    look          steps between two looks at the losses, which wait on the device: for log, bar and guards
    workers       processes that prepare batches; 0 for data that lie in memory
    compile       compile the modules, or the parts that steps call, with torch.compile: a minute or more at first, and
                  again for validation
    tensorboard   write the log for TensorBoard as well (pip install tensorboard)
    """

    out: str | Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    accumulate: int = 1
    save_seconds: float = 60.0
    look: int = 50
    workers: int = 0
    compile: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("device", ("auto", "cpu", "cuda")), ("precision", ("auto", "fp32", "bf16", "fp16"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; choose one of {', '.join(allowed)}.")
        for name, least in (("accumulate", 1), ("look", 1), ("workers", 0), ("save_seconds", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is below {least}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError('device="cuda", and this machine has no GPU that torch can see. Use device="cpu".')


Schedule = Callable[[float, int], float]  # (epochs done, epochs in all) -> factor of the learning rate


def constant(done: float, epochs: int) -> float:
    """The learning rate as it is."""
    return 1.0


def drop(after: float, factor: float = 0.1) -> Schedule:
    """The learning rate times `factor` after every `after` epochs.

    >>> drop(15)(14.9, 30), drop(15)(15.0, 30)
    (1.0, 0.1)
    """
    return lambda done, epochs: factor ** math.floor(done / after)


def cosine(warmup: float = 0.0) -> Schedule:
    """Up in a straight line over `warmup` epochs, then down to 0 along half a cosine.

    >>> round(cosine(warmup=1)(0.5, 10), 2), round(cosine()(5.0, 10), 2)
    (0.5, 0.5)
    """

    def factor(done: float, epochs: int) -> float:
        if done < warmup:
            return done / warmup
        return 0.5 * (1 + math.cos(math.pi * min((done - warmup) / max(epochs - warmup, 1e-9), 1.0)))

    return factor


@dataclass
class Optimiser:
    """One optimiser of a stage; it moves when the step says `loop.update(name)`.

    schedule  factor of its learning rates over the epochs
    clip      the largest norm of its gradients; None: as they are
    every     `loop.due(name)` holds at every so many-th step only
    """

    optimiser: torch.optim.Optimizer
    schedule: Schedule = constant
    clip: float | None = None
    every: int = 1


@dataclass
class Stage:
    """A part of a method's training.

    modules     what is kept in the checkpoint, by name; a name means the same module in all stages
    data        `len(data)` items; `data[rows]` is the batch of some rows; `data.to(device)`, if there, moves it all
    batch       items in a step, of all processes together
    step        step(batch, loop) -> {"loss": ..., and whatever else the log should show}, tensors that stay on the
                device. It calls `loop.backward` and `loop.update` itself
    measure     the value on the validation split after an epoch, higher is better: the weights of the best epoch are
                kept. None: those of the last
    patience    stop after so many epochs without a better value; None: run all epochs
    order       order(generator) -> the rows of an epoch in order; None: all of them, shuffled
    """

    name: str
    modules: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimiser]
    data: Any
    batch: int
    epochs: int
    step: Callable[[Any, Loop], Mapping[str, Tensor]]
    measure: Callable[[], float] | None = None
    patience: int | None = None
    order: Callable[[torch.Generator], Int[Tensor, " item"]] | None = None


class Table:
    """Training data that lie in memory: named columns with one entry an item; a batch is the same columns, shorter.

    >>> table = Table(x=torch.arange(4.0), y=torch.tensor([0, 1, 0, 1]))
    >>> table[torch.tensor([2, 3])]
    {'x': tensor([2., 3.]), 'y': tensor([0, 1])}
    """

    def __init__(self, **columns: Shaped[Tensor, "item ..."]) -> None:
        self.columns = columns
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"the columns of a table differ in length: {lengths}.")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, rows: Int[Tensor, " row"]) -> dict[str, Tensor]:
        device = next(iter(self.columns.values())).device
        rows = rows.to(device)
        return {name: column[rows] for name, column in self.columns.items()}

    def to(self, device: torch.device) -> Table:
        """The same table on another device."""
        return Table(**{name: column.to(device) for name, column in self.columns.items()})
