"""Write the homework's notebooks.

    python tools/make_assignments.py                     _build/assignments
    python tools/make_assignments.py --homework FOLDER   from a private copy of the sources
    python tools/make_assignments.py --out FOLDER        into another folder

`student/` is for students: no solution, no hidden test, nothing to install beside xmrlib, which the first cell does on
Colab. `source/` is for the instructor: with both, in the folders that nbgrader expects of a course. Neither belongs
into git. Two runs give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import nbformat
from book_layout import ROOT
from grading.homework import SOURCES, HomeworkError, read_all


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homework", metavar="FOLDER", type=Path, default=SOURCES, help="the sources, homework-*.md")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=ROOT / "_build" / "assignments")
    given = parser.parse_args(arguments)
    try:
        for name, homework in read_all(given.homework).items():
            made = {
                given.out / "student" / f"{name}.ipynb": homework.student,
                given.out / "source" / name / f"{name}.ipynb": homework.instructor,
            }
            for path, notebook in made.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(f"{name}: {len(homework.questions)} questions, {homework.points} points")
    except HomeworkError as fault:
        print(f"make_assignments: {fault}", file=sys.stderr)
        return 1
    out = os.path.relpath(given.out)
    print(f"For students: {out}/student. With solutions and hidden tests, for you alone: {out}/source.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
