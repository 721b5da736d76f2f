"""One table that says what was measured, by which protocol, and how sure it is."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from xmrlib.evaluate.chance import chance, chance_median_rank, chance_recall
from xmrlib.evaluate.checks import as_matrix
from xmrlib.evaluate.intervals import Interval, bootstrap, bootstrap_median, paired_bootstrap
from xmrlib.evaluate.precision import map_all
from xmrlib.evaluate.protocols import twin_accuracy
from xmrlib.evaluate.recall import recall

if TYPE_CHECKING:
    from xmrlib.data.pairs import Pairs

Protocol = Literal["honest", "authors"]
Scores = Float[Tensor, "image text"] | Float[np.ndarray, "image text"]
TIE_RULE = {"honest": "expected", "authors": "index"}
TIE_WORDS = {"expected": "expectation over a random order of tied items", "index": "tied items in index order"}
DIRECTIONS = ("i2t", "t2i")


@dataclass(frozen=True)
class Report:
    """What similarities score on one set of pairs.

    metrics    value by measure, named as in the recorded results: map_i2t, map_t2i, map_avg, r1_i2t, ..., twin_t2i
    intervals  (low, high) of each measure
    chance     what a random order scores, by measure
    queries    per-query values and the images they belong to, by measure: one (values, clusters) a direction
    """

    name: str
    images: int
    texts: int
    protocol: str
    ties: str
    level: float
    samples: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    chance: dict[str, float]
    queries: dict[str, list[tuple[np.ndarray, np.ndarray]]] = field(repr=False)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict:
        """Everything but the per-query values, ready for JSON."""
        names = ("name", "images", "texts", "protocol", "ties", "level", "samples", "metrics", "chance", "notes")
        return {name: getattr(self, name) for name in names} | {
            "intervals": {k: list(v) for k, v in self.intervals.items()}
        }

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def _rows(self) -> list[list[str]]:
        """The cells of the table: measure, image→text, text→image, mean, by chance."""
        measures = dict.fromkeys(name.rpartition("_")[0] for name in self.metrics)
        return [
            [
                _title(measure),
                *(self._cell(f"{measure}_{way}") for way in (*DIRECTIONS, "avg")),
                self._by_chance(measure),
            ]
            for measure in measures
        ]

    def _cell(self, name: str) -> str:
        if name not in self.metrics:
            return ""
        value, (low, high) = self.metrics[name], self.intervals[name]
        form = "{:g} [{:.4g}, {:.4g}]" if name.startswith("medr") else "{:.3f} [{:.3f}, {:.3f}]"
        return form.format(value, low, high)

    def _by_chance(self, measure: str) -> str:
        form = "{:g}" if measure == "medr" else "{:.3f}"
        values = [form.format(self.chance[f"{measure}_{way}"]) for way in DIRECTIONS]
        return values[0] if values[0] == values[1] else " / ".join(values)

    def _header(self) -> list[str]:
        rows = self._rows()
        header = ["", "image→text", "text→image", "mean of both", "by chance"]
        return [title if any(row[i] for row in rows) else "" for i, title in enumerate(header)]

    def _title(self) -> str:
        return f"{self.name}: {self.images:,} images, {self.texts:,} texts in the gallery"

    def _footer(self) -> list[str]:
        return [
            f"protocol {self.protocol}; ties: {TIE_WORDS[self.ties]}",
            f"[..]: {self.level:.0%} bootstrap interval over queries, clustered by image ({self.samples:,} draws)",
            *self.notes,
        ]

    def __str__(self) -> str:
        table = [self._header(), *self._rows()]
        kept = [i for i in range(5) if any(row[i] for row in table)]
        widths = {i: max(len(row[i]) for row in table) for i in kept}
        lines = ["  ".join(row[i].ljust(widths[i]) for i in kept).rstrip() for row in table]
        return "\n".join([self._title(), *lines, *self._footer()])

    def _repr_html_(self) -> str:
        def cells(row: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(row[i])}</{tag}>" for i in kept) + "</tr>"

        table = [self._header(), *self._rows()]
        kept = [i for i in range(5) if any(row[i] for row in table)]
        body = "".join(cells(row, "td") for row in table[1:])
        foot = "<br>".join(html.escape(line) for line in self._footer())
        return (
            f'<table class="xmr-report"><caption>{html.escape(self._title())}</caption><thead>{cells(table[0], "th")}'
            f"</thead><tbody>{body}</tbody></table><small>{foot}</small>"
        )


def _title(measure: str) -> str:
    named = {"map": "MAP", "medr": "median rank", "twin": "twins"}
    return named.get(measure) or f"R@{measure[1:]}"


def report(
    scores: Scores | tuple[Scores, Scores],
    pairs: Pairs,
    protocol: Protocol = "honest",
    ks: Sequence[int] = (1, 5, 10),
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Report:
    """Everything that `scores` and `pairs` allow: MAP with labels, Recall@K, median rank, twins where there are some.

    scores    (image, text) similarities of all images and texts of `pairs`; or two such matrices, one for images that
              ask and one for texts, of a method whose scores depend on who asks
    protocol  "honest": tied items in expectation. "authors": tied items in index order, as the released evaluations
              have it; whatever else the authors did (standardising, choosing on the test set) happened before `scores`
    samples   draws of the bootstrap

    Raises `ValueError` for scores of another shape than `pairs`, a NaN, labels out of range, an unknown protocol.
    """
    if protocol not in TIE_RULE:
        raise ValueError(f'protocol={protocol!r} is unknown; choose "honest" or "authors".')
    images, texts = len(pairs.images), len(pairs.texts)
    asked = [
        as_matrix(part, "scores", ("image", "text")) for part in (scores if isinstance(scores, tuple) else (scores,))
    ]
    for part in asked:
        if tuple(part.shape) != (images, texts):
            raise ValueError(
                f"scores have shape {tuple(part.shape)}, but {pairs.name} has {images} images and {texts} texts. Were "
                "they made with the same split?"
            )
    ties, notes = TIE_RULE[protocol], []
    image_of_text = np.asarray(pairs.image_of_text)
    by_image = {"i2t": np.arange(images), "t2i": image_of_text}
    clusters: dict[str, dict[str, np.ndarray]] = {}
    values: dict[str, dict[str, np.ndarray]] = {}
    floor: dict[str, float] = {}

    def note(measure: str, i2t: np.ndarray, t2i: np.ndarray, by_chance) -> None:
        values[measure] = {"i2t": i2t, "t2i": t2i}
        floor.update({f"{measure}_i2t": by_chance.i2t, f"{measure}_t2i": by_chance.t2i})

    if pairs.labels is None:
        notes.append("no class labels: MAP is not defined, only Recall@K")
    else:
        found = [map_all(part, pairs.labels, pairs.text_labels, ties) for part in asked]
        note("map", found[0].ap_i2t, found[-1].ap_t2i, chance(pairs.labels, pairs.text_labels))
    found = [recall(part, pairs.image_of_text, ks, ties) for part in asked]
    of_images, of_texts = found[0].places_i2t, found[-1].places_t2i
    for k in ks:
        by_chance = chance_recall(pairs.image_of_text, images, k)
        note(f"r{k}", of_images.within(k), of_texts.within(k), by_chance)
    by_chance = chance_median_rank(pairs.image_of_text, images)
    note("medr", of_images.expected(), of_texts.expected(), by_chance)
    twin = twin_rows(pairs)
    if twin is not None:
        found = [twin_accuracy(part, pairs.image_of_text, twin) for part in asked]
        values["twin"] = {"i2t": found[0].per_image, "t2i": found[-1].per_text}
        # Both scenes of a pair of twins are one draw: their choices are made among the same four scores.
        pair = np.where(twin >= 0, np.minimum(twin, np.arange(images)), np.arange(images))
        clusters["twin"] = {"i2t": pair, "t2i": pair[image_of_text]}
        floor.update(twin_i2t=0.5, twin_t2i=0.5)
        notes.append(
            f"twins: the choice between two scenes that differ in arrangement only ({(twin >= 0).sum():,} images)"
        )

    metrics, intervals, queries = {}, {}, {}
    for measure, by_way in values.items():
        for way in (*DIRECTIONS, "avg") if measure == "map" else DIRECTIONS:
            name = f"{measure}_{way}"
            drawn = clusters.get(measure, by_image)
            queries[name] = [(by_way[part], drawn[part]) for part in (DIRECTIONS if way == "avg" else (way,))]
            interval = _interval(measure, queries[name], samples, level, seed)
            metrics[name], intervals[name] = interval.value, (interval.low, interval.high)
    if "map" in values:
        floor["map_avg"] = (floor["map_i2t"] + floor["map_t2i"]) / 2
    return Report(
        pairs.name, images, texts, protocol, ties, level, samples, metrics, intervals, floor, queries, tuple(notes)
    )


def _interval(measure, parts, samples: int, level: float, seed: int) -> Interval:
    if measure == "medr":
        ((values, clusters),) = parts
        return bootstrap_median(values, clusters, samples, level, seed)
    values, clusters = zip(*parts, strict=True)
    return bootstrap(values, clusters, samples, level, seed)


def twin_rows(pairs: Pairs) -> np.ndarray | None:
    """(image,) row of each image's twin in `pairs`, -1 without one; None where the set has no twins."""
    if pairs.truth is None:
        return None
    row_of = {name: row for row, name in enumerate(pairs.images.ids)}
    rows = np.array([row_of.get(getattr(scene, "twin", None), -1) for scene in pairs.truth])
    return rows if (rows >= 0).any() else None


