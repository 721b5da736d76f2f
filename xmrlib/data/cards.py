"""A card for each data set: where it comes from, what may be done with it, how it is split, what is wrong with it."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

_ROWS = ("source", "licence", "size", "classes", "views", "split", "layout", "fetch", "cite")


@dataclass(frozen=True)
class Card:
    """What a reader must know before using a data set. It prints as a small page, and as a table in a notebook.

    name      the name that `xmrlib.data.load` takes
    title     the full name
    summary   one or two sentences
    source    where it comes from, with an address where there is one
    licence   what may be done with it
    size      how many images, texts and bytes
    split     the rule that cut it into train, validation and test
    classes   the class names, or () where there are none
    views     features that come with it, or what pictures and texts are like
    layout    the files the loader expects under its root, in order; () for a generated set
    fetch     how to get it
    cite      the paper to cite
    checksums sha256 of files that must not differ, by path under the root
    faults    known faults, one sentence each

    >>> print(Card("toy", "Two pairs", "Only an example.", faults=("It is small.",)))
    toy: Two pairs
    Only an example.
      faults   - It is small.
    """

    name: str
    title: str
    summary: str
    source: str = ""
    licence: str = ""
    size: str = ""
    split: str = ""
    classes: tuple[str, ...] = ()
    views: str = ""
    layout: tuple[str, ...] = ()
    fetch: str = ""
    cite: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str | tuple[str, ...]]]:
        """The filled lines of the card, as (heading, value); a tuple is a list of points."""
        found: list[tuple[str, str | tuple[str, ...]]] = []
        for heading in _ROWS:
            value = getattr(self, heading)
            if heading == "classes":
                value = f"{len(value)}: {', '.join(value)}" if value else ""
            if value:
                found.append((heading, value))
        if self.checksums:
            found.append(("sha256", tuple(f"{path}  {digest}" for path, digest in self.checksums.items())))
        if self.faults:
            found.append(("faults", self.faults))
        return found

    def as_dict(self) -> dict[str, object]:
        """The card as plain JSON values."""
        plain = {heading: getattr(self, heading) for heading in ("name", "title", "summary", *_ROWS)}
        plain = {heading: list(value) if isinstance(value, tuple) else value for heading, value in plain.items()}
        return plain | {"checksums": dict(self.checksums), "faults": list(self.faults)}

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", *textwrap.wrap(self.summary, 98)]
        for heading, value in self.rows():
            points = value if isinstance(value, tuple) else (value,)
            mark = "- " if isinstance(value, tuple) else ""
            for place, point in enumerate(points):
                first = f"  {heading if place == 0 else '':8s} {mark}"
                lines += textwrap.wrap(
                    point, 98, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False
                )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def cell(value: str | tuple[str, ...]) -> str:
            if isinstance(value, str):
                return html.escape(value)
            return (
                "<ul style='margin:0;padding-left:1.1em'>"
                + "".join(f"<li>{html.escape(v)}</li>" for v in value)
                + "</ul>"
            )

        body = "".join(
            f"<tr><th scope='row' style='text-align:left;vertical-align:top'>{heading}</th>"
            f"<td style='text-align:left'>{cell(value)}</td></tr>"
            for heading, value in self.rows()
        )
        return (
            f"<div class='xmr-card'><p><strong>{html.escape(self.name)}</strong>: {html.escape(self.title)}. "
            f"{html.escape(self.summary)}</p><table>{body}</table></div>"
        )
