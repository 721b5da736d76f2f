"""The networks: losses and scores against numbers worked out by hand, and what each must do on eight pairs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import xmrlib
from xmrlib import cli, evaluate, methods
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.methods import (
    ACMR,
    CCL,
    CRAN,
    DSCMR,
    MCSM,
    SCAN,
    VSE,
    ACMRConfig,
    CCLConfig,
    CMGANs,
    CMGANsConfig,
    CorrAE,
    CorrAEConfig,
    CRANConfig,
    DSCMRConfig,
    MCSMConfig,
    SCANConfig,
    VSEConfig,
)
from xmrlib.methods.acmr import game, invariance_loss, label_loss, modality_loss
from xmrlib.methods.dscmr import dscmr_loss
from xmrlib.methods.network import frozen
from xmrlib.methods.scan import SCANNetwork
from xmrlib.methods.sides import views_of
from xmrlib.methods.vse import VSENetwork
from xmrlib.nn.ranking import hinge_loss, same_image
from xmrlib.stages import Run

VECTORS = {"image_view": "vector", "text_view": "vector"}
WORDS = {"text_options": {"min_count": 1}, "word_dim": 8, "dim": 16, "lower_after": 1000}
SHORT = {"epochs": 3, "batch": 8, "learning_rate": 1e-2}
LEARNT = {"epochs": 60, "batch": 8, "learning_rate": 1e-2}
PARTS = {"text_options": {"min_count": 1}, "text_parts_options": {"encoder": "bow", "options": {"min_count": 1}}}
STAGES = {"pretraining_epochs": 3, "association_epochs": 3, "fusion_epochs": 3, "supervised_epochs": 20}
LAYERS = dict.fromkeys(("image_hidden", "text_hidden", "code", "fused", "separate", "hidden", "dim"), 16)
SEQUENCES = {"image_regions": "regions", "text_options": {"min_count": 1}, "text_whole_options": {"min_count": 1}}
SEGMENTS = {"kernels": (2,), "maps": (12,), "pools": (2,), "image_hidden": 12, "text_hidden": 12, "dropout": 0.0}
# Discriminators that keep up with eight pairs, and a game that leaves the classes room.
PLAYERS = {"discriminator_steps": 3, "generator_steps": 1, "inter": 0.5, "semantic": 5.0, "classifier": "shared"}
PLAYERS |= {"scaling": "standard"}
MATCHED = {"relation": "grounded", "matching": "best", "negatives": "softmax", "text_options": {"min_count": 1}}
NETWORKS = {
    "corr_ae": (CorrAE, CorrAEConfig, VECTORS | {"code": 16}),
    "dscmr": (DSCMR, DSCMRConfig, VECTORS | {"hidden": 16, "dim": 16, "scaling": "standard"}),
    "acmr": (ACMR, ACMRConfig, VECTORS | {"image_hidden": 16, "text_hidden": 16, "middle": 16, "dim": 8}),
    "vse": (VSE, VSEConfig, WORDS | {"image_view": "vector"}),
    "scan": (SCAN, SCANConfig, WORDS),
    "ccl": (CCL, CCLConfig, PARTS | STAGES | LAYERS | {"image_view": "vector", "image_parts": "regions"}),
    "mcsm": (
        MCSM,
        MCSMConfig,
        SEQUENCES | SEGMENTS | {"image_view": "vector", "word_dim": 8, "dim": 16, "differ_in": "image"},
    ),
    "cran": (CRAN, CRANConfig, MATCHED | {"image_view": "vector", "word_dim": 8, "dim": 16}),
    "cmgans": (CMGANs, CMGANsConfig, VECTORS | PLAYERS | {"hidden": 16, "dim": 8, "inter_hidden": 32}),
}
CLOSE = {
    "ccl": 1e-3
}  # its codes hardly differ after so few epochs, and are standardised then: rounding grows with them
EACH = pytest.mark.parametrize("name", NETWORKS)


def model(name, **settings):
    kind, config, own = NETWORKS[name]
    return kind(config(**own | SHORT | settings))


def pairs(size=8, classes=2, seed=0, texts_each=1, labels=True) -> Pairs:
    """Pairs with everything that a network may look at: vectors and regions of images, vectors and words of texts."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(size), texts_each)
    words = ["cow", "boat", "tree", "lamp", "drum", "fish", "star", "key"]
    ends = ["stands here today", "sleeps", "is seen from the old bridge"]
    fragments = tuple((f"a {words[i % 8]} {ends[k % 3]}", f"number {i} it is") for k, i in enumerate(of))
    vectors, regions = rng.normal(size=(size, 12)), rng.normal(size=(size, 4, 6))
    regions[::2, 3] = 0  # every second picture has three regions
    mask = torch.as_tensor(np.abs(regions).sum(axis=2) > 0)
    image_views = {"vector": torch.as_tensor(vectors).float(), "regions": torch.as_tensor(regions).float()}
    text_vectors = torch.as_tensor(rng.normal(size=(len(of), 9))).float()
    corners = rng.uniform(0, 0.5, size=(size, 4, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, size=(size, 4, 2))], axis=2)
    image_views |= {"boxes": torch.as_tensor(boxes).float(), "mask": mask}
    return Pairs(
        "made",
        Images(tuple(f"i{i}" for i in range(size)), given=image_views),
        Texts(tuple(f"t{i}" for i in range(len(of))), fragments=fragments, given={"vector": text_vectors}),
        of,
        labels=np.arange(size) % classes if labels else None,
        classes=tuple(f"class {c}" for c in range(classes)) if labels else (),
    )


