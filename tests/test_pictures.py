"""A backbone that is trained with the rest: what it sees, which of its weights there are, how they move, and files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from test_networks import pairs
from training_cut import cut_at

from xmrlib import features, methods
from xmrlib.data.pairs import DataError, Images, Pairs
from xmrlib.features.backbones import BACKBONES, backbone
from xmrlib.features.published import published
from xmrlib.methods import MCSM, CMGANs, CMGANsConfig, MCSMConfig
from xmrlib.methods.network import NetworkMethod
from xmrlib.methods.pictures import PictureSide, Trunk, groups
from xmrlib.stages import Run

SIZE = 32
TRAINED = {"backbone_rate": 1e-3, "backbone_size": SIZE, "epochs": 2, "batch": 4, "learning_rate": 1e-2}
WORDS = {"text_options": {"min_count": 1}}
SMALL = {"word_dim": 8, "dim": 16, "scaling": "standard"}
OF_MCSM = WORDS | SMALL | {"text_whole_options": {"min_count": 1}, "kernels": (2,), "maps": (12,), "pools": (2,)}
OF_MCSM |= {"image_hidden": 12, "text_hidden": 12}
OF_CMGANS = WORDS | SMALL | {"text_view": "tokens", "encoder": "conv", "hidden": 16, "inter_hidden": 16, "text_maps": 4}
OF_CMGANS |= {"image_maps": 16, "text_widths": (1, 2)}
MODELS = {
    "mcsm": (MCSM, MCSMConfig, OF_MCSM),
    "cmgans cells": (CMGANs, CMGANsConfig, OF_CMGANS | {"image_view": "grid"}),
    "cmgans whole": (CMGANs, CMGANsConfig, OF_CMGANS | {"image_view": "whole"}),
}
EACH = pytest.mark.parametrize("name", MODELS)


def pictures(size=8, seed=0) -> Pairs:
    """Pairs whose images are pictures and nothing else."""
    drawn = np.random.default_rng(seed).integers(0, 256, (size, 40, 30, 3), dtype=np.uint8)
    images = Images(tuple(f"i{i}" for i in range(size)), picture=lambda row: Image.fromarray(drawn[row]))
    return dataclasses.replace(pairs(size, seed=seed), images=images)


def model(name: str, **settings) -> NetworkMethod:
    kind, config, own = MODELS[name]
    return kind(config(**own | TRAINED | settings))


def trunks(network: torch.nn.Module) -> list[Trunk]:
    return [module for module in network.modules() if isinstance(module, Trunk)]


def test_pictures_come_as_the_backbone_frames_them():
    data = pictures()
    side = PictureSide("lite0", SIZE, ("grid", "whole")).fit(data.images)
    found = side.features(data.images)
    assert len(found.views) == 2 and found.views[0] is found.views[1]
    assert torch.equal(found.views[0], features.view(data.images, "pixels", size=SIZE))
    assert torch.equal(side.features([data.images[3]]).views[0][0], found.views[0][3])
    assert side.dim == [1280, 1280]
    assert side.state()["pixels"] == backbone("lite0", SIZE).fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 3, SIZE, SIZE), "of torch.float32"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), r"\(n, 3, 32, 32\) of torch.uint8, not \(2, 3, 64, 64\)"),
    ],
    ids=["floats", "another size"],
)
def test_what_are_no_pictures_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        PictureSide("lite0", SIZE, ("grid",)).features(given)


@EACH
def test_data_without_pictures_are_refused(name):
    with pytest.raises(DataError, match="needs pictures, and these images have none; they bring 'vector'"):
        model(name).fit(pairs())


@pytest.mark.parametrize("view", ["grid", "whole"])
def test_before_it_moves_a_trunk_gives_the_features_of_its_backbone(view):
    data = pictures(5)
    pixels = PictureSide("lite0", SIZE, (view,)).features(data.images).views[0]
    trunk = Trunk("lite0", SIZE, view).train()
    expected = features.view(data.images, view, size=SIZE, dtype=torch.float32)
    with torch.no_grad():
        assert torch.allclose(trunk(pixels), expected, atol=2e-3, rtol=2e-3)  # the grid is kept in half precision
    assert torch.allclose(trunk(pixels), expected, atol=2e-3, rtol=2e-3)
    assert torch.allclose(trunk(pixels[:1])[0], trunk(pixels)[0], atol=1e-4)  # whatever is in its batch


def test_layers_that_a_view_does_not_pass_are_left_out(monkeypatch):
    monkeypatch.setitem(BACKBONES, "resnet50", lambda size: published("resnet50", size, weights="random"))
    backbone.cache_clear()
    trunk, whole = Trunk("resnet50", SIZE, "grid"), published("resnet50", SIZE, weights="random").build()
    count = sum(parameter.numel() for parameter in trunk.parameters())
    assert count == sum(p.numel() for p in whole.parameters()) - 2048 * 1000 - 1000
    assert not [name for name, _ in trunk.named_parameters() if ".fc." in name]
    assert all(parameter.requires_grad for parameter in trunk.parameters())
    backbone.cache_clear()


@EACH
def test_it_learns_with_the_rest_and_goes_into_a_file(name, tmp_path):
    data = pictures()
    fitted = model(name).fit(data, val=pictures(6, seed=3))
    own = trunks(fitted.network)
    assert len(own) == (2 if name == "mcsm" else 1)
    for trunk in own:
        fresh = Trunk("lite0", SIZE, trunk.view).state_dict()
        moved = [key for key, tensor in trunk.state_dict().items() if not torch.equal(tensor, fresh[key])]
        assert moved == list(fresh)  # each of its weights and biases
    if name == "mcsm":  # no parameter is shared between the spaces
        assert not torch.equal(next(own[0].parameters()), next(own[1].parameters()))
    back = methods.load(fitted.save(tmp_path))
    assert back.config == fitted.config
    scores = fitted.similarity(data)
    assert torch.equal(back.similarity(data), scores)
    assert torch.allclose(back.similarity(data.images.select(np.array([2])), data.texts), scores[2:3], atol=1e-3)
    one = back.similarity(data.images[2], data.texts)  # a picture by itself
    assert torch.allclose(one, scores[2:3], atol=1e-3)


@EACH
def test_it_moves_at_its_own_rate(name):
    data = pictures()
    slow, fast = (trunks(model(name, backbone_rate=rate).fit(data).network)[0] for rate in (1e-9, 1e-3))
    fresh = Trunk("lite0", SIZE, slow.view)
    for key, tensor in fresh.state_dict().items():
        assert torch.allclose(slow.state_dict()[key], tensor, atol=1e-6), key
    most = max((fast.state_dict()[key] - tensor).abs().max() for key, tensor in fresh.state_dict().items())
    assert most > 1e-4


def test_the_rest_keeps_its_rate():
    config = MCSMConfig.small(backbone_rate=1e-5)
    layers = torch.nn.ModuleDict({"trunk": torch.nn.Linear(2, 2), "out": torch.nn.Linear(2, 1)})
    found = groups(config, layers.named_parameters())
    assert [group.get("lr") for group in found] == [None, 1e-5]
    assert found[1]["params"] == list(layers["trunk"].parameters())
    layers["out"].weight.requires_grad_(False)
    assert groups(MCSMConfig.small(), layers["out"].named_parameters()) == [{"params": [layers["out"].bias]}]


@pytest.mark.parametrize("name", ["mcsm", "cmgans cells"])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(name, tmp_path):
    data, last = pictures(), {"mcsm": "textual space", "cmgans cells": "CM-GANs"}[name]
    whole = model(name).fit(data)
    with cut_at(MODELS[name][0], last, 3):
        model(name).fit(data, run=Run(out=tmp_path, save_seconds=0))
    resumed = model(name).fit(data, run=Run(out=tmp_path, save_seconds=0))
    assert all(torch.equal(tensor, resumed.tensors[key]) for key, tensor in whole.tensors.items())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (MCSMConfig, {"backbone_rate": 0.0}, "backbone_rate=0.0 must be positive, or None"),
        (MCSMConfig, {"backbone_rate": 1e-4, "image_regions": "regions"}, "image_regions='regions' is computed once"),
        (MCSMConfig, {"backbone_rate": 1e-4, "image_view": "sift"}, "Set image_view to 'whole', or backbone_rate to"),
        (CMGANsConfig, {"backbone_rate": 1e-4}, 'Set encoder="conv", or leave backbone_rate out'),
        (
            CMGANsConfig,
            {"backbone_rate": 1e-4, "encoder": "conv", "text_view": "tokens", "image_view": "regions"},
            "Set image_view to 'grid'",
        ),
    ],
    ids=lambda found: str(found) if isinstance(found, dict) else "",
)
def test_wrong_settings_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_a_space_alone_needs_its_own_view_only():
    assert MCSMConfig(backbone_rate=1e-4, spaces="textual", image_regions="regions").spaces == "textual"
    fitted = model("mcsm", spaces="visual").fit(pictures())
    assert [trunk.view for trunk in trunks(fitted.network)] == ["grid"]
    assert fitted.image_attention(pictures().images).shape == (8, 1)  # 32 pixels are one cell
