"""MCSM's evaluation: two spaces fused, and Recall@K in both directions, from the embeddings on.

Five texts an image; image queries are fused along the texts and text queries along the images, so that there are two
fused matrices. The floor is the products of the two spaces, images with texts, each made once, in tiles, and thrown
away. Ours makes each once too and holds two matrices; one direction at a time, each is made twice, and one is held.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from benchmarks.evaluate import Task, captions, recalls
from xmrlib.evaluate import recall
from xmrlib.methods.mcsm_both import fuse_both_ways
from xmrlib.methods.mcsm_fusion import fuse, fuse_embeddings


def embedded(images: int, dim: int) -> dict:
    """Unit vectors of images and of five texts each in two spaces, in each of which the own texts are near."""
    spaces = [captions(images, dim, seed=seed) for seed in (0, 1)]
    sides = [(space["images"], space["texts"]) for space in spaces]
    return {"visual": sides[0], "textual": sides[1], "image_of_text": spaces[0]["image_of_text"]}


def evaluated(fused: Callable[[int], Tensor], data: dict) -> dict:
    """What each direction's own matrix says of it."""
    own = data["image_of_text"]
    i2t = recall(fused(1), own).places_i2t
    t2i = recall(fused(0), own).places_t2i
    return recalls(i2t.expected() - 1, t2i.expected() - 1)


def both_ways(data: dict) -> dict:
    for_images, for_texts = fuse_both_ways(data["visual"], data["textual"])
    return evaluated(lambda axis: for_images if axis == 1 else for_texts, data)


def one_way_at_a_time(data: dict) -> dict:
    return evaluated(lambda axis: fuse_embeddings(data["visual"], data["textual"], axis=axis), data)


def by_matrices(data: dict) -> dict:
    """Both spaces' similarities whole, as the formula stands."""
    v, t = (images @ texts.T for images, texts in (data["visual"], data["textual"]))
    return evaluated(lambda axis: fuse(v, t, axis=axis), data)


def floor(data: dict) -> dict:
    for images, texts in (data["visual"], data["textual"]):
        for part in images.split(512):
            part @ texts.T
    return {}


TASKS = {
    "mcsm": Task(
        data=embedded,
        warm={"images": 64, "dim": 8},
        sizes=({"images": 5000, "dim": 1024}, {"images": 5000, "dim": 4096}),
        quick=({"images": 500, "dim": 256},),
        methods={
            "xmrlib": both_ways,
            "xmrlib, one direction at a time": one_way_at_a_time,
            "full matrices": by_matrices,
            "floor (matrix products)": floor,
        },
        agree=1e-3,  # products of other shapes round differently, and a few of thousands of places move
    ),
}
