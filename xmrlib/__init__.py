"""xmrlib: image-text retrieval, from whitened projections to attention over relations.

import xmrlib as xmr

data = xmr.data.load("scenes")
model = xmr.CCA(xmr.CCAConfig()).fit(data.train, val=data.val)
print(xmr.evaluate.report(model.similarity(data.test), data.test))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xmrlib.settings import choose

if TYPE_CHECKING:
    from xmrlib import data, evaluate, features, methods, plot, search
    from xmrlib.methods import (
        ACMR,
        CCA,
        CCL,
        CRAN,
        DSCMR,
        MCSM,
        SCAN,
        VSE,
        ACMRConfig,
        CCAConfig,
        CCLConfig,
        CMGANs,
        CMGANsConfig,
        CorrAE,
        CorrAEConfig,
        CRANConfig,
        DSCMRConfig,
        KernelCCA,
        KernelCCAConfig,
        MCSMConfig,
        SCANConfig,
        SemanticMatching,
        SemanticMatchingConfig,
        VSEConfig,
    )
    from xmrlib.stages import Run

__version__ = "0.1.0"

_MODULES = ("data", "evaluate", "features", "methods", "plot", "search")
_CLASSES = (
    "CCA",
    "KernelCCA",
    "SemanticMatching",
    "CorrAE",
    "DSCMR",
    "ACMR",
    "VSE",
    "SCAN",
    "CCL",
    "MCSM",
    "CMGANs",
    "CRAN",
)
_METHODS = tuple(name + end for name in _CLASSES for end in ("", "Config"))

__all__ = ["Run", "choose", *_MODULES, *_METHODS]


def __getattr__(name: str):
    # A module is imported when it is first named: `import xmrlib` stays quick, and evaluation runs without the data.
    if name in _MODULES:
        return importlib.import_module(f"xmrlib.{name}")
    if name in _METHODS:
        return getattr(importlib.import_module("xmrlib.methods"), name)
    if name == "Run":
        return importlib.import_module("xmrlib.stages").Run
    raise AttributeError(f"module 'xmrlib' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
