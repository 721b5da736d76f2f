"""Every picture draws without a warning, and every interactive figure can be used without eyes and without a mouse."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from xmrlib import plot
from xmrlib.data.pairs import Images, Pairs, Texts
from xmrlib.plot import explorer, look
from xmrlib.plot.errors import worst
from xmrlib.plot.ranking import rank

pytestmark = pytest.mark.filterwarnings("error")


def make_pairs(count: int = 12, per_image: int = 1, labels: bool = True, pictures: bool = True) -> Pairs:
    owner = np.repeat(np.arange(count), per_image)
    shade = [Image.new("RGB", (40 + row, 30), (20 * row % 255, 90, 160)) for row in range(count)]
    words = tuple((f"Picture {row} shows a thing & <another>.", "It is late.") for row in owner)
    return Pairs(
        name="scenes",
        images=Images(tuple(f"image {row}" for row in range(count)), picture=shade.__getitem__ if pictures else None),
        texts=Texts(tuple(f"text {row}" for row in range(len(owner))), words),
        image_of_text=owner,
        labels=np.arange(count) % 3 if labels else None,
        classes=("farm", "sea", "sky") if labels else (),
    )


def make_scores(pairs: Pairs, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(pairs), len(pairs.texts)))
    return noise + 1.5 * (np.arange(len(pairs))[:, None] == pairs.image_of_text[None])


class Model:
    """Scores by the length of the words: any model is judged by `similarity` alone."""

    def similarity(self, images: Images, texts: Texts | list[str]) -> torch.Tensor:
        lengths = torch.tensor([float(len(text)) for text in texts])
        return torch.arange(len(images))[:, None] * 0.1 + lengths[None]


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    plt.close("all")


def draw(figure: Figure) -> None:
    """Render, so that a warning or a fault of the layout shows."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    plt.close(figure)


# Colours -----------------------------------------------------------------------------------------------------------


def linear(colour: str) -> np.ndarray:
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(light, 0, 1) / [0.9505, 1, 1.089]
    root = np.where(xyz > 0.008856, np.cbrt(np.maximum(xyz, 1e-9)), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


# Machado, Oliveira and Fernandes (2009), full strength.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_stay_apart_for_the_colour_blind(sight: str) -> None:
    seen = {colour: lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in (
        *look.palette, look.image_colour, look.text_colour, look.right_colour, look.wrong_colour)}  # fmt: skip
    apart = min(np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(look.palette, 2))
    assert apart > 14
    assert np.linalg.norm(seen[look.image_colour] - seen[look.text_colour]) > 60
    assert np.linalg.norm(seen[look.right_colour] - seen[look.wrong_colour]) > 14


@pytest.mark.parametrize(
    "colour", [look.image_colour, look.text_colour, look.right_colour, look.wrong_colour, look.quiet]
)
def test_words_in_a_colour_are_readable_on_white(colour: str) -> None:
    luminance = np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_import_draws_nothing_and_loads_no_matplotlib() -> None:
    code = "import sys, xmrlib.plot; assert 'matplotlib' not in sys.modules; xmrlib.plot.palette"
    subprocess.run([sys.executable, "-c", code + "; assert 'seaborn' not in sys.modules"], check=True)
    assert set(plot.__all__) <= set(dir(plot))
    for name in plot.__all__:
        assert getattr(plot, name) is not None
    with pytest.raises(AttributeError, match="retrieval"):
        plot.retreival  # noqa: B018


def test_wrap_keeps_every_word_and_the_width() -> None:
    text = "a cow stands to the left of a red tractor " * 3
    lines = look.wrap(text, 90, 8)
    assert " ".join(lines).split() == text.split()
    assert all(look.text_width(line, 8) <= 92 for line in lines)
    assert look.wrap(text, 90, 8, lines=2)[-1].endswith("…")
    assert look.wrap("immeasurably-long-word", 10, 8) == ["immeasurably-long-word"]


# Pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made", [{}, {"per_image": 5}, {"labels": False}, {"pictures": False}],
    ids=["plain", "five texts", "no classes", "features only"],
)  # fmt: skip
def test_sheets_draw(made: dict) -> None:
    pairs = make_pairs(**made)
    scores = make_scores(pairs)
    draw(plot.sheet(pairs))
    draw(plot.sheet(pairs, [3], title="number"))
    draw(plot.retrieval(scores, pairs, 2))
    draw(plot.retrieval(torch.tensor(scores), pairs, text=2, k=7, title="CCA"))
    draw(plot.failures(scores, pairs))
    draw(plot.failures(scores, pairs, direction="i2t", by="pair"))
    plot.retrieval_html(scores, pairs, 2), plot.retrieval_html(scores, pairs, text=1)


