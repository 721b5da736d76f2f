"""One submission: read, recognised, laid beside the homework's source, run and scored."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from book_layout import ROOT
from nbformat import NotebookNode

from grading.homework import TEXT_STUB, Cell, Homework, Question, imported, parsed
from grading.supervise import Limits, Outcome, Request, execute

LARGEST = 20_000_000
LONGEST_TEXT = 40_000
NAMED = re.compile(r"(?:homework|hw|assignment)\W*_*0*(\d+)", re.IGNORECASE)


class Unreadable(Exception):
    """A file that is no notebook: status and what to do."""


@dataclass
class Placed:
    """A code cell as it is run: `name` is that of the source's cell; a student's own cell has none."""

    role: str
    question: str | None
    name: str | None
    text: str


def load(path: Path) -> tuple[NotebookNode, list[str]]:
    """The notebook in a file, and remarks on what had to be mended. Raises Unreadable."""
    if path.is_symlink() or not path.is_file():
        raise Unreadable("not a notebook", "A link or a special file. Ask for the notebook itself.")
    if path.stat().st_size > LARGEST:
        size = path.stat().st_size // 1_000_000
        limit = LARGEST // 1_000_000
        raise Unreadable(
            "too large", f"The file has {size} MB, {limit} are read. Ask for the notebook with its outputs cleared."
        )
    data, notes = path.read_bytes(), []
    if data[:4] == b"PK\x03\x04":
        raise Unreadable("not a notebook", "A zip archive. Unpack it into the folder and grade again.")
    text, encoding = _decoded(data)
    if encoding != "UTF-8":
        notes.append(f"The file is not UTF-8; it was read as {encoding}.")
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or not isinstance(found.get("cells", found.get("worksheets")), list):
            raise Unreadable("not a notebook", "A JSON file without cells. Ask for the .ipynb file.")
        return nbformat.reads(text, as_version=4), notes
    except Unreadable:
        raise
    except json.JSONDecodeError as fault:
        if not text.lstrip().startswith("{"):
            raise Unreadable("not a notebook", "No JSON. Ask for the .ipynb file (in Colab: File, Download).") from None
        raise Unreadable(
            "not a notebook",
            f"The notebook breaks off or is damaged at character {fault.pos:,} of {len(text):,}. Ask for it again.",
        ) from None
    except Exception as fault:  # nbformat raises what it meets: KeyError, AttributeError, RecursionError
        raise Unreadable("not a notebook", f"A damaged notebook ({type(fault).__name__}). Ask for it again.") from None


def _decoded(data: bytes) -> tuple[str, str]:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), "UTF-16"
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"  # JSON and code are ASCII; only letters in texts may come out wrong


def recognised(notebook: NotebookNode, name: str, homework: dict[str, Homework]) -> Homework | None:
    """Which homework it is: by its metadata, else by its cells' names, else by the file's name."""
    marked = notebook.metadata.get("xmrlib")
    if isinstance(marked, dict) and marked.get("homework") in homework:
        return homework[marked["homework"]]
    names = {_grade_id(cell) for cell in notebook.cells}
    answers = {key: {cell.name for cell in one.cells if cell.role == "answer"} for key, one in homework.items()}
    best = max(answers, key=lambda key: len(answers[key] & names))
    if answers[best] & names:
        return homework[best]
    numbers = NAMED.findall(name)
    return homework.get(f"homework-{numbers[-1]}") if numbers else None


def _grade_id(cell: NotebookNode) -> str | None:
    marks = cell.get("metadata", {}).get("nbgrader")
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else None


def _functions(text: str) -> set[str]:
    """The names of the functions that a cell defines."""
    return set(re.findall(r"^def (\w+)\(", text, re.MULTILINE))


def lay_out(notebook: NotebookNode, homework: Homework) -> list[Placed]:
    """The source's cells in the source's order, the student's answers in their places, and the student's own cells
    where they stood: behind the cell that they followed. What a student did to any other cell is undone. A workbench,
    and the cells that a student added below it, are left out: no test needs them, and they may take long."""
    by_name = {cell.name: cell for cell in homework.cells}
    by_text = {cell.text.strip(): cell.name for cell in homework.cells if cell.kind == "code" and cell.role != "answer"}
    benches = {cell.text.partition("\n")[0]: cell.name for cell in homework.cells if cell.role == "workbench"}
    answers: dict[str, list[str]] = {cell.name: [] for cell in homework.cells if cell.role == "answer"}
    named = {_grade_id(cell) for cell in notebook.cells}
    lost = {
        function: cell.name
        for cell in homework.cells
        if cell.role == "answer" and cell.name not in named
        for function in _functions(cell.text)
    }
    own: dict[str | None, list[str]] = {}
    last = homework.cells[0].name
    for cell in notebook.cells:
        text, name = _source(cell), _grade_id(cell)
        if name == "set-up":
            continue
        if name not in by_name and cell.cell_type == "code":
            found = [lost[function] for function in sorted(_functions(text)) if function in lost]
            name = by_text.get(text.strip()) or (found[0] if found else benches.get(text.partition("\n")[0]))
        if name in by_name:
            last = name
            if name in answers and cell.cell_type == "code":
                answers[name].append(text)
        elif cell.cell_type == "code" and text.strip():
            own.setdefault(last, []).append(text)
    placed = []
    for cell in homework.cells:
        if cell.role == "workbench":
            continue
        if cell.role == "answer":
            placed += [Placed("own", cell.question, cell.name, text) for text in answers[cell.name]]
        elif cell.kind == "code":
            role, question = ("test", cell.question) if cell.role else ("given", None)
            placed.append(Placed(role, question, cell.name, cell.text))
        placed += [Placed("own", None, None, text) for text in own.get(cell.name, [])]
    return placed


def texts(notebook: NotebookNode, homework: Homework) -> dict[str, str]:
    """What a student wrote for each question that a person grades; nothing where it is as handed out.

    It is what stands in the essay's cell, and in Markdown cells of the student's own anywhere in that question.
    """
    by_name = {cell.name: cell for cell in homework.cells}
    by_text = {cell.text.strip(): cell for cell in homework.cells if cell.role != "essay"}
    found: dict[str, list[str]] = {question.name: [] for question in homework.questions if question.criteria}
    here = None
    for cell in notebook.cells:
        text = _source(cell).strip()
        known = by_name.get(_grade_id(cell)) or by_text.get(text)
        here = known.question if known else here
        # A cell with a mark that is not known came with another version of the homework.
        theirs = known.role == "essay" if known else _grade_id(cell) is None
        if theirs and here in found and cell.cell_type != "code" and text not in ("", TEXT_STUB):
            found[here].append(text)
    return {name: clean("\n\n".join(parts)) for name, parts in found.items()}


def _source(cell: NotebookNode) -> str:
    text = cell.get("source", "")
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def score(notebook: NotebookNode, homework: Homework, limits: Limits) -> tuple[dict[str, Any], NotebookNode]:
    """Run it. Returns the result, as it is kept, and the notebook with all tests and what they raised, for nbgrader."""
    # Not by `nbgrader autograde`: that needs the course database that made the notebooks, limits the time of a cell and
    # not of the whole, limits nothing else, and ends with exit code 0 where a cell timed out.
    placed = lay_out(notebook, homework)
    empty = _without_an_answer(placed, homework)
    requests = [
        Request(number, one.role, one.question, one.text)
        for number, one in enumerate(placed)
        if not (one.role == "test" and one.question in empty)
    ]
    # What the tests import is loaded, and its functions are noted, before the first line of the student's runs.
    modules = imported([request.text for request in requests if request.role != "own"])
    outcome = execute(requests, modules, limits)
    graded, written = _with_outputs(homework, placed, outcome), texts(notebook, homework)
    graded.cells += [_essay(cell, written[cell.question], homework) for cell in homework.cells if cell.role == "essay"]
    questions = [
        _by_hand(question, written[question.name])
        if question.criteria
        else _question(homework, number, placed, outcome, graded)
        for number, question in enumerate(homework.questions)
    ]
    own = [
        _told(outcome.errors[number], placed)
        for number, one in enumerate(placed)
        if one.name is None and outcome.errors.get(number)
    ]
    stops = [_stopped(stop.question, stop.note, homework) for stop in outcome.stops]
    result = {
        "homework": homework.name,
        "title": homework.title,
        "status": outcome.stops[0].status if stops else "graded",
        "notes": stops,
        "points": sum(question["points"] for question in questions),
        "out_of": homework.points,
        "questions": questions,
        "own_cells": own,
        "seconds": outcome.seconds,
    }
    return result, graded


def _essay(source: Cell, text: str, homework: Homework) -> NotebookNode:
    """The student's text with the marks by which nbgrader asks a person for its points."""
    student = next(made for made in homework.student.cells if made.metadata.nbgrader.grade_id == source.name)
    made = nbformat.v4.new_markdown_cell(text or TEXT_STUB, metadata=copy.deepcopy(student.metadata))
    made.id = student.id
    return made


