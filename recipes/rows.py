"""The rows that the tables of the first methods share, one choice of features at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common import Outcome, Recipe, Row, train_and_report

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs
    from xmrlib.methods import EmbeddingMethod, MethodConfig


def scaled_or_not(method: type[EmbeddingMethod], config: MethodConfig) -> list[EmbeddingMethod]:
    """The method with its inputs standardised and with its inputs as they come: no rule says which is better."""
    return [method(replace(config, standardise=standardise)) for standardise in (True, False)]


def first_methods(
    recipe: Recipe,
    cut: Mapping[int, Pairs],
    words: str,
    views: Mapping[str, Any],
    kernels: Mapping[str, Any],
    choose_by: str = "auto",
    learn_from: str = "train",
    random_seeds: Sequence[int] | None = None,
) -> dict[str, Row]:
    """The rows of one choice of features: CCA, kernel CCA and, where there are classes, semantic matching twice.

    cut           the data as each seed splits them
    words         the features in words
    views         the features, as settings that every method takes
    kernels       settings of kernel CCA
    random_seeds  of the small networks where the split is always the same, cut[0]

    Every method chooses its input scaling on validation, and each its own one or two settings beside.
    """
    from xmrlib.methods import CCA, CCAConfig, KernelCCA, KernelCCAConfig, SemanticMatching, SemanticMatchingConfig

    def make(row: Row, method: type[EmbeddingMethod], config: MethodConfig) -> None:
        recipe.run(row, tuple(cut), lambda seed: train_and_report(scaled_or_not(method, config), cut[seed], learn_from))

    def network(seed: int) -> Outcome:
        # A small network stops early by the validation split, so it never learns from it.
        config = SemanticMatchingConfig(**views, classifier="mlp", seed=seed)
        return train_and_report(scaled_or_not(SemanticMatching, config), cut[0 if random_seeds else seed])

    by = {"map": " for MAP", "recall": " for recall"}.get(choose_by, "")
    tuned = {"ridge": "validation", "dim": "validation", "choose_by": choose_by}
    rows = {
        "cca": recipe.row("CCA", f"{words}; scaling, ridge, dim by validation{by}"),
        "kernel_cca": recipe.row("KernelCCA", f"{words}; scaling, ridge, dim by validation{by}"),
    }
    make(rows["cca"], CCA, CCAConfig(**views, **tuned))
    make(rows["kernel_cca"], KernelCCA, KernelCCAConfig(**views, **tuned, **kernels))
    recipe.compare(rows["kernel_cca"], rows["cca"], "r1_i2t" if choose_by == "recall" else "map_avg")
    if next(iter(cut.values())).labels is None or choose_by == "recall":
        return rows
    rows["logistic"] = recipe.row("SemanticMatching", f"{words}; logistic regressions, scaling, C by validation")
    rows["mlp"] = recipe.row("SemanticMatching", f"{words}; small networks, scaling, epoch by validation")
    make(
        rows["logistic"],
        SemanticMatching,
        SemanticMatchingConfig(**views, image_c="validation", text_c="validation"),
    )
    recipe.run(rows["mlp"], tuple(random_seeds or cut), network)
    recipe.compare(rows["logistic"], rows["cca"])
    if len(cut) == len(random_seeds or cut):
        recipe.compare(rows["mlp"], rows["logistic"])
    return rows