# -- numbers worked out by hand


def test_dscmr_loss_of_two_pairs():
    u, v = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    classify = nn.Linear(2, 2)
    nn.init.eye_(classify.weight)
    nn.init.zeros_(classify.bias)
    losses = dscmr_loss(u, v, classify, torch.tensor([0, 1]), within=0.5, pairs=0.25)
    # The second text is taken for the first class: its row is (1, -1) off, all others are right.
    labels = math.sqrt(2) / 2
    # Cosines: u with v [[1, 1], [0, 0]], u with u the identity, v with v all ones; on the diagonal one class.
    at_half, at_zero = math.log(1 + math.exp(0.5)), math.log(2)
    across = (2 * at_half - 0.5 + 2 * at_zero) / 4
    images = (2 * at_half - 1 + 2 * at_zero) / 4
    texts = (4 * at_half - 1) / 4
    together = math.sqrt(2) / 2
    assert losses["labels"].item() == pytest.approx(labels)
    assert losses["within"].item() == pytest.approx(across + images + texts)
    assert losses["pairs"].item() == pytest.approx(together)
    assert losses["loss"].item() == pytest.approx(labels + 0.5 * (across + images + texts) + 0.25 * together)


def test_acmr_losses_of_two_pairs():
    u, v = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.5], [3.0, 4.0]])
    # Own texts at distances 0.5 and 0; the others at 5 and at the root of 9 + 12.25.
    expected = 0.25 + 0.5 * ((6 - 5) + (6 - math.sqrt(21.25))) / 2
    assert invariance_loss(u, v, torch.tensor([0, 1]), 6.0, 0.5).item() == pytest.approx(expected, abs=1e-5)
    # All of one class: nothing to push away, four distances to close.
    alike = (0.5 + 0 + 5 + math.sqrt(21.25)) / 4
    assert invariance_loss(u, v, torch.tensor([1, 1]), 6.0, 0.5).item() == pytest.approx(alike, abs=1e-5)
    first = nn.Linear(2, 1)
    nn.init.constant_(first.weight, 0)
    nn.init.zeros_(first.bias)
    assert modality_loss(first, u, v).item() == pytest.approx(2 * math.log(2))
    with torch.no_grad():
        first.weight[0, 0] = 1  # logits 0 and 3 on both sides
    expected = (2 * math.log(2) + math.log(1 + math.exp(-3)) + math.log(1 + math.exp(3))) / 2
    assert modality_loss(first, u, v).item() == pytest.approx(expected)
    classify = nn.Linear(2, 5)
    nn.init.zeros_(classify.weight)
    nn.init.zeros_(classify.bias)
    assert label_loss(u, v, classify, torch.tensor([0, 4])).item() == pytest.approx(2 * math.log(5))
    assert game(0.0) == 0 and game(1.0) == pytest.approx(1, abs=1e-4)


