"""MCSM in use: one similarity out of two, attention that can be read, files, and faults that are named at the door."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
from test_ccl_training import ragged
from test_mcsm_training import CNN, LEARNT, NO_CONVOLUTION, RELEASED, led, model, same
from test_networks import pairs

from xmrlib import evaluate, methods
from xmrlib.data.pairs import DataError
from xmrlib.methods import MCSM, MCSMConfig
from xmrlib.methods.base import retrieval_score
from xmrlib.methods.mcsm_fusion import best_weight, fuse
from xmrlib.methods.mcsm_training import starting_vectors
from xmrlib.methods.sides import views_of

# -- the fused similarity


@pytest.fixture(scope="module")
def usual() -> MCSM:
    return model(epochs=12).fit(ragged(pairs(24, 3)), val=ragged(pairs(12, 3, seed=5)))


def test_one_matrix_two_matrices_and_the_fusion(usual):
    data = ragged(pairs(10, 3, seed=7))
    v, t = usual.spaces(data)
    assert v.shape == t.shape == (10, 10) and max(v.abs().max(), t.abs().max()) <= 1 + 1e-6
    torch.testing.assert_close(v, usual.embed_images(data.images, "visual") @ usual.embed_texts(data.texts, "visual").T)
    u = usual.embed_images(data.images, "textual")
    torch.testing.assert_close(t, u @ usual.embed_texts(data.texts, "textual").T)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(10))
    assert torch.equal(usual.similarity(data, queries="images"), fuse(v, t, axis=1))
    assert torch.equal(usual.similarity(data, queries="texts"), fuse(v, t, axis=0))
    bounds = tuple(tuple(usual.facts["bounds"][name]) for name in ("visual", "textual"))
    assert torch.equal(usual.similarity(data), fuse(v, t, bounds=bounds))
    assert -1 <= bounds[0][0] < bounds[0][1] <= 1


def test_what_else_is_in_the_gallery(usual):
    data = ragged(pairs(10, 3, seed=7))
    few = data.select(range(4))
    texts = few.texts
    # Without a direction a pair has its score, whatever is around it; with one, only the query's own gallery counts.
    torch.testing.assert_close(usual.similarity(few), usual.similarity(data)[:4, :4])
    whole = usual.similarity(data.images, texts, queries="images")
    torch.testing.assert_close(usual.similarity(few.images, texts, queries="images"), whole[:4])
    assert not torch.allclose(whole[:4], usual.similarity(data, queries="images")[:4, :4])
    columns = usual.similarity(few.images, data.texts, queries="texts")
    torch.testing.assert_close(usual.similarity(few.images, texts, queries="texts"), columns[:, :4])
    with pytest.raises(ValueError, match="queries='both' is neither"):
        MCSM.similarity.__wrapped__(usual, data, queries="both")


def test_bounds_and_scores_are_those_of_the_validation_split(usual):
    data, val = ragged(pairs(24, 3)), ragged(pairs(12, 3, seed=5))
    v, t = usual.spaces(val)
    for name, scores in (("visual", v), ("textual", t)):
        lows = (scores.amin(dim=0).mean() + scores.amin(dim=1).mean()) / 2
        highs = (scores.amax(dim=0).mean() + scores.amax(dim=1).mean()) / 2
        assert usual.facts["bounds"][name] == pytest.approx([lows.item(), highs.item()], abs=1e-6)
        seen = usual.facts["spaces"][name]
        labels = {"labels": val.labels, "text_labels": val.labels[val.image_of_text]}
        assert seen["validation_score"] == pytest.approx(evaluate.map_all(scores, **labels).avg)
        lines = [x for x in usual.history if x["stage"] == f"{name} space" and "validation" in x]
        assert seen["validation_score"] == max(x["validation"] for x in lines)
        assert lines[seen["epoch"] - 1]["validation"] == seen["validation_score"]
    found = retrieval_score(usual.similarity(val), views_of(val, usual.image_side, usual.text_side))
    assert usual.facts["validation_score"] == pytest.approx(found)
    assert usual.facts["weight"] == 0.5
    alone = model().fit(data)
    v, _ = alone.spaces(data)
    assert alone.facts["bounds"]["visual"][1] == pytest.approx(
        ((v.amax(dim=0).mean() + v.amax(dim=1).mean()) / 2).item(), abs=1e-6
    )
    assert "validation_score" not in alone.facts


def test_the_weight_is_chosen_on_the_validation_split_and_used():
    data, val = pairs(16, 2), pairs(12, 2, seed=5)
    fitted = model(weight="validation", fusion="sum").fit(data, val=val)
    v, t = fitted.spaces(val)
    views = views_of(val, fitted.image_side, fitted.text_side)
    assert fitted.facts["weight"] == best_weight(v, t, views, "sum") and 0 <= fitted.facts["weight"] <= 1
    assert fitted._axes == (1, 0) and model(**RELEASED)._axes == (1, 1)
    weight = fitted.facts["weight"]
    torch.testing.assert_close(fitted.similarity(val), 2 * (weight * v + (1 - weight) * t))
    with pytest.raises(DataError, match="weight is to be chosen on a validation split, and there is none"):
        model(weight="validation").fit(data)


def test_the_released_variant_looks_along_the_texts_unless_there_is_one():
    data = pairs(10)
    fitted = model(**RELEASED, fusion="adaptive").fit(data)
    assert torch.equal(fitted.similarity(data), fitted.similarity(data, queries="images"))
    v, t = fitted.spaces(data)
    assert torch.equal(fitted.similarity(data, queries="texts"), fuse(v, t, axis=0))
    one = data.texts.select(np.array([3]))
    asked = fitted.similarity(data.images, one)
    torch.testing.assert_close(asked, fuse(v[:, 3:4], t[:, 3:4], axis=0))
    assert asked.unique().numel() > 5


def test_one_space_is_its_own_similarity():
    data = pairs()
    for name, other in (("visual", "textual"), ("textual", "visual")):
        fitted = model(spaces=name).fit(data, val=data)
        scores = dict(zip(("visual", "textual"), fitted.spaces(data), strict=True))
        assert scores[other] is None and torch.equal(scores[name], fitted.similarity(data))
        assert {key.split(".")[0] for key in fitted.tensors} == {name}
        assert "bounds" not in fitted.facts and fitted.facts["spaces"][name]["epoch"] == fitted.facts["epoch"]
        with pytest.raises(ValueError, match=f"no space '{other}'; it was trained with spaces='{name}'"):
            fitted.embed_images(data.images, other)
        with pytest.raises(ValueError, match=f"no space '{other}'"):
            (fitted.text_attention if name == "visual" else fitted.image_attention)(data.texts)


@pytest.mark.parametrize("how", ["sum", "max", "rank", "product"])
def test_every_fusion_of_what_was_learnt_ranks_it(learnt, how):
    data, (v, t) = pairs(), learnt.spaces(pairs())
    other = MCSM(dataclasses.replace(learnt.config, fusion=how))
    for name in ("image_side", "text_side", "tensors", "facts"):
        setattr(other, name, getattr(learnt, name))
    assert led(other.similarity(data), data.labels) == (1, 1)
    assert torch.equal(other.similarity(data, queries="images"), fuse(v, t, how, axis=1))
    assert torch.equal(other.similarity(data, queries="texts"), fuse(v, t, how, axis=0))
    mean = (fuse(v, t, how, axis=1) + fuse(v, t, how, axis=0)) / 2
    assert torch.allclose(other.similarity(data), mean) == (how != "product")


@pytest.fixture(scope="module")
def learnt() -> MCSM:
    return model(**LEARNT).fit(pairs())


# -- attention, words, files


def test_attention_can_be_read(usual):
    data = ragged(pairs(10, 3, seed=7))
    regions = usual.image_attention(data.images)
    assert regions.shape == (10, 4) and (regions[::2, 3] == 0).all() and (regions[1::2, 3] > 0).all()
    torch.testing.assert_close(regions.sum(dim=1), torch.ones(10))
    words, segments = usual.text_attention(data.texts), usual.text_attention(data.texts, per="segment")
    tokens = usual.text_side.sides[list(usual.text_kind).index("text_view")].features(data.texts)
    assert words.shape == tokens.ids.shape and torch.equal(words > 0, tokens.mask)
    assert segments.shape == (10, math.ceil(words.shape[1] / 2))
    torch.testing.assert_close(words.sum(dim=1), torch.ones(10))
    alone = usual.text_attention([data.texts[3]])
    torch.testing.assert_close(alone[0], words[3, : alone.shape[1]])
    with pytest.raises(ValueError, match="per='letter' is neither"):
        MCSM.text_attention.__wrapped__(usual, data.texts, per="letter")


@pytest.mark.parametrize("switches", [CNN, RELEASED | CNN, NO_CONVOLUTION, {"spaces": "textual"}], ids=str)
def test_through_a_file_and_back(tmp_path, switches):
    data = pairs()
    fitted = model(**switches).fit(data, val=data)
    back = methods.load(fitted.save(tmp_path / "model"))
    assert back.config == fitted.config and isinstance(back.config.kernels, tuple)
    assert back.facts == json.loads(json.dumps(fitted.facts))
    for queries in (None, "images", "texts"):
        assert torch.equal(back.similarity(data, queries=queries), fitted.similarity(data, queries=queries))
    assert torch.equal(back.text_attention(data.texts), fitted.text_attention(data.texts))


def test_fixed_words_stay_and_trained_ones_move(tmp_path):
    data = pairs()
    path = tmp_path / "words.txt"
    path.write_text("cow 1 2 3\nboat 4 5 6\nsea 7 8 9\n")
    own = {"word_vectors": str(path), "word_dim": 3}
    fixed, trained = (model(**own, word_training=on).fit(data) for on in (False, True))
    encoder = fixed.text_side.sides[list(fixed.text_kind).index("text_view")].encoder
    row = {word: place for place, word in enumerate(encoder.words_)}
    for fitted in (fixed, trained):
        words = fitted.tensors["textual.words.vectors.weight"]
        moved = (words[[row["cow"], row["boat"]]] - torch.tensor([[1.0, 2, 3], [4, 5, 6]])).abs().max().item()
        assert (moved == 0) == (fitted is fixed) and moved < 0.5
        assert bool(words[row["tree"]].any()) == (fitted is trained), "it has no vector in the file"
        assert not words[0].any()
    with pytest.raises(DataError, match=r"words.txt have 3 numbers, and word_dim=8. Set it to 3"):
        model(word_vectors=str(path)).fit(data)
    assert starting_vectors("random", data.texts, ["cow"], 3, 1) is None


def test_rows_of_the_test_split_change_nothing():
    data = dataclasses.replace(pairs(24), split=np.array(["train"] * 16 + ["test"] * 8))
    later = torch.arange(24) >= 16
    given = {
        "vector": torch.where(later[:, None], 50.0, data.images.given["vector"]),
        "regions": torch.where(later[:, None, None], 9.0, data.images.given["regions"]),
        "mask": data.images.given["mask"],
    }
    words = tuple(f if i < 16 else ("something else entirely",) for i, f in enumerate(data.texts.fragments))
    other = dataclasses.replace(
        data,
        images=dataclasses.replace(data.images, given=given),
        texts=dataclasses.replace(data.texts, fragments=words),
    )
    own = {"scaling": "standard", "word_vectors": "ppmi"}
    first, second = (model(**own).fit(d.train) for d in (data, other))
    assert same(first, second) and first.facts == second.facts


def test_the_scaling_is_that_of_the_training_pairs():
    data = ragged(pairs(20))
    found = model(scaling="standard").fit(data).tensors
    torch.testing.assert_close(found["textual.image_scaling.mean"], data.images.given["vector"].mean(dim=0))
    regions = data.images.given["regions"]
    real = regions.features[regions.mask]
    assert len(real) < regions.mask.numel()
    torch.testing.assert_close(found["visual.region_scaling.mean"], real.mean(dim=0))
    assert found["visual.text_scaling.scale"].unique().numel() > 1


# -- at the door


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "original"}, "variant='original' is none of 'paper', 'released'"),
        ({"spaces": "common"}, "spaces='common' is none of 'both', 'visual', 'textual'"),
        ({"scaling": "minmax"}, "scaling='minmax' is none of"),
        ({"negatives": "all"}, "negatives='all' is none of 'random', 'hardest'"),
        ({"differ_in": "text"}, "differ_in='text' is none of"),
        ({"positives": "any"}, "positives='any' is none of"),
        ({"fusion": "mean"}, "fusion='mean' is none of 'adaptive'"),
        ({"dropout": 1.0}, "dropout=1.0 is outside [0, 1)"),
        ({"dropout": math.nan}, "dropout=nan is outside [0, 1)"),
        ({"margin": 0.0}, "margin=0.0 must be positive"),
        ({"dim": 0}, "dim=0 must be positive"),
        ({"layers": 0}, "layers=0 must be positive"),
        ({"classifier_epochs": 0}, "classifier_epochs=0 must be positive"),
        ({"epochs": 0}, "epochs=0 must be positive"),
        ({"kernels": (3, 3)}, "there are 2 kernels, 3 maps and 3 pools"),
        ({"pools": (5, 0, 6)}, "pools=(5, 0, 6): every size must be at least 1"),
        ({"classifier_widths": ()}, "leaves the word-CNN without a layer"),
        ({"text_length": 353}, "text_length=353: these kernels and pools need at least 354 words"),
        ({"variant": "released"}, "the padding counts, so that all texts must have one length. Set text_length"),
        ({"word_training": False, "word_vectors": "random"}, "gives words that mean nothing. Train them, or begin"),
        ({"weight": 1.1}, "weight=1.1 is neither between 0 and 1"),
        ({"weight": math.nan}, "weight=nan is neither"),
        ({"weight": "test"}, "weight='test' is neither"),
        ({"weight": 0.3, "fusion": "max"}, "the fusion 'max' has no weight; leave weight=0.3 out"),
        ({"weight": "validation", "fusion": "product"}, "the fusion 'product' has no weight"),
        ({"spaces": "visual", "fusion": "sum"}, "fusion='sum' and weight=0.5 belong to two spaces"),
        ({"positives": "class", "differ_in": "image"}, 'set differ_in to "class", or positives to "pair"'),
        ({"variant": "released", "text_length": 400, "differ_in": "image"}, "one of another image cannot be wrong"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError) as caught:
        MCSMConfig(**settings)
    assert message in str(caught.value)


def test_a_visual_space_alone_has_no_use_for_a_length_of_texts():
    assert MCSMConfig(variant="released", spaces="visual").text_length is None


def test_what_is_missing_is_named():
    data, unknown = pairs(), pairs(labels=False)
    for settings, reason in (
        (CNN, 'text_whole="cnn" (a view such as "tfidf" needs none)'),
        (RELEASED, 'right partners by class (positives="pair" needs none)'),
        ({"differ_in": "class"}, 'differ_in="class" ("image" needs none)'),
    ):
        assert model(**settings).needs_labels
        with pytest.raises(DataError, match=rf"made has no labels, and classes are needed for {re.escape(reason)}"):
            model(**settings).fit(unknown)
    assert not model().needs_labels and model().fit(unknown).fitted
    with pytest.raises(DataError, match='MCSM needs at least 2 classes. Set differ_in="image"'):
        model().fit(pairs(classes=1))
    assert model(differ_in="image").fit(pairs(classes=1)).fitted
    with pytest.raises(DataError, match="no view 'grid'; they bring 'vector', 'regions', 'boxes', 'mask'"):
        model(image_regions="grid").fit(data)
    with pytest.raises(DataError, match="set text_view='tokens'"):
        model(text_view="bow").fit(data)
    with pytest.raises(DataError, match="regions are needed"):
        model(image_regions="vector").fit(data)
    with pytest.raises(DataError, match="is no single tensor"):
        model(text_whole="fragments", text_whole_options={}).fit(data)
    with pytest.raises(RuntimeError, match="learned nothing yet"):
        model().spaces(data)
    with pytest.raises(RuntimeError, match="learned nothing yet"):
        model().image_attention(data.images)
    with pytest.raises(TypeError, match="needs texts beside the images"):
        model().fit(data).similarity(data.images)


def test_a_validation_split_without_labels_chooses_by_recall():
    data, val = pairs(16), pairs(8, seed=5, labels=False)
    fitted = model(**CNN, patience=1, weight="validation").fit(data, val=val)
    stages = {line["stage"] for line in fitted.history if "validation" in line}
    assert stages == {"visual space", "textual space"}
    assert 0 <= fitted.facts["validation_score"] <= 1
    labelled = model(**CNN, patience=1).fit(data, val=pairs(8, seed=5))
    stages = {line["stage"] for line in labelled.history if "validation" in line}
    assert stages == {"text classifier", "visual space", "textual space"}


def test_sizes():
    paper, released = MCSMConfig.paper(), MCSMConfig.paper(variant="released")
    assert (paper.dim, paper.image_hidden, paper.text_hidden, paper.text_length) == (4096, 512, 256, 2904)
    assert released.vectors_from == "ppmi" and not released.learns_words and paper.learns_words
    assert MCSMConfig.small(variant="released").text_length and MCSMConfig.small(seed=4).seed == 4
    assert 2173 // paper.batch * paper.epochs == pytest.approx(10_000, rel=0.01)
