"""Docstrings of xmrlib, written to be read in an editor, as reStructuredText for the API pages.

Paragraphs, lists, doctest examples and Google sections (`Raises:`) stay. What changes:

    `name`                     a code word
    ids      one name per row  a table of name and meaning, with its continuation lines
    anything else indented     a block in a fixed font
    stars, bars, labels_       escaped, so that Sphinx reads no markup into them
"""

from __future__ import annotations

import re

ROW = re.compile(r"^(?P<name>\S(?:\S| (?=\S))*?)(?P<gap> {2,})(?P<meaning>\S.*)$")
CODE = re.compile(r"``.+?``|:[\w:]+:`[^`]+`|`[^`]+`")
SECTION = re.compile(r"^(Args|Arguments|Returns|Raises|Yields|Attributes|Examples?|Notes?|References|Parameters):$")
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
    """The docstring's lines as reStructuredText."""
    out: list[str] = []
    for block in _blocks(lines):
        if out and out[-1]:
            out.append("")
        out += _block(block)
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
    if SECTION.match(first):
        return [first, *(inline(line) for line in block[1:])]
    if _is_table(block):
        return _table(block)
    if BULLET.match(first):
        return [inline(line) for line in block]
    if _indent(first) > 0:
        return ["::", "", *(f"    {line}" for line in block)]
    # A paragraph may run into a table, an example or an indented block without a blank line.
    for index, line in enumerate(block[1:], start=1):
        if _indent(line) > 0 or line.startswith(">>>") or BULLET.match(line) or _is_table(block[index:]):
            return [*map(inline, block[:index]), "", *_block(block[index:])]
    return [inline(line) for line in block]


def _is_table(block: list[str]) -> bool:
    rows = [line for line in block if ROW.match(line.lstrip()) and _indent(line) == _indent(block[0])]
    columns = {_indent(line) + ROW.match(line.lstrip()).start("meaning") for line in rows}
    fits = [line for line in block if line in rows or _indent(line) > _indent(block[0])]
    return bool(rows) and rows[0] == block[0] and len(columns) == 1 and len(fits) == len(block)


def _table(block: list[str]) -> list[str]:
    out = []
    for line in block:
        match = ROW.match(line.lstrip()) if _indent(line) == _indent(block[0]) else None
        if match:
            name = match["name"].strip("`")
            out += [f"``{name}``", f"    {inline(match['meaning'])}"]
        else:
            out.append(f"    {inline(line.strip())}")
    return out
