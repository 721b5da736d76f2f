"""Approximate indexes: where they must agree with the exact one, how much they miss, and every refusal."""

from __future__ import annotations

import json
import subprocess
import sys

import jaxtyping
import pytest
import torch

from benchmarks import search as benchmark
from xmrlib.search import ApproximateIndex, Index, recall_against_exact

faiss = pytest.importorskip("faiss", reason="needs faiss (pip install xmrlib[search])")


@pytest.fixture
def unchecked():
    """The class's own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def clusters(items: int, dim: int = 16, seed: int = 0, centres: int = 20, spread: float = 0.3) -> torch.Tensor:
    """Vectors in clusters that are far apart: an easy gallery."""
    rng = torch.Generator().manual_seed(seed)
    middle = torch.randn(centres, dim, generator=torch.Generator().manual_seed(99))
    return middle[torch.randint(centres, (items,), generator=rng)] + spread * torch.randn(items, dim, generator=rng)


GALLERY, QUERIES = clusters(10_000), clusters(100, seed=1)


@pytest.fixture(scope="module")
def built() -> dict[str, ApproximateIndex]:
    knobs = {"flat": {}, "hnsw": {"links": 16}, "ivf": {"lists": 32}, "ivf-pq": {"lists": 32, "parts": 8}}
    return {kind: ApproximateIndex(GALLERY, kind, "m", **chosen) for kind, chosen in knobs.items()}


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
def test_flat_finds_what_exact_search_finds(similarity):
    exact, flat = Index(GALLERY, similarity=similarity), ApproximateIndex(GALLERY, "flat", similarity=similarity)
    (scores, rows), (near, found) = exact.search(QUERIES), flat.search(QUERIES)
    assert torch.equal(rows, found)
    torch.testing.assert_close(scores, near)
    assert recall_against_exact(flat, exact, QUERIES) == 1


def test_search_works_beside_libraries_that_replace_the_search_of_faiss():
    """As pytorch-metric-learning does, by importing faiss.contrib.torch_utils."""
    program = """
import faiss.contrib.torch_utils, torch
from xmrlib.search import ApproximateIndex
vectors = torch.randn(500, 16)
for kind in ("flat", "hnsw", "ivf"):
    _, rows = ApproximateIndex(vectors, kind).search(vectors[:3], 500)
    assert rows[:, 0].tolist() == [0, 1, 2] and len(rows[0].unique()) == 500, kind
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("kind", "effort"), [("hnsw", 200), ("ivf", 16), ("ivf-pq", 16)])
def test_an_easy_gallery_is_searched_well(built, kind, effort):
    exact = Index(GALLERY, "m")
    assert recall_against_exact(built[kind], exact, QUERIES, effort=effort) > {"ivf-pq": 0.4}.get(kind, 0.9)
    scores, rows = built[kind].search(QUERIES, 10, "m", effort)
    assert rows.dtype == torch.int64 and (scores.diff(dim=1) <= 0).all()
    assert all(len(set(line)) == 10 for line in rows.tolist())
    if kind != "ivf-pq":  # whose scores are those of its codes
        torch.testing.assert_close(scores, exact.score(QUERIES, rows), rtol=0, atol=1e-5)


def test_all_lists_are_exact_and_more_effort_is_never_worse(built):
    exact = Index(GALLERY)
    found = [recall_against_exact(built["ivf"], exact, QUERIES, effort=effort) for effort in (1, 4, 32, 99)]
    assert found == sorted(found) and found[2] == found[3] == 1
    built["ivf"].effort = 32
    assert recall_against_exact(built["ivf"], exact, QUERIES) == 1


@pytest.mark.parametrize("kind", ["hnsw", "ivf", "ivf-pq"])
def test_no_place_stays_empty(built, kind):
    """One list holds fewer than 5,000 items, and a short walk meets fewer."""
    scores, rows = built[kind].search(QUERIES[:3], 5000, effort=1)
    assert rows.min() >= 0 and scores.isfinite().all()
    assert all(len(set(line)) == 5000 for line in rows.tolist())


def test_a_graph_with_an_island_is_searched_whole():
    """Copies link to one another only, so that a walk cannot leave them."""
    gallery = torch.cat([torch.eye(4)[:1].repeat(100, 1), torch.eye(4)[1:]])
    index = ApproximateIndex(gallery, "hnsw", links=2, breadth=2)
    assert sorted(index.search(torch.ones(1, 4), 103)[1][0].tolist()) == list(range(103))


def test_ties_count_as_found_and_come_lower_row_first():
    gallery = torch.eye(8).repeat(10, 1)
    flat = ApproximateIndex(gallery, "flat")
    _, rows = flat.search(torch.eye(8), 10)
    assert torch.equal(rows, torch.arange(0, 80, 8) + torch.arange(8)[:, None])
    assert recall_against_exact(flat, Index(gallery), torch.eye(8), k=3) == 1


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf", "ivf-pq"])
def test_added_vectors_are_found(built, kind, tmp_path):
    index = ApproximateIndex.load(built[kind].save(tmp_path / "index"))
    new = -10 * GALLERY[:50]
    index.add(new.numpy(), "m")
    assert len(index) == 10_050 and index.search(new[:1], 1)[1].item() >= 10_000


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf", "ivf-pq"])
def test_saved_and_loaded(built, kind, tmp_path):
    path = built[kind].save(tmp_path / "deeper" / "pictures.faiss")
    assert [p.name for p in path.parent.iterdir()] == ["pictures.faiss"]
    again = ApproximateIndex.load(path, "m")
    assert repr(again) == repr(built[kind]) and again.knobs == built[kind].knobs and again.effort == built[kind].effort
    for a, b in zip(again.search(QUERIES), built[kind].search(QUERIES), strict=True):
        assert torch.equal(a, b)
    assert faiss.read_index(str(path)).ntotal == 10_000  # any other program can read it


