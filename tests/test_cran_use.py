"""CRAN as a method: what goes in, what it learns, resumes and shows; faults at the door; the command."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from test_networks import pairs
from test_train import program
from torch.nn.functional import normalize
from training_cran import GROUNDED, SIZES, VIEWS, made, with_twins
from training_cut import cut_at

from xmrlib import cli, data, evaluate, methods
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.features.views import Regions
from xmrlib.methods import CRAN, CRANConfig
from xmrlib.methods.cran import laid_out, partners, weighed
from xmrlib.methods.cran_looks import spans
from xmrlib.methods.cran_relations import TextRelations
from xmrlib.stages import Run

OWN = SIZES | VIEWS | {"epochs": 2, "batch": 8, "learning_rate": 1e-2}
LEARNT = {"epochs": 40, "negatives": "softmax"}


def model(**settings) -> CRAN:
    return CRAN(CRANConfig(**OWN | settings))


def same(first: CRAN, second: CRAN) -> bool:
    assert first.tensors.keys() == second.tensors.keys()
    return all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


SWITCHES = [
    {},
    GROUNDED,
    GROUNDED | {"joint": False, "weights": "validation"},
    {"joint": False, "negatives": "random"},
    {"matching": "attended", "negatives": "sum", "recurrence": "gru"},
    {"matching": "best", "text_relations": "pairs", "recurrence": None, "attention": False},
    {"text_relations": "words", "geometry": "both", "ordered": False, "dropout": 0.2},
    {"linear_pairs": True, "geometry": "none", "sentence": "mean", "scaling": "unit"},
    {"image_view": "regions", "scaling": "standard", "twins_together": False},
    {"levels": ("global",)},
    {"levels": ("local",), "geometry": "local"},
    {"levels": ("relation",)},
    {"levels": ("global", "relation"), "weights": (1, 0, 2)},
]
EACH = pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values())) or "usual")


# -- learning


@EACH
def test_every_switch_trains_is_kept_and_comes_back(switches, tmp_path):
    train, val = with_twins(20, texts_each=1), pairs(12, 3, seed=5)
    fitted = model(**switches).fit(train, val=val)
    scores = fitted.similarity(val)
    assert scores.shape == (12, 12) and torch.isfinite(scores).all()
    back = methods.load(fitted.save(tmp_path))
    assert type(back) is CRAN and back.config == fitted.config and back.facts == fitted.facts
    assert torch.equal(back.similarity(val), scores)
    assert same(model(**switches).fit(train, val=val), fitted), "a seed fixes every bit"


@EACH
def test_the_score_is_the_weighted_sum_of_its_levels(switches):
    val = pairs(12, 3, seed=5)
    fitted = model(**switches).fit(pairs(16, 3), val=val)
    levels, weights = fitted.level_scores(val), fitted.facts["weights"]
    assert tuple(levels) == fitted.config.levels == tuple(weights)
    expected = sum(weights[name] * levels[name] for name in levels)
    assert torch.allclose(fitted.similarity(val), expected)
    if fitted.config.joint:  # the score of the best epoch is that of the sum
        best = max(line["validation"] for line in fitted.history if "validation" in line)
        assert fitted.facts["validation_score"] >= best - 1e-6


@pytest.mark.parametrize("form", [GROUNDED, {"matching": "pooled"}, {"matching": "attended"}])
@pytest.mark.parametrize("joint", [True, False])
def test_eight_pairs_are_learnt_by_heart(form, joint):
    eight = pairs()
    fitted = model(**LEARNT | form, joint=joint).fit(eight)
    levels = fitted.level_scores(eight)
    assert evaluate.recall(levels["global"], eight.image_of_text).i2t[1] == 1.0
    assert evaluate.recall(fitted.similarity(eight), eight.image_of_text).i2t[1] == 1.0


def test_a_level_of_weight_0_is_as_good_as_off():
    train, val = pairs(16, 3), pairs(12, 3, seed=5)
    fitted = model(weights=(1, 0, 0)).fit(train, val=val)
    assert torch.equal(fitted.similarity(val), fitted.level_scores(val)["global"])
    seen, read = fitted._seen(fitted.image_side.features(val.images)), fitted.text_side.features(val.texts)
    with torch.no_grad():
        u, v = fitted.network.images(*seen)["global"][0], fitted.network.texts(*fitted._read(read))["global"][0]
    assert torch.allclose(u.norm(dim=1), torch.ones(12), atol=1e-5), "an embedding, as VSE's"
    assert torch.allclose(fitted.similarity(val), u @ v.T, atol=1e-6)


def test_weights_by_validation_are_no_worse_than_equal_ones():
    train, val = pairs(24, 3), pairs(16, 3, seed=5)
    fitted = model(weights="validation").fit(train, val=val)
    views = methods.sides.views_of(val, fitted.image_side, fitted.text_side)
    levels = fitted.level_scores(val)
    for weights in (fitted.facts["weights"], dict.fromkeys(levels, 1.0)):
        value = methods.base.retrieval_score(weighed(levels, weights), views, "recall")
        assert value <= fitted.facts["validation_score"] + 1e-9
    with pytest.raises(DataError, match="validation split, and there is none"):
        model(weights="validation").fit(train)


@pytest.mark.parametrize("form", [{}, GROUNDED])
def test_trained_apart_a_level_moves_alone(form, monkeypatch):
    seen, whole = [], CRAN._stages

    def watched(self, network, *views):
        for stage in whole(self, network, *views):
            seen.append((stage.name, {name: p.detach().clone() for name, p in network.named_parameters()}))
            yield stage
        seen.append(("end", {name: p.detach().clone() for name, p in network.named_parameters()}))

    monkeypatch.setattr(CRAN, "_stages", watched)
    model(**form, joint=False, negatives="softmax").fit(pairs(16, 3))
    assert [name for name, _ in seen] == ["global", "local", "relation", "end"]
    for (level, before), (_, after) in zip(seen, seen[1:], strict=False):
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved and all(f".{level}" in name for name in moved)


def test_a_training_goes_on_where_it_was(tmp_path):
    for number, (settings, stage) in enumerate([(GROUNDED, "CRAN"), (GROUNDED | {"joint": False}, "relation")]):
        train, val = with_twins(20), pairs(12, 3, seed=5)
        whole = model(**settings).fit(train, val=val)
        how = Run(out=tmp_path / str(number), device="cpu", save_seconds=0.0)
        for step in (1, 3):
            with cut_at(CRAN, stage, step):
                model(**settings).fit(train, val=val, run=how)
        resumed = model(**settings).fit(train, val=val, run=how)
        assert same(resumed, whole) and resumed.facts == whole.facts
        assert torch.equal(resumed.similarity(val), whole.similarity(val))


def test_two_processes_learn_what_one_does(tmp_path):
    program(tmp_path, processes=2, file=Path(__file__).parent / "training_cran.py")
    together = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    alone = made(Run(device="cpu", look=1)).history
    assert len(alone) == len(together)
    for mine, theirs in zip(alone, together, strict=True):
        for name in ("loss", "local", "relation", "validation"):
            assert mine.get(name) == pytest.approx(theirs.get(name), abs=1e-4)


# -- twins


def test_partners_are_the_texts_of_twins():
    scenes = data.load("scenes", train=12, val=2, test=2, twins=0.5)
    partner = partners(scenes.train)
    for row, other in enumerate(partner):
        twin = scenes.train.truth[row].twin
        assert (twin is None) == (other < 0)
        if twin:
            assert scenes.train.images.ids[other] == twin and partner[other] == row
    assert partners(pairs(8)) is None
    assert partners(data.load("scenes", train=12, val=2, test=2, twins=0.0).train) is None
    order = np.array([3, 1, 0, 2])
    turned = dataclasses.replace(with_twins(8), image_of_text=np.concatenate([order, [4, 5, 6, 7]]))
    found = partners(turned)
    assert [turned.image_of_text[found[row]] for row in range(4)] == [order[row] ^ 1 for row in range(4)]


def opposite_scenes(count: int, seed: int) -> Pairs:
    """Pictures of two things, told apart only by which lies left: of every two, one has them the other way round."""
    rng, names = np.random.default_rng(seed), ["cow", "boat", "tree", "lamp", "drum", "fish"]
    eye = np.eye(6, dtype=np.float32)
    rows = [rng.choice(6, 2, replace=False) for _ in range(count // 2)]
    ordered = [tuple(pair) for row in rows for pair in (row, row[::-1])]
    y = rng.random(count) * 0.5
    boxes = np.array([[[0.1, v, 0.3, v + 0.2], [0.6, v, 0.8, v + 0.2]] for v in y], dtype=np.float32)
    shuffled = rng.random(count) < 0.5  # the order of the regions tells nothing
    turned = [(b, a) if s else (a, b) for (a, b), s in zip(ordered, shuffled, strict=True)]
    features = np.array([[eye[a], eye[b]] for a, b in turned])
    boxes[shuffled] = boxes[shuffled][:, ::-1]
    texts = []
    for a, b in ordered:
        first, second, word = (a, b, "left") if rng.random() < 0.5 else (b, a, "right")
        texts.append(f"a {names[first]} is {word} of a {names[second]}")
    twin = [dataclasses.make_dataclass("Scene", ["twin"])(f"i{row ^ 1}") for row in range(count)]
    seen = Regions(torch.from_numpy(features), torch.from_numpy(boxes.copy()), torch.ones(count, 2, dtype=torch.bool))
    images = Images(tuple(f"i{row}" for row in range(count)), given={"regions": seen})
    return Pairs("opposite", images, Texts.of(texts), np.arange(count), truth=tuple(twin))


RELATE = {"dim": 16, "word_dim": 16, "predicate_dim": 8, "epochs": 40, "batch": 24, "learning_rate": 1e-2}
RELATE |= {"text_options": {"min_count": 1}, "negatives": "softmax", "recurrence": None}
RELATE |= {"levels": ("local", "relation")}


def twins_told(fitted: CRAN, level: str, test: Pairs) -> float:
    found = evaluate.twin_accuracy(fitted.level_scores(test)[level], np.arange(len(test)), evaluate.twin_rows(test))
    return (found.i2t + found.t2i) / 2


def test_arrangement_is_seen_by_the_relation_with_geometry_and_by_nothing_else():
    """The behavioural test of CRAN's claim: twins have the same regions, and differ in how these lie."""
    train, test = opposite_scenes(96, 0), opposite_scenes(60, 1)
    grounded = CRAN(CRANConfig(**RELATE | GROUNDED)).fit(train)
    assert twins_told(grounded, "relation", test) > 0.9
    assert twins_told(grounded, "local", test) < 0.65
    blind = CRAN(CRANConfig(**RELATE | GROUNDED | {"geometry": "none"})).fit(train)
    assert twins_told(blind, "relation", test) < 0.65
    by_place = CRAN(CRANConfig(**RELATE | {"geometry": "local", "levels": ("local",), "recurrence": "gru"})).fit(train)
    assert twins_told(by_place, "local", test) > 0.8, "left and right are a sum of one term a word"


