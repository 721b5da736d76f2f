"""The built page: links, words for every picture, and what a browser makes of it. Runs after tools/build_book.py."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from book_layout import HTML, ROOT, chapters, colab, pages
from bs4 import BeautifulSoup

pytestmark = pytest.mark.book
REQUIRED = os.environ.get("XMR_REQUIRE_BROWSER") == "1"
OFFLINE = (ROOT / "book" / "_vendor" / "vendor" / "mathjax").exists()
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    missing = [page for page in pages() if not (HTML / f"{page}.html").exists()]
    if missing:
        pytest.fail(f"not built: {', '.join(missing)}; run `make book` first")


def files() -> list[Path]:
    return [HTML / f"{page}.html" for page in pages()]


# ---- without a browser


def test_links_and_anchors_inside_the_book_lead_somewhere():
    broken = []
    anchors: dict[Path, set[str]] = {}
    for path in files():
        for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for element in soup(path).find_all(tag, attrs={attribute: True}):
                target = element[attribute]
                if urlsplit(target).scheme or target.startswith("//"):
                    continue
                place, anchor = urldefrag(target)
                there = (path.parent / unquote(urlsplit(place).path)).resolve() if place else path
                if there.is_dir():
                    there = there / "index.html"
                if not there.exists():
                    broken.append(f"{path.relative_to(HTML)}: {target}")
                elif anchor and there.suffix == ".html":
                    if there not in anchors:
                        found = soup(there).find_all(lambda tag: tag.has_attr("id") or tag.has_attr("name"))
                        anchors[there] = {element.get("id") or element.get("name") for element in found}
                    if unquote(anchor) not in anchors[there] and anchor not in ("", "top"):
                        broken.append(f"{path.relative_to(HTML)}: {target} (no such anchor)")
    assert not broken, "\n".join(broken)


def test_every_picture_has_words():
    wordless = []
    for path in files():
        for image in soup(path).select(".bd-article img"):
            words = image.get("alt")
            # A picker's thumbnail is named by the button that it belongs to.
            named = image.find_parent("label") is not None and words == ""
            if not named and (not words or len(words) < 10 or re.search(r"\.(png|svg|jpe?g)$", words)):
                wordless.append(f"{path.relative_to(HTML)}: {str(image)[:120]}")
    assert not wordless, "\n".join(wordless)


def test_no_page_needs_another_server():
    if not OFFLINE:
        pytest.skip("npm was missing at the build, so MathJax comes from a CDN")
    needed = []
    for path in files():
        for tag, attribute in (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")):
            found = soup(path).find_all(tag, attrs={attribute: re.compile("^(https?:)?//")})
            needed += [f"{path.relative_to(HTML)}: {element[attribute]}" for element in found]
        for element in soup(path).find_all(
            "link", rel=["stylesheet", "preload", "icon"], href=re.compile("^(https?:)?//")
        ):
            needed.append(f"{path.relative_to(HTML)}: {element['href']}")
    assert not needed, "\n".join(needed)


def test_every_page_credits_openmoji():
    assert not [path for path in files() if "openmoji.org" not in (soup(path).select_one(".xmr-credit") or "").decode()]


@pytest.mark.parametrize("page", list(chapters()))
def test_colab_links_lead_to_the_notebook(page):
    links = {link["href"] for link in soup(HTML / f"{page}.html").find_all("a", href=re.compile("colab.research"))}
    assert links == {colab(page)}
    assert soup(HTML / f"{page}.html").select_one(".xmr-launch a.xmr-colab"), "the badge under the title"


def test_pages_are_light_enough_for_a_phone():
    heavy = {str(path.relative_to(HTML)): path.stat().st_size for path in files() if path.stat().st_size > 6_000_000}
    assert not heavy


def test_no_cell_failed_or_warned():
    outputs = [
        str(path.relative_to(HTML)) for path in files() if soup(path).select(".output.stderr, .output.traceback")
    ]
    meant = {
        f"{page}.html" for page in pages() if "raises-exception" in (ROOT / f"{page}.md").read_text(encoding="utf-8")
    }
    assert set(outputs) <= meant


# ---- in a browser


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The page, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """Chromium, where there is one; XMR_REQUIRE_BROWSER=1 makes its absence a failure."""
    chromium = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if chromium is None:
        (pytest.fail if REQUIRED else pytest.skip)("no Chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


class Visit:
    """One page open in the browser, and what went wrong on it."""

    def __init__(self, browser, address: str, page: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.route("**/*", lambda route: self._ask(route, address))
        self.page.goto(f"{address}/{page}.html", wait_until="load")
        if self.page.locator(".bd-article .math").count() and OFFLINE:
            self.page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
        self.page.wait_for_timeout(150)

    def _ask(self, route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            if OFFLINE:
                self.faults.append(f"asks {route.request.url}")
            route.abort()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.fixture(scope="module", params=pages())
def visit(request, browser, address) -> Iterator[Visit]:
    """A page, opened once for the tests that only look at it."""
    with Visit(browser, address, request.param) as opened:
        yield opened


def test_a_page_opens_without_a_fault(visit):
    assert not visit.faults
    formulas = visit.page.locator(".bd-article .math").count()
    if formulas and OFFLINE:
        drawn = visit.page.locator(".bd-article mjx-container").count()
        assert drawn >= formulas, f"{drawn} of {formulas} formulas drawn"
        assert not visit.page.locator("mjx-merror, [data-mjx-error]").count(), "a formula with a fault"


def test_dark_is_dark_and_can_be_read(visit):
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_function("document.documentElement.dataset.theme === 'dark'", timeout=3_000)
    visit.page.wait_for_timeout(200)
    colours = visit.page.evaluate(
        "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number))"
    )
    back, front = (sum(colour[:3]) / 3 for colour in colours)
    assert back < 60 < 170 < front
    assert not visit.faults


def test_a_phone_shows_a_page_without_sideways_scrolling(visit):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.wait_for_timeout(150)
    wide = visit.page.evaluate("document.documentElement.scrollWidth")
    sticking_out = visit.page.evaluate(
        """[...document.querySelectorAll('.bd-article *')].filter(e => e.getBoundingClientRect().right > 391)
           .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert wide <= 390, f"{wide} px wide: {sticking_out}"


