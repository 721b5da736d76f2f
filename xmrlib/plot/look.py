"""The one look: colours that the colour-blind can tell apart, two fixed hues for the two modalities, light axes.

Images are blue and texts are orange in every picture of the book. Classes take `palette`, which never stands alone:
a class is also named at its place, or has its own marker.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

# Okabe and Ito's blue, and their vermillion darkened until text in it reads on white (5:1).
image_colour = "#0072B2"
text_colour = "#B8500A"
# Right and wrong also differ in mark (tick, cross), in frame (solid, dashed) and in lightness.
right_colour = "#0B8463"
wrong_colour = "#86173A"
same_class_colour = "#4F9479"
# Paul Tol's "muted" scheme and near-black; `tests/test_plot.py` measures the distances as the colour-blind see them.
palette = (
    "#332288", "#CC6677", "#44AA99", "#999933", "#882255", "#88CCEE", "#117733", "#DDCC77", "#AA4499", "#1A1A1A",
)  # fmt: skip
# One marker for each of the palette's colours.
markers = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")

ink = "#2B2F36"
quiet = "#6B7280"
faint = "#E4E6EA"
paper = "#FFFFFF"
image_tint = "#E3F0F8"
text_tint = "#FBEBDD"

sequential = LinearSegmentedColormap.from_list(
    "xmr_sequential", ["#FBFBF9", "#B9DCE0", "#5AA6BC", "#1F6A94", "#12295A"]
)
credit_line = "Drawings: OpenMoji, CC BY-SA 4.0"


def style() -> None:
    """Set matplotlib's defaults to the book's look; called by the first use of any name in `xmrlib.plot`."""
    mpl.rcParams.update(
        {
            "figure.figsize": (6.0, 3.5),
            "figure.dpi": 110,
            "figure.facecolor": paper,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "savefig.facecolor": paper,
            "svg.fonttype": "path",  # a reader's machine may lack the font
            "svg.hashsalt": "xmrlib",  # the same figure gives the same bytes
            "font.family": "DejaVu Sans",
            "font.size": 9,
            "text.color": ink,
            "axes.prop_cycle": cycler(color=palette),
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 8,
            "axes.labelcolor": ink,
            "axes.edgecolor": "#A9AFB8",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.unicode_minus": True,
            "grid.color": faint,
            "grid.linewidth": 0.7,
            "xtick.color": ink,
            "ytick.color": ink,
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "image.cmap": "viridis",
            "image.interpolation": "antialiased",
        }
    )
    _sharp_in_notebooks()


def _sharp_in_notebooks() -> None:
    # Twice the pixels at the same size on the page; only where a notebook's inline backend is in charge.
    if "IPython" not in sys.modules or "inline" not in str(mpl.rcParams._get("backend")).lower():
        return
    from IPython import get_ipython

    if get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


class Drawn(Figure):
    """A figure that a notebook shows once, whether a cell ends with it, with a semicolon, or goes on."""

    def _ipython_display_(self) -> None:
        from IPython.core.pylabtools import retina_figure
        from IPython.display import display

        picture, size = retina_figure(self, base64=True)
        plt.close(self)  # an open figure would be shown again when the cell ends
        display({"image/png": picture, "text/plain": repr(self)}, metadata={"image/png": size}, raw=True)


def subplots(**options: Any) -> tuple[Drawn, Axes]:
    """A figure of the book with one pair of axes."""
    return plt.subplots(FigureClass=Drawn, **options)


def array(values: Any) -> np.ndarray:
    """A numpy array of a tensor (on any device), a list or an array.

    >>> array([[1, 2]]).shape
    (1, 2)
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float().numpy() if values.is_floating_point() else values.numpy()
    return np.asarray(values)


def class_name(classes: Sequence[str] | None, label: int) -> str:
    """The name of class `label`, or its number where classes have no names."""
    return str(classes[label]) if classes is not None and len(classes) > label else f"class {label}"


def class_colour(label: int) -> str:
    """The colour of class `label`; beyond ten classes colours repeat, so a chart must name the class too."""
    return palette[int(label) % len(palette)]


@lru_cache(maxsize=20_000)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of `text` in points at font size `size`."""
    if not text.strip():
        return 0.32 * size * len(text)
    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans", weight=weight))
    return 1.05 * outline.get_extents().x1  # letters snapped to pixels take up to 5 % more


def wrap(text: str, width: float, size: float = 8, lines: int | None = None, weight: str = "normal") -> list[str]:
    """Break `text` into lines of at most `width` points at font size `size`; cut with an ellipsis after `lines`.

    >>> wrap("a cow near a red tractor", width=60, size=8)
    ['a cow near a', 'red tractor']
    """
    space, rows, row, used = 0.32 * size, [], [], 0.0
    for word in text.split():
        long = text_width(word, size, weight)
        if row and used + space + long > width:
            rows.append(" ".join(row))
            row, used = [], -space
        row.append(word)
        used += long + space
    rows.append(" ".join(row))
    if lines is not None and len(rows) > lines:
        last = rows[lines - 1]
        while last and text_width(last + " …", size, weight) > width:
            last = last.rpartition(" ")[0]
        rows = [*rows[: lines - 1], last + " …"]
    return rows


def spread(places: Iterable[float], gap: float) -> np.ndarray:
    """Move `places` apart, as little as need be, until neighbours are `gap` apart; order is kept.

    >>> spread([0.0, 0.0, 5.0], 1.0).tolist()
    [-0.5, 0.5, 5.0]
    """
    places = np.asarray(list(places), dtype=float)
    order = np.argsort(places, kind="stable")
    # Pool-adjacent-violators on the places less their due gaps: the least-squares answer.
    blocks: list[list[float]] = []
    for rank, place in enumerate(places[order]):
        blocks.append([place - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (right, more), (left, some) = blocks.pop(), blocks.pop()
            blocks.append([(left * some + right * more) / (some + more), some + more])
    free = np.repeat([mean for mean, _ in blocks], [int(count) for _, count in blocks])
    moved = np.empty_like(places)
    moved[order] = free + gap * np.arange(len(places))
    return moved


def end_labels(axes: Axes, size: float = 8.5) -> None:
    """Name each labelled line at its right end, in its colour, instead of a legend.

    The lines' labels must be set; `None` or names that begin with an underscore are left alone.
    """
    drawn = [line for line in axes.get_lines() if not line.get_label().startswith("_") and len(line.get_xdata())]
    if not drawn:
        return
    low, high = axes.get_ylim()
    points = axes.figure.get_size_inches()[1] * 72 * axes.get_position().height
    moved = spread([line.get_ydata()[-1] for line in drawn], gap=(high - low) * 1.25 * size / points)
    right = max(float(line.get_xdata()[-1]) for line in drawn)
    for line, place in zip(drawn, moved, strict=True):
        axes.annotate(
            line.get_label(), (right, place), xytext=(6, 0), textcoords="offset points", va="center",
            color=line.get_color(), fontsize=size, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


style()
