"""What every test run shares: the tools on the path, one thread a worker, shapes checked against their annotations."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before torch starts its threads: two test workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "book" / "_ext")]
