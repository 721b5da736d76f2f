"""Homework from source to grades: the notebooks, the proof for each homework, and a class with wreckers in it."""

from __future__ import annotations

import copy
import csv
import json
import re
import socket
import sys
import textwrap
from pathlib import Path
from typing import Any

import grade
import make_assignments
import nbformat
import pytest
from grading import by_hand, report, submission, supervise
from grading.homework import STUB, TEXT_STUB, Homework, HomeworkError, read_all
from make_notebooks import setup
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import determine_grade
from test_assignments import SOLUTION, WRONG, answered

HOMEWORK = read_all()
FIRST = HOMEWORK["homework-1"]
LIMITS = supervise.Limits(seconds=24, memory=600, disk=5)


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def solved(homework: Homework = FIRST) -> NotebookNode:
    """The students' notebook with the solutions filled in."""
    made = copy.deepcopy(homework.student)
    for source in homework.cells:
        if source.role in ("answer", "essay"):
            cell(made, source.name).source = source.text
    return made


def answering(question: str, body: str) -> NotebookNode:
    """A notebook that answers one question, and no other."""
    made = copy.deepcopy(FIRST.student)
    place = cell(made, question)
    place.source = place.source.replace(f"    {STUB}", textwrap.indent(textwrap.dedent(body).strip(), "    "))
    return made


def put(folder: Path, name: str, notebook: NotebookNode | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode())