SCORES = torch.tensor([[0.5, 0.4, 0.1], [0.45, 0.5, 0.2], [0.2, 0.35, 0.5]])


def test_hinges_of_three_pairs():
    alone = torch.eye(3, dtype=torch.bool)
    # Texts, row by row: .1 and 0; .15 and 0; 0 and .05. Images, column by column: .15 and 0; .1 and .05; 0 and 0.
    assert hinge_loss(SCORES, alone, 0.2, "sum").item() == pytest.approx(0.6)
    assert hinge_loss(SCORES, alone, 0.2, "hardest").item() == pytest.approx(0.55)
    one_image = same_image(torch.tensor([7, 7, 3]))
    assert hinge_loss(SCORES, one_image, 0.2, "sum").item() == pytest.approx(0.1)
    assert hinge_loss(SCORES, one_image, 0.2, "hardest").item() == pytest.approx(0.1)
    assert hinge_loss(SCORES, torch.ones(3, 3, dtype=torch.bool)).item() == 0
    with pytest.raises(ValueError, match="negatives='all' is unknown"):
        getattr(hinge_loss, "__wrapped__", hinge_loss)(SCORES, alone, 0.2, "all")  # past the checker of types


def test_the_hardest_negative_costs_no_less_than_any_other():
    rng = torch.Generator().manual_seed(3)
    for size in (2, 5, 9):
        scores, alone = torch.rand(size, size, generator=rng), torch.eye(size, dtype=torch.bool)
        hardest = hinge_loss(scores, alone, 0.2)
        for shift in range(1, size):  # one negative a pair: the text, and the image, so many places on
            other = torch.arange(size).roll(-shift)
            own = scores.diagonal()
            texts = (0.2 + scores[torch.arange(size), other] - own).clamp(min=0)
            images = (0.2 + scores[other, torch.arange(size)] - own).clamp(min=0)
            assert texts.sum() + images.sum() <= hardest + 1e-6
        assert hardest <= hinge_loss(scores, alone, 0.2, "sum") + 1e-6


def test_equal_scores_cost_twice_the_margin_a_pair_and_a_clear_lead_costs_nothing():
    for size, negatives in ((2, "sum"), (2, "hardest"), (6, "hardest")):
        equal = hinge_loss(torch.full((size, size), 0.3), torch.eye(size, dtype=torch.bool), 0.2, negatives)
        assert equal.item() == pytest.approx(2 * 0.2 * size)
    ahead = torch.full((6, 6), 0.3) + 0.21 * torch.eye(6)
    assert hinge_loss(ahead, torch.eye(6, dtype=torch.bool), 0.2, "sum").item() == 0


def scan_network(**settings) -> SCANNetwork:
    return SCANNetwork(SCANConfig(word_dim=3, dim=4, **settings), image=5, text=7)


