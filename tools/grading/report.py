"""What comes out of grading: the table of grades and a page of feedback for each submission.

nbgrader's own feedback shows the whole notebook, hidden tests and all; this page shows a hidden test's message only.
"""

from __future__ import annotations

import csv
import io
from html import escape
from typing import Any

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
.right { color: var(--good); } .wrong, .stopped { color: var(--bad); } .no-answer, .not-run { color: var(--wait); }
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
}
HOW_TO_READ = (
    "A question is right if its examples and its hidden tests pass. The hidden tests use other numbers and other "
    "shapes. Of one that failed you see the message: it names a property that your answer has not. Make a small input "
    "of your own, work out by hand what should come out, and compare."
)


def table(results: list[dict[str, Any]], most_questions: int) -> str:
    """The CSV: one line a submission, and as many question columns as the longest homework has questions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    questions = [f"q{number}" for number in range(1, most_questions + 1)]
    writer.writerow(["submission", "homework", "status", "points", "out_of", *questions, "note"])
    for result in results:
        points = [question["points"] for question in result.get("questions", [])]
        name = result["submission"]
        writer.writerow(
            [
                # A spreadsheet would take such a name for a formula.
                f"'{name}" if name[:1] in "=+-@" else name,
                result.get("homework", ""),
                result["status"],
                result.get("points", ""),
                result.get("out_of", ""),
                *points,
                *[""] * (most_questions - len(points)),
                " ".join(result["notes"]),
            ]
        )
    return out.getvalue()


def page(result: dict[str, Any]) -> str:
    """The feedback for one submission, a page that needs no other file."""
    title = result.get("title", "A file that was not graded")
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(result["submission"])}</p>']
    if "points" in result:
        parts.append(f'<p class="total">{result["points"]} of {result["out_of"]} points</p>')
    if result["notes"]:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result["notes"])
        parts.append(f'<div class="note"><strong>{escape(result["status"])}</strong><ul>{notes}</ul></div>')
    if result.get("questions"):
        parts.append(f"<p>{escape(HOW_TO_READ)}</p>")
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


def _question(question: dict[str, Any]) -> str:
    verdict = question["verdict"]
    messages = "".join(f"<li>{escape(message)}</li>" for message in question["messages"])
    code = ""
    if question["code"]:
        # A right answer is folded: what is left to learn stands in the others.
        fold = "<details>" if verdict == "right" else "<details open>"
        code = f"{fold}<summary>Your answer</summary><pre><code>{escape(question['code'])}</code></pre></details>"
    return (
        f'<section><div class="head"><h2>{escape(question["heading"])}</h2>'
        f'<span class="verdict {verdict.replace(" ", "-")}">{WORDS[verdict]}, '
        f"{question['points']} of {question['out_of']}</span></div>"
        f"{f'<ul>{messages}</ul>' if messages else ''}{code}</section>"
    )


def summary(results: list[dict[str, Any]]) -> str:
    """For the terminal: how a class did, homework by homework and question by question."""
    lines = []
    for name in sorted({result["homework"] for result in results if result.get("questions")}):
        some = [result for result in results if result.get("homework") == name and result.get("questions")]
        mean = sum(result["points"] for result in some) / len(some)
        lines.append(f"{name}: {len(some)} submissions, {mean:.1f} of {some[0]['out_of']} points on average")
        for number, question in enumerate(some[0]["questions"]):
            right = sum(result["questions"][number]["verdict"] == "right" for result in some)
            lines.append(f"  question {number + 1}, {question['name']}: {right / len(some):.0%} right")
    others = [result for result in results if result["status"] != "graded"]
    for result in others:
        lines.append(f"{result['status']}: {result['submission']}. {' '.join(result['notes'])}")
    return "\n".join(lines)
