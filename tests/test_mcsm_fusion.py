"""MCSM's fusion some queries at a time: the same as of whole matrices, in little memory."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from benchmarks.worker import Peak
from xmrlib.methods import mcsm_both, mcsm_fusion
from xmrlib.methods.mcsm_both import fuse_both_ways
from xmrlib.methods.mcsm_fusion import WEIGHED, fuse, fuse_embeddings, rescaled

BOUNDS = ((-0.3, 0.6), (-0.2, 0.4))
HOW = ("adaptive", "sum", "max", "rank", "product")


def spaces(images=11, texts=17, seed=0, dims=(6, 9), dtype=torch.float64):
    """Unit vectors of both sides in two spaces of different width."""
    rng = torch.Generator().manual_seed(seed)
    return tuple(
        tuple(normalize(torch.randn(n, dim, generator=rng, dtype=dtype), dim=1) for n in (images, texts))
        for dim in dims
    )


def whole(visual, textual, *settings):
    """By definition: both matrices of similarities, then one."""
    return fuse(visual[0] @ visual[1].T, textual[0] @ textual[1].T, *settings)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block", [1, 34, 51, 60, 10_000])
def test_by_blocks_is_as_the_whole(how, axis, block, monkeypatch):
    # 34 scores are two of the eleven rows, or three of the seventeen columns: what is left over is less than a block.
    monkeypatch.setitem(mcsm_fusion.BLOCK, "cpu", block)
    for seed, (images, texts) in enumerate([(11, 17), (1, 17), (11, 1)]):
        found = spaces(images, texts, seed)
        for weight in (0.5, 0.3) if how in WEIGHED else (0.5,):
            for bounds in (None,) if how == "rank" else (None, BOUNDS):
                expected = whole(*found, how, weight, axis, bounds)
                torch.testing.assert_close(fuse_embeddings(*found, how, weight, axis, bounds), expected)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("block", [1, 34, 51, 10_000])
def test_both_ways_are_both_wholes(how, block, monkeypatch):
    monkeypatch.setitem(mcsm_both.BLOCK, "cpu", block)
    for seed, (images, texts) in enumerate([(11, 17), (1, 17), (11, 1)]):
        found = spaces(images, texts, seed)
        for weight in (0.5, 0.3) if how in WEIGHED else (0.5,):
            for axis, fused in zip((1, 0), fuse_both_ways(*found, how, weight), strict=True):
                torch.testing.assert_close(fused, whole(*found, how, weight, axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_query_sees_its_whole_gallery_and_no_other_query(axis, monkeypatch):
    monkeypatch.setitem(mcsm_fusion.BLOCK, "cpu", 40)
    found = spaces()
    fused = fuse_embeddings(*found, "product", axis=axis)
    assert (fused >= 0).all() and fused.amax(dim=axis).max() <= 1
    # Where both spaces are one, each query has one item at r = 1 and one at r = 0, so that all galleries were whole.
    own = fuse_embeddings(found[0], found[0], "product", axis=axis)
    assert (own.amax(dim=axis) == 1).all() and (own.amin(dim=axis) == 0).all()
    few = tuple((i[:4], t) if axis == 1 else (i, t[:4]) for i, t in found)
    part = fused[:4] if axis == 1 else fused[:, :4]
    torch.testing.assert_close(fuse_embeddings(*few, "product", axis=axis), part)


def test_embeddings_stay_as_they_are():
    found, before = spaces(), spaces()
    for how in HOW:
        fuse_embeddings(*found, how)
        v, t = (i @ x.T for i, x in found)
        kept = v.clone(), t.clone()
        fuse(v, t, how)
        assert torch.equal(v, kept[0]) and torch.equal(t, kept[1])
    assert all(torch.equal(a, b) for x, y in zip(found, before, strict=True) for a, b in zip(x, y, strict=True))


def test_what_is_no_number_is_not_hidden():
    """It would be refused by every measure."""
    scores = torch.tensor([[0.1, math.nan, 0.3], [0.1, 0.2, 0.3]])
    assert rescaled(scores).isnan().tolist() == [[True] * 3, [False] * 3]
    assert not rescaled(torch.full((2, 3), 0.2)).any()


def test_the_result_is_all_that_grows(monkeypatch):
    for module in (mcsm_fusion, mcsm_both):
        monkeypatch.setitem(module.BLOCK, "cpu", 1 << 18)  # 1 MB a space
    found = spaces(1000, 10_000, dims=(8, 8), dtype=torch.float32)
    for axis in (0, 1):
        with Peak() as peak:
            fused = fuse_embeddings(*found, axis=axis)
        assert peak.megabytes < 65, "40 MB are the result's; both matrices would be 80 MB more"
        del fused
    with Peak() as peak:
        fuse_both_ways(*found)
    assert peak.megabytes < 105, "80 MB are the two results'"


def test_spaces_of_other_items_are_refused():
    visual, textual = spaces(4, 6)
    unchecked = getattr(fuse_embeddings, "__wrapped__", fuse_embeddings)
    with pytest.raises(
        ValueError, match="holds 4 images and 6 texts, the textual one 4 and 5; both must hold the same"
    ):
        unchecked(visual, (textual[0], textual[1][:5]))
    with pytest.raises((ValueError, TypeError), match="holds 4 images|textual"):
        fuse_both_ways(visual, (textual[0], textual[1][:5]))
    with pytest.raises(ValueError, match="axis=2 is neither 1"):
        fuse_embeddings(visual, textual, axis=2)
    with pytest.raises(ValueError, match="has no use for bounds"):
        fuse_embeddings(visual, textual, "rank", bounds=BOUNDS)
