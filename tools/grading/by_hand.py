"""The points that a person gives: `by-hand.csv`, beside the table of grades.

There is a line for each criterion of a rubric and each submission that has a text to be judged by it. A person writes
`points`, and a `remark` if there is one to make; the next run reads them. The program only ever adds lines, at the end:
what stands in the file stays, whoever wrote it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grading.homework import HomeworkError

COLUMNS = ("submission", "homework", "question", "criterion", "out_of", "points", "remark", "version")
Key = tuple[str, str, str]  # submission, question, criterion


@dataclass(frozen=True)
class Line:
    """What a person wrote, in which line of the file, and of which version of the text it speaks."""

    number: int
    points: str
    remark: str
    version: str


@dataclass
class Marks:
    """The lines of a file by submission, question and criterion; `faults` says what of them could not be used."""

    name: str = "by-hand.csv"
    lines: dict[Key, list[Line]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    delimiter: str = ","
    encoding: str = "utf-8"
    used: set[Key] = field(default_factory=set)

    def fill(self, result: dict[str, Any]) -> dict[str, Any]:
        """A result with the points of its rubrics put in, as far as there are some."""
        if not any(question.get("criteria") for question in result.get("questions", [])):
            return result
        questions = [self._filled(result["submission"], question) for question in result["questions"]]
        return result | {"questions": questions, "points": _plain(sum(question["points"] for question in questions))}

    def _filled(self, submission: str, question: dict[str, Any]) -> dict[str, Any]:
        if not question.get("criteria"):
            return question
        keys = [(submission, question["name"], one["name"]) for one in question["criteria"]]
        criteria = [one | self._points(key, one) for key, one in zip(keys, question["criteria"], strict=True)]
        now = version(question["text"])
        old = [line.number for key in keys for line in self.lines.get(key, []) if line.points and line.version != now]
        if old:
            where = f"{self.name}, line{'s' if len(old) > 1 else ''} {', '.join(map(str, old))}"
            self.faults.append(
                f"{where}: {submission}, {question['name']} was handed in anew after you gave it points. They still "
                f"count. Read it again, then write {now} into the field version there."
            )
        verdict = question["verdict"]
        if any(one["points"] is None for one in criteria):
            verdict = "by hand"
        elif verdict == "by hand" or any(one["points"] for one in criteria):
            verdict = "graded by hand"
        points = _plain(sum(one["points"] or 0 for one in criteria))
        return question | {"criteria": criteria, "verdict": verdict, "points": points}

    def _points(self, key: Key, criterion: dict[str, Any]) -> dict[str, Any]:
        self.used.add(key)
        given = [line for line in self.lines.get(key, []) if line.points]
        values = [self._number(line, key, criterion["out_of"]) for line in given]
        if not given or None in values:
            return {}
        if len(set(values)) > 1:
            numbers = " and ".join(str(line.number) for line in given)
            self.faults.append(f"{self.name}, lines {numbers}: two values for {_said(key)}. Delete one of the lines.")
            return {}
        return {"points": values[0], "remark": given[-1].remark}

    def _number(self, line: Line, key: Key, most: int) -> float | int | None:
        try:
            value = float(line.points.replace(",", "."))
        except ValueError:
            value = -1.0
        if not 0 <= value <= most:
            self.faults.append(
                f'{self.name}, line {line.number}: points "{line.points}" for {_said(key)}; 0 to {most} are possible. '
                "Write such a number, or nothing; until then it counts as open."
            )
            return None
        return _plain(value)

    def strangers(self) -> list[str]:
        """A sentence for each line with points that no submission asked for."""
        return [
            f"{self.name}, line {line.number}: it gives points to {_said(key)}, which is not in this folder. Correct "
            "the names, or delete the line."
            for key, lines in self.lines.items()
            for line in lines
            if line.points and key not in self.used
        ]


def _plain(points: float) -> float | int:
    """2 for 2.0."""
    return int(points) if points == int(points) else points


def _said(key: Key) -> str:
    return f"{key[0]}, {key[1]}, {key[2]}"


def version(text: str) -> str:
    """A short name for a text, which changes with its words; a spreadsheet does not take it for a number."""
    words = " ".join(text.split())
    return f"v{hashlib.sha256(words.encode(errors='replace')).hexdigest()[:7]}"


def shown(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name


def read(path: Path) -> Marks:
    """What a person wrote, whatever a spreadsheet made of commas and letters. Raises HomeworkError for another file."""
    if not path.is_file():
        return Marks(path.name)
    data, encoding = path.read_bytes(), "utf-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            encoding = "cp1252"
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    head = text.partition("\n")[0]
    marks = Marks(path.name, delimiter=max(",;\t", key=head.count), encoding=encoding)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=marks.delimiter, restval="")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise HomeworkError(
            f"{path.name}: its first line does not name {', '.join(missing)}. Write the line "
            f'"{",".join(COLUMNS)}" again, or move the file away: then a new one is made, and its points are open.'
        )
    for row in reader:
        field = {name: (row[name] or "").strip() for name in COLUMNS}
        name = field["submission"]
        key = name[1:] if name[:1] == "'" and shown(name[1:]) == name else name, field["question"], field["criterion"]
        line = Line(reader.line_num, *(field[name] for name in ("points", "remark", "version")))
        marks.lines.setdefault(key, []).append(line)
    return marks


def add(path: Path, results: Iterable[dict[str, Any]]) -> None:
    """Add a line for each criterion that has none yet; do not touch those that are there."""
    marks = read(path)  # a person may have saved it since
    out = io.StringIO()
    writer = csv.writer(out, delimiter=marks.delimiter, lineterminator="\n")
    for result in results:
        for question in result.get("questions", []):
            for one in question.get("criteria", []) if question["verdict"] == "by hand" else []:
                if (result["submission"], question["name"], one["name"]) not in marks.lines:
                    names = shown(result["submission"]), result["homework"], question["name"], one["name"]
                    writer.writerow([*names, one["out_of"], "", "", version(question["text"])])
    new = out.getvalue()
    if not new:
        return
    before = path.read_bytes() if path.is_file() else b""
    if not before:
        new = ",".join(COLUMNS) + "\n" + new
    elif not before.decode(marks.encoding, errors="replace").endswith("\n"):
        new = "\n" + new
    encoding = marks.encoding
    if encoding == "utf-16":  # no second mark of byte order in the middle of the file
        encoding = "utf-16-le" if before[:2] == b"\xff\xfe" else "utf-16-be"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(new.encode(encoding, errors="replace"))


def waiting(result: dict[str, Any]) -> list[str]:
    """The questions that wait for a person, as the columns of the table are called."""
    return [f"q{n}" for n, one in enumerate(result.get("questions", []), start=1) if one["verdict"] == "by hand"]