def test_ranking_judges_pairs_classes_and_new_sentences() -> None:
    pairs = make_pairs()
    scores = np.zeros((12, 12))
    scores[3, [5, 0, 3]] = 3, 2, 1  # classes 2, 0, 0: wrong, same class, own
    found = rank(scores, pairs, 3, k=3)
    assert [hit.row for hit in found.hits] == [5, 0, 3]
    assert [hit.judged for hit in found.hits] == ["wrong", "class", "pair"]
    assert found.own == 3 and found.gallery == 12
    asked = rank(Model(), pairs, pairs.texts[4], k=2)
    assert asked.row == 4 and asked.own == 8  # a known sentence finds its truth
    new = rank(Model(), pairs, "a barn", k=2)
    assert new.own is None and {hit.judged for hit in new.hits} == {"unknown"}
    draw(plot.retrieval(Model(), pairs, "a barn"))
    with pytest.raises(ValueError, match="Hand over the model"):
        rank(scores, pairs, "a barn")
    with pytest.raises(ValueError, match="outside 0..11"):
        rank(scores, pairs, 12)
    with pytest.raises(ValueError, match="give one query"):
        rank(scores, pairs)


def test_failures_are_the_most_confident_first() -> None:
    pairs = make_pairs(labels=False)
    scores = np.eye(12)
    assert worst(scores, pairs, 4, "t2i", "pair") == []
    draw(plot.failures(scores, pairs))
    scores[7, 2], scores[1, 4] = 9.0, 2.0
    found = worst(scores, pairs, 4, "t2i", "pair")
    assert [(query, got, wanted, place) for query, got, wanted, _, _, place in found] == [(2, 7, 2, 2), (4, 1, 4, 2)]
    with pytest.raises(ValueError, match="no classes"):
        plot.failures(scores, pairs, by="class")
    with pytest.raises(ValueError, match="similarity"):
        plot.failures(scores[:3], pairs)


def test_attention_draws_and_refuses_negative_weights() -> None:
    picture = make_pairs().images[0]
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.4, 0.3, 1.0, 1.0]])
    draw(plot.attention_on_picture(picture, boxes, torch.tensor([0.2, 0.8]), names=["a", "b"], title="a"))
    draw(plot.attention_on_words(["a", "cow"] * 15, np.linspace(0, 1, 30), title="b"))
    with pytest.raises(ValueError, match="softmax"):
        plot.attention_on_picture(picture, boxes, [-1, 1])
    with pytest.raises(ValueError, match="one weight a word"):
        plot.attention_on_words(["a"], [0.5, 0.5])


# Charts ------------------------------------------------------------------------------------------------------------


def test_charts_draw() -> None:
    pairs, generator = make_pairs(per_image=2), np.random.default_rng(0)
    scores = make_scores(pairs)
    draw(plot.similarity_matrix(scores, pairs.labels, pairs.text_labels, classes=pairs.classes, title="CCA"))
    draw(plot.similarity_matrix(torch.eye(4)))
    grid = np.linspace(0, 1, 11)
    draw(plot.precision_recall({"CCA": (grid, 1 - grid), "SM": (grid, 1 - grid / 2)}, chance=0.1, title="test"))
    images, texts = generator.normal(size=(12, 6)), generator.normal(size=(24, 6)) + 2
    options = {"classes": pairs.classes, "image_of_text": pairs.image_of_text, "title": "plane"}
    draw(plot.embeddings(images, texts, pairs.labels, pairs.text_labels, **options))
    draw(plot.embeddings(images, texts, colour="modality", method="tsne"))
    draw(plot.bars({"CCA": [0.4, 0.5, 0.45], "SM": [0.7, 0.72, 0.74]}, chance=0.1, label="MAP", title="bars"))
    draw(plot.bars({"CCA": 0.4}, intervals={"CCA": (0.35, 0.45)}))
    draw(plot.points({"CCA": {"R@1": [0.1, 0.2], "R@5": 0.3}}, chance={"R@1": 0.01}, label="recall", title="points"))
    draw(plot.lines({"one": (grid, grid), "two": (grid, generator.normal(size=(3, 11)))}, x="x", y="y", marks=True))
    with pytest.raises(ValueError, match="one space"):
        plot.embeddings(images, texts[:, :3])
    with pytest.raises(ValueError, match="do not fit"):
        plot.similarity_matrix(scores, pairs.labels)


def test_diagrams_draw() -> None:
    draw(plot.the_gap())
    for part in (None, "I", "II", "III", "IV", "V", "VI"):
        draw(plot.map_of_the_book(part))
    draw(plot.pipeline(["picture", "grid: 7 x 7"], ["words"], ["space: 512", "ranking"], highlight="space", title="x"))
    draw(plot.pipeline(joined=["one", "two"]))
    with pytest.raises(ValueError, match="none of the parts"):
        plot.map_of_the_book("VII")
    with pytest.raises(ValueError, match="none of the steps"):
        plot.pipeline(["a"], highlight="b")


def test_a_notebook_shows_a_figure_once(capsys: pytest.CaptureFixture) -> None:
    figure = plot.the_gap()
    figure._ipython_display_()
    assert "image/png" in capsys.readouterr().out and not plt.fignum_exists(figure.number)


# Interactive figures -----------------------------------------------------------------------------------------------


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
