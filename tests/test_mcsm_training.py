"""MCSM as a method: two spaces, one after the other; switches that reach what they should; faults at the door."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_networks import pairs
from test_train import program
from training_cut import cut_at
from training_mcsm import SIZES, VIEWS, WORDS, made

from xmrlib import evaluate
from xmrlib.data.pairs import DataError, Pairs
from xmrlib.guards import TrainingStopped
from xmrlib.methods import MCSM, MCSMConfig
from xmrlib.methods.mcsm_training import RankingTable
from xmrlib.methods.sides import views_of
from xmrlib.stages import Run

# Words, regions and vectors; nothing is dropped.
OWN = SIZES | WORDS | VIEWS | {"epochs": 3, "batch": 8, "learning_rate": 1e-2, "dropout": 0.0}
LEARNT = {"epochs": 60}
CNN = {"text_whole": "cnn", "classifier_maps": 5, "classifier_epochs": 4, "classifier_rate": 1e-2}
RELEASED = {"variant": "released", "text_length": 16, "word_vectors": "ppmi", "word_dim": 8}
NO_CONVOLUTION = {"kernels": (), "maps": (), "pools": ()}


def model(**settings) -> MCSM:
    return MCSM(MCSMConfig(**OWN | settings))


def same(first: MCSM, second: MCSM) -> bool:
    assert first.tensors.keys() == second.tensors.keys()
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


def built(data: Pairs | None = None, val: Pairs | None = None, **settings):
    """A network that has learned nothing, and its stages."""
    method, data = model(**settings), data or pairs()
    sides = method._fitted_sides(data, val)
    views, held_out = (None if part is None else views_of(part, *sides) for part in (data, val))
    torch.manual_seed(0)
    network = method._build({"image": sides[0].dim, "text": sides[1].dim, "classes": views.classes})
    return network, method._stages(network, views, held_out)


class Watched:
    """A loop that leaves the gradients where they are."""

    def __init__(self) -> None:
        self.moves: list[str] = []

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self, name: str) -> None:
        self.moves.append(name)


# -- learning

SWITCHES = [
    {},
    {"spaces": "visual"},
    {"spaces": "textual"},
    {"attention": False},
    {"recurrence": False},
    NO_CONVOLUTION | {"epochs": 90},
    {"text_length": 12},
    {"negatives": "hardest"},
    {"positives": "class"},
    {"scaling": "standard"},
    {"scaling": "unit", "text_whole": "vector"},
    CNN,
    CNN | {"spaces": "visual", "epochs": 100},
    {"word_vectors": "file"},
    {"word_vectors": "file", "word_training": False},
    {"dropout": 0.2, "epochs": 80},
    RELEASED | {"learning_rate": 3e-3, "epochs": 110},
]


def led(scores: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """The share of wrong texts that stand behind the own one of an image, and of wrong images behind a text's."""
    wrong, own = torch.as_tensor(labels[:, None] != labels[None]), scores.diagonal()
    return tuple((before | ~wrong).float().mean().item() for before in (own[:, None] > scores, own[None] > scores))


@pytest.fixture(scope="module")
def word_file(tmp_path_factory) -> str:
    """Vectors for all words of the made-up texts."""
    words = sorted({word for text in pairs().texts.fragments for part in text for word in part.split()})
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    lines = (" ".join([word, *(f"{x:.3f}" for x in row)]) for word, row in zip(words, vectors, strict=True))
    path = tmp_path_factory.mktemp("words") / "made.txt"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda found: " ".join(f"{k}={v}" for k, v in found.items()))
