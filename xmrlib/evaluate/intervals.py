"""How sure a number is: bootstrap intervals over queries and seeds, clustered by image.

Queries are drawn again with replacement, all queries of one image together, since the five captions of a picture
succeed or fail together. The gallery stays as it is: an interval speaks of other queries, not of another gallery. Where
a method was trained with several seeds, the seeds are drawn again as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Values = np.ndarray | Sequence[np.ndarray]
Clusters = np.ndarray | Sequence[np.ndarray | None] | None


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval at confidence `level`."""

    value: float
    low: float
    high: float
    level: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside: the condition for claiming an order from a difference."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    values: Values,
    clusters: Clusters = None,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of per-query values, with its bootstrap interval.

    values    (query,), or (seed, query) for several trainings; NaN for a query left out. Or a list of such, one a
              direction: then the mean of their means
    clusters  (query,) row of the image each query belongs to; by default each query is an image of its own. A list
              where `values` is one
    samples   how many times to draw

    Raises `ValueError` for shapes that differ, nothing to average, or a level outside (0, 1).

    >>> print(bootstrap(np.array([1., 0., 1., 1., 0., 1., 1., 1.])))
    0.750 [0.375, 1.000]
    """
    parts = _parts(values, clusters)
    low, high = _check(level, samples)
    drawn = np.concatenate([_draw_seeds(means, rng) for means, rng in _draw_images(parts, samples, seed)])
    value = np.mean([np.nansum(v, axis=1) / (~np.isnan(v)).sum(axis=1) for v, _ in parts])
    return Interval(float(value), *(float(q) for q in np.quantile(drawn, (low, high))), level)


def paired_bootstrap(
    a: Values,
    b: Values,
    clusters: Clusters = None,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean difference a - b of two methods on the same queries (and as many seeds), with its bootstrap interval.

    a, b      (query,) or (seed, query) values, or lists of such, one a direction; what either left out is left out
    clusters  as for `bootstrap`

    An order between two methods is claimed only where the interval excludes 0. Raises what `bootstrap` raises.

    >>> a, b = np.array([.9, .8, .7, .6]), np.array([.5, .5, .5, .5])
    >>> paired_bootstrap(a, b).excludes_zero
    True
    """
    is_list = isinstance(a, list | tuple)
    pairs = list(zip(a, b, strict=True)) if is_list else [(a, b)]
    for x, y in pairs:
        if np.shape(x) != np.shape(y):
            raise ValueError(
                f"a has shape {np.shape(x)}, b {np.shape(y)}: a paired comparison needs the same queries and as "
                "many seeds."
            )
    differences = [np.asarray(x, float) - np.asarray(y, float) for x, y in pairs]
    return bootstrap(differences if is_list else differences[0], clusters, samples, level, seed)


