"""The chapters and the notebooks made from them: same bones, in step, plain Markdown, ready for Colab."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import make_notebooks
import nbformat
import pytest
import xmrbook
from book_layout import chapters, colab, notebook, repository
from myst_parts import Directive, Labels, MystError, labels, read, split, without_code
from plain_markdown import Writer

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = list(chapters())
CLOSING = ["Where it goes wrong", "Take-aways", "Quiz", "Exercises", "Reading"]


@pytest.fixture(scope="module")
def known() -> Labels:
    return labels()


def made(page: str, known: Labels, solutions: bool = True) -> nbformat.NotebookNode:
    return nbformat.reads(make_notebooks.make(page, known, solutions), as_version=4)


def markdown(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# ---- the chapters


def directives(page: str, name: str) -> list[Directive]:
    return [block for block in read(page).blocks if isinstance(block, Directive) and block.name == name]


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_has_the_bones(page):
    blocks = read(page).blocks
    text = "\n".join(without_code(block) for block in blocks if isinstance(block, str))
    headings = re.findall(r"^## +(.+?)\s*$", text, flags=re.MULTILINE)
    assert headings[-5:] == CLOSING, f"{page}.md ends with {headings[-5:]}"
    assert len(directives(page, "chapter-box")) == 1
    assert directives(page, "quiz"), "no quiz"
    exercises = {block.options.get("label") for block in directives(page, "exercise")}
    solved = {block.argument for name in ("solution", "solution-start") for block in directives(page, name)}
    assert exercises == solved, f"{page}.md: exercises {exercises}, solutions {solved}"


@pytest.mark.parametrize("page", CHAPTERS)
def test_cells_are_short_and_figures_have_words(page):
    for block in directives(page, "code-cell"):
        tags = block.options.get("tags") or []
        if not {"hide-input", "remove-input", "remove-cell"} & set(tags):
            lines = len([line for line in block.body.split("\n") if line.strip()])
            assert lines <= 18, f"{page}.md: a cell of {lines} lines that begins {block.body[:60]!r}"
        shown = block.options.get("mystnb") or {}
        if "figure" in shown:
            assert len((shown.get("image") or {}).get("alt", "")) > 15, f"{page}.md: {shown['figure']} has no alt text"
            assert shown["figure"].get("name") and shown["figure"].get("caption"), f"{page}.md: {shown['figure']}"


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_quiz_can_be_read(page):
    for block in directives(page, "quiz"):
        question, options = xmrbook.split_quiz(block.body)
        assert question and len(options) >= 2 and any(right for right, _, _ in options), block.body[:80]
        assert all(text and explanation for _, text, explanation in options), block.body[:80]


# ---- the notebooks that git keeps


def test_notebooks_are_in_step_with_the_chapters():
    done = subprocess.run(
        [sys.executable, "tools/make_notebooks.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_kept_notebook_is_ready_for_colab(page):
    kept = nbformat.read(ROOT / notebook(page), as_version=4)
    nbformat.validate(kept)
    assert kept.metadata.accelerator == "GPU" and kept.metadata.colab.gpuType == "T4"
    assert colab(page) in kept.cells[0].source, "the badge"
    assert f"git+{repository()[0]}@" in kept.cells[1].source, "the set-up cell is the first code cell"
    assert not [cell for cell in kept.cells if cell.get("outputs") or cell.get("execution_count")]
    assert len({cell.id for cell in kept.cells}) == len(kept.cells)


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_myst_is_left(page, known):
    text = without_code(markdown(made(page, known)))
    text = re.sub(r"`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", "", text, flags=re.DOTALL)
    left = re.findall(r"\{[a-z][\w:.-]*\}`?|^:::.*|^\([\w-]+\)=.*|^\+\+\+", text, flags=re.MULTILINE)
    assert not left, left


@pytest.mark.parametrize("page", CHAPTERS)
def test_without_solutions_only_solutions_are_missing(page, known):
    full, bare = made(page, known), made(page, known, solutions=False)
    assert {cell.id for cell in bare.cells} < {cell.id for cell in full.cells}
    assert "Solution of" not in markdown(bare) and "# @title Solution" not in nbformat.writes(bare)
    assert markdown(full).count("> **Exercise") == markdown(bare).count("> **Exercise") > 0
    # Solutions stand last, so that whoever runs the notebook with them has run the one without.
    code, first = ([cell.source for cell in one.cells if cell.cell_type == "code"] for one in (full, bare))
    assert code[: len(first)] == first, (
        "code after a solution: then `make test` has to run this notebook without it, too"
    )


def test_two_runs_give_the_same_bytes(known):
    page = CHAPTERS[0]
    assert make_notebooks.make(page, known, True) == make_notebooks.make(page, known, True)


def test_a_notebook_out_of_step_is_named(tmp_path, monkeypatch, capsys):
    """The check that guards notebooks/ must itself be able to fail."""
    monkeypatch.setattr(make_notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_notebooks.py"])
    assert make_notebooks.main() == 0
    edited = tmp_path / "notebooks" / f"{Path(CHAPTERS[0]).name}.ipynb"
    edited.write_text(edited.read_text().replace("Set-up", "Setup"))
    (tmp_path / "notebooks" / "left-over.ipynb").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["make_notebooks.py", "--check"])
    assert make_notebooks.main() == 1
    said = capsys.readouterr().err
    assert edited.name in said and "left-over.ipynb" in said and "make notebooks" in said


# ---- from MyST to plain Markdown


def plain(source: str) -> str:
    page = CHAPTERS[1]
    own = Labels(
        name={"fig-x": "Fig. 2.1", "eq-x": "Eq. 2.3", "ex-x": "Exercise 2.1", "ch-two": "Two", "ch-notes": "Notes"},
        page={"fig-x": page, "eq-x": page, "ex-x": page, "ch-two": page, "ch-notes": "book/notes"},
        title={page: "Two", "book/notes": "Notes"},
    )
    return Writer(page, own).blocks(split(source, page))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See {numref}`fig-x` and {eq}`eq-x`.", "See Fig. 2.1 and Eq. 2.3."),
        ("{numref}`figure %s <fig-x>`", "figure 2.1"),
        ("{term}`gaps <heterogeneity gap>` and {term}`pair`", "gaps and pair"),
        ("{glue:text}`chance`", "`chance`"),
        ("{py:func}`~xmrlib.evaluate.map_all` {py:class}`Pairs`", "`map_all()` `Pairs`"),
        ("{ref}`ch-two` {math}`x^2` {abbr}`MAP (mean)`", "Two $x^2$ MAP (mean)"),
        ("```{math}\n:label: eq-x\na = b\n```", "$$\na = b\n\\tag{2.3}\n$$"),
        ("$$a = b$$ (eq-x)", "$$a = b\\tag{2.3}\n$$"),
        ("```{note}\nOne.\n\nTwo.\n```", "> **Note**\n>\n> One.\n>\n> Two."),
        (":::{tip}\n```python\nx = 1  # {no} role\n```\n:::", "> **Tip**\n>\n> ```python\n> x = 1  # {no} role\n> ```"),
        ("```{admonition} Predict\n:class: predict\nWhat?\n```", "> **Predict**\n>\n> What?"),
        ("```{margin}\nSmall.\n```", "> **Aside**\n>\n> Small."),
        ("(label)=\n% a comment\nText\n+++", "Text"),
        ("````{card} Title\n```{note}\nx\n```\n````", "**Title**\n\n> **Note**\n>\n> x"),
        ("```{exercise} Shuffle\n:label: ex-x\nDo.\n```", "> **Exercise 2.1: Shuffle**\n>\n> Do."),
        ("```{list-table}\n:header-rows: 1\n* - a\n  - b\n* - 1\n  - 2\n```", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("```{bibliography}\n```", ""),
        ("```\n{ref}`left-alone`\n```", "```\n{ref}`left-alone`\n```"),
    ],
)
def test_myst_becomes_plain_markdown(source, expected):
    assert plain(source) == expected


def test_links_lead_out_of_the_notebook():
    assert plain("{ref}`ch-notes`").startswith("[Notes](http")
    assert plain("[see](notes.md)").startswith("[see](http") and "book/notes.html" in plain("[see](notes.md)")
    assert re.match(r"\[Peng et al\. \(2018a\)\]\(http", plain("{cite:t}`peng2018ccl`"))
    assert re.match(r"\[\(Hotelling, 1936; .*\)\]\(http", plain("{cite:p}`hotelling1936,rasiwasia2010`"))


def test_a_quiz_and_a_solution_fold():
    text = plain("```{quiz}\nIs it?\n\n- [ ] Yes\n\n  Look.\n- [x] No\n\n  Fine.\n```")
    assert text.count("<details>") == 2 and "✗ Not this one. Look." in text and "✓ Right. Fine." in text
    assert "<summary>Solution of Exercise 2.1</summary>" in plain("```{solution} ex-x\n:class: dropdown\nSo.\n```")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{ref}`nowhere`", "nowhere"),
        ("{numref}`nowhere`", "nowhere"),
        ("{cite:t}`nobody1900`", "nobody1900"),
        ("{unknown}`x`", "unknown"),
        ("```{unheard-of}\nx\n```", "unheard-of"),
        ("```{note}\nnever closed", "never closed"),
        ("[see](nowhere.md)", "nowhere.md"),
    ],
)
def test_what_cannot_be_shown_is_named(source, named):
    with pytest.raises(MystError, match=named):
        plain(source)
