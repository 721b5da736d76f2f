"""MAP over all and Recall@K: this library, other libraries, and the loop that most published code uses.

All rows do the same work: both directions, from embeddings to the measure. The floor is the matrix products alone, made
in tiles and thrown away: nobody who scores every pair can be faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class Task:
    """One piece of work: how its data are made, the sizes that are measured, and who does it.

    agree    how far a value may be from ours and still count as equal
    prepare  what a method needs before the clock starts (an index), by method
    skip     what is not run, and why: (method, least number of images) -> reason
    """

    data: Callable[..., dict]
    warm: dict
    sizes: tuple[dict, ...]
    quick: tuple[dict, ...]
    methods: dict[str, Callable[[dict], dict]]
    agree: float
    prepare: dict[str, Callable[[dict], dict]] = field(default_factory=dict)
    skip: dict[tuple[str, int], str] = field(default_factory=dict)


def classes(images: int, dim: int, count: int = 20) -> dict:
    """As many texts as images, unit vectors, `count` classes that can be told apart a little."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(count, (images,), generator=rng)
    centres = torch.randn(count, dim, generator=rng)
    sides = [
        torch.nn.functional.normalize(torch.randn(images, dim, generator=rng) + 0.1 * centres[labels]) for _ in "it"
    ]
    return {"images": sides[0], "texts": sides[1], "labels": labels}


def both_ways(data: dict):
    """(queries, gallery) of image queries, then of text queries."""
    return (data["images"], data["texts"]), (data["texts"], data["images"])


def map_here(data: dict) -> dict:
    from xmrlib.evaluate import map_embeddings

    found = map_embeddings(data["images"], data["texts"], data["labels"])
    return {"i2t": found.i2t, "t2i": found.t2i}


def map_loop(data: dict) -> dict:
    """Two Python loops over a full matrix of distances: the evaluation of most published code, in our words."""
    labels, answers = data["labels"].numpy(), []
    for queries, gallery in both_ways(data):
        distance = 1 - queries.numpy().astype(np.float64) @ gallery.numpy().astype(np.float64).T
        order = distance.argsort(axis=1)
        total = 0.0
        for query in range(len(order)):
            hits, precision = 0, 0.0
            for place, item in enumerate(order[query]):
                if labels[item] == labels[query]:
                    hits += 1
                    precision += hits / (place + 1)
            total += precision / hits if hits else 0.0
        answers.append(total / len(order))
    return dict(zip(("i2t", "t2i"), answers, strict=True))


def map_sklearn(data: dict) -> dict:
    from sklearn.metrics import average_precision_score

    labels, answers = data["labels"].numpy(), []
    for queries, gallery in both_ways(data):
        scores = (queries @ gallery.T).numpy()
        every = [average_precision_score(labels == y, row) for row, y in zip(scores, labels, strict=True)]
        answers.append(float(np.mean(every)))
    return dict(zip(("i2t", "t2i"), answers, strict=True))


def map_torchmetrics(data: dict, shift: float = 0.0) -> dict:
    from torchmetrics.retrieval import RetrievalMAP

    labels, answers = data["labels"], []
    for queries, gallery in both_ways(data):
        scores = queries @ gallery.T + shift
        metric = RetrievalMAP()
        index = torch.arange(len(scores))[:, None].expand_as(scores)
        metric.update(scores.flatten(), (labels[:, None] == labels[None]).flatten(), index.flatten())
        answers.append(float(metric.compute()))
    return dict(zip(("i2t", "t2i"), answers, strict=True))


def map_torchmetrics_shifted(data: dict) -> dict:
    """Relevant items with scores of at most 0 are dropped by torchmetrics; a shift keeps them."""
    return map_torchmetrics(data, shift=2.0)


def map_metric_learning(data: dict) -> dict:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    labels, answers = data["labels"], []
    knn = CustomKNN(CosineSimilarity())
    for queries, gallery in both_ways(data):
        calculator = AccuracyCalculator(
            include=("mean_average_precision",), k=len(gallery), knn_func=knn, device=torch.device("cpu")
        )
        found = calculator.get_accuracy(queries, labels, gallery, labels, ref_includes_query=False)
        answers.append(float(found["mean_average_precision"]))
    return dict(zip(("i2t", "t2i"), answers, strict=True))