def test_eight_pairs_are_learnt_by_heart(switches, word_file):
    """What the loss asks for: a pair before all that is of another class, in each space and fused."""
    data, own = pairs(), switches
    if switches.get("word_vectors"):
        own = switches | {"word_vectors": word_file}
    fitted = model(**LEARNT | own).fit(data)
    for scores in fitted.spaces(data):
        assert scores is None or min(led(scores, data.labels)) > 0.9, "some seeds confuse two texts in one space"
    assert led(fitted.similarity(data), data.labels) == (1, 1)
    assert led(fitted.similarity(data, queries="images"), data.labels)[0] == 1
    assert led(fitted.similarity(data, queries="texts"), data.labels)[1] == 1
    if fitted.config.positives == "class":
        assert evaluate.map_all(fitted.similarity(data), data.labels).avg == 1.0
    assert evaluate.map_all(fitted.similarity(data), 1 - np.arange(8) // 4).avg < 0.95, "these it was not shown"


def test_images_of_one_class_are_told_apart_where_the_image_counts():
    data = pairs()
    by_image, by_class = (model(**LEARNT, differ_in=what).fit(data).similarity(data) for what in ("image", "class"))
    assert evaluate.recall(by_image, data.image_of_text).i2t[1] == 1.0
    assert evaluate.recall(by_class, data.image_of_text).i2t[1] < 1.0


def reads_bf16() -> bool:
    """Whether an LSTM runs in bf16 on this processor."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            torch.nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("how", [{"accumulate": 2}, {"precision": "bf16"}], ids=str)
def test_other_ways_to_run_learn_as_well(how):
    data, run = pairs(), Run(device="cpu", **how)
    asked = model(**LEARNT | CNN | {"batch": 8 // run.accumulate})
    if run.precision == "bf16" and not reads_bf16():
        with pytest.raises(TrainingStopped, match='Take precision="fp32"'):
            asked.fit(data, run=run)
        return
    fitted = asked.fit(data, run=run)
    assert min(led(fitted.similarity(data), data.labels)) > 0.98


@pytest.mark.parametrize("switches", [{}, CNN, RELEASED | CNN, {"attention": False}, {"recurrence": False}], ids=str)
def test_a_gradient_reaches_every_parameter(switches):
    data = pairs(classes=4)
    network, stages = built(data, **{"scaling": "standard"} | switches)
    torch.manual_seed(1)
    for stage in stages:
        loop = Watched()
        stage.step(stage.data[torch.arange(8)], loop)
        (module,), (name,) = stage.modules.values(), stage.modules
        assert loop.moves == [name]
        parameters = [p for group in stage.optimisers[name].optimiser.param_groups for p in group["params"]]
        assert {id(p) for p in parameters} == {id(p) for p in module.parameters() if p.requires_grad}
        silent = [key for key, p in module.named_parameters() if p.requires_grad and not p.grad.any()]
        assert not silent
        outside = {id(p) for p in module.parameters()}
        assert all(p.grad is None for p in network.parameters() if id(p) not in outside), "no space moves the other"
        network.zero_grad()


@pytest.mark.parametrize("switches", [{}, CNN, {"spaces": "visual"}, RELEASED], ids=str)
def test_every_tensor_belongs_to_a_stage(switches):
    network, stages = built(**switches)
    named = {id(t) for stage in stages for m in stage.modules.values() for t in (*m.parameters(), *m.buffers())}
    assert not [name for name, t in (*network.named_parameters(), *network.named_buffers()) if id(t) not in named]


def test_each_stage_moves_its_own_and_begins_the_same_whatever_stood_before():
    data = pairs()
    usual = model(**CNN).fit(data)
    changed = {
        "classifier": {"classifier_epochs": 6},
        "visual": {"image_hidden": 12, "text_whole": "vector"},
        "textual": {"maps": (12,), "text_length": 30, "kernels": (3,)},
    }
    for part, settings in changed.items():
        other = model(**CNN | settings).fit(data)
        differs = {
            name.split(".")[0]
            for name in usual.tensors.keys() & other.tensors.keys()
            if usual.tensors[name].shape == other.tensors[name].shape
            and not torch.equal(usual.tensors[name], other.tensors[name])
        }
        assert part in differs or part == "classifier", part
    longer = model(**CNN | {"classifier_epochs": 6}).fit(data).tensors
    assert not torch.equal(longer["classifier.classify.weight"], usual.tensors["classifier.classify.weight"])
    assert not torch.equal(longer["visual.text_layer.weight"], usual.tensors["visual.text_layer.weight"])
    for name, tensor in usual.tensors.items():
        if name.startswith("textual"):
            assert torch.equal(longer[name], tensor), "the textual space sees nothing of the word-CNN"


def test_losses_optimisers_and_z():
    rates = {}
    for variant in ("paper", "released"):
        own = {} if variant == "paper" else RELEASED
        network, stages = built(pairs(classes=4), **{"word_dim": 8, "negatives": "hardest"} | own)
        for stage in stages:
            name = next(iter(stage.modules))
            batch = stage.data[torch.arange(8)]
            space = getattr(network, name)
            scores = space.images(*batch["images"]) @ space.texts(*batch["texts"]).T
            wrong = batch["group"][:, None] != batch["group"][None]
            own_scores = scores.diagonal()
            worst = [s.masked_fill(~wrong, -9).amax(dim=1) for s in (scores, scores.T)]
            total = sum((0.5 - own_scores + found).clamp(min=0).sum() for found in worst)
            z = 64 if (variant, name) == ("released", "visual") else 8
            assert stage.step(batch, Watched())["loss"].item() == pytest.approx(total.item() / z, rel=1e-5)
            optimiser = stage.optimisers[name].optimiser
            rates[variant, name] = type(optimiser).__name__
            if variant == "released":
                group = optimiser.param_groups[0]
                assert [group[k] for k in ("lr", "alpha", "eps", "momentum")] == [1e-2, 0.99, 1e-8, 0]
    assert set(rates.values()) == {"Adam", "RMSprop"} and rates["released", "visual"] == "RMSprop"
    assert MCSMConfig().learning_rate == 1e-4


def test_positives_of_the_class_are_drawn_anew_among_all_of_its_images():
    data = pairs(12, classes=3, texts_each=2)
    _, stages = built(data, **RELEASED)
    visual, textual = [stage.data for stage in stages]
    assert (visual.positives, textual.positives) == ("pair", "class")
    rows = torch.arange(24)
    vectors = data.images.given["vector"]
    seen = torch.zeros(24, 12)
    for seed in range(60):
        torch.manual_seed(seed)
        batch = textual[rows]
        image = (batch["images"][0][:, None] == vectors[None]).all(dim=2).float().argmax(dim=1)
        assert torch.equal(image % 3, rows // 2 % 3) and torch.equal(batch["group"], rows // 2 % 3)
        seen[rows, image] += 1
    allowed = (rows // 2 % 3)[:, None] == (torch.arange(12) % 3)[None]
    assert torch.equal(seen > 0, allowed), "every image of the class, and no other"
    torch.manual_seed(0)
    first = textual[rows]["images"][0]
    torch.manual_seed(0)
    assert torch.equal(textual[rows]["images"][0], first)
    regions = data.images.given["regions"]
    assert torch.equal(visual[rows]["images"][0], regions[rows // 2]), "the pair's own"
    assert torch.equal(textual.to(torch.device("cpu"))[rows]["group"], rows // 2 % 3)


@pytest.mark.parametrize(
    ("settings", "labels", "expected"),
    [({}, True, "class"), ({}, False, "image"), ({"differ_in": "image"}, True, "image")],
)
def test_what_a_wrong_partner_differs_in(settings, labels, expected):
    _, stages = built(pairs(8, texts_each=2, labels=labels), **settings)
    for stage in stages:
        group = stage.data[torch.tensor([0, 1, 5, 14])]["group"].tolist()
        assert group == ([0, 0, 0, 1] if expected == "class" else [0, 0, 2, 7])


# -- batches


def test_an_order_that_would_give_a_batch_of_one_class_is_drawn_again():
    group = torch.tensor([0] * 6 + [1] * 2)
    table = RankingTable((torch.zeros(8, 1),), (torch.zeros(8, 1),), torch.arange(8), group, "class")
    order, orders = table.order(4), set()
    for seed in range(40):
        rows = order(torch.Generator().manual_seed(seed))
        assert sorted(rows.tolist()) == list(range(8))
        assert all(0 < group[part].sum() < 4 for part in rows.split(4))
        orders.add(tuple(rows.tolist()))
    assert len(orders) == 40
    first = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    assert any(group[torch.randperm(8, generator=torch.Generator().manual_seed(s))].view(2, 4).sum(1).min() == 0
               for s in range(40)), "some had to be"  # fmt: skip
    assert len(first) == 8


def test_where_there_is_no_such_order_the_training_ends():
    labels = np.array([0] * 15 + [1])
    data = dataclasses.replace(pairs(16), labels=labels)
    with pytest.raises(
        DataError, match="some batch of 8 had all its pairs of a single class.*Set batch to more than 8"
    ):
        model().fit(data)
    assert model(differ_in="image").fit(data).fitted
    assert model(batch=16).fit(data).fitted
    with pytest.raises(DataError, match="some batch of 1 had all its pairs of a single image"):
        model(batch=1, differ_in="image").fit(pairs())


# -- going on

STEPS = [("text classifier", 3), ("visual space", 0), ("visual space", 3), ("textual space", 1), ("textual space", 4)]


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path, variant):
    data, val = pairs(16), pairs(12, seed=5)
    own = RELEASED if variant == "released" else {}
    make = lambda: model(**CNN | own | {"dropout": 0.3, "weight": "validation"})  # noqa: E731
    unbroken = make().fit(data, val=val, run=Run(device="cpu"))
    for seconds in (0.0, 1000.0):
        how = Run(out=tmp_path / str(seconds), device="cpu", save_seconds=seconds)
        for stage, step in STEPS if seconds else STEPS[::2]:  # one run, cut off again and again
            with cut_at(MCSM, stage, step):
                make().fit(data, val=val, run=how)
        resumed = make().fit(data, val=val, run=how)
        assert same(resumed, unbroken)
        assert resumed.facts == unbroken.facts
        assert torch.equal(resumed.similarity(val), unbroken.similarity(val))
    again = make().fit(data, val=val, run=how)  # nothing is left to do
    assert same(again, unbroken) and again.facts == unbroken.facts


def test_two_processes_learn_what_one_does(tmp_path):
    """The hardest of the joined batch, batch norm over it, and the order of the data."""
    program(tmp_path, processes=2, file=Path(__file__).parent / "training_mcsm.py")
    together = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    alone = made(Run(device="cpu", look=1)).history
    assert len(alone) == len(together) == 2 * (2 * 4 + 2)
    for mine, theirs in zip(alone, together, strict=True):
        for name in ("loss", "validation"):
            assert mine.get(name) == pytest.approx(theirs.get(name), abs=1e-4)
