"""Exact search against a full sort, on awkward sizes, with ties, saved and loaded, and every refusal."""

from __future__ import annotations

import errno
import json
import warnings

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from benchmarks.worker import Peak
from xmrlib.search import Index, exact


@pytest.fixture
def unchecked():
    """The class's own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def vectors(items: int, dim: int = 16, seed: int = 0, signs: bool = False) -> torch.Tensor:
    drawn = torch.randn(items, dim, generator=torch.Generator().manual_seed(seed))
    return drawn.sign() if signs else drawn


def sorted_search(items: torch.Tensor, queries: torch.Tensor, k: int):
    """Everything scored, everything sorted; the lower row first among equals."""
    scores = (queries.double() @ items.double().T).float()
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return scores.gather(1, order), order


@settings(max_examples=30, deadline=None)
@given(
    items=st.integers(1, 150),
    queries=st.integers(1, 9),
    k=st.integers(1, 30),
    memory=st.sampled_from([4, 400, 4_000, None]),
    signs=st.booleans(),
    group=st.sampled_from([3, 32]),
)
def test_equals_a_full_sort(items, queries, k, memory, signs, group):
    # Signs: sums of small integers are exact, and almost everything ties.
    gallery, wanted = vectors(items, signs=signs), vectors(queries, seed=1, signs=signs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "GROUP", group)
        scores, rows = Index(gallery, similarity="inner", memory=memory).search(wanted, k)
    expected_scores, expected_rows = sorted_search(gallery, wanted, k)
    assert rows.shape == (queries, min(k, items))
    assert torch.equal(rows, expected_rows)
    torch.testing.assert_close(scores, expected_scores)


def test_rising_scores_and_equal_scores():
    """The worst orders for a running threshold: every item better than all before, and every item the same."""
    rising = torch.arange(1.0, 5001)[:, None]
    scores, rows = Index(rising, similarity="inner", memory=4 * 2 * 600).search(torch.ones(2, 1), 3)
    assert rows.tolist() == [[4999, 4998, 4997]] * 2 and scores[0, 0] == 5000
    flat = Index(torch.ones(5000, 1), similarity="inner", memory=4 * 2 * 600)
    assert flat.search(torch.ones(2, 1), 4)[1].tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("k", [1, 5, 90])
def test_more_groups_than_wanted_and_fewer(k):
    """The first chunk is cut by the maxima of its groups, or by its own k-th score where it has fewer groups."""
    gallery, wanted = vectors(3000), vectors(3, seed=1)
    _, rows = Index(gallery, similarity="inner", memory=4 * 3 * 1000).search(wanted, k)
    assert torch.equal(rows, sorted_search(gallery, wanted, k)[1])


def test_the_answer_does_not_depend_on_how_it_was_computed():
    """Alone or in a batch, in one chunk or in many, in one part or in many: the same bits, copies in order of rows."""
    once = vectors(400, dim=200)
    gallery, wanted = once.repeat(6, 1)[:2303], vectors(33, dim=200, seed=1)
    scores, rows = Index(gallery).search(wanted, 12)
    # The five or six copies of a vector stand side by side, in order of rows; the sixth exists for some only.
    copies = rows[:, :5] % 400
    assert torch.equal(copies, copies[:, :1].expand(-1, 5)) and (rows[:, :5].diff(dim=1) == 400).all()
    parts = Index(gallery[:700], memory=50_000)
    parts.add(gallery[700:])
    for index in (Index(gallery, memory=5_000), parts):
        assert all(torch.equal(a, b) for a, b in zip(index.search(wanted, 12), (scores, rows), strict=True))
    alone = [Index(gallery).search(wanted[query : query + 1], 12) for query in range(33)]
    assert torch.equal(torch.cat([s for s, _ in alone]), scores) and torch.equal(torch.cat([r for _, r in alone]), rows)


def test_cosine_ignores_length_and_returns_cosines():
    gallery, wanted = vectors(300), vectors(4, seed=1)
    before = gallery.clone()
    scores, rows = Index(gallery * torch.rand(300, 1).add(0.1)).search(7 * wanted, 5)
    expected = torch.nn.functional.cosine_similarity(wanted[:, None], gallery[None], dim=2)
    assert torch.equal(rows, expected.argsort(dim=1, descending=True)[:, :5])
    torch.testing.assert_close(scores, expected.gather(1, rows))
    assert (np.diff(scores.numpy(), axis=1) <= 0).all()
    Index(gallery).search(wanted)
    assert torch.equal(gallery, before)  # what was handed over is not written to


def test_vectors_are_copied_only_where_they_must_be():
    gallery = torch.nn.functional.normalize(vectors(50))
    assert Index(gallery)._parts[0].data_ptr() == gallery.data_ptr()
    assert Index(2 * gallery, similarity="inner")._parts[0].shape == (50, 16)
    zero = Index(torch.cat([torch.zeros(1, 16), gallery]))
    assert zero.search(gallery[:1], 51)[0].isfinite().all() and zero.score(gallery[:1], torch.tensor([[0]])) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_of_any_precision_read_only_or_not_contiguous(dtype):
    gallery = vectors(40).numpy().astype(dtype)
    gallery.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, rows = Index(gallery).search(gallery[:5], 1)
        assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
        _, rows = Index(gallery[::2, ::2]).search(gallery[:6:2, ::2], 1)
        assert rows[:, 0].tolist() == [0, 1, 2]


def test_added_vectors_follow():
    gallery, wanted = vectors(500), vectors(6, seed=1)
    index = Index(gallery[:200])
    index.add(gallery[200:201])
    index.add(gallery[201:].numpy())
    assert len(index) == 500 and index.dim == 16
    for a, b in zip(index.search(wanted, 20), Index(gallery).search(wanted, 20), strict=True):
        assert torch.equal(a, b)


def test_many_small_additions_become_few_parts():
    gallery = vectors(300)
    index = Index(gallery[:1])
    for row in range(1, 300):
        index.add(gallery[row : row + 1])
    assert len(index) == 300 and len(index._parts) <= 9
    assert torch.equal(index.search(gallery[:50], 1)[1][:, 0], torch.arange(50))


def test_a_failed_addition_changes_nothing(unchecked):
    index = Index(vectors(10))
    with pytest.raises(ValueError, match="dimensions"):
        index.add(vectors(2, dim=3))
    assert len(index) == 10


def test_a_slice_is_an_index_of_its_own():
    gallery, wanted = vectors(50), vectors(3, seed=1)
    index = Index(gallery[:20], model="m")
    index.add(gallery[20:])
    for start, stop in [(0, 50), (5, 20), (20, 21), (15, 33)]:
        part = index.slice(start, stop)
        assert part.model == "m" and torch.equal(part.search(wanted)[1], Index(gallery[start:stop]).search(wanted)[1])
    with pytest.raises(ValueError, match="rows 20 to 20 are no part of 0 to 50"):
        index.slice(20, 20)


def test_score_is_the_cosine_at_given_rows(unchecked):
    gallery, wanted = vectors(70), vectors(4, seed=1)
    index, rows = Index(gallery[:30], memory=64), torch.tensor([[69, 0, 30], [1, 1, 1], [29, 30, 31], [5, 6, 7]])
    index.add(gallery[30:])
    expected = torch.nn.functional.cosine_similarity(wanted[:, None], gallery[rows], dim=2)
    torch.testing.assert_close(index.score(wanted, rows), expected)
    with pytest.raises(ValueError, match="rows run from 0 to 70, the index from 0 to 69"):
        index.score(wanted[:1], torch.tensor([[0, 70]]))
    with pytest.raises(ValueError, match="4 lines of rows for 3 queries"):
        index.score(wanted[:3], rows)


def test_more_wanted_than_there_are():
    scores, rows = Index(vectors(3)).search(vectors(2, seed=1), k=10)
    assert rows.shape == (2, 3) and rows.sort(dim=1).values.tolist() == [[0, 1, 2]] * 2
    assert torch.isfinite(scores).all()


def test_saved_and_loaded(tmp_path):
    index = Index(vectors(100), model="cca 1f3a", similarity="inner")
    index.add(vectors(20, seed=2), model="cca 1f3a")
    path = index.save(tmp_path / "deeper" / "pictures.index")
    assert [p.name for p in path.parent.iterdir()] == ["pictures.index"]  # nothing half-written is left
    again = Index.load(path, model="cca 1f3a")
    assert repr(again) == repr(index) == "Index(120 x 16, inner, made by cca 1f3a)"
    wanted = vectors(5, seed=1)
    for a, b in zip(index.search(wanted), again.search(wanted), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(again.to("cpu").search(wanted)[1], again.search(wanted)[1])
    again.add(vectors(1, seed=3))
    assert len(again.to("cpu")) == 121
    again.save(path)  # over the file that it was read from and still reads
    assert len(Index.load(path)) == 121 and again.search(wanted)[0].isfinite().all()


def test_files_that_are_refused(tmp_path):
    path = Index(vectors(100), model="cca 1f3a").save(tmp_path / "pictures.index")
    with pytest.raises(ValueError, match="made by 'cca 1f3a', not by 'sm 99'"):
        Index.load(path, model="sm 99")
    with pytest.raises(ValueError, match="spaces have nothing in common"):
        Index.load(path).search(vectors(1), model="sm 99")
    with pytest.raises(FileNotFoundError, match="there is no index at"):
        Index.load(tmp_path / "none")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read as an index"):
        Index.load(path)
    other = tmp_path / "weights.safetensors"
    save_file({"embeddings": torch.ones(2, 2)}, other)
    with pytest.raises(ValueError, match="is no index of xmrlib"):
        Index.load(other)
    save_file({"embeddings": torch.ones(2, 2)}, other, {"index": json.dumps(["no", "facts"])})
    with pytest.raises(ValueError, match="is no index of xmrlib"):
        Index.load(other)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = Index(vectors(5)).save(tmp_path / "pictures.index")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("xmrlib.search.files.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        Index(vectors(9)).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["pictures.index"] and len(Index.load(path)) == 5


def test_a_save_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done, fsync, replace = [], exact.os.fsync, exact.os.replace
    monkeypatch.setattr("xmrlib.search.files.os.fsync", lambda f: (done.append("fsync"), fsync(f)))
    monkeypatch.setattr("xmrlib.search.files.os.replace", lambda a, b: (done.append("name"), replace(a, b)))
    Index(vectors(5)).save(tmp_path / "pictures.index")
    assert done == ["fsync", "name", "fsync"]


def test_saving_copies_no_vectors(tmp_path):
    index = Index(vectors(40_000, dim=500), similarity="inner")  # 80 MB
    index.add(vectors(1000, dim=500))
    with Peak() as peak:
        index.save(tmp_path / "pictures.index")
    assert peak.megabytes < 40


def test_errors_at_the_door(unchecked):
    index = Index(vectors(10), model="a")
    broken, long = vectors(4), vectors(4)
    broken[2, 3], long[1, 0] = torch.nan, 1e20
    for call, message in [
        (lambda: index.search(vectors(2, dim=8)), "queries have 8 dimensions, the index 16"),
        (lambda: index.add(vectors(2, dim=8)), "embeddings have 8 dimensions, the index 16"),
        (lambda: index.add(vectors(2), model="b"), "made by 'b', the index by 'a'"),
        (lambda: index.search(vectors(2), k=0), "k=0"),
        (lambda: index.search(broken), r"queries\[2\] holds a NaN"),
        (lambda: Index(broken), r"embeddings\[2\] holds a NaN"),
        (lambda: Index(broken.nan_to_num(torch.inf)), r"embeddings\[2\] holds a NaN"),
        (lambda: Index(long), r"embeddings\[1\] has the length 1.0e\+20"),
        (lambda: Index(torch.ones(3)), r"must be \(item, dim\)"),
        (lambda: Index(torch.ones(0, 3)), "at least one item"),
        (lambda: Index(torch.ones(3, 0)), "one dimension"),
        (lambda: Index(torch.ones(2, 3), similarity="l2"), "similarity='l2'"),
        (lambda: Index(torch.ones(2, 3), memory=1), "cannot hold one score"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_answers_as_the_cpu():
    gallery, wanted = vectors(20_000, dim=64), vectors(50, dim=64, seed=1)
    (scores, rows), (there, found) = Index(gallery).search(wanted), Index(gallery).to("cuda").search(wanted)
    assert found.is_cuda and torch.equal(rows, found.cpu())
    torch.testing.assert_close(scores, there.cpu())