def test_what_it_says_of_itself(built):
    assert repr(built["flat"]) == "ApproximateIndex(10,000 x 16, flat, cosine, made by m)"
    assert repr(built["hnsw"]) == "ApproximateIndex(10,000 x 16, hnsw, links 16, breadth 100, cosine, made by m)"
    assert repr(built["ivf-pq"]) == "ApproximateIndex(10,000 x 16, ivf-pq, lists 32, parts 8, cosine, made by m)"
    chosen = ApproximateIndex(GALLERY, "ivf-pq")
    assert chosen.knobs == {"lists": 128, "parts": 2} and chosen.effort == 8


def test_files_that_are_refused(built, tmp_path):
    path = built["hnsw"].save(tmp_path / "pictures.faiss")
    with pytest.raises(ValueError, match="made by 'm', not by 'other'"):
        ApproximateIndex.load(path, "other")
    with pytest.raises(ValueError, match="ApproximateIndex.load reads"):
        Index.load(path)
    with pytest.raises(FileNotFoundError, match="there is no index at"):
        ApproximateIndex.load(tmp_path / "none")
    whole = path.read_bytes()
    for content in (whole[:-100], whole[:1000] + whole[2000:], whole[100:], b"", b"x" * 8, b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no approximate index of xmrlib, or it is cut short"):
            ApproximateIndex.load(path)
    path.write_bytes(b"xxxx" + whole[4:])
    with pytest.raises(ValueError, match="cannot be read as an index"):
        ApproximateIndex.load(path)
    with pytest.raises(ValueError, match="Index.load"):
        ApproximateIndex.load(Index(GALLERY).save(tmp_path / "exact.index"))


def test_a_failed_save_leaves_the_old_file_and_no_other(built, tmp_path, monkeypatch):
    path = built["flat"].save(tmp_path / "pictures.faiss")

    def full(index, name):
        open(name, "wb").close()
        raise RuntimeError("Error in virtual size_t faiss::FileIOWriter::operator(): write error: No space left")

    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(OSError, match="could not be written.*No space left.*room on the disk"):
        built["hnsw"].save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["pictures.faiss"]
    assert ApproximateIndex.load(path).kind == "flat"


def test_without_faiss(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for call in (lambda: ApproximateIndex(GALLERY), lambda: ApproximateIndex.load(tmp_path / "none")):
        with pytest.raises(ImportError, match=r"pip install 'xmrlib\[search\]'"):
            call()
    assert len(Index(GALLERY)) == 10_000


def test_the_benchmark_measures_each_kind(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "APPROXIMATE", (("flat", None, (None,)), ("hnsw", None, (16, 300))))
    output = tmp_path / "search.json"
    assert benchmark.main(["--images", "300", "--dim", "8", "--queries", "60", "--output", str(output)]) == 0
    rows = json.loads(output.read_text())["rows"]
    assert [row["index"] for row in rows] == ["Index (exact)", "flat", *["hnsw, links 32, breadth 100"] * 2]
    assert rows[1]["recall"] == 1 and rows[3]["recall"] > 0.9 and rows[3]["megabytes"] > 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_errors_at_the_door(built, unchecked):
    few, broken = clusters(1000), GALLERY.clone()
    broken[7, 0] = torch.nan
    for call, message in [
        (lambda: ApproximateIndex(few, "tree"), "kind='tree' is unknown; choose from 'flat', 'hnsw'"),
        (lambda: ApproximateIndex(few, similarity="l2"), "similarity='l2'"),
        (lambda: ApproximateIndex(broken), r"embeddings\[7\] holds a NaN"),
        (lambda: ApproximateIndex(few, "hnsw", lists=3), "lists=3 means nothing to 'hnsw', which takes links and"),
        (lambda: ApproximateIndex(few, "flat", effort=3), "effort=3 means nothing to 'flat'"),
        (lambda: ApproximateIndex(few, "ivf", lists=0), "lists=0 is too few"),
        (lambda: ApproximateIndex(few, "hnsw", links=1), "links=1 is too few; give at least 2"),
        (lambda: ApproximateIndex(few, "ivf", lists=26), r"39 x 26 = 1,014 vectors.*there are 1,000. Choose lists=25"),
        (lambda: ApproximateIndex(few[:20], "ivf"), "there are 20. Choose kind='hnsw'"),
        (lambda: ApproximateIndex(few, "ivf-pq", parts=4), r"39 x 256 = 9,984 vectors.*there are 1,000"),
        (lambda: ApproximateIndex(GALLERY, "ivf-pq", parts=5), "parts=5 does not divide dim=16.*4, 8"),
        (lambda: ApproximateIndex(few, effort=0), "effort=0 must be at least 1"),
        (lambda: built["ivf"].search(QUERIES, effort=0), "effort=0 must be at least 1"),
        (lambda: built["flat"].search(QUERIES, effort=9), "effort=9 means nothing to 'flat'"),
        (lambda: built["ivf"].search(QUERIES, k=0), "k=0"),
        (lambda: built["ivf"].search(QUERIES, model="n"), "made by 'n', the index by 'm'"),
        (lambda: built["ivf"].search(QUERIES[:, :8]), "queries have 8 dimensions, the index 16"),
        (lambda: built["ivf"].add(few, model="n"), "embeddings were made by 'n'"),
        (lambda: recall_against_exact(built["ivf"], Index(few), QUERIES), "hold different vectors"),
        (lambda: recall_against_exact(built["ivf"], Index(GALLERY, similarity="inner"), QUERIES), "similarities"),
        (lambda: recall_against_exact(built["ivf"], Index(GALLERY, "n"), QUERIES), "made by 'n'"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
