"""The benchmark of a GPU, tried out where there is none."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks import cran, gpu

CPU = torch.device("cpu")


def test_every_form_of_cran_is_timed_beside_its_products(monkeypatch, capsys):
    monkeypatch.setattr(cran, "features", partial(cran.features, dim=8))
    found = list(gpu.relate(partial(gpu.line, CPU, 1), CPU, scale=500))
    few, many = ({"images": n, "texts": 5 * n, "regions": r} for n, r in ((10, 5), (2, 36)))
    assert [row["size"] for row in found] == 6 * [few] + 2 * [many]
    assert [row["task"] for row in found[::2]] == [*cran.FORMS, "cran"]
    assert [row["method"] for row in found] == 4 * ["xmrlib", "floor (matrix products)"]
    assert all(row["seconds"] > 0 for row in found) and len(capsys.readouterr().out.splitlines()) == len(found)


def test_values_are_compared_form_by_form():
    worst = gpu.check(CPU)
    assert {f"{name}, mean" for name in cran.FORMS} < set(worst) and set(worst.values()) == {0.0}
