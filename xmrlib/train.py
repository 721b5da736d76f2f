"""The one training loop: every network of this library goes through `run`.

    xmr train dscmr --data scenes --out runs/dscmr                                    # killed? the same line goes on
    torchrun --nproc-per-node 8 -m xmrlib train dscmr --data scenes --out runs/dscmr  # the same with eight processes

A method yields stages. A stage's `step` computes losses, calls `loop.backward(loss)` and `loop.update("optimiser")` in
the order and as often as the paper has it. All else is here: the order of the data, precision, processes, guards,
checkpoints, the log.

What is random in a step depends on (seed, stage, step, process) alone. So no state of a random generator has to be
kept, and a run that was killed ends with the same weights, on a CPU bit for bit, as one that was not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xmrlib.checkpoint import Keeper
from xmrlib.distributed import average_gradients, processes, rank
from xmrlib.guards import Watch, agree, check_sizes, memory_advice, signals
from xmrlib.settings import progress
from xmrlib.stages import Run, Stage


@dataclass
class Loop:
    """What a stage's step may use and know."""

    fabric: Any
    run: Run
    stage: Stage
    steps: int  # in an epoch
    step: int = 0  # of this stage, from 0
    calls: dict[str, int] = field(default_factory=dict)
    scaled: bool = False  # whether gradients come from `backward`, which in fp16 makes them larger by a factor

    @property
    def done(self) -> float:
        """The epochs of this stage that lie behind, with their fraction."""
        return self.step / self.steps

    @property
    def device(self) -> torch.device:
        """Where batches and modules are."""
        return self.fabric.device

    @property
    def pending(self) -> bool:
        """Whether gradients wait for an optimiser to move. No checkpoint falls there: it would lose them."""
        entries = self.stage.optimisers.values()
        return any(p.grad is not None for o in entries for group in o.optimiser.param_groups for p in group["params"])

    def due(self, name: str) -> bool:
        """Whether it is the turn of an optimiser that moves at every so many-th step."""
        return self.step % self.stage.optimisers[name].every == 0

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""
        self.scaled = True
        self.fabric.backward(loss / self.run.accumulate)

    def update(self, name: str) -> None:
        """Let an optimiser move along its gradients, then forget these. A step may have written `.grad` itself."""
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.calls[name] % self.run.accumulate:
            return
        entry = self.stage.optimisers[name]
        for group in entry.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * entry.schedule(self.done, self.stage.epochs)
        parameters = [p for group in entry.optimiser.param_groups for p in group["params"]]
        average_gradients(parameters)
        if self.scaled:
            if entry.clip is not None:
                self.fabric.clip_gradients(nn.Module(), entry.optimiser, max_norm=entry.clip, error_if_nonfinite=False)
            self.fabric.strategy.optimizer_step(entry.optimiser)
        else:  # the step wrote `.grad` itself
            if entry.clip is not None:
                nn.utils.clip_grad_norm_(parameters, entry.clip)
            entry.optimiser.step()
        entry.optimiser.zero_grad()


def fabric_for(run: Run) -> Any:
    """The device, the precision and the processes of a run, as Lightning Fabric; started by `torchrun` it joins in."""
    from lightning_fabric import Fabric

    together = int(os.environ.get("WORLD_SIZE", 1)) > 1
    device = run.device if run.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    native = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    precision = run.precision if run.precision != "auto" else "bf16" if native else "fp32"
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if together else 1
    fabric = Fabric(
        accelerator=device,
        devices=here,
        num_nodes=int(os.environ["WORLD_SIZE"]) // here if together else 1,
        strategy="ddp" if together else "auto",
        precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[precision],
    )
    fabric.launch()
    return fabric


