"""CCL as a method: five trainings that can be broken off, and switches that reach what they should."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from test_networks import pairs
from training_cut import cut_at

from xmrlib import evaluate
from xmrlib.data.pairs import Pairs
from xmrlib.features.views import Regions
from xmrlib.methods import CCL, CCLConfig
from xmrlib.methods.ccl_layers import classifier_stage
from xmrlib.methods.ccl_network import Balance, Branch, CCLNetwork, FeatureScaling, contrastive_loss
from xmrlib.methods.several import Several
from xmrlib.methods.sides import views_of
from xmrlib.stages import Run

WORDS = {"text_options": {"min_count": 1}, "text_parts_options": {"encoder": "bow", "options": {"min_count": 1}}}
SIZES = {name: 16 for name in ("image_hidden", "text_hidden", "code", "fused", "separate", "hidden", "dim")}
EPOCHS = dict.fromkeys(("pretraining_epochs", "association_epochs", "fusion_epochs", "supervised_epochs", "epochs"), 3)
OWN = {"image_view": "vector", "image_parts": "regions", "batch": 8, "learning_rate": 1e-2} | WORDS | SIZES | EPOCHS
LEARNT = {"supervised_epochs": 25, "epochs": 30}
ORDER = ("stacks", "associations", "joints", "classifiers", "branches")  # what is trained, in this order


def model(**settings) -> CCL:
    return CCL(CCLConfig(**OWN | settings))


def with_given(data: Pairs, images: dict | None = None, texts: dict | None = None, **changes) -> Pairs:
    """Other features, or other words, for the same items."""
    of_images = data.images if images is None else dataclasses.replace(data.images, given=data.images.given | images)
    of_texts = data.texts if texts is None else dataclasses.replace(data.texts, given=data.texts.given | texts)
    return dataclasses.replace(data, images=of_images, texts=dataclasses.replace(of_texts, **changes))


def ragged(data: Pairs) -> Pairs:
    """Every second image has three parts, every other four; a third of the texts has one."""
    regions = data.images.given["regions"]
    mask = regions.abs().sum(dim=2) > 0
    pieces = tuple(f[:1] if i % 3 == 0 else f for i, f in enumerate(data.texts.fragments))
    return with_given(data, {"regions": Regions(regions, torch.zeros(*mask.shape, 4), mask)}, fragments=pieces)


def same(first: CCL, second: CCL) -> bool:
    assert first.tensors.keys() == second.tensors.keys()
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


# -- learning


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"grains": "coarse"},
        {"grains": "fine"},
        {"pretraining": "autoencoder", "fusion": "autoencoder"},
        {"supervised": False},
        {"fine_tune": 1.0, "supervised_epochs": 60},
        {"fine_tune": 1.0, "grains": "fine", "scaling": "even", "supervised_epochs": 60},
        {"balance": "learned"},
        {"mirror": True},
        {"correlation": 0.0},
        {"correlation": 1.0},
        {"classification": 0.0},
        {"text_view": "vector", "text_parts": "vector", "text_options": {}, "text_parts_options": {}},
    ],
    ids=lambda switches: " ".join(f"{name}={value}" for name, value in switches.items() if "options" not in name),
)
def test_eight_pairs_are_learnt_by_heart(switches):
    data = ragged(pairs())
    scores = model(**LEARNT | switches).fit(data).similarity(data)
    assert evaluate.map_all(scores, data.labels).avg == 1.0
    assert evaluate.map_all(scores, 1 - np.arange(8) // 4).avg < 0.9, "these are no classes that it was shown"


def test_without_the_contrastive_loss_each_side_knows_its_classes_and_the_two_do_not_meet():
    data = ragged(pairs())
    fitted = model(**LEARNT, contrastive=0.0).fit(data)
    u, v = fitted.embed_images(data.images), fitted.embed_texts(data.texts)
    for own in (u, v):
        assert evaluate.map_all(own @ own.T, data.labels, text_labels=data.labels).avg == 1.0
    assert evaluate.map_all(u @ v.T, data.labels).avg < 1.0


@pytest.mark.parametrize("how", [{"accumulate": 2}, {"precision": "bf16"}], ids=str)
def test_other_ways_to_run_learn_as_well(how):
    data = ragged(pairs())
    fitted = model(**LEARNT, batch=8 // how.get("accumulate", 1)).fit(data, run=Run(device="cpu", **how))
    assert evaluate.map_all(fitted.similarity(data), data.labels).avg == 1.0


@pytest.fixture(scope="module")
def usual() -> CCL:
    return model().fit(ragged(pairs()))


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"pretraining_epochs": 6}, "stacks"),
        ({"pretraining_rate": 3.0}, "stacks"),
        ({"correlation": 0.0}, "associations"),
        ({"correlation": 1.0}, "associations"),
        ({"association_epochs": 6}, "associations"),
        ({"fusion_epochs": 6}, "joints"),
        ({"dropout": 0.5}, "classifiers"),
        ({"supervised_epochs": 6}, "classifiers"),
        ({"weight_decay": 0.1, "association_epochs": 3}, "associations"),
        ({"classification": 0.0}, "branches"),
        ({"contrastive": 0.0}, "branches"),
        ({"margin": 0.2}, "branches"),
        ({"balance": "learned"}, "branches"),
        ({"mirror": True}, "branches"),
        ({"epochs": 6}, "branches"),
    ],
    ids=str,
)
def test_a_switch_changes_its_own_stage_and_none_before(usual, settings, first):
    changed = model(**settings).fit(ragged(pairs())).tensors
    assert changed.keys() == usual.tensors.keys()
    differs = {name.split(".")[0] for name in changed if not torch.equal(changed[name], usual.tensors[name])}
    assert first in differs
    assert not differs & set(ORDER[: ORDER.index(first)])


@pytest.mark.parametrize(
    ("settings", "gone", "there"),
    [
        ({"grains": "coarse"}, r"image_fine|text_fine|joints", (r"stacks\.image_coarse\.first\.weight",)),
        ({"grains": "fine"}, r"image_coarse|text_coarse|joints", (r"stacks\.text_fine\.second\.weight",)),
        (
            {"pretraining": "autoencoder"},
            r"stacks.*visible_bias",
            (r"stacks\.image_fine\.first\.decode\.weight", r"joints\.text\..*visible_bias"),
        ),
        (
            {"fusion": "autoencoder"},
            r"joints.*visible_bias",
            (r"joints\.text\..*decode\.weight", r"stacks\.text_fine\.first\.visible_bias"),
        ),
        ({"supervised": False}, r"classifiers", (r"joints\.image\..*visible_bias",)),
    ],
    ids=str,
)
def test_a_switch_changes_what_is_built(usual, settings, gone, there):
    found = "\n".join(model(**settings).fit(ragged(pairs())).tensors)
    assert re.search(gone, "\n".join(usual.tensors)) and not re.search(gone, found)
    assert all(re.search(rf"^{pattern}$", found, re.MULTILINE) for pattern in there)


def test_lambda_one_leaves_the_decoders_as_they_began():
    found = [model(correlation=1.0, association_epochs=epochs).fit(pairs()).tensors for epochs in (1, 5)]
    for side in ("image", "text"):
        for grain in ("coarse", "fine"):
            decoder, encoder = (f"associations.{grain}.{part}.{side}.weight" for part in ("decoders", "encoders"))
            assert torch.equal(found[0][decoder], found[1][decoder])
            assert not torch.equal(found[0][encoder], found[1][encoder])


def test_the_released_variant_runs_and_learns_slowly():
    """Its rate in stage 2 is 1e-4; its five stages are there, with its 256 outputs."""
    fitted = model(variant="released", mirror=True).fit(ragged(pairs()))
    assert fitted.tensors["branches.image.classify.weight"].shape == (256, 16)
    rates = {line["stage"]: next(iter(line["learning_rate"].values())) for line in fitted.history}
    assert rates["2E"] == pytest.approx(1e-4) and rates["1D text"] == pytest.approx(0.01 * 0.5 ** (2 / 3 / 0.2))
    assert rates["1B fine"] == pytest.approx(0.05 / (1 + 2 / 3))
    assert torch.isfinite(fitted.similarity(ragged(pairs()))).all()


# -- stage 2, one step


class Watched:
    """A loop that leaves the gradients where they are."""

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self, name: str) -> None:
        """Move nothing."""


def built(**settings):
    """A network that has learned nothing, and its stages."""
    method, data = model(**settings), ragged(pairs())
    sides = method._fitted_sides(data, None)
    views = views_of(data, *sides)
    network = method._build({"image": sides[0].dim, "text": sides[1].dim, "classes": 2})
    return network, list(method._stages(network, views, None))


def test_released_the_contrastive_gradient_is_twice_that_of_the_loss_printed():
    batch = {"image": torch.randn(8, 16), "text": torch.randn(8, 16), "label": torch.arange(8) % 2}
    found, weights = [], None
    for variant in ("paper", "released"):
        network, stages = built(variant=variant, classification=0.0)
        own = {name: p for name, p in network.branches.named_parameters() if "classify" not in name}
        weights = weights or {name: p.detach().clone() for name, p in own.items()}
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])
        losses = stages[-1].step(batch, Watched())
        found.append({name: p.grad for name, p in own.items()})
        u, v = (network.branches[side](batch[side])[0] for side in ("image", "text"))
        plain = contrastive_loss(u, v, batch["label"], 1.0)
        assert losses["contrastive"].item() == pytest.approx(plain.item())
        assert losses["loss"].item() == pytest.approx((2 if variant == "released" else 1) * plain.item())
    for name, gradient in found[0].items():
        assert gradient.any()
        torch.testing.assert_close(found[1][name], 2 * gradient)


def test_the_losses_of_stage_2_add_up():
    torch.manual_seed(0)
    network, stages = built(classification=0.5, contrastive=3.0)
    losses = stages[-1].step(
        {"image": torch.randn(8, 16), "text": torch.randn(8, 16), "label": torch.arange(8) % 2}, Watched()
    )
    expected = 0.5 * (losses["image"] + losses["text"]) + 3 * losses["contrastive"]
    assert losses["loss"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_learned_scales_are_trained(variant):
    _, stages = built(variant=variant, balance="learned")
    balance, optimiser = stages[-1].modules["balance"], stages[-1].optimisers["branches"].optimiser
    assert isinstance(balance, Balance) and len(balance.scales) == 3
    trained = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert {id(p) for p in balance.parameters()} <= trained
    assert {id(p) for p in stages[-1].modules["branches"].parameters()} <= trained


def test_released_rates_of_biases_and_weights():
    network, stages = built(variant="released")
    rates = {
        id(p): (group["lr"], group["weight_decay"], group["momentum"])
        for group in stages[-1].optimisers["branches"].optimiser.param_groups
        for p in group["params"]
    }
    for branch in network.branches.values():
        assert isinstance(branch, Branch)
        twice = {id(branch.first.bias), id(branch.classify.bias)}
        for parameter in branch.parameters():
            assert rates[id(parameter)] == (2e-4 if id(parameter) in twice else 1e-4, 0.004, 0.9)


@pytest.mark.parametrize("switches", [{}, {"grains": "fine"}, {"supervised": False, "variant": "released"}], ids=str)
def test_every_tensor_belongs_to_a_stage(switches):
    """The loop moves the modules of a stage to the device; what no stage names would stay behind."""
    network, stages = built(**switches)
    named = {id(t) for stage in stages for m in stage.modules.values() for t in (*m.parameters(), *m.buffers())}
    left = [name for name, tensor in (*network.named_parameters(), *network.named_buffers()) if id(tensor) not in named]
    assert not left


def test_parts_take_as_many_steps_as_wholes():
    _, stages = built(pretraining_epochs=40)
    for side, count in (("image", 4 * 8 - 4), ("text", 8 + 5)):
        epochs = {
            stage.name.split()[2]: (len(stage.data), stage.epochs) for stage in stages if f"1A {side}" in stage.name
        }
        assert epochs == {"coarse": (8, 40), "fine": (count, round(40 * 8 / count))}


# -- going on


STEPS = [("1A image coarse first", 3), ("1A text fine second", 1), ("1B coarse", 4), ("1C text both joint", 3)]
STEPS += [("1D image", 4), ("2E", 0), ("2E", 1), ("2E", 5)]


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("grains", ["both", "coarse"])
def test_fine_tuning_moves_the_layers_below_the_classifier_and_nothing_else_does(variant, grains):
    def at_the_end_of(part: str, **settings) -> list[torch.Tensor]:
        """The weights of one part after each of the stages."""
        seen, own = [], model(variant=variant, grains=grains, **settings)
        stages = own._stages

        def watched(network, train, val):
            for stage in stages(network, train, val):
                yield stage
                weights = [p.detach().flatten() for name, p in network.named_parameters() if name.startswith(part)]
                seen.append((stage.name[:2], torch.cat(weights)))

        own._stages = watched
        own.fit(pairs())
        return seen

    for part in ("stacks.image", "associations.coarse.encoders.text", *(["joints.text"] if grains == "both" else [])):
        for share in (0.0, 1.0):
            weights = at_the_end_of(part, fine_tune=share)
            before = [w for stage, w in weights if stage in ("1A", "1B", "1C")][-1]
            after = [w for stage, w in weights if stage == "1D"][-1]
            assert torch.equal(before, after) == (share == 0.0)
            assert torch.equal(after, weights[-1][1])


def test_the_layers_below_learn_at_their_share_of_the_rate():
    network = CCLNetwork(model(fine_tune=0.25).config, image=[4, 4], text=[5, 5], classes=3)
    items = Several((torch.rand(6, 4), Regions(torch.rand(6, 2, 4), torch.zeros(6, 2, 4), torch.ones(6, 2).bool())))
    stage = classifier_stage(model(fine_tune=0.25).config, "image", network, items, torch.arange(6) % 3, None)
    own, below = stage.optimisers["classifier"].optimiser.param_groups
    assert own["lr"] == 1e-2 and below["lr"] == 0.25 * 1e-2
    assert {id(p) for p in network.stacks["image_fine"].parameters()} <= {id(p) for p in below["params"]}
    assert not {id(p) for p in network.stacks["text_fine"].parameters()} & {id(p) for p in below["params"]}


@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_even_scaling_keeps_the_loud_columns_loud(spread):
    x = torch.randn(500, 3) * torch.tensor([1.0, spread, 0.1]) + 7.0
    scaled = FeatureScaling(3, "even").fit(x)(x)
    assert scaled.mean(dim=0).abs().max() < 1e-3
    assert scaled.square().mean().item() == pytest.approx(1.0, abs=1e-3)
    torch.testing.assert_close(scaled.std(dim=0) / scaled.std(dim=0)[0], x.std(dim=0) / x.std(dim=0)[0])
    constant = torch.full((5, 3), 2.0)
    assert torch.equal(FeatureScaling(3, "even").fit(constant)(constant), torch.zeros(5, 3))


@pytest.mark.parametrize("settings", [{}, {"fine_tune": 1.0}, {"grains": "coarse"}], ids=str)
def test_pairs_without_a_class_teach_the_layers_that_need_none(settings):
    data = pairs(16)
    part = model(batch=4, labelled=8, seed=3, **settings).fit(data)
    few = model(batch=4, seed=3, **settings).fit(data.sample(8, seed=3))
    lines = {line["stage"]: line["step"] for line in part.history if "loss" in line}
    assert lines["1A image coarse first"] == lines["1B coarse"] == 4 * 3  # all sixteen
    assert lines["1D text"] == lines["2E"] == 2 * 3  # the eight with a class
    assert not same(part, few)
    everything = model(batch=4, seed=3, **settings).fit(data)
    first = next(name for name in part.tensors if name.startswith("associations.coarse.encoders.image"))
    if not settings.get("fine_tune"):
        assert torch.equal(part.tensors[first], everything.tensors[first]), "A and B see no class"
    others = [i for i in range(16) if data.images.ids[i] not in data.sample(8, seed=3).images.ids]
    wrong = data.labels.copy()
    wrong[others] = 1 - wrong[others]
    again = model(batch=4, labelled=8, seed=3, **settings).fit(dataclasses.replace(data, labels=wrong))
    assert same(part, again), "the other eight are told to nobody"


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path, variant):
    data, val = ragged(pairs(16)), ragged(pairs(12, seed=5))
    tuned = {"fine_tune": 0.5, "feature_dropout": 0.2, "scaling": "even"} if variant == "paper" else {}
    make = lambda: model(variant=variant, dropout=0.3, mirror=True, balance="learned", **tuned)  # noqa: E731
    unbroken = make().fit(data, val=val, run=Run(device="cpu"))
    for seconds in (0.0, 1000.0):
        how = Run(out=tmp_path / str(seconds), device="cpu", save_seconds=seconds)
        for stage, step in STEPS if seconds else STEPS[1::2]:  # one run, cut off again and again
            with cut_at(CCL, stage, step):
                make().fit(data, val=val, run=how)
        resumed = make().fit(data, val=val, run=how)
        assert same(resumed, unbroken)
        assert resumed.facts == unbroken.facts
