"""What the tables of CRAN share: one training a seed gives every level, and the choice between twins by their kind.

Twins: 2,000 more scenes, all of which have a twin, composed as scenes-1 composes its test split. A picture, or a text,
is right where its own partner scores higher than its twin's. `twin_near` and the like are of one kind of twins,
`twin_novel` of those that show a drawing, or state a relation of an object, that training never had.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Outcome
from networks import Tuned

from xmrlib import CRAN, CRANConfig, data, evaluate
from xmrlib.data.scenes import twin_rows
from xmrlib.features.text import WORD
from xmrlib.methods.cran import STEPS, weighed

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs
    from xmrlib.evaluate import Report
    from xmrlib.methods.network import NetworkConfig, NetworkMethod

SEEDS = (0, 1, 2, 3, 4)
SHARED = ("recipes/cran.py", "recipes/networks.py", "recipes/rows.py", "xmrlib/data/openmoji.py")
KINDS = ("left-right", "above-below", "near", "size")
TWINS = {"train": 20, "val": 20, "test": 2000, "twins": (0.5, 0.25, 1.0)}
BLOCK = 100  # scenes, twins side by side, that are scored at a time
# A measure's value an item, and which picture, or pair of twins, the item belongs to.
Values = Mapping[str, tuple[np.ndarray, np.ndarray]]


@functools.cache
def twins() -> Pairs:
    """Scenes that all have their twin beside them."""
    scenes = data.load("scenes", **TWINS).test
    return scenes.select(twin_rows(scenes).reshape(-1))


def choices(score: Callable[[Pairs], Mapping[str, Tensor]]) -> dict[str, Values]:
    """The choice between twins for each similarity that `score` gives of some scenes, by its name."""
    scenes, found = twins(), {}
    for begin in range(0, len(scenes), BLOCK):
        part = scenes.select(np.arange(begin, min(begin + BLOCK, len(scenes))))
        for name, similarity in score(part).items():
            told = evaluate.twin_accuracy(similarity, part.image_of_text, np.arange(len(part)) ^ 1)
            found.setdefault(name, []).append((told.per_image, told.per_text))
    return {name: _by_kind(*(np.concatenate(way) for way in zip(*parts, strict=True))) for name, parts in found.items()}


def _by_kind(images: np.ndarray, texts: np.ndarray) -> Values:
    scenes, pair = twins(), np.arange(len(images)) // 2
    kind = np.array([scene.twin_kind for scene in scenes.truth])
    novel = np.array([bool(scene.novel) for scene in scenes.truth])
    both = (images + texts) / 2
    values = {"twin_i2t": (images, pair), "twin_t2i": (texts, pair)}
    for name, which in {**{name: kind == name for name in KINDS}, "novel": novel}.items():
        values[f"twin_{name}"] = both[which], np.unique(pair[which], return_inverse=True)[1]
    return values


def with_values(report: Report, values: Values) -> Report:
    """`report` with more measures, each a mean over items in clusters."""
    means = {name: float(found.mean()) for name, (found, _) in values.items()}
    intervals = {name: evaluate.bootstrap(*found) for name, found in values.items()}
    return replace(
        report,
        metrics=report.metrics | means,
        intervals=report.intervals | {name: (found.low, found.high) for name, found in intervals.items()},
        queries=report.queries | {name: [found] for name, found in values.items()},
    )


def only(report: Report, part: str) -> Report:
    """`report` with nothing but the measures that begin with `part`."""
    kept = {
        name: {key: value for key, value in getattr(report, name).items() if key.startswith(part)}
        for name in ("metrics", "intervals", "queries")
    }
    return replace(report, **kept)


def report_of(model: Any, pairs: Pairs) -> Report:
    """Recall and MAP on the test split, and the choice between twins, of any method."""
    found = choices(lambda part: {"": model.similarity(part)})[""]
    return with_values(evaluate.report(model.similarity(pairs.test), pairs.test), found)


def mentioned(pairs: Pairs) -> list[list[tuple[int, int]]]:
    """For each text, which of its words speak of which object."""
    found = []
    for scene in pairs.truth:
        words, told = 0, []
        for sentence in scene.sentences:
            for word in WORD.finditer(sentence.text.lower()):
                told += [(words, m.object) for m in sentence.mentions if m.start <= word.start() < m.end]
                words += 1
        found.append(told)
    return found


def pointing(model: CRAN, pairs: Pairs) -> Values:
    """Whether words find their objects, and whether the pair of regions looked at most is one that the text relates.

    pointing_regions    for each word that speaks of an object: is its best region that object's?
    pointing_relations  for each text that states a relation: is the pair of regions of most weight, in either order,
                        that of a stated one?
    """
    seen, hits, pictures, right, texts = model.looks(pairs), [], [], [], []
    for row, told in enumerate(mentioned(pairs)):
        best = seen.agreement[row].masked_fill(~seen.region_mask[row], -2).argmax(dim=1)
        hits += [float(int(best[word]) == thing) for word, thing in told if word < len(best)]
        pictures += [row] * (len(hits) - len(pictures))
        stated = {frozenset((r.first, r.second)) for r in pairs.truth[row].relations}
        if stated and seen.region_pairs is not None:
            both = seen.region_pairs[row] + seen.region_pairs[row].T
            place = int(both.fill_diagonal_(-1).argmax())
            right.append(float(frozenset(divmod(place, len(both))) in stated))
            texts.append(row)
    values = {"pointing_regions": (np.array(hits), np.array(pictures))}
    return values | ({"pointing_relations": (np.array(right), np.array(texts))} if right else {})


def by_chance(pairs: Pairs) -> Values:
    """What a region, and a pair of regions, drawn at random would hit."""
    hits, pictures, right, texts = [], [], [], []
    for row, told in enumerate(mentioned(pairs)):
        things = len(pairs.truth[row].objects)
        hits += [1 / things] * len(told)
        pictures += [row] * len(told)
        stated = {frozenset((r.first, r.second)) for r in pairs.truth[row].relations}
        if stated:
            right.append(len(stated) / (things * (things - 1) / 2))
            texts.append(row)
    return {
        "pointing_regions": (np.array(hits), np.array(pictures)),
        "pointing_relations": (np.array(right), np.array(texts)),
    }


class Beside(Tuned):
    """Another method, tuned as its own table has it, with the choice between twins."""

    def _fit(self, config: NetworkConfig) -> tuple[NetworkMethod, float]:
        self.last = super()._fit(config)
        return self.last

    def told(self, seed: int) -> Outcome:
        """Train with `seed` and report."""
        found = self.once(seed)
        model = self.best[0] if seed == SEEDS[0] else self.last[0]
        return Outcome(report_of(model, self.data), found.seconds, found.chosen)


class Trained:
    """CRANs that are trained once a seed, however many rows look at them."""

    def __init__(self, pairs: Pairs, look: bool = False, **settings: Any) -> None:
        self.pairs, self.look, self.settings = pairs, look, settings
        self.found: dict[int, tuple[Any, ...]] = {}

    def at(self, seed: int) -> tuple[Any, ...]:
        """Every level on the validation and the test split, choices between twins, pointing, seconds and epoch."""
        if seed not in self.found:
            start = time.process_time()
            model = CRAN(CRANConfig.small(**self.settings, seed=seed)).fit(self.pairs.train, val=self.pairs.val)
            seconds = time.process_time() - start
            val, test = (model.level_scores(part) for part in (self.pairs.val, self.pairs.test))
            sums = {" ".join(levels): levels for levels in sums_of(tuple(test))}

            def score(part: Pairs) -> dict[str, Tensor]:
                found = model.level_scores(part)
                return {name: sum(found[level] for level in levels) for name, levels in sums.items()}

            told = choices(score)
            looked = pointing(model, self.pairs.test) if self.look else {}
            epochs = {line["stage"]: line["epoch"] for line in model.history if line.get("best")}
            self.found[seed] = val, test, told, looked, seconds, epochs
        return self.found[seed]

    def levels(self, levels: Sequence[str] | None, seed: int) -> Outcome:
        """Report the sum of some levels, or of all."""
        _, test, told, looked, seconds, epochs = self.at(seed)
        names = tuple(levels or test)
        found = evaluate.report(sum(test[name] for name in names), self.pairs.test)
        return Outcome(with_values(found, told[" ".join(names)] | looked), seconds, {"epochs": epochs})

    def weighted(self, seed: int) -> Outcome:
        """Report the sum with the weights that are best on the validation split; twins are not asked."""
        val, test, _, _, seconds, epochs = self.at(seed)
        tried = [dict(zip(val, (1.0, local, relation), strict=True)) for local in STEPS for relation in STEPS]
        best = max(tried, key=lambda weights: _recall(weighed(val, weights), self.pairs.val))
        found = evaluate.report(weighed(test, best), self.pairs.test)
        return Outcome(found, seconds, {"epochs": epochs, "weights": best})


def sums_of(levels: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every choice of one or more levels."""
    chosen = (
        [name for place, name in enumerate(levels) if number >> place & 1] for number in range(1, 2 ** len(levels))
    )
    return [tuple(names) for names in chosen]


def _recall(scores: Tensor, pairs: Pairs) -> float:
    found = evaluate.recall(scores, pairs.image_of_text)
    return sum(found.i2t[k] + found.t2i[k] for k in (1, 5, 10)) / 6
