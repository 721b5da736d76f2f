"""Corr-AE: its loss by hand, what lambda does at both ends, and what the method must do on eight pairs."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from test_networks import pairs
from training_cut import cut_at

from xmrlib import evaluate, methods
from xmrlib.data.pairs import DataError
from xmrlib.methods import CorrAE, CorrAEConfig
from xmrlib.methods.corr_ae import CorrAutoencoder, corr_ae_loss
from xmrlib.stages import Run

SMALL = {"image_view": "vector", "text_view": "vector", "code": 16, "batch": 8, "epochs": 4, "learning_rate": 1e-2}


def model(**settings) -> CorrAE:
    return CorrAE(CorrAEConfig(**SMALL | settings))


def autoencoders(output="sigmoid", seed=0) -> CorrAutoencoder:
    torch.manual_seed(seed)
    return CorrAutoencoder(5, 4, 3, output)


def sides(items=6, seed=1) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.rand(items, 5), torch.rand(items, 4)


# -- the loss


def test_the_loss_of_two_pairs_by_hand():
    network = CorrAutoencoder(1, 1, 1, "linear")
    with torch.no_grad():
        for layer, weight, bias in (
            (network.encoders["image"], math.log(3), 0.0),
            (network.encoders["text"], -math.log(3), 0.0),
            (network.decoders["image"], 4.0, 0.0),
            (network.decoders["text"], 2.0, 1.0),
        ):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    images, texts = torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [1.0]])
    # Codes: images 3/4 and 1/2, texts 1/4 and 1/4. What comes back: images 3 and 2, texts 1.5 and 1.5.
    found = corr_ae_loss(network, images, texts, 0.7)
    intra = ((3 - 1) ** 2 + 2**2) / 2 / 2 + (0.5**2 + 0.5**2) / 2 / 2
    inter = (0.5**2 + 0.25**2) / 2 / 2
    assert found["intra"].item() == pytest.approx(intra)
    assert found["inter"].item() == pytest.approx(inter)
    assert found["loss"].item() == pytest.approx(0.3 * intra + 0.7 * inter)
    network.output = "sigmoid"
    back = [1 / (1 + math.exp(-x)) for x in (3, 2, 1.5, 1.5)]
    intra = sum((x - y) ** 2 for x, y in zip(back, (1, 0, 1, 1), strict=True)) / 4
    assert corr_ae_loss(network, images, texts, 0.7)["intra"].item() == pytest.approx(intra)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_lambda_one_asks_nothing_of_the_decoders(output):
    network = autoencoders(output)
    corr_ae_loss(network, *sides(), correlation=1.0)["loss"].backward()
    for layer in network.decoders.values():
        assert all(not p.grad.any() for p in layer.parameters())
    for layer in network.encoders.values():
        assert all(p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_lambda_zero_leaves_each_side_to_itself(correlation):
    images, texts = sides()
    found = []
    for text in (texts, sides(seed=9)[1]):
        network = autoencoders()
        corr_ae_loss(network, images, text, correlation)["loss"].backward()
        found.append([p.grad.clone() for p in network.encoders["image"].parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True)) is (correlation == 0)


def test_the_correlation_does_not_touch_the_decoders_whatever_lambda_is():
    """Their gradient is (1 - lambda) times that of an autoencoder."""
    images, texts = sides()
    found = []
    for correlation in (0.0, 0.75):
        network = autoencoders()
        corr_ae_loss(network, images, texts, correlation)["loss"].backward()
        found.append([p.grad.clone() for p in network.decoders.parameters()])
    for alone, mixed in zip(*found, strict=True):
        torch.testing.assert_close(mixed, 0.25 * alone)


def test_nothing_is_shared_between_the_sides():
    network = autoencoders()
    own = [
        {id(p) for p in (*network.encoders[s].parameters(), *network.decoders[s].parameters())}
        for s in ("image", "text")
    ]
    assert not own[0] & own[1] and len(own[0] | own[1]) == 8 == len(list(network.parameters()))


# -- the method


def test_lambda_reaches_the_training():
    """Alone, the encoder of images learns the same whatever the texts are; together it does not."""
    data = pairs()
    given = data.texts.given | {"vector": data.texts.given["vector"].flip(0)}
    other = dataclasses.replace(data, texts=dataclasses.replace(data.texts, given=given))
    for correlation, equal in ((0.0, True), (0.7, False)):
        first, second = (
            model(correlation=correlation).fit(d).tensors["pair.encoders.image.weight"] for d in (data, other)
        )
        assert torch.equal(first, second) is equal
    still = model(correlation=1.0, epochs=1).fit(data).tensors["pair.decoders.text.weight"]
    torch.testing.assert_close(model(correlation=1.0, epochs=9).fit(data).tensors["pair.decoders.text.weight"], still)


def test_pairs_are_found_only_with_the_correlation():
    data = pairs(labels=False)
    found = []
    for correlation in (0.7, 0.0):
        recall = evaluate.recall(
            model(correlation=correlation, epochs=60).fit(data).similarity(data), data.image_of_text
        )
        found.append(recall.i2t[1] + recall.t2i[1])
    assert found[0] == 2.0 and found[1] < 1.0


def test_codes_are_standardised_on_the_training_pairs():
    data = pairs(40)
    fitted = model(epochs=2).fit(data, val=pairs(16, seed=5))
    for embedded in (
        fitted._embed_images(fitted.image_side.features(data.images)),
        fitted._embed_texts(fitted.text_side.features(data.texts)),
    ):
        assert embedded.shape == (40, 16)
        torch.testing.assert_close(embedded.mean(dim=0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(embedded.std(dim=0, correction=0), torch.ones(16), atol=1e-4, rtol=0)


def test_a_training_that_was_cut_off_ends_with_the_same_bits(tmp_path):
    data = pairs(24)
    unbroken = model().fit(data, val=data, run=Run(device="cpu"))
    how = Run(out=tmp_path, device="cpu", save_seconds=0)
    with cut_at(CorrAE, "Corr-AE", 3):
        model().fit(data, val=data, run=how)
    assert (tmp_path / "last.safetensors").exists()
    resumed = model().fit(data, val=data, run=how)
    assert all(torch.equal(tensor, resumed.tensors[name]) for name, tensor in unbroken.tensors.items())
    back = methods.load(resumed.save(tmp_path / "model"))
    assert torch.equal(back.similarity(data), unbroken.similarity(data))


def test_faults_are_named_at_the_door():
    for settings, message in (
        ({"correlation": 1.5}, "correlation=1.5 is outside"),
        ({"correlation": math.nan}, "correlation=nan is outside"),
        ({"code": 0}, "code=0 must be positive"),
        ({"epochs": 0}, "epochs=0 must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            CorrAEConfig(**settings)
    with pytest.raises(DataError, match="no view 'sift'"):
        model(image_view="sift").fit(pairs())
