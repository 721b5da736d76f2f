"""One gallery over two and three processes: the same bits as in one, for uneven shares, small shares and ties."""

from __future__ import annotations

import datetime
import multiprocessing as standard_multiprocessing

import pytest
import torch
from torch import distributed, multiprocessing

from xmrlib.search import Index, ShardedIndex

K = 12


def vectors(items: int, dim: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(items, dim, generator=torch.Generator().manual_seed(seed))


def galleries() -> dict[str, torch.Tensor]:
    """Without ties; with copies of few vectors, so that ties cross every border; fewer than k; fewer than processes.

    The copies are signs, of length 8, whose products no order of summation can round.
    """
    return {
        "distinct": vectors(700),
        "copies": vectors(9).sign().repeat(60, 1),
        "few": vectors(7),
        "fewest": vectors(2),
    }


def process(number: int, folder: str, together: int) -> None:
    """What each process does; an assertion that fails here fails the test."""
    torch.set_num_threads(1)
    limit = datetime.timedelta(seconds=120)
    where = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", init_method=where, rank=number, world_size=together, timeout=limit)
    pair = distributed.new_group([together - 2, together - 1])
    for group, place, processes in [(None, number, together), (pair, number - together + 2, 2)]:
        if place >= 0:
            check_answers(folder, group, place, processes)
            check_refusals(group, place)
    distributed.barrier()
    distributed.destroy_process_group()


def check_answers(folder: str, group, place: int, processes: int) -> None:
    for name, gallery in galleries().items():
        wanted = vectors(11, seed=1).sign() if name == "copies" else vectors(11, seed=1)
        expected = Index(gallery).search(wanted, K)
        # Even shares, from a file; then the first share holds nearly all, then the last one.
        indexes, most = [ShardedIndex.load(f"{folder}/{name}.index", "m", group=group)], len(gallery) - processes + 1
        for sizes in ([most, *[1] * (processes - 1)], [*[1] * (processes - 1), most]):
            if most > 0:
                indexes.append(ShardedIndex(Index(gallery.split(sizes)[place]), group))
        for index in indexes:
            assert len(index) == len(gallery)
            # The first process's queries count, whatever the others hand over.
            for queries in (wanted if place == 0 else None, wanted if place == 0 else vectors(3, seed=5)):
                found = index.search(queries, K if place == 0 else 3)
                assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1]), name


def check_refusals(group, place: int) -> None:
    index = ShardedIndex(Index(vectors(20), "m"), group)
    bad = [(vectors(2, dim=3), 5, "", "queries have 3 dimensions"), (vectors(2), 0, "", "k=0")]
    bad += [(vectors(2), 5, "n", "made by 'n', the index by 'm'"), (None, 5, "", "must hand over the queries")]
    for queries, k, model, message in bad:
        kind, message = (ValueError, message) if place == 0 else (RuntimeError, "the first process refused")
        with pytest.raises(kind, match=message):
            index.search(queries, k, model)
    assert len(index.search(vectors(2), 5, "m")[1]) == 2  # and goes on after a refusal
    for own, message in [
        (Index(vectors(4, dim=64 - (place > 0)), "m"), "process 1 has 63 dimensions, not 64"),
        (Index(vectors(4), f"m{place > 0}"), "process 1 has another model"),
        (Index(vectors(4), similarity="inner" if place else "cosine"), "process 1 has another model"),
        (Index(vectors(4)) if place else None, "first process holds no vectors"),
    ]:
        with pytest.raises(ValueError, match=message):
            ShardedIndex(own, group)


def test_two_and_three_processes_answer_as_one(tmp_path):
    for name, gallery in galleries().items():
        Index(gallery, "m").save(tmp_path / f"{name}.index")
    # Torch is imported once, and not in each process.
    standard_multiprocessing.set_forkserver_preload(["xmrlib.search"])
    multiprocessing.start_processes(process, (str(tmp_path), 3), nprocs=3, start_method="forkserver")


def test_one_process_is_a_plain_index(tmp_path):
    gallery, wanted = vectors(30), vectors(4, seed=1)
    plain = Index(gallery, "m")
    for index in (ShardedIndex(plain), ShardedIndex.load(plain.save(tmp_path / "index"), "m")):
        assert len(index) == 30 and index.dim == 64
        assert repr(index) == "ShardedIndex(30 x 64, process 0 of 1: Index(30 x 64, cosine, made by m))"
        for a, b in zip(index.search(wanted, 5, "m"), plain.search(wanted, 5), strict=True):
            assert torch.equal(a, b)
    with pytest.raises(ValueError, match="made by 'm', not by 'n'"):
        ShardedIndex.load(tmp_path / "index", "n")
    with pytest.raises(ValueError, match="first process holds no vectors"):
        ShardedIndex(None)
