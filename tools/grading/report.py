"""What comes out of grading: the table of grades and a page of feedback for each submission.

nbgrader's own feedback shows the whole notebook, hidden tests and all; this page shows a hidden test's message only.
"""

from __future__ import annotations

import csv
import io
import re
from html import escape
from itertools import groupby
from typing import Any

from grading.by_hand import shown, waiting

STYLE = """\
:root { color-scheme: light dark; --ink: #1d2329; --soft: #4d5761; --paper: #fff; --box: #f3f5f7; --line: #cfd6dd;
  --good: #0a6b3d; --bad: #a3231f; --wait: #7a4d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #adb7c1; --paper: #15191e; --box: #20262d;
  --line: #3b454f; --good: #63d19b; --bad: #ff9a92; --wait: #f0bd62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 0; }
.total { font-size: 2rem; font-weight: 700; margin: .25rem 0; } .soft { color: var(--soft); }
section, .note { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: 1rem 0; }
.head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; align-items: baseline; }
.right, .graded-by-hand { color: var(--good); } .wrong, .stopped { color: var(--bad); }
.no-answer, .not-run, .by-hand { color: var(--wait); }
.text { background: var(--box); border-radius: .35rem; padding: .6rem .9rem; white-space: pre-wrap; }
.text table { border-collapse: collapse; margin: .5rem 0; }
.text td { border: 1px solid var(--line); padding: .1rem .6rem; }
.criterion { border-top: 1px solid var(--line); margin-top: .75rem; padding-top: .5rem; }
.levels { margin: .25rem 0; padding-left: 1.2rem; font-size: .92rem; color: var(--soft); }
.levels .given { color: var(--ink); font-weight: 600; } .remark { margin: .25rem 0; }
.box { display: inline-block; width: 2.5rem; height: 1.5rem; border: 1.5px solid var(--soft); border-radius: .25rem;
  vertical-align: middle; }
.verdict { font-weight: 600; white-space: nowrap; }
pre { background: var(--box); border-radius: .35rem; padding: .6rem; overflow-x: auto; font-size: .85rem;
  line-height: 1.4; tab-size: 4; } summary { cursor: pointer; }
li { margin: .25rem 0; white-space: pre-wrap; }
"""
WORDS = {
    "right": "right",
    "wrong": "not yet right",
    "no answer": "no answer",
    "stopped": "stopped",
    "not run": "not run",
    "by hand": "waits for a person",
    "graded by hand": "graded by a person",
}
HOW_TO_READ = (
    "A question is right if its examples and its hidden tests pass. The hidden tests use other numbers and other "
    "shapes. Of one that failed you see the message: it names a property that your answer has not. Make a small input "
    "of your own, work out by hand what should come out, and compare."
)
# What begins a line of its own in a text: an item of a list, a heading, a row of a table, a quotation.
NEW_LINE = re.compile(r"\s*(?:[-*+>]\s|#|\||\d+[.)]\s)")
BY_HAND = "A question with a rubric is graded by a person. The rubric stands below your text, as in the notebook."