# -- what it shows


@pytest.mark.parametrize(
    "settings",
    [
        GROUNDED,
        {},
        {"matching": "best"},
        {"matching": "attended"},
        {"text_relations": "pairs", "reach": 2},
        {"text_relations": "words"},
        {"levels": ("local",)},
        {"levels": ("relation",)},
    ],
)
def test_looks(settings):
    val = pairs(12, 3, seed=5)
    fitted = model(**settings).fit(pairs(16, 3))
    seen = fitted.looks(val)
    words, regions = fitted.text_side.features(val.texts), fitted.image_side.features(val.images).views[-1]
    assert torch.equal(seen.word_mask, words.mask) and torch.equal(seen.region_mask, regions.mask)
    if seen.words is not None:
        assert torch.allclose(seen.words.sum(dim=1), torch.ones(12)) and seen.words[~words.mask].eq(0).all()
        assert seen.agreement.abs().max() <= 1 + 1e-5
    if seen.regions is not None:
        assert torch.allclose(seen.regions.sum(dim=1), torch.ones(12)) and seen.regions[~regions.mask].eq(0).all()
    if seen.region_pairs is not None:
        both = regions.mask[:, :, None] & regions.mask[:, None]
        assert seen.region_pairs[~both].eq(0).all()
        if not fitted.config.grounded:
            assert seen.region_pairs.diagonal(dim1=1, dim2=2).eq(0).all()
            assert torch.allclose(seen.region_pairs.sum(dim=(1, 2)), torch.ones(12), atol=1e-5)
    if seen.word_pairs is not None:
        both = words.mask[:, :, None] & words.mask[:, None]
        assert seen.word_pairs[~both].eq(0).all() and seen.word_pairs.tril(-1).eq(0).all()


