"""The type checker of the tests: as beartype's own, but 3 is as good as 3.0 where a float is asked for (PEP 484)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
