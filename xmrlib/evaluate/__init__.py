"""How good is a ranking, by which protocol, and how sure can one be?

    xmrlib.evaluate.report(scores, pairs)      everything below in one table
    map_all, map_embeddings, embedding_map     category relevance: MAP over all results
    recall, recall_embeddings, recall_folds    instance relevance: Recall@K and median rank
    precision_recall, precision_at             precision along the ranked list
    twin_accuracy                              the choice between two scenes that differ in arrangement only
    chance, chance_recall                      what a random order scores
    bootstrap, paired_bootstrap, compare       intervals over queries and seeds

No function here knows a method: all work on a matrix of similarities, (image, text), or on two sets of embeddings.
"""

from __future__ import annotations

from xmrlib.evaluate.chance import Chance, chance, chance_median_rank, chance_recall, random_average_precision
from xmrlib.evaluate.curves import PrecisionRecall, precision_at, precision_recall
from xmrlib.evaluate.intervals import Interval, bootstrap, bootstrap_median, over_seeds, paired_bootstrap
from xmrlib.evaluate.precision import Bounds, MeanAveragePrecision, average_precision, map_all, map_embeddings
from xmrlib.evaluate.protocols import EmbeddingMap, TwinAccuracy, embedding_map, twin_accuracy
from xmrlib.evaluate.recall import Places, Recall, RecallBounds, recall, recall_embeddings, recall_folds
from xmrlib.evaluate.report import Report, compare, report, twin_rows

__all__ = [
    "Bounds",
    "Chance",
    "EmbeddingMap",
    "Interval",
    "MeanAveragePrecision",
    "Places",
    "PrecisionRecall",
    "Recall",
    "RecallBounds",
    "Report",
    "TwinAccuracy",
    "average_precision",
    "bootstrap",
    "bootstrap_median",
    "chance",
    "chance_median_rank",
    "chance_recall",
    "compare",
    "embedding_map",
    "map_all",
    "map_embeddings",
    "over_seeds",
    "paired_bootstrap",
    "precision_at",
    "precision_recall",
    "random_average_precision",
    "recall",
    "recall_embeddings",
    "recall_folds",
    "report",
    "twin_accuracy",
    "twin_rows",
]
