"""The first methods: against oracles, under invariances, on eight pairs, through a file and back, and at the door."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from xmrlib import methods
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.methods import (
    CCA,
    CCAConfig,
    CheckpointError,
    KernelCCA,
    KernelCCAConfig,
    SemanticMatching,
    SemanticMatchingConfig,
)
from xmrlib.methods.base import standardiser, validation_score
from xmrlib.methods.cca import canonical_directions, principal_axes
from xmrlib.methods.kernel_cca import chi_squared, kernel_matrix
from xmrlib.methods.semantic import logistic_regression
from xmrlib.methods.sides import Views

GIVEN = {"image_view": "vector", "text_view": "vector"}
ALL = [
    (CCA, CCAConfig(**GIVEN)),
    (KernelCCA, KernelCCAConfig(**GIVEN)),
    (KernelCCA, KernelCCAConfig(**GIVEN, text_kernel="rbf", landmarks=20)),
    (SemanticMatching, SemanticMatchingConfig(**GIVEN)),
    (SemanticMatching, SemanticMatchingConfig(**GIVEN, classifier="mlp", hidden=16, epochs=5)),
]
NAMES = ["cca", "kernel_cca", "kernel_cca_nystroem", "semantic", "semantic_mlp"]


def made_pairs(size=60, classes=3, image_dim=12, text_dim=9, seed=0, texts_each=1, noise=0.5) -> Pairs:
    """Two noisy linear pictures of one hidden vector; the hidden vectors gather in classes."""
    rng = np.random.default_rng(seed)
    # The maps and class centres belong to the data set, not to the sample drawn from it.
    fixed = np.random.default_rng(1234)
    centres, to_image = fixed.normal(size=(classes, 5)) * 2, fixed.normal(size=(5, image_dim))
    to_text = fixed.normal(size=(5, text_dim))
    labels = np.arange(size) % classes
    hidden = centres[labels] + rng.normal(size=(size, 5))
    image_of_text = np.repeat(np.arange(size), texts_each)
    images = hidden @ to_image + noise * rng.normal(size=(size, image_dim))
    texts = hidden[image_of_text] @ to_text + noise * rng.normal(size=(len(image_of_text), text_dim))
    return pairs_of(images, texts, labels, image_of_text, classes)


def pairs_of(images, texts, labels=None, image_of_text=None, classes=0) -> Pairs:
    size = len(images)
    return Pairs(
        "made",
        Images(tuple(f"i{i}" for i in range(size)), given={"vector": torch.as_tensor(images, dtype=torch.float32)}),
        Texts(tuple(f"t{i}" for i in range(len(texts))), given={"vector": torch.as_tensor(texts, dtype=torch.float32)}),
        np.arange(size) if image_of_text is None else image_of_text,
        labels=labels,
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def spoken_pairs(size=24) -> Pairs:
    """Plain coloured pictures and sentences that name the colour."""
    colours = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
    names = [list(colours)[i % 3] for i in range(size)]
    places = ["wall", "door", "fence", "roof"]
    pictures = [Image.new("RGB", (32, 32), colours[name]) for name in names]
    fragments = tuple((f"A {name} {places[i % 4]}.", "It is quiet.") for i, name in enumerate(names))
    return Pairs(
        "colours",
        Images(tuple(f"i{i}" for i in range(size)), picture=pictures.__getitem__),
        Texts(tuple(f"t{i}" for i in range(size)), fragments=fragments),
        np.arange(size),
        labels=np.arange(size) % 3,
        classes=tuple(colours),
    )


# -- CCA against oracles and under invariances


@pytest.mark.parametrize("standardise", [True, False])
def test_cca_without_ridge_and_weight_is_scikit_learns(standardise):
    from sklearn.cross_decomposition import CCA as Oracle

    train, test = made_pairs(200, seed=1), made_pairs(30, seed=2)
    config = CCAConfig(**GIVEN, dim=4, ridge=0.0, weight=0.0, standardise=standardise)
    model = CCA(config).fit(train)
    oracle = Oracle(n_components=4, max_iter=5000, tol=1e-12)
    oracle.fit(train.images.given["vector"].double().numpy(), train.texts.given["vector"].double().numpy())
    expected_images, expected_texts = oracle.transform(
        test.images.given["vector"].double().numpy(), test.texts.given["vector"].double().numpy()
    )
    images = model._embed_images(test.images.given["vector"]).numpy()
    texts = model._embed_texts(test.texts.given["vector"]).numpy()
    for direction in range(4):
        # Scale and sign of a direction are free in CCA; both sides must agree on the sign. The oracle iterates: 1e-4.
        image_agreement = np.corrcoef(images[:, direction], expected_images[:, direction])[0, 1]
        text_agreement = np.corrcoef(texts[:, direction], expected_texts[:, direction])[0, 1]
        assert min(abs(image_agreement), abs(text_agreement)) > 1 - 1e-4
        assert np.sign(image_agreement) == np.sign(text_agreement)
    fitted_images, fitted_texts = oracle.transform(
        train.images.given["vector"].double().numpy(), train.texts.given["vector"].double().numpy()
    )
    correlations = [np.corrcoef(fitted_images[:, k], fitted_texts[:, k])[0, 1] for k in range(4)]
    assert np.allclose(model.correlations.numpy(), correlations, atol=1e-4)


def test_cca_solves_the_generalised_eigenproblem_with_its_ridge():
    from scipy.linalg import eigh

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    y = x[:, :4] @ rng.normal(size=(4, 5)) + rng.normal(size=(50, 5))
    x, y = x - x.mean(0), y - y.mean(0)
    ridge = 0.3
    xx, yy, xy = x.T @ x / 50, y.T @ y / 50, x.T @ y / 50
    xx_ridge, yy_ridge = xx + ridge * np.trace(xx) / 6 * np.eye(6), yy + ridge * np.trace(yy) / 5 * np.eye(5)
    squared = eigh(xy @ np.linalg.inv(yy_ridge) @ xy.T, xx_ridge, eigvals_only=True)[::-1][:5]
    image_w, text_w, correlations = canonical_directions(torch.from_numpy(x), torch.from_numpy(y), ridge)
    assert np.allclose(correlations.numpy() ** 2, squared)
    assert np.allclose(image_w.T.numpy() @ xx_ridge @ image_w.numpy(), np.eye(5), atol=1e-10)
    assert np.allclose(image_w.T.numpy() @ xy @ text_w.numpy(), np.diag(correlations.numpy()), atol=1e-10)


def test_cca_does_not_see_affine_maps_of_its_inputs():
    train, test = made_pairs(100, seed=1), made_pairs(20, seed=2)
    rng = np.random.default_rng(5)
    turn = torch.from_numpy(rng.normal(size=(12, 12))).float()

    def mapped(pairs, matrix, offset):
        given = {"vector": pairs.images.given["vector"] @ matrix + offset}
        return dataclasses.replace(pairs, images=dataclasses.replace(pairs.images, given=given))

    # Without a ridge, any invertible map; with one, any change of unit and origin of each feature.
    for config, matrix in [
        (CCAConfig(**GIVEN, ridge=0.0, dim=5), turn),
        (CCAConfig(**GIVEN, ridge=0.0, dim=5, standardise=False), turn),
        (CCAConfig(**GIVEN, ridge=0.5), torch.diag(torch.linspace(0.1, 20, 12))),
        (CCAConfig(**GIVEN, ridge=0.5, standardise=False), 7 * torch.eye(12)),
    ]:
        plain = CCA(config).fit(train).similarity(test)
        moved = CCA(config).fit(mapped(train, matrix, 3.0)).similarity(mapped(test, matrix, 3.0))
        assert torch.allclose(plain, moved, atol=2e-3)


def test_more_dimensions_than_pairs_gives_the_same_directions_as_the_dual():
    generator = torch.Generator().manual_seed(0)
    tall = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    tall = tall - tall.mean(0)
    wide = torch.cat([tall, torch.zeros(30, 40, dtype=torch.float64)], dim=1)  # 48 dimensions, 30 pairs
    axes, variances = principal_axes(wide)
    expected_axes, expected = principal_axes(tall)
    assert torch.allclose(variances, expected)
    assert torch.allclose((axes[:8] * expected_axes).sum(0).abs(), torch.ones(8, dtype=torch.float64))
    assert torch.allclose(axes.T @ axes, torch.eye(8, dtype=torch.float64), atol=1e-10)


def test_weight_multiplies_by_the_correlation():
    train = made_pairs()
    plain = CCA(CCAConfig(**GIVEN, weight=0.0)).fit(train)
    weighted = CCA(CCAConfig(**GIVEN, weight=2.0)).fit(train)
    features = train.images.given["vector"]
    expected = plain._embed_images(features).double() * plain.correlations**2
    assert torch.allclose(weighted._embed_images(features).double(), expected, atol=1e-5)


def test_an_image_with_five_texts_counts_five_times():
    pairs = made_pairs(40, texts_each=5)
    repeated = pairs_of(pairs.images.given["vector"][pairs.image_of_text], pairs.texts.given["vector"])
    one = CCA(CCAConfig(**GIVEN, standardise=False)).fit(pairs)
    other = CCA(CCAConfig(**GIVEN, standardise=False)).fit(repeated)
    assert torch.allclose(one.correlations, other.correlations)
    assert one.similarity(pairs).shape == (40, 200)


# -- kernel CCA


def test_kernel_cca_with_linear_kernels_is_cca():
    train, test = made_pairs(80, seed=1), made_pairs(20, seed=2)
    same = {"ridge": 0.0, "dim": 5}
    linear = KernelCCA(KernelCCAConfig(**GIVEN, image_kernel="linear", text_kernel="linear", **same)).fit(train)
    plain = CCA(CCAConfig(**GIVEN, **same)).fit(train)
    assert torch.allclose(linear.correlations, plain.correlations, atol=1e-5)
    assert torch.allclose(linear.similarity(test), plain.similarity(test), atol=1e-3)


def test_kernels_equal_their_definitions():
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.random((5, 4))), torch.from_numpy(rng.random((3, 4)))
    x[0], y[0] = 0, 0
    for i in range(5):
        for j in range(3):
            total = sum(float((a - b) ** 2 / (a + b)) for a, b in zip(x[i], y[j], strict=True) if a + b > 0)
            assert math.isclose(float(chi_squared(x, y, chunk=2)[i, j]), total, abs_tol=1e-9)
            distance = float(((x[i] - y[j]) ** 2).sum())
            assert math.isclose(float(kernel_matrix(x, y, "rbf", 0.7)[i, j]), math.exp(-distance / 0.98), abs_tol=1e-9)
    assert torch.allclose(kernel_matrix(x[1:], x[1:], "cosine", 1.0).diagonal(), torch.ones(4, dtype=torch.float64))


def test_kernel_cca_finds_what_lines_cannot():
    rng = np.random.default_rng(0)

    def circles(size, seed):
        angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, size)
        radius = np.random.default_rng(seed + 1).uniform(0.5, 2, size)
        # The text knows the radius only: no straight line through the image plane does.
        images = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return pairs_of(images, np.stack([radius, rng.normal(size=size)], 1))

    train = circles(300, 0)
    bent = KernelCCA(KernelCCAConfig(**GIVEN, text_kernel="rbf", ridge=1.0)).fit(train)
    straight = CCA(CCAConfig(**GIVEN)).fit(train)
    assert float(straight.correlations[0]) < 0.3
    assert float(bent.correlations[0]) > 0.8


# -- semantic matching


def test_logistic_regression_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    pairs = made_pairs(90, classes=4, noise=3.0)
    features, labels = pairs.images.given["vector"].double(), torch.from_numpy(pairs.labels)
    for c in (0.01, 1.0):
        oracle = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(features.numpy(), labels.numpy())
        weights = logistic_regression(features, labels, 4, c)
        found = (features @ weights[:-1] + weights[-1]).softmax(1)
        assert np.allclose(found.numpy(), oracle.predict_proba(features.numpy()), atol=2e-4)


def test_a_class_without_items_gets_no_probability():
    pairs = dataclasses.replace(made_pairs(40, classes=2), classes=("a", "b", "empty"))
    model = SemanticMatching(SemanticMatchingConfig(**GIVEN)).fit(pairs)
    believed = model.probabilities(images=pairs.images)
    assert believed.shape == (40, 3)
    assert float(believed[:, 2].max()) == 0
    assert torch.allclose(believed.sum(1), torch.ones(40))


def test_semantic_matching_needs_no_pairs():
    train, test = made_pairs(90), made_pairs(30, seed=3)
    order = np.random.default_rng(0).permutation(90)
    order = order[np.argsort(train.labels[order], kind="stable")]
    by_class = np.argsort(train.labels, kind="stable")
    shuffled = np.empty(90, dtype=int)
    shuffled[by_class] = order  # texts change places within their class
    mixed = pairs_of(train.images.given["vector"], train.texts.given["vector"][shuffled], train.labels, classes=3)
    config = SemanticMatchingConfig(**GIVEN)
    one = SemanticMatching(config).fit(train).similarity(test)
    other = SemanticMatching(config).fit(mixed).similarity(test)
    assert torch.allclose(one, other, atol=1e-4)


def test_the_mlp_is_decided_by_its_seed():
    train, test = made_pairs(60), made_pairs(20, seed=3)
    config = SemanticMatchingConfig(**GIVEN, classifier="mlp", hidden=8, epochs=3)
    first, again = (SemanticMatching(config).fit(train).similarity(test) for _ in range(2))
    other = SemanticMatching(dataclasses.replace(config, seed=1)).fit(train).similarity(test)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_diverging_mlp_stops_with_its_learning_rate():
    config = SemanticMatchingConfig(**GIVEN, classifier="mlp", learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="learning rate 1e\\+30"):
        SemanticMatching(config).fit(made_pairs())


# -- every method


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_eight_pairs_are_learned_by_heart(method, config):
    from xmrlib import evaluate

    rng = np.random.default_rng(0)
    pairs = pairs_of(rng.normal(size=(8, 16)), rng.normal(size=(8, 12)), np.arange(8) % 4, classes=4)
    changes = {"landmarks": 100} if method is KernelCCA else {}
    if method is SemanticMatching:
        changes = {"epochs": 300, "dropout": 0.0, "image_c": 1.0, "text_c": 1.0}
    model = method(dataclasses.replace(config, **changes)).fit(pairs)
    scores = model.similarity(pairs)
    if method is SemanticMatching:
        found = evaluate.map_all(scores, pairs.labels)
        assert found.i2t == found.t2i == 1.0
    else:
        assert torch.equal(scores.argmax(1), torch.arange(8))
        assert torch.equal(scores.argmax(0), torch.arange(8))


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_a_file_and_back_gives_equal_bits(method, config, tmp_path):
    train, test = made_pairs(60), made_pairs(20, seed=3)
    model = method(config).fit(train)
    file = model.save(tmp_path / "run")
    assert file == tmp_path / "run" / "model.safetensors"
    for loaded in (method.load(tmp_path / "run"), method.load(file, config=config), methods.load(tmp_path / "run")):
        assert loaded.config == config
        assert loaded.facts == model.facts
        assert torch.equal(loaded.similarity(test), model.similarity(test))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model.safetensors"]  # no draft left behind
    before = file.read_bytes()
    assert methods.load(file).save(tmp_path / "again.safetensors").read_bytes() == before


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_the_order_of_images_changes_nothing_but_the_order(method, config):
    train, test = made_pairs(60), made_pairs(20, seed=3)
    model = method(config).fit(train)
    order = np.random.default_rng(0).permutation(20)
    scores = model.similarity(test)
    assert torch.allclose(model.similarity(test.images.select(order), test.texts), scores[order], atol=1e-5)
    assert torch.allclose(model.embed_images(test.images) @ model.embed_texts(test.texts).T, scores, atol=1e-6)
    assert torch.allclose(model.embed_images(test.images).norm(dim=1), torch.ones(20), atol=1e-5)


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_the_test_split_leaves_no_trace_in_what_is_learned(method, config):
    whole = made_pairs(90)
    split = np.array(["train"] * 50 + ["val"] * 20 + ["test"] * 20)
    whole = dataclasses.replace(whole, split=split)
    given = {"vector": whole.images.given["vector"].clone()}
    given["vector"][70:] *= -5
    changed = dataclasses.replace(whole, images=dataclasses.replace(whole.images, given=given))
    one, other = (method(config).fit(pairs.train, val=pairs.val) for pairs in (whole, changed))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("method", [CCA, KernelCCA, SemanticMatching])
def test_raw_pictures_and_sentences_are_queries(method, tmp_path):
    pairs = spoken_pairs()
    config = dataclasses.replace(method.Config(), text_options={"min_count": 1})
    model = method(config).fit(pairs)
    model.save(tmp_path)
    model = method.load(tmp_path)
    red = Image.new("RGB", (50, 40), (220, 30, 30))
    scores = model.similarity([red], ["a red door", "a green roof", "a blue wall"])
    assert scores.shape == (1, 3)
    assert int(scores.argmax()) == 0
    assert torch.allclose(model.similarity(red, "a red door"), scores[:, :1], atol=1e-6)
    best = model.similarity(pairs.images, "a blue wall")[:, 0].argmax()
    assert pairs.labels[best] == 2


# -- choosing on the validation split


def test_ridge_dim_and_weight_are_the_best_of_their_grids_on_validation():
    train, val = made_pairs(60, noise=2.0), made_pairs(40, seed=7, noise=2.0)
    model = CCA(CCAConfig(**GIVEN, ridge="validation", dim="validation", weight="validation")).fit(train, val=val)
    views = Views(
        val.images.given["vector"], val.texts.given["vector"], torch.arange(40), torch.from_numpy(val.labels), 3
    )

    def score(**choice):
        plain = CCA(CCAConfig(**GIVEN, **choice)).fit(train)
        return validation_score(plain.embed_images(val.images), plain.embed_texts(val.texts), views)

    chosen = {name: model.facts[name] for name in ("ridge", "dim", "weight")}
    assert math.isclose(score(**chosen), model.facts["validation_score"], abs_tol=1e-6)
    for ridge in methods.cca.RIDGES:
        for weight in methods.cca.WEIGHTS:
            assert score(ridge=ridge, dim=5, weight=weight) <= model.facts["validation_score"] + 1e-6


def test_c_is_chosen_on_validation():
    train, val = made_pairs(60, noise=4.0), made_pairs(40, seed=7, noise=4.0)
    model = SemanticMatching(SemanticMatchingConfig(**GIVEN, image_c="validation", text_c="validation")).fit(
        train, val=val
    )
    assert model.facts["image_c"] in methods.semantic.PENALTIES
    same = SemanticMatching(SemanticMatchingConfig(**GIVEN, text_c=model.facts["text_c"])).fit(train)
    believed = (model.probabilities(texts=val.texts), same.probabilities(texts=val.texts))
    assert torch.allclose(*believed, atol=1e-3)


def test_choosing_by_recall_needs_no_classes():
    train, val = (dataclasses.replace(made_pairs(60, seed=s), labels=None, classes=()) for s in (0, 1))
    for choose_by in ("auto", "recall"):
        model = CCA(CCAConfig(**GIVEN, ridge="validation", choose_by=choose_by)).fit(train, val=val)
        assert 0 < model.facts["validation_score"] <= 1
    with pytest.raises(DataError, match="MAP needs classes"):
        CCA(CCAConfig(**GIVEN, ridge="validation", choose_by="map")).fit(train, val=val)


# -- errors at the door


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_before_fit_nothing_works(method, config, tmp_path):
    model = method(config)
    for call in (
        lambda: model.similarity(made_pairs()),
        lambda: model.save(tmp_path / "x"),
        lambda: model.embed_texts("a"),
    ):
        with pytest.raises(RuntimeError, match="has learned nothing yet. Call fit"):
            call()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("method", "config"), ALL, ids=NAMES)
def test_nan_is_refused_with_its_row(method, config):
    pairs, good = made_pairs(), made_pairs()
    pairs.images.given["vector"][7, 2] = math.nan
    with pytest.raises(DataError, match=r"image view 'vector' holds NaN .* first in row 7 \('i7'\)"):
        method(config).fit(pairs)
    model = method(config).fit(good)
    with pytest.raises(DataError, match="NaN"):
        model.embed_texts(torch.full((2, 9), math.inf))


def test_a_failed_fit_leaves_the_model_as_it_was():
    good, bad = made_pairs(), made_pairs()
    bad.texts.given["vector"][0] = math.nan
    model = CCA(CCAConfig(**GIVEN)).fit(good)
    before = model.similarity(good)
    with pytest.raises(DataError):
        model.fit(bad)
    assert torch.equal(model.similarity(good), before)


def test_labels_are_asked_for_only_where_they_are_needed():
    pairs = dataclasses.replace(made_pairs(), labels=None)
    CCA(CCAConfig(**GIVEN)).fit(pairs)
    with pytest.raises(DataError, match="made has no labels. Use CCA"):
        SemanticMatching(SemanticMatchingConfig(**GIVEN)).fit(pairs)
    same = dataclasses.replace(made_pairs(), labels=np.ones(60, dtype=int))
    with pytest.raises(DataError, match="needs at least 2 classes; all 60 images of made carry class 1"):
        SemanticMatching(SemanticMatchingConfig(**GIVEN)).fit(same)


def test_a_missing_view_is_named_with_those_that_exist():
    with pytest.raises(DataError, match="no view 'whole'; they bring 'vector'. Set image_view"):
        CCA(CCAConfig(text_view="vector")).fit(made_pairs())
    with pytest.raises(DataError, match="no words and no view 'tfidf'; they bring 'vector'. Set text_view"):
        CCA(CCAConfig(image_view="vector")).fit(made_pairs())
    model = CCA(CCAConfig(**GIVEN)).fit(made_pairs())
    with pytest.raises(DataError, match="knows no way from words"):
        model.embed_texts("a cow")
    with pytest.raises(DataError, match="knows no way from a picture"):
        model.embed_images(Image.new("RGB", (8, 8)))
    with pytest.raises(DataError, match="11 numbers per item; the model was fitted on 12"):
        model.embed_images(torch.zeros(3, 11))
    with pytest.raises(DataError, match=r"shape \(3, 49, 12\)"):
        model.embed_images(torch.zeros(3, 49, 12))
    with pytest.raises(TypeError, match="texts must be Texts, a Tensor or strings, not int"):
        model.embed_texts([3])
    with pytest.raises(TypeError, match="images must be Images, a Tensor or PIL pictures, not str"):
        model.embed_images(["cow.png"])
    with pytest.raises(TypeError, match="needs texts"):
        model.similarity(made_pairs().images)


def test_too_many_directions_for_the_pairs():
    with pytest.raises(DataError, match="dim=9 is more than 7, the most directions that 8 pairs"):
        CCA(CCAConfig(**GIVEN, dim=9)).fit(made_pairs(8))
    with pytest.raises(DataError, match="at least 2 pairs"):
        CCA(CCAConfig(**GIVEN)).fit(made_pairs(1))
    equal = pairs_of(np.ones((5, 3)), np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.raises(DataError, match="no variation in one side: all 5 rows"):
        CCA(CCAConfig(**GIVEN)).fit(equal)
    with pytest.raises(DataError, match="the rbf kernel has no scale"):
        KernelCCA(KernelCCAConfig(**GIVEN)).fit(equal)


def test_chi2_is_for_histograms():
    with pytest.raises(DataError, match='the image features go down to .* Set image_kernel to "rbf"'):
        KernelCCA(KernelCCAConfig(**GIVEN, image_kernel="chi2")).fit(made_pairs())


def test_validation_needs_a_validation_split():
    with pytest.raises(DataError, match="CCA is to choose dim, ridge on a validation split, and there is none"):
        CCA(CCAConfig(**GIVEN, dim="validation", ridge="validation")).fit(made_pairs())
    with pytest.raises(DataError, match="SemanticMatching is to choose text_c"):
        SemanticMatching(SemanticMatchingConfig(**GIVEN, text_c="validation")).fit(made_pairs())


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (CCAConfig, {"ridge": -1.0}, "ridge=-1.0 must be 0 or more"),
        (CCAConfig, {"ridge": math.nan}, "ridge=nan"),
        (CCAConfig, {"dim": 0}, "dim=0 keeps no direction"),
        (CCAConfig, {"weight": -0.5}, "weight=-0.5"),
        (CCAConfig, {"ridge": "best"}, "ridge='best' is neither"),
        (KernelCCAConfig, {"image_kernel": "sinc"}, "image_kernel='sinc' is none of rbf, chi2"),
        (KernelCCAConfig, {"width": 0.0}, "width=0.0"),
        (KernelCCAConfig, {"landmarks": 1}, "landmarks=1"),
        (SemanticMatchingConfig, {"image_c": 0.0}, "image_c=0.0 must be positive"),
        (SemanticMatchingConfig, {"text_c": "big"}, "text_c='big'"),
        (SemanticMatchingConfig, {"classifier": "svm"}, "classifier='svm'"),
        (SemanticMatchingConfig, {"dropout": 1.0}, "dropout=1.0"),
        (SemanticMatchingConfig, {"epochs": 0}, "epochs=0"),
    ],
)
def test_a_wrong_setting_is_refused_when_it_is_written(kind, options, words):
    with pytest.raises(ValueError, match=words):
        kind(**options)


def test_a_checkpoint_is_refused_with_a_reason(tmp_path):
    config = CCAConfig(**GIVEN)
    file = CCA(config).fit(made_pairs()).save(tmp_path / "cca")
    with pytest.raises(CheckpointError, match="holds a CCA, not a SemanticMatching"):
        SemanticMatching.load(file)
    with pytest.raises(CheckpointError, match=r"trained with another ridge \(0.1\), weight \(1.0\)"):
        CCA.load(file, config=dataclasses.replace(config, ridge=1.0, weight=0.0))
    with pytest.raises(CheckpointError, match="there is no checkpoint at"):
        CCA.load(tmp_path / "nothing")
    (tmp_path / "half.safetensors").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is no whole checkpoint"):
        CCA.load(tmp_path / "half.safetensors")
    with pytest.raises(TypeError, match="CCA takes a CCAConfig, not a SemanticMatchingConfig"):
        CCA(SemanticMatchingConfig())


def rewrite(file, change):
    """Change what a checkpoint says of itself."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(file, framework="pt") as reader:
        about = json.loads(reader.metadata()["xmrlib"])
    change(about)
    save_file(load_file(file), file, {"xmrlib": json.dumps(about)})


