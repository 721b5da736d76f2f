"""CCL in use: what is fitted on what, queries from outside, and faults that are named at the door."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from test_ccl_training import model, ragged, same, with_given
from test_networks import pairs

from xmrlib import methods
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.methods import CCLConfig

# -- what is fitted on what


def test_rows_of_the_test_split_change_nothing():
    split = np.array(["train"] * 16 + ["test"] * 8)
    data = dataclasses.replace(ragged(pairs(24)), split=split)
    rng = torch.Generator().manual_seed(3)
    later = torch.arange(24) >= 16
    vector, regions = data.images.given["vector"].clone(), data.images.given["regions"]
    vector[later] = 50 * torch.randn(8, 12, generator=rng)
    features = torch.where(later[:, None, None], 9.0, regions.features)
    words = tuple(f if i < 16 else ("something else entirely",) for i, f in enumerate(data.texts.fragments))
    other = with_given(
        data, {"vector": vector, "regions": dataclasses.replace(regions, features=features)}, fragments=words
    )
    first, second = (model().fit(d.train) for d in (data, other))
    assert same(first, second)
    (facts, tensors), (others, other_tensors) = first.text_side.state(), second.text_side.state()
    assert json.dumps(facts, sort_keys=True) == json.dumps(others, sort_keys=True)
    assert all(torch.equal(tensor, other_tensors[name]) for name, tensor in tensors.items())
    words = tuple(f if i else ("something else entirely",) for i, f in enumerate(data.texts.fragments))
    assert model().fit(with_given(data, fragments=words).train).text_side.dim != first.text_side.dim


@pytest.mark.parametrize("val", [None, ragged(pairs(12, seed=5))], ids=["without", "with"])
def test_the_common_representation_is_standardised_on_the_training_pairs(val):
    data = ragged(pairs(24))
    fitted = model().fit(data, val=val)
    for u in (
        fitted._embed_images(fitted.image_side.features(data.images)),
        fitted._embed_texts(fitted.text_side.features(data.texts)),
    ):
        torch.testing.assert_close(u.mean(dim=0), torch.zeros(16), atol=1e-3, rtol=0)
        torch.testing.assert_close(u.std(dim=0, correction=0), torch.ones(16), atol=1e-3, rtol=0)


def test_an_item_that_was_not_taken_apart_is_its_own_part():
    data = pairs()
    one = with_given(
        data, {"single": data.images.given["vector"][:, None]}, {"single": data.texts.given["vector"][:, None]}
    )
    own = {"text_view": "vector", "text_options": {}, "text_parts_options": {}}
    flat = model(**own, image_parts="vector", text_parts="vector").fit(one)
    deep = model(**own, image_parts="single", text_parts="single").fit(one)
    assert same(flat, deep) and torch.equal(flat.similarity(one), deep.similarity(one))


# -- queries


def test_a_sentence_and_a_picture_are_queries_after_loading(tmp_path):
    colours = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (200, 200, 40)]
    pictures = [Image.new("RGB", (24, 24), colour) for colour in colours]
    names = ("red", "green", "blue", "yellow")
    data = Pairs(
        "colours",
        Images(tuple("abcd"), picture=pictures.__getitem__),
        Texts(
            tuple("efgh"),
            fragments=tuple((f"a {name} wall", "it is flat")[: 1 + i % 2] for i, name in enumerate(names)),
        ),
        np.arange(4),
        labels=np.arange(4) % 2,
        classes=("one", "two"),
    )
    own = {"image_view": "whole", "image_parts": "patches", "batch": 4, "pretraining_epochs": 1}
    fitted = model(**own).fit(data)
    back = methods.load(fitted.save(tmp_path / "model"))
    scores = fitted.similarity(data)
    assert torch.equal(back.similarity(data), scores)
    torch.testing.assert_close(back.similarity(pictures[2], data.texts)[0], scores[2], atol=1e-4, rtol=0)
    torch.testing.assert_close(back.similarity(data.images, ["a blue wall"])[:, 0], scores[:, 2], atol=1e-4, rtol=0)
    assert back.text_side.knows("a blue moon") and not back.text_side.knows("xyzzy")


# -- at the door


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "original"}, "variant='original' is none of 'paper', 'released'"),
        ({"grains": "medium"}, "grains='medium' is none of 'both', 'coarse', 'fine'"),
        ({"pretraining": "none"}, "pretraining='none' is none of 'rbm', 'autoencoder'"),
        ({"fusion": "mean"}, "fusion='mean' is none of 'rbm', 'autoencoder'"),
        ({"balance": "even"}, "balance='even' is none of 'fixed', 'learned'"),
        ({"correlation": 1.1}, "correlation=1.1 is outside [0, 1]"),
        ({"correlation": math.nan}, "correlation=nan is outside [0, 1]"),
        ({"dropout": 1.0}, "dropout=1.0 is outside [0, 1)"),
        ({"scaling": "unit"}, "scaling='unit' is none of 'standard', 'even'"),
        ({"fine_tune": -1.0}, "fine_tune=-1.0 must be 0 or more"),
        ({"fine_tune": 1.0, "feature_dropout": 1.0}, "feature_dropout=1.0 is outside [0, 1)"),
        ({"labelled": 0}, "labelled=0 fills no batch of 80"),
        ({"feature_dropout": 0.5}, "feature_dropout=0.5 belongs to fine-tuning, and fine_tune=0"),
        ({"classification": -1.0}, "classification=-1.0 must be 0 or more"),
        ({"contrastive": math.nan}, "contrastive=nan must be 0 or more"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be 0 or more"),
        ({"classification": 0.0, "contrastive": 0.0}, "leave stage 2 without a loss; set one above 0"),
        ({"margin": 0.0}, "margin=0.0 must be positive"),
        ({"pretraining_rate": 0.0}, "pretraining_rate=0.0 must be positive"),
        ({"code": 0}, "code=0 must be positive"),
        ({"fusion_epochs": 0}, "fusion_epochs=0 must be positive"),
        ({"epochs": -1}, "epochs=-1 must be positive"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError) as caught:
        CCLConfig(**settings)
    assert message in str(caught.value)


def test_what_is_missing_is_named():
    data = pairs()
    with pytest.raises(
        DataError, match="no view 'patches'; they bring 'vector', 'regions', 'boxes', 'mask'. Set image_"
    ):
        model(image_parts="patches").fit(data)
    with pytest.raises(DataError, match="no words and no view 'fragments'; they bring 'vector'"):
        model(text_view="vector", text_options={}).fit(with_given(data, fragments=None))
    with pytest.raises(DataError, match="CCL learns from classes; made has no labels. Use CCA"):
        model().fit(pairs(labels=False))
    with pytest.raises(DataError, match="labelled=9, and the training split has 8 images"):
        model(labelled=9).fit(pairs())
    with pytest.raises(DataError, match="CCL needs at least 2 classes"):
        model().fit(pairs(classes=1))
    with pytest.raises(DataError, match="is no single tensor|one vector per item is needed"):
        model(image_view="regions").fit(data)


def test_features_that_are_no_counts_are_not_taken_for_counts():
    data = pairs()
    for given, settings in (
        (
            {"fragments": data.texts.given["vector"][:, None].repeat(1, 2, 1)},
            {"text_view": "vector", "text_options": {}},
        ),
        ({"bow": data.texts.given["vector"]}, {}),
    ):
        with pytest.raises(DataError, match="were taken for counts of words and hold -"):
            model(**settings).fit(with_given(data, texts=given))
    parts = data.texts.given["vector"][:, None].repeat(1, 2, 1)
    own = {"text_view": "vector", "text_options": {}, "text_parts_options": {}}
    assert model(**own).fit(with_given(data, texts={"fragments": parts})).fitted


def test_a_validation_split_without_labels_chooses_by_recall():
    data, val = ragged(pairs(16)), ragged(pairs(8, seed=5, labels=False))
    fitted = model(patience=1, epochs=4).fit(data, val=val)
    assert 0 <= fitted.facts["validation_score"] <= 1 and fitted.facts["epoch"] >= 1
    assert {line["stage"] for line in fitted.history if "validation" in line} == {"2E"}
    labelled = model(patience=1, epochs=4).fit(data, val=ragged(pairs(8, seed=5)))
    assert {line["stage"] for line in labelled.history if "validation" in line} == {"1D image", "1D text", "2E"}
    with pytest.raises(DataError, match="patience=1 needs a validation split"):
        model(patience=1).fit(data)