def graded(folder: Path, **options: Any) -> dict[str, dict[str, str]]:
    """The lines of grades.csv by submission."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert grade.main([str(folder), "--workers", "2", *words]) == 0
    with (folder.with_name(f"{folder.name}-graded") / "grades.csv").open(newline="", encoding="utf-8") as lines:
        return {line["submission"]: line for line in csv.DictReader(lines)}


def points(line: dict[str, str]) -> list[int]:
    return [int(line[f"q{number}"]) for number in range(1, 8)]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder: when it was written, and what is in it."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


# What students get


@pytest.mark.parametrize("name", HOMEWORK)
def test_a_student_gets_no_solution_and_no_hidden_test(name):
    homework = HOMEWORK[name]
    text = "\n".join(cell.source for cell in homework.student.cells)
    assert "SOLUTION" not in text and "HIDDEN" not in text
    for source in homework.cells:
        if source.role == "essay":
            assert cell(homework.student, source.name).source == TEXT_STUB
        if source.role == "rubric":
            assert cell(homework.student, source.name).source == source.text
        if source.role in ("answer", "workbench"):
            bare = SOLUTION.sub(lambda match: match.group(1) + STUB, source.text)
            assert cell(homework.student, source.name).source == bare
        if source.role == "hidden-test":
            assert cell(homework.student, source.name).source.count("\n") == 0
    assert homework.student.cells[1].source == setup()
    assert not any(made.get("outputs") for made in homework.student.cells)
    imports = set(re.findall(r"^(?:import|from) (\w+)", text.replace(setup(), ""), re.MULTILINE))
    assert imports - sys.stdlib_module_names <= {"numpy", "scipy", "torch", "xmrlib"}, "xmrlib brings all of it"
    MetadataValidator().validate_nb(homework.student)
    MetadataValidator().validate_nb(homework.instructor)


def test_notebooks_are_written_alike_twice(tmp_path, capsys):
    assert make_assignments.main(["--out", str(tmp_path)]) == 0
    before = state(tmp_path)
    assert make_assignments.main(["--out", str(tmp_path)]) == 0
    assert {name: data for name, (_, data) in state(tmp_path).items()} == {k: data for k, (_, data) in before.items()}
    assert {Path(name).name for name in before} == {f"{name}.ipynb" for name in HOMEWORK}


def test_a_source_whose_points_do_not_fit_is_refused(tmp_path, capsys):
    text = (grade.SOURCES / "homework-1.md").read_text(encoding="utf-8")
    (tmp_path / "homework-1.md").write_text(text.replace("(3 points)", "(4 points)", 1), encoding="utf-8")
    with pytest.raises(HomeworkError, match=r'"average-precision".*3 points.*\[4\]'):
        read_all(tmp_path)
    assert make_assignments.main(["--homework", str(tmp_path)]) == 1
    with pytest.raises(HomeworkError, match="no file homework"):
        read_all(tmp_path / "none")


def test_the_page_for_instructors_knows_every_question():
    text = (grade.SOURCES.parent / "book" / "for-instructors.md").read_text(encoding="utf-8")
    for homework in HOMEWORK.values():
        section = text.partition(f"### {homework.name.replace('-', ' ').capitalize()}:")[2].partition("\n### ")[0]
        for number, question in enumerate(homework.questions, start=1):
            assert f"| {number} | `{question.name}` | {question.points} |" in section, (
                f"{homework.name}, {question.name}"
            )


# The proof


@pytest.mark.parametrize("name", HOMEWORK)
def test_the_solution_scores_full_and_an_empty_notebook_zero(name, capsys):
    assert grade.prove({name: HOMEWORK[name]}, supervise.Limits(seconds=300)) == 0, capsys.readouterr().out


def test_a_wrong_answer_loses_its_question_alone(tmp_path, capsys):
    folder, numbers = tmp_path / "class", {question.name: n for n, question in enumerate(FIRST.questions)}
    sources = {cell.question: cell for cell in FIRST.cells if cell.role == "answer"}
    for question, mistakes in WRONG["homework-1"].items():
        made = solved()
        mistake = next(mistake for mistake in mistakes if mistake != "pasted")
        cell(made, question).source = answered(sources[question].text, mistakes[mistake])
        put(folder, f"{question}.ipynb", made)
    # A pasted answer, with the locked tests emptied and numpy bent so that everything is close to everything.
    cheating = solved()
    pasted = answered(sources["recall"].text, WRONG["homework-1"]["recall"]["pasted"])
    cell(cheating, "recall").source = f"{pasted}\nabs = np.allclose = lambda *_, **__: 0\nnp.mean = None"
    cell(cheating, "recall-examples").source = cell(cheating, "recall-test").source = "pass"
    put(folder, "cheating.ipynb", cheating)
    lines = graded(folder, seconds=240)
    full = [question.points for question in FIRST.questions]
    for question, number in numbers.items():
        expected = [0 if place == number else most for place, most in enumerate(full)]
        assert points(lines[f"{question}.ipynb"]) == expected, question
    assert points(lines["cheating.ipynb"])[2] == 0
    assert {line["status"] for line in lines.values()} == {"graded"}
    for name, line in lines.items():
        made = nbformat.read(tmp_path / "class-graded" / "autograded" / f"{name}.ipynb", as_version=4)
        MetadataValidator().validate_nb(made)
        cells = [cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade")]
        assert sum(determine_grade(cell)[0] for cell in cells) == int(line["points"]), "nbgrader counts the same"


# A class with wreckers

CHANCE = next(cell for cell in FIRST.cells if cell.role == "answer" and cell.question == "chance").text
DOORS = """
    import os, socket
    opened = []
    for door, way in {{
        "files": lambda: open({source!r}).read(),
        "files, written": lambda: open({outside!r}, "w").write("x"),
        "network": lambda: socket.create_connection(("127.0.0.1", {port}), 2),
        "processes": lambda: os.kill({process}, 0),
        "user": lambda: os.setuid(0) or 1 / (os.getuid() == 0),
    }}.items():
        try:
            way()
            opened.append(door)
        except (OSError, ZeroDivisionError):
            pass
    raise RuntimeError("open: " + "; ".join(opened))
