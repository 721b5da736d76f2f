"""The builder: outputs that have gone stale are deleted, the page does without npm, docstrings survive Sphinx."""

from __future__ import annotations

import shutil

import build_book
import pytest
from docstrings import to_restructuredtext
from jupyter_cache import get_cache


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one library file, with a chapter's kept output."""
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build_book, "OUTPUTS", tmp_path / "_build" / ".jupyter_cache")
    monkeypatch.setattr(build_book, "VENDOR", tmp_path / "book" / "_vendor")
    (tmp_path / "xmrlib").mkdir()
    (tmp_path / "xmrlib" / "evaluate.py").write_text("answer = 1\n")
    build_book.forget_stale_outputs()
    (tmp_path / "_build" / ".jupyter_cache").mkdir()
    return tmp_path


def kept(project) -> bool:
    build_book.forget_stale_outputs()
    return (project / "_build" / ".jupyter_cache").exists()


def test_outputs_stay_while_nothing_changes(project):
    assert kept(project) and kept(project)


def test_outputs_go_when_the_library_changes(project):
    (project / "xmrlib" / "evaluate.py").write_text("answer = 2\n")
    assert not kept(project)


def test_outputs_go_when_recorded_results_change(project):
    (project / "results").mkdir()
    (project / "results" / "first.json").write_text("{}")
    assert not kept(project)


def test_outputs_go_when_the_size_changes(project, monkeypatch):
    monkeypatch.setenv("XMR_FULL", "1")
    assert not kept(project)


def test_without_npm_the_page_takes_mathjax_from_elsewhere_and_says_so(project, monkeypatch, capsys):
    (project / "tools" / "vendor").mkdir(parents=True)
    (project / "tools" / "vendor" / "package-lock.json").write_text("{}")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    build_book.fetch_mathjax()
    assert "CDN" in capsys.readouterr().out
    assert not (project / "book" / "_vendor").exists()


PAGE = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

```{code-cell} python
import os
print(os.environ["XMR_BOOK"], CODE)
```
"""


def test_chapters_run_once_and_one_that_fails_is_named_and_runs_again(project, monkeypatch, capfd):
    for name, code in (("sound", "6 * 7"), ("faulty", "1 / 0")):
        (project / f"{name}.md").write_text(PAGE.replace("CODE", code))
    (project / "silent.md").write_text("# No code\n")
    monkeypatch.setattr(build_book, "pages", lambda: ["sound", "faulty", "silent"])
    build_book.run_chapters()
    said = sorted(capfd.readouterr().out.splitlines())
    assert said[0] == "faulty.md: failed" and said[1].startswith("sound.md: ") and len(said) == 2
    cache = get_cache(build_book.OUTPUTS)
    assert [record.uri for record in cache.list_unexecuted()] == [str(project / "faulty.md")]
    (record,) = cache.list_cache_records()
    (cell,) = (cell for cell in cache.get_cache_bundle(record.pk).nb.cells if cell.cell_type == "code")
    assert cell.outputs[0].text == "1 42\n"
    build_book.run_chapters()
    assert capfd.readouterr().out == "faulty.md: failed\n"


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One sentence.", "One sentence.\n"),
        (
            "scores  (n, m)\nlabels  one a row,\n        or None",
            "``scores``\n    (n, m)\n``labels``\n    one a row,\n    or None\n",
        ),
        ("Text:\n\n    x = f(y)  # why", "Text:\n\n::\n\n    x = f(y)  # why\n"),
        ("Weighted by ap_* and labels_.", "Weighted by ap\\_\\* and labels\\_.\n"),
        ("- one\n- `two`", "- one\n- ``two``\n"),
        ("Runs.\n>>> 1 + 1\n2", "Runs.\n\n>>> 1 + 1\n2\n"),
    ],
)
def test_a_docstring_becomes_restructuredtext(docstring, expected):
    assert "\n".join(to_restructuredtext(docstring.split("\n"))) == expected
