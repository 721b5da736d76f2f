"""What the book adds to Sphinx: `{quiz}`, `{chapter-box}`, Colab links that work, a page that needs no other server.

- `{quiz}` needs no JavaScript: every option is a <details>, opened with Enter or Space.
- Colab cannot read Markdown chapters, so the links lead to the generated notebooks.
- sphinx-thebe, which Jupyter Book always loads, declares a constant twice (an error on every page) and asks a CDN.
- MathJax comes from the folder that tools/build_book.py fills, if it is there, else from Sphinx's default CDN.
- Docstrings are written to be read in an editor; they are turned into reStructuredText here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import book_layout  # noqa: E402
from docstrings import to_restructuredtext  # noqa: E402

logger = logging.getLogger(__name__)
OPTION = re.compile(r"^- \[( |x)\] ?", re.MULTILINE)


class quiz(nodes.General, nodes.Element):
    """A question with its options."""


class quiz_option(nodes.General, nodes.Element):
    """One option: first child the option's text, second child its explanation."""


class quiz_text(nodes.General, nodes.Element):
    """An option's text, the <summary>."""


class quiz_answer(nodes.General, nodes.Element):
    """An option's explanation."""


def split_quiz(text: str) -> tuple[str, list[tuple[bool, str, str]]]:
    """The question and, for each option, whether it is right, its text and its explanation.

    An option's text ends at the first blank line, the explanation is the rest:

    >>> split_quiz("Is it?\\n\\n- [ ] Yes\\n\\n  Look again.\\n- [x] No\\n\\n  It is not.")
    ('Is it?', [(False, 'Yes', 'Look again.'), (True, 'No', 'It is not.')])
    """
    starts = list(OPTION.finditer(text))
    question = text[: starts[0].start()].strip() if starts else text.strip()
    ends = [match.start() for match in starts[1:]] + [len(text)]
    options = []
    for match, end in zip(starts, ends, strict=True):
        lines = text[match.end() : end].rstrip().split("\n")
        body = "\n".join([lines[0], *(line[2:] if line.startswith("  ") else line for line in lines[1:])])
        option, _, explanation = body.partition("\n\n")
        options.append((match.group(1) == "x", option.strip(), explanation.strip()))
    return question, options