def table(results: list[dict[str, Any]], most_questions: int) -> str:
    """The CSV: one line a submission, and as many question columns as the longest homework has questions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    questions = [f"q{number}" for number in range(1, most_questions + 1)]
    writer.writerow(["submission", "homework", "status", "points", "out_of", *questions, "by_hand", "note"])
    for result in results:
        open_questions = waiting(result)
        points = [one["points"] if one["verdict"] != "by hand" else "" for one in result.get("questions", [])]
        writer.writerow(
            [
                shown(result["submission"]),
                result.get("homework", ""),
                result["status"],
                "" if open_questions else result.get("points", ""),  # half a sum is not to be taken for a grade
                result.get("out_of", ""),
                *points,
                *[""] * (most_questions - len(points)),
                " ".join(open_questions),
                " ".join(result["notes"]),
            ]
        )
    return out.getvalue()


def page(result: dict[str, Any]) -> str:
    """The feedback for one submission, a page that needs no other file."""
    title = result.get("title", "A file that was not graded")
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(result["submission"])}</p>']
    if "points" in result:
        parts.append(f'<p class="total">{_total(result)}</p>')
    if result["notes"]:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result["notes"])
        parts.append(f'<div class="note"><strong>{escape(result["status"])}</strong><ul>{notes}</ul></div>')
    if result.get("questions"):
        parts.append(f"<p>{escape(HOW_TO_READ)}</p>")
    if any(question.get("criteria") for question in result.get("questions", [])):
        parts.append(f"<p>{escape(BY_HAND)}</p>")
    parts += [_question(question) for question in result.get("questions", [])]
    if result.get("own_cells"):
        own = "".join(f"<li>{escape(text)}</li>" for text in result["own_cells"])
        parts.append(
            "<section><h2>Cells of your own that stopped</h2><p>They cost no points by themselves. Answers that use "
            f"what they define may have failed for it.</p><ul>{own}</ul></section>"
        )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _total(result: dict[str, Any]) -> str:
    open_questions = waiting(result)
    if not open_questions:
        return f"{result['points']} of {result['out_of']} points"
    left = sum(question["out_of"] for question in result["questions"] if question["verdict"] == "by hand")
    so_far = sum(question["points"] for question in result["questions"] if question["verdict"] != "by hand")
    return f"{so_far} of {result['out_of'] - left} points so far, {left} more by hand"


def _question(question: dict[str, Any]) -> str:
    verdict = question["verdict"]
    messages = "".join(f"<li>{escape(message)}</li>" for message in question["messages"])
    points = _place(question["points"] if verdict != "by hand" else None)
    code = ""
    if question.get("criteria"):
        code = f'<details open><summary>Your text</summary><div class="text">{_read(question["text"])}</div></details>'
        code = (code if question["text"] else "") + "".join(map(_criterion, question["criteria"]))
    if question["code"]:
        # A right answer is folded: what is left to learn stands in the others.
        fold = "<details>" if verdict == "right" else "<details open>"
        code = f"{fold}<summary>Your answer</summary><pre><code>{escape(question['code'])}</code></pre></details>"
    return (
        f'<section><div class="head"><h2>{escape(question["heading"])}</h2>'
        f'<span class="verdict {verdict.replace(" ", "-")}">{WORDS[verdict]}, '
        f"{points} of {question['out_of']}</span></div>"
        f"{f'<ul>{messages}</ul>' if messages else ''}{code}</section>"
    )


def _read(text: str) -> str:
    """A student's Markdown, as far as a page of prose needs it: paragraphs, tables, emphasis and code.

    Not by a Markdown library: this runs in the grader's own process, and some texts keep such a library busy for long.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() and lines and lines[-1].strip() and not NEW_LINE.match(line) and lines[-1][:1] != "|":
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    parts = []
    for is_table, some in groupby(lines, key=lambda line: line[:1] == "|"):
        block = list(some)
        parts.append(_table(block) if is_table else "\n".join(map(_inline, block)).strip("\n"))
    return "\n".join(part for part in parts if part)


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    rows = [row for row in rows if not all(cell and set(cell) <= set("-: ") for cell in row)]
    cells = ["".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _inline(line: str) -> str:
    line = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))
    line = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", line)
    return re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?!\w)", r"<em>\1</em>", line)


def _place(points: float | None) -> str:
    """Points, or an empty box for them."""
    return '<span class="box" role="img" aria-label="no points yet"></span>' if points is None else str(points)


def _criterion(one: dict[str, Any]) -> str:
    """A criterion with its three descriptions; the one that was chosen stands out."""
    worth = {"full": one["out_of"], "half": one["out_of"] / 2, "none": 0}
    levels = "".join(
        f"<li{' class=given' if one['points'] == worth[level] else ''}>{level}, {worth[level]:g}: {_inline(said)}</li>"
        for level, said in one["levels"].items()
    )
    remark = f'<p class="remark">Remark: {escape(one["remark"])}</p>' if one["remark"] else ""
    return (
        f'<div class="criterion"><div class="head"><strong>{escape(one["name"])}</strong>'
        f'<span class="verdict">{_place(one["points"])} of {one["out_of"]}</span></div>'
        f'<ul class="levels">{levels}</ul>{remark}</div>'
    )


def summary(results: list[dict[str, Any]]) -> str:
    """For the terminal: how a class did, homework by homework and question by question."""
    lines = []
    for name in sorted({result["homework"] for result in results if result.get("questions")}):
        some = [result for result in results if result.get("homework") == name and result.get("questions")]
        done = [result["points"] for result in some if not waiting(result)]
        mean = f"{sum(done) / len(done):.1f} of {some[0]['out_of']} points on average" if done else "no sum yet"
        left = f", {len(some) - len(done)} of them wait for a person" if len(done) < len(some) else ""
        lines.append(f"{name}: {len(some)} submissions{left}, {mean}")
        for number, question in enumerate(some[0]["questions"]):
            these = [result["questions"][number] for result in some]
            if question.get("criteria"):
                given = [one["points"] for one in these if one["verdict"] != "by hand"]
                said = f"{sum(given) / len(given):.1f} of {question['out_of']} on average" if given else "no points yet"
                said += f", {len(these) - len(given)} wait" if len(given) < len(these) else ""
            else:
                said = f"{sum(one['verdict'] == 'right' for one in these) / len(some):.0%} right"
            lines.append(f"  question {number + 1}, {question['name']}: {said}")
    others = [result for result in results if result["status"] != "graded"]
    for result in others:
        lines.append(f"{result['status']}: {result['submission']}. {' '.join(result['notes'])}")
    return "\n".join(lines)
