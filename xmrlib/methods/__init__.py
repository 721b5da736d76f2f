"""The methods: from lines on which two sides agree, to classifiers, to networks. Each is one file."""

from __future__ import annotations

from pathlib import Path

from xmrlib.methods.base import EmbeddingMethod, Method, MethodConfig, read_checkpoint
from xmrlib.methods.cca import CCA, CCAConfig
from xmrlib.methods.kernel_cca import KernelCCA, KernelCCAConfig
from xmrlib.methods.semantic import SemanticMatching, SemanticMatchingConfig
from xmrlib.methods.sides import CheckpointError

# The names that commands and checkpoints use.
METHODS: dict[str, type[Method]] = {"cca": CCA, "kernel_cca": KernelCCA, "semantic_matching": SemanticMatching}

__all__ = [
    "CCA",
    "METHODS",
    "CCAConfig",
    "CheckpointError",
    "EmbeddingMethod",
    "KernelCCA",
    "KernelCCAConfig",
    "Method",
    "MethodConfig",
    "SemanticMatching",
    "SemanticMatchingConfig",
    "load",
]


def load(path: str | Path) -> Method:
    """The model saved at `path`, whichever method it is of.

    Raises CheckpointError where there is none, or where it was made by an unknown method.
    """
    about, _ = read_checkpoint(path)
    for method in METHODS.values():
        if method.__name__ == about["method"]:
            return method.load(path)
    known = ", ".join(method.__name__ for method in METHODS.values())
    raise CheckpointError(f"{path} holds a {about['method']}, which this version does not know; it knows {known}.")