def run(stages: Iterable[Stage], seed: int, how: Run, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Train all stages, one after the other, and return the log.

    about  what decides the result (method, configuration, vocabulary, data) as plain JSON values: a checkpoint in
           `how.out` that was made with anything else is refused

    Where `how.out` holds a checkpoint, training goes on from it. SIGTERM and Ctrl-C save first. Raises TrainingStopped
    where the loss is no number any more, memory runs out, or the processor lacks a kernel for the precision; ValueError
    for a batch that cannot be made.
    """
    fabric = fabric_for(how)
    keeper = Keeper(how, about, fabric)
    with signals() as asked:
        for index, stage in enumerate(_seeded(stages, seed)):
            check_sizes(stage, how)
            keeper.enter(index, stage)
            if index >= keeper.place["stage"]:
                _run_stage(index, stage, seed, keeper, asked)
                keeper.leave(stage)
            else:
                for module in stage.modules.values():
                    module.eval()
    return keeper.log


def _run_stage(index: int, stage: Stage, seed: int, keeper: Keeper, asked: list[int]) -> None:
    how, fabric, place = keeper.how, keeper.fabric, keeper.place
    loop = Loop(fabric, how, stage, len(stage.data) // stage.batch, place["step"])
    data = stage.data.to(fabric.device) if hasattr(stage.data, "to") and not how.workers else stage.data
    watch, batches, saved = Watch(loop, keeper), None, time.monotonic()
    bar = progress(range(loop.step, stage.epochs * loop.steps), label=stage.name)
    say = getattr(bar, "set_postfix_str", lambda words: None)
    for loop.step in bar:
        epoch, first = divmod(loop.step, loop.steps)
        if first == 0 and stage.patience is not None and epoch - 1 - place["best_epoch"] >= stage.patience:
            return
        if batches is None or first == 0:
            batches = _deal(stage, data, how.workers, _number(seed, index, epoch), first)
            for module in stage.modules.values():
                module.train()
        torch.manual_seed(_number(seed, index, loop.step, 1 + rank()))
        with memory_advice(stage), fabric.autocast():
            watch.add(stage.step(fabric.to_device(next(batches)), loop))
        place["step"] = loop.step + 1
        ended = place["step"] % loop.steps == 0
        late = time.monotonic() - saved > how.save_seconds
        # Several processes look, and may save, at the same steps; one process may do so at any.
        if not (ended or place["step"] % how.look == 0 or (processes() == 1 and (late or asked))):
            continue
        say(f"epoch {epoch + 1}/{stage.epochs}, {watch.look()}{keeper.words()}")
        if ended and stage.measure is not None:
            keeper.measured(stage.measure, epoch)
            say(f"epoch {epoch + 1}/{stage.epochs}{keeper.words()}")
        if ended:  # what an epoch leaves over of gradients is dropped
            loop.calls.clear()
            for entry in stage.optimisers.values():
                entry.optimiser.zero_grad()
        stop, late = agree(bool(asked), late)
        if (ended or late or stop) and not loop.pending:
            keeper.save()
            saved = time.monotonic()
            if stop:
                kept = f"saved in {keeper.path}; the same command goes on from there" if keeper.path else "nothing kept"
                raise KeyboardInterrupt(f"stopped in epoch {epoch + 1} of {stage.name}: {kept}")


def _seeded(stages: Iterable[Stage], seed: int) -> Iterator[Stage]:
    """The stages, each made with a seed of its own: its initial weights do not depend on the stages before it."""
    iterator = iter(stages)
    for index in range(10**6):
        torch.manual_seed(_number(seed, index))
        stage = next(iterator, None)
        if stage is None:
            return
        yield stage


def _number(*parts: int) -> int:
    """One number out of several, as different for neighbours as chance would make it."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _deal(stage: Stage, data: Any, workers: int, seed: int, first: int) -> Iterator[Any]:
    """The batches of an epoch from the `first` on: each process its share of each; what does not fill one is left."""
    generator = torch.Generator().manual_seed(seed)
    order = stage.order(generator) if stage.order else torch.randperm(len(data), generator=generator)
    share = stage.batch // processes()
    rows = [batch[rank() * share :][:share] for batch in order.split(stage.batch) if len(batch) == stage.batch]
    if workers:
        return iter(
            DataLoader(
                data, batch_size=None, sampler=rows[first:], num_workers=workers, pin_memory=torch.cuda.is_available()
            )
        )
    return (data[share] for share in rows[first:])
