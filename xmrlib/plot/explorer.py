"""One call, two lives: sliders that redraw where there is a kernel, frames drawn beforehand where there is none.

def draw(k, kind):
    figure, axes = plt.subplots()
    ...
    return figure

xmr.plot.explore(draw, k=range(1, 11), kind=["images", "texts"], describe=lambda k, kind: f"{k} nearest {kind}")
"""

from __future__ import annotations

import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from xmrlib import settings
from xmrlib.plot import page

LIMIT_BYTES = 1_500_000
_PIXELS_PER_INCH = 110  # on the page; a frame of pixels holds 1.5 times as many


@dataclass(frozen=True)
class Choice:
    """One control: the argument of `draw`, its values, the words that name them, and where it starts."""

    name: str
    values: tuple[Any, ...]
    words: tuple[str, ...]
    label: str
    start: int

    @property
    def slides(self) -> bool:
        """Whether the values are numbers in order (a slider) or names (a menu)."""
        numbers = all(isinstance(value, Real) and not isinstance(value, bool) for value in self.values)
        return numbers and len(self.values) > 1 and list(self.values) == sorted(self.values)


def explore(
    draw: Callable[..., Figure],
    *,
    describe: Callable[..., str] | None = None,
    start: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    play: bool = False,
    pause: float = 0.7,
    limit: int = 60,
    **choices: Iterable[Any],
) -> Any:
    """Let the reader turn the knobs of a figure; returns something a notebook displays.

    draw      called as `draw(k=3, kind="a")`, returns a figure (which is closed here)
    describe  called with the same arguments: one sentence that says what the frame shows, for those who do not see it
              and as the line below the figure
    start     the values at first, where not the first ones
    labels    what a control is called, where not its argument's name
    title     names the whole figure for screen readers
    play      a button that runs through the first slider, stops at its end, and steps by hand where the reader's
              system asks for reduced motion; `pause` seconds a frame
    choices   one argument of `draw` each: numbers in rising order become a slider, anything else a menu

    Raises ValueError where there are no choices, or more than `limit` combinations for the static page.

    In the book every combination is drawn once. Elsewhere the figure is live, through ipywidgets; without ipywidgets
    the static figure is shown there too.
    """
    knobs = _knobs(choices, start or {}, labels or {})
    if not settings.in_book():
        try:
            import ipywidgets  # noqa: F401
        except ImportError:
            pass
        else:
            return _live(draw, knobs, describe, title, play, pause)
    return _static(draw, knobs, describe, title, play, pause, limit)


def _knobs(choices: Mapping[str, Iterable], start: Mapping[str, Any], labels: Mapping[str, str]) -> list[Choice]:
    if not choices:
        raise ValueError("explore needs at least one choice, such as k=range(1, 11).")
    if unknown := sorted(({*start} | {*labels}) - {*choices}):
        raise ValueError(f"start or labels name {', '.join(unknown)}; the choices are {', '.join(choices)}.")
    knobs = []
    for name, values in choices.items():
        values = tuple([values] if isinstance(values, str) else values)
        if not values:
            raise ValueError(f"choice {name!r} has no values.")
        first = start.get(name, values[0])
        if first not in values:
            raise ValueError(f"start={first!r} is none of the values of {name!r}: {', '.join(map(str, values))}.")
        words = tuple(_word(value) for value in values)
        knobs.append(Choice(name, values, words, labels.get(name, name.replace("_", " ")), values.index(first)))
    return knobs


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Real) and not float(value).is_integer():
        return f"{float(value):.4g}"
    return str(value)


class Explorer:
    """Frames drawn beforehand, with native controls to pick one: what `explore` returns in the static page.

    html    the figure, complete: no request to anywhere
    frames  how many pictures it holds
    """

    def __init__(self, html: str, frames: int) -> None:
        self.html = html
        self.frames = frames

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Explorer({self.frames} frames, {len(self.html) / 1e6:.2f} MB)"


def _static(
    draw: Callable, knobs: list[Choice], describe: Callable | None, title: str, play: bool, pause: float, limit: int
) -> Explorer:
    count = math.prod(len(knob.values) for knob in knobs)
    if count > limit:
        sizes = " x ".join(f"{knob.name} {len(knob.values)}" for knob in knobs)
        raise ValueError(f"{count} frames ({sizes}) exceed the limit of {limit}: offer fewer values, or raise limit=.")
    frames, said, encoder = [], [], None
    for values in itertools.product(*(range(len(knob.values)) for knob in knobs)):
        arguments = {knob.name: knob.values[value] for knob, value in zip(knobs, values, strict=True)}
        figure = _drawn(draw, arguments)
        encoder = encoder or _encoder(figure, count)
        frames.append((encoder(figure), _size(figure)))
        plt.close(figure)
        plain = ", ".join(f"{knob.label}: {knob.words[value]}" for knob, value in zip(knobs, values, strict=True))
        said.append(describe(**arguments) if describe else plain)
    total = sum(len(frame) for frame, _ in frames)
    if total > LIMIT_BYTES:
        raise ValueError(
            f"{count} frames take {total / 1e6:.1f} MB, over the {LIMIT_BYTES / 1e6} MB a figure may bring: "
            "offer fewer values, draw smaller, or draw fewer points."
        )
    return Explorer(_html(knobs, frames, said, title, play, pause, bool(describe)), count)


def _drawn(draw: Callable, arguments: dict[str, Any]) -> Figure:
    figure = draw(**arguments)
    if not isinstance(figure, Figure):
        figure = getattr(figure, "figure", figure)  # axes and seaborn's grids know their figure
    if not isinstance(figure, Figure):
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        kind = type(figure).__name__
        raise ValueError(f"draw({given}) returned {kind}, not a matplotlib figure: end it with `return figure`.")
    return figure


