"""A figure measured in points, on which pictures, cards, words and marks are placed without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from PIL import Image

from xmrlib import settings
from xmrlib.data.pairs import Pairs
from xmrlib.plot import look
from xmrlib.plot.ranking import JUDGED, meaning, needs_credit

PAGE = 6.6 * 72  # points: a text column of the page
GAP = 9.0  # points between cells
LEAD = 1.32  # line height over font size


class Canvas:
    """A figure measured in points from its upper left corner, so that text and pictures never overlap."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        # A layout engine that does nothing: with none, saving would put the default one in its place.
        still = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
        self.figure = plt.figure(FigureClass=look.Drawn, figsize=(width / 72, height / 72), layout=still)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def lines(self, x: float, y: float, lines: Sequence[str], size: float, **style: Any) -> float:
        for row, line in enumerate(lines):
            self.axes.text(x, y + (row + 0.8) * LEAD * size, line, size=size, va="baseline", **style)
        return y + len(lines) * LEAD * size

    def picture(self, x: float, y: float, side: float, picture: Image.Image | str, judged: str = "unknown") -> None:
        mark, _, colour = JUDGED[judged]
        if isinstance(picture, str):  # features only: a card with the image's name stands in for the picture
            self.axes.add_patch(Rectangle((x, y), side, side, facecolor=look.image_tint, zorder=2))
            name = look.wrap(picture, side - 8, 7, lines=2)
            self.axes.text(x + side / 2, y + side / 2, "\n".join(name), size=7, ha="center", va="center", zorder=3)
        else:
            wide, high = picture.size
            scale = side / max(wide, high)
            left, top = x + (side - wide * scale) / 2, y + (side - high * scale) / 2
            self.axes.imshow(
                picture, extent=(left, left + wide * scale, top + high * scale, top), aspect="auto", zorder=2
            )
            self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        line = {"pair": ("-", 2.4), "class": ("-", 1.4), "wrong": ((0, (3, 2)), 1.4)}.get(judged, ("-", 0.6))
        self.axes.add_patch(
            Rectangle((x, y), side, side, fill=False, linestyle=line[0], linewidth=line[1],
                      edgecolor=colour if mark else "#C9CDD3", zorder=4)
        )  # fmt: skip
        if mark:
            self.badge(x + side - 9, y + 9, judged)

    def badge(self, x: float, y: float, judged: str) -> None:
        """A tick in a disc, a dot in a disc, or a cross in a square."""
        mark, _, colour = JUDGED[judged]
        if judged == "class":
            self.axes.add_patch(Circle((x, y), 5.5, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=5))
            self.axes.add_patch(Circle((x, y), 2.2, facecolor=colour, zorder=6))
            return
        line = {"facecolor": colour, "edgecolor": "white", "linewidth": 1, "zorder": 5}
        square = Rectangle((x - 5.5, y - 5.5), 11, 11, **line)
        self.axes.add_patch(square if judged == "wrong" else Circle((x, y), 6, **line))
        self.axes.text(x, y + 0.2, mark, size=8, color="white", ha="center", va="center_baseline", zorder=6)

    def card(self, x: float, y: float, width: float, height: float, tint: str, **style: Any) -> None:
        box = FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=5",
            **{"facecolor": tint, "edgecolor": "none", "zorder": 0.5, **style},
        )  # fmt: skip
        self.axes.add_patch(box)

    def key(self, judgements: Iterable[str], pairs: Pairs) -> None:
        """The meaning of the marks in use, and the drawings' credit, on the last line."""
        x, y = GAP, self.height - 7
        for judged in ("pair", "class", "wrong"):
            if judged in judgements:
                self.badge(x + 5.5, y - 2.5, judged)
                words = meaning(judged, pairs)
                self.axes.text(x + 15, y, words, size=7.5, color=look.quiet)
                x += 30 + look.text_width(words, 7.5)
        if needs_credit(pairs) and not settings.in_book():  # in the book it stands in each page's footer
            self.axes.text(self.width - GAP, y, look.credit_line, size=6, color=look.quiet, ha="right")


def picture_of(pairs: Pairs, row: int) -> Image.Image | str:
    """The picture of an image, or its name where the data brings features only."""
    return pairs.images.ids[row] if pairs.images.picture is None else pairs.images[row].convert("RGB")


def words_of(pairs: Pairs, row: int) -> str:
    """The words of a text, or its name where the data brings features only."""
    return pairs.texts[row] if pairs.texts.fragments is not None else f"({pairs.texts.ids[row]}: features only)"


def class_of(pairs: Pairs, row: int) -> str:
    """The name of an image's class, or nothing where the data has no classes."""
    return "" if pairs.labels is None else look.class_name(pairs.classes, int(pairs.labels[row]))


def score_words(value: float) -> str:
    """A score in three decimals, fewer where it is large."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
