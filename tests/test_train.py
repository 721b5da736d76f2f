"""The loop: what it promises about going on, about several processes, and about what ends it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import torch
from torch import nn
from training_toy import Toy

from xmrlib import checkpoint, train
from xmrlib.checkpoint import CheckpointError
from xmrlib.guards import TrainingStopped
from xmrlib.stages import Optimiser, Run, Stage, Table, constant, cosine, drop

PROGRAM = Path(__file__).with_name("training_toy.py")
VSE_PROGRAM = Path(__file__).with_name("training_vse.py")


def trained(out=None, toy=None, about=None, **settings):
    """The weights after a training in this process."""
    toy = toy or Toy()
    settings = {"device": "cpu", "look": 4, "save_seconds": 0.0} | settings
    log = train.run(toy.stages(), 0, Run(out=out, **settings), about or {"seed": 0})
    return toy, toy.weights(), log


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def program(out, *words, processes=1, wait=True, file=PROGRAM):
    """The toy, or another file, as a program of its own, in one process or several; returns the weights it left."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", str(free_port())]
    command = [sys.executable, *(launch if processes > 1 else []), str(file), str(out), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parent.parent)}
    running = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    if not wait:
        return running
    _, complaints = running.communicate(timeout=300)
    assert running.returncode == 0, complaints
    return torch.load(out / "weights.pt") if (out / "weights.pt").exists() else None


def free_port():
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cut(Exception):
    """Stands for the end of the process."""


def cut_at(toy, stage, step):
    """The toy, which ends in the middle of a step."""
    whole = toy.stages

    def stages():
        for entry in whole():
            inner = entry.step

            def cutting(batch, loop, inner=inner):
                if (loop.stage.name, loop.step) == (stage, step):
                    raise Cut
                return inner(batch, loop)

            entry.step = cutting
            yield entry

    toy.stages = stages
    return toy


# -- going on


@pytest.mark.parametrize(("stage", "step"), [("one", 0), ("one", 3), ("one", 6), ("one", 17), ("two", 0), ("two", 10)])
@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path, stage, step, seconds):
    _, unbroken, _ = trained()
    with pytest.raises(Cut):
        trained(tmp_path, cut_at(Toy(), stage, step), save_seconds=seconds)
    toy, resumed, _ = trained(tmp_path)
    same(unbroken, resumed)
    # "one" can be kept after its odd steps only: in between, gradients of its second optimiser wait.
    begin = step // 6 * 6 if seconds else max(step - 1 + step % 2, step // 6 * 6) if stage == "one" else step
    assert toy.steps[0] == (stage, begin), "it goes on from the last checkpoint"


def test_accumulated_gradients_are_not_lost_between_two_checkpoints(tmp_path):
    _, unbroken, _ = trained(accumulate=4)
    with pytest.raises(Cut):
        trained(tmp_path, cut_at(Toy(), "one", 6), accumulate=4)
    toy, resumed, _ = trained(tmp_path, accumulate=4)
    assert toy.steps[0] != ("one", 0)
    same(unbroken, resumed)


def test_accumulation_is_the_mean_over_the_batches():
    """Two batches of ten, accumulated, move the weights as one of twenty does where the loss is a mean over items."""

    def once(batch, accumulate):
        torch.manual_seed(0)
        net = nn.Linear(3, 1)
        x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))

        def step(rows, loop):
            loss = net(rows["x"]).square().mean()
            loop.backward(loss)
            loop.update("net")
            return {"loss": loss}

        optimiser = Optimiser(torch.optim.SGD(net.parameters(), lr=0.1))
        stage = Stage("s", {"net": net}, {"net": optimiser}, Table(x=x), batch, 1, step)
        train.run([stage], 0, Run(device="cpu", accumulate=accumulate), {})
        return net.weight.detach()

    torch.testing.assert_close(once(20, 1), once(10, 2))


def test_a_finished_training_is_not_done_again(tmp_path):
    _, before, log = trained(tmp_path)
    toy, after, again = trained(tmp_path)
    same(before, after)
    assert toy.steps == [] and again == log


def test_early_stopping_is_the_same_after_a_cut(tmp_path):
    make = lambda: Toy(epochs=40, patience=2, rate=0.05)  # noqa: E731
    toy, unbroken, log = trained(toy=make())
    ran = 1 + max(step for name, step in toy.steps if name == "one") // 6
    values = [line["validation"] for line in log if "validation" in line]
    assert ran == len(values) == values.index(max(values)) + 3 < 40
    for step in (ran * 6 - 2, 6):
        with pytest.raises(Cut):
            trained(tmp_path / str(step), cut_at(make(), "one", step))
        same(unbroken, trained(tmp_path / str(step), make())[1])
    with pytest.raises(Cut):  # after the last epoch was measured, before the next stage began
        trained(tmp_path / "end", cut_at(make(), "two", 0))
    same(unbroken, trained(tmp_path / "end", make())[1])