class QuizDirective(SphinxDirective):
    """A question, then `- [ ] option` or `- [x] option`, each followed by an indented explanation."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        question, options = split_quiz("\n".join(self.content))
        faults = [
            (not question, "has no question"),
            (len(options) < 2, f"has {len(options)} options; write at least two as '- [ ] text' or '- [x] text'"),
            (not any(right for right, _, _ in options), "has no right option; mark one with '- [x]'"),
            (
                not all(text for _, _, text in options),
                "has an option without an explanation (blank line, then indented)",
            ),
        ]
        for broken, message in faults:
            if broken:
                raise self.error(f"quiz {message}: {question[:60]!r}")
        number = self.env.new_serialno("quiz") + 1
        box = quiz(number=number, ids=[f"quiz-{number}"])
        box += self.parse_text_to_nodes(question)
        for right, text, explanation in options:
            option = quiz_option(right=right)
            summary, answer = quiz_text(), quiz_answer(right=right)
            parsed = self.parse_text_to_nodes(text)
            # <summary> takes no <p>: a one-paragraph option is written inline.
            summary += parsed[0].children if len(parsed) == 1 and isinstance(parsed[0], nodes.paragraph) else parsed
            answer += self.parse_text_to_nodes(explanation)
            option += [summary, answer]
            box += option
        self.set_source_info(box)
        return [box]


class ChapterBox(SphinxDirective):
    """The head of a chapter: its goals (the body), minutes, needs, hardware."""

    has_content = True
    option_spec = {
        "minutes": directives.positive_int,
        "needs": directives.unchanged_required,
        "hardware": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        missing = [name for name in self.option_spec if name not in self.options]
        if missing:
            raise self.error(f"chapter-box lacks :{':, :'.join(missing)}:")
        box = nodes.container(classes=["xmr-box"])
        box += nodes.paragraph("", "After this chapter you can", classes=["xmr-box-head"])
        box += self.parse_text_to_nodes("\n".join(self.content))
        box += self.parse_text_to_nodes(
            f"You need\n: {self.options['needs']}\n\n"
            f"Time\n: about {self.options['minutes']} minutes\n\n"
            f"Hardware\n: {self.options['hardware']}\n"
        )
        return [box]


def visit_quiz(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "fieldset", CLASS="xmr-quiz"))
    self.body.append(f"<legend>Question {node['number']}</legend>\n")


def visit_option(self: Any, node: nodes.Element) -> None:
    kind = "xmr-right" if node["right"] else "xmr-wrong"
    self.body.append(self.starttag(node, "details", CLASS=f"xmr-option {kind}"))


def visit_text(self: Any, node: nodes.Element) -> None:
    self.body.append("<summary>")


def visit_answer(self: Any, node: nodes.Element) -> None:
    verdict = "Right." if node["right"] else "Not this one."
    self.body.append(f'<div class="xmr-answer"><p class="xmr-verdict">{verdict}</p>\n')


def _close(tag: str):
    return lambda self, node: self.body.append(f"</{tag}>\n")


def add_colab_badge(app: Sphinx, doctree: nodes.document) -> None:
    """Put "Open in Colab" under the title of every chapter."""
    page = app.env.docname
    titles = list(doctree.findall(nodes.title))
    if page not in book_layout.chapters() or not titles:
        return
    badge = nodes.raw(
        "",
        f'<p class="xmr-launch"><a class="xmr-colab" href="{book_layout.colab(page)}">Open in Colab</a> '
        "<span>runs there as it stands, on a T4 or without a GPU</span></p>",
        format="html",
    )
    titles[0].parent.insert(titles[0].parent.index(titles[0]) + 1, badge)


def mend_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Lead the rocket button to the notebook, or drop it where there is none; drop sphinx-thebe's scripts."""
    buttons = context.get("header_buttons", [])
    for group in [button for button in buttons if button.get("label") == "launch-buttons"]:
        if pagename in book_layout.chapters():
            for button in group["buttons"]:
                if button["text"] == "Colab":
                    button["url"] = book_layout.colab(pagename)
        else:
            buttons.remove(group)
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', {}).get('body', '')}"
    ]


def use_vendored_scripts(app: Sphinx, config: Any) -> None:
    """Point MathJax at the copy beside the page where the build brought one."""
    vendor = ROOT / "book" / "_vendor"
    if (vendor / "vendor" / "mathjax" / "tex-mml-chtml.js").exists():
        config.html_extra_path = [*config.html_extra_path, str(vendor)]
        config.mathjax_path = "../vendor/mathjax/tex-mml-chtml.js"
    else:
        logger.info("xmrbook: no MathJax in book/_vendor; the page will take it from a CDN")


def read_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring, in place, into reStructuredText."""
    lines[:] = to_restructuredtext(lines)


def shorten_signature(app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str):
    """Write `...` for a default without a literal, such as `<factory>`: Sphinx could not read the signature."""
    return signature and re.sub(r"<[^<>]*>", "...", signature), returns


def find_where_exported(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """A name is documented where a reader imports it: `xmrlib.data.pairs.Pairs` is found as `xmrlib.data.Pairs`.

    A type in a signature may have no page of its own; what a chapter refers to must have one.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    match = re.fullmatch(r"(xmrlib\.\w+)\.\w+\.(\w.*)", node["reftarget"])
    if match and f"{match[1]}.{match[2]}" in domain.objects:
        exported = f"{match[1]}.{match[2]}"
        return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], exported, node, content)
    parent = node.parent
    while parent is not None:
        if isinstance(parent, addnodes.desc_signature | nodes.field):
            return content
        parent = parent.parent
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("quiz", QuizDirective)
    app.add_directive("chapter-box", ChapterBox)
    app.add_node(quiz, html=(visit_quiz, _close("fieldset")))
    app.add_node(quiz_option, html=(visit_option, _close("details")))
    app.add_node(quiz_text, html=(visit_text, _close("summary")))
    app.add_node(quiz_answer, html=(visit_answer, _close("div")))
    app.connect("missing-reference", find_where_exported)
    app.connect("config-inited", use_vendored_scripts)
    app.connect("doctree-read", add_colab_badge)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", read_docstring, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
