"""Write the chapters as notebooks for Colab and Jupyter.

    python tools/make_notebooks.py                        notebooks/*.ipynb, which git keeps
    python tools/make_notebooks.py --no-solutions OUT     the same without solutions, into the folder OUT
    python tools/make_notebooks.py --check                exit code 1 if notebooks/ is out of step with the chapters

MyST becomes plain Markdown; a badge and a set-up cell stand at the top; there are no outputs.
Two runs give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

import nbformat
from book_layout import ROOT, chapters, colab, notebook, published_page, repository
from myst_parts import Directive, Labels, MystError, labels, read, without_code
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from plain_markdown import Writer, details

sys.path.insert(0, str(ROOT / "book" / "_ext"))

BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})"
SETUP = """\
# @title Set-up: installs xmrlib where it is missing, else does nothing
import importlib
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

if find_spec("xmrlib") is None:
    wheels = sorted(Path.cwd().glob("xmrlib-*-none-any.whl"))  # a wheel in this folder goes first
    source = str(wheels[-1]) if wheels else "git+{repository}@{branch}"
    kept = [f"torch=={version('torch')}"] if find_spec("torch") else []
    print(f"Installing {source}; this takes a minute.")
    command = [sys.executable, "-m", "pip", "install", "--quiet", source, *kept]
    pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode:
        print(pip.stderr)
        raise RuntimeError(
            f"xmrlib could not be installed from {source}; pip says above why. If that cannot be reached from here, "
            f"run `make wheel` in a copy of the repository, upload the file that it makes to {Path.cwd()} and run "
            "this cell again."
        )
    importlib.invalidate_caches()

import torch

if not torch.cuda.is_available():
    print("No GPU here. Everything below runs without one.")
"""
FOLDED = {
    "hide-input": "# @title Code of the figure",
    "remove-input": "# @title Code of the figure",
    "remove-cell": "# @title A check, or a number for the text",
}


def cells(page: str, known: Labels, solutions: bool) -> list[nbformat.NotebookNode]:
    """The cells of one chapter."""
    writer = Writer(page, known)
    out: list[nbformat.NotebookNode] = []
    waiting: list[str | Directive] = []
    solution: Directive | None = None

    def flush() -> None:
        text = writer.blocks(waiting)
        waiting.clear()
        if text.strip() and (solutions or solution is None):
            if solution is not None:
                text = details(f"Solution of {known.name[solution.argument]}", text)
            out.append(new_markdown_cell(text))

    for block in read(page).blocks:
        name = None if isinstance(block, str) else block.name
        if name == "code-cell":
            flush()
            if solutions or solution is None:
                out += _code(block, writer, known, "# @title Solution" if solution else None)
        elif name == "solution-start":
            flush()
            solution = block
        elif name == "solution-end":
            flush()
            solution = None
        elif name == "solution" and not solutions:
            continue
        else:
            for part in _sections(block):
                if isinstance(part, str) and part.startswith(("#", "(")):
                    flush()
                waiting.append(part)
    if solution is not None:
        raise MystError(f"{page}.md: the solution of {solution.argument} is never ended by {{solution-end}}")
    flush()
    return out


def _sections(block: str | Directive) -> list[str | Directive]:
    """Markdown split before each heading (and the label above it): a reader may add cells between sections."""
    if not isinstance(block, str):
        return [block]
    starts = [match.start() for match in re.finditer(r"^(?:\([\w:-]+\)=\n)?#{1,6} ", without_code(block), flags=re.M)]
    edges = sorted({0, *starts, len(block)})
    return [block[left:right].strip("\n") for left, right in zip(edges, edges[1:], strict=False)]


def _code(block: Directive, writer: Writer, known: Labels, title: str | None) -> list[nbformat.NotebookNode]:
    """A code cell, folded where the page hides it, and its figure's caption."""
    tags = [tag for tag in block.options.get("tags") or [] if tag in ("raises-exception",)]
    fold = title or next((FOLDED[tag] for tag in block.options.get("tags") or [] if tag in FOLDED), None)
    source = f"{fold}\n{block.body}" if fold else block.body
    metadata = {"tags": tags} if tags else {}
    if fold:
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    out = [new_code_cell(source, metadata=metadata)]
    figure = (block.options.get("mystnb") or {}).get("figure") or {}
    if figure.get("caption"):
        number = known.name.get(figure.get("name"), "")
        out.append(new_markdown_cell(f"**{number}** {writer.text(figure['caption'].strip())}".strip()))
    return out


def setup() -> str:
    """The set-up cell, of chapters and of homework."""
    url, branch = repository()
    return SETUP.replace("{repository}", url).replace("{branch}", branch)


def make(page: str, known: Labels, solutions: bool) -> str:
    """The notebook of a chapter as JSON text."""
    body = cells(page, known, solutions)
    title, _, rest = body[0].source.partition("\n")
    if not title.startswith("# "):
        raise MystError(f"{page}.md does not start with its title")
    head = f"{title}\n\n{BADGE.format(colab=colab(page))}\n\nA chapter of a book; "
    head += f"[read it as a page]({published_page()}/{page}.html)."
    first = new_code_cell(setup(), metadata={"cellView": "form", "jupyter": {"source_hidden": True}})
    rest = [new_markdown_cell(rest.strip("\n"))] if rest.strip() else []
    result = new_notebook(
        cells=[new_markdown_cell(head), first, *rest, *body[1:]],
        metadata={
            "accelerator": "GPU",
            "colab": {"gpuType": "T4", "provenance": [], "toc_visible": True},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    seen: dict[str, int] = {}
    for cell in result.cells:  # the name of a cell follows from its text, so that an edit changes one name
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{digest}-{seen[digest]}"
    nbformat.validate(result)
    return nbformat.writes(result) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-solutions", metavar="OUT", type=Path, help="write into OUT, without solutions")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if notebooks/ is out of step")
    arguments = parser.parse_args()
    folder = arguments.no_solutions or ROOT / "notebooks"
    try:
        known = labels()
        made = {notebook(page).name: make(page, known, arguments.no_solutions is None) for page in chapters()}
    except MystError as fault:
        print(f"make_notebooks: {fault}", file=sys.stderr)
        return 1
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    stale = sorted(name for name in {*made, *present} if made.get(name) != present.get(name))
    if arguments.check:
        if stale:
            names = ", ".join(stale)
            print(f"Out of step with the chapters: {names}. Run `make notebooks` and commit.", file=sys.stderr)
        return bool(stale)
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in made:
            (folder / name).write_text(made[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    print(f"{folder}: {len(made)} notebooks, {len(stale)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
