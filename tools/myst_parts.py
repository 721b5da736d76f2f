"""The pieces of a MyST chapter: front matter, cells, directives, and what its labels mean.

Only what the chapters use; anything else raises `MystError` with the file and the text, so that it is noticed here and
not by a reader of the notebook.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from book_layout import ROOT, chapters, pages

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|:{3,})(?:\{(?P<name>[\w:-]+)\})?(?P<rest>.*)$")
TARGET = re.compile(r"^\((?P<label>[\w:-]+)\)=\s*$")
HEADING = re.compile(r"^(#{1,6}) +(?P<title>.+?)\s*$")


class MystError(ValueError):
    """Something in a chapter that the notebook cannot show; the message names the file and the text."""


@dataclass
class Directive:
    """One fenced block: its name, what stands on its first line, its options and its body."""

    name: str
    argument: str
    options: dict
    body: str


@dataclass
class Chapter:
    """A page's blocks in order: plain Markdown strings and directives."""

    page: str
    blocks: list[str | Directive]


def read(page: str) -> Chapter:
    """Read and split `page` (without its ending)."""
    text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    if text.startswith("---\n"):
        text = text.split("\n---\n", 1)[1]
    return Chapter(page, split(text, page))


def split(text: str, page: str) -> list[str | Directive]:
    """The directives of `text`, and the Markdown between them."""
    blocks: list[str | Directive] = []
    plain: list[str] = []
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        opening = FENCE.match(lines[index])
        if not opening or (opening["fence"][0] == ":" and not opening["name"]):
            plain.append(lines[index])
            index += 1
            continue
        end = _closing(lines, index, opening, page)
        if opening["name"] is None:  # an ordinary code block stays as it is
            plain += lines[index : end + 1]
        else:
            if "\n".join(plain).strip():
                blocks.append("\n".join(plain).strip("\n"))
            plain = []
            indent = len(opening["indent"])
            body = [line[indent:] if line[:indent].isspace() else line for line in lines[index + 1 : end]]
            blocks.append(_directive(opening["name"], opening["rest"].strip(), body, page))
        index = end + 1
    if "\n".join(plain).strip():
        blocks.append("\n".join(plain).strip("\n"))
    return blocks


def _closing(lines: list[str], start: int, opening: re.Match, page: str) -> int:
    fence = opening["fence"]
    closing = re.compile(rf"^ *{re.escape(fence[0])}{{{len(fence)},}} *$")
    for index in range(start + 1, len(lines)):
        if closing.match(lines[index]):
            return index
    raise MystError(f"{page}.md, line {start + 1} of the text: the block {lines[start].strip()!r} is never closed")


def _directive(name: str, argument: str, body: list[str], page: str) -> Directive:
    options: dict = {}
    if body and body[0].strip() == "---":
        end = next((i for i, line in enumerate(body[1:], start=1) if line.strip() == "---"), None)
        if end is None:
            raise MystError(f"{page}.md: the options of {{{name}}} {argument} are not closed by ---")
        options, body = yaml.safe_load("\n".join(body[1:end])) or {}, body[end + 1 :]
    else:
        while body and (option := re.match(r"^:([\w-]+):(.*)$", body[0])):
            options[option[1]] = option[2].strip()
            body = body[1:]
    if isinstance(options.get("tags"), str):
        options["tags"] = [tag.strip() for tag in options["tags"].strip("[]").split(",") if tag.strip()]
    return Directive(name, argument, options, "\n".join(body).strip("\n"))


@dataclass
class Labels:
    """What a label is called, `("Fig. 1.2")`, and on which page it stands."""

    name: dict[str, str] = field(default_factory=dict)
    page: dict[str, str] = field(default_factory=dict)
    title: dict[str, str] = field(default_factory=dict)

    def add(self, label: str, page: str, name: str) -> None:
        if self.page.get(label, page) != page:
            raise MystError(f"the label {label!r} stands on two pages: {self.page[label]} and {page}")
        self.name[label], self.page[label] = name, page


def labels() -> Labels:
    """The labels of the whole book, numbered as Sphinx numbers them: by chapter, in order of appearance."""
    found = Labels()
    for page in pages():
        if not (ROOT / f"{page}.md").exists():
            raise MystError(f"_toc.yml names {page}, but there is no {page}.md")
        number = chapters().get(page)
        counts = {"Fig.": 0, "Eq.": 0, "Exercise": 0, "Table": 0}
        _collect(read(page).blocks, page, f"{number}." if number else "", counts, found)
    return found


def _collect(blocks: list, page: str, prefix: str, counts: dict, found: Labels) -> None:
    def numbered(kind: str, label: str | None) -> None:
        counts[kind] += 1
        if label:
            found.add(label, page, f"{kind} {prefix}{counts[kind]}")

    for block in blocks:
        if isinstance(block, str):
            _collect_headings(block, page, found)
            for label in re.findall(r"^\$\$ *\(([\w:-]+)\)\s*$", block, flags=re.MULTILINE):
                numbered("Eq.", label)
        elif block.name == "math" and block.options.get("label"):
            numbered("Eq.", block.options["label"])
        elif block.name == "code-cell":
            figure = (block.options.get("mystnb") or {}).get("figure") or {}
            if figure.get("name"):
                numbered("Fig.", figure["name"])
        elif block.name == "figure" and block.options.get("name"):
            numbered("Fig.", block.options["name"])
        elif block.name in ("table", "list-table") and block.options.get("name"):
            numbered("Table", block.options["name"])
        elif block.name in ("exercise", "exercise-start") and "nonumber" not in block.options:
            numbered("Exercise", block.options.get("label"))
            _collect(split(block.body, page), page, prefix, counts, found)
        elif block.name in ("solution", "solution-start"):
            exercise = block.argument.split()[-1]
            found.add(block.options.get("label", f"solution-{exercise}"), page, f"the solution of {exercise}")
            _collect(split(block.body, page), page, prefix, counts, found)
        elif block.name not in ("quiz", "chapter-box", "eval-rst"):
            _collect(split(block.body, page), page, prefix, counts, found)


def without_code(text: str) -> str:
    """`text` of the same length, with the lines of its code blocks blanked: a comment there is no heading.

    >>> without_code("# a\\n```\\n# b\\n```").split("\\n")
    ['# a', '   ', '   ', '   ']
    """
    blocks = re.compile(r"^ *(`{3,}).*?^ *\1 *$", flags=re.MULTILINE | re.DOTALL)
    return blocks.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def _collect_headings(text: str, page: str, found: Labels) -> None:
    waiting: list[str] = []
    for line in without_code(text).split("\n"):
        target, heading = TARGET.match(line), HEADING.match(line)
        if target:
            waiting.append(target["label"])
            found.page[target["label"]] = page
        elif heading:
            if page not in found.title:
                found.title[page] = heading["title"]
            for label in waiting:
                found.add(label, page, heading["title"])
            waiting = []
        elif line.strip():
            waiting = []
