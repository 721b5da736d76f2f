"""One measurement in a process of its own: `python -m benchmarks.worker MODULE TASK METHOD SIZE-AS-JSON`.

The clock and the memory start after the imports, the data and a small warm-up. What is printed is one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path


def resident() -> float:
    """Memory of this process in MB, now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:  # not Linux: the highest so far is all there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


class Peak:
    """The highest memory while the block runs, above what it was before; looked at every 5 ms."""

    def __enter__(self) -> Peak:
        self.start = self.highest = resident()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.005):
            self.highest = max(self.highest, resident())

    def __exit__(self, *error) -> None:
        self.done.set()
        self.thread.join()
        self.highest = max(self.highest, resident())

    @property
    def megabytes(self) -> float:
        return self.highest - self.start


def measure(module: str, task: str, method: str, size: dict) -> dict:
    """Seconds, peak memory and the values of one method on one task."""
    work = importlib.import_module(module).TASKS[task]
    run, prepare = work.methods[method], work.prepare.get(method, dict)
    run(prepare(work.data(**work.warm)))
    data = prepare(work.data(**size))
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        values = run(data)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "seconds": round(wall, 4),
        "cpu_seconds": round(cpu, 4),
        "peak_mb": round(peak.megabytes, 1),
        "values": values,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    module, task, method, size = sys.argv[1:]
    print(json.dumps(measure(module, task, method, json.loads(size))))