def _by_hand(question: Question, text: str) -> dict[str, Any]:
    """A question that waits for a person; one without a word waits for nobody."""
    message = [] if text else ["There is no text."]
    if len(text) > LONGEST_TEXT:
        message = [f"The text has {len(text):,} characters; the first {LONGEST_TEXT:,} are shown. Read the notebook."]
    return {
        "name": question.name,
        "heading": question.heading,
        "points": 0,
        "out_of": question.points,
        "verdict": "by hand" if text else "no answer",
        "messages": message,
        "code": "",
        "text": text[:LONGEST_TEXT],
        "criteria": [
            {"name": one.name, "out_of": one.points, "levels": one.levels, "points": None if text else 0, "remark": ""}
            for one in question.criteria
        ],
    }


def _without_an_answer(placed: list[Placed], homework: Homework) -> set[str]:
    """Questions whose tests need not run: as handed out, and no cell of the student's own might answer them."""
    if any(one.name is None for one in placed):
        return set()
    sources = {cell.name: cell for cell in homework.cells}
    changed = {o.question for o in placed if o.role == "own" and not _unchanged(o.text, sources[o.name], homework)}
    return {question.name for question in homework.questions} - changed


def _stopped(question: str | None, note: str, homework: Homework) -> str:
    for number, one in enumerate(homework.questions, start=1):
        if one.name == question:
            return f"Question {number} ({question}): {note}."
    return f"A cell outside the questions: {note}."


