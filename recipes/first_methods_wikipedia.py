"""The first methods on Wikipedia: 693 official test pairs, SIFT bags of words against LDA topics and against words.

What validation chooses, it chooses on 231 pairs cut from the training list by article; the seed cuts them. Then the
method learns again from all 2,173 (the small networks do not: they stop early by the validation split).
"""

from __future__ import annotations

from common import TEXT_SOURCES, Recipe, train_and_report
from rows import first_methods

from xmrlib import data
from xmrlib.methods import CCA, CCAConfig

SEEDS = (0, 1, 2)
TOPICS = {"text_view": "vector"}  # LDA, 10 topics, as the data bring them
WORDS = {"text_view": "tfidf", "text_options": {"dim": 200}}


def main() -> None:
    """Make every row of the table."""
    recipe = Recipe(__file__, "wikipedia", __doc__.splitlines()[0], TEXT_SOURCES)
    cut = {seed: data.load("wikipedia", split="official", seed=seed) for seed in SEEDS}
    # Nothing is chosen and nothing is random in these two: one seed.
    fixed = recipe.row("CCA", "SIFT 128 x LDA 10; ridge 0.1")
    recipe.run(fixed, SEEDS[:1], lambda seed: train_and_report(CCA(CCAConfig(**TOPICS)), cut[seed], "both"))
    plain = recipe.row("CCA", "SIFT 128 x LDA 10; ridge 0.1", ablation="unweighted")
    recipe.run(plain, SEEDS[:1], lambda seed: train_and_report(CCA(CCAConfig(**TOPICS, weight=0.0)), cut[seed], "both"))
    recipe.compare(fixed, plain)
    histograms = {"image_kernel": "chi2", "landmarks": 500}
    first_methods(recipe, cut, "SIFT 128 x LDA 10", TOPICS, histograms | {"text_kernel": "chi2"}, learn_from="refit")
    first_methods(recipe, cut, "SIFT 128 x tf-idf 200", WORDS, histograms, learn_from="refit")
    recipe.close()


if __name__ == "__main__":
    main()