"""
WRECKERS = {
    "looping": "while True:\n    pass",
    "crashing": "import ctypes\nctypes.string_at(0)",
    "leaving": "import os\nos._exit(0)",
    "memory-eating": "kept = []\nwhile True:\n    kept.append(bytearray(20_000_000))",
    "disk-filling": "for n in range(10**6):\n    open(str(n), 'wb').write(bytes(1_000_000))",
}
STATUS = {
    "looping": "timed out",
    "crashing": "crashed",
    "leaving": "crashed",
    "memory-eating": "out of memory",
    "disk-filling": "out of disk",
}


def test_wreckers_are_reported_and_nobody_else_notices(tmp_path, capsys, monkeypatch):
    folder, out = tmp_path / "class", tmp_path / "class-graded"
    for name, body in WRECKERS.items():
        made = answering("average-precision", body)
        cell(made, "chance").source = CHANCE
        put(folder, f"{name}.ipynb", made)
    deleting = answering(
        "chance",
        f"""
        import os, shutil
        assert os.path.basename(os.getcwd()).startswith("grading-")
        for place in (os.getcwd(), {str(folder)!r}, {str(out)!r}):
            shutil.rmtree(place, ignore_errors=True)
        return 0, 0""",
    )
    kept = "files" in supervise.features()
    put(folder, "deleting.ipynb", deleting if kept else answering("chance", "return 0, 0"))
    server = socket.create_server(("127.0.0.1", 0))
    doors = {
        "source": str(grade.SOURCES / "homework-1.md"),
        "outside": str(tmp_path / "outside"),
        "port": server.getsockname()[1],
        "process": __import__("os").getpid(),
    }
    put(folder, "snooping.ipynb", answering("chance", DOORS.format(**doors)))
    right = answering("recall", "return 1, 1, 1, 1")
    cell(right, "chance").source = CHANCE
    right.cells[0].source = "# Für später"
    whole = nbformat.writes(right)
    put(folder, "anna/homework-1.ipynb", right)
    put(folder, "anna/my final version (2)", right)
    put(folder, "not-utf-8.ipynb", whole.encode("latin-1"))
    put(folder, "truncated.ipynb", whole[: len(whole) // 2].encode())
    put(folder, "empty.ipynb", FIRST.student)
    put(folder, "nothing.ipynb", b"")
    put(folder, "report.pdf", b"%PDF-1.7 \xff\xfe")
    put(folder, "zipped.zip", b"PK\x03\x04" + bytes(50))
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CHANCE)])
    put(folder, "hw_01_bert.ipynb", bare)
    put(folder, "Untitled7.ipynb", bare)
    (folder / "link.ipynb").symlink_to("/etc/hostname")
    files = {path.name for path in folder.rglob("*") if path.is_file()}

    options = {"seconds": LIMITS.seconds, "memory": LIMITS.memory, "disk": LIMITS.disk}
    lines = graded(folder, **options)
    server.close()
    assert {Path(name).name for name in lines} == files, "none is lost"
    for name, status in STATUS.items():
        line = lines[f"{name}.ipynb"]
        assert line["status"] == status and line["note"], name
        assert points(line) == [0, 2, 0, 0, 0, 0, 0], f"{name} costs its own question"
    for name in ("anna/homework-1.ipynb", "anna/my final version (2)", "not-utf-8.ipynb", "hw_01_bert.ipynb"):
        assert lines[name]["status"] == "graded" and points(lines[name]) == [0, 2, 0, 0, 0, 0, 0], name
    assert "Latin-1" in lines["not-utf-8.ipynb"]["note"]
    assert lines["deleting.ipynb"]["points"] == lines["snooping.ipynb"]["points"] == "0"
    assert lines["empty.ipynb"]["points"] == "0" and lines["empty.ipynb"]["status"] == "graded"
    for name in ("truncated.ipynb", "nothing.ipynb", "report.pdf", "zipped.zip", "link.ipynb"):
        assert lines[name]["status"] == "not a notebook" and lines[name]["points"] == "", name
    assert "breaks off" in lines["truncated.ipynb"]["note"] and "Unpack" in lines["zipped.zip"]["note"]
    assert lines["Untitled7.ipynb"]["status"] == "not recognised" and "homework-N" in lines["Untitled7.ipynb"]["note"]

    message = json.loads((out / "results" / "snooping.ipynb.json").read_text())["questions"][1]["messages"][-1]
    opened = re.search(r"open: ([\w; ,]*)", message).group(1)
    assert not [door for door in opened.split("; ") if door.split(",")[0] in supervise.features()], message
    before = state(out)
    for name, (_, data) in before.items():
        if "snooping" not in name and "deleting" not in name:  # whose code names such places
            assert str(tmp_path).encode() not in data and str(grade.SOURCES.parent).encode() not in data, name
        if "feedback" in name:
            assert b"by_enumeration" not in data, "no code of a hidden test"
    monkeypatch.setattr(grade, "score", None)  # nothing may run
    assert graded(folder, **options) == lines
    assert state(out) == before, "a second run changes nothing"
    monkeypatch.undo()
    (out / "grades.csv").unlink(), (out / "results" / "empty.ipynb.json").unlink()
    assert graded(folder, **options) == lines, "a run that was stopped goes on"


def test_where_a_system_grants_nothing_the_limits_still_hold(monkeypatch):
    monkeypatch.setattr(supervise, "features", lambda: ())
    texts = [
        ("given", None, "import math"),
        ("own", "a", "def f():\n    import subprocess\n    subprocess.run(['sleep', '60'])"),
        ("test", "a", "f()"),
        ("own", "b", "math.pi = 3\n%time g = 1"),
        ("test", "b", "assert math.pi == 3 and g == 2, 'two'"),
        ("own", "c", "import sys\nsys.exit()"),
        ("test", "c", "assert input()"),
    ]
    requests = [supervise.Request(number, *text) for number, text in enumerate(texts)]
    outcome = supervise.execute(requests, ["math"], supervise.Limits(seconds=18))
    assert [(stop.cell, stop.status) for stop in outcome.stops] == [(2, "timed out")]
    found = {number: error and error["type"] for number, error in outcome.errors.items()}
    assert found == {0: None, 1: None, 3: None, 4: "AssertionError", 5: "SystemExit", 6: "EOFError"}
    assert outcome.errors[4]["message"] == "two" and outcome.seconds < 18


# What a person grades

ESSAY = """
# Homework 9: twice and why