def test_looks_of_the_grounded_relation_add_up_to_its_score():
    val = pairs(12, 3, seed=5)
    fitted = model(**GROUNDED).fit(pairs(16, 3))
    seen = fitted.looks(val)
    own = fitted.level_scores(val)["relation"].diagonal()
    assert torch.allclose((seen.word_pairs * seen.held).sum(dim=(1, 2)), own, atol=1e-5)


def test_looks_of_the_pooled_relation_are_what_is_pooled():
    val = pairs(12, 3, seed=5)
    fitted = model().fit(pairs(16, 3))
    seen, network = fitted.looks(val), fitted.network
    _, features, boxes, mask = fitted._seen(fitted.image_side.features(val.images))
    with torch.no_grad():
        level = network.levels["relation"]
        regions = network.encoders["all"].regions(network.region_scaling(features), boxes) * mask[..., None]
        rho, _ = level.of_regions(regions, boxes, mask)
        j, k = methods.cran_relations.pairs(4)
        pooled = normalize((seen.region_pairs[:, j, k, None] * rho).sum(dim=1), dim=1)
        expected = level.images(regions, boxes, mask)[0]
    assert torch.allclose(pooled, expected, atol=1e-5)


def test_spans_name_the_words_of_a_relation():
    for form, first, last in (
        ("words", [0, 1, 2], [0, 1, 2]),
        ("phrases", [0, 1, 0], [1, 2, 2]),
        ("pairs", [0, 1, 0], [1, 2, 2]),
    ):
        module = TextRelations(CRANConfig(**SIZES, text_relations=form, phrase_widths=(2, 3, 4), reach=2))
        assert [part.tolist() for part in spans(module, 3, torch.device("cpu"))] == [first, last]
        assert module(torch.zeros(1, 3, 12), torch.ones(1, 3).bool())[0].shape[1] == len(first)


