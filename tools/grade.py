"""Grade a folder of submissions: `python tools/grade.py FOLDER`, or `make grade SUBMISSIONS=FOLDER`.

Every file of the folder and of the folders in it is a submission, whatever its name. Beside it, in FOLDER-graded:

    grades.csv     a line for each: points by question, and what happened
    by-hand.csv    where a homework has essays: a line for each criterion; write the points there and grade again
    feedback/      a page for each, to be given back
    autograded/    for you alone: the notebooks with all tests and what they raised, in nbgrader's format
    results/       what was found, kept so that a run that was stopped goes on, and a second run changes nothing

    python tools/grade.py FOLDER --homework PRIVATE      with a private copy of the sources
    python tools/grade.py --prove                        no class: the solutions must score full, empty notebooks zero

What a person grades is no part of the proof but this: the solution has a text for each rubric, an empty notebook none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from grading import by_hand, report, supervise
from grading.homework import SOURCES, Homework, HomeworkError, read_all
from grading.submission import Unreadable, clean, load, recognised, score
from grading.supervise import Limits

# What a result depends on besides the submission and its homework. The look of the pages does not.
CODE = ("confine.py", "homework.py", "runner.py", "submission.py", "supervise.py")
REMEDY = {
    "files": "may read and write what you may",
    "network": "has your network",
    "processes": "sees your processes",
    "user": "runs as the user that you are",
}
NOT_RECOGNISED = (
    "The notebook names no homework. Rename it to homework-N.ipynb, N being the number, and grade again; better, ask "
    "for the notebook that was handed out."
)


@dataclass(frozen=True)
class Submission:
    """A file, and its name below the folder as it can be shown and written."""

    path: Path
    name: str


def submissions(folder: Path, out: Path) -> list[Submission]:
    """Every file below a folder, but hidden ones and those of the results."""
    found, taken = [], set()
    for place, folders, files in os.walk(folder):
        linked = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith((".", "__MACOSX")) and Path(place, name).resolve() != out.resolve()
        )
        for name in sorted(files + linked):
            if not name.startswith("."):
                path = Path(place, name)
                shown = os.fsencode(path.relative_to(folder)).decode("utf-8", errors="replace")
                if len(path.name.encode(errors="replace")) > 200 or shown in taken or not shown.isprintable():
                    digest = hashlib.sha256(os.fsencode(path.relative_to(folder))).hexdigest()[:8]
                    shown = f"{''.join(letter for letter in shown if letter.isprintable())[:150]}~{digest}"
                taken.add(shown)
                found.append(Submission(path, shown))
    return sorted(found, key=lambda one: one.name)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and only if it changes."""
    data = text.encode("utf-8", errors="replace")
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name[:200] + ".part")
    half.write_bytes(data)
    half.replace(path)


def grade(one: Submission, homework: dict[str, Homework], limits: Limits, out: Path, code: bytes) -> dict[str, Any]:
    """The result of one submission: the one that is kept if it still holds, else a new one."""
    base: dict[str, Any] = {"submission": one.name, "notes": []}
    try:
        notebook, notes = load(one.path)
    except Unreadable as fault:
        return base | {"status": fault.args[0], "notes": [fault.args[1]]}
    own = recognised(notebook, one.name, homework)
    if own is None:
        return base | {"status": "not recognised", "notes": [*notes, NOT_RECOGNISED]}
    key = hashlib.sha256(code + own.fingerprint.encode() + one.path.read_bytes()).hexdigest()
    kept = out / "results" / f"{one.name}.json"
    if kept.is_file():
        try:
            result = json.loads(kept.read_text(encoding="utf-8"))
            # Who was stopped by a limit runs again under another one.
            if result["key"] == key and (result["status"] == "graded" or result["limits"] == asdict(limits)):
                return result
        except (ValueError, KeyError, TypeError):
            pass  # half a file, or another program's: grade again
    result, graded = score(notebook, own, limits)
    result = base | result | {"notes": notes + result["notes"], "key": key, "limits": asdict(limits)}
    write(out / "autograded" / f"{one.name}.ipynb", nbformat.writes(graded) + "\n")
    write(kept, json.dumps(result, indent=1, ensure_ascii=True) + "\n")
    return result


