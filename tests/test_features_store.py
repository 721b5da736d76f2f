"""The feature store: killed, shared, cut short, altered, full; it never gives a wrong row."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrlib.features.store import FeatureStore, Field, StoreError, identity

FIELDS = {"features": Field((3, 5), "float32"), "mask": Field((3,), "bool")}
needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="kills a forked process")


def truth(rows: np.ndarray) -> dict[str, np.ndarray]:
    """What belongs into some rows."""
    rows = np.asarray(rows)
    features = rows[:, None, None] + np.arange(15).reshape(3, 5) / 16
    return {"features": features.astype(np.float32), "mask": (rows[:, None] >> np.arange(3)) % 2 == 1}


def check(found: dict[str, np.ndarray], rows: np.ndarray) -> None:
    for name, block in truth(rows).items():
        np.testing.assert_array_equal(found[name], block)


class Counted:
    """`truth`, with a note of the rows asked for."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        self.rows += rows.tolist()
        return truth(rows)


def test_computes_only_what_is_asked_and_only_once(tmp_path):
    compute = Counted()
    store = FeatureStore(tmp_path, 50, FIELDS)
    rows = np.array([7, 3, 3, 40])
    check(store.fill(rows, compute), rows)
    assert sorted(compute.rows) == [3, 7, 40]
    again = FeatureStore(tmp_path, 50, FIELDS)
    rows = np.array([40, 41, 7])
    check(again.fill(rows, compute), rows)
    assert sorted(compute.rows) == [3, 7, 40, 41]
    assert again.missing(np.arange(50)).tolist() == [row for row in range(50) if row not in (3, 7, 40, 41)]


@settings(max_examples=20, deadline=None)
@given(
    asked=st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=12), min_size=1, max_size=4),
    batch=st.integers(1, 5),
)
def test_any_order_of_requests(tmp_path_factory, asked, batch):
    folder = tmp_path_factory.mktemp("store")
    for rows in map(np.array, asked):
        check(FeatureStore(folder, 20, FIELDS).fill(rows, truth, batch), rows)


def slowly(folder, log, pause) -> None:
    """Fill a store, with a note on disk of each batch before it is computed."""

    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        with open(log, "a") as file:
            file.write(f"{len(rows)}\n")
        time.sleep(pause)
        return truth(rows)

    FeatureStore(folder, 400, FIELDS).fill(np.arange(400), compute, batch=8)


@needs_fork
def test_kill_9_costs_at_most_the_batch_in_flight(tmp_path):
    fork = multiprocessing.get_context("fork")
    done = 0
    for attempt in range(6):
        log = tmp_path / f"log-{attempt}"
        process = fork.Process(target=slowly, args=(tmp_path / "store", log, 0.004))
        process.start()
        while not log.exists() and process.is_alive():
            time.sleep(0.001)
        time.sleep(0.02 + 0.007 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        begun = sum(map(int, log.read_text().split()))
        store = FeatureStore(tmp_path / "store", 400, FIELDS)
        kept = 400 - len(store.missing(np.arange(400)))
        assert kept - done >= begun - 8, "more than the batch in flight is lost"
        rows = np.flatnonzero(~np.isin(np.arange(400), store.missing(np.arange(400))))
        values, whole = store.read(rows)
        assert whole.all()
        check(values, rows)
        done = kept
    assert 0 < done
    compute = Counted()
    check(FeatureStore(tmp_path / "store", 400, FIELDS).fill(np.arange(400), compute), np.arange(400))
    assert len(compute.rows) == 400 - done


@needs_fork
def test_several_processes_share_the_work(tmp_path):
    fork = multiprocessing.get_context("fork")
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    processes = [fork.Process(target=slowly, args=(tmp_path / "store", log, 0.001)) for log in logs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum(int(n) for log in logs if log.exists() for n in log.read_text().split()) == 400
    check(FeatureStore(tmp_path / "store", 400, FIELDS).read(np.arange(400))[0], np.arange(400))


def filled(folder) -> FeatureStore:
    store = FeatureStore(folder, 30, FIELDS)
    store.fill(np.arange(20), truth)
    return store


def test_an_altered_row_is_noticed_and_made_again(tmp_path):
    filled(tmp_path)
    path = tmp_path / "features.npy"
    content = bytearray(path.read_bytes())
    content[-30 * 60 + 5 * 60 + 2] ^= 1  # one bit in row 5
    path.write_bytes(content)
    store = FeatureStore(tmp_path, 30, FIELDS)
    assert not store.read(np.array([5]))[1].any()
    compute = Counted()
    with pytest.warns(UserWarning, match=r"1 row.*checksum.*first: 5"):
        check(store.fill(np.arange(20), compute), np.arange(20))
    assert compute.rows == [5]


def test_verify_finds_swapped_rows(tmp_path):
    store = filled(tmp_path)
    store.write(np.array([2]), truth(np.array([3])))
    marks = np.load(tmp_path / "marks.npy", mmap_mode="r+")
    marks[2] = marks[3]  # row 3 with its own mark, in the place of row 2
    marks.flush()
    again = FeatureStore(tmp_path, 30, FIELDS)
    assert again.verify().tolist() == [2]
    assert 2 in again.missing(np.arange(20))
    assert filled(tmp_path / "other").verify().tolist() == []
    assert FeatureStore(tmp_path / "empty", 5, FIELDS).verify().tolist() == []


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("features.npy", lambda path: os.truncate(path, path.stat().st_size - 7), "bytes instead of"),
        ("marks.npy", lambda path: path.write_bytes(b"not an array"), "cannot be read"),
        ("mask.npy", lambda path: path.unlink(), "is missing"),
        ("features.npy", lambda path: np.save(path, np.zeros((30, 2))), "instead of float32"),
    ],
)
def test_a_damaged_file_is_named_and_begun_again(tmp_path, name, harm, said):
    filled(tmp_path)
    harm(tmp_path / name)
    with pytest.warns(UserWarning, match=f"(?s){name}.*{said}.*computed again"):
        store = FeatureStore(tmp_path, 30, FIELDS)
    assert len(store.missing(np.arange(30))) == 30
    check(store.fill(np.arange(30), truth), np.arange(30))


def test_a_full_disk_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    store = filled(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left.*XMR_CACHE"):
        store.fill(np.arange(30), truth)
    monkeypatch.undo()
    check(store.fill(np.arange(30), truth), np.arange(30))


def test_wrong_shapes_are_refused(tmp_path):
    store = FeatureStore(tmp_path, 4, FIELDS)
    with pytest.raises(StoreError, match=r"'features' must be \(1, 3, 5\), not \(1, 5, 3\)"):
        store.write(np.array([0]), {"features": np.zeros((1, 5, 3)), "mask": np.zeros((1, 3), bool)})


def test_an_error_in_the_middle_keeps_what_was_finished(tmp_path):
    def fails(rows: np.ndarray) -> dict[str, np.ndarray]:
        if 9 in rows:
            raise ValueError("image 9 is unreadable")
        return truth(rows)

    store = FeatureStore(tmp_path, 20, FIELDS)
    with pytest.raises(ValueError, match="image 9"):
        store.fill(np.arange(20), fails, batch=4)
    assert store.missing(np.arange(20)).tolist() == list(range(8, 20))


def test_identity_sees_every_part():
    base = dict(images="a", view="whole", backbone="x", options={"most": 12})
    names = {identity(**base)} | {
        identity(**{**base, key: value})
        for key, value in [("images", "b"), ("view", "grid"), ("backbone", "y"), ("options", {"most": 11})]
    }
    assert len(names) == 5
