"""Homework: the solutions pass, no answer fails, and a wrong answer fails its own question and no other."""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "assignments"
HOMEWORK = sorted(path.stem for path in FOLDER.glob("homework-*.md"))
ROLES = {"answer", "public-test", "hidden-test", "workbench", "essay", "rubric"}
SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION$", re.DOTALL | re.MULTILINE)
TOTAL = 20

# By homework and question: "pasted" returns what the examples expect; the others make a mistake that people make. Those
# of homework N stand in `wrong_homework_N.py`.
MODULES = sorted(path.stem for path in Path(__file__).parent.glob("wrong_homework_*.py"))
WRONG: dict[str, dict[str, dict[str, str]]] = {
    name.removeprefix("wrong_").replace("_", "-"): import_module(name).WRONG for name in MODULES
}


@cache
def cells(name: str) -> list[dict[str, Any]]:
    """The cells of a homework: kind, text, question, role (one of ROLES, or none), points, and what it uses."""
    found = []
    for cell in jupytext.read(FOLDER / f"{name}.md").cells:
        roles = set(cell.metadata.get("tags", [])) & ROLES
        assert len(roles) <= 1, cell.source
        question, points = cell.metadata.get("question"), cell.metadata.get("points")
        entry = {"kind": cell.cell_type, "text": cell.source, "question": question, "points": points}
        entry["uses"] = cell.metadata.get("uses", [])
        found.append(entry | {"role": roles.pop() if roles else None})
    return found


def questions(name: str) -> list[str]:
    return list(dict.fromkeys(cell["question"] for cell in cells(name) if cell["question"]))


def automatic(name: str) -> list[str]:
    """The questions that tests grade; the others have an essay, and a person grades them."""
    return [question for question in questions(name) if not of(name, question, "essay", "markdown")]


def uses(name: str, question: str) -> set[str]:
    """The questions whose answers the tests of this one may use: it says so at its heading."""
    return {other for cell in cells(name) if cell["question"] == question for other in cell["uses"]}


def of(name: str, question: str, role: str | None, kind: str = "code") -> list[dict[str, Any]]:
    asked = (question, role, kind)
    return [cell for cell in cells(name) if (cell["question"], cell["role"], cell["kind"]) == asked]


def run(text: str, names: dict[str, Any]) -> Exception | None:
    """Run a cell; return what it raised."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, "<cell>", "exec"), names)
    except Exception as fault:
        return fault
    return None


@cache
def shared(name: str) -> dict[str, Any]:
    """The names after all cells that belong to no question, run without a single answer."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(name):
        if cell["kind"] == "code" and cell["question"] is None:
            fault = run(cell["text"], names)
            assert fault is None, f"{name}: {fault!r} in\n{cell['text']}"
    return names


def graded(name: str, answers: dict[str, str] | None = None) -> dict[str, dict[str, Exception | None]]:
    """By question and role of the test, what it raised: with the solutions, or with other code in their place."""
    names, found = dict(shared(name)), {}
    for question in automatic(name):
        (answer,) = of(name, question, "answer")
        text = answer["text"]
        if answers is not None and question in answers:
            text = answered(text, answers[question])
        assert run(text, names) is None, f"{question}: the cell of the answer does not run"
        tests = {role: of(name, question, role) for role in ("public-test", "hidden-test")}
        found[question] = {role: [run(cell["text"], names) for cell in some] for role, some in tests.items()}
        found[question] = {role: next((f for f in faults if f), None) for role, faults in found[question].items()}
    return found


