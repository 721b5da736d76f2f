"""A picture on which one measures from 0 to 1, for painting the places of `scenes`.

Only integer drawing and box filters are used, so that a place has the same pixels everywhere. It is painted at twice
the size and halved, which smooths its edges.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way from `first` to `second`.

    >>> mix((0, 0, 0), (200, 100, 0), 0.5)
    (100, 50, 0)
    """
    return tuple(int(a + (b - a) * share + 0.5) for a, b in zip(first, second, strict=True))


class Canvas:
    """A picture in which one measures from 0 to 1, twice as large as the scene."""

    def __init__(self, size: int) -> None:
        self.size = 2 * size
        self.picture = Image.new("RGB", (self.size, self.size), (255, 255, 255))
        self.draw = ImageDraw.Draw(self.picture)

    def fade(self, top: float, bottom: float, first: Colour, last: Colour) -> None:
        """A band whose colour runs from `first` to `last`."""
        y0, y1 = round(top * self.size), round(bottom * self.size)
        steps = np.arange(y1 - y0)[:, None] * 1.0 / max(1, y1 - y0 - 1)
        rows = np.floor(np.array(first) * (1 - steps) + np.array(last) * steps + 0.5).astype(np.uint8)
        band = Image.fromarray(np.ascontiguousarray(np.broadcast_to(rows[:, None], (y1 - y0, self.size, 3))))
        self.picture.paste(band, (0, y0))

    def finished(self) -> Image.Image:
        """The picture at its proper size."""
        return self.picture.reduce(2)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> list[int]:
        """Corners in pixels."""
        return [round(v * self.size) for v in (x0, y0, x1, y1)]

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.draw.ellipse(self.box(x - rx, y - ry, x + rx, y + ry), fill=colour)

    def block(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.draw.rectangle(self.box(x0, y0, x1, y1), fill=colour)

    def ring(self, x: float, y: float, rx: float, ry: float, colour: Colour, width: float) -> None:
        self.draw.ellipse(
            self.box(x - rx, y - ry, x + rx, y + ry), outline=colour, width=max(1, round(width * self.size))
        )

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        flat = [(round(x * self.size), round(y * self.size)) for x, y in points]
        self.draw.line(flat, fill=colour, width=max(1, round(width * self.size)))

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(round(x * self.size), round(y * self.size)) for x, y in points], fill=colour)