# -- what goes in


def test_places_of_a_grid_and_of_patches():
    regions = Regions(torch.zeros(2, 4, 3), torch.zeros(2, 4, 4), torch.ones(2, 4).bool())
    boxes = laid_out("grid", regions)
    assert boxes.shape == (2, 4, 4)
    assert torch.allclose(boxes[0, 1], torch.tensor([0.5, 0.0, 1.0, 0.5]))
    assert torch.equal(laid_out("regions", regions), regions.boxes)
    five = Regions(torch.zeros(1, 5, 3), torch.zeros(1, 5, 4), torch.ones(1, 5).bool())
    assert torch.allclose(laid_out("patches", five)[0, 4], torch.tensor([0.2, 0.2, 0.8, 0.8]))


def test_boxes_that_come_with_features_are_seen(tmp_path):
    data = with_twins(12)
    fitted = model(**GROUNDED).fit(data)
    for one in (fitted, CRAN.load(fitted.save(tmp_path))):
        _, features, boxes, mask = one._seen(one.image_side.features(data.images))
        assert torch.equal(boxes, data.images.given["boxes"])
        assert torch.equal(features, data.images.given["regions"])
        assert torch.equal(mask, data.images.given["mask"])
    moved = dataclasses.replace(data.images, given=data.images.given | {"boxes": data.images.given["boxes"].flip(1)})
    scores = (
        fitted.level_scores(data)["relation"],
        fitted.level_scores(dataclasses.replace(data, images=moved))["relation"],
    )
    assert not torch.allclose(*scores)


def test_regions_without_boxes_are_refused_where_geometry_is_asked_for():
    data = with_twins(12)
    given = {name: part for name, part in data.images.given.items() if name != "boxes"}
    bare = dataclasses.replace(data, images=dataclasses.replace(data.images, given=given))
    for settings in ({}, GROUNDED, {"geometry": "both"}, {"levels": ("local",), "geometry": "local"}):
        with pytest.raises(DataError, match=r"'regions' brings no boxes.*geometry='(relation|both|local)'.*\"none\""):
            model(**settings).fit(bare)
    fitted = model().fit(data)
    with pytest.raises(DataError, match="brings no boxes"):
        fitted.similarity(bare)
    for settings in (
        {"geometry": "none"},
        {"levels": ("global", "local")},
        {"levels": ("relation",), "geometry": "local"},
    ):
        config = model(**settings).config
        assert config.places == (config.geometry == "local")
    for settings in ({"geometry": "none"}, {"levels": ("global", "local")}):  # nothing there reads a box
        model(**settings).fit(bare)


def test_no_more_regions_are_kept_than_asked_for(tmp_path):
    data = with_twins(12)
    fitted = model(most_regions=2).fit(data)
    given = {name: part[:, :2] if part.ndim > 2 or name == "mask" else part for name, part in data.images.given.items()}
    cut = dataclasses.replace(data, images=dataclasses.replace(data.images, given=given))
    scores = fitted.similarity(data)
    assert torch.equal(scores, model().fit(cut).similarity(cut))
    assert torch.equal(CRAN.load(fitted.save(tmp_path)).similarity(data), scores)
    assert not torch.allclose(scores, model().fit(data).similarity(data))