+++ {"question": "twice"}

## 1. Twice (2 points)

```{code-cell} python
---
question: twice
tags: [answer]
---
def twice(x):
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION
```

```{code-cell} python
---
question: twice
tags: [hidden-test]
points: 2
---
assert twice(3) == 6
```

+++ {"question": "why"}

## 2. Why (3 points)

```{code-cell} python
---
question: why
tags: [workbench]
---
# Takes long.
# BEGIN SOLUTION
twice(1)
# END SOLUTION
```

+++ {"question": "why", "tags": ["essay"], "points": 3}

Because of two.

+++ {"question": "why", "tags": ["rubric"]}

**reason** (2 points)
- full: It names the two
  and says why.
- half: It names it.
- none: Neither.

**style** (1 point)
- full: Short.
- half: Long.
- none: Not to be followed.
"""
HEADER = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n"


@pytest.fixture
def written(tmp_path) -> tuple[Path, Homework]:
    """A folder of sources with one homework that has an essay."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "homework-9.md").write_text(HEADER + ESSAY, encoding="utf-8")
    return tmp_path / "sources", read_all(tmp_path / "sources")["homework-9"]


def lines_by_hand(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_points_given_by_hand_come_into_the_table_and_nothing_of_them_is_lost(written, tmp_path, capsys, monkeypatch):
    sources, homework = written
    folder, out = tmp_path / "class", tmp_path / "class-graded"
    full = solved(homework)
    cell(full, "why-workbench").source = "raise RuntimeError('grading does not run me')"
    full.cells.insert(full.cells.index(cell(full, "why-workbench")) + 1, nbformat.v4.new_code_cell("while True: pass"))
    put(folder, "anna.ipynb", full)
    bare = [made for made in homework.student.cells if made.source != TEXT_STUB]
    bare = [nbformat.from_dict({**made, "metadata": {}}) for made in bare]
    bare.insert(-1, nbformat.v4.new_markdown_cell("Weil *zwei* <b>für</b>"))
    put(folder, "homework-9 bert.ipynb", nbformat.v4.new_notebook(cells=bare))
    older = copy.deepcopy(homework.student)  # with a text of ours that is no longer in the source
    older.cells.insert(-1, nbformat.v4.new_markdown_cell("Old.", metadata={"nbgrader": {"grade_id": "text-9"}}))
    put(folder, "clara.ipynb", older)
    lines = graded(folder, homework=sources)
    names = "status", "q1", "q2", "points", "by_hand"
    assert [lines["anna.ipynb"][name] for name in names] == ["graded", "2", "", "", "q2"]
    assert [lines["homework-9 bert.ipynb"][name] for name in names] == ["graded", "0", "", "", "q2"]
    assert [lines["clara.ipynb"][name] for name in names] == ["graded", "0", "0", "0", ""], "no text, no waiting"
    page = (out / "feedback" / "homework-9 bert.ipynb.html").read_text(encoding="utf-8")
    assert (
        "Weil <em>zwei</em> &lt;b&gt;für&lt;/b&gt;" in page
        and "no points yet" in page
        and "names the two and says" in page
    )
    assert "Cells of your own" not in page, "a workbench is known by its first line"
    made = nbformat.read(out / "autograded" / "anna.ipynb.ipynb", as_version=4)
    MetadataValidator().validate_nb(made)
    assert determine_grade(cell(made, "why")) == (None, 3) and cell(made, "why").source == "Because of two."
    assert "by-hand.csv, then grade again" in capsys.readouterr().out.replace("\n", " ")

    path = out / "by-hand.csv"
    rows = lines_by_hand(path)
    assert [(row["submission"], row["criterion"], row["out_of"], row["points"]) for row in rows] == [
        ("anna.ipynb", "reason", "2", ""),
        ("anna.ipynb", "style", "1", ""),
        ("homework-9 bert.ipynb", "reason", "2", ""),
        ("homework-9 bert.ipynb", "style", "1", ""),
    ]
    # Saved by a spreadsheet that has its own mind of commas and letters.
    given = ["1,5", "0.5", "2", ""]
    text = ";".join(by_hand.COLUMNS) + "\r\n"
    for row, value in zip(rows, given, strict=True):
        text += ";".join({**row, "points": value, "remark": "für Anna"}[name] for name in by_hand.COLUMNS) + "\r\n"
    path.write_bytes(text.encode("cp1252"))
    before = path.read_bytes()
    monkeypatch.setattr(grade, "score", None)  # nothing may run
    lines = graded(folder, homework=sources)
    assert [lines["anna.ipynb"][name] for name in names] == ["graded", "2", "2", "4", ""]
    assert lines["homework-9 bert.ipynb"]["points"] == "" and lines["homework-9 bert.ipynb"]["by_hand"] == "q2"
    page = (out / "feedback" / "anna.ipynb.html").read_text(encoding="utf-8")
    assert "4 of 5 points" in page and "Remark: für Anna" in page and "<li class=given>half, 0.5: Long." in page
    assert path.read_bytes() == before, "not a byte of it is changed"
    assert graded(folder, homework=sources) == lines and path.read_bytes() == before

    monkeypatch.undo()
    late = solved(homework)
    cell(late, "why").source = "Later."
    put(folder, "=dora.ipynb", late)
    lines = graded(folder, homework=sources)
    assert lines["'=dora.ipynb"]["by_hand"] == "q2" and lines["anna.ipynb"]["points"] == "4"
    after = path.read_bytes()
    assert after.startswith(before) and after.count(b"=dora.ipynb;homework-9;why;") == 2, "new lines stand at the end"


def test_points_that_cannot_be_are_named_and_left_open(written, tmp_path, capsys):
    sources, homework = written
    folder, path = tmp_path / "class", tmp_path / "class-graded" / "by-hand.csv"
    put(folder, "anna.ipynb", solved(homework))
    options = [str(folder), "--homework", str(sources)]
    assert grade.main(options) == 0
    start = path.read_text(encoding="utf-8")
    reason = next(line for line in start.splitlines() if ",reason," in line)

    def said(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        capsys.readouterr()
        assert grade.main(options) == 1
        assert path.read_text(encoding="utf-8") == text
        return capsys.readouterr().err

    for value in ("3", "-1", "nan", "two"):
        fault = said(start.replace(reason, reason.replace("2,,,", f"2,{value},,")))
        assert f'line 2: points "{value}" for anna.ipynb, why, reason; 0 to 2 are possible' in fault
    changed = reason.replace("2,,,", "2,2,,")
    assert "lines 2 and 4: two values" in said(start.replace(reason, changed) + reason.replace("2,,,", "2,1,,") + "\n")
    stranger = changed.replace("anna", "emil")
    assert "gives points to emil.ipynb, why, reason, which is not in this folder" in said(f"{start}{stranger}\n")
    again = solved(homework)
    cell(again, "why").source = "Another text."
    put(folder, "anna.ipynb", again)
    fault = said(start.replace(reason, changed))
    assert "was handed in anew" in fault and by_hand.version("Another text.") in fault
    new = changed.rpartition(",")[0] + f",{by_hand.version('Another text.')}"
    path.write_text(start.replace(reason, new), encoding="utf-8")
    assert grade.main(options) == 0
    path.write_text("name,points\nanna,2\n", encoding="utf-8")
    assert grade.main(options) == 2 and "does not name submission, homework" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "other", "said"),
    [
        ("**style** (1 point)", "**style** (2 points)", "criteria of its rubric have 4 points, its essay 3"),
        ("- none: Neither.\n", "", '"reason" needs a name of its own and one line each'),
        ('"points": 3}', '"points": 2}', "its essay has 2 points and its headings say \\[3\\]"),
        ("tags: [workbench]", "tags: [hidden-test]", "an essay stands alone"),
        ("tags: [workbench]", "tags: [rubric]", "an essay and a rubric are Markdown"),
        ('"question": "why", "tags": ["rubric"]', '"question": "why"', "criteria of its rubric have 0 points"),
    ],
)
def test_a_rubric_that_does_not_fit_is_refused(tmp_path, text, other, said):
    assert text in ESSAY
    (tmp_path / "homework-9.md").write_text(HEADER + ESSAY.replace(text, other), encoding="utf-8")
    with pytest.raises(HomeworkError, match=said):
        read_all(tmp_path)


