"""Colab: the set-up cell in each situation, another address in _config.yml, a chapter where xmrlib is missing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import check_colab
import make_wheel
import nbformat
import pytest
import torch
from book_layout import chapters, notebook, owner_and_name, published_page, repository
from check_colab import NO_GPU, Run, faults
from grading.homework import read
from make_notebooks import setup
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
OTHER = "https://github.com/someone/their-book"


# The set-up cell, with pip played by the test


@pytest.fixture
def session(tmp_path, monkeypatch):
    """An empty folder, xmrlib missing, a GPU, and a pip that succeeds; the commands that pip got."""
    commands = []

    def pip(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    real = importlib.util.find_spec
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "xmrlib" else real(name))
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return commands


def run_cell() -> None:
    exec(compile(setup(), "<set-up>", "exec"), {})


def test_with_nothing_to_do_the_cell_is_silent(session, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    run_cell()
    assert not session and capsys.readouterr().out == ""


def test_a_missing_gpu_is_one_line(session, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run_cell()
    assert capsys.readouterr().out == NO_GPU and NO_GPU.count("\n") == 1


def test_it_installs_from_the_repository_and_keeps_torch(session):
    run_cell()
    url, branch = repository()
    (command,) = session
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert f"git+{url}@{branch}" in command and f"torch=={version('torch')}" in command


def test_a_wheel_beside_the_notebook_goes_first(session, tmp_path):
    for name in ("xmrlib-0.1.0-py3-none-any.whl", "xmrlib-0.2.0-py3-none-any.whl", "xmrlib-0.3.0-py3-none-any (1).whl"):
        (tmp_path / name).touch()
    run_cell()
    (command,) = session
    assert str(tmp_path / "xmrlib-0.2.0-py3-none-any.whl") in command and "git+" not in " ".join(command)


def test_a_failure_says_which_address_and_what_to_do(session, tmp_path, monkeypatch, capsys):
    said = "fatal: unable to access the repository"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(RuntimeError) as caught:
        run_cell()
    message = str(caught.value)
    assert f"git+{repository()[0]}@" in message and "make wheel" in message and str(tmp_path) in message
    assert said in capsys.readouterr().out, "pip's reason"


# Another address


def test_one_line_moves_every_link_and_every_set_up_cell(tmp_path):
    """A copy under another address: what is generated differs in the address and in nothing else."""
    for folder in ("book", "tools"):
        skipped = shutil.ignore_patterns("__pycache__", "_vendor")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skipped)
    for name in ("_config.yml", "_toc.yml", "assignments/homework-1.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    url, old = repository()[0], "/".join(owner_and_name())
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert config.count(url) == 1, "one line"
    (tmp_path / "_config.yml").write_text(config.replace(url, OTHER), encoding="utf-8")
    for tool in ("make_notebooks.py", "make_assignments.py"):
        subprocess.run([sys.executable, tmp_path / "tools" / tool], cwd=tmp_path, check=True, capture_output=True)

    pairs = {name: (nbformat.read(ROOT / name, as_version=4), name) for name in map(notebook, chapters())}
    homework = read(ROOT / "assignments" / "homework-1.md").student
    pairs["homework"] = (homework, "_build/assignments/student/homework-1.ipynb")
    for before, name in pairs.values():
        after = nbformat.read(tmp_path / name, as_version=4)
        assert f"git+{OTHER}@" in after.cells[1].source, name
        for one, other in zip(before.cells, after.cells, strict=True):
            text = one.source.replace(published_page(), "https://someone.github.io/their-book")
            text = re.sub(rf"(github\.com|/github)/{old}(?=[/@])", r"\1/someone/their-book", text)
            assert text == other.source and old not in other.source, name


# The check itself


def test_the_check_finds_what_it_looks_for():
    fine = Run(1.0, None, NO_GPU, "")
    before, after = {"torch": "2.10.0", "numpy": "2.0.2"}, {"torch": "2.10.0", "numpy": "2.0.2", "xmrlib": "0.1.0"}
    assert faults(before, after, fine, fine) == []
    assert "torch was replaced: 2.10.0" in faults(before, after | {"torch": "2.15.0"}, fine, fine)[0]
    assert "did not install" in faults(before, before, fine, fine)[0]
    assert "proves nothing" in faults(after, after, fine, fine)[0]
    assert "numpy" not in "".join(faults(before, after | {"numpy": "2.4.6"}, fine, fine))
    for second in (Run(1.0, None, "Installing", ""), Run(1.0, None, "", "a warning")):
        assert "With nothing to do" in faults(before, after, fine, second)[0]
    failed = Run(1.0, "cell 1: RuntimeError", "", "")
    assert "RuntimeError" in faults(before, after, failed, fine)[0]


def test_colabs_versions_are_enough_for_the_library():
    """Where one is too old, pip replaces it on Colab, under a kernel that may have it loaded."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    have = dict(pin.lower().split("==") for pin in check_colab.pins())
    for need in map(Requirement, needs):
        assert need.name.lower() not in have or need.specifier.contains(have[need.name.lower()]), need
    assert {"torch", "torchvision", "numpy", "ipywidgets"} <= set(have)


def test_without_python_312_the_running_one_takes_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(check_colab.shutil, "which", lambda name: None)
    monkeypatch.setattr(check_colab.sys, "version_info", (3, 13, 0))
    assert check_colab.colabs_python() == sys.executable
    said = capsys.readouterr().out
    assert "Python 3.12" in said and said.count("\n") == 1


def test_a_version_that_the_index_lacks_is_replaced_and_named(tmp_path, monkeypatch, capsys):
    asked = []

    def index(command, **options):
        asked.append(command[-1])
        lacking = "install" in command and "numpy==2.0.2" in command
        return subprocess.CompletedProcess(command, int(lacking), "Python 3.12.0", "")

    monkeypatch.setattr(subprocess, "run", index)
    monkeypatch.setattr(check_colab, "pins", lambda: ["torch==2.10.0", "numpy==2.0.2"])
    (tmp_path / "base").mkdir()
    monkeypatch.setattr(check_colab.shutil, "rmtree", lambda *_, **__: None)
    check_colab.preinstall(tmp_path / "base")
    assert asked[-3:] == ["torch==2.10.0", "numpy==2.0.2", "numpy"]
    assert "numpy==2.0.2 cannot be had here" in capsys.readouterr().out
    asked.clear()
    check_colab.preinstall(tmp_path / "base")
    assert not any("==" in name for name in map(str, asked)), "what is there is kept"


def test_an_unknown_notebook_is_named(capsys):
    assert check_colab.main(["99-nowhere"]) == 2
    said = capsys.readouterr().err
    assert "99-nowhere" in said and "01-the-gap" in said


@pytest.mark.slow
def test_a_wheel_holds_the_whole_library(tmp_path):
    with zipfile.ZipFile(make_wheel.make_wheel(tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("xmrlib/")}
    there = {path for path in (ROOT / "xmrlib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert held == {path.relative_to(ROOT).as_posix() for path in there}


@pytest.mark.slow
def test_a_chapter_runs_where_torch_is_and_xmrlib_is_not():
    """With this environment's packages. `make colab` does it to every chapter, on Python 3.12 and Colab's versions."""
    done = subprocess.run(
        [sys.executable, "tools/check_colab.py", "--quick", "02-pairs"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^02-pairs: \d+ s$", done.stdout, re.MULTILINE), done.stdout