def test_scan_scores_of_two_images():
    both, twice = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    regions, words = torch.stack([both, twice]), torch.eye(2)[None]
    real, read = torch.ones(2, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    # First image: each word gives 3/4 of its attention to its own region, so r = cos((1, 0), (3/4, 1/4)) = 3 / root 10.
    # Second: both regions show the first word, r = 1; the second word sees nothing of itself, r = 0.
    at = 3 / math.sqrt(10)
    settings = {"lambda_softmax": math.log(3), "lambda_lse": 2.0}
    mean = scan_network(pooling="mean", **settings).scores(regions, real, words, read)
    assert mean.flatten().tolist() == pytest.approx([at, 0.5])
    lse = scan_network(pooling="lse", **settings).scores(regions, real, words, read)
    assert lse.flatten().tolist() == pytest.approx([at + math.log(2) / 2, math.log(math.exp(2) + 1) / 2])
    # Regions ask. In the second image both do, for the same word: its affinities, of unit length, are 1 / root 2.
    asked = scan_network(direction="i2t", pooling="mean", lambda_softmax=math.sqrt(2) * math.log(3))
    assert asked.scores(regions, real, words, read)[1].item() == pytest.approx(at)
    # A region and a word that are not there change nothing.
    more = (
        torch.cat([regions, torch.full((2, 1, 2), 9.0)], dim=1),
        torch.cat([words, torch.full((1, 1, 2), 9.0)], dim=1),
    )
    there = torch.tensor([[True, True, False]])
    again = scan_network(pooling="mean", **settings).scores(more[0], there.expand(2, 3), more[1], there)
    assert torch.allclose(again, mean)


def test_scan_reads_words_as_a_bidirectional_gru_over_packed_sequences_does():
    torch.manual_seed(0)
    network = scan_network()
    oracle = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    for ours, theirs in ((network.forwards, ""), (network.backwards, "_reverse")):
        oracle.load_state_dict(
            oracle.state_dict() | {f"{name}{theirs}": tensor for name, tensor in ours.state_dict().items()}
        )
    ids = torch.tensor([[2, 3, 4, 5, 6], [3, 3, 1, 0, 0], [4, 0, 0, 0, 0]])
    packed = pack_padded_sequence(network.words(ids), torch.tensor([5, 3, 1]), batch_first=True)
    states, _ = pad_packed_sequence(oracle(packed)[0], batch_first=True)
    expected = nn.functional.normalize(states.unflatten(2, (2, 4)).mean(dim=2), dim=2)
    found = network.texts(ids, ids > 0)
    assert torch.allclose(found[ids > 0], expected[ids > 0], atol=1e-6)


def test_vse_reads_sentences_as_a_gru_over_packed_sequences_does():
    torch.manual_seed(0)
    network = VSENetwork(VSEConfig(word_dim=3, dim=4), image=5, text=7)
    ids = torch.tensor([[2, 3, 4, 5, 6], [3, 3, 1, 0, 0], [4, 0, 0, 0, 0]])
    _, last = network.gru(pack_padded_sequence(network.words(ids), torch.tensor([5, 3, 1]), batch_first=True))
    expected = nn.functional.normalize(last[0], dim=1)
    assert torch.allclose(network.texts(ids, ids > 0), expected, atol=1e-6)


# -- what every network must do


@EACH
def test_eight_pairs_are_learnt_by_heart(name):
    data = pairs()
    fitted = model(name, **LEARNT).fit(data)
    scores = fitted.similarity(data)
    if fitted.needs_labels:
        assert evaluate.map_all(scores, data.labels).avg == 1.0
    else:
        recall = evaluate.recall(scores, data.image_of_text)
        assert recall.i2t[1] == recall.t2i[1] == 1.0


def test_half_precision_survives_a_region_of_zeros(monkeypatch):
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    def fabric_for(run):
        scaler = torch.amp.GradScaler("cpu")
        return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])

    monkeypatch.setattr("xmrlib.train.fabric_for", fabric_for)
    data = pairs()
    regions = data.images.given["regions"]
    assert (getattr(regions, "features", regions).abs().sum(dim=-1) == 0).any()
    scores = model("scan", **LEARNT).fit(data).similarity(data)
    assert evaluate.recall(scores, data.image_of_text).i2t[1] == 1.0


@EACH
def test_a_seed_fixes_every_bit(name):
    data = pairs(16)
    first, same, other = (model(name, seed=seed).fit(data).tensors for seed in (3, 3, 4))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@EACH
def test_through_a_file_and_back(name, tmp_path):
    data = pairs()
    fitted = model(name).fit(data, val=data)
    assert fitted.facts["epoch"] >= 1
    back = methods.load(fitted.save(tmp_path / "model"))
    assert type(back) is type(fitted) and back.config == fitted.config
    assert torch.equal(back.similarity(data), fitted.similarity(data))


@EACH
def test_a_part_of_the_items_has_the_scores_that_all_have(name):
    """What else is in the batch, and so how far an item is padded, changes nothing."""
    data = pairs(12, texts_each=2)
    fitted = model(name).fit(data)
    scores = fitted.similarity(data)
    assert scores.shape == (12, 24)
    for image, text in ((0, 1), (5, 10), (11, 0)):
        one = fitted.similarity(data.images.select(np.array([image])), data.texts.select(np.array([text])))
        assert torch.allclose(one[0, 0], scores[image, text], atol=CLOSE.get(name, 1e-5))


