"""MCSM on scenes: both spaces, every fusion, what attention and recurrence add, and where attention points.

Pointing: the share of test pictures whose most attended cell has its centre in the box of an object, and of texts whose
most attended word speaks of one. Beside it the rows "even", what attention that is the same everywhere would hit, and
"borrowed", what the attention of all other pictures would hit on this one: pictures have their objects in like places.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from common import PICTURE_SOURCES, TEXT_SOURCES, Outcome, Recipe
from mcsm import SEEDS, SHARED, first_rows, mcsm_rows, of_values

from xmrlib import MCSM, data
from xmrlib.data.pairs import Pairs
from xmrlib.features.text import WORD

CELLS = 7  # a side


def on_objects(pairs: Pairs) -> np.ndarray:
    """(image, cell) whether the centre of each cell lies in the box of an object."""
    y, x = ((place.reshape(-1) + 0.5) / CELLS for place in np.indices((CELLS, CELLS)))
    found = np.zeros((len(pairs), CELLS * CELLS), dtype=bool)
    for row, scene in enumerate(pairs.truth):
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            found[row] |= (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
    return found


def of_objects(pairs: Pairs) -> list[np.ndarray]:
    """For each text, which of its words speak of an object."""
    return [
        np.array(
            [
                any(mention.start <= word.start() < mention.end for mention in sentence.mentions)
                for sentence in scene.sentences
                for word in WORD.finditer(sentence.text.lower())
            ]
        )
        for scene in pairs.truth
    ]


def pointing(model: MCSM, pairs: Pairs) -> dict[str, np.ndarray]:
    """1 for each picture, and each text, whose most attended part is, or speaks of, an object; 0 for the others.

    "borrowed": for each picture, how often the most attended cells of the other pictures would be on an object here.
    """
    if not model.config.attention:
        return {}
    cells, hit = model.image_attention(pairs.images).argmax(dim=1).numpy(), on_objects(pairs)
    words, own = model.text_attention(pairs.texts).numpy(), hit[np.arange(len(pairs)), cells]
    spoken = of_objects(pairs)
    return {
        "pointing_regions": own.astype(float),
        "pointing_words": np.array([float(told[words[row, : len(told)].argmax()]) for row, told in enumerate(spoken)]),
        "borrowed": (hit[:, cells].sum(axis=1) - own) / (len(pairs) - 1),
    }


def main() -> None:
    """Make every row of the table."""
    sources = (*TEXT_SOURCES, *PICTURE_SOURCES, *SHARED, "xmrlib/data/openmoji.py")
    recipe = Recipe(__file__, "scenes", __doc__, sources)
    pairs = data.load("scenes")
    cut, words = dict.fromkeys(SEEDS, pairs), "Lite0 cells x words and tf-idf"
    rows, trained = mcsm_rows(recipe, cut, words, look=pointing)
    for row in first_rows(recipe, cut, "Lite0 whole x tf-idf", {}).values():
        recipe.compare(rows["mcsm"], row)

    def even(seed: int) -> Outcome:
        hits = {
            "pointing_regions": on_objects(pairs.test).mean(axis=1),
            "pointing_words": np.array([told.mean() for told in of_objects(pairs.test)]),
        }
        return Outcome(of_values(trained["mcsm"].fused("sum", seed).report, hits), 0.0, {})

    def elsewhere(name: str, seed: int) -> Outcome:
        hits = {"pointing_regions": trained[name].at(seed)[2]["borrowed"]}
        return Outcome(of_values(trained[name].fused("sum", seed).report, hits), 0.0, {})

    rows["even"] = recipe.row("MCSM", f"{words}, small; epoch by validation", "even")
    recipe.run(rows["even"], SEEDS[:1], even)
    for name in ("mcsm", "feedforward"):
        own = name if name == "feedforward" else None
        other = recipe.row("MCSM", f"{words}, small; epoch by validation", "-".join(filter(None, (own, "borrowed"))))
        recipe.run(other, SEEDS, partial(elsewhere, name))
        recipe.compare(rows[name], rows["even"], "pointing_regions")
        recipe.compare(rows[name], rows["even"], "pointing_words")
        recipe.compare(rows[name], other, "pointing_regions")
    recipe.close()


if __name__ == "__main__":
    main()
