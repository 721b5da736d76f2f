"""Write the library as one file that pip installs anywhere: `python tools/make_wheel.py`, into dist/.

Where the repository cannot be reached, a notebook's set-up cell installs the wheel that lies beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from book_layout import ROOT

# A wheel is made of these and nothing else.
PARTS = ("pyproject.toml", "README.md", "LICENSE", "xmrlib")


def make_wheel(folder: Path) -> Path:
    """Build the wheel into `folder`, in place of an older one; its path."""
    with tempfile.TemporaryDirectory() as name:
        # From a copy: setuptools takes whatever an earlier build has left in build/, deleted modules too.
        copy = Path(name)
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, copy / part)
        for old in folder.glob("xmrlib-*.whl"):
            old.unlink()
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--wheel-dir", folder, copy], check=True)
    return next(folder.glob("xmrlib-*.whl"))


if __name__ == "__main__":
    print(f"Made {os.path.relpath(make_wheel(ROOT / 'dist'))}")