def compare(
    a: Report | Sequence[Report],
    b: Report | Sequence[Report],
    measure: str = "map_avg",
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The difference a - b in one measure, with its interval over queries and, given several reports each, over seeds.

    a, b     a report, or one report a seed, of two methods on the same pairs
    measure  any measure but a median rank

    An order is claimed only where `compare(...).excludes_zero`. Raises `ValueError` for reports of different pairs,
    protocols or numbers of seeds, and for an unknown measure.
    """
    a, b = ([side] if isinstance(side, Report) else list(side) for side in (a, b))
    kinds = {(r.name, r.images, r.texts, r.protocol) for r in (*a, *b)}
    if len(kinds) != 1 or len(a) != len(b):
        raise ValueError(
            f"compare needs the same pairs, protocol and number of seeds; got {len(a)} and {len(b)} of {kinds}."
        )
    if measure not in a[0].queries or measure.startswith("medr"):
        known = [name for name in a[0].queries if not name.startswith("medr")]
        raise ValueError(f"measure={measure!r} cannot be compared; choose one of {', '.join(known)}.")
    clusters = [c for _, c in a[0].queries[measure]]

    def stacked(side: list[Report]) -> list[np.ndarray]:
        return [np.stack([r.queries[measure][part][0] for r in side]) for part in range(len(clusters))]

    return paired_bootstrap(stacked(a), stacked(b), clusters, samples, level, seed)
