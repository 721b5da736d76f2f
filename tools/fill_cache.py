"""Make the image features that the chapters share, once: `python tools/fill_cache.py`.

A second process waits for the first and then finds everything done. A chapter that is opened alone does not need this:
it makes the few features that it asks for.
"""

from __future__ import annotations

import fcntl
import sys
import time

import xmrlib as xmr
from xmrlib.settings import cache_directory

# Data set, view and backbone options, as the chapters ask for them.
NEEDED = (
    ("emoji", "whole", {}),
    ("scenes", "whole", {}),
    ("scenes", "regions", {}),
)


def fill() -> None:
    """Compute what is missing of `NEEDED`."""
    with open(cache_directory() / "fill.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, view, options in NEEDED:
            start = time.monotonic()
            features = xmr.features.view(xmr.data.load(name).images, view, **options)
            took, tensor = time.monotonic() - start, getattr(features, "features", features)
            print(f"features of {name}, {view}: {tuple(tensor.shape)}, {took:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(fill())