def test_the_weights_of_the_best_epoch_are_kept():
    toy, weights, log = trained(toy=Toy(epochs=10, rate=0.05))
    best = max(line["validation"] for line in log if "validation" in line)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 6, generator=generator)
    y = torch.randn(120, 6, generator=generator) + x.roll(1, dims=1)
    with torch.no_grad():
        value = -float(nn.functional.mse_loss(toy.modules["first"].eval()(x), toy.modules["other"](y)))
    assert value == pytest.approx(best, abs=1e-7)


def test_a_killed_program_goes_on_to_the_same_weights(tmp_path):
    _, unbroken, _ = trained(toy=Toy(epochs=30))
    dice, kills = random.Random(3), 0
    log = tmp_path / "log.jsonl"
    while kills < 3:
        running = program(tmp_path, "epochs=30", wait=False)
        before, deadline = (log.read_text() if log.exists() else ""), time.monotonic() + 60
        while running.poll() is None and (not log.exists() or log.read_text() == before):
            assert time.monotonic() < deadline
            time.sleep(0.01)  # until it has begun; some rounds later it is killed
        time.sleep(0.2 * dice.random())
        if running.poll() is not None:
            break
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        kills += 1
    assert kills, "the program was over before it could be killed once"
    same(unbroken, program(tmp_path, "epochs=30"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_first_and_says_where(tmp_path, number):
    running = program(tmp_path, "epochs=4000", "save_seconds=1000.0", wait=False)
    log = tmp_path / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(number)
    _, complaints = running.communicate(timeout=60)
    assert running.returncode != 0
    assert "stopped in epoch" in complaints and "last.safetensors" in complaints
    about, _ = checkpoint.read(tmp_path / "last.safetensors", 1)
    assert about["place"]["step"] > 0


def test_the_log_of_a_resumed_run_is_that_of_an_unbroken_one(tmp_path):
    plain = lambda log: [{k: v for k, v in line.items() if k != "seconds"} for line in log]  # noqa: E731
    _, _, unbroken = trained(tmp_path / "whole", save_seconds=1000.0)
    with pytest.raises(Cut):
        trained(tmp_path / "cut", cut_at(Toy(), "one", 16), save_seconds=1000.0)
    with (tmp_path / "cut" / "log.jsonl").open("a") as file:
        file.write('{"stage": "one", "sta')  # the line that was being written
    _, _, resumed = trained(tmp_path / "cut", save_seconds=1000.0)
    assert plain(resumed) == plain(unbroken)
    written = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert plain(written) == plain(unbroken)
    assert {"stage", "stage_number", "step", "loss", "trace", "learning_rate", "seconds"} <= written[0].keys()


# -- checkpoints


def test_another_run_is_refused_with_the_difference(tmp_path):
    trained(tmp_path, about={"method": "VSE", "vocabulary": "a1", "batch": 20})
    with pytest.raises(CheckpointError, match='batch: there 20, here 40; vocabulary: there "a1", here "b2"'):
        trained(tmp_path, about={"method": "VSE", "vocabulary": "b2", "batch": 40})


def test_a_crash_while_writing_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = checkpoint.write(tmp_path / "c.safetensors", {"a": torch.ones(3)}, {"format": 1})
    whole = path.read_bytes()
    for broken in ("save_file", "os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"xmrlib.checkpoint.{broken}", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                checkpoint.write(path, {"a": torch.zeros(3)}, {"format": 1})
        assert path.read_bytes() == whole
        assert [found.name for found in tmp_path.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("kept", [0, 1, 7, 60, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path, kept):
    path = checkpoint.write(tmp_path / "c.safetensors", {"a": torch.arange(30)}, {"format": 1})
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        checkpoint.read(path, 1)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_an_optimiser_comes_back_as_it_was(kind):
    def moved(net, optimiser, times):
        for _ in range(times):
            net(torch.ones(1, 3)).square().sum().backward()
            optimiser.step()
            optimiser.zero_grad()

    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimiser = kind(net.parameters(), lr=0.1)
    moved(net, optimiser, 3)
    tensors, facts = checkpoint.optimiser_state(optimiser)
    other = nn.Linear(3, 2)
    other.load_state_dict(net.state_dict())
    again = kind(other.parameters(), lr=0.5)
    checkpoint.restore_optimiser(again, {k: t.clone() for k, t in tensors.items()}, json.loads(json.dumps(facts)))
    moved(net, optimiser, 2)
    moved(other, again, 2)
    assert torch.equal(net.weight, other.weight)


# -- several processes


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_learn_what_one_does(tmp_path, accumulate):
    """Batch norm, in-batch losses, two optimisers, accumulation: everything that looks across the shares."""
    together = program(tmp_path, "dropout=0.0", f"accumulate={accumulate}", "save_seconds=1000.0", processes=2)
    _, alone, log = trained(toy=Toy(dropout=0.0), accumulate=accumulate, save_seconds=1000.0)
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, atol=1e-5, rtol=1e-5, msg=name)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for mine, theirs in zip(log, lines, strict=True):
        for name in ("loss", "validation"):
            assert mine.get(name) == pytest.approx(theirs.get(name), abs=1e-5)


def test_two_processes_train_vse_to_the_same_loss_curve(tmp_path):
    curves = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        program(out, processes=processes, file=VSE_PROGRAM)
        curves.append([json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()])
    assert len(curves[0]) == len(curves[1]) == 4 * 4 + 4
    for alone, together in zip(*curves, strict=True):
        for name in ("loss", "validation"):
            assert alone.get(name) == pytest.approx(together.get(name), abs=1e-5)


def test_two_processes_that_were_killed_go_on_to_the_same_bits(tmp_path):
    words = ("epochs=20", "look=1")
    running = program(tmp_path / "killed", *words, processes=2, wait=False)
    deadline = time.monotonic() + 90
    while not (tmp_path / "killed" / "last.safetensors").exists():
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    same(program(tmp_path / "whole", *words, processes=2), program(tmp_path / "killed", *words, processes=2))


# -- what ends a training


def one_stage(losses=None, **changes):
    """A stage of ten items, whose loss can be dictated."""
    torch.manual_seed(0)
    net = nn.Linear(2, 1)

    def step(batch, loop):
        loss = net(batch["x"]).mean() * 0 + (1.0 if losses is None else losses(loop.step))
        loop.backward(loss)
        loop.update("net")
        return {"loss": loss}

    settings = dict(data=Table(x=torch.randn(10, 2)), batch=5, epochs=5, step=step) | changes
    return Stage("small", {"net": net}, {"net": Optimiser(torch.optim.SGD(net.parameters(), lr=0.25))}, **settings)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
def test_a_loss_that_is_no_number_stops_with_what_one_needs(tmp_path, bad):
    stage = one_stage(lambda step: bad if step >= 5 else 1.0)
    with pytest.raises(TrainingStopped) as stopped:
        train.run([stage], 0, Run(out=tmp_path, device="cpu", look=2), {})
    said = str(stopped.value)
    assert "step 2 of epoch 3" in said and "net 2.50e-01" in said and "Lower the learning rate" in said
    assert f"{tmp_path / 'last.safetensors'}, stage 1, step 4" in said
    about, tensors = checkpoint.read(tmp_path / "last.safetensors", 1)
    assert about["place"]["step"] == 4 and all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_out_of_memory_says_which_size_to_lower():
    def step(batch, loop):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with pytest.raises(TrainingStopped, match=r"out of memory with batch=5\. Lower the batch.*20 GiB"):
        train.run([one_stage(step=step)], 0, Run(device="cpu"), {})


def test_a_kernel_that_is_not_there_says_which_precision_to_take():
    def step(batch, loop):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive.")

    with pytest.raises(TrainingStopped, match=r'mixed precision\. Take precision="fp32"\. It said: could not create'):
        train.run([one_stage(step=step)], 0, Run(device="cpu", precision="bf16"), {})


def test_other_faults_of_a_step_are_left_as_they_are():
    def step(batch, loop):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="^shapes do not fit$") as fault:
        train.run([one_stage(step=step)], 0, Run(device="cpu"), {})
    assert not isinstance(fault.value, TrainingStopped)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 11}, "batch=11 is more than the 10 training items. Set batch to 10 or less"),
        ({"batch": 0}, "batch=0 must both be at least 1"),
        ({"epochs": 0}, "epochs=0"),
        ({"patience": 2}, "patience=2 needs a validation split"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        train.run([one_stage(**changes)], 0, Run(device="cpu"), {})


def test_a_measure_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="measure of small is nan after epoch 1"):
        train.run([one_stage(measure=lambda: float("nan"))], 0, Run(device="cpu"), {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "tpu"}, "device='tpu' is unknown"),
        ({"precision": "fp8"}, "precision='fp8' is unknown"),
        ({"accumulate": 0}, "accumulate=0 is below 1"),
        ({"look": 0}, "look=0 is below 1"),
    ],
)
def test_a_run_that_cannot_be_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Run(**settings)


