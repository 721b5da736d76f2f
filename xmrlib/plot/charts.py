"""Charts: similarity matrices, curves, maps of the embeddings, and measures with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xmrlib.plot import look


def similarity_matrix(
    scores: Any, labels: Any = None, text_labels: Any = None, *, classes: Sequence[str] | None = None,
    title: str = "", axes: Axes | None = None,
) -> Figure:  # fmt: skip
    """Draw scores (images, texts) as a picture, sorted by class, so that what a method has learnt shows as blocks.

    labels       (images,) class of each image; without, the order is kept and pairs lie on the diagonal
    text_labels  (texts,) class of each text; without, text i has the class of image i
    classes      the classes' names

    Matrices of at most 8 x 8 carry their numbers. Colours run from the 1st to the 99th percentile.
    """
    matrix = look.array(scores)
    if matrix.ndim != 2:
        raise ValueError(f"scores have the shape {matrix.shape}; a matrix (images, texts) is drawn.")
    axes = axes or look.subplots(figsize=(5.4, 4.5))[1]
    sides = [None, None]
    if labels is not None:
        sides = [look.array(labels), look.array(labels if text_labels is None else text_labels)]
        if (len(sides[0]), len(sides[1])) != matrix.shape:
            raise ValueError(f"{len(sides[0])} and {len(sides[1])} labels do not fit scores of shape {matrix.shape}.")
        orders = [np.argsort(side, kind="stable") for side in sides]
        matrix, sides = matrix[np.ix_(*orders)], [side[order] for side, order in zip(sides, orders, strict=True)]
    low, high = np.percentile(matrix, [1, 99])
    shown = axes.imshow(matrix, cmap=look.sequential, vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("images", color=look.image_colour, fontweight="bold")
    axes.set_xlabel("texts", color=look.text_colour, fontweight="bold")
    if title:
        axes.set_title(title)
    if sides[0] is None:
        axes.set(xticks=[], yticks=[])
    else:
        _class_ticks(axes, sides, classes)
    if max(matrix.shape) <= 8:
        for (row, column), value in np.ndenumerate(matrix):
            dark = (value - low) / max(high - low, 1e-12) > 0.55
            number = f"{value:.2f}".replace("-", "−")
            axes.text(column, row, number, ha="center", va="center", color="white" if dark else look.ink, size=8)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.75, pad=0.02, label="similarity")
    bar.outline.set_visible(False)
    return axes.figure


def _class_ticks(axes: Axes, sides: Sequence[np.ndarray], classes: Sequence[str] | None) -> None:
    for axis, side in zip((axes.yaxis, axes.xaxis), sides, strict=True):
        found, first, count = np.unique(side, return_index=True, return_counts=True)
        names = [look.class_name(classes, int(label)) for label in found]
        axis.set_ticks(first + count / 2 - 0.5, names)
        line = axes.axhline if axis is axes.yaxis else axes.axvline
        for edge in first[1:]:
            line(edge - 0.5, color="white", linewidth=0.9)
    crowded = sum(len(label.get_text()) for label in axes.get_xticklabels()) > 45
    axes.tick_params(axis="x", rotation=45 if crowded else 0)
    if crowded:
        plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")


def precision_recall(curves: Mapping[str, Any], *, chance: float | None = None, title: str = "") -> Figure:
    """Draw precision over recall, one line a method, named at its end of the curve.

    curves  by name: (recall, precision), or anything with these two attributes
    chance  precision of a random order, as a dotted line
    """
    figure, axes = look.subplots()
    dashes = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (4, 1, 1, 1)))
    for number, (name, curve) in enumerate(curves.items()):
        recall, precision = (curve.recall, curve.precision) if hasattr(curve, "recall") else curve
        axes.plot(look.array(recall), look.array(precision), label=name, linestyle=dashes[number % len(dashes)])
    if chance is not None:
        _chance(axes, chance, across=True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    if title:
        axes.set_title(title)
    look.end_labels(axes)
    return figure


def _chance(axes: Axes, value: float, across: bool) -> None:
    draw = axes.axhline if across else axes.axvline
    draw(value, color=look.quiet, linewidth=1, linestyle=(0, (1, 2)), label="_chance")
    place = {"xy": (0, value), "xycoords": axes.get_yaxis_transform(), "xytext": (4, 3)}
    if not across:
        place = {"xy": (value, 1), "xycoords": axes.get_xaxis_transform(), "xytext": (3, -2), "va": "top"}
    axes.annotate(f"chance {value:.2g}", textcoords="offset points", size=7.5, color=look.quiet, **place)


def embeddings(
    images: Any, texts: Any, labels: Any = None, text_labels: Any = None, *, classes: Sequence[str] | None = None,
    method: Literal["pca", "tsne"] = "pca", colour: Literal["class", "modality"] = "class", image_of_text: Any = None,
    title: str = "", seed: int = 0, axes: Axes | None = None,
) -> Figure:  # fmt: skip
    """Draw both modalities' embeddings in one plane: squares are images, hollow circles are texts.

    images, texts   (n, d) and (m, d) in one space; where the two widths differ there is no common plane, and the
                    error says so
    labels          (n,) classes for colour; `colour="modality"` shows the gap between the modalities instead
    image_of_text   (m,) joins each text to its image by a thin line
    """
    left, right = look.array(images), look.array(texts)
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"images have {left.shape[1]} numbers each and texts {right.shape[1]}: they do not lie in one space. "
            "Embed both first (model.embed_images, model.embed_texts)."
        )
    plane = _plane(np.concatenate([left, right]), method, seed)
    one, two = plane[: len(left)], plane[len(left) :]
    axes = axes or look.subplots(figsize=(6, 4.2))[1]
    if image_of_text is not None:
        start = one[look.array(image_of_text)]
        axes.plot(*np.stack([start, two], 1).T, color="#9AA1AB", linewidth=0.5, alpha=0.6, zorder=1)
    by_class = colour == "class" and labels is not None
    if by_class:
        ours = look.array(labels)
        theirs = look.array(text_labels) if text_labels is not None else ours
        if len(theirs) != len(two):
            raise ValueError(f"{len(theirs)} text labels for {len(two)} texts: hand over text_labels.")
        colours = [[look.class_colour(int(label)) for label in side] for side in (ours, theirs)]
    else:
        colours = [[look.image_colour] * len(one), [look.text_colour] * len(two)]
    area = float(np.clip(9000 / (len(plane) + 1), 9, 34))
    axes.scatter(*one.T, s=area, marker="s", c=colours[0], linewidths=0, alpha=0.75, zorder=2)
    axes.scatter(*two.T, s=area, marker="o", facecolors="white", edgecolors=colours[1], linewidths=1.1, zorder=2)
    if by_class:
        _name_classes(axes, (one, two), (ours, theirs), classes)
    for shape, name, tone, place in (("s", "images", look.image_colour, 0.0), ("o", "texts", look.text_colour, 0.16)):
        tone = look.ink if by_class else tone
        full = {"facecolors": tone} if shape == "s" else {"facecolors": "white", "edgecolors": tone}
        full |= {"transform": axes.transAxes, "clip_on": False}
        mark = axes.scatter([place + 0.012], [1.03], s=30, marker=shape, **full)
        mark.set_in_layout(False)
        axes.text(place + 0.035, 1.03, name, transform=axes.transAxes, va="center", color=tone, fontweight="bold")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_color(look.faint)
    if title:
        axes.set_title(title, pad=22)
    return axes.figure


def _plane(points: np.ndarray, method: str, seed: int) -> np.ndarray:
    centred = points - points.mean(0)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30, max(2, (len(points) - 1) // 3))
        return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(centred)
    if method != "pca":
        raise ValueError(f"method {method!r} is none of pca, tsne.")
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(1)].diagonal())[:, None]  # same signs on every machine
    return centred @ axes.T


def _name_classes(
    axes: Axes, sides: Sequence[np.ndarray], labels: Sequence[np.ndarray], classes: Sequence[str] | None
) -> None:
    from matplotlib.patheffects import withStroke

    span = np.ptp(np.concatenate(sides), axis=0).max()
    for label in np.unique(np.concatenate(labels)):
        groups = [side[own == label] for side, own in zip(sides, labels, strict=True) if (own == label).any()]
        middles = [np.median(group, 0) for group in groups]
        if len(middles) == 2 and np.linalg.norm(middles[0] - middles[1]) < 0.12 * span:
            middles = [np.median(np.concatenate(groups), 0)]
        for middle in middles:  # where the modalities lie apart, a class is named twice
            axes.text(
                *middle, look.class_name(classes, int(label)), ha="center", va="center", size=7.5, fontweight="bold",
                color=look.ink, zorder=4, path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip


Values = Mapping[str, float | Sequence[float]]


def bars(
    values: Values, *, intervals: Mapping[str, tuple[float, float]] | None = None, chance: float | None = None,
    label: str = "", title: str = "", colours: Mapping[str, str] | None = None, form: str = "{:.2f}",
) -> Figure:  # fmt: skip
    """Draw one bar a name with its number; several values (seeds) give the mean, its 95 % interval and the values.

    intervals  (low, high) by name, where they come from elsewhere (a bootstrap over queries)
    chance     where a random order would stand
    """
    import pandas
    import seaborn

    rows = [(name, float(value)) for name, given in values.items() for value in np.atleast_1d(look.array(given))]
    table = pandas.DataFrame(rows, columns=["name", "value"])
    names = list(values)
    figure, axes = look.subplots(figsize=(6, 0.9 + 0.42 * len(names)))
    shades = [(colours or {}).get(name, look.palette[0]) for name in names]
    seeds = table["name"].duplicated().any() and not intervals
    seaborn.barplot(
        table, x="value", y="name", order=names, hue="name", hue_order=names, palette=shades, legend=False, ax=axes,
        width=0.62, alpha=0.85, errorbar=("ci", 95) if seeds else None, seed=0, capsize=0.2,
        err_kws={"color": look.ink, "linewidth": 1.2},
    )  # fmt: skip
    if seeds:
        seaborn.stripplot(table, x="value", y="name", order=names, ax=axes, color="white", edgecolor=look.ink,
                          linewidth=0.7, size=3.5, jitter=False)  # fmt: skip
    means = table.groupby("name")["value"].mean()
    for place, name in enumerate(names):
        low, high = (intervals or {}).get(name, (means[name], means[name]))
        if intervals and name in intervals:
            axes.plot([low, high], [place, place], color=look.ink, linewidth=1.2, solid_capstyle="butt", marker="|")
        edge = max(high, means[name], table.loc[table["name"] == name, "value"].max() if seeds else means[name])
        axes.annotate(form.format(means[name]), (edge, place), xytext=(6, 0), textcoords="offset points",
                      va="center", fontweight="bold", size=8.5)  # fmt: skip
    if chance is not None:
        _chance(axes, chance, across=False)
    axes.set(xlabel=label, ylabel="")
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    if title:
        axes.set_title(title)
    return figure


def points(
    values: Mapping[str, Values], *, chance: Mapping[str, float] | None = None, label: str = "", title: str = "",
) -> Figure:  # fmt: skip
    """Draw several measures of several methods: a line a method, a mark a measure, 95 % intervals over seeds.

    values  {method: {measure: value or values}}
    chance  {measure: value} as hollow marks on a last line
    """
    import pandas
    import seaborn

    rows = [
        (method, measure, float(value))
        for method, measures in [*values.items(), *([("chance", chance)] if chance else [])]
        for measure, given in measures.items()
        for value in np.atleast_1d(look.array(given))
    ]
    table = pandas.DataFrame(rows, columns=["method", "measure", "value"])
    methods, measures = list(dict.fromkeys(table["method"])), list(dict.fromkeys(table["measure"]))
    figure, axes = look.subplots(figsize=(6, 1.1 + 0.45 * len(methods)))
    seeds = table.duplicated(["method", "measure"]).any()
    seaborn.pointplot(
        table, x="value", y="method", hue="measure", order=methods, hue_order=measures, linestyle="none", ax=axes,
        palette=list(look.palette[: len(measures)]), markers=list(look.markers[: len(measures)]), markersize=6.5,
        dodge=0.25 if len(measures) > 1 else False, errorbar=("ci", 95) if seeds else None, seed=0,
        err_kws={"linewidth": 1.3},
    )  # fmt: skip
    axes.set(xlabel=label, ylabel="")
    axes.set_xlim(left=-0.012 * axes.get_xlim()[1])
    axes.spines["left"].set_visible(False)
    axes.legend(title="", loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(measures), handletextpad=0.3)
    if title:
        axes.set_title(title, pad=26)
    return figure


def lines(
    curves: Mapping[str, tuple[Any, Any]], *, x: str = "", y: str = "", title: str = "", marks: bool = False,
    colours: Mapping[str, str] | None = None, log: bool = False,
) -> Figure:  # fmt: skip
    """Draw named lines, each labelled at its end: {name: (x, y)}; y of the shape (seeds, x) gives mean and interval."""
    figure, axes = look.subplots()
    for number, (name, (across, up)) in enumerate(curves.items()):
        across, up = look.array(across), np.atleast_2d(look.array(up))
        colour = (colours or {}).get(name, look.class_colour(number))
        mark = look.markers[number % len(look.markers)] if marks else None
        axes.plot(across, up.mean(0), label=name, color=colour, marker=mark)
        if len(up) > 1:
            from scipy.stats import t

            half = t.ppf(0.975, len(up) - 1) * up.std(0, ddof=1) / np.sqrt(len(up))
            axes.fill_between(across, up.mean(0) - half, up.mean(0) + half, color=colour, alpha=0.15, linewidth=0)
    if log:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=y)
    if title:
        axes.set_title(title)
    look.end_labels(axes)
    return figure
