"""The shape of the project: what may import what, how long a file may be, what git may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from book_layout import repository
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = sorted((ROOT / "xmrlib").rglob("*.py"))
# What each part of the library may import of the others. Data flows one way.
BELOW = {
    "settings": set(),
    "data": {"settings"},
    "features": {"settings", "data"},
    "nn": {"settings", "distributed"},
    "evaluate": {"settings", "data"},
    "search": {"settings", "data"},
    "distributed": set(),
    "stages": set(),
    "checkpoint": {"stages", "distributed"},
    "guards": {"stages", "distributed"},
    "train": {"settings", "stages", "distributed", "checkpoint", "guards"},
    # A method measures itself on the validation split while it is fitted; evaluate knows no method.
    "methods": {"data", "features", "nn", "evaluate", "settings", "stages", "distributed", "checkpoint", "train"},
    "plot": {"settings", "data", "features", "evaluate", "search"},
}
CONSTRAINT = re.compile(r"(==|<|!=|~=)")


def part(path: Path) -> str:
    """The part of the library that a file belongs to: `data`, `methods`, `cli`."""
    return path.relative_to(ROOT / "xmrlib").parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """The parts of xmrlib that a file imports when it runs; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            found |= {f"{node.module}.{name.name}" for name in node.names} if node.module == "xmrlib" else {node.module}
    return {name.split(".")[1] for name in found if name and name.startswith("xmrlib.")}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upward(path):
    allowed = BELOW.get(part(path))
    if allowed is not None:
        upward = imported_parts(path) - allowed - {part(path), "__version__"}
        assert not upward, f"{path.relative_to(ROOT)} imports {', '.join(sorted(upward))}, which stands above it"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_in_a_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 350, f"{path.relative_to(ROOT)} has {lines} lines; split it by meaning"


def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_library_asks_for_lower_bounds_only():
    """An exact or an upper bound would replace what Colab brings."""
    names = project()["dependencies"]
    assert not [name for name in names if CONSTRAINT.search(name)]
    assert [name for name in names if name.startswith("torch>=")], "torch has a lower bound"


def test_every_pin_satisfies_its_lower_bound():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(re.split("==", line.lower().replace("_", "-")) for line in lines if line and not line.startswith("#"))
    optional = [name for extra in ("book", "test") for name in project()["optional-dependencies"][extra]]
    for line in project()["dependencies"] + optional:
        need = Requirement(line)
        name = need.name.lower().replace("_", "-")
        assert name in pins, f"{name} stands in pyproject.toml and has no pin in requirements.txt"
        assert need.specifier.contains(pins[name]), f"{name}=={pins[name]} is outside {need.specifier}"


def tracked() -> list[str]:
    """The files that git holds; none outside a git work tree."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git work tree")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_repository_address_stands_in_one_place():
    """So that a fork changes one line."""
    address = repository()[0].removeprefix("https://")
    holders = {
        name
        for name in tracked()
        if not name.startswith("notebooks/") and address.encode() in (ROOT / name).read_bytes()
    }
    assert holders == {"_config.yml"}


def test_git_holds_nothing_heavy_and_no_machine_code():
    heavy = {name: (ROOT / name).stat().st_size for name in tracked()}
    assert not {name: size for name, size in heavy.items() if size > 800_000}


def test_every_part_has_its_page_in_the_reference():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "book" / "api").glob("*.md"))
    named = set(re.findall(r"automodule:: (xmrlib[\w.]*)", pages))
    parts = {f"xmrlib.{name}" for name in BELOW if any(part(path) == name for path in LIBRARY)}
    assert not parts - named, f"without a page in book/api: {', '.join(sorted(parts - named))}"