def grade_class(folder: Path, out: Path, homework: dict[str, Homework], limits: Limits, workers: int) -> int:
    """Grade a folder; return the number of submissions that the grader itself failed on."""
    found = submissions(folder, out)
    if not found:
        raise HomeworkError(f"{folder}: there is no file in it. Give the folder with the notebooks of the class.")
    place = Path(__file__).parent / "grading"
    code = hashlib.sha256(b"".join((place / name).read_bytes() for name in CODE)).digest()
    results: dict[str, dict[str, Any]] = {}
    marks = by_hand.read(out / "by-hand.csv")
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(grade, one, homework, limits, out, code): one for one in found}
        try:
            for done in as_completed(waiting):
                one = waiting[done]
                try:
                    result = marks.fill(done.result())
                    write(out / "feedback" / f"{one.name}.html", report.page(result))
                except Exception as fault:  # one submission must not cost the others theirs
                    note = f"The grader failed: {type(fault).__name__}: {clean(str(fault))}. Grade again."
                    result = {"submission": one.name, "status": "not graded", "notes": [note]}
                results[one.name] = result
                points = f"{result['points']}/{result['out_of']}" if "points" in result else "-"
                left = f", by hand: {', '.join(by_hand.waiting(result))}" if by_hand.waiting(result) else ""
                print(f"[{len(results)}/{len(found)}] {one.name}: {points}, {result['status']}{left}", flush=True)
        except KeyboardInterrupt:
            print("Stopped. What is graded is kept; the same command goes on.", file=sys.stderr, flush=True)
            os._exit(130)  # the processes of the submissions end with this one
    ordered = [results[one.name] for one in found]
    write(out / "grades.csv", report.table(ordered, max(len(one.questions) for one in homework.values())))
    by_hand.add(out / "by-hand.csv", ordered)
    print(report.summary(ordered))
    print(f"Grades: {os.path.relpath(out / 'grades.csv')}. To give back: {os.path.relpath(out / 'feedback')}.")
    if any(by_hand.waiting(result) for result in ordered):
        print(f"By hand: write points into {os.path.relpath(out / 'by-hand.csv')}, then grade again.")
    faults = marks.faults + marks.strangers()
    for fault in faults:
        print(fault, file=sys.stderr)
    return sum(result["status"] == "not graded" for result in ordered) + len(faults)


def prove(homework: dict[str, Homework], limits: Limits) -> int:
    """Grade every homework's solution and its empty notebook; return how many do not score what they must."""
    wrong = 0
    for name, one in homework.items():
        most = one.points - one.points_by_hand
        for what, notebook, expected, more in (
            ("solution", one.instructor, most, one.points_by_hand),
            ("empty", one.student, 0, 0),
        ):
            result, _ = score(notebook, one, limits)
            left = sum(question["out_of"] for question in result["questions"] if question["verdict"] == "by hand")
            right = result["points"] == expected and left == more and result["status"] == "graded"
            wrong += not right
            hand = f", {left} more by hand" if one.points_by_hand else ""
            instead = "" if right else f"; it should be {expected}" + (f" and {more} by hand" if hand else "")
            print(f"{name}, {what}: {result['points']} of {most}{hand}{instead}")
            for question in () if right else result["questions"]:
                print(f"  {question['name']}: {question['points']}. {' '.join(question['messages'])}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="the submissions")
    parser.add_argument("--prove", action="store_true", help="grade the solutions and empty notebooks")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="the results; FOLDER-graded beside the submissions")
    parser.add_argument("--homework", metavar="FOLDER", type=Path, default=SOURCES, help="the sources, homework-*.md")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="wall time of a submission (%(default)s)")
    parser.add_argument("--memory", type=int, default=Limits.memory, help="resident MB for a submission (%(default)s)")
    parser.add_argument("--disk", type=int, default=Limits.disk, help="MB on disk for a submission (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="submissions at a time (%(default)s)")
    given = parser.parse_args(arguments)
    if given.prove == bool(given.folder):
        parser.error("give either a folder of submissions or --prove")
    try:
        limits, homework = Limits(given.seconds, given.memory, given.disk), read_all(given.homework)
        if given.folder and not given.folder.is_dir():
            raise HomeworkError(f"{given.folder}: there is no such folder. Give the one with the submissions.")
        open_doors = [REMEDY[name] for name in REMEDY if name not in supervise.features()]
        open_doors = [text for text in open_doors if text != REMEDY["user"] or os.name != "posix" or os.getuid() == 0]
        if open_doors:
            print(f"Not all is confined on this system: a submission {', '.join(open_doors)}. Grade in a container.")
        if given.prove:
            return int(prove(homework, limits) > 0)
        folder = given.folder.absolute()
        out = given.out or folder.with_name(f"{folder.name}-graded")
        return int(grade_class(folder, out, homework, limits, max(1, given.workers)) > 0)
    except (HomeworkError, ValueError) as fault:
        print(f"grade: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
