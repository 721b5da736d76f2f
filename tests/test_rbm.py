"""Restricted Boltzmann machines so small that every state can be listed, against what the list says."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from xmrlib.nn import RBM, AutoencoderLayer
from xmrlib.nn.rbm import COUNTS, UP

KINDS = ("binary", "gaussian", "counts")
EACH = pytest.mark.parametrize("kind", KINDS)
WORDS = 4  # in every text of counts


def machine(kind: str, visible: int = 3, hidden: int = 4, seed: int = 0, **options) -> RBM:
    """A machine whose weights and biases are far from 0."""
    torch.manual_seed(seed)
    rbm = RBM(visible, hidden, kind, **options)
    with torch.no_grad():
        for parameter in rbm.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    return rbm


def states(units: int) -> torch.Tensor:
    """All states of some binary units."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)))


def texts(words: int, length: int = WORDS) -> torch.Tensor:
    """The counts of all texts of so many words in order; two orders of the same words are two texts."""
    orders = torch.tensor(list(itertools.product(range(words), repeat=length)))
    return torch.nn.functional.one_hot(orders, words).sum(dim=1).float()


def seen(kind: str, items: int = 5, visible: int = 3, seed: int = 1) -> torch.Tensor:
    """What a machine of a kind may look at."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "binary":
        return torch.bernoulli(torch.full((items, visible), 0.5), generator=generator)
    if kind == "gaussian":
        return torch.randn(items, visible, generator=generator)
    rows = torch.randint(0, visible**WORDS, (items,), generator=generator)
    return texts(visible)[rows]


def log_partition(rbm: RBM) -> torch.Tensor:
    """log Z, over all states; up to a constant for real units, over all texts of `WORDS` words for counts."""
    if rbm.kind == "binary":
        v = states(len(rbm.visible_bias))
        return torch.logsumexp(-rbm.free_energy(v), dim=0)
    if rbm.kind == "counts":
        return torch.logsumexp(-rbm.free_energy(texts(len(rbm.visible_bias))), dim=0)
    h = states(len(rbm.hidden_bias))  # the integral of exp(-E) over v is exp(a.h + (|b + Wh|^2 - |b|^2) / 2) and more
    mean = rbm.visible_bias + h @ rbm.weight.T
    return torch.logsumexp(h @ rbm.hidden_bias + (mean.square().sum(1) - rbm.visible_bias.square().sum()) / 2, dim=0)


def gradients(rbm: RBM, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [rbm.weight, rbm.visible_bias, rbm.hidden_bias]))


def written(rbm: RBM) -> list[torch.Tensor]:
    """What lies in `.grad`, once; it is gone afterwards."""
    found = [parameter.grad.clone() for parameter in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]
    rbm.zero_grad()
    return found


# -- against the list of states


@EACH
def test_free_energy_sums_the_hidden_units_out(kind):
    rbm, h = machine(kind), states(4)
    v = seen(kind)
    energy = rbm.energy(v[:, None].expand(-1, len(h), -1), h[None].expand(len(v), -1, -1))
    torch.testing.assert_close(rbm.free_energy(v), -torch.logsumexp(-energy, dim=1))


def test_energies_of_one_state_by_hand():
    v, h = torch.tensor([2.0, 1.0]), torch.tensor([1.0, 0.0])
    for kind, expected in (
        # -b.v = -(2 + 3), -a.h = -5 (times L = 3 for counts), -vWh = -(2 * 7 + 1 * 11)
        ("binary", -5 - 5 - 25),
        ("counts", -5 - 15 - 25),
        ("gaussian", (1 + 4) / 2 - 5 - 25),  # |v - b|^2 = |(1, -2)|^2
    ):
        rbm = RBM(2, 2, kind)
        with torch.no_grad():
            rbm.weight.copy_(torch.tensor([[7.0, 100.0], [11.0, 100.0]]))
            rbm.visible_bias.copy_(torch.tensor([1.0, 3.0]))
            rbm.hidden_bias.copy_(torch.tensor([5.0, 100.0]))
        assert rbm.energy(v, h).item() == expected


@EACH
def test_hidden_probabilities(kind):
    rbm, h = machine(kind), states(4)
    v = seen(kind)
    energy = rbm.energy(v[:, None].expand(-1, len(h), -1), h[None].expand(len(v), -1, -1))
    torch.testing.assert_close(rbm.hidden(v), (-energy).softmax(dim=1) @ h)


@EACH
def test_the_mean_of_what_is_seen(kind):
    rbm, h = machine(kind), states(4)
    if kind == "gaussian":  # the integral, as a sum over a fine net
        line = torch.linspace(-9, 9, 73)
        v = torch.cartesian_prod(line, line, line)
    else:
        v = states(3) if kind == "binary" else texts(3)
    for state in h[[0, 5, 11, 15]]:
        probability = (-rbm.energy(v, state.expand(len(v), -1))).double().softmax(dim=0).float()
        found = rbm.visible(state, torch.full((1,), float(WORDS)) if kind == "counts" else 1.0)
        torch.testing.assert_close(found, probability @ v, atol=2e-4, rtol=1e-4)


# -- the gradient


@EACH
@pytest.mark.parametrize("sampled", [False, True])
def test_contrastive_divergence_is_the_gradient_of_two_free_energies(kind, sampled):
    rbm, v = machine(kind), seen(kind, items=6)
    torch.manual_seed(7)
    error = rbm.contrastive_divergence(v, steps=2, sample_visible=sampled)
    found = written(rbm)
    torch.manual_seed(7)
    length = v.sum(dim=1, keepdim=True) if kind == "counts" else 1.0
    now = v
    with torch.no_grad():
        for _ in range(2):
            mean = rbm.visible(torch.bernoulli(rbm.hidden(now)), length)
            now = rbm._sampled(mean, v) if sampled else mean
    expected = gradients(rbm, rbm.free_energy(v).mean() - rbm.free_energy(now).mean())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert error.item() == pytest.approx((mean - v).square().mean().item())


@pytest.mark.parametrize(
    ("kind", "items", "steps"), [("binary", 30000, 60), ("gaussian", 30000, 60), ("counts", 2400, 12)]
)
def test_many_steps_of_gibbs_sampling_give_the_gradient_of_the_likelihood(kind, items, steps):
    rbm = machine(kind, visible=3, hidden=3)
    few = seen(kind, items=4)
    exact = torch.cat([g.flatten() for g in gradients(rbm, rbm.free_energy(few).mean() + log_partition(rbm))])
    v = few.repeat(items // 4, 1)
    far = {}
    for number in (1, steps):
        torch.manual_seed(3)
        rbm.contrastive_divergence(v, number, sample_visible=True)
        far[number] = float((torch.cat([g.flatten() for g in written(rbm)]) - exact).abs().max())
    width = 6 * WORDS if kind == "counts" else 6  # six standard errors, of units whose deviation is about 1, or words
    assert far[steps] < width / math.sqrt(items)
    assert far[1] > 2 * far[steps], "one step is known to be biased"
    assert exact.abs().max() > 2 * width / math.sqrt(items), "an estimate of 0 would not pass"


@EACH
def test_shares_add_up(kind):
    rbm, v = machine(kind), seen(kind)
    torch.manual_seed(0)
    rbm.contrastive_divergence(v)
    whole = written(rbm)
    for share in (0.25, 0.75):
        torch.manual_seed(0)
        rbm.contrastive_divergence(v, share=share)
        rbm_sum = [p.grad.clone() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]
    for ours, theirs in zip(rbm_sum, whole, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs)


@EACH
def test_learning_lowers_the_free_energy_of_the_data_and_raises_their_likelihood(kind):
    rbm, v = machine(kind, hidden=3), seen(kind, items=4).repeat(50, 1)
    optimiser = torch.optim.SGD(rbm.parameters(), 0.05 if kind == "binary" else 0.01)
    with torch.no_grad():
        before = float((rbm.free_energy(v).mean() + log_partition(rbm)).detach())
    torch.manual_seed(0)
    for _ in range(200):
        optimiser.zero_grad()
        rbm.contrastive_divergence(v)
        optimiser.step()
    with torch.no_grad():
        after = float(rbm.free_energy(v).mean() + log_partition(rbm))
    assert after < before - 0.1


def test_words_are_drawn_as_often_as_there_are_words():
    torch.manual_seed(0)
    rbm = machine("counts")
    mean = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9]]).repeat(500, 1)
    data = torch.tensor([[6.0, 0.0, 0.0], [1.0, 1.0, 0.0]]).repeat(500, 1)
    drawn = rbm._sampled(mean, data)
    assert torch.equal(drawn.sum(dim=1), data.sum(dim=1))
    shares = drawn.view(500, 2, 3).sum(dim=0) / torch.tensor([[3000.0], [1000.0]])
    assert torch.allclose(shares, mean[:2], atol=0.05) and shares[1, 1] == 0


# -- the released code's ways with counts


def test_released_counts():
    rbm = machine("counts", released=True)
    with torch.no_grad():
        rbm.weight.mul_(0.01)
        rbm.hidden_bias.mul_(0.01)
    v = torch.tensor([[1.0, 0.0, 3.0], [10.0, 10.0, 0.0], [0.0, 2.0, 0.0]])
    hundred = 100 * v / v.sum(dim=1, keepdim=True)
    assert (COUNTS, UP) == (100.0, 10.0)
    first = (100 * rbm.hidden_bias + 10 * hundred @ rbm.weight).sigmoid()
    torch.testing.assert_close(rbm.hidden(v), first)
    torch.testing.assert_close(rbm.hidden(7 * v), rbm.hidden(v))
    plain = machine("counts")
    assert not torch.allclose(plain.hidden(7 * v), plain.hidden(v), atol=1e-3), "without the quirk, length counts"
    torch.manual_seed(5)
    rbm.contrastive_divergence(v)
    found = written(rbm)
    torch.manual_seed(5)
    with torch.no_grad():
        back = 100 * (rbm.visible_bias + torch.bernoulli(first) @ rbm.weight.T).softmax(dim=1)
        second = (100 * rbm.hidden_bias + 10 * back @ rbm.weight).sigmoid()
        expected = [
            (back.T @ second - hundred.T @ first) / 100 / 3,
            (back - hundred).mean(dim=0) / 100,
            (second - first).mean(dim=0),
        ]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_released_changes_counts_alone():
    torch.manual_seed(0)
    assert RBM(50, 50, "counts", released=True).weight.std().item() < 2e-5
    assert RBM(50, 50, "counts").weight.std().item() == pytest.approx(50**-0.5, rel=0.1)
    for kind in ("binary", "gaussian"):
        rbm = machine(kind, released=True)
        assert not rbm.released
        torch.testing.assert_close(rbm.hidden(seen(kind)), machine(kind).hidden(seen(kind)))


def test_a_text_without_words_stays_finite():
    for released in (False, True):
        rbm = machine("counts", released=released)
        v = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
        assert torch.equal(rbm.hidden(v)[0], torch.full((4,), 0.5))
        rbm.contrastive_divergence(v)
        assert all(torch.isfinite(gradient).all() for gradient in written(rbm))


# -- sparsity


def test_sparsity_pulls_the_bias_towards_the_target():
    rbm, v = machine("binary"), seen("binary")
    torch.manual_seed(0)
    rbm.contrastive_divergence(v)
    before = rbm.hidden_bias.grad.clone()
    torch.testing.assert_close(rbm.activity, 0.1 * rbm.hidden(v).mean(dim=0).detach())  # it began at 0
    rbm.sparsity(target=0.3, cost=2.0, share=0.5)
    torch.testing.assert_close(rbm.hidden_bias.grad - before, rbm.activity - 0.3)
    found = {}
    for cost in (0.0, 3.0):
        rbm, v = machine("binary", visible=4, hidden=6), seen("binary", items=40, visible=4)
        optimiser = torch.optim.SGD(rbm.parameters(), 0.2)
        torch.manual_seed(0)
        for _ in range(150):
            optimiser.zero_grad()
            rbm.contrastive_divergence(v)
            rbm.sparsity(0.1, cost)
            optimiser.step()
        found[cost] = rbm.hidden(v).mean().item()
    assert abs(found[3.0] - 0.1) < 0.05 < abs(found[0.0] - 0.1)


# -- what may stand in its place


def test_losses_of_autoencoder_layers_by_hand():
    v = torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 1.0]])
    for kind in KINDS:
        torch.manual_seed(0)
        layer = AutoencoderLayer(3, 2, kind, noise=0.0)
        code = layer.encode((1 + v).log() if kind == "counts" else v).sigmoid()
        torch.testing.assert_close(layer.hidden(v), code)
        back = layer.decode(code)
        if kind == "gaussian":
            expected = ((back - v) ** 2).sum() / 2 / 2
        elif kind == "counts":
            expected = -((v * back.log_softmax(dim=1)).sum(dim=1) / torch.tensor([4.0, 2.0])).mean()
        else:
            expected = (
                sum(binary_cross_entropy_with_logits(b, x, reduction="sum") for b, x in zip(back, v, strict=True)) / 2
            )
        torch.testing.assert_close(layer.loss(v), expected)


def test_noise_hides_the_input_from_the_code_and_not_from_the_loss():
    torch.manual_seed(0)
    blind = AutoencoderLayer(3, 2, "gaussian", noise=1.0)
    v = torch.randn(4, 3)
    back = blind.decode(blind.hidden(torch.zeros(4, 3)))
    torch.testing.assert_close(blind.loss(v), ((back - v) ** 2).sum() / 2 / 4)
    some = AutoencoderLayer(3, 2, "gaussian", noise=0.5)
    assert len({some.loss(v).item() for _ in range(20)}) > 3


def test_wrong_kinds_and_steps_are_refused():
    for kind in (RBM, AutoencoderLayer):
        with pytest.raises(ValueError, match='kind=\'words\' is none of "binary", "gaussian", "counts"'):
            kind(3, 2, "words")
    with pytest.raises(ValueError, match="steps=0 must be at least 1"):
        machine("binary").contrastive_divergence(seen("binary"), steps=0)