@pytest.mark.parametrize("name", ["vse", "scan"])
def test_padding_at_the_end_changes_nothing(name):
    data = pairs()
    network = model(name).fit(data).network
    ids = torch.tensor([[2, 3, 4], [5, 6, 0]])
    longer = torch.cat([ids, torch.zeros(2, 9, dtype=torch.long)], dim=1)
    short, long = network.texts(ids, ids > 0), network.texts(longer, longer > 0)
    if name == "scan":
        short, long = short[ids > 0], long[longer > 0]
    assert torch.allclose(short, long, atol=1e-6)


@pytest.mark.parametrize("name", ["dscmr", "acmr", "ccl", "cmgans"])
def test_networks_of_classes_need_labels(name):
    with pytest.raises(DataError, match="learns from classes; made has no labels. Use CCA"):
        model(name).fit(pairs(labels=False))
    with pytest.raises(DataError, match="at least 2 classes"):
        model(name).fit(pairs(classes=1))


@pytest.mark.parametrize("name", ["corr_ae", "vse", "scan", "mcsm", "cran"])
def test_networks_of_pairs_need_no_labels_and_are_chosen_by_recall(name):
    data = pairs(labels=False, texts_each=2)
    fitted = model(name).fit(data, val=data)
    recall = evaluate.recall(fitted.similarity(data), data.image_of_text)
    mean = sum(recall.i2t[k] + recall.t2i[k] for k in (1, 5, 10)) / 6
    assert fitted.facts["validation_score"] == pytest.approx(mean)


@EACH
def test_a_sentence_and_a_picture_from_outside_are_queries(name):
    colours = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (200, 200, 40)]
    pictures = [Image.new("RGB", (24, 24), colour) for colour in colours]
    data = Pairs(
        "colours",
        Images(tuple("abcd"), picture=pictures.__getitem__),
        Texts(tuple("efgh"), fragments=tuple((f"a {word} wall",) for word in ("red", "green", "blue", "yellow"))),
        np.arange(4),
        labels=np.arange(4) % 2,
        classes=("one", "two"),
    )
    kind, config, own = NETWORKS[name]
    own = {key: value for key, value in own.items() if key not in ("image_view", "text_view")}
    fitted = kind(config(**own | {"text_options": {"min_count": 1}, "epochs": 1, "batch": 4})).fit(data)
    assert fitted.similarity(data.images, ["a red wall", "an unheard-of thing"]).shape == (4, 2)
    asked = fitted.similarity(pictures[2], data.texts)
    assert torch.allclose(asked[0], fitted.similarity(data)[2], atol=CLOSE.get(name, 1e-5))


# -- ACMR's game


class Watched:
    """A loop that notes whose gradients are there at each move, and forgets them as the real one does."""

    def __init__(self, network: nn.Module, done: float) -> None:
        self.network, self.done, self.moves = network, done, []

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def due(self, name: str) -> bool:
        return True

    def update(self, name: str) -> None:
        touched = {key.split(".")[0] for key, p in self.network.named_parameters() if p.grad is not None}
        self.moves.append((name, touched))
        self.network.zero_grad()


def test_acmrs_players_leave_each_other_alone():
    data = pairs()
    method = model("acmr")
    views = views_of(data, *method._fitted_sides(data, None))
    network = method._build({"image": 12, "text": 9, "classes": 2})
    (stage,) = method._stages(network, views, None)
    owned = {
        name: {id(p) for group in entry.optimiser.param_groups for p in group["params"]}
        for name, entry in stage.optimisers.items()
    }
    assert not owned["projectors"] & owned["modality"]
    assert owned["projectors"] | owned["modality"] == {id(p) for p in network.parameters()}
    loop = Watched(network, done=1.0)
    stage.step(stage.data[torch.arange(8)], loop)
    assert loop.moves == [
        ("projectors", {"image_projector", "text_projector", "classify"}),
        ("modality", {"modality"}),
    ]


