"""CRAN on small files in the formats of real data: it learns, sees the places of regions, scores, and is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

# The last four make the files.
from test_data_captions import common, flickr, regions, with_boxes  # noqa: F401
from training_cran import GROUNDED, SIZES

import xmrlib
from xmrlib import evaluate, methods
from xmrlib.data import coco, flickr30k
from xmrlib.features import published, windows
from xmrlib.methods import CRAN, CRANConfig

SMALL = SIZES | {"epochs": 1, "batch": 5}
MEAN = {"image_view": "regions"}  # a folder of precomputed regions brings nothing else
PIXELS = np.array([640, 480])


def in_shares(folder):
    return with_boxes(folder)["test"]


def in_pixels(folder):
    made = with_boxes(folder)
    for stem, boxes in made.items():
        np.save(folder / f"{stem}_boxes.npy", boxes * np.tile(PIXELS, 2))
        np.save(folder / f"{stem}_img_sizes.npy", np.tile(PIXELS, (len(boxes), 1)))
    return made["test"]


def without(folder):
    return np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (4, 1))


def ten(folder):
    return windows("ten")


def cells(folder):
    y, x = (place.reshape(-1) / 7 for place in np.indices((7, 7)))
    return np.stack([x, y, x + 1 / 7, y + 1 / 7], axis=1)


@pytest.mark.parametrize(
    ("folder", "file", "settings", "boxes"),
    [
        ("regions", "", MEAN | GROUNDED, in_shares),
        ("regions", "", MEAN, in_pixels),
        ("regions", "", MEAN | {"geometry": "none"}, without),
        ("flickr", flickr30k.FILE, {}, ten),
        ("common", coco.FILE, GROUNDED, ten),
        ("flickr", flickr30k.FILE, GROUNDED | {"image_regions": "grid"}, cells),
    ],
    ids=["boxes-in-shares", "boxes-in-pixels", "no-boxes", "flickr30k", "coco", "grid"],
)
def test_small_files_are_learnt(folder, file, settings, boxes, request, tmp_path):
    folder = request.getfixturevalue(folder)
    expected = torch.as_tensor(boxes(folder)).float()
    data = xmrlib.data.load(folder / file)
    model = learns(data, settings, tmp_path)
    _, _, found, mask = model._seen(model.image_side.features(data.test.images))
    assert mask.all() and torch.allclose(found, expected.expand_as(found), atol=1e-6)


def test_the_regions_of_a_detector_are_learnt(flickr, tmp_path, monkeypatch):  # noqa: F811
    network = published.Detector(weights="random", min_size=64)
    monkeypatch.setattr(published, "detector", lambda name: network)
    data = xmrlib.data.load(flickr / flickr30k.FILE)
    model = learns(data, MEAN | {"regions_backbone": "fasterrcnn"}, tmp_path)
    _, features, found, mask = model._seen(model.image_side.features(data.test.images))
    own, boxes = network.regions(data.test.images[1])
    assert torch.allclose(found[1][mask[1]], boxes) and torch.allclose(features[1][mask[1]], own, rtol=1e-3, atol=1e-4)


def learns(data, settings, folder) -> CRAN:
    """Fitted on the training split; with finite losses and scores, the same after it was written and read."""
    model = CRAN(CRANConfig(**SMALL | settings)).fit(data.train, val=data.val)
    assert all(math.isfinite(value) for line in model.history for value in line.values() if isinstance(value, float))
    levels = model.level_scores(data.test)
    for found in levels.values():
        assert found.shape == (len(data.test), len(data.test.texts)) and torch.isfinite(found).all()
        assert found.std() > 0, "what is the same for every pair says nothing"
    scores = model.similarity(data.test)
    assert torch.allclose(scores, sum(levels.values()))
    assert all(0 <= value <= 1 for value in evaluate.recall(scores, data.test.image_of_text).i2t.values())
    back = methods.load(model.save(folder / "model"))
    assert torch.equal(back.similarity(data.test), scores)
    return model