def test_a_picture_whose_regions_are_all_masked_is_named():
    data = with_twins(12)
    mask = data.images.given["mask"].clone()
    mask[3] = False
    images = dataclasses.replace(data.images, given=data.images.given | {"mask": mask})
    with pytest.raises(DataError, match="the mask leaves image 'i3' no region"):
        model().fit(dataclasses.replace(data, images=images))


def test_boxes_with_nan_are_named_where_a_region_is_real_and_ignored_where_none_is():
    data = with_twins(12)
    boxes, mask = data.images.given["boxes"].clone(), data.images.given["mask"].clone()
    mask[3, -1] = False
    given = data.images.given | {"mask": mask}
    masked = dataclasses.replace(data, images=dataclasses.replace(data.images, given=given))
    boxes[3, -1, 2] = torch.nan
    ignored, refused = (
        dataclasses.replace(data, images=dataclasses.replace(data.images, given=given | {"boxes": boxes} | real))
        for real in ({}, {"mask": mask | True})
    )
    assert torch.equal(model().fit(ignored).similarity(ignored), model().fit(masked).similarity(masked))
    for use in (model().fit, model().fit(data).similarity):
        with pytest.raises(DataError, match="\"boxes\" of image 'i3' hold NaN or infinity"):
            use(refused)


def test_scores_do_not_depend_on_how_many_are_scored_at_a_time(monkeypatch):
    val = pairs(12, 3, seed=5)
    for settings in (GROUNDED, {"matching": "attended"}, {"matching": "best"}):
        fitted = model(**settings).fit(pairs(16, 3))
        whole = fitted.similarity(val)
        with monkeypatch.context() as few:
            few.setattr("xmrlib.methods.cran.PAIRS_MEMORY", 1)
            few.setattr("xmrlib.methods.cran.BATCH", 5)
            assert torch.allclose(fitted.similarity(val), whole, atol=1e-5)


def test_faults_of_the_data():
    one = dataclasses.replace(pairs(8), image_of_text=np.zeros(8, dtype=int))
    with pytest.raises(DataError, match="all texts of made are of one image"):
        model().fit(one)
    with pytest.raises(DataError, match="batch=1, and scenes that are twins"):
        model(batch=1).fit(with_twins(8))
    fitted = model().fit(pairs(16, 3))
    with pytest.raises(ValueError, match="12 images and 24 texts: give each image one text"):
        fitted.looks(pairs(12, 3, texts_each=2))
    with pytest.raises(ValueError, match="only the local and the relation level"):
        model(levels=("global",)).fit(pairs(16, 3)).looks(pairs(12, 3))
    with pytest.raises(DataError, match="no picture and no view 'grid'"):
        model(image_regions="grid").fit(pairs(16, 3))


def test_several_texts_an_image_are_trained_on(tmp_path):
    many = pairs(10, 3, texts_each=3)
    fitted = model(**GROUNDED).fit(many, val=pairs(6, 3, seed=5, texts_each=2))
    assert fitted.similarity(many).shape == (10, 30)


def test_by_the_command(tmp_path, capsys):
    options = ["--data", "scenes", "--data-option", "train=24", "val=8", "test=8"]
    sizes = ["dim=8", "word_dim=8", "sentence_maps=4", "predicate_dim=4", "epochs=1", "batch=8"]
    cli.main(["train", "cran", *options, "--out", str(tmp_path), "--config", *sizes, "relation=grounded"])
    cli.main(["evaluate", str(tmp_path), *options, "--split", "test"])
    assert "R@1" in capsys.readouterr().out


def test_levels_by_the_command_are_names_between_commas(capsys):
    for given in ("levels=relation,local", 'levels=["local", "relation"]'):
        cli.main(["train", "cran", "--list-config", "--config", given, "weights=validation"])
        printed = capsys.readouterr().out
        assert 'levels = ["local", "relation"]' in printed and 'weights = "validation"' in printed
    assert cli.main(["train", "cran", "--list-config", "--config", "levels=globe"]) != 0
    assert "levels=('globe',)" in capsys.readouterr().err


def test_all_pairs_of_levels():
    for levels in combinations(("global", "local", "relation"), 2):
        assert model(levels=levels).fit(pairs(16, 3)).config.levels == levels
