"""What ends a training before its time, with a message that helps: bad sizes, bad losses, no memory, a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

from xmrlib.distributed import processes
from xmrlib.stages import Run, Stage

if TYPE_CHECKING:
    from xmrlib.checkpoint import Keeper
    from xmrlib.train import Loop

EXPLODED = 1e4  # a loss so many times the largest of the first steps does not come back


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message names the step, the learning rate, the last good checkpoint and a remedy."""


def check_sizes(stage: Stage, how: Run) -> None:
    """Raise ValueError where no batch can be made or nothing would be learnt."""
    if stage.epochs < 1 or stage.batch < 1:
        raise ValueError(f"{stage.name}: epochs={stage.epochs} and batch={stage.batch} must both be at least 1.")
    if len(stage.data) < stage.batch:
        raise ValueError(
            f"{stage.name}: batch={stage.batch} is more than the {len(stage.data)} training items. "
            f"Set batch to {len(stage.data)} or less."
        )
    if stage.batch % processes():
        raise ValueError(
            f"{stage.name}: batch={stage.batch} cannot be shared equally by {processes()} processes. "
            f"Set batch to a multiple of {processes()}."
        )
    if stage.patience is not None and stage.measure is None:
        raise ValueError(
            f"{stage.name}: patience={stage.patience} needs a validation split. Call fit(train, val=...), or set "
            "patience=None."
        )


class Watch:
    """Adds up the losses on the device; a look at them, every so often, is all that waits for the device."""

    def __init__(self, loop: Loop, keeper: Keeper) -> None:
        self.loop, self.keeper = loop, keeper
        self.sums: dict[str, Tensor] = {}
        self.count, self.limit, self.start = 0, float("inf"), time.monotonic()
        self.broken = torch.full((), -1, device=loop.device)  # the first step whose loss is no number, or beyond hope
        self.largest = torch.zeros((), device=loop.device)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take what a step returned."""
        loss = values["loss"].detach().float().abs()
        bad = ~(loss <= self.limit) | ~torch.isfinite(loss)
        self.broken = torch.where((self.broken < 0) & bad, self.loop.step, self.broken)
        self.largest = torch.maximum(self.largest, loss)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float()
        self.count += 1

    def look(self) -> str:
        """Read the mean losses since the last look and log them; raise TrainingStopped where one is no number."""
        worst, sums = torch.stack([self.broken.double(), self.largest.double()]), torch.stack([*self.sums.values()])
        if processes() > 1:
            distributed.all_reduce(worst, distributed.ReduceOp.MAX)
            distributed.all_reduce(sums)
        first, largest, *sums = torch.cat([worst, sums / processes()]).tolist()
        rates = {name: entry.optimiser.param_groups[0]["lr"] for name, entry in self.loop.stage.optimisers.items()}
        if first >= 0:
            epoch, step = divmod(int(first), self.loop.steps)
            at = ", ".join(f"{name} {rate:.2e}" for name, rate in rates.items())
            raise TrainingStopped(
                f"{self.loop.stage.name}: from step {step + 1} of epoch {epoch + 1} on the loss is no number, or more "
                f"than {EXPLODED:g} times what it was at first; learning rate: {at}. Last good checkpoint: "
                f"{self.keeper.last_good()}. Lower the learning rate, or clip the gradients."
            )
        if self.limit == float("inf"):
            self.limit = EXPLODED * max(largest, 1e-3)
        means = {name: total / max(self.count, 1) for name, total in zip(self.sums, sums, strict=True)}
        seconds = round(time.monotonic() - self.start, 3)
        self.keeper.write({"step": self.keeper.place["step"], **means, "learning_rate": rates, "seconds": seconds})
        self.sums, self.count = {}, 0
        return ", ".join(f"{name} {mean:.4g}" for name, mean in means.items())


def agree(*wishes: bool) -> list[bool]:
    """What any of the processes wishes: all must do the same, or they would wait for one another for ever."""
    if processes() == 1:
        return list(wishes)
    asked = torch.tensor(wishes, dtype=torch.uint8)
    if distributed.get_backend() == "nccl":
        asked = asked.cuda()
    distributed.all_reduce(asked, distributed.ReduceOp.MAX)
    return asked.bool().tolist()


@contextmanager
def signals() -> Iterator[list[int]]:
    """Note SIGTERM and Ctrl-C in the list that is yielded, so that the loop can save; a second one ends at once."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def memory_advice(stage: Stage) -> Iterator[None]:
    """Turn "out of memory", and a kernel that this processor lacks, into a message that says what to change."""
    try:
        yield
    except RuntimeError as fault:
        if "could not create a primitive" in str(fault):  # oneDNN: an LSTM in bf16 needs AVX-512
            advice = 'this processor has no kernel for a layer in mixed precision. Take precision="fp32"'
        elif isinstance(fault, torch.OutOfMemoryError) or "can't allocate memory" in str(fault):
            advice = (
                f"out of memory with batch={stage.batch}. Lower the batch (and set accumulate, to keep the number of "
                'items per move), take precision="bf16", or shorten texts and regions'
            )
        else:
            raise
        raise TrainingStopped(f"{stage.name}: {advice}. It said: {fault}") from fault
