"""`python -m xmrlib` is `xmr`."""

from __future__ import annotations

import sys

from xmrlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