def test_the_adversary_reaches_the_projectors_and_pulls_the_other_way():
    torch.manual_seed(0)
    modality, u, v = nn.Linear(4, 1), torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    with frozen(modality):
        (-modality_loss(modality, u, v)).backward()
    assert modality.weight.grad is None and modality.weight.requires_grad
    moved = u.detach() - 10 * u.grad
    assert modality_loss(modality, moved, v) > modality_loss(modality, u.detach(), v)


def test_acmrs_modality_classifier_moves_at_every_so_many_th_step():
    data = pairs(16)
    still = model("acmr", epochs=1, steps=1, adversary=0.0).fit(data).tensors
    for steps, equal in ((1, True), (2, False)):
        found = model("acmr", epochs=1, steps=steps, adversary=0.0).fit(data).tensors
        assert torch.equal(found["classify.weight"], still["classify.weight"])
        assert torch.equal(found["modality.0.weight"], still["modality.0.weight"]) is equal


# -- at the door


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (VSEConfig, {"negatives": "all"}, 'negatives=\'all\' is neither "hardest" nor "sum"'),
        (VSEConfig, {"margin": 0}, "margin=0 must be positive"),
        (VSEConfig, {"batch": 0}, "batch=0 must be positive"),
        (SCANConfig, {"direction": "both"}, "direction='both' is unknown; choose one of t2i, i2t"),
        (SCANConfig, {"pooling": "max"}, "pooling='max' is unknown"),
        (SCANConfig, {"lambda_lse": 0.0}, "lambda_lse=0.0 must be positive"),
        (SCANConfig, {"clip": -1}, "clip=-1 must be positive"),
        (ACMRConfig, {"steps": 0}, "steps=0 must be at least 1"),
        (ACMRConfig, {"dim": 1}, "dim=1 leaves no room"),
        (ACMRConfig, {"adversary": -1.0}, "adversary=-1.0 must be 0 or more"),
        (ACMRConfig, {"margin": math.inf}, "margin=inf must be 0 or more, and finite"),
        (DSCMRConfig, {"choose_by": "luck"}, "choose_by='luck' is none of"),
        (DSCMRConfig, {"patience": 0}, "patience=0 must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(config, settings, message):
    with pytest.raises(ValueError) as caught:
        config(**settings)
    assert message in str(caught.value)


@EACH
def test_a_batch_larger_than_the_data_is_refused(name):
    with pytest.raises(ValueError, match="batch=9 is more than the 8 training items. Set batch to 8 or less"):
        model(name, batch=9).fit(pairs())


def test_a_wrong_scaling_is_refused():
    for name in NETWORKS.keys() - {"ccl"}:  # whose scaling goes with the kind of its layers
        with pytest.raises(ValueError, match="scaling='minmax' is none of"):
            model(name, scaling="minmax").fit(pairs())


def test_networks_that_read_words_say_so():
    with pytest.raises(DataError, match="set text_view='tokens'"):
        model("vse", text_view="vector", text_options={}).fit(pairs())
    fitted = model("scan").fit(pairs())
    with pytest.raises(DataError, match="regions are needed"):
        fitted.similarity(torch.zeros(2, 6), pairs().texts)


@EACH
def test_sizes_of_paper_and_book(name):
    kind, config, _ = NETWORKS[name]
    assert config.paper(seed=7).seed == 7
    assert config.small(epochs=2).epochs == 2
    assert config.small().batch > 0
    assert kind.__module__.endswith(name)


@EACH
def test_deviations_are_rows_of_four(name):
    rows = __import__(f"xmrlib.methods.{name}", fromlist=["DEVIATIONS"]).DEVIATIONS
    assert all(len(row) == 4 and all(isinstance(cell, str) and cell for cell in row) for row in rows)


def test_commands_and_the_package_know_every_method():
    assert cli.METHODS == tuple(methods.METHODS)
    for method in methods.METHODS.values():
        assert getattr(xmrlib, method.__name__) is method
        assert getattr(xmrlib, method.Config.__name__) is method.Config
        assert dataclasses.is_dataclass(method.Config)
    assert xmrlib.Run is Run