def test_the_proof_asks_for_a_text_and_for_none(written, capsys):
    assert grade.prove({"homework-9": written[1]}, supervise.Limits(seconds=60)) == 0
    said = capsys.readouterr().out
    assert "homework-9, solution: 2 of 2, 3 more by hand" in said
    assert "homework-9, empty: 0 of 2, 0 more by hand" in said


# Piece by piece, without running anything


def test_a_student_s_own_cells_keep_their_places():
    made = solved()
    helper, twice = nbformat.v4.new_code_cell("helper = 1"), nbformat.v4.new_code_cell(CHANCE)
    twice.metadata.nbgrader = copy.deepcopy(cell(made, "chance").metadata.nbgrader)
    place = made.cells.index(cell(made, "chance"))
    made.cells[place:place] = [helper, twice]
    made.cells.remove(cell(made, "chance-examples")), made.cells.remove(cell(made, "given"))
    placed = submission.lay_out(made, FIRST)
    names = [one.name for one in placed]
    assert names[0] == "given" and placed[0].role == "given", "what was deleted is there again"
    first = names.index("chance")
    assert placed[first - 1].text == "helper = 1" and names[first : first + 3] == [
        "chance",
        "chance",
        "chance-examples",
    ]
    sources = {cell.name: cell for cell in FIRST.cells}
    assert all(one.text == sources[one.name].text for one in placed if one.role != "own")


