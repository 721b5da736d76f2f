"""CM-GANs as a training: what each switch does, what the game brings, and how it goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from test_cmgans import model
from test_networks import pairs
from test_train import program
from training_cmgans import made
from training_cut import Cut, cut_at

from xmrlib import evaluate
from xmrlib.data.pairs import Images, Pairs, Texts
from xmrlib.methods import CMGANs, CMGANsConfig
from xmrlib.stages import Run, drop
from xmrlib.train import Loop

# Discriminators that keep up on eight pairs.
LEARNT = {
    "epochs": 60,
    "inter_hidden": 32,
    "dim": 8,
    "discriminator_steps": 3,
    "generator_steps": 1,
    "scaling": "standard",
}


def same(first: CMGANs, second: CMGANs) -> bool:
    assert first.tensors.keys() == second.tensors.keys()
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


# -- learning

SWITCHES = [
    {},
    {"sharing": "none"},
    {"classifier": "shared"},
    {"intra": 0},
    {"reconstruction": 1.0},
    {"mismatch": "pair"},
    {"mismatch": "none"},
    {"sampling": "classes"},
    {"label_smoothing": 0.1},
    {"spectral_norm": True, "epochs": 100},
    {"r1": 0.1},
    {"game": "minimax"},
    {"dropout": 0.1},
    {"encoder": "words"},
    {"encoder": "conv", "epochs": 90},
    {"variant": "released", "epochs": 150, "dim": 16},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda found: " ".join(f"{k}={v}" for k, v in found.items()))
def test_eight_pairs_are_learnt_by_heart(switches):
    data, own = pairs(), dict(switches)
    fitted = model(own.pop("encoder", "features"), **LEARNT | own).fit(data)
    assert evaluate.map_all(fitted.similarity(data), data.labels).avg > 0.9  # a game of two swings at the end
    assert evaluate.map_all(fitted.similarity(data), 1 - np.arange(8) // 4).avg < 0.85, "these it was not shown"
    for side, labels in (("image", data.labels), ("text", data.labels)):
        assert (fitted.classes(data, side).argmax(dim=1).numpy() == labels).all()


def test_without_classes_pairs_are_learnt():
    data = pairs(labels=False)
    fitted = model(**LEARNT, semantic=0.0, intra=0.0).fit(data, val=data)
    assert evaluate.recall(fitted.similarity(data), data.image_of_text).i2t[1] >= 0.75
    assert fitted.facts["validation_score"] > 0.9


def test_without_the_game_each_side_knows_its_classes_and_the_two_meet_in_a_shared_classifier_only():
    data = pairs()
    alone = LEARNT | {"intra": 0.0, "inter": 0.0, "reconstruction": 1.0, "sharing": "none"}
    own, shared = (model(**alone, classifier=which).fit(data) for which in ("own", "shared"))
    for fitted in (own, shared):
        assert not [name for name in fitted.tensors if name.startswith("int")]
        for side in ("image", "text"):
            s = fitted.common(data, side)
            s = torch.nn.functional.normalize(s - s.mean(dim=0), dim=1)
            assert evaluate.map_all(s @ s.T, data.labels, text_labels=data.labels).avg > 0.95
            h, r = fitted.features(data, side), fitted.reconstruct(data, side)
            assert (h - r).square().mean() < 0.2 * (h - h.mean(dim=0)).square().mean()
    scores = [evaluate.map_all(fitted.similarity(data), data.labels).avg for fitted in (own, shared)]
    assert scores[0] < 0.9 < scores[1]


def clustered(count: int, seed: int) -> Pairs:
    """Pairs of four classes: vectors about the mean of each class, on each side other ones."""
    rng = np.random.default_rng(9)
    centres = [rng.normal(size=(4, dim)) for dim in (12, 9)]
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images, texts = (torch.as_tensor(c[labels] + 0.5 * rng.normal(size=(count, c.shape[1]))).float() for c in centres)
    return Pairs(
        "clusters",
        Images(tuple(f"i{k}" for k in range(count)), given={"vector": images}),
        Texts(tuple(f"t{k}" for k in range(count)), given={"vector": texts}),
        np.arange(count),
        labels=labels,
        classes=tuple("abcd"),
    )


def modality_accuracy(fitted: CMGANs, train: Pairs, test: Pairs) -> float:
    """How well its five nearest tell, by s, which side an item is of; chance is 1/2.

    No linear classifier: batch norm has given both sides the same mean and variance in each dimension.
    """
    seen, asked = (torch.cat([fitted.common(part, side) for side in ("image", "text")]) for part in (train, test))
    of = [np.repeat([0, 1], len(part)) for part in (train, test)]
    return KNeighborsClassifier(5).fit(seen.numpy(), of[0]).score(asked.numpy(), of[1])


def test_the_game_hides_where_a_representation_came_from():
    train, test = clustered(160, 0), clustered(80, 1)
    own = {"batch": 40, "epochs": 40, "learning_rate": 3e-3, "generator_steps": 1, "discriminator_steps": 3}
    found = {inter: model(**own, inter=inter).fit(train) for inter in (0.0, 1.0)}
    told = {inter: modality_accuracy(fitted, train, test) for inter, fitted in found.items()}
    scores = {inter: evaluate.map_all(f.similarity(test), test.labels).avg for inter, f in found.items()}
    assert told[0.0] > 0.95 and told[1.0] < 0.85, told
    assert scores[1.0] > 0.9 > scores[0.0] + 0.2, scores


def test_rates_and_moments_are_those_of_the_code():
    schedule = drop(100, 0.5)
    assert [1e-3 * schedule(done, 2000) for done in (0, 99.9, 100, 1000)] == pytest.approx(
        [1e-3, 1e-3, 5e-4, 1e-3 / 1024]
    )
    fitted = model(epochs=3, halve_after=1, learning_rate=1e-3).fit(pairs(16))
    rates = [line["learning_rate"] for line in fitted.history if "loss" in line]
    assert [rate["intra text"] for rate in rates] == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert all(len(set(rate.values())) == 1 for rate in rates)
    assert (CMGANsConfig().learning_rate, CMGANsConfig().halve_after, CMGANsConfig().batch) == (1e-3, 100, 64)


@pytest.fixture(scope="module")
def usual() -> CMGANs:
    return model(epochs=1).fit(pairs(16))


@pytest.mark.parametrize(
    "settings",
    [
        {"sharing": "start"}, {"sharing": "none"}, {"classifier": "shared"}, {"intra": 0.5}, {"inter": 0.5},
        {"semantic": 0.5}, {"reconstruction": 1.0}, {"mismatch": "pair"}, {"mismatch": "none"}, {"sampling": "classes"},
        {"discriminator_steps": 2}, {"generator_steps": 1}, {"game": "minimax"}, {"label_smoothing": 0.1}, {"r1": 1.0},
        {"dropout": 0.5}, {"differ_in": "image"}, {"variant": "released"},
    ],
    ids=str,
)  # fmt: skip
def test_a_switch_changes_what_is_learned(usual, settings):
    changed = model(epochs=1, **settings).fit(pairs(16))
    name = "generators.image.first.linear.weight"
    assert not torch.equal(changed.tensors[name], usual.tensors[name])


def test_the_released_variant_is_three_switches():
    data = pairs(16)
    released = model(variant="released").fit(data)
    assert same(released, model(sharing="start", mismatch="pair", sampling="classes").fit(data))
    top = [released.tensors[f"generators.{side}.top.linear.weight"] for side in ("image", "text")]
    assert not torch.equal(*top), "they began equal and drifted apart"
    paper = model().fit(data)
    assert torch.equal(*(paper.tensors[f"generators.{side}.top.linear.weight"] for side in ("image", "text")))


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"look": 1}], ids=str)
def test_other_ways_to_run_learn_as_well(settings):
    data = pairs()
    for encoder in ("features", "conv"):
        r1 = 0.01 if encoder == "features" else 0.0
        fitted = model(encoder, **LEARNT | {"r1": r1}).fit(data, run=Run(device="cpu", **settings))
        assert evaluate.map_all(fitted.similarity(data), data.labels).avg > 0.9


def test_half_precision_scales_the_gradients_of_every_player_back(monkeypatch):
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    def fabric_for(run):
        scaler = torch.amp.GradScaler("cpu")
        return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])

    monkeypatch.setattr("xmrlib.train.fabric_for", fabric_for)
    data = pairs()
    fitted = model(**LEARNT, r1=0.01, reconstruction=1.0).fit(data)
    assert all(torch.isfinite(tensor).all() for tensor in fitted.tensors.values())
    assert evaluate.map_all(fitted.similarity(data), data.labels).avg > 0.9


def test_gradients_are_not_added_up_over_batches():
    with pytest.raises(ValueError, match="accumulate=2 adds up the gradients of several batches, and CMGANs moves"):
        model().fit(pairs(), run=Run(device="cpu", accumulate=2))


# -- going on


@pytest.mark.parametrize(
    "settings", [{"dropout": 0.2}, {"variant": "released"}, {"spectral_norm": True, "r1": 0.1}], ids=str
)
def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path, settings):
    data, val = pairs(16), pairs(12, seed=5)
    unbroken = model("words", **settings).fit(data, val=val, run=Run(device="cpu"))
    for seconds in (0.0, 1000.0):
        how = Run(out=tmp_path / str(seconds), device="cpu", save_seconds=seconds)
        for step in (0, 1, 3, 5) if seconds else (3,):  # one run, cut off again and again
            with cut_at(CMGANs, "CM-GANs", step):
                model("words", **settings).fit(data, val=val, run=how)
        resumed = model("words", **settings).fit(data, val=val, run=how)
        assert same(resumed, unbroken) and resumed.facts == unbroken.facts
        assert torch.equal(resumed.similarity(val), unbroken.similarity(val))
    again = model("words", **settings).fit(data, val=val, run=how)  # nothing is left to do
    assert same(again, unbroken) and again.facts == unbroken.facts


@pytest.mark.parametrize("move", [0, 2, 4, 5, 13])
def test_one_that_ends_between_two_moves_goes_on_from_the_step_before(tmp_path, monkeypatch, move):
    """Four moves of discriminators, then twenty of generators and of their shared layer, on each batch."""
    data, how = pairs(16), Run(out=tmp_path, device="cpu", save_seconds=0.0)
    unbroken = model().fit(data, run=Run(device="cpu"))
    update, seen = Loop.update, []

    def cutting(loop: Loop, name: str) -> None:
        if loop.step == 3:
            seen.append(name)
            if len(seen) > move:
                raise Cut
        update(loop, name)

    monkeypatch.setattr(Loop, "update", cutting)
    with pytest.raises(Cut):
        model().fit(data, run=how)
    monkeypatch.undo()
    assert len(seen) == move + 1
    assert same(model().fit(data, run=how), unbroken)


@pytest.mark.parametrize(
    ("settings", "close"),
    [
        ({"encoder": "features", "spectral_norm": True, "reconstruction": 0.5}, 1e-4),
        # A bias of a convolution shifts all items, which batch norm undoes; Adam makes steps of what rounding leaves.
        ({"encoder": "conv", "variant": "released", "r1": 0.1, "learning_rate": 1e-3}, 2e-2),
    ],
    ids=str,
)
def test_two_processes_learn_what_one_does(tmp_path, settings, close):
    """Wrong pairs, batch norm over the joined batch, the penalty, and the order of the data."""
    program(tmp_path, json.dumps(settings), processes=2, file=Path(__file__).parent / "training_cmgans.py")
    together = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    alone = made(Run(device="cpu", look=1), **settings).history
    assert len(alone) == len(together) == 2 * 4 + 2
    for step, (mine, theirs) in enumerate(zip(alone, together, strict=True)):
        names = [name for name in mine if isinstance(mine[name], float) and name not in ("seconds", "validation")]
        assert len(names) > 8 or "validation" in mine
        for name in names:
            assert mine[name] == pytest.approx(theirs[name], abs=close if step else 1e-5), (step, name)
        assert mine.get("validation") == pytest.approx(theirs.get("validation"), abs=2e-2)
