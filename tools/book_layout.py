"""Where things of the book are: its chapters from _toc.yml, its repository from _config.yml.

Read by the builder, by the notebook maker, by the Sphinx extension and by the tests.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"


@cache
def _toc() -> dict:
    return yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


@cache
def config() -> dict:
    """_config.yml."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def _files(entries: list[dict]) -> list[str]:
    return [name for entry in entries for name in [entry["file"], *_files(entry.get("sections", []))]]


def pages() -> list[str]:
    """Every page, without its ending, in reading order: `book/index`, `book/how-to-read`, ..."""
    return [_toc()["root"], *(name for part in _toc()["parts"] for name in _files(part["chapters"]))]


def chapters() -> dict[str, int]:
    """The numbered pages and their numbers: these become notebooks."""
    numbered = [name for part in _toc()["parts"] if part.get("numbered") for name in _files(part["chapters"])]
    return {name: number for number, name in enumerate(numbered, start=1)}


def repository() -> tuple[str, str]:
    """The repository's address and branch, as _config.yml states them and nothing else does."""
    entry = config()["repository"]
    return entry["url"].rstrip("/"), entry["branch"]


def owner_and_name() -> tuple[str, str]:
    """`("owner", "name")` of the repository."""
    owner, name = repository()[0].split("/")[-2:]
    return owner, name


def published_page() -> str:
    """Where GitHub Pages serves the book: `https://OWNER.github.io/NAME`."""
    owner, name = owner_and_name()
    return f"https://{owner}.github.io/{name}"


def notebook(page: str) -> Path:
    """The notebook of a chapter, relative to the repository: `notebooks/01-the-gap.ipynb`."""
    return Path("notebooks") / f"{Path(page).name}.ipynb"


def colab(page: str) -> str:
    """The link that opens a chapter in Colab."""
    owner, name = owner_and_name()
    return f"https://colab.research.google.com/github/{owner}/{name}/blob/{repository()[1]}/{notebook(page)}"