def answered(text: str, body: str) -> str:
    """The cell of an answer with other code between the marks."""
    lines = [line for line in body.rstrip().split("\n") if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return SOLUTION.sub(lambda match: "\n".join(match.group(1) + line[margin:] for line in lines), text)


def failed(result: dict[str, dict[str, Exception | None]]) -> list[str]:
    return [question for question, tests in result.items() if any(tests.values())]


WRONG_ANSWERS = [
    (name, question, mistake) for name, own in WRONG.items() for question in own for mistake in own[question]
]


def test_there_is_homework_and_it_is_known_here():
    assert HOMEWORK and set(HOMEWORK) == set(WRONG)


@pytest.mark.parametrize("name", HOMEWORK)
def test_marks(name):
    assert set(automatic(name)) == set(WRONG[name])
    total = 0
    for question in questions(name):
        headings = [
            re.findall(r"^## .* \((\d+) points\)$", c["text"], re.M) for c in of(name, question, None, "markdown")
        ]
        (stated,) = [int(number) for numbers in headings for number in numbers]
        total += stated
        if question not in automatic(name):
            (essay,) = of(name, question, "essay", "markdown")
            assert essay["points"] == stated and of(name, question, "rubric", "markdown")
            continue
        assert {"pasted"} < set(WRONG[name][question]), f"{question} needs a pasted answer and one with a mistake"
        (answer,) = of(name, question, "answer")
        assert len(SOLUTION.findall(answer["text"])) == 1
        assert of(name, question, "public-test")
        hidden = of(name, question, "hidden-test")
        assert all(isinstance(cell["points"], int) and cell["points"] > 0 for cell in hidden)
        assert sum(cell["points"] for cell in hidden) == stated
    assert total == TOTAL
    for cell in cells(name):
        assert cell["points"] is None or cell["role"] in ("hidden-test", "essay"), "points stand on tests and essays"
        assert cell["role"] is None or cell["question"], "a test or an answer belongs to a question"
        assert cell["role"] in ("answer", "workbench") or "SOLUTION" not in cell["text"]


@pytest.mark.parametrize("name", HOMEWORK)
def test_the_solutions_pass(name):
    for question, tests in graded(name).items():
        for role, fault in tests.items():
            assert fault is None, f"{question}, {role}: {fault!r}"


@pytest.mark.parametrize("name", HOMEWORK)
def test_without_solutions_every_test_fails(name):
    found = graded(name, {question: "raise NotImplementedError()" for question in automatic(name)})
    for question, tests in found.items():
        for role, fault in tests.items():
            assert isinstance(fault, NotImplementedError), f"{question}, {role}: {fault!r}"


@pytest.mark.parametrize(("name", "question", "mistake"), WRONG_ANSWERS)
def test_a_wrong_answer_fails_its_own_question_alone(name, question, mistake):
    found = graded(name, {question: WRONG[name][question][mistake]})
    assert question in failed(found), "the question that it answers"
    assert all(question in uses(name, other) for other in failed(found) if other != question), "and no other"
    assert found[question]["hidden-test"] is not None, "the hidden test finds it, whatever the examples do"
    if mistake == "pasted":
        assert found[question]["public-test"] is None, "it is what the examples expect"


@pytest.mark.parametrize("name", HOMEWORK)
def test_a_hidden_test_uses_no_other_answer(name):
    """With only one question answered, and those that it says it uses, that question passes."""
    for question in automatic(name):
        left = {question} | uses(name, question)
        others = {other: "raise NotImplementedError()" for other in automatic(name) if other not in left}
        assert question not in failed(graded(name, others))


@pytest.mark.parametrize("name", [name for name in HOMEWORK if set(automatic(name)) < set(questions(name))])
def test_a_model_text_says_what_its_workbench_prints(name):
    """With the record in place of the experiment, which takes a minute; its stamp is compared by the hidden test."""
    names, printed = dict(shared(name)), {}
    for cell in cells(name):
        if cell["role"] == "answer":
            assert run(cell["text"], names) is None
        if cell["role"] == "workbench":
            names["recorded"] = lambda *_: names["record"]()
            if "record" not in names:  # the experiment stands before its record
                (answer,) = of(name, cell["question"], "answer")
                assert run(answer["text"], names) is None
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(cell["text"], names)
            printed[cell["question"]] = out.getvalue()
            assert "raise" not in SOLUTION.sub("", cell["text"])
    assert "".join(printed["record"].split()) in "".join(of(name, "record", "answer")[0]["text"].split())
    said = set(re.findall(r"-?\d*\.\d+", of(name, "page", "essay", "markdown")[0]["text"]))
    planned = set(re.findall(r"-?\d*\.\d+", of(name, "plan", "essay", "markdown")[0]["text"]))
    found = [float(number) for number in re.findall(r"-?\d*\.\d+", printed["page"])]
    for number in said - planned:
        assert min(abs(float(number) - other) for other in found) < 1.5e-3, f"{number} is not printed"
