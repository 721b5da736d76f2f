"""The benchmarks on tiny sizes: every method runs, and those that should agree with ours do."""

from __future__ import annotations

import dataclasses
import importlib.util
import json

import pytest

import xmrlib
from benchmarks import cran, evaluate, mcsm, run, search, training, worker

NEEDS = {"torchmetrics": "torchmetrics", "pytorch-metric-learning": "pytorch_metric_learning", "faiss, flat": "faiss"}
# torchmetrics drops relevant items whose score is not above 0.
WRONG = {"torchmetrics"}
TINY = {
    "map": {"images": 90, "dim": 16},
    "recall": {"images": 40, "dim": 16},
    "mcsm": {"images": 40, "dim": 16},
    **dict.fromkeys(("cran", "cran pooled", "cran grounded"), {"images": 4, "regions": 3, "dim": 8}),
    "search": {"images": 3000, "dim": 16, "queries": 7},
}
TASKS = evaluate.TASKS | mcsm.TASKS | cran.TASKS | search.TASKS
METHODS = [(name, task, method) for name, task in TASKS.items() for method in task.methods]


@pytest.mark.parametrize(("name", "task", "method"), METHODS, ids=[f"{name}-{method}" for name, _, method in METHODS])
def test_each_method_agrees_with_ours(name, task, method):
    package = NEEDS.get(method.split(",")[0] if method.startswith("torchmetrics") else method)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (pip install xmrlib[bench])")
    data = task.data(**TINY[name])
    ours = task.methods[run.OURS](task.prepare.get(run.OURS, dict)(data))
    theirs = task.methods[method](task.prepare.get(method, dict)(data))
    found = run.agreement(theirs, ours, task.agree)
    assert found == ("" if not theirs else "equal") or (method in WRONG and found.startswith("differs"))


def test_a_measurement_in_a_process_of_its_own():
    found = run.measure("benchmarks.evaluate", "recall", run.OURS, TINY["recall"], limit=120)
    assert found["seconds"] > 0 and found["peak_mb"] >= 0 and set(found["values"]) >= {"r1_i2t", "medr_t2i"}
    assert run.measure("benchmarks.evaluate", "recall", run.OURS, {"images": 0, "dim": 1}, limit=120)["note"]
    assert "stopped after" in run.measure("benchmarks.evaluate", "map", run.OURS, {"images": 9}, limit=0.01)["note"]


def test_the_whole_command_writes_what_it_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "tasks", lambda: {"recall": ("benchmarks.evaluate", evaluate.TASKS["recall"])})
    measured = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_mb": 3.0, "values": {"r1_i2t": 0.5}, "load": 0.1}
    monkeypatch.setattr(run, "measure", lambda *arguments: dict(measured))
    output = tmp_path / "deeper" / "benchmarks.json"
    assert run.main(["--quick", "--output", str(output)]) == 0
    written = json.loads(output.read_text())
    assert written["cpu"] and written["versions"]["torch"] and written["quick"]
    assert [row["method"] for row in written["rows"]] == list(evaluate.TASKS["recall"].methods)
    assert written["rows"][1]["agrees"] == "equal"
    printed = capsys.readouterr().out
    assert "xmrlib" in printed and "3 MB  equal" in printed
    measured["seconds"] = 4.0  # another time: one method anew, the others as they were
    assert run.main(["--quick", "--only", run.OURS, "--output", str(output)]) == 0
    again = json.loads(output.read_text())["rows"]
    assert [row["method"] for row in again] == list(evaluate.TASKS["recall"].methods)
    assert [row["seconds"] for row in again] == [4.0] + [1.0] * (len(again) - 1)
    monkeypatch.setattr(run, "machine", lambda: written | {"cpu": "another"})
    assert run.main(["--quick", "--only", run.OURS, "--output", str(output)]) == 0
    assert [row["method"] for row in json.loads(output.read_text())["rows"]] == [run.OURS]
    with pytest.raises(SystemExit):
        run.main(["nothing"])