STATE = """root => [...root.querySelectorAll('img:not([hidden]), output, .xmr-says, .xmr-hits')]
           .map(e => e.tagName === 'IMG' ? (e.dataset.frame ?? e.src.length) : e.textContent).join('|')"""


@pytest.mark.parametrize("page", list(chapters()))
def test_interactive_figures_answer_to_the_keyboard(browser, address, page):
    with Visit(browser, address, page) as visit:
        for figure in visit.page.query_selector_all(".xmr-explore"):
            for control in figure.query_selector_all("input[type=range], select, input[type=radio]:checked"):
                if not control.is_visible():  # a picker shows texts or pictures, as its menu says
                    continue
                control.focus()
                there = figure.evaluate(STATE)
                for key, back in (("ArrowRight", "ArrowLeft"), ("ArrowLeft", "ArrowRight")):
                    visit.page.keyboard.press(key)
                    visit.page.wait_for_timeout(60)
                    if figure.evaluate(STATE) != there:
                        visit.page.keyboard.press(back)
                        break
                else:
                    pytest.fail(f"nothing moves: {control.evaluate('e => e.outerHTML')[:200]}")
        assert not visit.faults


@pytest.mark.parametrize("page", [*chapters(), "book/how-to-read"])
def test_quizzes_answer_to_the_keyboard(browser, address, page):
    with Visit(browser, address, page) as visit:
        options = visit.page.locator(".xmr-option")
        assert options.count()
        for option in options.all():
            assert not option.locator(".xmr-answer").is_visible()
            option.locator("summary").focus()
            visit.page.keyboard.press("Enter")
            assert option.locator(".xmr-verdict").is_visible()
            right = "xmr-right" in option.get_attribute("class")
            assert ("Right" in option.locator(".xmr-verdict").inner_text()) == right
