"""A homework: read from its source, written as the notebook that students get and as the one that nbgrader reads.

A source is `assignments/homework-N.md`; its marks are described in `assignments/README.md`. nbgrader's own marks, many
lines of metadata a cell, are written here and nowhere else.
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from book_layout import ROOT, repository
from make_notebooks import SETUP
from nbformat import NotebookNode

SOURCES = ROOT / "assignments"
ROLES = {"answer", "public-test", "hidden-test"}
STUB = "raise NotImplementedError()"
HEADING = re.compile(r"^## (.*) \((\d+) points?\)$", re.MULTILINE)
# The names of what nbgrader calls a grade_id: "recall", "recall-examples", "recall-test".
SUFFIX = {"answer": "", "public-test": "-examples", "hidden-test": "-test", None: "-text"}


class HomeworkError(Exception):
    """A source that cannot be used; the message says where and what to write."""


@dataclass(frozen=True)
class Cell:
    """A cell of a source: `name` is unique in the homework, `role` is answer, public-test, hidden-test or None."""

    name: str
    kind: str
    text: str
    question: str | None
    role: str | None
    points: int


@dataclass(frozen=True)
class Question:
    """A question: its short name, its heading without the points, and the points."""

    name: str
    heading: str
    points: int


@dataclass(frozen=True)
class Homework:
    """The cells of one source, in order."""

    name: str
    cells: tuple[Cell, ...]

    @cached_property
    def title(self) -> str:
        return self.cells[0].text.splitlines()[0].removeprefix("# ")

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        found = []
        for name in dict.fromkeys(cell.question for cell in self.cells if cell.question):
            own = [cell for cell in self.cells if cell.question == name]
            headings = [match for cell in own if cell.kind == "markdown" for match in HEADING.findall(cell.text)]
            points = sum(cell.points for cell in own)
            if len(headings) != 1 or int(headings[0][1]) != points:
                raise HomeworkError(
                    f'{self.name}, question "{name}": its hidden tests have {points} points and its headings say '
                    f'{[int(h[1]) for h in headings]}. Write one heading "## … ({points} points)".'
                )
            if not any(cell.role == "answer" for cell in own) or not points:
                raise HomeworkError(f'{self.name}, question "{name}": it needs an answer cell and a hidden-test cell.')
            found.append(Question(name, headings[0][0], points))
        return tuple(found)

    @cached_property
    def points(self) -> int:
        return sum(question.points for question in self.questions)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that grading depends on: the cells, not the file's name."""
        return hashlib.sha256("\0".join(map(repr, self.cells)).encode()).hexdigest()

    def stub(self, cell: Cell) -> str:
        """An answer cell as students get it."""
        return next(made.source for made in self.student.cells if made.metadata.nbgrader.grade_id == cell.name)

    @cached_property
    def student(self) -> NotebookNode:
        """The notebook for students: no solutions, no hidden tests, a set-up cell for Colab."""
        # nbgrader takes seconds to import, and grading that finds nothing new does not need it.
        from nbgrader.preprocessors import (
            CheckCellMetadata,
            ClearHiddenTests,
            ClearSolutions,
            ComputeChecksums,
            LockCells,
        )

        made, resources = self.instructor, {}
        clear = ClearSolutions(code_stub={"python": STUB})
        for step in (CheckCellMetadata(), LockCells(), clear, ClearHiddenTests(), ComputeChecksums()):
            made, resources = step.preprocess(made, resources)
        return _named(made)

    @property
    def instructor(self) -> NotebookNode:
        """The notebook with solutions and hidden tests, in nbgrader's format."""
        url, branch = repository()
        cells = [_cell(cell) for cell in self.cells]
        folded = {"cellView": "form", "jupyter": {"source_hidden": True}}
        setup = nbformat.v4.new_code_cell(
            SETUP.format(repository=url, branch=branch),
            metadata=folded | {"nbgrader": _marks("set-up", locked=True)},
        )
        # The homework's name travels in the file, so that a renamed file is known again.
        return _named(
            nbformat.v4.new_notebook(
                cells=[cells[0], setup, *cells[1:]],
                metadata={
                    "colab": {"provenance": [], "toc_visible": True},
                    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                    "language_info": {"name": "python"},
                    "xmrlib": {"homework": self.name},
                },
            )
        )


def imported(texts: list[str]) -> list[str]:
    """The modules that cells of a source import.

    >>> imported(["import math", "from os import path"])
    ['math', 'os']
    """
    found = set()
    for node in (node for text in texts for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return sorted(found)


def _marks(name: str, **marks: Any) -> dict[str, Any]:
    """nbgrader's metadata of a cell."""
    return {
        "grade": False,
        "grade_id": name,
        "locked": False,
        "schema_version": 3,
        "solution": False,
        "task": False,
    } | marks


def _cell(cell: Cell) -> NotebookNode:
    if cell.kind == "markdown":
        return nbformat.v4.new_markdown_cell(cell.text, metadata={"nbgrader": _marks(cell.name, locked=True)})
    text = cell.text
    if cell.role == "answer":
        marks = _marks(cell.name, solution=True)
    elif cell.role == "hidden-test":
        marks = _marks(cell.name, grade=True, locked=True, points=cell.points)
        note = f"# {cell.points} points. The tests that count are put in here for grading; leave this cell as it is."
        text = f"{note}\n### BEGIN HIDDEN TESTS\n{text}\n### END HIDDEN TESTS"
    else:
        marks = _marks(cell.name, locked=True)
    return nbformat.v4.new_code_cell(text, metadata={"nbgrader": marks})


def _named(made: NotebookNode) -> NotebookNode:
    """Cell ids from the names, so that two runs give the same bytes."""
    for cell in made.cells:
        cell.id = hashlib.sha256(cell.metadata.nbgrader.grade_id.encode()).hexdigest()[:12]
    nbformat.validate(made)
    return made


def read(path: Path) -> Homework:
    """A homework from its source. Raises HomeworkError if the marks do not fit together."""
    cells, counts = [], {}
    for cell in jupytext.read(path).cells:
        roles = ROLES & set(cell.metadata.get("tags", []))
        question, role = cell.metadata.get("question"), roles.pop() if roles else None
        if roles or (role and not question):
            raise HomeworkError(
                f"{path.name}: a cell needs one role of {sorted(ROLES)} and a question to go with it, in\n{cell.source}"
            )
        base = f"{question}{SUFFIX[role]}" if question else ("given" if cell.cell_type == "code" else "text")
        counts[base] = counts.get(base, 0) + 1
        name = base if counts[base] == 1 else f"{base}-{counts[base]}"
        points = cell.metadata.get("points", 0)
        cells.append(Cell(name, cell.cell_type, cell.source, question, role, points))
    if not cells or not cells[0].text.startswith("# "):
        raise HomeworkError(f'{path.name}: it starts with no title. Write "# Homework …" in the first cell.')
    found = Homework(path.stem, tuple(cells))
    if not found.questions:
        raise HomeworkError(f"{path.name}: no cell has a question. Mark its cells as assignments/README.md describes.")
    return found


def read_all(folder: Path = SOURCES) -> dict[str, Homework]:
    """Every `homework-*.md` of a folder, by name."""
    paths = sorted(folder.glob("homework-*.md"))
    if not paths:
        raise HomeworkError(f"{folder.name}: no file homework-*.md there. Give the folder that holds the sources.")
    return {path.stem: read(path) for path in paths}
