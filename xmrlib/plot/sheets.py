"""Sheets of pictures: what the data holds, and what a query brings back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from xmrlib.data.pairs import Pairs
from xmrlib.plot import look
from xmrlib.plot.canvas import GAP, LEAD, PAGE, Canvas, class_of, picture_of, score_words, words_of
from xmrlib.plot.ranking import JUDGED, Ranking, needs_credit, rank


def sheet(
    pairs: Pairs, rows: Sequence[int] | np.ndarray | None = None, columns: int = 4,
    *, size: float = 7.6, lines: int = 8, title: Literal["class", "number", "none"] = "class",
) -> Figure:  # fmt: skip
    """Draw pictures with their texts below, `columns` to a line; without `rows`, some from all over it.

    A text longer than `lines` lines is cut. `title` writes each image's class (or row) above its text.
    """
    spread = np.linspace(0, len(pairs) - 1, min(len(pairs), 2 * columns))
    chosen = [int(row) for row in (spread if rows is None else rows)]
    if not chosen:
        raise ValueError("no rows to draw: name at least one image.")
    columns = min(columns, len(chosen))
    width = PAGE
    side = min((width - GAP * (columns + 1)) / columns, 190)
    width = side * columns + GAP * (columns + 1)
    cells = []
    for row in chosen:
        texts = [words_of(pairs, text) for text in np.flatnonzero(pairs.image_of_text == row).tolist()]
        bullet = "· " if len(texts) > 1 else ""
        share = max(2, lines // max(1, len(texts)))
        cells.append([line for text in texts for line in look.wrap(bullet + text, side, size, share)])
    head = 0 if title == "none" or (title == "class" and pairs.labels is None) else 1
    lines_of = [max(map(len, cells[at : at + columns])) for at in range(0, len(cells), columns)]
    block = [side + 5 + LEAD * size * (head + count) for count in lines_of]
    canvas = Canvas(width, GAP + sum(block) + GAP * 1.4 * len(block) + (8 if needs_credit(pairs) else 0))
    y = GAP
    for at in range(0, len(chosen), columns):
        for place, (row, text) in enumerate(zip(chosen[at : at + columns], cells[at : at + columns], strict=True)):
            x = GAP + place * (side + GAP)
            canvas.picture(x, y, side, picture_of(pairs, row))
            below = y + side + 3
            if head:
                named = title == "class"
                label = class_of(pairs, row) if named else f"image {row}"
                below = canvas.lines(x, below, [label], size, color=look.quiet, style="italic")
            canvas.lines(x, below, text, size, color=look.ink)
        y += block[at // columns] + GAP * 1.4
    canvas.key((), pairs)
    return canvas.figure


def retrieval(
    model: Any, pairs: Pairs, query: str | int | Image.Image | None = None, k: int = 5, *, text: int | None = None,
    title: str | None = None,
) -> Figure:  # fmt: skip
    """Draw what a query brings back: pictures for a sentence, texts for a picture, with rank, score and judgement.

    `query` is a sentence, a picture or the row of an image; `text` is the row of a text. `model` has `similarity`, or
    is a score matrix (images, texts). What is not in the data has no right answer, so its answers carry no marks.
    """
    found = rank(model, pairs, query, k, text=text)
    return _pictures_for_text(found, pairs, title) if found.side == "text" else _texts_for_picture(found, pairs, title)


def _where(found: Ranking, what: str) -> str:
    return "" if found.own is None else f"its own {what} is at rank {found.own:,} of {found.gallery:,}"


def _pictures_for_text(found: Ranking, pairs: Pairs, title: str | None) -> Figure:
    width, size, columns = PAGE, 9.0, min(len(found.hits), 5)
    question = look.wrap(f"“{found.text}”", width - 4 * GAP, size, 6, "bold")
    side = min((width - GAP * (columns + 1)) / columns, 150)
    down = -(-len(found.hits) // columns)
    head = LEAD * (size * len(question) + (10 if title else 0) + (7.5 if found.own else 0)) + GAP
    canvas = Canvas(width, head + GAP + down * (side + 36) + 14)
    canvas.card(GAP, GAP / 2, width - 2 * GAP, head, look.text_tint)
    y = GAP
    if title:
        y = canvas.lines(2 * GAP, y, [title], 10, weight="bold")
    y = canvas.lines(2 * GAP, y, question, size, color=look.text_colour, weight="bold")
    if found.own:
        canvas.lines(2 * GAP, y, [_where(found, "picture")], 7.5, color=look.quiet)
    for place, hit in enumerate(found.hits):
        x = GAP + (place % columns) * (side + GAP)
        y = head + 1.5 * GAP + (place // columns) * (side + 36)
        canvas.picture(x, y, side, picture_of(pairs, hit.row), hit.judged)
        _caption(canvas, x, y + side + 3, side, hit.rank, hit.score, class_of(pairs, hit.row))
    canvas.key({hit.judged for hit in found.hits}, pairs)
    return canvas.figure


def _caption(canvas: Canvas, x: float, y: float, width: float, place: int, score: float, name: str) -> None:
    canvas.lines(x, y, [f"{place}"], 8.5, weight="bold")
    canvas.lines(x + width, y + 0.5, [score_words(score)], 7.5, color=look.quiet, ha="right")
    canvas.lines(x, y + 11, look.wrap(name, width, 7.5, lines=1), 7.5, color=look.ink)


def _texts_for_picture(found: Ranking, pairs: Pairs, title: str | None) -> Figure:
    width, size, side = PAGE, 8.0, 150.0
    left = 2 * GAP + side
    room = width - left - GAP - 74
    texts = [look.wrap(words_of(pairs, hit.row), room, size, lines=4) for hit in found.hits]
    high = [max(24.0, LEAD * size * len(lines) + 10) for lines in texts]
    top = GAP / 2 + (18 if title else 0)
    canvas = Canvas(width, max(top + sum(high) + 5 * len(high), top + side + 34) + 20)
    if title:
        canvas.lines(GAP, 3, [title], 10, weight="bold")
    canvas.picture(GAP, top, side, found.picture or picture_of(pairs, found.row))
    name = class_of(pairs, found.row) if found.picture is None else ""
    below = canvas.lines(GAP, top + side + 3, [name], 8, color=look.image_colour, weight="bold")
    canvas.lines(GAP, below, look.wrap(_where(found, "text"), side, 7.5), 7.5, color=look.quiet)
    y = top
    for hit, lines, tall in zip(found.hits, texts, high, strict=True):
        edge = JUDGED[hit.judged][2]
        dashes = (0, (3, 2)) if hit.judged == "wrong" else "-"
        canvas.card(left, y, width - left - GAP, tall, look.text_tint, edgecolor=edge, linestyle=dashes, linewidth=1.2)
        canvas.lines(left + 7, y + tall / 2 - 6, [f"{hit.rank}"], 8.5, weight="bold")
        canvas.lines(left + 22, y + (tall - LEAD * size * len(lines)) / 2, lines, size, color=look.ink)
        canvas.lines(width - GAP - 21, y + tall / 2 - 5.5, [score_words(hit.score)], 7.5, color=look.quiet, ha="right")
        if JUDGED[hit.judged][0]:
            canvas.badge(width - GAP - 10, y + tall / 2, hit.judged)
        y += tall + 5
    canvas.key({hit.judged for hit in found.hits}, pairs)
    return canvas.figure
