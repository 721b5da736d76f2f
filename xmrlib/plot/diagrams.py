"""The book's recurring pictures, drawn by code: the gap, the map of the book, and how a method is wired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from xmrlib.plot import look
from xmrlib.plot.canvas import PAGE, Canvas


class _Drawing(Canvas):
    """A canvas with the few shapes that diagrams are made of."""

    def text(self, x: float, y: float, words: str, size: float = 8.5, **style: Any) -> None:
        self.axes.text(x, y, words, **{"size": size, "ha": "center", "va": "center", "zorder": 6, **style})

    def box(
        self, x: float, y: float, width: float, height: float, words: str, detail: str = "",
        *, tint: str, edge: str, strong: bool = False, size: float = 9,
    ) -> None:  # fmt: skip
        self.card(x, y, width, height, edge if strong else tint, edgecolor=edge, linewidth=1.1, zorder=3)
        lines = look.wrap(detail, width - 10, 7.2) if detail else []
        rise = 0.5 * 9 * len(lines)
        ink = "white" if strong else edge
        self.text(x + width / 2, y + height / 2 - rise, words, size, color=ink, weight="bold")
        for number, line in enumerate(lines):
            place = y + height / 2 - rise + 0.72 * size + (number + 0.55) * 9
            self.text(x + width / 2, place, line, 7.2, color="white" if strong else look.ink)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], colour: str = "#8A93A0", **style: Any
    ) -> None:  # fmt: skip
        plain = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 1.3, "shrinkA": 2, "shrinkB": 2, "zorder": 2}
        self.axes.add_patch(FancyArrowPatch(start, end, color=colour, **{**plain, **style}))


def _little_picture(drawing: _Drawing, x: float, y: float, side: float) -> None:
    """A barn on a hill under the sun."""
    sky = {"boxstyle": "round,pad=0,rounding_size=4", "facecolor": "#D7ECF8", "edgecolor": "none", "zorder": 3}
    frame = FancyBboxPatch((x, y), side, side, **sky)
    drawing.axes.add_patch(frame)

    def at(*places: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + across * side, y + down * side) for across, down in places]

    shapes = (
        (Circle(at((0.3, 1.35))[0], 0.75 * side), "#A9CF8B", "none"),
        (Circle(at((0.95, 1.45))[0], 0.72 * side), "#8DBB73", "none"),
        (Circle(at((0.78, 0.24))[0], 0.11 * side), "#F6D95B", look.ink),
        (Polygon(at((0.2, 0.46), (0.5, 0.46), (0.5, 0.72), (0.2, 0.72))), "#D9604C", look.ink),
        (Polygon(at((0.15, 0.47), (0.35, 0.28), (0.55, 0.47))), "#8A5A44", look.ink),
        (Polygon(at((0.3, 0.56), (0.39, 0.56), (0.39, 0.72), (0.3, 0.72))), "#F4E3C8", look.ink),
    )
    for order, (shape, face, edge) in enumerate(shapes):
        shape.set(facecolor=face, edgecolor=edge, linewidth=0.9, zorder=3.1 + order / 100)
        drawing.axes.add_patch(shape)
        shape.set_clip_path(frame)


def the_gap(seed: int = 3) -> Figure:
    """Draw the heterogeneity gap: two clouds of vectors, distances within each, and none between them."""
    drawing = _Drawing(PAGE, 236)
    generator = np.random.default_rng(seed)
    middle, height = PAGE / 2, 128.0
    for side, colour, tint, name, numbers in (
        (-1, look.image_colour, look.image_tint, "images", "1,280 numbers each"),
        (1, look.text_colour, look.text_tint, "texts", "one weight a word each"),
    ):
        centre = np.array([middle + side * 140, height])
        drawing.axes.add_patch(Circle(centre, 84, facecolor=tint, edgecolor="none", zorder=0.6))
        cloud = centre + generator.normal(size=(48, 2)) * [30, 30]
        cloud = cloud[(np.linalg.norm(cloud - centre, axis=1) < 74) & (np.abs(cloud[:, 1] - centre[1] + 38) > 14)]
        marker = "s" if side < 0 else "o"
        drawing.axes.scatter(*cloud.T, s=17, marker=marker, color=colour, alpha=0.45, linewidths=0, zorder=2)
        near, far = centre + np.array([side * 40.0, -38.0]), centre + np.array([-side * 44.0, -26.0])
        drawing.axes.plot(*np.stack([near, far]).T, color=colour, linewidth=1.4, zorder=3)
        drawing.axes.scatter(*np.stack([near, far]).T, s=48, marker=marker, color=colour, edgecolors="white", zorder=4)
        drawing.text(*((near + far) / 2 - [0, 8]), "a distance", 7.5, color=colour, style="italic")
        drawing.text(centre[0], 18, name, 11, color=colour, weight="bold")
        drawing.text(centre[0], 32, numbers, 7.8, color=look.quiet)
    left, right = (middle - 96, height - 26), (middle + 96, height - 26)
    drawing.arrow(left, right, look.ink, arrowstyle="<|-|>", linestyle=(0, (4, 3)), shrinkA=8, shrinkB=8, zorder=4)
    disc = {"facecolor": "white", "edgecolor": look.ink, "linewidth": 1.2, "zorder": 5}
    drawing.axes.add_patch(Circle((middle, height - 26), 12, **disc))
    drawing.text(middle, height - 26, "?", 14, weight="bold")
    drawing.text(middle, height - 3, "no common", 8, color=look.ink)
    drawing.text(middle, height + 8, "measure", 8, color=look.ink)
    _little_picture(drawing, 12, 152, 72)
    drawing.arrow((84, 168), (left[0] - 6, height - 20), look.image_colour, connectionstyle="arc3,rad=0.25", zorder=5)
    words = look.wrap("“A red barn stands on a hill under the sun.”", 84, 8.2)
    drawing.card(PAGE - 106, 164, 96, 58, "white", edgecolor=look.text_colour, linewidth=1, zorder=3)
    for number, line in enumerate(words):
        drawing.text(PAGE - 58, 193 + (number - (len(words) - 1) / 2) * 11.5, line, 8.2, color=look.text_colour)
    start = (PAGE - 106, 182)
    drawing.arrow(start, (right[0] + 6, height - 20), look.text_colour, connectionstyle="arc3,rad=-0.25", zorder=5)
    return drawing.figure


_ROUTES: tuple[tuple[str, str, str], ...] = (
    ("I", "CCA, semantic matching", "first bridges"),
    ("II", "CCL", "one common space, coarse and fine"),
    ("III", "MCSM", "a space of its own for each side"),
    ("IV", "CM-GANs", "a game between the modalities"),
    ("V", "CRAN", "regions, words and their relations"),
)


def map_of_the_book(highlight: str | None = None) -> Figure:
    """Draw the way from pixels and words to a ranking, with the part of the book that deals with each piece.

    highlight  the part that is lit and marked "you are here"; without, all parts are equal
    """
    parts = [part for part, *_ in _ROUTES] + ["VI"]
    if highlight is not None and highlight not in parts:
        raise ValueError(f"highlight {highlight!r} is none of the parts {', '.join(parts)}.")
    drawing = _Drawing(PAGE, 220)
    lit = {part: highlight in (None, part) for part in parts}

    def tone(part: str, colour: str, tint: str) -> dict[str, Any]:
        on = highlight == part
        return {"edge": colour if lit[part] else "#A3A9B3", "tint": tint if lit[part] else "#F5F6F7", "strong": on}

    top, pitch, tall = 30.0, 37.0, 31.0
    for y, row in ((50.0, ("pixels", "features", look.image_colour, look.image_tint)),
                   (140.0, ("words", "features", look.text_colour, look.text_tint))):  # fmt: skip
        first, second, colour, tint = row
        style = tone("I", colour, tint)
        drawing.box(8, y, 56, 40, first, **style)
        drawing.box(80, y, 56, 40, second, **style)
        drawing.arrow((64, y + 20), (80, y + 20))
        for number in range(len(_ROUTES)):
            end = (166, top + number * pitch + tall / 2)
            on = highlight in (None, _ROUTES[number][0])
            shade = colour if on else "#D5D9DE"
            drawing.arrow((136, y + 20), end, shade, linewidth=1.2 if on else 0.7, arrowstyle="-", alpha=0.75,
                          connectionstyle="arc3,rad=0", zorder=2 if on else 1)  # fmt: skip
    for number, (part, name, detail) in enumerate(_ROUTES):
        y, style = top + number * pitch, tone(part, "#3B3F8C", "#EEEFF8")
        drawing.card(166, y, 166, tall, style["edge"] if style["strong"] else style["tint"], edgecolor=style["edge"],
                     linewidth=1.1, zorder=3)  # fmt: skip
        ink = "white" if style["strong"] else style["edge"]
        drawing.text(179, y + tall / 2, part, 8.5, color=ink, weight="bold")
        drawing.text(193, y + 10, name, 8.8, color=ink, weight="bold", ha="left")
        soft = "white" if style["strong"] else (look.ink if lit[part] else "#8A9099")
        drawing.text(193, y + 22, detail, 7.3, color=soft, ha="left")
        on = highlight in (None, part, "VI")
        drawing.arrow((332, y + tall / 2), (400, 120), "#3B3F8C" if on else "#D5D9DE", arrowstyle="-",
                      linewidth=1.2 if on else 0.7, alpha=0.75, zorder=2 if on else 1)  # fmt: skip
    _ranking(drawing, 400, 66, tone("VI", look.right_colour, "#E6F3EE"))
    drawing.text(72, 14, "Part I", 8, color=look.image_colour if lit["I"] else "#A3A9B3", weight="bold")
    drawing.text(249, 14, "Parts I to V: five ways to compare", 8, color="#3B3F8C", weight="bold")
    drawing.text(434, 14, "Part VI", 8, color=look.right_colour if lit["VI"] else "#A3A9B3", weight="bold")
    if highlight:
        beside = {part: (335, top + number * pitch + tall / 2) for number, (part, *_) in enumerate(_ROUTES)}
        _pin(drawing, *{**beside, "I": (72, 50), "VI": (434, 62)}[highlight], below=highlight in ("I", "VI"))
    return drawing.figure


def _ranking(drawing: _Drawing, x: float, y: float, style: dict[str, Any]) -> None:
    face = style["edge"] if style["strong"] else style["tint"]
    drawing.card(x, y, 68, 108, face, edgecolor=style["edge"], linewidth=1.1, zorder=3)
    ink = "white" if style["strong"] else style["edge"]
    drawing.text(x + 34, y + 13, "ranking", 9, color=ink, weight="bold")
    for number, width in enumerate((42, 33, 25, 15)):
        place = y + 26 + number * 13
        drawing.text(x + 12, place + 4, f"{number + 1}", 7.5, color=ink)
        drawing.axes.add_patch(Rectangle((x + 20, place), width, 8, facecolor=ink, alpha=0.8 - 0.15 * number, zorder=4))
    soft = "white" if style["strong"] else (look.ink if style["edge"] == look.right_colour else "#8A9099")
    drawing.text(x + 34, y + 84, "side by side,", 7.3, color=soft)
    drawing.text(x + 34, y + 95, "at scale, now", 7.3, color=soft)


def _pin(drawing: _Drawing, x: float, y: float, below: bool) -> None:
    """The mark "you are here" with its point at (x, y): above what it marks, or to the right of it."""
    left, up, tip = (x - 28, y - 22, [(x - 5, y - 9), (x + 5, y - 9), (x, y - 2)]) if below else (
        x + 7, y - 7, [(x + 8, y - 5), (x + 8, y + 5), (x + 1, y)])  # fmt: skip
    drawing.card(left, up, 56, 14, look.ink, zorder=7)
    drawing.text(left + 28, up + 7, "you are here", 6.6, color="white", weight="bold", zorder=8)
    drawing.axes.add_patch(Polygon(tip, facecolor=look.ink, zorder=7))


def pipeline(
    images: Sequence[str] = (), texts: Sequence[str] = (), joined: Sequence[str] = (), *, highlight: str | None = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """Draw how a method is wired: steps of the images above, of the texts below, then what both share.

    A step is "name" or "name: detail". `highlight` lights the step of that name.

        pipeline(["picture", "grid: 7 x 7 x 512"], ["words", "vectors: word2vec"], ["common space", "ranking"])
    """
    sides = max(len(images), len(texts))
    count = sides + len(joined)
    if not count:
        raise ValueError("a pipeline needs at least one step.")
    names = {step.partition(":")[0].strip() for step in (*images, *texts, *joined)}
    if highlight is not None and highlight not in names:
        raise ValueError(f"highlight {highlight!r} is none of the steps {', '.join(sorted(names))}.")
    gap, margin = 17.0, 8.0
    width = min((PAGE - 2 * margin - gap * (count - 1)) / count, 130.0)
    two = bool(images) and bool(texts)
    tall, head = 50.0, 22.0 if title else 4.0
    drawing = _Drawing(2 * margin + count * width + gap * (count - 1), head + (2 * tall + 26 if two else tall + 12) + 4)
    if title:
        drawing.text(margin, 13, title, 10, weight="bold", ha="left")
    upper, lower = head + 4, head + 4 + (tall + 18 if two else 0)
    centre = (upper + lower) / 2
    edge = {}
    rows = ((images, upper, look.image_colour, look.image_tint), (texts, lower, look.text_colour, look.text_tint))
    for steps, y, colour, tint in (*rows, (joined, centre, "#3B3F8C", "#EEEFF8")):
        shift = sides if steps is joined else sides - len(steps)
        for number, step in enumerate(steps):
            name, _, detail = (part.strip() for part in step.partition(":"))
            x = margin + (shift + number) * (width + gap)
            small = 9 if look.text_width(name, 9, "bold") < width - 8 else 7.4
            drawing.box(x, y, width, tall, name, detail, tint=tint, edge=colour, strong=name == highlight, size=small)
            if number:
                drawing.arrow((x - gap, y + tall / 2), (x, y + tall / 2))
        if steps and steps is not joined:
            edge[colour] = (margin + sides * width + gap * (sides - 1), y + tall / 2)
    if joined:
        for colour, start in edge.items():
            target = margin + sides * (width + gap)
            drawing.arrow(start, (target, centre + tall / 2 + (start[1] - centre - tall / 2) * 0.35), colour)
    return drawing.figure
