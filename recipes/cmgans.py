"""The rows that the tables of CM-GANs share: the full method, each of its switches, and a probe for the modality."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ccl import fitted
from common import Outcome, Recipe, Row
from mcsm import first_rows

from xmrlib import CCL, CCLConfig, CMGANs, CMGANsConfig, evaluate

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs

SEEDS = (0, 1, 2, 3, 4)
SHARED = ("recipes/cmgans.py", "recipes/ccl.py", "recipes/mcsm.py", "recipes/rows.py")
ALONE = {"intra": 0.0, "inter": 0.0, "reconstruction": 1.0}  # no adversary: squared errors in its place
# What each ablation sets; all else is as the full method has it.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "autoencoder": ALONE,
    "unshared": {"sharing": "none"},
    "unsupervised": {"semantic": 0.0},
    "intra": {"inter": 0.0},
    "inter": {"intra": 0.0},
    "loose": {"spectral_norm": False},
    "one-classifier": {"classifier": "shared"},
    "autoencoder-one-classifier": {**ALONE, "classifier": "shared"},
    "classes": {"compare": "classes"},
}
PROBES = {"probe_accuracy": (False, False), "probe_hidden": (False, True), "probe_standardised_hidden": (True, True)}


def probed(model: CMGANs, pairs: Pairs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """1 for each common representation whose modality a fresh probe tells, and the pair that it belongs to.

    Half of the pairs teach the probe and the other half examine it, and the other way round: a logistic regression, or
    a network with one hidden layer; on s with each dimension brought to one scale over both sides together, or over
    each side by itself.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    sides = [model.common(pairs, side).double().numpy() for side in ("image", "text")]
    pair = np.concatenate([np.arange(len(sides[0])), np.asarray(pairs.image_of_text)])
    modality = np.repeat([0, 1], [len(side) for side in sides])
    half = np.random.default_rng(0).permutation(len(sides[0]))[pair] % 2
    found = {}
    for name, (by_side, hidden) in PROBES.items():
        hits = np.zeros(len(pair))
        for examined in (0, 1):
            learn, test = half != examined, half == examined
            x = np.concatenate(sides)
            for group in (modality == 0, modality == 1) if by_side else (np.ones(len(pair), dtype=bool),):
                seen = x[group & learn]
                x[group] = (x[group] - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), 1e-6)
            probe = MLPClassifier((64,), max_iter=100, random_state=0) if hidden else LogisticRegression(max_iter=500)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it could go on learning
                probe.fit(x[learn], modality[learn])
            hits[test] = probe.predict(x[test]) == modality[test]
        found[name] = hits, pair
    return found


def trained(config: CMGANsConfig, data: Pairs) -> Outcome:
    """One training, what it retrieves on the test split, and what the probes tell there."""
    start = time.process_time()
    model = CMGANs(config).fit(data.train, val=data.val)
    seconds = time.process_time() - start
    report, probes = evaluate.report(model.similarity(data.test), data.test), probed(model, data.test)
    intervals = {name: evaluate.bootstrap(hits, clusters=pair) for name, (hits, pair) in probes.items()}
    report = replace(
        report,
        metrics=report.metrics | {name: float(hits.mean()) for name, (hits, _) in probes.items()},
        intervals=report.intervals | {name: (found.low, found.high) for name, found in intervals.items()},
        queries=report.queries | {name: [found] for name, found in probes.items()},
    )
    return Outcome(report, seconds, {"epoch": model.facts["epoch"]})


def cmgans_rows(
    recipe: Recipe,
    cut: Mapping[int, Pairs],
    words: str,
    ablations: Sequence[str] = tuple(ABLATIONS),
    views: Mapping[str, Any] | None = None,
    ccl: Mapping[str, Any] | None = None,
) -> dict[str, Row]:
    """Train and record CM-GANs and its ablations, CCA, semantic matching and CCL, and compare.

    cut       the data as each seed splits them
    words     the features in words
    views     the features, as settings that every method takes
    ccl       settings of CCL alone
    """
    views = dict(views or {})
    rows = {
        name or "cmgans": recipe.row("CMGANs", f"{words}, small; epoch by validation", name)
        for name in (None, *ablations)
    }
    for name, row in rows.items():
        settings = views | dict(ABLATIONS.get(name, {}))

        def once(seed: int, settings: Mapping[str, Any] = settings) -> Outcome:
            return trained(CMGANsConfig.small(**settings, seed=seed), cut[seed])

        recipe.run(row, tuple(cut), once)
        if name == "cmgans":
            continue
        recipe.compare(rows["cmgans"], row)
        for probe in PROBES:
            recipe.compare(rows["cmgans"], row, probe)
    if {"one-classifier", "autoencoder-one-classifier"} <= {*rows}:
        recipe.compare(rows["one-classifier"], rows["autoencoder-one-classifier"])
    others = first_rows(recipe, cut, words, views)
    others["ccl"] = recipe.row("CCL", f"{words}, whole and parts, small; epoch by validation")
    recipe.run(
        others["ccl"],
        tuple(cut),
        lambda seed: fitted(CCL, CCLConfig.small(**views, **(ccl or {}), seed=seed), cut[seed]),
    )
    for other in others.values():
        for name in ("cmgans", "classes"):
            if name in rows:
                recipe.compare(rows[name], other)
    return rows | others
