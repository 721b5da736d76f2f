"""The methods: from lines on which two sides agree, to classifiers, to networks. Each is one file."""

from __future__ import annotations

from pathlib import Path

from xmrlib.checkpoint import CheckpointError
from xmrlib.methods.acmr import ACMR, ACMRConfig
from xmrlib.methods.base import EmbeddingMethod, Method, MethodConfig, read_checkpoint
from xmrlib.methods.cca import CCA, CCAConfig
from xmrlib.methods.ccl import CCL, CCLConfig
from xmrlib.methods.cmgans import CMGANs, CMGANsConfig
from xmrlib.methods.corr_ae import CorrAE, CorrAEConfig
from xmrlib.methods.cran import CRAN, CRANConfig
from xmrlib.methods.dscmr import DSCMR, DSCMRConfig
from xmrlib.methods.kernel_cca import KernelCCA, KernelCCAConfig
from xmrlib.methods.mcsm import MCSM, MCSMConfig
from xmrlib.methods.scan import SCAN, SCANConfig
from xmrlib.methods.semantic import SemanticMatching, SemanticMatchingConfig
from xmrlib.methods.vse import VSE, VSEConfig

# The names that commands and checkpoints use.
METHODS: dict[str, type[Method]] = {
    "cca": CCA,
    "kernel_cca": KernelCCA,
    "semantic_matching": SemanticMatching,
    "corr_ae": CorrAE,
    "dscmr": DSCMR,
    "acmr": ACMR,
    "vse": VSE,
    "scan": SCAN,
    "ccl": CCL,
    "mcsm": MCSM,
    "cmgans": CMGANs,
    "cran": CRAN,
}

__all__ = [
    "ACMR",
    "CCA",
    "CCL",
    "CRAN",
    "DSCMR",
    "MCSM",
    "METHODS",
    "SCAN",
    "VSE",
    "ACMRConfig",
    "CCAConfig",
    "CCLConfig",
    "CMGANs",
    "CMGANsConfig",
    "CRANConfig",
    "CheckpointError",
    "CorrAE",
    "CorrAEConfig",
    "DSCMRConfig",
    "EmbeddingMethod",
    "KernelCCA",
    "KernelCCAConfig",
    "MCSMConfig",
    "Method",
    "MethodConfig",
    "SCANConfig",
    "SemanticMatching",
    "SemanticMatchingConfig",
    "VSEConfig",
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