def test_of_several_rounds_the_fastest_counts(tmp_path, monkeypatch, capsys):
    methods, seen = list(evaluate.TASKS["recall"].methods), []
    monkeypatch.setattr(run, "tasks", lambda: {"recall": ("benchmarks.evaluate", evaluate.TASKS["recall"])})

    def measure(module, task, method, size, limit):
        seen.append(method)
        seconds = {1: 3.0, 2: 1.0, 3: 2.0}[seen.count(method)]
        failed = method == methods[-1] and seconds == 1.0
        measured = {"seconds": seconds, "cpu_seconds": 2.0, "peak_mb": 3.0, "values": {"r1_i2t": 0.5}}
        return {"note": "killed"} if failed else measured

    monkeypatch.setattr(run, "measure", measure)
    output = tmp_path / "benchmarks.json"
    assert run.main(["--quick", "--rounds", "3", "--output", str(output)]) == 0
    assert seen == 3 * methods  # in turn, so that a slow minute meets all
    *others, last = json.loads(output.read_text())["rows"]
    assert all(row["seconds"] == 1.0 and row["rounds"] == [3.0, 1.0, 2.0] for row in others)
    assert last["note"] == "killed" and "seconds" not in last
    with pytest.raises(SystemExit):
        run.main(["--rounds", "0"])
    assert "--rounds 0: give 1 or more" in capsys.readouterr().err


def test_memory_is_seen():
    with worker.Peak() as peak:
        block = bytearray(80_000_000)
        block[::4096] = b"x" * len(block[::4096])
    assert 60 < peak.megabytes < 200


def test_both_spaces_of_mcsm_and_its_word_cnn_are_timed(tmp_path, monkeypatch):
    output, small = tmp_path / "training.json", xmrlib.MCSMConfig.small(dim=8, text_whole="cnn", classifier_maps=4)
    words = ["training", "MCSM", "--batches", "4", "--device", "cpu", "--precision", "fp32", "--output", str(output)]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr(xmrlib.MCSMConfig, "paper", lambda batch: dataclasses.replace(small, batch=batch))
    for name, size in {"IMAGE": 12, "CELL": 6, "CELLS": 4, "ARTICLE": 20, "ARTICLE_WORDS": 30}.items():
        monkeypatch.setattr(training, name, size)
    assert training.main() == 0
    rows = json.loads(output.read_text())["rows"]
    assert [row["stage"] for row in rows] == ["text classifier", "visual space", "textual space"]
    assert all(row["batch"] == 4 and row["floor_ms"] < row["loop_ms"] for row in rows)


def test_training_steps_are_timed_beside_their_floor(tmp_path, monkeypatch):
    output = tmp_path / "training.json"
    words = ["training", "DSCMR", "--small", "--batches", "8", "--device", "cpu", "--precision", "fp32"]
    monkeypatch.setattr("sys.argv", [*words, "--output", str(output)])
    monkeypatch.setattr(training, "IMAGE", 32)
    monkeypatch.setattr(training, "WORDS", 16)
    assert training.main() == 0
    (row,) = json.loads(output.read_text())["rows"]
    assert row["method"] == row["stage"] == "DSCMR" and row["batch"] == 8
    config = xmrlib.DSCMRConfig.small()
    weights = (32 + 16) * config.hidden + config.hidden * config.dim  # the second layer is shared
    # Forwards, and backwards to the weights and (not below the first layers) to what came in; the rest is less.
    least = 2 * 8 * (2 * (32 + 16) * config.hidden + 3 * 2 * config.hidden * config.dim)
    assert weights < row["parameters"] and least <= row["operations"] < 1.2 * least
    assert row["floor_ms"] == max(row["arithmetic_ms"], row["memory_ms"]) < row["loop_ms"]


@pytest.mark.parametrize("name", [name for name in training.METHODS if name.startswith("CRAN")])
def test_every_form_of_cran_is_timed(name, tmp_path, monkeypatch):
    output, small = (
        tmp_path / "training.json",
        xmrlib.CRANConfig.small(relation="pairs", dim=8, word_dim=4, sentence_maps=4),
    )
    words = ["training", name, "--batches", "4", "--device", "cpu", "--precision", "fp32", "--output", str(output)]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr(
        xmrlib.CRANConfig, "paper", lambda batch, **form: dataclasses.replace(small, batch=batch, **form)
    )
    monkeypatch.setattr(training, "IMAGE", 12)
    assert training.main() == 0
    (row,) = json.loads(output.read_text())["rows"]
    assert row["method"] == name and row["batch"] == 4 and row["operations"] > 0