def _with_outputs(homework: Homework, placed: list[Placed], outcome: Outcome) -> NotebookNode:
    """The notebook as it was run. A question's points stand on its hidden tests, so these carry what failed."""
    sources = {cell.metadata.nbgrader.grade_id: cell for cell in homework.instructor.cells}
    lost = {stop.question for stop in outcome.stops}
    failed = {
        one.question
        for number, one in enumerate(placed)
        if one.role == "test" and (number not in outcome.errors or outcome.errors[number])
    }
    last = {one.name: number for number, one in enumerate(placed)}  # of a copied answer the last one carries the name
    made = nbformat.v4.new_notebook(metadata=copy.deepcopy(homework.instructor.metadata))
    for number, one in enumerate(placed):
        cell = nbformat.v4.new_code_cell(one.text)
        if one.name and last[one.name] == number:
            cell.metadata = copy.deepcopy(sources[one.name].metadata)
        cell.id = f"cell-{number}"
        error = outcome.errors.get(number)
        if error is None and one.role == "test" and one.question in failed | lost:
            stop = next((stop for stop in outcome.stops if stop.question == one.question), None)
            error = {"type": "Stopped", "message": stop.note, "lines": []} if stop else None
            error = error or {"type": "AnotherTestFailed", "message": "or this one did not run", "lines": []}
        if error:
            lines = [f"  cell {place}, line {line}: {_line(placed, place, line)}" for place, line in error["lines"]]
            trace = [*lines, f"{error['type']}: {clean(error['message'])}"]
            output = {"ename": error["type"], "evalue": clean(error["message"]), "traceback": trace}
            cell.outputs = [nbformat.v4.new_output("error", **output)]
        made.cells.append(cell)
    return made


