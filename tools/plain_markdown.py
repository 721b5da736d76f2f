"""MyST as plain Markdown, which Colab and Jupyter show without any extension."""

from __future__ import annotations

import posixpath
import re
from functools import cache

from book_layout import ROOT, chapters, colab, published_page
from myst_parts import TARGET, Directive, Labels, MystError, split

ROLE = re.compile(r"\{(?P<role>[\w:.-]+)\}(?P<ticks>`+)(?P<text>.+?)(?P=ticks)", re.DOTALL)
EXPLICIT = re.compile(r"^(?P<shown>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?P<shown>[^\]]*)\]\((?!https?:|mailto:|#)(?P<target>[^)\s]+)\)")
BOXES = {name: name.capitalize() for name in "note tip warning important hint caution danger attention".split()}
BOXES["seealso"] = "See also"
DROPPED = {"bibliography", "tableofcontents", "toctree", "eval-rst", "contents"}


class Writer:
    """Writes the Markdown of one page; knows the labels of all."""

    def __init__(self, page: str, labels: Labels) -> None:
        self.page = page
        self.labels = labels
        self.questions = 0

    # ---- blocks

    def blocks(self, blocks: list[str | Directive]) -> str:
        """The blocks as Markdown; code cells do not belong here."""
        written = (self.inline_text(block) if isinstance(block, str) else self.directive(block) for block in blocks)
        return "\n\n".join(text for text in written if text.strip())

    def text(self, source: str) -> str:
        """The Markdown of a directive's body."""
        return self.blocks(split(source, self.page))

    def directive(self, block: Directive) -> str:
        """One directive as Markdown."""
        name, title = block.name, block.argument
        if name in DROPPED:
            return ""
        if name in BOXES:
            return self._box(BOXES[name], self.text(f"{title}\n{block.body}" if title else block.body))
        if name == "admonition":
            return self._box(self.inline(title), self.text(block.body))
        if name == "margin":
            return self._box("Aside" + (f": {self.inline(title)}" if title else ""), self.text(block.body))
        if name in ("dropdown", "solution"):
            if name == "solution":
                title = f"Solution of {self.labels.name[title]}"
            return details(title or "More", self.text(block.body))
        if name == "exercise":
            number = self.labels.name.get(block.options.get("label", ""), "Exercise")
            heading = f"{number}: {self.inline(title.strip('()'))}" if title else number
            return self._box(heading, self.text(block.body))
        if name == "math":
            return self._math(block)
        if name in ("quiz", "chapter-box"):
            return getattr(self, f"_{name.replace('-', '_')}")(block)
        if name in ("card", "grid-item-card", "tab-item"):
            return "\n\n".join(part for part in (title and f"**{self.inline(title)}**", self.text(block.body)) if part)
        if name in ("grid", "grid-item", "tab-set", "div", "container"):
            return self.text(block.body)
        if name == "table":
            return "\n\n".join(part for part in (title and f"*{self.inline(title)}*", self.text(block.body)) if part)
        if name == "list-table":
            return self._list_table(block)
        if name == "figure":
            return f"*{self.inline(block.body.strip())}* ([picture on the page]({self._url(self.page)}))"
        if name in ("code-block", "code"):
            return f"```{title}\n{block.body}\n```"
        if name.startswith("prf:"):
            heading = name.removeprefix("prf:").capitalize()
            return self._box(f"{heading}: {self.inline(title)}" if title else heading, self.text(block.body))
        raise MystError(f"{self.page}.md: {{{name}}} {title} has no form in a notebook")

    @staticmethod
    def _box(title: str, body: str) -> str:
        lines = [f"**{title}**", "", *body.split("\n")]
        return "\n".join(f"> {line}".rstrip() for line in lines)

    def _math(self, block: Directive) -> str:
        label = block.options.get("label")
        tag = f"\n\\tag{{{self.labels.name[label].split()[-1]}}}" if label else ""
        return f"$$\n{block.body.strip()}{tag}\n$$"

    def _chapter_box(self, block: Directive) -> str:
        facts = [("You need", "needs"), ("Time", "minutes"), ("Hardware", "hardware")]
        shown = {**block.options, "minutes": f"about {block.options['minutes']} minutes"}
        lines = "\n".join(f"- **{title}**: {self.inline(str(shown[key]))}" for title, key in facts)
        return self._box("After this chapter you can", f"{self.text(block.body)}\n\n{lines}")

    def _quiz(self, block: Directive) -> str:
        from xmrbook import split_quiz

        self.questions += 1
        question, options = split_quiz(block.body)
        letters = "ABCDEFGHIJ"
        asked = "\n".join(
            f"- **{letter}.** " + self.text(text).replace("\n", "\n  ")
            for letter, (_, text, _) in zip(letters, options, strict=False)
        )
        answers = [
            details(f"{letter}?", f"{'✓ Right.' if right else '✗ Not this one.'} {self.text(explanation)}")
            for letter, (right, _, explanation) in zip(letters, options, strict=False)
        ]
        return "\n\n".join([f"**Question {self.questions}.** {self.text(question)}", asked, *answers])

    def _list_table(self, block: Directive) -> str:
        rows: list[list[str]] = []
        for line in block.body.split("\n"):
            if line.startswith("* - "):
                rows.append([line[4:].strip()])
            elif line.startswith("  - "):
                rows[-1].append(line[4:].strip())
            elif line.strip():
                rows[-1][-1] += f" {line.strip()}"
        if not rows:
            return ""
        if not int(block.options.get("header-rows", 0)):
            rows.insert(0, [""] * len(rows[0]))
        rows.insert(1, ["---"] * len(rows[0]))
        table = "\n".join("| " + " | ".join(self.inline(cell) for cell in row) + " |" for row in rows)
        return f"*{self.inline(block.argument)}*\n\n{table}" if block.argument else table

    # ---- inside a line

    def inline_text(self, text: str) -> str:
        """Markdown without directives: roles, targets, comments and cell marks; code blocks stay untouched."""
        pieces = re.split(r"(^ *```.*?^ *```[ ]*$)", text, flags=re.MULTILINE | re.DOTALL)
        return "".join(piece if index % 2 else self._plain(piece) for index, piece in enumerate(pieces)).strip("\n")

    def _plain(self, text: str) -> str:
        lines = [line for line in text.split("\n") if not TARGET.match(line) and not line.startswith("%")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if line.strip() != "+++"))
        text = re.sub(
            r"^\$\$(?P<body>.+?)\$\$ *\((?P<label>[\w:-]+)\) *$",
            lambda match: f"$${match['body']}\\tag{{{self.labels.name[match['label']].split()[-1]}}}\n$$",
            text,
            flags=re.MULTILINE | re.DOTALL,
        )
        return self.inline(text)

    def inline(self, text: str) -> str:
        """Roles and links of one piece of text."""
        text = ROLE.sub(lambda match: self._role(match["role"], match["text"].strip()), text)
        return LINK.sub(lambda match: self._link(match["shown"], match["target"]), text)

    def _link(self, shown: str, target: str) -> str:
        return f"[{shown or self._title(target)}]({self._url(target)})"

    def _role(self, role: str, text: str) -> str:
        explicit = EXPLICIT.match(text)
        shown, target = (explicit["shown"], explicit["target"]) if explicit else ("", text)
        if role == "numref":
            name = self._name(target)
            return shown.replace("%s", name.split()[-1]).replace("{number}", name.split()[-1]) if shown else name
        if role in ("eq", "prf:ref"):
            return self._name(target)
        if role in ("ref", "doc"):
            shown = shown or self._title(target)
            return shown if self._page(target) == self.page else f"[{shown}]({self._url(target)})"
        if role in ("cite", "cite:t", "cite:p", "cite:ps", "cite:ts"):
            return self._cite(role, [key.strip() for key in text.split(",")])
        if role == "term":
            return shown or target
        if role.startswith("glue"):
            return f"`{text.split(':')[0]}`"
        if role.startswith("py:"):
            word = shown or (target.rsplit(".", 1)[-1] if target.startswith("~") else target)
            return f"`{word}()`" if role in ("py:func", "py:meth") and not shown else f"`{word}`"
        if role == "math":
            return f"${text}$"
        if role in ("sub", "sup", "kbd"):
            return f"<{role}>{text}</{role}>"
        if role == "abbr":
            return text
        raise MystError(f"{self.page}.md: the role {{{role}}}`{text}` has no form in a notebook")

    def _name(self, label: str) -> str:
        if label not in self.labels.name:
            raise MystError(f"{self.page}.md refers to {label!r}, which no page has")
        return self.labels.name[label]

    def _page(self, target: str) -> str:
        target = target.removeprefix("#")
        if target in self.labels.page:
            return self.labels.page[target]
        path = re.sub(r"\.md(#.*)?$", "", target)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.page), path))
        path = target.lstrip("/") if target.startswith("/") else path
        if path not in self.labels.title:
            raise MystError(f"{self.page}.md links to {target!r}, which is neither a label nor a page of the book")
        return path

    def _title(self, target: str) -> str:
        name = self.labels.name.get(target.removeprefix("#")) or self.labels.title[self._page(target)]
        return self.inline(name)

    def _url(self, target: str) -> str:
        """Another chapter opens as a notebook, everything else on the published page."""
        page = self.page if target == self.page else self._page(target)
        if page in chapters() and page != self.page:
            return colab(page)
        anchor = f"#{target}" if target in self.labels.page else ""
        return f"{published_page()}/{page}.html{anchor}"

    def _cite(self, role: str, keys: list[str]) -> str:
        words = []
        for key in keys:
            if key not in bibliography():
                raise MystError(f"{self.page}.md cites {key!r}, which book/references.bib has not")
            authors, year = bibliography()[key]
            words.append(f"{authors} ({year})" if role in ("cite:t", "cite:ts") else f"{authors}, {year}")
        shown = ", ".join(words) if role in ("cite:t", "cite:ts") else f"({'; '.join(words)})"
        return f"[{shown}]({published_page()}/book/bibliography.html)"


def details(title: str, body: str) -> str:
    """A part that opens on a click."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


@cache
def bibliography() -> dict[str, tuple[str, str]]:
    """Authors and year of every entry: `("Peng et al.", "2018a")`."""
    from pybtex.database import parse_file

    entries = {}
    for key, entry in parse_file(str(ROOT / "book" / "references.bib")).entries.items():
        people = [" ".join(person.last_names).strip("{}") for person in entry.persons.get("author", [])]
        names = f"{people[0]} et al." if len(people) > 2 else " and ".join(people) or key
        entries[key] = (names, entry.fields.get("year", "n.d."))
    return entries
