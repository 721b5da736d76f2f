"""Marks beside the tables on `scenes`: what a reader scores who knows the truth of each picture and each text.

The oracle knows which objects are in a picture, where they are, which of them a text names and what it states. It
does not know which text was made for which picture. Its score is no limit: a family's scenes share objects and a text
names two or three, so that pictures tie, and who then prefers those with few objects does better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from xmrlib.data.pairs import Pairs
from xmrlib.data.scenes_truth import Scene, holds
from xmrlib.data.scenes_world import PLACES, THEMES, THINGS

_NOUNS = {noun: place for place, noun in enumerate(THINGS)}
_PLACES = {name: place for place, name in enumerate(PLACES)}


def instance_scores(
    images: Sequence[Scene], texts: Sequence[Scene], relations: bool = True
) -> Float[np.ndarray, "image text"]:
    """How well each picture fits each text: named objects present, plus stated relations true, less those false.

    relations  whether to read relations; without, twins fit a text equally well

    >>> from xmrlib.data.scenes import load
    >>> scenes = load(train=20, val=0, test=0).truth
    >>> int(instance_scores(scenes, scenes).argmax(axis=0)[3])
    3
    """
    present = np.zeros((len(images), len(_NOUNS)))
    boxes: list[dict[str, tuple[float, float, float, float]]] = []
    showing: dict[str, set[int]] = {}
    for row, scene in enumerate(images):
        boxes.append({thing.name: thing.box for thing in scene.objects})
        for name in boxes[-1]:
            if name in _NOUNS:
                present[row, _NOUNS[name]] = 1
                showing.setdefault(name, set()).add(row)
    named = np.zeros((len(_NOUNS), len(texts)))
    for column, scene in enumerate(texts):
        for number in scene.named:
            named[_NOUNS[scene.objects[number].name], column] = 1
    # A named thing that is missing weighs more than all that relations can say; of two texts that are true of a
    # picture, the one that says more is the likelier.
    scores = 11 * (present @ named) - 10 * named.sum(axis=0)
    if relations:
        for column, scene in enumerate(texts):
            for relation in scene.relations:
                first, second = scene.objects[relation.first].name, scene.objects[relation.second].name
                for row in showing.get(first, set()) & showing.get(second, set()):
                    true = holds(relation.kind, boxes[row][first], boxes[row][second])
                    scores[row, column] += 1 if true else -1
    return scores


def theme_scores(
    train: Sequence[Scene], images: Sequence[Scene], texts: Sequence[Scene], smoothing: float = 0.5
) -> Float[np.ndarray, "image text"]:
    """Cosine of two posteriors over themes, each by naive Bayes on the true contents, counted on `train`.

    A picture's contents are its objects and its place; a text's are the objects that it names.
    """

    def rows(scenes: Sequence[Scene], told: bool) -> np.ndarray:
        counts = np.zeros((len(scenes), len(_NOUNS) + len(_PLACES)))
        for row, scene in enumerate(scenes):
            for number in scene.named if told else range(len(scene.objects)):
                name = scene.objects[number].name
                if name in _NOUNS:
                    counts[row, _NOUNS[name]] = 1
            if not told:
                counts[row, len(_NOUNS) + _PLACES[scene.place]] = 1
        return counts

    themes = np.array([THEMES.index(scene.theme) for scene in train])
    posteriors = []
    for scenes, told in ((images, False), (texts, True)):
        seen = rows(train, told)
        likely = np.stack([seen[themes == theme].sum(axis=0) + smoothing for theme in range(len(THEMES))])
        likely /= np.array([(themes == theme).sum() + 2 * smoothing for theme in range(len(THEMES))])[:, None]
        score = rows(scenes, told) @ np.log(likely).T
        belief = np.exp(score - score.max(axis=1, keepdims=True))
        posteriors.append(belief / np.sqrt((belief**2).sum(axis=1, keepdims=True)))
    return posteriors[0] @ posteriors[1].T


def oracle(train: Pairs, test: Pairs, relations: bool = True) -> Float[np.ndarray, "image text"]:
    """One matrix near all marks at once: texts wholly true of a picture first, then by theme."""
    fits = instance_scores(test.truth, test.truth, relations)
    says = np.array([len(scene.named) + (len(scene.relations) if relations else 0) for scene in test.truth])
    whole = fits >= says - 1e-9
    return theme_scores(train.truth, test.truth, test.truth) + np.where(whole, 2 + 0.1 * fits, 0.001 * fits)
