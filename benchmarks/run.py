"""Run every measurement in its own process, print one table, write results/benchmarks.json.

python -m benchmarks                    all, at full size (half an hour on two idle cores)
python -m benchmarks --quick            all, small (a minute)
python -m benchmarks map search         some tasks
python -m benchmarks --only xmrlib      one library
python -m benchmarks cran --rounds 3    each size three times, libraries in turn; the fastest counts

Each measurement is on disk as soon as it is made. What was measured before stays, as long as processor, threads and
versions are the same.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.evaluate import Task

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "benchmarks.json"
MODULES = (
    "benchmarks.evaluate",
    "benchmarks.mcsm",
    "benchmarks.cran",
    "benchmarks.search",
    "benchmarks.cross_attention",
    "benchmarks.scenes",
)
OURS = "xmrlib"
PACKAGES = ("xmrlib", "torch", "numpy", "scikit-learn", "torchmetrics", "pytorch-metric-learning", "faiss-cpu")


def tasks() -> dict[str, tuple[str, Task]]:
    """Every task with the module that holds it; a module that cannot be imported is left out, aloud."""
    found = {}
    for module in MODULES:
        try:
            found |= {name: (module, task) for name, task in importlib.import_module(module).TASKS.items()}
        except (ImportError, AttributeError) as error:
            print(f"left out {module}: {error}", file=sys.stderr)
    return found


def machine() -> dict:
    """What the figures were measured with; nothing that names the machine itself."""
    cpu = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    except OSError:
        pass
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "device": "cpu",
        "cpu": cpu or platform.machine(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "system": platform.system(),
        "versions": versions,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def measure(module: str, task: str, method: str, size: dict, limit: float) -> dict:
    """One measurement in a fresh process; what goes wrong becomes a note."""
    command = [sys.executable, "-m", "benchmarks.worker", module, task, method, json.dumps(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        return {"note": f"stopped after {limit:.0f} s"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["killed (out of memory?)"])[-1][:120]}
    return json.loads(done.stdout.splitlines()[-1])


def agreement(values: dict, ours: dict | None, tolerance: float) -> str:
    """Whether the values of a method are ours, and if not, by how much they differ."""
    if not values or not ours:
        return ""
    worst = max(abs(values[name] - ours[name]) for name in ours)
    return "equal" if worst <= tolerance else f"differs by {worst:.4g}"


def rows(
    chosen: dict[str, tuple[str, Task]], quick: bool, only: str | None, limit: float, rounds: int = 1
) -> Iterator[dict]:
    """Each measurement, ours first, compared with ours; from the second round on the faster of those so far."""
    for name, (module, task) in chosen.items():
        for size in task.quick if quick else task.sizes:
            ours, found = None, {}
            methods = [method for method in task.methods if not only or method in (only, OURS)]
            for method in methods * rounds:
                row = {"task": name, "size": size, "method": method}
                reasons = [why for (who, least), why in task.skip.items() if who == method and size["images"] >= least]
                row |= {"note": f"not run: {reasons[0]}"} if reasons else measure(module, name, method, size, limit)
                ours = row.get("values") if method == OURS else ours
                row["agrees"] = agreement(row.get("values", {}), ours, task.agree) if method != OURS else ""
                found[method] = faster(found.get(method), row)
                yield found[method]


def faster(before: dict | None, now: dict) -> dict:
    """The faster of two measurements of the same, with the seconds of all; what failed once has failed."""
    if before is None or "seconds" not in before:
        return before or now
    if "seconds" not in now:
        return now
    seconds = [*before.get("rounds", [before["seconds"]]), now["seconds"]]
    return min(before, now, key=lambda row: row["seconds"]) | {"rounds": seconds}


def line(row: dict) -> str:
    """One line of the table."""
    size = " ".join(f"{name} {value:,}" for name, value in row["size"].items())
    if "seconds" not in row:
        return f"{row['task']:15}{size:28}{row['method']:32}{row['note']}"
    measured = f"{row['seconds']:9.2f} s {row['cpu_seconds']:9.2f} s {row['peak_mb']:9,.0f} MB"
    return f"{row['task']:15}{size:28}{row['method']:32}{measured}  {row['agrees']}"


def place(row: dict) -> str:
    """What tells measurements apart."""
    return json.dumps([row["task"], row["size"], row["method"]])


def stored(path: Path, facts: dict) -> dict[str, dict]:
    """The measurements in `path`, where they were made on such a machine with these versions; else none."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text())
    same = all(found.get(name) == value for name, value in facts.items() if name != "date")
    return {place(row): row for row in found["rows"]} if same else {}


def write(path: Path, record: dict) -> None:
    """All or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(record, indent=1) + "\n")
    draft.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write."""
    known = tasks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="task", help=f"some of {', '.join(known)}; by default all")
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute, nothing written")
    parser.add_argument("--only", metavar="METHOD", help=f"one method beside {OURS}")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a measurement is stopped")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; the fastest counts")
    parser.add_argument("--output", type=Path, help=f"where to write (default {RESULTS.relative_to(ROOT)})")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: give 1 or more")
    wrong = [name for name in options.tasks if name not in known]
    if wrong:
        parser.error(f"unknown task {wrong[0]!r}; choose from {', '.join(known)}")
    chosen = {name: known[name] for name in options.tasks or known}

    every = ((n, size, m) for n, (_, t) in known.items() for size in (*t.sizes, *t.quick) for m in t.methods)
    order = {json.dumps(measurement): number for number, measurement in enumerate(every)}
    facts = machine()
    output = options.output or (None if options.quick else RESULTS)
    kept = stored(output, facts | {"quick": options.quick}) if output else {}
    print(f"{facts['cpu']}, {facts['threads']} threads, {facts['date']}")
    print(f"{'task':15}{'size':28}{'method':32}{'wall':>11} {'processor':>11} {'peak':>12}  values")
    for row in rows(chosen, options.quick, options.only, options.limit, options.rounds):
        print(line(row), flush=True)
        if output:
            kept[place(row)] = row | {"date": facts["date"]}
            ordered = sorted(kept.values(), key=lambda row: order.get(place(row), len(order)))
            write(output, facts | {"quick": options.quick, "rows": ordered})
    if output:
        print(f"written to {output}")
    return 0
