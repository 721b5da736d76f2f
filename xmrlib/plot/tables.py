"""Numbers on the page: recorded results as a table, and values that prose can quote."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from xmrlib import settings

# What the measures of a recorded result are called in a table, in the order in which they stand there.
MEASURES = {
    "map_i2t": "MAP image→text",
    "map_t2i": "MAP text→image",
    "map_avg": "MAP mean",
    "map_all_i": "MAP image→all",
    "map_all_t": "MAP text→all",
    "r1_i2t": "R@1 image→text",
    "r5_i2t": "R@5 image→text",
    "r10_i2t": "R@10 image→text",
    "r1_t2i": "R@1 text→image",
    "r5_t2i": "R@5 text→image",
    "r10_t2i": "R@10 text→image",
    "medr_i2t": "median rank image→text",
    "medr_t2i": "median rank text→image",
    "twin_i2t": "twins image→text",
    "twin_t2i": "twins text→image",
    "twin_left-right": "twins, left or right",
    "twin_above-below": "twins, above or below",
    "twin_near": "twins, near",
    "twin_size": "twins, bigger or smaller",
    "twin_novel": "twins, never seen",
    "pointing_regions": "pointing, regions",
    "pointing_words": "pointing, words",
    "pointing_relations": "pointing, relations",
    "probe_accuracy": "probe, accuracy",
    "probe_hidden": "probe, hidden layer",
    "probe_standardised_hidden": "probe, standardised, hidden layer",
}

SETTINGS = "features and settings"


class ResultsTable:
    """Recorded rows as a table that notebooks, the book and a terminal can show.

    stale   the methods whose sources have changed since their rows were recorded
    """

    def __init__(
        self, head: list[str], rows: list[list[str]], notes: list[str], caption: str, stale: list[str]
    ) -> None:  # fmt: skip
        self.head, self.rows, self.notes, self.caption, self.stale = head, rows, notes, caption, stale

    @property
    def banner(self) -> str:
        """The warning above a table that is out of date, else nothing."""
        if not self.stale:
            return ""
        return f"Out of date: the sources of {', '.join(self.stale)} have changed since these numbers were recorded."

    def _repr_html_(self) -> str:
        banner = f'<p class="xmr-stale" role="note"><strong>⚠ {escape(self.banner)}</strong></p>' if self.banner else ""
        # A column of settings would leave a phone no room for numbers: they stand below the method's name.
        told = SETTINGS in self.head[1:2]
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.head if name != SETTINGS)
        body = ""
        for first, *rest in self.rows:
            words = f'<span class="xmr-settings">{escape(rest.pop(0))}</span>' if told else ""
            cells = "".join(f"<td>{_in_two(cell)}</td>" for cell in rest)
            body += f'<tr><th scope="row">{escape(first)}{words}</th>{cells}</tr>'
        notes = "".join(f'<span class="xmr-note">{escape(note)}</span>' for note in self.notes)
        # A region that scrolls by itself must be reachable by keyboard, hence tabindex.
        return (
            f'{banner}<figure class="xmr-recorded"><div class="xmr-scroll" tabindex="0" role="region" '
            f'aria-label="{escape(self.caption)}"><table class="xmr-results table" aria-label="{escape(self.caption)}">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            f"<figcaption>{escape(self.caption)}{notes}</figcaption></figure>"
        )

    def _repr_markdown_(self) -> str:
        lines = [f"**⚠ {self.banner}**", ""] if self.banner else []
        lines += ["| " + " | ".join(self.head) + " |", "|---" + "|---:" * (len(self.head) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, "", self.caption, *self.notes])

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = []
        for row in (self.head, *self.rows):
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return "\n".join([*([self.banner] if self.banner else []), *lines, self.caption, *self.notes])

    __repr__ = __str__


def _in_two(cell: str) -> str:
    # The interval goes below its value, in one piece.
    value, space, interval = escape(cell).partition(" [")
    return f'{value} <span class="xmr-interval">[{interval}</span>' if space else value


def results_table(
    path: str | Path, measures: Sequence[str] | None = None, *, caption: str = "", settings_column: bool = True,
    current_hash: Callable[[Mapping[str, Any]], str] | None = None, digits: int = 3,
    differences: Sequence[str] | None = None,
) -> ResultsTable:  # fmt: skip
    """Show a recorded result (`results/*.json`) as a table of means with 95 % intervals.

    measures         which measures, by their recorded names; without, all that any row has
    settings_column  whether a column tells each row's features and settings
    current_hash     given a row, the hash of its sources as they are now: where it differs, the table carries a
                     banner. Without, the recipes beside the results tell, where there are any
    digits           decimals
    differences      the measures whose recorded comparisons stand below the table; without, all that it shows

    An interval is the recorded one over test queries (the mean over seeds), else Student's over the seeds; a row with
    neither has none. A row copied from a publication (it names a `source`) is marked †. Raises ValueError where the
    file is not a result.
    """
    path = Path(path)
    held, rows = _read(path)
    found = {measure for row in rows for measure in row["metrics"]}
    chosen = list(measures) if measures else [*(m for m in MEASURES if m in found), *sorted(found - {*MEASURES})]
    if unknown := [measure for measure in chosen if measure not in found]:
        raise ValueError(f"{path.name} has no measure {', '.join(unknown)}; it has {', '.join(sorted(found))}.")
    told = settings_column and any(row.get("config") for row in rows)
    current_hash = current_hash or _hash_beside(path)
    body, stale, copied = [], [], False
    for row in rows:
        name = _name(row)
        if row.get("source"):
            copied, name = True, f"{name} †"
        elif current_hash is not None and row.get("source_hash") != current_hash(row):
            stale.append(name)
        cells = [_cell(row, measure, digits) for measure in chosen]
        body.append([name, *([str(row.get("config") or "")] if told else []), *cells])
    if held.get("chance"):
        cells = [_cell({"metrics": held["chance"]}, measure, digits) for measure in chosen]
        body.append(["chance", *([""] if told else []), *cells])
    listed = chosen if differences is None else differences
    notes = [_compared(entry, digits) for entry in held.get("comparisons", []) if entry.get("measure") in listed]
    notes += [note for note in ("† copied from the publication, not run here." if copied else "", _made(held)) if note]
    head = ["method", *([SETTINGS] if told else []), *(MEASURES.get(name, name) for name in chosen)]
    return ResultsTable(head, body, notes, caption or _about(held, rows), list(dict.fromkeys(stale)))


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return held, held["rows"]
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: run its recipe first (recipes/{path.stem}.py).") from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{path} is not a recorded result: JSON with a list of 'rows' is expected.") from None


def _hash_beside(path: Path) -> Callable[[Mapping[str, Any]], str] | None:
    # The recipes wrote the hashes, so the recipes recompute them; an installed library has none, and checks nothing.
    root = path.resolve().parent.parent
    source = root / "recipes" / "common.py"
    if not source.is_file():
        return None
    spec = importlib.util.spec_from_file_location("xmrlib_recipes_common", source)
    recipes = sys.modules.get(spec.name)
    if recipes is None or recipes.__file__ != str(source):
        recipes = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = recipes  # dataclasses look their module up
        spec.loader.exec_module(recipes)
    return lambda row: recipes.source_hash(row.get("sources", ()), root)


def _name(row: Mapping[str, Any]) -> str:
    extra = [str(row[key]) for key in ("variant", "ablation") if row.get(key) and row[key] != "paper"]
    return f"{row['method']} ({', '.join(extra)})" if extra else str(row["method"])


def _cell(row: Mapping[str, Any], measure: str, digits: int) -> str:
    metric = row["metrics"].get(measure)
    if metric is None:
        return "–"
    form = f"{{:.{1 if measure.startswith('medr') else digits}f}}"
    if isinstance(metric, int | float):
        return form.format(metric)
    shown, values = form.format(metric["mean"]), metric.get("values") or []
    if recorded := row.get("intervals", {}).get(measure):
        low, high = np.mean(np.asarray(recorded, dtype=float).reshape(-1, 2), 0)
        return f"{shown} [{form.format(low)}, {form.format(high)}]"
    if len(values) < 2:
        return shown
    from scipy.stats import t

    return f"{shown} ± {form.format(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))}"


def _compared(entry: Mapping[str, Any], digits: int) -> str:
    low, high, difference = (f"{entry[key]:+.{digits}f}" for key in ("low", "high", "difference"))
    verdict = "" if entry["low"] * entry["high"] > 0 else ": no order can be claimed"
    measure = MEASURES.get(entry["measure"], entry["measure"])
    (first, ours), (second, theirs) = (str(entry[key]).partition(" (")[::2] for key in ("first", "second"))
    # What both have in common is said once.
    names = f"{first} less {second}" if ours == theirs else f"{entry['first']} less {entry['second']}"
    shared = f" ({ours}" if ours and ours == theirs else ""
    return f"{names}{shared}, {measure}: {difference} [{low}, {high}]{verdict}."


def _about(held: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    protocol = f"{held['protocol']} protocol" if "protocol" in held else ""
    parts = [held.get("dataset", ""), held.get("split", ""), protocol, "95 % intervals"]
    seeds = sorted({len(row.get("seeds", [])) for row in rows if not row.get("source")})
    if seeds and seeds[-1]:
        many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        parts.append(f"{many} seed{'s' if many != '1' else ''}")
    return ", ".join(part for part in parts if part)


def _made(held: Mapping[str, Any]) -> str:
    versions = held.get("versions", {})
    torch = f"torch {versions['torch']}" if "torch" in versions else ""
    told = ", ".join(part for part in ((held.get("date") or "")[:10], held.get("device", ""), torch) if part)
    return f"Recorded {told}." if told else ""


def glue(name: str, value: Any, format: str = "{}") -> None:
    """Hand a number of this run to the prose: `glue("map", 0.7134, "{:.2f}")`, then {glue:text}`map` in the text.

    In the book the number is stored without being displayed; elsewhere nothing happens, since prose cannot change.
    Raises ValueError where the format does not fit the value.
    """
    try:
        words = format.format(value)
    except (ValueError, IndexError, KeyError) as fault:
        raise ValueError(f"format {format!r} does not fit {name} = {value!r}: {fault}.") from None
    if settings.in_book():
        from myst_nb import glue as store

        store(name, words, display=False)  # as a string: a number would lose its last zeros
