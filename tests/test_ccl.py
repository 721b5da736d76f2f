"""CCL piece by piece: its losses against the double loop, its modules against what the paper says of them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from xmrlib.methods import CCLConfig
from xmrlib.methods.ccl_layers import DIVERGENCE, halving, inverse, layer_stage, momentum
from xmrlib.methods.ccl_network import Balance, Branch, CCLNetwork, contrastive_loss, mean_of_parts, mirrored
from xmrlib.methods.network import InputScaling
from xmrlib.nn import RBM, AutoencoderLayer

SIZES = {"image_hidden": 7, "text_hidden": 6, "code": 5, "fused": 8, "separate": 9, "hidden": 4, "dim": 6}
SIDES = ("image", "text")


def network(seed=0, **options) -> CCLNetwork:
    torch.manual_seed(seed)
    return CCLNetwork(
        CCLConfig(**SIZES | {"text_view": "tfidf"} | options), image=[10, 11], text=[12, 13], classes=3
    ).eval()


def batch(items=7, dim=4, classes=3, seed=0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """u, v between 0 and 1, and labels."""
    generator = torch.Generator().manual_seed(seed)
    u, v = torch.rand(items, dim, generator=generator), torch.rand(items, dim, generator=generator)
    return u, v, torch.randint(0, classes, (items,), generator=generator)


# -- the contrastive loss


def double_loop(u, v, labels, margin):
    total = 0.0
    for a in range(len(u)):
        for b in range(len(v)):
            distance = math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(u[a], v[b], strict=True)))
            total += distance**2 if labels[a] == labels[b] else max(0.0, margin - distance) ** 2
    return total / (2 * len(u))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.floats(0.1, 2), st.integers(0, 10**6))
def test_the_contrastive_loss_is_the_double_loop(items, dim, classes, margin, seed):
    u, v, labels = batch(items, dim, classes, seed)
    assert contrastive_loss(u, v, labels, margin).item() == pytest.approx(double_loop(u, v, labels, margin), abs=1e-5)


def test_it_is_zero_where_classes_are_points_a_margin_apart():
    points, labels = torch.eye(3), torch.tensor([0, 1, 2, 2, 0])
    u = points[labels]
    assert contrastive_loss(u, u, labels, 1.0).item() == 0  # the corners are 1.41 apart
    assert contrastive_loss(u, u, labels, 1.5).item() > 0
    assert contrastive_loss(u, u + 0.1, labels, 1.0).item() > 0
    assert contrastive_loss(u, u, torch.tensor([0, 1, 2, 0, 2]), 1.0).item() > 0


def test_rotation_swap_one_pair_and_a_batch_twice():
    u, v, labels = batch()
    loss = contrastive_loss(u, v, labels, 1.0).item()
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    assert contrastive_loss(u @ turn, v @ turn, labels, 1.0).item() == pytest.approx(loss, rel=1e-5)
    assert contrastive_loss(u @ turn, v, labels, 1.0).item() != pytest.approx(loss, rel=1e-2)
    assert contrastive_loss(v, u, labels, 1.0).item() == pytest.approx(loss, rel=1e-6)
    twice = (x.repeat(2, *[1] * (x.ndim - 1)) for x in (u, v, labels))
    assert contrastive_loss(*twice, 1.0).item() == pytest.approx(2 * loss, rel=1e-6)
    alone = contrastive_loss(u[:1], v[:1], labels[:1], 1.0).item()
    assert alone == pytest.approx(float((u[0] - v[0]).square().sum()) / 2)


def test_its_gradient_is_finite_where_two_points_coincide():
    u = torch.full((4, 3), 0.5, requires_grad=True)
    v = torch.full((4, 3), 0.5, requires_grad=True)
    contrastive_loss(u, v, torch.tensor([0, 0, 1, 1]), 1.0).backward()
    assert torch.isfinite(u.grad).all() and torch.isfinite(v.grad).all()


def test_its_gradient_by_differences():
    u, v, labels = (x.double() if x.is_floating_point() else x for x in batch(5))
    assert torch.autograd.gradcheck(
        lambda a, b: contrastive_loss(a, b, labels, 1.0), (u.requires_grad_(), v.requires_grad_())
    )


# -- several losses at once


def test_fixed_weights():
    losses = {"image": torch.tensor(2.0), "text": torch.tensor(3.0), "contrastive": torch.tensor(5.0)}
    balance = Balance({"image": 1.0, "text": 0.5, "contrastive": 2.0}, learned=False)
    assert balance(losses).item() == 2 + 1.5 + 10 and not list(balance.parameters())
    nothing_of_it = Balance({"image": 1.0, "text": 0.0}, learned=False)
    assert nothing_of_it(losses | {"text": torch.tensor(math.nan)}).item() == 2


def test_learned_weights():
    weights, values = {"image": 1.0, "text": 0.5, "none": 0.0}, {"image": 2.0, "text": 3.0, "none": 9.0}
    losses = {name: torch.tensor(value) for name, value in values.items()}
    balance = Balance(weights, learned=True)
    assert balance(losses).item() == 2 + 1.5, "the scales begin at 0"
    assert set(balance.scales) == {"image", "text"}
    with torch.no_grad():
        balance.scales["image"].fill_(math.log(4))
    assert balance(losses).item() == pytest.approx(2 / 4 + math.log(4) / 2 + 1.5)
    optimiser = torch.optim.SGD(balance.parameters(), 0.5)
    for _ in range(300):
        optimiser.zero_grad()
        balance(losses).backward()
        optimiser.step()
    for name in ("image", "text"):  # -exp(-s) L + 1/2 = 0
        assert balance.scales[name].item() == pytest.approx(math.log(2 * values[name]), abs=1e-3)


# -- the modules


def test_the_mean_of_parts():
    generator = torch.Generator().manual_seed(0)
    codes, mask = (
        torch.randn(3, 4, 5, generator=generator),
        torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]]).bool(),
    )
    found = mean_of_parts(codes, mask)
    torch.testing.assert_close(found[0], codes[0].mean(dim=0))
    torch.testing.assert_close(found[1], (codes[1, 0] + codes[1, 2]) / 2)
    assert torch.equal(found[2], codes[2, 2]), "one part: its own code"
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(mean_of_parts(codes[:, order], mask[:, order]), found)
    torch.testing.assert_close(mean_of_parts(codes.repeat(1, 2, 1), mask.repeat(1, 2)), found)
    padding = torch.full((3, 2, 5), 1e6)
    padded = mean_of_parts(torch.cat([codes, padding], dim=1), torch.cat([mask, torch.zeros(3, 2).bool()], dim=1))
    torch.testing.assert_close(padded, found)
    changed = torch.where(mask[:, :, None], codes, 7.0)
    assert torch.equal(mean_of_parts(changed, mask), found)
    assert not torch.allclose(mean_of_parts(changed, torch.ones_like(mask)), found), "without the mask it would differ"


@pytest.mark.parametrize("pretraining", ["rbm", "autoencoder"])
def test_padding_never_changes_a_code(pretraining):
    model, generator = network(pretraining=pretraining, fusion=pretraining), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # four sigmoids in a row: at first hardly anything comes through
    for side, whole, part in (("image", 10, 11), ("text", 12, 13)):
        x, parts = torch.rand(4, whole, generator=generator), torch.rand(4, 3, part, generator=generator)
        mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 1]]).bool()
        more = torch.cat([torch.where(mask[:, :, None], parts, 9.0), torch.full((4, 2, part), 3.0)], dim=1)
        longer = torch.cat([mask, torch.zeros(4, 2).bool()], dim=1)
        for code in (model.fused, model.common):
            torch.testing.assert_close(code(side, x, more, longer), code(side, x, parts, mask))
        found = model.fused(side, x, parts, mask)
        for other in (model.fused(side, x, 1 - parts, mask), model.fused(side, 1 - x, parts, mask)):
            assert (other - found).abs().max() > 1e-3, "the parts count, and so does the whole"


@pytest.mark.parametrize("grains", ["both", "coarse", "fine"])
@pytest.mark.parametrize("supervised", [True, False])
def test_nothing_is_shared_between_the_sides(grains, supervised):
    dims = {"both": ([10, 11], [12, 13]), "coarse": ([10], [12]), "fine": ([11], [13])}[grains]
    config = CCLConfig(**SIZES | {"text_view": "tfidf", "grains": grains, "supervised": supervised})
    model = CCLNetwork(config, *dims, classes=3).eval()
    used = {}
    for side, own in zip(SIDES, dims, strict=True):
        tensors = [torch.rand(2, own[0])] if grains != "fine" else []
        tensors += [torch.rand(2, 3, own[-1]), torch.ones(2, 3).bool()] if grains != "coarse" else []
        model.zero_grad()
        model.common(side, *tensors).square().sum().backward()
        used[side] = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert used[side] and all(side in name for name in used[side])
    assert not used["image"] & used["text"]
    addresses = [p.data_ptr() for p in model.parameters()]
    assert len(addresses) == len(set(addresses))


def test_both_heads_take_the_same_z():
    branch = Branch(CCLConfig(**SIZES), 9, 3)
    made, used = [], []
    branch.second.register_forward_hook(lambda module, x, z: made.append(z))
    branch.classify.register_forward_hook(lambda module, x, z: used.append(x[0]))
    u, logits = branch(torch.randn(5, 9))
    assert used[0] is made[0] and torch.equal(u, made[0].sigmoid())
    from_u, from_logits = (
        torch.autograd.grad(value.sum(), branch.second.weight, retain_graph=True)[0] for value in (u, logits)
    )
    (together,) = torch.autograd.grad(u.sum() + logits.sum(), branch.second.weight)
    torch.testing.assert_close(together, from_u + from_logits)
    assert from_u.any() and from_logits.any()
    assert (u > 0).all() and (u < 1).all()


@pytest.mark.parametrize(("variant", "outputs"), [("paper", 20), ("released", 256)])
def test_the_classifiers_loss_near_zero_weights(variant, outputs):
    torch.manual_seed(0)
    branch = Branch(CCLConfig(**SIZES, variant=variant), 9, 20)
    with torch.no_grad():
        branch.classify.weight.mul_(1e-4)
    _, logits = branch(torch.randn(64, 9))
    assert cross_entropy(logits, torch.randint(0, 20, (64,))).item() == pytest.approx(math.log(outputs), abs=1e-3)
    assert Branch(CCLConfig(**SIZES, variant=variant), 9, 300).classify.out_features == 300


def test_first_weights_of_stage_2_are_caffes():
    torch.manual_seed(0)
    branch = Branch(CCLConfig(hidden=300, dim=200), 100, 50)
    for layer, inputs in ((branch.first, 100), (branch.second, 300), (branch.classify, 200)):
        bound = math.sqrt(3 / inputs)
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound
        assert layer.weight.var().item() == pytest.approx(1 / inputs, rel=0.05) and not layer.bias.any()


def test_which_text_features_are_counts():
    for options, coarse, fine in (
        ({"text_view": "bow"}, "counts", "counts"),
        ({"text_view": "tfidf"}, "gaussian", "counts"),
        ({"text_view": "bow", "text_parts_options": {"encoder": "tfidf"}}, "counts", "gaussian"),
        ({"text_view": "bow", "text_parts_options": {}}, "counts", "gaussian"),
        ({"text_view": "vector", "text_parts": "bow", "text_parts_options": {}}, "gaussian", "counts"),
        ({"text_view": "vector", "text_parts": "vector"}, "gaussian", "gaussian"),
    ):
        model = network(**options)
        assert [model.stacks[f"text_{grain}"].first.kind for grain in ("coarse", "fine")] == [coarse, fine]
        assert [model.stacks[f"text_{grain}"].scaling.how for grain in ("coarse", "fine")] == [
            "none" if kind == "counts" else "standard" for kind in (coarse, fine)
        ]
        assert model.stacks["image_coarse"].first.kind == "gaussian"
        assert model.stacks["text_fine"].second.kind == "binary"


def test_standardised_columns():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 30.0, 0.01, 0.0]) + 5
    scaling = InputScaling(4, "standard").fit(x)
    found = scaling(x)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(dim=0, correction=0), torch.tensor([1.0, 1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    assert torch.isfinite(scaling(x + torch.tensor([0.0, 0.0, 0.0, 2.0]))).all()


def test_the_mirror_turns_about_half_the_rows_and_changes_nothing_else():
    torch.manual_seed(0)
    s = torch.arange(4000.0).view(1000, 4)
    found = mirrored(s)
    turned = (found == s.flip(1)).all(dim=1)
    assert torch.equal(found[~turned], s[~turned]) and 400 < int(turned.sum()) < 600


# -- schedules, as papers' formulas


def test_schedules_of_the_released_code():
    for step in (0, 500, 10_000, 50_000):
        assert momentum(step / 50_000, ramp=0.2) == pytest.approx(0.9 - (0.9 - 0.5) * math.exp(-step / 10_000))
        assert momentum(step / 50_000, ramp=0.1) == pytest.approx(0.9 - (0.9 - 0.5) * math.exp(-step / 5_000))
        assert inverse(0.2)(step / 1000, 50) == pytest.approx(1 / (1 + step / 10_000))
        assert halving(0.2)(step / 1000, 50) == pytest.approx(0.5 ** (step / 10_000))
    assert {key: (how.rate, how.l2, how.target, how.cost) for key, how in DIVERGENCE.items()} == {
        ("image", "first"): (0.001, 0.001, 0.2, 0.1),
        ("image", "second"): (0.05, 0.001, 0.1, 0.01),
        ("text", "first"): (0.1, 0.0001, 0.2, 0.01),
        ("text", "second"): (0.01, 0.001, 0.1, 0.01),
        ("image", "joint"): (0.01, 0.0001, 0.1, 0.0),
        ("text", "joint"): (0.01, 0.0001, 0.1, 0.0),
    }


class Loop:
    """A loop that stands at one moment of a stage."""

    def __init__(self, done: float) -> None:
        self.done, self.run = done, type("Run", (), {"accumulate": 1})

    def update(self, name: str) -> None:
        """Leave the gradients where they are."""


@pytest.mark.parametrize(
    ("variant", "side", "place", "kind", "behind", "expected"),
    [
        ("released", "text", "first", "counts", 0.05, (1, False)),
        ("released", "text", "first", "counts", 0.15, (1, True)),  # samples after 5,000 of 50,000 steps
        ("released", "text", "first", "counts", 0.35, (2, True)),  # more steps after 15,000
        ("released", "text", "first", "counts", 0.95, (8, True)),
        ("released", "image", "second", "binary", 0.41, (3, False)),
        ("released", "image", "first", "gaussian", 0.99, (1, False)),
        ("released", "image", "joint", "binary", 0.99, (1, False)),
        ("paper", "text", "first", "counts", 0.95, (1, False)),
    ],
)
def test_how_a_machine_is_trained_at_each_moment(monkeypatch, variant, side, place, kind, behind, expected):
    rbm, asked, sparse = RBM(3, 2, kind), [], []
    stage = layer_stage(CCLConfig(variant=variant, batch=4), side, place, "coarse", rbm, torch.ones(4, 3), 10)
    divergence, sparsity = rbm.contrastive_divergence, rbm.sparsity

    def watched(v, steps, sampled, share):
        asked.append((steps, sampled))
        return divergence(v, 1, False, share)

    monkeypatch.setattr(rbm, "contrastive_divergence", watched)
    monkeypatch.setattr(rbm, "sparsity", lambda *how: (sparse.append(how), sparsity(*how)))
    stage.step(stage.data[torch.arange(4)], Loop(behind * 10))
    how = DIVERGENCE[side, place]
    assert asked == [expected]
    assert sparse == ([(how.target, how.cost, 1.0)] if place != "joint" else [])
    weights, biases = stage.optimisers["layer"].optimiser.param_groups
    assert (weights["weight_decay"], biases["weight_decay"]) == (how.l2, 0)
    assert weights["lr"] == biases["lr"] == how.rate
    assert weights["momentum"] == biases["momentum"] == momentum(behind, 0.1 if kind == "counts" else 0.2)
    assert stage.optimisers["layer"].schedule(5.0, 10) == pytest.approx(1 / 3.5)


def test_layers_in_place_of_machines_learn_by_their_loss():
    torch.manual_seed(0)
    layer = AutoencoderLayer(3, 2, "gaussian")
    stage = layer_stage(CCLConfig(pretraining="autoencoder"), "image", "first", "fine", layer, torch.ones(4, 3), 10)
    assert isinstance(stage.optimisers["layer"].optimiser, torch.optim.Adam)
    assert stage.modules == {"image_fine_first": layer} and isinstance(stage.modules["image_fine_first"], nn.Module)
