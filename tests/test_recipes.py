"""The recorded results: whole, of this code, and honest about what is copied."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes"))

from common import Outcome, Recipe, code_only, source_hash  # noqa: E402

# Tables of methods; the other files hold copied rows, speed, and how a killed training went on.
OTHERS = ("published", "benchmarks", "gpu", "gpu_training", "kill_and_resume")
RECORDS = sorted(path for path in (ROOT / "results").glob("*.json") if path.stem not in OTHERS)
MEASURES = {
    f"{measure}_{way}"
    for measure, ways in {
        "map": ("i2t", "t2i", "avg", "all_i", "all_t"),
        "r1": ("i2t", "t2i"),
        "r5": ("i2t", "t2i"),
        "r10": ("i2t", "t2i"),
        "medr": ("i2t", "t2i"),
        "twin": ("i2t", "t2i", "left-right", "above-below", "near", "size", "novel"),
        "pointing": ("regions", "words", "relations"),
        "probe": ("accuracy", "hidden", "standardised_hidden"),
    }.items()
    for way in ways
}


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_sources_are_those_that_made_the_numbers(path):
    stale = [
        f"{row['method']} {row['ablation'] or ''} ({row['config']})"
        for row in read(path)["rows"]
        if source_hash(row["sources"]) != row["source_hash"]
    ]
    assert not stale, (
        f"the sources of {len(stale)} rows of results/{path.name} have changed since: {'; '.join(stale)}. "
        f"Run `xmr reproduce {path.stem}` (real data sets are looked for in $XMR_DATA)."
    )


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_whole(path):
    record = read(path)
    assert record["recipe"] == path.stem
    assert (ROOT / "recipes" / f"{path.stem}.py").is_file()
    assert record["protocol"] in ("honest", "authors")
    assert {"dataset", "split", "device", "versions", "commit", "date", "chance"} <= set(record)
    assert {"python", "torch", "xmrlib"} <= set(record["versions"])
    assert record["rows"]
    for row in record["rows"]:
        assert row["seeds"] == sorted(set(row["seeds"])) and row["seeds"]
        assert len(row["chosen"]) == len(row["seeds"])
        assert row["seconds_train"] >= 0
        assert set(row["metrics"]) <= MEASURES
        for name, found in row["metrics"].items():
            values = found["values"]
            assert len(values) == len(row["intervals"][name]) == len(row["seeds"])
            assert math.isclose(found["mean"], sum(values) / len(values), abs_tol=1e-5)
            if not name.startswith("medr"):
                assert all(0 <= value <= 1 for value in values)
            for value, (low, high) in zip(values, row["intervals"][name], strict=True):
                assert low - 1e-6 <= value <= high + 1e-6
    keys = [(row["method"], row["ablation"], row["config"]) for row in record["rows"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_names_no_place_of_one_machine(path):
    text = path.read_text(encoding="utf-8")
    assert "/home/" not in text and "/work" not in text and "/tmp" not in text and "/root" not in text


def test_copied_rows_say_where_from_and_how_sure():
    copied = read(ROOT / "results" / "published.json")
    sources = {source["id"] for source in copied["sources"]}
    assert copied["copied"] is True
    for row in copied["rows"]:
        assert row["source"] in sources
        assert row["confidence"] in ("verified", "secondary", "unverified")
        assert set(row["metrics"]) <= MEASURES
        assert all(0 <= value <= 1 for value in row["metrics"].values())
        if {"map_i2t", "map_t2i", "map_avg"} <= set(row["metrics"]):
            # The printed mean was rounded after, or before, the two directions were.
            mean = (row["metrics"]["map_i2t"] + row["metrics"]["map_t2i"]) / 2
            assert abs(mean - row["metrics"]["map_avg"]) < 0.0011, row


# -- the machinery


def test_comments_and_docstrings_do_not_count_but_code_does(tmp_path):
    source = '"""Head."""\n\nX = "# no comment"  # a comment\n\n\ndef f():\n    """Doc.\n\n    More."""\n    return X\n'
    same = '# Other head.\nX = "# no comment"\ndef f():\n    return X  # why\n'
    assert code_only(source) == code_only(same) == 'X = "# no comment"\ndef f():\n    return X'
    for text, equal in ((source, True), (same, True), (same.replace("return X", "return 1"), False)):
        (tmp_path / "a.py").write_text(text)
        found = source_hash(["a.py"], tmp_path)
        first = found if text is source else first
        assert (found == first) is equal
    (tmp_path / "a.py").unlink()
    assert source_hash(["a.py"], tmp_path) != first


class Report:
    """What a recipe needs of a report."""

    def __init__(self, value: float) -> None:
        self.metrics, self.intervals, self.chance = {"map_avg": value}, {"map_avg": (value, value)}, {"map_avg": 0.1}


def recipe(tmp_path, monkeypatch, *words: str) -> Recipe:
    monkeypatch.setattr(sys, "argv", ["toy.py", "--results", str(tmp_path), *words])
    return Recipe("toy.py", "emoji", "A toy.", ())


def test_a_recipe_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    calls = []

    def once(seed):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return Outcome(Report(seed / 10), 1.0, {"ridge": 0.1})

    first = recipe(tmp_path, monkeypatch)
    row = first.row("CCA", "toy")
    with pytest.raises(KeyboardInterrupt):
        first.run(row, (0, 1, 2, 3), once)
    assert read(tmp_path / "toy.json")["rows"][0]["seeds"] == [0, 1]
    second = recipe(tmp_path, monkeypatch)
    second.run(row, (0, 1, 2, 3), once)
    second.close()
    assert calls == [0, 1, 2, 2, 3]
    found = read(tmp_path / "toy.json")["rows"][0]
    assert found["seeds"] == [0, 1, 2, 3]
    assert found["metrics"]["map_avg"]["values"] == [0.0, 0.1, 0.2, 0.3]
    assert found["metrics"]["map_avg"]["mean"] == pytest.approx(0.15)
    assert found["seconds_train"] == 1.0


def test_changed_sources_and_fresh_begin_again(tmp_path, monkeypatch):
    calls = []

    def once(seed):
        calls.append(seed)
        return Outcome(Report(0.5), 1.0, {})

    for words, changed, expected in (([], False, 2), ([], False, 2), (["--fresh"], False, 4), ([], True, 6)):
        again = recipe(tmp_path, monkeypatch, *words)
        row = again.row("CCA", "toy")
        if changed:
            monkeypatch.setattr("common.source_hash", lambda paths: "another")
        again.run(row, (0, 1), once)
        again.close()
        assert len(calls) == expected


def test_rows_that_a_recipe_no_longer_has_go_when_it_ends(tmp_path, monkeypatch):
    def once(seed):
        return Outcome(Report(0.5), 1.0, {})

    for config in ("old", "new"):
        toy = recipe(tmp_path, monkeypatch)
        toy.run(toy.row("CCA", config), (0,), once)
        toy.close()
    assert [row["config"] for row in read(tmp_path / "toy.json")["rows"]] == ["new"]
