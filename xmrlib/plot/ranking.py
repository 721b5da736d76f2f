"""What a query brings back, with each answer judged: its own pair, its class, or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from xmrlib.data.pairs import Pairs
from xmrlib.plot import look

Judgement = Literal["pair", "class", "wrong", "unknown"]

# Mark, words, colour: an answer is told by shape and by words before it is told by colour.
JUDGED: dict[str, tuple[str, str, str]] = {
    "pair": ("✓", "its own pair", look.right_colour),
    "class": ("●", "same class", look.same_class_colour),
    "wrong": ("✗", "another class", look.wrong_colour),
    "unknown": ("", "", look.quiet),
}


@dataclass(frozen=True)
class Hit:
    """One answer: the row of the gallery, its rank (from 1), its score, and how it is judged."""

    row: int
    rank: int
    score: float
    judged: Judgement


@dataclass(frozen=True)
class Ranking:
    """A query and its best answers.

    side     "image" or "text": what was asked with; the answers are of the other side
    row      the query's row in its table, or None for a sentence or a picture that is not in the data
    text     the query's words, or "" for a picture
    picture  the query, where it is a picture that is not in the data
    label    the query's class, or None
    hits     the first k answers, best first
    own      rank of the query's own pair (the best one, where it has several), or None
    gallery  how many answers there were to choose from
    """

    side: Literal["image", "text"]
    row: int | None
    text: str
    label: int | None
    hits: tuple[Hit, ...]
    own: int | None
    gallery: int
    picture: Image.Image | None = None


def rank(
    model: Any, pairs: Pairs, query: str | int | Image.Image | None = None, k: int = 5, *, text: int | None = None
) -> Ranking:
    """Rank one side of `pairs` for a query: a sentence, a picture, an image's row (`query=3`), or a text's (`text=3`).

    `model` has `similarity(images, texts)`, or is a score matrix (images, texts) itself; a matrix answers rows only.
    Equal scores keep the gallery's order.
    """
    if (query is None) == (text is None):
        raise ValueError(
            "give one query: a sentence, a picture, the row of an image (query=3), or the row of a text (text=3)."
        )
    if isinstance(query, Image.Image):
        if not hasattr(model, "similarity"):
            raise ValueError("a score matrix cannot answer a new picture. Hand over the model, or ask with query=ROW.")
        scores = look.array(model.similarity([query], pairs.texts))[0]
        hits, own = _judge(scores, None, None, None, k)
        return Ranking("image", None, "", None, hits, own, len(scores), query)
    if isinstance(query, str):
        known = [row for row in range(len(pairs.texts)) if pairs.texts[row] == query] if pairs.texts.fragments else []
        text = known[0] if known else None
        if not hasattr(model, "similarity") and text is None:
            raise ValueError(
                f"a score matrix cannot answer the new sentence {query!r}: it knows only the texts it was made from. "
                "Hand over the model, or ask with text=ROW."
            )
        return _from_text(model, pairs, query, text, k)
    if text is not None:
        words = pairs.texts[_inside(text, len(pairs.texts), "text")] if pairs.texts.fragments else ""
        return _from_text(model, pairs, words, int(text), k)
    row = _inside(query, len(pairs.images), "image")
    if hasattr(model, "similarity"):
        scores = look.array(model.similarity(pairs.images.select(np.array([row])), pairs.texts))[0]
    else:
        scores = look.array(model)[row]
    label = None if pairs.labels is None else int(pairs.labels[row])
    hits, own = _judge(scores, pairs.image_of_text == row, pairs.text_labels, label, k)
    return Ranking("image", row, "", label, hits, own, len(scores))


def _from_text(model: Any, pairs: Pairs, words: str, row: int | None, k: int) -> Ranking:
    if not hasattr(model, "similarity"):
        scores = look.array(model)[:, row]
    elif row is None:
        scores = look.array(model.similarity(pairs.images, [words]))[:, 0]
    else:
        scores = look.array(model.similarity(pairs.images, pairs.texts.select(np.array([row]))))[:, 0]
    if row is None:
        hits, own = _judge(scores, None, None, None, k)
        return Ranking("text", None, words, None, hits, own, len(scores))
    image = int(pairs.image_of_text[row])
    label = None if pairs.labels is None else int(pairs.labels[image])
    hits, own = _judge(scores, np.arange(len(pairs.images)) == image, pairs.labels, label, k)
    return Ranking("text", row, words, label, hits, own, len(scores))


def _judge(
    scores: np.ndarray, paired: np.ndarray | None, labels: np.ndarray | None, label: int | None, k: int
) -> tuple[tuple[Hit, ...], int | None]:
    order = np.argsort(-scores, kind="stable")
    hits = []
    for place, row in enumerate(order[:k]):
        if paired is None:
            judged = "unknown"
        elif paired[row]:
            judged = "pair"
        elif labels is not None and labels[row] == label:
            judged = "class"
        else:
            judged = "wrong"
        hits.append(Hit(int(row), place + 1, float(scores[row]), judged))
    own = None if paired is None else int(np.flatnonzero(paired[order])[0]) + 1
    return tuple(hits), own


def _inside(row: Any, count: int, side: str) -> int:
    if not 0 <= int(row) < count:
        raise ValueError(f"{side} {row} is outside 0..{count - 1}: the data set has {count} {side}s.")
    return int(row)


def needs_credit(pairs: Pairs) -> bool:
    """Whether the pictures are made of OpenMoji drawings, whose licence asks for a credit."""
    return pairs.name.split("-")[0].split(" ")[0] in ("emoji", "scenes")


def meaning(judged: str, pairs: Pairs) -> str:
    """What a mark says; without classes, whatever is not the pair is just "another pair"."""
    return "another pair" if judged == "wrong" and pairs.labels is None else JUDGED[judged][1]