def test_answers_are_found_without_metadata():
    """Copied into a new notebook, one cell after the other."""
    bare = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(made.source) for made in solved().cells if made.cell_type == "code"]
    )
    placed = submission.lay_out(bare, FIRST)
    assert {one.name for one in placed if one.role == "own"} >= {
        cell.name for cell in FIRST.cells if cell.role == "answer"
    }
    assert submission.recognised(bare, "anything", HOMEWORK) is None
    for name in ("homework-1 (3).ipynb", "HW01.ipynb", "lee_assignment_1.ipynb", "x/homework1-final.ipynb"):
        assert submission.recognised(bare, name, HOMEWORK) is FIRST, name
    made = solved()
    del made.metadata["xmrlib"]
    assert submission.recognised(made, "homework-2.ipynb", HOMEWORK) is FIRST, "its cells know better than its name"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "without cells"),
        ('{"cells": 3}', "without cells"),
        ('{"cells": [3], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "damaged"),
        ("import numpy", "No JSON"),
    ],
)
def test_what_is_no_notebook_is_named(tmp_path, text, said):
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(submission.Unreadable) as fault:
        submission.load(tmp_path / "a.ipynb")
    assert fault.value.args[0] == "not a notebook" and said in fault.value.args[1]


def test_the_page_escapes_what_students_write():
    result = {"submission": "<b>.ipynb", "status": "graded", "notes": [], "points": 0, "out_of": 2, "title": "T"}
    question = {"name": "q", "heading": "1. <x>", "points": 0, "out_of": 2, "verdict": "wrong"}
    result["questions"] = [question | {"messages": ["<script>"], "code": "</pre><script>alert(1)</script>"}]
    page = report.page(result)
    assert "<script" not in page and "<b>" not in page and "prefers-color-scheme: dark" in page and "viewport" in page
    line = report.table([result | {"submission": "=1+1.ipynb"}], 3).splitlines()
    assert line == ["submission,homework,status,points,out_of,q1,q2,q3,by_hand,note", "'=1+1.ipynb,,graded,0,2,0,,,,"]
    criterion = {"name": "<i>", "out_of": 2, "levels": {"full": "<u>", "half": "", "none": ""}, "points": 2}
    written = question | {"verdict": "graded by hand", "code": "", "text": "<script>", "messages": []}
    written |= {"criteria": [criterion | {"remark": "</p><script>"}]}
    page = report.page(result | {"questions": [written]})
    assert "<script" not in page and "<i>" not in page and "<u>" not in page and "Remark" in page
    written["text"] = "**one** *two* 3 * 4 * 5 `a*b*c` <em>\n\n| a | b |\n| - | - |\n| 1 | *2* |\n\n| c |\n"
    read = "<strong>one</strong> <em>two</em> 3 * 4 * 5 <code>a*b*c</code> &lt;em&gt;\n<table><tr><td>a</td><td>b</td>"
    read += "</tr><tr><td>1</td><td><em>2</em></td></tr></table>\n<table><tr><td>c</td></tr></table>"
    assert read in report.page(result | {"questions": [written]})


def test_limits_and_folders_that_cannot_be_are_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match="memory is 10, at least 100"):
        supervise.Limits(memory=10)
    assert grade.main([str(tmp_path / "none")]) == 2
    assert grade.main([str(tmp_path)]) == 2
    assert "no such folder" in (said := capsys.readouterr().err) and "no file in it" in said
    with pytest.raises(SystemExit):
        grade.main([])