def _size(figure: Figure) -> tuple[int, int]:
    wide, high = figure.get_size_inches()
    return round(wide * _PIXELS_PER_INCH), round(high * _PIXELS_PER_INCH)


def _encoder(figure: Figure, count: int) -> Callable[[Figure], str]:
    # The first frame stands for all. Strokes are sharp at any zoom as SVG, so SVG while it is affordable; else
    # whichever is smaller, PNG for flat colours or WebP for pictures (which costs a little sharpness).
    if count * len(_svg(figure)) < LIMIT_BYTES / 2:
        return _svg
    return _png if len(_png(figure)) < 1.3 * len(_webp(figure)) else _webp


def _svg(figure: Figure) -> str:
    held = io.BytesIO()
    figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    # A hundredth of a point is finer than any screen; only in paths, since a letter's scale needs all its digits.
    short = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), held.getvalue().decode())
    return page.data_uri(re.sub(r"\n\s*", "\n", short).encode(), "image/svg+xml")


def _pixels(figure: Figure) -> Image.Image:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=1.5 * _PIXELS_PER_INCH)
    return Image.open(held).convert("RGB")


def _png(figure: Figure) -> str:
    held = io.BytesIO()
    _pixels(figure).quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(held, "PNG", optimize=True)
    return page.data_uri(held.getvalue(), "image/png")


def _webp(figure: Figure) -> str:
    held = io.BytesIO()
    _pixels(figure).save(held, "WEBP", quality=80, method=4)
    return page.data_uri(held.getvalue(), "image/webp")


def _html(
    knobs: list[Choice], frames: list, said: list[str], title: str, play: bool, pause: float, visible: bool
) -> str:
    at = 0
    for knob in knobs:
        at = at * len(knob.values) + knob.start
    identity = page.name_for(title + "".join(said) + frames[0][0])
    pictures = "".join(
        f'<img data-frame="{number}" data-says="{page.attribute(words)}" alt="{page.attribute(words)}" src="{frame}" '
        f'width="{size[0]}" height="{size[1]}"{"" if number == at else " hidden"}>'
        for number, ((frame, size), words) in enumerate(zip(frames, said, strict=True))
    )
    button = ""
    if play and any(knob.slides for knob in knobs):
        button = f'<button type="button" class="xmr-play" data-pause="{round(1000 * pause)}">Play</button>'
    name = page.attribute(title or "Interactive figure: " + ", ".join(knob.label for knob in knobs))
    width = max(size[0] for _, size in frames)
    heard = "xmr-says" if visible else "xmr-says xmr-only-heard"
    return (
        f'<div class="xmr-explore" id="{identity}" role="group" aria-label="{name}" style="max-width:{width + 8}px">'
        f"<style>{page.STYLE}</style>"
        f'<div class="xmr-controls">{"".join(_control(knob) for knob in knobs)}{button}</div>'
        f'<div class="xmr-card">{pictures}</div>'
        f'<p class="{heard}" aria-live="polite">{page.attribute(said[at])}</p>'
        f"{page.script(page.FRAMES, identity)}</div>"
    )


def _control(knob: Choice) -> str:
    label = page.attribute(knob.label)
    if knob.slides:
        return (
            f'<label class="xmr-wide"><span>{label}</span><input type="range" min="0" max="{len(knob.values) - 1}" '
            f'step="1" value="{knob.start}" data-choice="{page.attribute(knob.name)}" aria-label="{label}" '
            f'autocomplete="off" aria-valuetext="{page.attribute(knob.words[knob.start])}" '
            f'data-words="{page.attribute(json.dumps(knob.words))}">'
            f"<output>{page.attribute(knob.words[knob.start])}</output></label>"
        )
    options = "".join(
        f"<option{' selected' if place == knob.start else ''}>{page.attribute(word)}</option>"
        for place, word in enumerate(knob.words)
    )
    return (
        f'<label><span>{label}</span><select data-choice="{page.attribute(knob.name)}" aria-label="{label}" '
        f'autocomplete="off">{options}</select></label>'
    )


def _live(draw: Callable, knobs: list[Choice], describe: Callable | None, title: str, play: bool, pause: float) -> Any:
    import ipywidgets as widgets
    from IPython.display import display

    controls = {}
    for knob in knobs:
        kind = widgets.SelectionSlider if knob.slides else widgets.Dropdown
        options = list(zip(knob.words, knob.values, strict=True))
        controls[knob.name] = kind(
            options=options, value=knob.values[knob.start], description=knob.label,
            style={"description_width": "initial"}, continuous_update=False,
        ) if knob.slides else kind(
            options=options, value=knob.values[knob.start], description=knob.label,
            style={"description_width": "initial"},
        )  # fmt: skip
    picture, words = widgets.Output(), widgets.HTML()

    def redraw(_change: Any = None) -> None:
        arguments = {name: control.value for name, control in controls.items()}
        figure = _drawn(draw, arguments)  # outside the output, so that a fault at first display fails the cell
        plt.close(figure)
        words.value = page.attribute(describe(**arguments)) if describe else ""
        with picture:
            picture.clear_output(wait=True)
            display(figure)

    for control in controls.values():
        control.observe(redraw, names="value")
    row = list(controls.values())
    first = next((knob for knob in knobs if knob.slides), None)
    if play and first is not None:
        runner = widgets.Play(min=0, max=len(first.values) - 1, value=first.start, interval=round(1000 * pause))
        widgets.jslink((runner, "value"), (controls[first.name], "index"))
        row.append(runner)
    redraw()
    heading = [widgets.HTML(f"<b>{page.attribute(title)}</b>")] if title else []
    return widgets.VBox([*heading, widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap")), picture, words])
