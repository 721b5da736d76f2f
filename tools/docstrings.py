"""Docstrings of xmrlib, written to be read in an editor, as reStructuredText for the API pages.

Paragraphs, bulleted lists and doctest examples stay. What changes:

    `name`                     a code word
    ids      one name per row  a table of names and meanings, with continuation lines
    anything else indented     a block in a fixed font
    stars, bars, labels_       escaped, so that Sphinx reads no markup into them
"""

from __future__ import annotations

import re

ROW = re.compile(r"^(?P<name>\S(?:\S| (?=\S))*?) {2,}(?=\S)")
CODE = re.compile(r"``.+?``|:[\w:]+:`[^`]+`|`[^`]+`")
STATEMENT = re.compile(r"^(\w[\w, ]* = |import |from [\w.]+ import |[\w.]+\()")
BULLET = re.compile(r"^([-*]|\d+[.)]) ")


def inline(text: str) -> str:
    """One run of text: code words in double back-quotes, markup characters outside them escaped.

    >>> inline("scores of `labels_`, *args and labels_")
    'scores of ``labels_``, \\\\*args and labels\\\\_'
    """
    pieces, end = [], 0
    for match in CODE.finditer(text):
        pieces += [_escape(text[end : match.start()]), _code(match.group())]
        end = match.end()
    return "".join([*pieces, _escape(text[end:])])


def _code(span: str) -> str:
    return span if span.startswith(("``", ":")) else f"`{span}`"


def _escape(text: str) -> str:
    return re.sub(r"([*|\\])|_(?=\W|$)", lambda match: f"\\{match.group()}", text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def to_restructuredtext(lines: list[str]) -> list[str]:
    """The docstring's lines as reStructuredText.

    >>> print("\\n".join(to_restructuredtext(["Counts.", "", "size   how many", "colour `red`"])))
    Counts.
    <BLANKLINE>
    ``size``
        how many
    ``colour``
        ``red``
    <BLANKLINE>
    """
    out: list[str] = []
    literal = False
    for block in _blocks(lines):
        written = _block(block)
        if literal and written[0] == "::":  # one block of code with a blank line inside
            written = written[2:]
        literal = written[0] == "::" or (literal and written[0].startswith("    "))
        out += ["", *written] if out else written
    return [*out, ""]


def _blocks(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line.rstrip())
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _block(block: list[str]) -> list[str]:
    first = block[0]
    if first.lstrip().startswith(">>>"):
        return [line[_indent(first) :] for line in block]
    rows = _rows(block)
    if rows:
        return [
            line for name, meaning in rows for line in (f"``{name}``", *(f"    {inline(text)}" for text in meaning))
        ]
    if BULLET.match(first):
        return [inline(line) for line in block]
    if _indent(first) > 0 or all(STATEMENT.match(line) for line in block):
        return ["::", "", *(f"    {line[_indent(first) :]}" for line in block)]
    # A paragraph may run into a table, an example or an indented block without a blank line.
    for index, line in enumerate(block[1:], start=1):
        if _indent(line) > 0 or line.startswith(">>>") or BULLET.match(line) or _rows(block[index:]):
            return [*map(inline, block[:index]), "", *_block(block[index:])]
    return [inline(line) for line in block]


def _rows(block: list[str]) -> list[tuple[str, list[str]]]:
    """Names and meanings, if all lines of the block keep to the two columns that one of them shows; else nothing."""
    edge = _indent(block[0])
    lines = [line[edge:] for line in block]
    column = next((match.end() for line in lines if (match := ROW.match(line))), None)
    rows: list[tuple[str, list[str]]] = []
    for line in lines:
        if column is None or not line.strip() or len(line) <= column:
            return []
        name, meaning = line[:column], line[column:]
        if _indent(line) > 0 and rows:
            rows[-1][1].append(line.strip())
        elif not name.endswith(" ") or meaning.startswith(" ") or meaning.startswith("#"):
            return []
        else:
            rows.append((name.strip().strip("`"), [meaning]))
    return rows
