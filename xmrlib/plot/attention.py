"""Where a model looks: weights over the boxes of a picture, and over the words of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image, ImageFilter

from xmrlib.plot import look
from xmrlib.plot.canvas import Canvas


def attention_on_picture(
    picture: Image.Image, boxes: Any, weights: Any, *, names: Sequence[str] | None = None, title: str = "",
    axes: Axes | None = None,
) -> Figure:  # fmt: skip
    """Draw a picture with light on what is attended to and a veil over the rest; each box carries its weight.

    boxes    (regions, 4) as x0 y0 x1 y1 in [0, 1]
    weights  (regions,) not negative; the largest is fully lit, and a box's frame is as thick as its weight
    names    what each box is, written beside its weight
    """
    places, strength = look.array(boxes).astype(float), look.array(weights).astype(float)
    if places.shape != (len(strength), 4):
        raise ValueError(f"boxes of shape {places.shape} and weights of shape {strength.shape}: one weight a box.")
    _not_negative(strength)
    share = strength / max(strength.max(initial=0), 1e-12)
    wide, high = picture.size
    axes = axes or look.subplots(figsize=(3.6, 3.6 * high / wide + (0.3 if title else 0)))[1]
    light = np.zeros((high, wide))
    for (x0, y0, x1, y1), lit in zip(places, share, strict=True):
        part = light[int(y0 * high) : int(np.ceil(y1 * high)), int(x0 * wide) : int(np.ceil(x1 * wide))]
        np.maximum(part, lit, out=part)
    soft = Image.fromarray((255 * light).astype(np.uint8)).filter(ImageFilter.GaussianBlur(max(wide, high) / 90))
    veil = (0.78 * (1 - np.asarray(soft, dtype=float)[..., None] / 255)) * np.ones(3)
    shown = np.asarray(picture.convert("RGB"), dtype=float) / 255
    grey = shown.mean(2, keepdims=True) * 0.25 + 0.75
    axes.imshow((1 - veil) * shown + veil * grey, extent=(0, 1, 1, 0), aspect=high / wide)
    for number in np.argsort(strength):
        x0, y0, x1, y1 = places[number]
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, linewidth=0.6 + 2.2 * share[number],
                      edgecolor=look.image_colour, alpha=0.35 + 0.65 * share[number])
        )  # fmt: skip
        if share[number] >= 0.1:
            words = f"{names[number]} " if names is not None else ""
            plate = {"facecolor": look.image_colour, "lw": 0, "pad": 1.2, "alpha": 0.6 + 0.4 * share[number]}
            side = "bottom" if y0 > 0.08 else "top"
            axes.text(x0, y0, f"{words}{strength[number]:.2f}", size=7, color="white", va=side, bbox=plate)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    axes.axis("off")
    if title:
        axes.set_title(title, color=look.text_colour, fontsize=9)
    return axes.figure


def attention_on_words(
    words: Sequence[str], weights: Any, *, title: str = "", width: float = 432, size: float = 11
) -> Figure:
    """Draw a sentence whose words are shaded, and underlined by a bar, as far as they are attended to.

    weights  (words,) not negative; the largest is fully shaded and carries its number, as do all above a fifth of it
    width    of the line in points
    """
    strength = look.array(weights).astype(float)
    if len(words) != len(strength) or not len(words):
        raise ValueError(f"{len(words)} words and {len(strength)} weights: one weight a word.")
    _not_negative(strength)
    share = strength / max(strength.max(), 1e-12)
    spots, x, row, space = [], 8.0, 0, 7.0
    for word in words:
        wide = max(look.text_width(word, size), 8.0) + 6
        if x + wide > width - 8 and x > 8:
            x, row = 8.0, row + 1
        spots.append((x, row, wide))
        x += wide + space
    pitch, top = size * 3.1, 24.0 if title else 6.0
    canvas = Canvas(width, top + pitch * (row + 1) + 4)
    if title:
        canvas.lines(8, 4, [title], 10, weight="bold")
    for word, (x, row, wide), value, lit in zip(words, spots, strength, share, strict=True):
        y = top + row * pitch
        shade = FancyBboxPatch(
            (x, y), wide, size * 1.6, boxstyle="round,pad=0,rounding_size=3", linewidth=0,
            facecolor=look.text_colour, alpha=0.62 * lit, zorder=1,
        )  # fmt: skip
        canvas.axes.add_patch(shade)
        canvas.axes.text(x + wide / 2, y + size * 1.15, word, size=size, ha="center", zorder=2,
                         color=look.ink, fontweight="bold" if lit > 0.5 else "normal")  # fmt: skip
        canvas.axes.add_patch(Rectangle((x, y + size * 1.75), wide * lit, 2.4, facecolor=look.text_colour, zorder=2))
        if lit >= 0.2:
            canvas.axes.text(x, y + size * 2.65, f"{value:.2f}", size=6.5, color=look.quiet)
    return canvas.figure


def _not_negative(weights: np.ndarray) -> None:
    if weights.min(initial=0) < 0:
        raise ValueError(f"a weight is {weights.min():.3g}: weights are not negative. Draw the softmax, not the score.")
