"""Run the notebooks as Colab does: in a fresh environment that has torch and does not have xmrlib.

    python tools/check_colab.py                     every notebook
    python tools/check_colab.py 01-the-gap 02-pairs some of them; a path to any other notebook will do
    python tools/check_colab.py --quick 02-pairs    with this environment's packages for Colab's: a minute, not ten

The environment is a Python 3.12 with the versions of tools/colab.txt. The notebooks' own set-up cell installs xmrlib
from a wheel that lies beside it, so nothing need be published first. Each notebook runs in a folder of its own, with an
empty cache and without a variable of this project's. What was made lies in _work/colab; a second run makes less.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

import nbformat
from book_layout import ROOT, chapters, notebook
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from make_notebooks import setup
from make_wheel import make_wheel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

WORK = ROOT / "_work" / "colab"
VERSIONS = ROOT / "tools" / "colab.txt"
SECONDS = 600
NO_GPU = "No GPU here. Everything below runs without one.\n"
SHOWN = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "matplotlib", "ipykernel", "ipywidgets")


def pins() -> list[str]:
    """The lines of tools/colab.txt: `torch==2.10.0`."""
    lines = VERSIONS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# The environment


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def colabs_python() -> str:
    """A Python 3.12 that runs: this one, one on the path, one of pyenv's; else this one, and a line that says so."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    own = [sys.executable] if sys.version_info[:2] == (3, 12) else []
    for found in [*own, shutil.which("python3.12"), *sorted(pyenv.glob("versions/3.12.*/bin/python"))]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return str(found)
    print(f"Colab runs Python 3.12, which is not here: Python {platform.python_version()} takes its place.")
    return sys.executable


def preinstall(base: Path) -> None:
    """What Colab has before a notebook starts; kept until tools/colab.txt or Python changes."""
    python = colabs_python()
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256((version + "\n".join(pins())).encode()).hexdigest()
    note = base / "key"
    if note.is_file() and note.read_text() == key:
        return
    print("Installing what Colab brings, several GB: this takes minutes, once.", flush=True)
    shutil.rmtree(base, ignore_errors=True)
    subprocess.run([python, "-m", "venv", base], check=True)
    pip = [python_of(base), "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    if subprocess.run([*pip, *pins()], capture_output=True).returncode:
        # Another Python, or an index that lacks a version: as near as can be had, one by one.
        for pin in pins():
            if subprocess.run([*pip, pin], capture_output=True).returncode:
                print(f"{pin} cannot be had here; its newest version takes its place.")
                subprocess.run([*pip, pin.partition("==")[0]], check=True)
    note.write_text(key)


def link(source: str | Path, target: str | Path) -> None:
    """A second name for a file, which costs no room; else a copy. pip replaces files, it edits none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def needed(names: Sequence[str]) -> set[str]:
    """What is installed here of some packages, with all that they need and the extras that they ask for."""
    waiting, seen = [Requirement(name) for name in names], {}
    while waiting:
        need = waiting.pop()
        name = str(canonicalize_name(need.name))
        extras = {"", *need.extras} - seen.setdefault(name, set())
        seen[name] |= extras
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        inner = [Requirement(line) for line in lines if extras]
        waiting += [one for one in inner if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)]
    return set(seen)


def borrow(runtime: Path) -> None:
    """An environment that has what this one has of Colab's packages and what they need, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", runtime], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python_of(runtime), "-c", code], capture_output=True, text=True).stdout.strip())
    names = needed([pin.partition("==")[0] for pin in pins()]) - {"pip"}
    for found in (one for one in distributions() if canonicalize_name(one.name) in names):
        for file in found.files or ():
            source, target = Path(found.locate_file(file)), site / file
            if ".." not in file.parts and source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                link(source, target)


def fresh(work: Path, quick: bool) -> Path:
    """The environment as a session finds it: what Colab brings, and nothing that an earlier run has installed."""
    runtime = work / "runtime"
    shutil.rmtree(runtime, ignore_errors=True)
    if quick:
        borrow(runtime)
    else:
        preinstall(work / "base")
        shutil.copytree(work / "base", runtime, symlinks=True, copy_function=link)
    return runtime


def versions(runtime: Path) -> dict[str, str]:
    """What is installed, by its name as pip writes it."""
    code = "import json; from importlib.metadata import distributions as all; "
    code += "print(json.dumps({found.name: found.version for found in all()}))"
    done = subprocess.run([python_of(runtime), "-I", "-c", code], capture_output=True, text=True, check=True)
    return {str(canonicalize_name(name)): version for name, version in json.loads(done.stdout).items()}


# The notebooks


@dataclass(frozen=True)
class Run:
    """How a notebook went: its seconds, and in words what failed, if anything did."""

    seconds: float
    fault: str | None
    printed: str
    warned: str


def bare_environment(runtime: Path, cache: Path) -> dict[str, str]:
    """The variables of a session that knows nothing of this project: its sizes are the default, its cache is empty."""
    own = ("XMR_", "PYTHON", "JUPYTER", "VIRTUAL_ENV", "MPLBACKEND")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = [part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part) != Path(sys.executable).parent]
    kept |= {"PATH": os.pathsep.join([str(runtime / "bin"), *path]), "XDG_CACHE_HOME": str(cache)}
    return kept | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # the debugger of an old ipykernel says more than it has to


