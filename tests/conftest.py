"""For all tests: shapes and types of every signature are checked, and no test touches the user's cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for typecheck.py
# Annotations cost nothing at run time; here each call is checked against them.
jaxtyping.install_import_hook("xmrlib", "typecheck.checked")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """One cache for the session, empty at first; `XMR_TEST_CACHE` names one that lasts."""
    before = os.environ.get("XMR_CACHE")
    os.environ["XMR_CACHE"] = os.environ.get("XMR_TEST_CACHE") or str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("XMR_CACHE")
    if before is not None:
        os.environ["XMR_CACHE"] = before


@pytest.fixture(autouse=True)
def gpu_by_request_only(request, monkeypatch):
    """The numbers that tests expect are a CPU's; a GPU is there for those that are marked, and hidden from the rest."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for the processes that a test starts
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