def bootstrap_median(
    values: np.ndarray, clusters: np.ndarray | None = None, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The median of per-query values (a median rank), with its bootstrap interval; arguments as for `bootstrap`."""
    ((values, clusters),) = _parts(values, clusters)
    quantiles = _check(level, samples)
    order = np.argsort(values[0], kind="stable")
    ordered, cluster_of = values[0][order], clusters[order]
    medians = []
    for weights, _ in _weights(int(clusters.max()) + 1, samples, seed):
        through = np.cumsum(weights[:, cluster_of], axis=1)
        half = through[:, -1:] / 2
        # The two middle values of the drawn list are the same one unless exactly half of it lies below.
        lower, upper = (np.argmax(through >= half, axis=1), np.argmax(through > half, axis=1))
        medians.append((ordered[lower] + ordered[upper]) / 2)
    low, high = np.quantile(np.concatenate(medians), quantiles)
    return Interval(float(np.median(values)), float(low), float(high), level)


def over_seeds(metrics: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | list[float]]]:
    """Mean, sample standard deviation and values of each measure over several seeds, as a recorded result holds them.

    >>> over_seeds([{"map_i2t": .25}, {"map_i2t": .5}, {"map_i2t": .75}])
    {'map_i2t': {'mean': 0.5, 'sd': 0.25, 'values': [0.25, 0.5, 0.75]}}
    """
    if not metrics:
        raise ValueError("over_seeds needs at least one run.")
    names = set(metrics[0])
    for run in metrics:
        if set(run) != names:
            raise ValueError(f"the runs measure different things: {sorted(names ^ set(run))} are not in all of them.")
    table = {name: [float(run[name]) for run in metrics] for name in metrics[0]}
    return {
        name: {"mean": float(np.mean(v)), "sd": float(np.std(v, ddof=1)) if len(v) > 1 else 0.0, "values": v}
        for name, v in table.items()
    }


def _parts(values: Values, clusters: Clusters) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each direction's values as (seed, query), with the image of each query."""
    is_list = isinstance(values, list | tuple) and np.ndim(values[0]) > 0
    values = list(values) if is_list else [values]
    clusters = [None] * len(values) if clusters is None else list(clusters) if is_list else [clusters]
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} directions of values but {len(clusters)} of clusters.")
    parts = []
    for v, c in zip(values, clusters, strict=True):
        v = np.atleast_2d(np.asarray(v, dtype=float))
        c = np.arange(v.shape[1]) if c is None else np.asarray(c)
        if v.ndim != 2 or c.shape != v.shape[1:]:
            raise ValueError(f"values {v.shape} must be (query,) or (seed, query), clusters (query,); got {c.shape}.")
        if v.size == 0 or np.isnan(v).all(axis=1).any():
            raise ValueError("there is no value to average.")
        parts.append((v, c))
    if len({len(v) for v, _ in parts}) != 1:
        raise ValueError("the directions have different numbers of seeds.")
    return parts


def _check(level: float, samples: int) -> tuple[float, float]:
    if not 0 < level < 1 or samples < 1:
        raise ValueError(f"level={level} must lie between 0 and 1, samples={samples} must be at least 1.")
    return (1 - level) / 2, (1 + level) / 2


def _weights(images: int, samples: int, seed: int) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """How often each image is drawn, (some samples, image) at a time, and the generator that drew them."""
    rng = np.random.default_rng(seed)
    step = max(1, 2_000_000 // images)
    for start in range(0, samples, step):
        some = min(step, samples - start)
        drawn = rng.integers(0, images, (some, images)) + images * np.arange(some)[:, None]
        yield np.bincount(drawn.ravel(), minlength=some * images).reshape(some, images), rng


def _draw_images(parts, samples: int, seed: int) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """The mean of each seed over drawn images, averaged over the directions: (some samples, seed)."""
    images = 1 + max(int(clusters.max()) for _, clusters in parts)
    totals = []
    for values, clusters in parts:
        sums = [np.bincount(clusters, np.nan_to_num(row), minlength=images) for row in values]
        sizes = [np.bincount(clusters, ~np.isnan(row), minlength=images) for row in values]
        totals.append((np.stack(sums, axis=1), np.stack(sizes, axis=1)))
    for weights, rng in _weights(images, samples, seed):
        weights = weights.astype(float)
        # A draw without any valid query has no mean; it can only happen with a handful of images.
        means = [(weights @ sums) / np.maximum(weights @ sizes, 1) for sums, sizes in totals]
        yield np.mean(means, axis=0), rng


def _draw_seeds(means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean over drawn seeds: (sample, seed) -> (sample,)."""
    seeds = means.shape[1]
    if seeds == 1:
        return means[:, 0]
    # Drawing from so few seeds understates their variance by (seeds - 1) / seeds; stretching the deviations mends it.
    centre = means.mean(axis=1, keepdims=True)
    stretched = centre + (means - centre) * np.sqrt(seeds / (seeds - 1))
    drawn = rng.integers(0, seeds, means.shape)
    return np.take_along_axis(stretched, drawn, axis=1).mean(axis=1)
