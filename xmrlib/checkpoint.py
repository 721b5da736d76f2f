"""Checkpoints: tensors and a JSON description in one safetensors file, whole or not there at all. And what a run keeps.

A file is written beside its place under another name, brought to the disk, and only then given its name. Whoever is
killed at any moment leaves the last good file. Nothing in a checkpoint is executed when it is read.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from xmrlib.distributed import broadcast, rank
from xmrlib.stages import Run, Stage


class CheckpointError(ValueError):
    """A checkpoint does not fit what it is asked for; the message names what it holds and the remedy."""


def write(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write `tensors` and what is to be known `about` them (plain JSON values) to `path`, all or nothing.

    Raises OSError where there is no room; what stood at `path` before then still stands there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A copy each: parts of a network may share storage, which the format does not know.
    kept = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    try:
        save_file(kept, draft, {"xmrlib": json.dumps(about)})
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must survive a power cut
    finally:
        os.close(folder)
    return path


def read(path: str | Path, format: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the checkpoint at `path` says of itself, and its tensors.

    Raises CheckpointError where there is none, where it is cut short, or where it has another `format`.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}. Write one with model.save, or with `xmr train`.")
    try:
        with safe_open(path, framework="pt") as reader:
            about = json.loads((reader.metadata() or {}).get("xmrlib", "null"))
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}
    except (SafetensorError, json.JSONDecodeError) as fault:
        raise CheckpointError(f"{path} is no whole checkpoint ({fault}). Copy it again, or train again.") from fault
    found = about.get("format") if isinstance(about, dict) else "none"
    if found != format:
        raise CheckpointError(f"{path} has checkpoint format {found}; this version reads {format}. Train again.")
    return about, tensors


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it.

    >>> with_prefix({"text.idf": torch.ones(1), "model.w": torch.ones(1)}, "text.")
    {'idf': tensor([1.])}
    """
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimiser knows, as tensors and as plain JSON values."""
    state = optimiser.state_dict()
    tensors, numbers = {}, {}
    for place, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{place}.{name}"] = value
            else:
                numbers[f"{place}.{name}"] = value
    return tensors, {"numbers": numbers, "groups": state["param_groups"]}


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Give `optimiser` the state that `optimiser_state` described."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **about["numbers"]}.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = value
    groups = [group | {"betas": tuple(group["betas"])} if "betas" in group else group for group in about["groups"]]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def refuse_if_different(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: Path) -> None:
    """Raise CheckpointError, naming each difference, where a run would go on from another method, data or settings."""
    differences = [
        f"{name}: there {_short(saved.get(name))}, here {_short(wanted.get(name))}"
        for name in sorted({*saved, *wanted})
        if saved.get(name) != wanted.get(name)
    ]
    if differences:
        raise CheckpointError(
            f"{where} belongs to another run ({'; '.join(differences)}). Choose another folder, delete it to begin "
            "again, or use the settings that it was made with."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Keeper:
    """What a run keeps: modules, optimisers and position in `out`/last.safetensors, its log in `out`/log.jsonl.

    One file holds the present and the best weights, so that the two can never belong to different moments.
    """

    FORMAT = 1

    def __init__(self, how: Run, about: Mapping[str, Any], fabric: Any) -> None:
        self.how, self.about, self.fabric = how, json.loads(json.dumps(about)), fabric
        self.path = None if how.out is None else Path(how.out) / "last.safetensors"
        self.place: dict[str, Any] = {"stage": 0, "step": 0, "best": None, "best_epoch": -1}
        self.modules: dict[str, nn.Module] = {}
        self.best: dict[str, Tensor] = {}
        self.log: list[dict[str, Any]] = []
        self.index, self.stage, self.found, self.written = 0, None, {}, None
        if self.path is not None and self.path.exists():
            saved, self.found = read(self.path, self.FORMAT)
            refuse_if_different(saved["about"], self.about, self.path)
            self.place, self.states, self.written = saved["place"], saved["optimisers"], dict(saved["place"])
            self.log = self._log_so_far()
        if rank() == 0 and self.path is not None:
            # What a killed run logged after its last checkpoint will be logged again.
            text = "".join(json.dumps(record) + "\n" for record in self.log)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._log_path.write_text(text, encoding="utf-8")
        self.board = _tensorboard(how) if how.tensorboard and rank() == 0 else None

    @property
    def _log_path(self) -> Path:
        return self.path.with_name("log.jsonl")

    def _log_so_far(self) -> list[dict[str, Any]]:
        if not self._log_path.exists():
            return []
        here = self.place["stage"], self.place["step"]
        found = []
        for line in self._log_path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                break  # the line that was being written
            if (record["stage_number"], record["step"]) <= here:
                found.append(record)
        return found

    def enter(self, index: int, stage: Stage) -> None:
        """Make a stage ready: modules to the device, and the state of an earlier run where there is one."""
        self.index, self.stage = index, stage
        for name, module in stage.modules.items():
            if self.modules.setdefault(name, module) is not module:
                raise ValueError(f"stage {stage.name!r} calls another module {name!r} than an earlier stage does.")
            self.fabric.to_device(module)
            kept = with_prefix(self.found, f"modules.{name}.")
            if kept:
                module.load_state_dict(kept)
            if self.how.compile:
                _compile(module)
        broadcast(list(stage.modules.values()))
        for entry in stage.optimisers.values():
            for group in entry.optimiser.param_groups:
                group.setdefault("initial_lr", group["lr"])
        if index == self.place["stage"] and self.place["step"]:
            for name, entry in stage.optimisers.items():
                restore_optimiser(entry.optimiser, with_prefix(self.found, f"optimisers.{name}."), self.states[name])
            self.fabric.strategy.precision.load_state_dict(self.states["precision"])
            self.best = with_prefix(self.found, "best.")
        if index == self.place["stage"]:
            self.found = {}  # from here on the modules know more than the file

    def leave(self, stage: Stage) -> None:
        """End a stage: its modules get the weights of the best epoch, if one was measured."""
        for name, module in stage.modules.items():
            if self.best:
                module.load_state_dict(with_prefix(self.best, f"{name}."))
            module.eval()
        self.place |= {"stage": self.index + 1, "step": 0, "best": None, "best_epoch": -1}
        self.best, self.stage = {}, None
        self.save()

    def measured(self, measure: Callable[[], float], epoch: int) -> None:
        """Take the value on the validation split; the weights of the best epoch so far are kept."""
        for module in self.stage.modules.values():
            module.eval()
        with torch.no_grad():
            value = float(measure()) if rank() == 0 else 0.0
        value = self.fabric.broadcast(value, src=0)
        if not math.isfinite(value):
            raise ValueError(
                f"the measure of {self.stage.name} is {value} after epoch {epoch + 1}; it must be a number."
            )
        better = self.place["best"] is None or value > self.place["best"]
        self.write({"step": self.place["step"], "epoch": epoch + 1, "validation": value, "best": better})
        if better:
            self.place |= {"best": value, "best_epoch": epoch}
            self.best = {
                f"{name}.{key}": tensor.detach().to("cpu", copy=True)
                for name, module in self.stage.modules.items()
                for key, tensor in module.state_dict().items()
            }

    def words(self) -> str:
        """The best value so far, for the progress bar."""
        best = self.place["best"]
        return "" if best is None else f", validation best {best:.4f} in epoch {self.place['best_epoch'] + 1}"

    def last_good(self) -> str:
        """Where the last checkpoint lies, for an error message."""
        if self.path is None:
            return "none, as no folder was given (`out`)"
        if self.written is None:
            return f"none yet in {self.path.parent}"
        return f"{self.path}, stage {self.written['stage'] + 1}, step {self.written['step']}"

    def write(self, record: dict[str, Any]) -> None:
        """Add a line to the log."""
        record = {"stage": self.stage.name, "stage_number": self.index, **record}
        self.log.append(record)
        if rank() == 0 and self.path is not None:
            with self._log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        if self.board is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self.board.add_scalar(f"{self.stage.name}/{name}", value, record["step"])

    def save(self) -> None:
        """Write everything that going on from here needs; one process writes for all, whose states are the same."""
        if rank() != 0 or self.path is None:
            return
        tensors = {f"best.{key}": tensor for key, tensor in self.best.items()}
        for name, module in self.modules.items():
            tensors |= {f"modules.{name}.{key}": tensor for key, tensor in module.state_dict().items()}
        states = {"precision": self.fabric.strategy.precision.state_dict()}
        for name, entry in (self.stage.optimisers if self.stage else {}).items():
            kept, states[name] = optimiser_state(entry.optimiser)
            tensors |= {f"optimisers.{name}.{key}": tensor for key, tensor in kept.items()}
        about = {"format": self.FORMAT, "about": self.about, "place": self.place, "optimisers": states}
        write(self.path, tensors, about)
        self.written = dict(self.place)


def _compile(module: nn.Module) -> None:
    """Compile a module, or the parts of one that has several ways in and no `forward`: a step calls those."""
    if type(module).forward is nn.Module.forward:
        for part in module.children():
            _compile(part)
    else:
        module.compile()


def _tensorboard(how: Run) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as fault:
        raise ImportError("tensorboard=True needs the package tensorboard: pip install tensorboard.") from fault
    if how.out is None:
        raise ValueError("tensorboard=True needs a folder: give `out`.")
    return SummaryWriter(Path(how.out) / "tensorboard")
