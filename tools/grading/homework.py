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
from threading import Lock
from typing import Any

import jupytext
import nbformat
from book_layout import ROOT
from make_notebooks import setup
from nbformat import NotebookNode

SOURCES = ROOT / "assignments"
ROLES = {"answer", "public-test", "hidden-test", "workbench", "essay", "rubric"}
STUB = "raise NotImplementedError()"
TEXT_STUB = "*Write here.*"
PARSING = Lock()
HEADING = re.compile(r"^## (.*) \((\d+) points?\)$", re.MULTILINE)
CRITERION = re.compile(r"^\*\*(.+)\*\* \((\d+) points?\)$", re.MULTILINE)
LEVELS = ("full", "half", "none")
LEVEL = re.compile(rf"^- ({'|'.join(LEVELS)}): (.+(?:\n  .+)*)$", re.MULTILINE)
# The names of what nbgrader calls a grade_id: "recall", "recall-examples", "recall-test".
SUFFIX = {"answer": "", "public-test": "-examples", "hidden-test": "-test", None: "-text"}
SUFFIX |= {"workbench": "-workbench", "essay": "", "rubric": "-rubric"}


class HomeworkError(Exception):
    """A source that cannot be used; the message says where and what to write."""


@dataclass(frozen=True)
class Cell:
    """A cell of a source: `name` is unique in the homework, `role` is one of ROLES, or None."""

    name: str
    kind: str
    text: str
    question: str | None
    role: str | None
    points: int


@dataclass(frozen=True)
class Criterion:
    """A line of a rubric: its points, and what earns them in full, half of them and none."""

    name: str
    points: int
    levels: dict[str, str]


@dataclass(frozen=True)
class Question:
    """A question: its short name, its heading without the points, and the points. With criteria, a person grades it."""

    name: str
    heading: str
    points: int
    criteria: tuple[Criterion, ...] = ()


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
            essays, criteria = [cell for cell in own if cell.role == "essay"], self._criteria(name, own)
            if len(headings) != 1 or int(headings[0][1]) != points:
                raise HomeworkError(
                    f'{self.name}, question "{name}": its {"essay has" if essays else "hidden tests have"} {points} '
                    f"points and its headings say {[int(h[1]) for h in headings]}. Write one heading "
                    f'"## … ({points} points)".'
                )
            if len(essays) > 1 or (essays and {cell.role for cell in own} & {"answer", "public-test", "hidden-test"}):
                raise HomeworkError(f'{self.name}, question "{name}": an essay stands alone, without answer and tests.')
            if sum(criterion.points for criterion in criteria) != (points if essays else 0):
                raise HomeworkError(
                    f'{self.name}, question "{name}": the criteria of its rubric have '
                    f"{sum(criterion.points for criterion in criteria)} points, its essay {points if essays else 0}. "
                    'Write "**criterion** (2 points)" and under it "- full: …", "- half: …" and "- none: …".'
                )
            if not essays and (not any(cell.role == "answer" for cell in own) or not points):
                raise HomeworkError(f'{self.name}, question "{name}": it needs an answer cell and a hidden-test cell.')
            found.append(Question(name, headings[0][0], points, criteria))
        return tuple(found)

    def _criteria(self, question: str, own: list[Cell]) -> tuple[Criterion, ...]:
        found = []
        for text in (cell.text for cell in own if cell.role == "rubric"):
            heads = list(CRITERION.finditer(text))
            for head, after in zip(heads, [*heads[1:], None], strict=True):
                part = text[head.end() : after.start() if after else None]
                levels = {level: " ".join(said.split()) for level, said in LEVEL.findall(part)}
                if set(levels) != set(LEVELS) or head[1] in [criterion.name for criterion in found]:
                    raise HomeworkError(
                        f'{self.name}, question "{question}": the criterion "{head[1]}" needs a name of its own and '
                        'one line each "- full: …", "- half: …" and "- none: …".'
                    )
                found.append(Criterion(head[1], int(head[2]), levels))
        return tuple(found)

    @cached_property
    def points(self) -> int:
        return sum(question.points for question in self.questions)

    @cached_property
    def points_by_hand(self) -> int:
        """Those of the points that a person gives."""
        return sum(question.points for question in self.questions if question.criteria)

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
        clear = ClearSolutions(code_stub={"python": STUB}, text_stub=TEXT_STUB)
        for step in (CheckCellMetadata(), LockCells(), clear, ClearHiddenTests(), ComputeChecksums()):
            made, resources = step.preprocess(made, resources)
        return _named(made)

    @property
    def instructor(self) -> NotebookNode:
        """The notebook with solutions and hidden tests, in nbgrader's format."""
        cells = [_cell(cell) for cell in self.cells]
        folded = {"cellView": "form", "jupyter": {"source_hidden": True}}
        first = nbformat.v4.new_code_cell(setup(), metadata=folded | {"nbgrader": _marks("set-up", locked=True)})
        # The homework's name travels in the file, so that a renamed file is known again.
        return _named(
            nbformat.v4.new_notebook(
                cells=[cells[0], first, *cells[1:]],
                metadata={
                    "colab": {"provenance": [], "toc_visible": True},
                    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                    "language_info": {"name": "python"},
                    "xmrlib": {"homework": self.name},
                },
            )
        )


def parsed(text: str) -> ast.Module:
    """The syntax tree of a cell, made by one thread at a time: Python 3.11 counts the depth of all of them together."""
    with PARSING:
        return ast.parse(text)


def imported(texts: list[str]) -> list[str]:
    """The modules that cells of a source import.

    >>> imported(["import math", "from os import path"])
    ['math', 'os']
    """
    found = set()
    for node in (node for text in texts for node in ast.walk(parsed(text))):
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
        marks = _marks(cell.name, locked=True)
        if cell.role == "essay":
            marks = _marks(cell.name, grade=True, solution=True, points=cell.points)
        return nbformat.v4.new_markdown_cell(cell.text, metadata={"nbgrader": marks})
    text = cell.text
    if cell.role in ("answer", "workbench"):
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
        written = role in ("essay", "rubric")
        if roles or (role and not question) or (role and written != (cell.cell_type == "markdown")):
            raise HomeworkError(
                f"{path.name}: a cell needs one role of {sorted(ROLES)} and a question to go with it; an essay and a "
                f"rubric are Markdown, all others code. It is not so in\n{cell.source}"
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
