"""The gallery of confident errors: where a model was surest of a wrong answer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from xmrlib.data.pairs import Pairs
from xmrlib.plot import look
from xmrlib.plot.canvas import GAP, LEAD, PAGE, Canvas, class_of, picture_of, score_words, words_of


def worst(scores: Any, pairs: Pairs, k: int, direction: str, by: str) -> list[tuple[int, int, int, float, float, int]]:
    """The k most confident errors as (query, returned, wanted, its score, score of the wanted, rank of the wanted).

    An error is a query whose best answer is wrong: of another class (`by="class"`) or of another pair (`by="pair"`).
    Confidence is how far the wrong answer stands above the best right one, in standard deviations of that query's
    scores, since scores of different queries are not on one scale.
    """
    matrix = look.array(scores)
    if matrix.shape != (len(pairs.images), len(pairs.texts)):
        raise ValueError(
            f"scores have the shape {matrix.shape}, but the pairs ask for (images, texts) = "
            f"({len(pairs.images)}, {len(pairs.texts)}). Use model.similarity(pairs)."
        )
    owner = np.asarray(pairs.image_of_text)
    if by == "class":
        if pairs.labels is None:
            raise ValueError(f'{pairs.name} has no classes: ask for by="pair".')
        right = pairs.labels[:, None] == pairs.text_labels[None, :]
    else:
        right = np.arange(len(pairs.images))[:, None] == owner[None, :]
    if direction == "t2i":
        matrix, right = matrix.T, right.T
    best = matrix.argmax(1)
    wanted = np.where(right, matrix, -np.inf).argmax(1)
    queries = np.arange(len(matrix))
    margin = (matrix[queries, best] - matrix[queries, wanted]) / (matrix.std(1) + 1e-12)
    wrong = queries[~right[queries, best] & right.any(1)]
    found = []
    for query in wrong[np.argsort(-margin[wrong], kind="stable")][:k]:
        low = matrix[query, wanted[query]]
        place = int((matrix[query] > low).sum()) + 1
        top = float(matrix[query, best[query]])
        found.append((int(query), int(best[query]), int(wanted[query]), top, float(low), place))
    return found


def failures(
    scores: Any, pairs: Pairs, k: int = 4, *, direction: Literal["t2i", "i2t"] = "t2i",
    by: Literal["class", "pair"] | None = None,
) -> Figure:  # fmt: skip
    """Draw the k queries whose wrong first answer stands furthest above the best right one (images, texts).

    `by="class"` (the default where there are classes) counts any answer of the query's class as right, `by="pair"`
    only its own partner.
    """
    by = by or ("pair" if pairs.labels is None else "class")
    found = worst(scores, pairs, k, direction, by)
    if not found:
        canvas = Canvas(PAGE, 40)
        canvas.lines(GAP, 12, [f"No errors: every first answer is right (by {by})."], 9.5, color=look.right_colour)
        return canvas.figure
    return _wrong_pictures(found, pairs) if direction == "t2i" else _wrong_texts(found, pairs)


def _wrong_pictures(found: list, pairs: Pairs) -> Figure:
    cell = (PAGE - 3 * GAP) / 2
    side, size = (cell - 3 * GAP) / 2, 8.0
    questions = [look.wrap(f"“{words_of(pairs, query)}”", cell - 2 * GAP, size, lines=5) for query, *_ in found]
    high = []
    for at in range(0, len(found), 2):
        high.append(LEAD * size * max(map(len, questions[at : at + 2])) + side + 2 * GAP + 26)
    canvas = Canvas(PAGE, sum(high) + GAP * (len(high) + 1) + 16)
    y = GAP
    for number, (query, got, wanted, top, low, place) in enumerate(found):
        x = GAP + (number % 2) * (cell + GAP)
        tall = high[number // 2]
        canvas.card(x, y, cell, tall, "#FAFAFA", edgecolor=look.faint)
        canvas.lines(x + GAP, y + GAP / 2, questions[number], size, color=look.text_colour)
        under = y + tall - side - GAP - 24
        for row, mark, left, words in (
            (got, _mark(pairs, got, query), x + GAP, f"first: {score_words(top)}"),
            (wanted, _mark(pairs, wanted, query), x + 2 * GAP + side, f"wanted, rank {place:,}: {score_words(low)}"),
        ):
            canvas.picture(left, under, side, picture_of(pairs, row), mark)
            canvas.lines(left, under + side + 2, [words, class_of(pairs, row)], 7.2, color=look.quiet)
        if number % 2 or number == len(found) - 1:
            y += tall + GAP
    canvas.key({_mark(pairs, image, query) for query, got, wanted, *_ in found for image in (got, wanted)}, pairs)
    return canvas.figure


def _mark(pairs: Pairs, image: int, text: int) -> str:
    if pairs.image_of_text[text] == image:
        return "pair"
    return "class" if pairs.labels is not None and pairs.labels[image] == pairs.text_labels[text] else "wrong"


def _wrong_texts(found: list, pairs: Pairs) -> Figure:
    side, size = 92.0, 7.8
    left = 2 * GAP + side
    room = PAGE - left - 4 * GAP - 14
    cells = []
    for query, got, wanted, top, low, place in found:
        cells.append(
            [
                (_mark(pairs, query, got), f"first: {score_words(top)}",
                 look.wrap(words_of(pairs, got), room, size, 3)),
                (_mark(pairs, query, wanted), f"wanted, rank {place:,}: {score_words(low)}",
                 look.wrap(words_of(pairs, wanted), room, size, 3)),
            ]
        )  # fmt: skip
    high = [max(side + 14, sum(LEAD * (size * len(lines) + 7.2) + 12 for _, _, lines in cell)) for cell in cells]
    canvas = Canvas(PAGE, sum(high) + GAP * (len(high) + 1) + 16)
    y = GAP
    for (query, *_), cell, tall in zip(found, cells, high, strict=True):
        canvas.picture(GAP, y, side, picture_of(pairs, query))
        canvas.lines(GAP, y + side + 2, [class_of(pairs, query)], 7.5, color=look.image_colour, weight="bold")
        place = y
        for mark, head, lines in cell:
            box = LEAD * (size * len(lines) + 7.2) + 7
            canvas.card(left, place, PAGE - left - GAP, box, look.text_tint)
            canvas.badge(PAGE - 2 * GAP - 5, place + box / 2, mark)
            below = canvas.lines(left + GAP, place + 2, [head], 7.2, color=look.quiet)
            canvas.lines(left + GAP, below, lines, size, color=look.ink)
            place += box + 5
        y += tall + GAP
    canvas.key({mark for cell in cells for mark, *_ in cell}, pairs)
    return canvas.figure
