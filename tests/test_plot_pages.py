"""Interactive figures can be used without eyes and without a mouse; tables and pages say what they should."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from plot_samples import Model, make_pairs, make_scores

from xmrlib import plot
from xmrlib.plot import explorer

pytestmark = pytest.mark.filterwarnings("error")


class Page(HTMLParser):
    """The elements of a page as (tag, attributes); a fault where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in ("img", "input", "meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def wave(k: int, kind: str = "a") -> Figure:
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, k], [0, 1])
    return figure


def outside(html: str) -> list[str]:
    return [word for word in ("http:", "https:", 'src="//', "@import", "fetch(") if word in html]


def test_explore_in_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMR_BOOK", "1")
    shown = plot.explore(
        wave, k=range(1, 4), kind=["a", "<b>"], play=True, start={"k": 2}, labels={"k": "neighbours"},
        describe=lambda k, kind: f'{k} waves of kind "{kind}"',
    )  # fmt: skip
    page = Page(shown._repr_html_())
    frames = [image for image in page.all("img") if "data-frame" in image]
    assert shown.frames == len(frames) == 6
    assert [frame["alt"] for frame in frames][:2] == ['1 waves of kind "a"', '1 waves of kind "<b>"']
    assert [int(frame["data-frame"]) for frame in frames if "hidden" not in frame] == [2]
    assert all(frame["src"].startswith("data:image/") and frame["width"] and frame["height"] for frame in frames)
    slider, menu = page.all("input")[0], page.all("select")[0]
    assert (slider["type"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("range", "2", "1", "2")
    assert slider["aria-label"] == "neighbours" and menu["aria-label"] == "kind"
    assert json.loads(slider["data-words"]) == ["1", "2", "3"]
    assert len(page.all("option")) == 2 and len(page.all("button")) == 1
    assert any(words.get("aria-live") == "polite" for words in page.all("p"))
    assert page.all("div")[0]["role"] == "group"
    assert not outside(shown.html) and not plt.get_fignums()
    other = plot.explore(wave, k=[1])
    assert Page(other.html).all("div")[0]["id"] != page.all("div")[0]["id"]


def test_explore_limits_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMR_BOOK", "1")
    for match, choices in (
        ("at least one choice", {}),
        ("exceed the limit", {"k": range(61)}),
        ("no values", {"k": []}),
        ("none of the values", {"k": [1], "start": {"k": 7}}),
        ("the choices are", {"k": [1], "labels": {"j": "x"}}),
    ):
        with pytest.raises(ValueError, match=match):
            plot.explore(wave, **choices)
    with pytest.raises(ValueError, match="return figure"):
        plot.explore(lambda k: None, k=[1])
    monkeypatch.setattr(explorer, "LIMIT_BYTES", 1000)
    with pytest.raises(ValueError, match="draw fewer points"):
        plot.explore(wave, k=[1])


def test_explore_draws_once_where_there_is_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMR_BOOK", raising=False)
    drawn = []

    def counted(k: int, kind: str) -> Figure:
        drawn.append((k, kind))
        return wave(k, kind)

    box = plot.explore(counted, k=range(1, 50), kind=["a", "b"], describe=lambda k, kind: f"<{k}>", play=True)
    assert drawn == [(1, "a")] and not plt.get_fignums()
    slider, menu = box.children[0].children[:2]
    slider.value = 5
    menu.value = "b"
    assert drawn[1:] == [(5, "a"), (5, "b")]
    assert box.children[-1].value == "&lt;5&gt;"
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert isinstance(plot.explore(wave, k=[1, 2]), plot.Explorer)


@pytest.mark.parametrize("direction", ["both", "t2i", "i2t"])
def test_picker_holds_its_data(direction: str) -> None:
    pairs = make_pairs(per_image=2)
    html = plot.picker({"CCA": make_scores(pairs), "SM": make_scores(pairs, 1)}, pairs, [4, 2, 7], direction=direction)
    page = Page(html._repr_html_())
    held = json.loads(html.split('class="xmr-data">')[1].split("</script>")[0])
    assert held["owner"] == [0, 0, 1, 1, 2, 2] and held["labels"] == [1, 2, 1]
    assert held["texts"][2] == pairs.texts[4]
    expected = make_scores(pairs, 1)[np.ix_([4, 2, 7], [8, 9, 4, 5, 14, 15])]
    np.testing.assert_allclose(held["scores"][1], expected, atol=1e-4)
    assert all(image["src"].startswith("data:image/jpeg") and image["alt"] for image in held["images"])
    assert all(menu["aria-label"] for menu in page.all("select"))
    assert not outside(html)
    with pytest.raises(ValueError, match="holds 1 to 60"):
        plot.picker(make_scores(pairs), pairs, range(61))
    with pytest.raises(ValueError, match="similarity"):
        plot.picker(make_scores(pairs)[:2], pairs)


def test_result_page_stands_alone(tmp_path) -> None:
    pairs = make_pairs()
    html = plot.retrieval_html(make_scores(pairs), pairs, text=3, k=4, title="CCA")
    page = Page(plot.retrieval_html(Model(), pairs, "<script>", k=4) and html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("img")) == 4 and all(image["alt"] for image in page.all("img"))
    assert "OpenMoji" in html and "&lt;another&gt;" in html
    assert html.save(tmp_path / "hits.html").read_text(encoding="utf-8") == html
    for asked, title in (('"><script>', ""), ("a", "<i>")):
        escaped = plot.retrieval_html(Model(), pairs, asked, title=title)
        assert "<script>" not in escaped and "<i>" not in escaped
    brought = plot.retrieval_html(Model(), pairs, Image.new("RGB", (40, 30)), k=2)
    assert "Texts for a picture" in brought and len(Page(brought).all("img")) == 1
    with pytest.raises(ValueError, match="cannot answer a new picture"):
        plot.retrieval_html(make_scores(pairs), pairs, Image.new("RGB", (4, 3)))


# Numbers -----------------------------------------------------------------------------------------------------------


def test_results_table(tmp_path) -> None:
    metrics = {"map_avg": {"mean": 0.5, "values": [0.4, 0.5, 0.6]}, "r1_i2t": {"mean": 0.25, "values": [0.25]}}
    rows = [
        {"method": "CCA", "variant": None, "ablation": None, "config": "small", "source_hash": "a", "seeds": [0, 1, 2],
         "metrics": metrics, "intervals": {"r1_i2t": [[0.2, 0.3], [0.22, 0.3]]}},
        {"method": "CCL", "source": "the paper, table 2", "metrics": {"map_avg": 0.481}},
    ]  # fmt: skip
    compared = {"first": "A", "second": "B", "measure": "map_avg", "difference": 0.1, "low": -0.1, "high": 0.3}
    record = {"dataset": "emoji", "rows": rows, "chance": {"map_avg": 0.1}, "comparisons": [compared]}
    path = tmp_path / "results" / "x.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    table = plot.results_table(path, current_hash=lambda row: "b")
    assert table.stale == ["CCA"] and "Out of date" in table._repr_html_() and "Out of date" in str(table)
    page = Page(table._repr_html_())
    assert {head["scope"] for head in page.all("th")} == {"col", "row"} and page.all("figcaption")
    assert "0.500 ± 0.248" in str(table) and "0.250 [0.210, 0.300]" in str(table)
    assert "CCL †" in str(table) and "no order can be claimed" in str(table)
    assert "no order can be claimed" not in str(plot.results_table(path, differences=()))
    assert table._repr_markdown_().count("|---:") == 3
    assert not plot.results_table(path, ["map_avg"], current_hash=lambda row: "a").stale
    with pytest.raises(ValueError, match="has no measure map_x"):
        plot.results_table(path, ["map_x"])
    with pytest.raises(ValueError, match="run its recipe"):
        plot.results_table(tmp_path / "none.json")
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a recorded result"):
        plot.results_table(path)


def test_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMR_BOOK", raising=False)
    assert plot.glue("map", 0.71345, "{:.2f}") is None
    with pytest.raises(ValueError, match="does not fit"):
        plot.glue("map", "a", "{:.2f}")
