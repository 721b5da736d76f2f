"""Every picture draws without a warning, in colours that the colour-blind can tell apart."""

from __future__ import annotations

import itertools
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from plot_samples import Model, draw, make_pairs, make_scores

from xmrlib import plot
from xmrlib.plot import look
from xmrlib.plot.errors import worst
from xmrlib.plot.ranking import rank

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    plt.close("all")


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
        plot.retrieve  # noqa: B018


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
    draw(plot.retrieval(Model(), pairs, pairs.images[0], k=2))
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