def test_a_gpu_that_is_not_there_is_missed_at_the_door(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match='no GPU that torch can see. Use device="cpu"'):
        Run(device="cuda")


def test_tensorboard_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        train.run([one_stage()], 0, Run(out=tmp_path, device="cpu", tensorboard=True), {})


# -- rates, norms, precision


@pytest.mark.parametrize("writes", [False, True], ids=["backward", "writes .grad itself"])
def test_schedules_and_clipping_reach_the_optimiser(writes):
    rates, norms = [], []
    net = nn.Linear(2, 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=2.0)
    plain = optimiser.step

    def spying(*arguments, **options):
        rates.append(optimiser.param_groups[0]["lr"])
        norms.append(float(torch.cat([p.grad.flatten() for p in net.parameters()]).norm()))
        return plain(*arguments, **options)

    optimiser.step = spying

    def step(batch, loop):
        loss = 100 * net(batch["x"]).sum()
        if writes:
            for parameter, gradient in zip(net.parameters(), torch.autograd.grad(loss, net.parameters()), strict=True):
                parameter.grad = gradient
        else:
            loop.backward(loss)
        loop.update("net")
        return {"loss": loss}

    entry = Optimiser(optimiser, drop(1, 0.5), clip=0.1)
    train.run(
        [Stage("s", {"net": net}, {"net": entry}, Table(x=torch.ones(4, 2)), 2, 3, step)], 0, Run(device="cpu"), {}
    )
    assert rates == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
    assert max(norms) <= 0.1 + 1e-6
    assert constant(3, 10) == 1 and cosine(2)(1, 10) == 0.5 and cosine()(10, 10) == pytest.approx(0)


