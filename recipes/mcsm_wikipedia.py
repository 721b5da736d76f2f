"""MCSM's textual space on Wikipedia: 693 official test pairs, whole articles as words, SIFT bags of words as images.

There are no pictures, so there is no visual space. What the texts' representation knows of their classes is probed: a
logistic regression on it ("textual"), the same encoder trained for the classes ("crossentropy"), and a logistic
regression on tf-idf ("tfidf").
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import TEXT_SOURCES, Outcome, Recipe
from mcsm import SHARED, first_rows, of_values
from torch import nn
from torch.nn.functional import cross_entropy

from xmrlib import MCSM, MCSMConfig, data, evaluate
from xmrlib.features.sequences import Tokens
from xmrlib.features.text import TfIdf
from xmrlib.methods.mcsm_network import TextualSpace
from xmrlib.methods.mcsm_training import starting_vectors
from xmrlib.methods.network import through
from xmrlib.methods.semantic import PENALTIES, logistic_regression

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs

SEEDS = (0, 1, 2)
VIEWS = {"text_view": "tfidf", "text_options": {"dim": 200}}
# Narrower and shallower than the paper's convolutions; articles are cut after 600 words, as one in four is longer.
SETTINGS: Mapping[str, Any] = {
    "spaces": "textual",
    "text_length": 600,
    "kernels": (5, 3),
    "maps": (64, 64),
    "pools": (4, 3),
    "epochs": 30,
}
STEEP = 10.0  # the encoder ends in vectors of unit length, whose classes a linear map could hardly tell with certainty


def labels_of(pairs: Pairs) -> Tensor:
    """(m,) the class of each text."""
    return torch.as_tensor(pairs.text_labels)


def probed(parts: Mapping[str, Tensor], data: Pairs) -> np.ndarray:
    """1 for each test text that a logistic regression on `parts` puts into its class; its C is chosen on validation."""
    labels = {name: labels_of(getattr(data, name)) for name in parts}
    mean, spread = parts["train"].mean(dim=0), parts["train"].std().clamp_min(1e-6)
    scaled = {name: (part - mean) / spread for name, part in parts.items()}
    best, hits = -1.0, {}
    for c in PENALTIES:
        weights = logistic_regression(scaled["train"], labels["train"], len(data.classes), c)
        for name in ("val", "test"):
            told = (scaled[name].double() @ weights[:-1] + weights[-1]).argmax(dim=1)
            hits[name] = (told == labels[name]).double()
        if hits["val"].mean() > best:
            best, kept = float(hits["val"].mean()), hits["test"].numpy()
    return kept


def by_cross_entropy(pairs: Pairs, config: MCSMConfig) -> np.ndarray:
    """1 for each test text that the encoder of the textual space, trained for the classes, puts into its class."""
    torch.manual_seed(config.seed)
    encoder = Tokens().fit(pairs.train.texts)
    space = TextualSpace(config, len(encoder.words_), 1)
    vectors = starting_vectors(
        config.vectors_from, pairs.train.texts, encoder.words_, config.word_dim, encoder.min_count
    )
    if vectors is not None:
        space.words.start(vectors)
    head = nn.Linear(config.dim, len(pairs.classes))
    model = nn.ModuleDict({"space": space, "head": head})
    parts = {name: encoder.transform(getattr(pairs, name).texts) for name in ("train", "val", "test")}
    labels = {name: labels_of(getattr(pairs, name)) for name in parts}
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), config.learning_rate)

    def hits(name: str) -> Tensor:
        told = head(STEEP * through(space, space.texts, parts[name])).argmax(dim=1)
        return (told == labels[name]).double()

    best, kept = -1.0, {}
    for _ in range(config.epochs):
        model.train()
        for rows in torch.randperm(len(labels["train"])).split(config.batch):
            ids, mask = parts["train"].ids[rows], parts["train"].mask[rows]
            loss = cross_entropy(head(STEEP * space.texts(ids, mask)), labels["train"][rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            if (now := float(hits("val").mean())) > best:
                best, kept = now, deepcopy(model.state_dict())
    model.load_state_dict(kept)
    with torch.no_grad():
        return hits("test").numpy()


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "wikipedia", __doc__, (*TEXT_SOURCES, *SHARED))
    cut = {seed: data.load("wikipedia", split="official", seed=seed) for seed in SEEDS}
    words = "SIFT 128 x words"
    found: dict[int, Any] = {}

    def textual(seed: int) -> Outcome:
        pairs, start = cut[seed], time.process_time()
        model = MCSM(MCSMConfig.small(**SETTINGS, seed=seed)).fit(pairs.train, val=pairs.val)
        seconds = time.process_time() - start
        parts = {name: model.embed_texts(getattr(pairs, name).texts, "textual") for name in ("train", "val", "test")}
        report = evaluate.report(model.similarity(pairs.test), pairs.test)
        hits = of_values(report, {"probe_accuracy": probed(parts, pairs)})
        for part in ("metrics", "intervals", "queries"):
            getattr(report, part).update(getattr(hits, part))
        found[seed] = report
        return Outcome(report, seconds, {"epoch": model.facts["epoch"]})

    rows = {"textual": recipe.row("MCSM", f"{words}, small; epoch by validation", "textual")}
    recipe.run(rows["textual"], SEEDS, textual)
    for row in first_rows(recipe, cut, "SIFT 128 x tf-idf 200", VIEWS).values():
        recipe.compare(rows["textual"], row)

    def classified(hits: np.ndarray, seed: int, start: float) -> Outcome:
        pairs = cut[seed]
        blank = evaluate.report(torch.zeros(len(pairs.test), len(pairs.test.texts)), pairs.test, samples=1)
        return Outcome(of_values(blank, {"probe_accuracy": hits}), time.process_time() - start, {})

    def crossentropy(seed: int) -> Outcome:
        start = time.process_time()
        return classified(by_cross_entropy(cut[seed], MCSMConfig.small(**SETTINGS, seed=seed)), seed, start)

    def tfidf(seed: int) -> Outcome:
        start, encoder = time.process_time(), TfIdf(dim=200).fit(cut[seed].train.texts)
        parts = {name: encoder.transform(getattr(cut[seed], name).texts) for name in ("train", "val", "test")}
        return classified(probed(parts, cut[seed]), seed, start)

    for name, once in (("crossentropy", crossentropy), ("tfidf", tfidf)):
        rows[name] = recipe.row("MCSM", f"{words}, small; epoch by validation", name)
        recipe.run(rows[name], SEEDS, once)
        recipe.compare(rows["textual"], rows[name], "probe_accuracy")
    recipe.close()


if __name__ == "__main__":
    main()
