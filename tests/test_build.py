"""The builder: outputs that have gone stale are deleted, the page does without npm, docstrings survive Sphinx."""

from __future__ import annotations

import shutil

import build_book
import pytest
from docstrings import to_restructuredtext


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one library file, with a chapter's kept output."""
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "BUILD", tmp_path / "_build")
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