def test_gradients_that_a_step_writes_itself_are_not_scaled_back():
    """In fp16 a loss is scaled up before its backward pass; what was written by hand never was."""
    net = nn.Linear(2, 1, bias=False)
    before = net.weight.detach().clone()
    optimiser = torch.optim.SGD([{"params": [net.weight], "initial_lr": 1.0}], lr=1.0)
    stage = Stage(
        "s", {"net": net}, {"net": Optimiser(optimiser)}, Table(x=torch.ones(4, 2)), 2, 3, lambda batch, loop: {}
    )

    class Refusing:
        def __getattr__(self, name):
            raise AssertionError(f"a step without a backward pass needs no {name} of the precision")

    loop = train.Loop(types.SimpleNamespace(strategy=Refusing()), Run(device="cpu"), stage, steps=2)
    net.weight.grad = torch.full_like(net.weight, 0.5)
    loop.update("net")
    assert torch.equal(net.weight, before - 0.5)


def test_mixed_precision_runs_and_stays_close():
    _, plain, _ = trained(toy=Toy(dropout=0.0))
    _, mixed, _ = trained(toy=Toy(dropout=0.0), precision="bf16")
    assert any(not torch.equal(plain[name], mixed[name]) for name in plain)
    for name, tensor in plain.items():
        torch.testing.assert_close(mixed[name], tensor, atol=0.05, rtol=0.2, msg=name)


def test_batches_may_be_prepared_by_other_processes():
    same(trained()[1], trained(workers=2)[1])


def test_the_order_can_be_the_methods_own():
    seen = []

    def step(batch, loop):
        seen.append(batch["row"].tolist())
        return {"loss": batch["row"].sum()}

    order = lambda generator: torch.tensor([3, 2, 1, 0])  # noqa: E731
    stage = Stage("s", {}, {}, Table(row=torch.arange(4.0)), 2, 2, step, order=order)
    train.run([stage], 0, Run(device="cpu"), {})
    assert seen == [[3, 2], [1, 0]] * 2


def test_one_name_means_one_module():
    first, second = one_stage(), one_stage()
    with pytest.raises(ValueError, match="calls another module 'net'"):
        train.run([first, second], 0, Run(device="cpu"), {})


COMPILED = """
from test_networks import model, pairs
from xmrlib.stages import Run

data = pairs(16)
eager, compiled = (model("dscmr").fit(data, run=Run(device="cpu", compile=how)) for how in (False, True))
assert not any(module._compiled_call_impl for module in eager.network.modules())
assert sum(module._compiled_call_impl is not None for module in compiled.network.modules()) >= 4
difference = (eager.similarity(data) - compiled.similarity(data)).abs().max()
assert difference < 1e-4, difference
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_compiled_parts_learn_the_same():
    """In a process of its own, for what is compiled must not carry the tests' shape checker."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, timeout=900, cwd=PROGRAM.parent
    )
    assert done.returncode == 0, done.stderr[-2000:]
