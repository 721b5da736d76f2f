"""A text read in a picture, as a page: what it holds, and that it can be used by keyboard."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from plot_samples import make_pairs
from test_plot_pages import Page, outside

from xmrlib import plot
from xmrlib.plot import relations

WORDS = 11  # of "Picture 0 shows a thing & <another>. It is late."


def looks(count: int, regions: int = 3, pairs: bool = True) -> SimpleNamespace:
    torch.manual_seed(0)
    words = torch.rand(count, WORDS)
    mask = torch.ones(count, regions, dtype=torch.bool)
    mask[0, -1] = False
    gates = torch.zeros(count, WORDS, WORDS)
    gates[:, 1, 4], gates[:, 4, 5] = 0.8, 0.01
    return SimpleNamespace(
        words=words / words.sum(dim=1, keepdim=True), agreement=torch.rand(count, WORDS, regions) * 2 - 1,
        word_pairs=gates if pairs else None, held=-0.5 * gates if pairs else None,
        region_pairs=torch.rand(count, regions, regions) if pairs else None,
        word_mask=torch.arange(WORDS).expand(count, -1) < 9, region_mask=mask,
    )  # fmt: skip


def table(count: int = 4):
    pairs = make_pairs(count)
    boxes = np.array([[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.7, 0.8], [0.2, 0.6, 0.4, 0.9]])
    return pairs.texts, replace(pairs.images, boxes=lambda row: boxes + 0.01 * row)


def data_of(html: str) -> dict:
    return json.loads(html.split('class="xmr-data">')[1].split("</script>")[0])


def test_the_page_holds_words_regions_and_pairs() -> None:
    texts, images = table()
    first, second = looks(4), looks(4)
    html = plot.reading(texts, {"own": (images, first), "<twin>": (images.select(np.arange(4)[::-1]), second)})
    page, held = Page(html._repr_html_()), data_of(html)
    assert [words[0] for words in held["read"][0]["words"]][:4] == ["Picture", "0", "shows", "a"]
    spoken = held["read"][0]
    whole = "".join(before + word for word, before, _ in spoken["words"]) + spoken["after"]
    assert whole == " ".join(texts.fragments[0])
    assert len(held["seen"]) == 2 and len(held["seen"][0]) == 4
    assert len(held["seen"][0][0]["boxes"]) == 2 and len(held["seen"][0][1]["boxes"]) == 3
    assert held["seen"][0][0]["pairs"] == [[1, 4, 0.8, -0.4]], "what hardly weighs is left out"
    assert np.allclose(held["seen"][1][0]["boxes"][0], [0.13, 0.13, 0.33, 0.33]), "boxes of the picture that is shown"
    assert all(j != k for seen in held["seen"][0] for j, k, _ in seen["over"])
    assert f'alt="{held["seen"][0][0]["alt"]}"' in html._repr_html_(), (
        "the first picture has words before any script runs"
    )
    assert np.allclose(held["seen"][0][1]["agree"], first.agreement[1, :9], atol=0.01)
    assert all(menu["aria-label"] for menu in page.all("select")) and len(page.all("option")) == 6
    assert any(words.get("aria-live") == "polite" for words in page.all("p"))
    assert not outside(html.replace("http://www.w3.org/2000/svg", "")), "nothing is fetched"
    assert len(html) < relations.LIMIT_BYTES


def test_a_model_without_relations_has_words_only() -> None:
    texts, images = table()
    names = {"own": [["cow", "barn", "tree"]] * 4}
    html = plot.reading(texts, {"own": (images, looks(4, pairs=False))}, names=names, scores={"own": list("abcd")})
    held = data_of(html)
    assert held["named"] and held["seen"][0][2]["score"] == "c" and not held["seen"][0][2]["pairs"]
    assert len(Page(html).all("select")) == 1


def test_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, images = table()
    with pytest.raises(ValueError, match="names no pictures"):
        plot.reading(texts, {})
    with pytest.raises(ValueError, match="'own': 4 images, 3 looks and 4 texts"):
        plot.reading(texts, {"own": (images, looks(3))})
    with pytest.raises(ValueError, match="needs its local level"):
        plot.reading(texts, {"own": (images, SimpleNamespace(words=None, agreement=None))})
    with pytest.raises(ValueError, match="row 1: 3 boxes for 5 regions"):
        some = looks(4, 5)
        some.region_mask[0, 3:] = False
        plot.reading(texts, {"own": (images, some)})
    monkeypatch.setattr(relations, "LIMIT_BYTES", 100)
    with pytest.raises(ValueError, match="give fewer texts"):
        plot.reading(texts, {"own": (images, looks(4))})


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_it_is_used_by_keyboard(tmp_path) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    texts, images = table()
    seen = {"own": (images, looks(4)), "twin": (images, looks(4))}
    html = plot.reading(texts, seen, scores={"own": ["nothing"] * 4, "twin": ["other"] * 4})
    path = html.save(tmp_path / "page.html")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 360, "height": 800})
        faults: list[str] = []
        view.on("pageerror", lambda fault: faults.append(str(fault)))
        view.goto(path.as_uri())
        assert view.inner_text(".xmr-says") == "nothing"
        assert view.evaluate("document.documentElement.scrollWidth") <= 360
        view.locator(".xmr-sentence button").nth(4).focus()
        view.keyboard.press("Enter")
        assert "weighs" in view.inner_text(".xmr-says") and view.locator("button[aria-pressed=true]").count() == 1
        view.locator(".xmr-pairs button").first.focus()
        view.keyboard.press("Space")
        assert "holds it by −0.40" in view.inner_text(".xmr-says")
        assert view.locator(".xmr-part").count() == 2
        view.select_option(".xmr-view", index=1)
        assert view.locator("button[aria-pressed=true]").count() == 1, "the choice stays for the other picture"
        view.locator(".xmr-all").click()
        assert view.inner_text(".xmr-says") == "other" and not faults
        browser.close()