def test_a_checkpoint_of_another_format_method_or_backbone(tmp_path):
    def saved():
        return CCA(CCAConfig(text_options={"min_count": 1})).fit(spoken_pairs()).save(tmp_path)

    rewrite(saved(), lambda about: about["image_side"].update(fingerprint="lite0:other"))
    with pytest.raises(CheckpointError, match="with fingerprint lite0:other; the one installed here has"):
        CCA.load(tmp_path)
    rewrite(saved(), lambda about: about.update(format=99))
    with pytest.raises(CheckpointError, match="checkpoint format 99; this version reads 1"):
        CCA.load(tmp_path)
    rewrite(saved(), lambda about: about.update(method="Oracle"))
    with pytest.raises(CheckpointError, match="holds a Oracle, which this version does not know"):
        methods.load(tmp_path)
    rewrite(saved(), lambda about: about["config"].update(shape="round"))
    with pytest.raises(CheckpointError, match="CCAConfig differs in shape"):
        CCA.load(tmp_path)


def test_a_crash_while_saving_leaves_the_old_model(tmp_path, monkeypatch):
    model = CCA(CCAConfig(**GIVEN)).fit(made_pairs())
    file = model.save(tmp_path)
    before = file.read_bytes()

    def crash(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("xmrlib.checkpoint.save_file", crash)
    with pytest.raises(OSError, match="no space"):
        model.save(tmp_path)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_constant_feature_is_left_alone():
    mean, scale = standardiser(torch.tensor([[1e6, 2.0], [1e6, 4.0]]))
    assert mean.tolist() == [1e6, 3.0]
    assert scale.tolist() == [1.0, 1.0]
