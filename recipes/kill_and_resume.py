"""Kill -9 at twenty random moments of a training: does every resumed run end with the weights of the unbroken one?

A network is trained by the command line, as a user would; the process is killed with a signal that cannot be caught,
and the same line is typed again. Written to results/kill_and_resume.json.

    python recipes/kill_and_resume.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import RESULTS, about_run
from safetensors.torch import load_file

from xmrlib import checkpoint

KILLS = 20
TRAIN = ("train", "dscmr", "--data", "emoji", "--device", "cpu", "--save-seconds", "0.2")
CONFIG = ("--config", "epochs=60", "hidden=128", "dim=64", "scaling=standard")


def begin(out: Path) -> subprocess.Popen:
    """The training as a process of its own, one thread, in silence."""
    command = [sys.executable, "-m", "xmrlib", *TRAIN, "--out", str(out), *CONFIG]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XMR_PROGRESS": "0"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)


def killed(out: Path, dice: random.Random) -> dict[str, float] | None:
    """Begin, wait until it has trained for a random while, kill; where it stood then, or None where it was over."""
    log = out / "log.jsonl"
    before = log.read_text() if log.exists() else ""
    running = begin(out)
    while running.poll() is None and (not log.exists() or len(log.read_text()) <= len(before)):
        time.sleep(0.01)
    wait = dice.uniform(0.0, 1.0)
    time.sleep(wait)
    if running.poll() is not None:
        return None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    about, _ = checkpoint.read(out / "last.safetensors", 1)
    return {"seconds_after_it_went_on": round(wait, 3), "step_kept": about["place"]["step"]}


def main() -> None:
    """Kill, go on, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    dice, moments = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        assert begin(whole).wait() == 0
        while len(moments) < KILLS:
            found = killed(broken, dice)
            if found is None:
                break
            moments.append(found)
            print(f"kill {len(moments)}: {found}", flush=True)
        assert begin(broken).wait() == 0
        weights = [load_file(out / "model.safetensors") for out in (whole, broken)]
    equal = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] | weights[1])
    record = {
        "recipe": Path(__file__).stem,
        "about": __doc__.splitlines()[0],
        "command": " ".join(["xmr", *TRAIN, *CONFIG]),
        "kills": moments,
        "weights": len(weights[0]),
        "all_bits_equal": equal,
    }
    path = options.results / f"{record['recipe']}.json"
    path.write_text(json.dumps(record | about_run(), indent=1) + "\n", encoding="utf-8")
    print(f"{len(moments)} kills, all bits equal: {equal}; wrote {path.name}")


if __name__ == "__main__":
    main()
