"""Runs the cells of one submission in processes of its own, and watches them: time, memory, disk, processes.

Memory is the resident size of all its processes together, not the address space, of which `import torch` alone takes
gigabytes. A cell that is stopped, or that ends its process, loses its question; the cells after it run in a new
process, within the same wall limit for the whole.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from grading.confine import FEATURES

HERE = Path(__file__).parent
TICK = 0.05
LONGEST_ANSWER = 100_000
MOST_PROCESSES = 32
MOST_FILES = 5_000
# Of the grader's environment a submission gets these and nothing else: no tokens, no addresses.
ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "CUDA_VISIBLE_DEVICES": "",
    "PIP_NO_INDEX": "1",  # a %pip of a student's fails at once and waits for no network
}


@dataclass(frozen=True)
class Limits:
    """For one submission: wall seconds in all, resident memory and disk in MB (millions of bytes)."""

    seconds: float = 120
    memory: int = 2000
    disk: int = 100

    def __post_init__(self) -> None:
        for name, least in (("seconds", 1), ("memory", 100), ("disk", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, at least {least} is needed; give a larger limit.")

    @property
    def cell_seconds(self) -> float:
        """A single cell gets a third, so that a loop in one question leaves time for the others."""
        return self.seconds / 3


@dataclass(frozen=True)
class Request:
    """A cell to run: its number, its text, "given", "own" or "test", and the question that it belongs to."""

    cell: int
    role: str
    question: str | None
    text: str


@dataclass(frozen=True)
class Stop:
    """A cell that did not end: why, in the words of the table of grades, and with the numbers."""

    cell: int | None
    question: str | None
    status: str
    note: str


@dataclass
class Outcome:
    """What each cell that ran raised (None: nothing), what was stopped, and the seconds it took."""

    errors: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)
    seconds: float = 0.0


class Stopped(Exception):
    """Status and note of a cell that did not end."""


class CannotRun(RuntimeError):
    """The process for a submission does not start: the grader's fault, not the student's."""


@cache
def features() -> tuple[str, ...]:
    """Those of `confine.FEATURES` that this system grants together."""
    if sys.platform != "linux":
        return ()
    found: list[str] = []
    for feature in ("files", "processes", "network", *(["user"] if os.getuid() == 0 else [])):
        with scratch() as folder:
            command = [sys.executable, "-I", "-B", str(HERE / "confine.py"), str(folder), *found, feature]
            if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
                found.append(feature)
    return tuple(feature for feature in FEATURES if feature in found)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is deleted afterwards, whatever was done to it."""
    folder = Path(tempfile.mkdtemp(prefix="grading-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, onerror=_make_writable)


def _make_writable(function: Any, path: str, _: Any) -> None:
    try:
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700, follow_symlinks=False) if not os.path.islink(path) else None
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except OSError:
        pass  # what is left lies in the system's folder for temporary files


def execute(requests: list[Request], modules: list[str], limits: Limits) -> Outcome:
    """Run the cells in order. Raises CannotRun if not even an empty process comes up."""
    outcome, started = Outcome(), time.monotonic()
    dropped: set[int] = set()
    lost: set[str] = set()
    while True:
        left = [
            request
            for request in requests
            if request.cell not in dropped
            and not (request.role == "test" and (request.cell in outcome.errors or request.question in lost))
        ]
        tests = [place for place, request in enumerate(left) if request.role == "test"]
        if not tests:
            break
        stop = _one_process(left[: tests[-1] + 1], modules, limits, started + limits.seconds, outcome)
        if stop is None:
            break
        outcome.stops.append(stop)
        if stop.cell is None or time.monotonic() >= started + limits.seconds:
            break
        dropped.add(stop.cell)
        lost |= {stop.question} if stop.question else set()
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


def _one_process(
    requests: list[Request], modules: list[str], limits: Limits, deadline: float, outcome: Outcome
) -> Stop | None:
    """Run cells in one process until one of them does not end."""
    request = None
    with scratch() as folder, _Watched(folder, modules, limits) as process:
        try:
            process.answer(deadline, limits.seconds)
            for request in requests:
                outcome.errors[request.cell] = process.ask(request, deadline)
        except Stopped as fault:
            status, note = fault.args
            if request is None and status == "crashed":
                raise CannotRun(f"The process for a submission does not start: {note} {process.said()}") from None
            return Stop(request and request.cell, request and request.question, status, note)
    return None


class _Watched:
    """The process of one submission, and the pipes to it."""

    def __init__(self, folder: Path, modules: list[str], limits: Limits) -> None:
        self.folder, self.limits, self.ticks, self.rest = folder, limits, 0, b""
        theirs_in, self.requests = os.pipe()
        self.answers, theirs_out = os.pipe()
        settings = {
            "folder": str(folder),
            "features": features(),
            "readable": [sys.prefix, sys.base_prefix],
            "disk": limits.disk * 1_000_000,
            "modules": modules,
            "requests": theirs_in,
            "answers": theirs_out,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(HERE / "runner.py"), json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
        )
        os.close(theirs_in), os.close(theirs_out)
        self.seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: Any) -> None:
        self._kill()
        for descriptor in (self.requests, self.answers):
            os.close(descriptor)
        self.process.stderr.close()

    def said(self) -> str:
        """What it wrote to stderr before it gave up its rights."""
        self._kill()
        lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def ask(self, request: Request, deadline: float) -> dict[str, Any] | None:
        """Send a cell and wait for what it raised."""
        token = secrets.token_hex(16)
        line = json.dumps({"cell": request.cell, "role": request.role, "text": request.text, "token": token}) + "\n"
        try:
            self._send(line.encode(), deadline)
        except BrokenPipeError:
            raise Stopped("crashed", self._end()) from None
        answer = self.answer(min(deadline, time.monotonic() + self.limits.cell_seconds), self.limits.cell_seconds)
        if answer.get("token") != token:
            raise Stopped("crashed", "It wrote into the grader's pipe.")
        return answer["error"]

    def _send(self, data: bytes, deadline: float) -> None:
        os.set_blocking(self.requests, False)
        while data:
            self._look(deadline, self.limits.seconds)
            if select.select([], [self.requests], [], TICK)[1]:
                data = data[os.write(self.requests, data) :]

    def answer(self, deadline: float, allowed: float) -> dict[str, Any]:
        """The next line that the process writes. Raises Stopped if a limit is reached first, or the process ends."""
        started = time.monotonic()
        while b"\n" not in self.rest:
            self._look(deadline, min(allowed, time.monotonic() - started))
            if select.select([self.answers], [], [], TICK)[0]:
                part = os.read(self.answers, 65536)
                if not part:
                    raise Stopped("crashed", self._end())
                self.rest += part
                if len(self.rest) > LONGEST_ANSWER:
                    raise Stopped("crashed", "It wrote into the grader's pipe.")
        line, _, self.rest = self.rest.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Stopped("crashed", "It wrote into the grader's pipe.")
        return found

    def _look(self, deadline: float, spent: float) -> None:
        """Compare with the limits."""
        if time.monotonic() > deadline:
            raise Stopped("timed out", f"stopped after {spent:.0f} s")
        self.ticks += 1
        memory, limits = self._resident(), self.limits
        if memory > limits.memory * 1_000_000:
            note = f"stopped at {memory // 1_000_000} MB of memory, {limits.memory} are allowed"
            raise Stopped("out of memory", note)
        if len(self.seen) > MOST_PROCESSES:
            raise Stopped("too many processes", f"stopped at {len(self.seen)} processes, {MOST_PROCESSES} are allowed")
        if self.ticks % 2 == 0:
            size, files = _used(self.folder)
            if size > limits.disk * 1_000_000 or files > MOST_FILES:
                raise Stopped(
                    "out of disk",
                    f"stopped at {size // 1_000_000} MB in {files} files, {limits.disk} MB in {MOST_FILES} are allowed",
                )

    def _resident(self) -> int:
        total = 0
        try:
            root = psutil.Process(self.process.pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.Error:
            return 0
        for part in tree:
            self.seen.setdefault(part.pid, part)
            try:
                total += part.memory_info().rss
            except psutil.Error:
                pass
        return total

    def _end(self) -> str:
        """How the process ended, in words."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "its process no longer answers"
        number = -code if code < 0 else code - 128
        if number == signal.SIGKILL:
            return "its process was killed by the system, most likely for its memory"
        if number in set(signal.Signals):
            return f"its process ended with signal {signal.Signals(number).name}"
        return f"its process ended itself, exit code {code}"

    def _kill(self) -> None:
        self._resident()  # notes those that started since
        for part in reversed(self.seen.values()):
            try:
                if part.pid != self.process.pid:
                    part.kill()  # psutil compares the time of start: a number that is used again is left alone
            except psutil.Error:
                pass
        self.process.kill()
        self.process.wait()


def _used(folder: Path) -> tuple[int, int]:
    """Bytes on disk and number of files."""
    size = files = 0
    for place, _, names in os.walk(folder):
        for name in names:
            files += 1
            if files > MOST_FILES:
                return size, files
            try:
                size += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                pass
    return size, files