def _line(placed: list[Placed], cell: int, line: int) -> str:
    lines = placed[cell].text.splitlines() if cell < len(placed) else []
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def clean(text: str) -> str:
    """A message without the places of this machine, and without what HTML and CSV cannot hold."""
    for place in (str(ROOT), os.path.expanduser("~")):
        text = text.replace(place, "…") if len(place) > 1 else text
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _question(
    homework: Homework, number: int, placed: list[Placed], outcome: Outcome, graded: NotebookNode
) -> dict[str, Any]:
    """Points, verdict and what to say about one question."""
    # nbgrader decides what a cell's outputs are worth, so that its gradebook would hold the same numbers.
    from nbgrader.utils import determine_grade

    question = homework.questions[number]
    cells = [(place, one) for place, one in enumerate(placed) if one.question == question.name]
    hidden = {cell.name for cell in homework.cells if cell.role == "hidden-test"}
    points = sum(int(determine_grade(graded.cells[place])[0]) for place, one in cells if one.name in hidden)
    answer = [(place, one) for place, one in cells if one.role == "own"]
    source = next(cell for cell in homework.cells if cell.role == "answer" and cell.question == question.name)
    stop = next((stop for stop in outcome.stops if stop.question == question.name), None)
    messages = []
    if points == question.points:
        verdict = "right"
    elif not answer:
        verdict = "no answer"
        messages.append("The cell of the answer is missing. Keep it in its place, and the name of its function.")
    elif all(_unchanged(one.text, source, homework) for _, one in answer):
        verdict = "no answer"
    elif stop:
        verdict = "stopped"
        messages.append(f"It did not end: {stop.note}.")
    elif not all(place in outcome.errors for place, one in cells if one.role == "test"):
        verdict = "not run"
        messages.append("The time for the whole was over before its tests could run.")
    else:
        verdict = "wrong"
        messages += [_told(outcome.errors[p], placed, "Your cell") for p, _ in answer if outcome.errors.get(p)]
        for place, one in cells:
            if one.role == "test" and outcome.errors.get(place):
                label = "Hidden test" if one.name in hidden else "Example"
                messages.append(_told(outcome.errors[place], placed, label, show=one.name not in hidden))
    return {
        "name": question.name,
        "heading": question.heading,
        "points": points,
        "out_of": question.points,
        "verdict": verdict,
        "messages": messages,
        "code": clean("\n\n".join(one.text for _, one in answer)),
    }


def _unchanged(text: str, source: Cell, homework: Homework) -> bool:
    try:
        return ast.dump(parsed(text)) == ast.dump(parsed(homework.stub(source)))
    except (SyntaxError, ValueError, RecursionError):
        return False


def _told(error: dict[str, Any], placed: list[Placed], label: str = "", show: bool = True) -> str:
    """A sentence on an error: of a hidden test no more than its message, of a student's code the line."""
    theirs = [(place, line) for place, line in error["lines"] if place < len(placed) and placed[place].role == "own"]
    in_test = error["type"] == "AssertionError" and not theirs
    if in_test and error["message"]:
        text = clean(error["message"])
    elif in_test and show and error["lines"]:
        text = f"this does not hold: {_line(placed, *error['lines'][-1])}"
    elif in_test:
        text = "a check that has no message failed: the result is not what the question asks for."
    else:
        text = f"{error['type']}: {clean(error['message'])}".removesuffix(": ")
        if theirs:
            place, line = theirs[-1]
            text += f" (line {line} of the cell: {_line(placed, place, line)})"
        elif placed and label:
            text += " (while the test used what your function returned)"
    return f"{label}: {text}" if label else text
