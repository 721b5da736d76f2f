"""CCL on Open Clip Art: 14 classes, class words removed from the texts, split by group; the seed splits.

Wider codes and a longer 1D than elsewhere; both were chosen on the validation split of seed 0. The row "classifiers"
leaves stage 2 out: images and texts are compared by what the classifiers of 1D believe, as semantic matching does.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import torch
from ccl import SEEDS, SHARED, ccl_rows
from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe
from torch.nn.functional import normalize

from xmrlib import CCL, CCLConfig, SemanticMatching, SemanticMatchingConfig, data, evaluate
from xmrlib.methods.network import through

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs

WIDER = {"code": 512, "supervised_epochs": 32}
WORDS = "Lite0 x tf-idf, whole and parts"


def beliefs(model: CCL, pairs: Pairs) -> dict[str, Tensor]:
    """(n, classes) probabilities of each side's classifier of 1D."""
    network = model.network
    items = {"image": model.image_side.features(pairs.images), "text": model.text_side.features(pairs.texts)}
    found = {}
    for side, views in items.items():
        classify = network.classifiers[side]
        logits = through(network, lambda *x, side=side, classify=classify: classify(network.fused(side, *x)), views)
        found[side] = logits.softmax(dim=1)
    return found


def accuracies(found: dict[str, Tensor], pairs: Pairs) -> dict[str, float]:
    """The share of items of each side that its classifier puts into the right class."""
    labels = {"image": pairs.labels, "text": pairs.text_labels}
    return {
        f"{side} accuracy": round((found[side].argmax(1) == torch.as_tensor(labels[side])).double().mean().item(), 4)
        for side in found
    }


def by_classifiers(cut: dict[int, Pairs], scaling: str, seed: int) -> Outcome:
    """CCL with its second stage left out."""
    start, pairs = time.process_time(), cut[seed]
    model = CCL(CCLConfig.small(**WIDER, scaling=scaling, seed=seed)).fit(pairs.train, val=pairs.val)
    seconds = time.process_time() - start
    found = beliefs(model, pairs.test)
    scores = normalize(found["image"], dim=1) @ normalize(found["text"], dim=1).T
    return Outcome(evaluate.report(scores, pairs.test), seconds, accuracies(found, pairs.test))


def by_small_networks(cut: dict[int, Pairs], seed: int) -> Outcome:
    """Semantic matching without scaling, as every seed chooses it here, and how often its classifiers are right."""
    start, pairs = time.process_time(), cut[seed]
    config = SemanticMatchingConfig(classifier="mlp", standardise=False, seed=seed)
    model = SemanticMatching(config).fit(pairs.train, val=pairs.val)
    seconds = time.process_time() - start
    found = {"image": model.embed_images(pairs.test.images), "text": model.embed_texts(pairs.test.texts)}
    return Outcome(
        evaluate.report(found["image"] @ found["text"].T, pairs.test), seconds, accuracies(found, pairs.test)
    )


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "openclipart", __doc__, (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED))
    cut = {seed: data.load("openclipart", seed=seed) for seed in SEEDS}
    rows = ccl_rows(recipe, cut, WORDS, ["coarse", "intra", "softmax", "contrastive"], settings=WIDER)
    chosen = next(row["chosen"][0] for row in recipe.rows if (row["method"], row["ablation"]) == ("CCL", None))
    rows["classifiers"] = recipe.row("CCL", f"{WORDS}, small; scaling, epoch by validation", "classifiers")
    rows["networks"] = recipe.row("SemanticMatching", "Lite0 x tf-idf; small networks, epoch by validation", "unscaled")
    recipe.run(rows["classifiers"], SEEDS, partial(by_classifiers, cut, chosen["scaling"]))
    recipe.run(rows["networks"], SEEDS, partial(by_small_networks, cut))
    recipe.compare(rows["ccl"], rows["classifiers"])
    recipe.compare(rows["networks"], rows["classifiers"])
    recipe.close()


if __name__ == "__main__":
    main()