def map_floor(data: dict) -> dict:
    for queries, gallery in both_ways(data):
        for part in queries.split(max(1, (1 << 22) // len(gallery))):
            part @ gallery.T
    return {}


def captions(images: int, dim: int, texts: int = 5, seed: int = 0) -> dict:
    """Unit vectors of images, and `texts` captions near each."""
    rng = torch.Generator().manual_seed(seed)
    sides = torch.randn(images, dim, generator=rng)
    near = torch.randn(images * texts, dim, generator=rng) + 0.1 * sides.repeat_interleave(texts, dim=0)
    sides, near = torch.nn.functional.normalize(sides), torch.nn.functional.normalize(near)
    return {"images": sides, "texts": near, "image_of_text": np.repeat(np.arange(images), texts)}


def recalls(i2t: np.ndarray, t2i: np.ndarray) -> dict:
    """R@1, 5, 10 and median rank from places counted from 0."""
    named = {}
    for way, places in (("i2t", i2t), ("t2i", t2i)):
        named |= {f"r{k}_{way}": float((places < k).mean()) for k in (1, 5, 10)}
        named[f"medr_{way}"] = float(np.median(places)) + 1
    return named


def recall_here(data: dict) -> dict:
    from xmrlib.evaluate import recall_embeddings

    found = recall_embeddings(data["images"], data["texts"], data["image_of_text"])
    named = {f"r{k}_{way}": getattr(found, way)[k] for way in ("i2t", "t2i") for k in (1, 5, 10)}
    return named | {"medr_i2t": found.median_rank_i2t, "medr_t2i": found.median_rank_t2i}


def recall_loop(data: dict) -> dict:
    """One product and one sort a query, in a Python loop, as the code of VSE++ evaluates; in our words."""
    images, texts, own = data["images"].numpy(), data["texts"].numpy(), data["image_of_text"]
    i2t, t2i = np.empty(len(images)), np.empty(len(texts))
    for image in range(len(images)):
        place = np.empty(len(texts), int)
        place[np.argsort(texts @ images[image])[::-1]] = np.arange(len(texts))
        i2t[image] = min(place[text] for text in np.flatnonzero(own == image))
        for text in np.flatnonzero(own == image):
            t2i[text] = np.flatnonzero(np.argsort(images @ texts[text])[::-1] == image)[0]
    return recalls(i2t, t2i)


def recall_sorted(data: dict) -> dict:
    """The full matrix, every row and every column sorted."""
    scores, own = (data["images"] @ data["texts"].T).numpy(), data["image_of_text"]
    order = np.argsort(-scores, axis=1)
    i2t = (own[order] == np.arange(len(scores))[:, None]).argmax(axis=1)
    order = np.argsort(-scores.T, axis=1)
    return recalls(i2t, (order == own[:, None]).argmax(axis=1))


def recall_floor(data: dict) -> dict:
    for part in data["images"].split(512):
        part @ data["texts"].T
    return {}


TASKS = {
    "map": Task(
        data=classes,
        warm={"images": 64, "dim": 8},
        sizes=({"images": 1000, "dim": 1024}, {"images": 5000, "dim": 1024}, {"images": 20000, "dim": 512}),
        quick=({"images": 1000, "dim": 256},),
        methods={
            "xmrlib": map_here,
            "scikit-learn": map_sklearn,
            "torchmetrics": map_torchmetrics,
            "torchmetrics, scores shifted": map_torchmetrics_shifted,
            "pytorch-metric-learning": map_metric_learning,
            "plain loop": map_loop,
            "floor (matrix products)": map_floor,
        },
        agree=1e-5,
        skip={
            ("torchmetrics", 20000): "needs about 30 GB",
            ("torchmetrics, scores shifted", 20000): "needs about 30 GB",
            ("pytorch-metric-learning", 20000): "needs about 25 GB",
        },
    ),
    "recall": Task(
        data=captions,
        warm={"images": 64, "dim": 8},
        sizes=({"images": 1000, "dim": 1024}, {"images": 5000, "dim": 1024}),
        quick=({"images": 500, "dim": 256},),
        methods={
            "xmrlib": recall_here,
            "full matrix, sorted": recall_sorted,
            "plain loop": recall_loop,
            "floor (matrix products)": recall_floor,
        },
        agree=1e-12,
    ),
}