def run(cells: NotebookNode, runtime: Path, wheel: Path, folder: Path) -> Run:
    """Run a notebook from top to bottom with the kernel of `runtime`, in a folder that holds the wheel alone."""
    shutil.rmtree(folder, ignore_errors=True)
    content, kernel = folder / "content", folder / "kernels" / "colab"
    content.mkdir(parents=True)
    kernel.mkdir(parents=True)
    shutil.copy(wheel, content)
    start = [str(python_of(runtime)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": start, "display_name": "Colab", "language": "python"}))
    known = KernelSpecManager(kernel_dirs=[str(kernel.parent)])
    manager = AsyncKernelManager(kernel_name="colab", kernel_spec_manager=known)
    begun = [0]
    client = NotebookClient(
        cells,
        km=manager,
        timeout=SECONDS,
        resources={"metadata": {"path": str(content)}},
        on_cell_start=lambda cell, cell_index: begun.append(cell_index),
    )
    before, fault = time.monotonic(), None
    try:
        client.execute(env=bare_environment(runtime, folder / "cache"), cleanup_kc=True)
    except CellExecutionError as error:
        fault = f"{error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        lines = [line for line in cells.cells[begun[-1]].source.splitlines() if line.strip()]
        fault = f"cell {begun[-1] + 1}, which begins {lines[0]!r}: {fault}"
    written = [out for cell in cells.cells for out in cell.get("outputs", []) if out.output_type == "stream"]
    said = {name: "".join(out.text for out in written if out.name == name) for name in ("stdout", "stderr")}
    return Run(time.monotonic() - before, fault, said["stdout"], said["stderr"])


def faults(before: dict[str, str], after: dict[str, str], first: Run, second: Run) -> list[str]:
    """What the set-up cell did wrong, in words: the first run installs, the second has nothing to do."""
    found = [f"The set-up cell failed: {again.fault}" for again in (first, second) if again.fault]
    for name in ("torch", "torchvision"):
        if name in before and after.get(name) != before[name]:
            found.append(f"{name} was replaced: {before[name]} before, {after.get(name, 'none')} after.")
    if "xmrlib" in before:
        found.append("xmrlib was there before the set-up cell ran: this proves nothing.")
    if "xmrlib" not in after:
        found.append("The set-up cell did not install xmrlib.")
    if second.printed not in ("", NO_GPU) or second.warned:
        found.append(f"With nothing to do the set-up cell says {second.printed + second.warned!r}.")
    return found


def check(paths: Sequence[Path], work: Path, quick: bool) -> int:
    """Make the environment, run the set-up cell twice and every notebook once; how many things failed."""
    wheel = make_wheel(work)
    runtime = fresh(work, quick)
    before = versions(runtime)
    python = subprocess.run([python_of(runtime), "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{python}; " + ", ".join(f"{name} {before[name]}" for name in SHOWN if name in before), flush=True)

    def set_up() -> Run:
        return run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(setup())]), runtime, wheel, work / "run")

    first = set_up()
    after = versions(runtime)
    second = set_up()
    found = faults(before, after, first, second)
    new = sorted(after.keys() - before.keys())
    changed = [f"{name} {before[name]} -> {after[name]}" for name in before if before[name] != after.get(name)]
    print(f"set-up cell: {first.seconds:.0f} s to install {', '.join(new)}")
    print(f"set-up cell, again: {second.seconds:.0f} s")
    print(f"replaced: {', '.join(changed) or 'nothing'}", flush=True)
    for fault in found:
        print(f"FAILED {fault}", flush=True)
    for path in [] if first.fault else paths:
        cells = nbformat.read(path, as_version=4)
        done = run(cells, runtime, wheel, work / "run")
        nbformat.write(cells, work / "executed" / path.name)
        print(f"{path.stem}: {done.seconds:.0f} s{f'  FAILED in {done.fault}' if done.fault else ''}", flush=True)
        if done.warned:
            print(f"  it warns: {done.warned.strip()}", flush=True)
        found += [f"{path.stem}: {done.fault}"] if done.fault else []
    print(f"{len(paths)} notebooks, {len(found)} faults. With their outputs: {(work / 'executed').relative_to(ROOT)}")
    return len(found)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", help="names as in notebooks/, or paths; all chapters without any")
    parser.add_argument("--quick", action="store_true", help="this environment's packages take the place of Colab's")
    given = parser.parse_args(arguments)
    known = {notebook(page).stem: ROOT / notebook(page) for page in chapters()}
    paths = [known.get(name, Path(name)) for name in given.notebooks] or list(known.values())
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        print(f"check_colab: no notebook {', '.join(missing)}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    work = WORK / ("quick" if given.quick else "full")
    (work / "executed").mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a second run waits: it would take this one's folder away
        return 1 if check(paths, work, given.quick) else 0


if __name__ == "__main__":
    sys.exit(main())
