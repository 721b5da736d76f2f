"""CM-GANs in use: what goes in, what one can look at, what retrieval compares, faults at the door, the command."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from test_cmgans import ENCODERS, model
from test_networks import pairs
from torch.nn.functional import normalize

from xmrlib import cli, evaluate, methods
from xmrlib.data.pairs import DataError
from xmrlib.features import fit_ppmi
from xmrlib.methods import CMGANs, CMGANsConfig
from xmrlib.methods.cmgans import AUTHORS_PROTOCOL


@pytest.fixture(scope="module")
def usual() -> CMGANs:
    return model(scaling="standard").fit(pairs(16, 3, texts_each=2), val=pairs(12, 3, seed=5))


# -- what goes in, and back out of a file


@ENCODERS
def test_through_a_file_and_back(encoder, tmp_path):
    data = pairs(12, 3, texts_each=2)
    fitted = model(encoder, scaling="standard").fit(data, val=data)
    back = methods.load(fitted.save(tmp_path))
    assert type(back) is CMGANs and back.config == fitted.config and back.facts == fitted.facts
    assert torch.equal(back.similarity(data), fitted.similarity(data))
    assert back.network.generators["image"].top is back.network.generators["text"].top
    for part in (back.common, back.features, back.reconstruct, back.classes):
        for side in ("image", "text"):
            assert torch.equal(part(data, side), getattr(fitted, part.__name__)(data, side))


@ENCODERS
def test_a_part_of_the_items_has_the_scores_that_all_have(encoder):
    data = pairs(12, 3, texts_each=2)
    fitted = model(encoder, scaling="standard").fit(data)
    scores = fitted.similarity(data)
    one = fitted.similarity(data.images.select(np.array([5])), data.texts.select(np.array([7])))
    assert torch.allclose(one[0, 0], scores[5, 7], atol=1e-4)


def test_words_begin_where_they_are_told_to_and_are_trained():
    data = pairs(16, 3)
    found = {}
    for source in ("random", "ppmi"):
        method = model("words", word_vectors=source, epochs=1, word_dim=6)
        network = []
        stages = method._stages

        def watched(built, *views, stages=stages, network=network):
            for stage in stages(built, *views):
                network.append(built.generators["text"].features.words.vectors.weight.detach().clone())
                yield stage

        method._stages = watched
        method.fit(data)
        found[source] = network[0]
        assert not torch.equal(network[0], method.tensors["generators.text.features.words.vectors.weight"])
    words = method.text_side.encoder.words_
    vectors = fit_ppmi(data.texts, 6, min_count=1).matrix(words).float()
    known = vectors.any(dim=1)
    assert known.sum() > 10 and torch.equal(found["ppmi"][known], vectors[known])
    assert not torch.equal(found["random"][known], vectors[known])
    with pytest.raises(DataError, match="word_dim=999|999 words|fewer|dim"):
        model("words", word_vectors="ppmi", word_dim=999).fit(data)


def test_a_sentence_is_a_query(usual):
    data = pairs(16, 3, texts_each=2)
    fitted = model("words").fit(data)
    scores = fitted.similarity(data.images, ["a cow sleeps", "an unheard-of thing"])
    assert scores.shape == (16, 2) and torch.isfinite(scores).all()
    assert usual.similarity(torch.zeros(2, 12), torch.ones(3, 9)).shape == (2, 3)


# -- looking inside


def test_what_one_can_look_at(usual):
    data = pairs(16, 3, texts_each=2)
    network = usual.network
    for side, items, view in (("image", data.images, "vector"), ("text", data.texts, "vector")):
        given = items.given[view]
        h = usual.features(data, side)
        assert torch.allclose(h.mean(dim=0), torch.zeros(h.shape[1]), atol=1e-4 if side == "image" else 1e-1)
        assert torch.equal(h, usual.features(items, side)) and torch.equal(h, usual.features(given, side))
        with torch.inference_mode():
            generator = network.generators[side]
            s = generator.encode(h)
            assert torch.allclose(usual.common(data, side), s, atol=1e-6)
            assert torch.allclose(usual.reconstruct(data, side), generator.decode(s), atol=1e-5)
            assert torch.allclose(usual.classes(data, side), generator.classify(s).softmax(dim=1), atol=1e-6)
    assert usual.reconstruct(data, "text").shape == (32, 9)


def test_retrieval_compares_s_brought_to_the_moments_of_the_training_pairs(usual):
    data, other = pairs(16, 3, texts_each=2), pairs(12, 3, seed=5)
    moments = {}
    for side in ("image", "text"):
        s = usual.common(data, side)
        moments[side] = s.mean(dim=0), s.std(dim=0, correction=0)
    own = {side: (usual.common(other, side) - mean) / deviation for side, (mean, deviation) in moments.items()}
    expected = normalize(own["image"], dim=1) @ normalize(own["text"], dim=1).T
    assert torch.allclose(usual.similarity(other), expected, atol=1e-4)
    raw = model(scaling="standard", standardise=False).fit(data, val=other)
    expected = normalize(raw.common(other, "image"), dim=1) @ normalize(raw.common(other, "text"), dim=1).T
    assert torch.allclose(raw.similarity(other), expected, atol=1e-6)


def test_retrieval_by_classes():
    data = pairs(16, 3, texts_each=2)
    fitted = model(compare="classes").fit(data, val=data)
    images, texts = (normalize(fitted.classes(data, side), dim=1) for side in ("image", "text"))
    assert torch.allclose(fitted.similarity(data), images @ texts.T, atol=1e-6)
    assert fitted.embed_images(data.images).shape == (16, 3)


def test_the_best_epoch_on_the_validation_split_is_kept(usual):
    data = pairs(12, 3, seed=5)
    measured = [line for line in usual.history if "validation" in line]
    best = max(measured, key=lambda line: line["validation"])
    assert usual.facts["epoch"] == best["epoch"]
    labels = {"labels": data.labels, "text_labels": data.labels[data.image_of_text]}
    assert evaluate.map_all(usual.similarity(data), **labels).avg == pytest.approx(best["validation"])


def test_all_modal_lists_of_the_authors_keep_the_query():
    data = pairs(16, 3)
    fitted = model(standardise=False).fit(data)
    images, texts = (fitted.common(data, side) for side in ("image", "text"))
    authors = evaluate.embedding_map(images, texts, data.labels, **AUTHORS_PROTOCOL)
    without = evaluate.embedding_map(images, texts, data.labels, **AUTHORS_PROTOCOL | {"keep_self": False})
    assert authors.all_i >= without.all_i and authors.all_t >= without.all_t
    assert authors.i2t == without.i2t


# -- at the door


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "code"}, "variant='code' is none of 'paper', 'released'"),
        ({"encoder": "vgg"}, "encoder='vgg' is none of 'features', 'words', 'conv'"),
        ({"scaling": "minmax"}, "scaling='minmax' is none of"),
        ({"sharing": "all"}, "sharing='all' is none of 'auto', 'weights', 'start', 'none'"),
        ({"classifier": "both"}, "classifier='both' is none of 'own', 'shared'"),
        ({"mismatch": "wrong"}, "mismatch='wrong' is none of"),
        ({"differ_in": "text"}, "differ_in='text' is none of"),
        ({"sampling": "random"}, "sampling='random' is none of"),
        ({"game": "wasserstein"}, "game='wasserstein' is none of 'non-saturating', 'minimax'"),
        ({"compare": "both"}, "compare='both' is none of 'common', 'classes'"),
        ({"generator_steps": 0}, "generator_steps=0 must be at least 1"),
        ({"discriminator_steps": 0}, "discriminator_steps=0 must be at least 1"),
        ({"halve_after": 0}, "halve_after=0 must be at least 1"),
        ({"dim": 0}, "dim=0 must be at least 1"),
        ({"inter": -1.0}, "inter=-1.0 must be 0 or more, and finite"),
        ({"r1": math.inf}, "r1=inf must be 0 or more, and finite"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 is outside [0, 1)"),
        ({"dropout": -0.1}, "dropout=-0.1 is outside [0, 1)"),
        ({"text_widths": ()}, "text_widths=(): give at least one width"),
        ({"text_widths": (3, 0)}, "text_widths=(3, 0): give at least one width, and none below 1"),
        ({"batch": 1}, "batch=1 leaves batch norm nothing to average; set 2 or more"),
        ({"intra": 0, "inter": 0, "semantic": 0}, "so that there is no loss; set one"),
        ({"intra": 0, "inter": 0, "spectral_norm": True}, "spectral_norm=True belongs to discriminators"),
        ({"intra": 0, "inter": 0, "r1": 1.0}, "r1=1.0 belongs to discriminators"),
        ({"compare": "classes", "semantic": 0}, 'compare="classes" needs classes of s'),
        ({"variant": "released", "differ_in": "image"}, 'Set sampling="pairs", or leave differ_in out'),
        ({"labelled": 0}, "labelled=0 must be at least 1, or None for all"),
        ({"labelled": 9, "differ_in": "class"}, 'set differ_in to "image", and sampling to "pairs"'),
        ({"labelled": 9, "sampling": "classes"}, "labelled=9 leaves most classes unknown"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError) as caught:
        CMGANsConfig(**settings)
    assert message in str(caught.value)


def test_labels_are_needed_where_something_asks_for_classes():
    bare = pairs(labels=False)
    for settings in ({}, {"semantic": 0, "sampling": "classes"}, {"semantic": 0, "differ_in": "class"}):
        assert model(**settings).needs_labels
        with pytest.raises(DataError, match="CMGANs learns from classes; made has no labels"):
            model(**settings).fit(bare)
    assert not model(semantic=0).needs_labels and model(semantic=0).fit(bare).fitted
    one = dataclasses.replace(pairs(), labels=np.zeros(8, int))
    with pytest.raises(DataError, match="all 8 images of made carry class 0, so that no pair is wrong"):
        model(semantic=0).fit(one)
    assert model(semantic=0, differ_in="image").fit(one).fitted


def test_classes_that_are_not_shown_are_not_known():
    data = pairs(16, 2)
    told = np.random.default_rng(3).choice(16, 6, replace=False)
    wrong = data.labels.copy()
    others = np.setdiff1d(np.arange(16), told)
    wrong[others] = 1 - wrong[others]
    first, second = (
        model(labelled=6, seed=3, semantic=5.0).fit(dataclasses.replace(data, labels=labels))
        for labels in (data.labels, wrong)
    )
    assert torch.equal(first.common(data, "image"), second.common(data, "image"))
    everything = model(labelled=16, seed=3, semantic=5.0).fit(data)
    assert not torch.equal(everything.common(data, "image"), first.common(data, "image"))
    with pytest.raises(DataError, match="labelled=17, and the training split has 16 images"):
        model(labelled=17).fit(data)


def test_views_of_another_kind_are_refused():
    with pytest.raises(DataError, match="set text_view='tokens'"):
        model("words", text_view="vector", text_options={}).fit(pairs())
    with pytest.raises(DataError, match=r"regions are needed, \(n, r, d\)"):
        model("conv", image_view="vector").fit(pairs())
    with pytest.raises(DataError, match="one vector per image is needed|one vector per item is needed"):
        model(image_view="regions").fit(pairs())


def test_what_is_asked_of_a_model_that_cannot_answer(usual):
    with pytest.raises(RuntimeError, match="has learned nothing yet"):
        model().common(pairs(), "image")
    with pytest.raises(ValueError, match='side=\'images\' is neither "image" nor "text"'):
        usual.features(pairs(), "images")
    with pytest.raises(ValueError, match="trained with semantic=0 and knows no classes"):
        model(semantic=0, epochs=1).fit(pairs()).classes(pairs(), "image")


def test_sizes_of_paper_and_book():
    paper, released = CMGANsConfig.paper(), CMGANsConfig.paper(variant="released")
    assert (paper.encoder, paper.text_view, paper.text_maps * len(paper.text_widths)) == ("words", "tokens", 300)
    assert (released.encoder, released.text_options) == ("features", {"dim": 300})
    for config in (paper, released):
        assert (config.dim, config.hidden, config.inter_hidden, config.epochs) == (1024, 1024, 512, 2000)
        assert (config.discriminator_steps, config.generator_steps, config.backbone) == (1, 5, "vgg19")
    assert (paper.shares, paper.mismatches, paper.draws) == ("weights", "condition", "pairs")
    assert (released.shares, released.mismatches, released.draws) == ("start", "pair", "classes")
    assert CMGANsConfig.small(epochs=3, dim=7).dim == 7
    views = {encoder: CMGANsConfig.small(encoder=encoder) for encoder in ("features", "words", "conv")}
    found = {encoder: (config.image_view, config.text_view) for encoder, config in views.items()}
    assert found == {"features": ("whole", "tfidf"), "words": ("whole", "tokens"), "conv": ("grid", "tokens")}
    assert CMGANsConfig(text_widths=[2, 3]).text_widths == (2, 3)
    assert CMGANsConfig.small().spectral_norm and CMGANsConfig.small(inter=0).spectral_norm
    assert not CMGANsConfig.small(intra=0, inter=0).spectral_norm


# -- the command


def test_the_command_trains_evaluates_and_searches(tmp_path, monkeypatch, capsys):
    from xmrlib import data

    def xmr(*words):
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()

    few = ["--data-option", "train=20", "val=8", "test=8", "size=96", "--texts", "joined"]
    query = data.load("scenes", train=20, val=8, test=8, size=96).train.texts[0]
    sizes = [
        "hidden=16",
        "dim=8",
        "inter_hidden=8",
        "epochs=2",
        "batch=10",
        "text_widths=[2,3]",
        "text_maps=5",
        "word_dim=6",
    ]
    words = ("train", "cmgans", "--data", "scenes", *few, "--out", tmp_path, "--json")
    code, found, err = xmr(*words, "--config", *sizes, "encoder=words", "text_view=tokens", "text_options.min_count=1")
    assert code == 0, err
    about = json.loads(found)
    assert (
        about["method"] == "cmgans" and about["config"]["text_widths"] == [2, 3] and about["chosen"]["epoch"] in (1, 2)
    )
    code, found, _ = xmr("evaluate", tmp_path, "--json")
    assert (code, json.loads(found)["images"]) == (0, 8)
    code, found, err = xmr("search", tmp_path, query, "--top", 3, "--json")
    assert code == 0 and [hit["rank"] for hit in json.loads(found)] == [1, 2, 3], err
    code, _, err = xmr("train", "cmgans", "--config", "sharing=all")
    assert code == 2 and "sharing='all' is none of" in err
