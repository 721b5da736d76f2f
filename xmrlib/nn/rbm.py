"""Restricted Boltzmann machines: a layer that learns what its input looks like, without labels and without a loss.

With W (visible, hidden), a the hidden and b the visible biases, v what is seen and h in {0, 1} what is not,

    p(v, h) = exp(-E(v, h)) / Z
    binary     E = -b.v - a.h - vWh                v in {0, 1}, or probabilities of 1
    gaussian   E = |v - b|^2 / 2 - a.h - vWh       v real, each column with variance 1
    counts     E = -b.v - L a.h - vWh              v counts of words, L their sum: replicated softmax

No unit is joined to another of its own layer, so each layer is independent given the other:

    p(h = 1 | v) = sigmoid(a + vW)                 counts: sigmoid(L a + vW)
    mean of v given h = sigmoid(b + hW'), b + hW', or L softmax(b + hW')

Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 2002; Salakhutdinov and
Hinton, "Replicated softmax: an undirected topic model", NIPS 2009.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

Visible = Literal["binary", "gaussian", "counts"]
COUNTS = 100.0  # released code: every document is scaled to so many words
UP = 10.0  # released code: what the words send up is multiplied by this


def _require_kind(kind: str) -> None:
    if kind not in ("binary", "gaussian", "counts"):
        raise ValueError(f'kind={kind!r} is none of "binary", "gaussian", "counts".')


class RBM(nn.Module):
    """A restricted Boltzmann machine; its hidden probabilities are the code of what it sees.

    visible, hidden  numbers of units
    kind             what the visible units are
    released         counts only: as the code of CCL has them, each text scaled to 100 words, their message to the
                     hidden units times 10, statistics divided by the length of the text
    """

    def __init__(self, visible: int, hidden: int, kind: Visible = "binary", released: bool = False) -> None:
        super().__init__()
        _require_kind(kind)
        self.kind, self.released = kind, released and kind == "counts"
        spread = 1e-5 if kind == "counts" and released else visible**-0.5
        self.weight = nn.Parameter(spread * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("activity", torch.zeros(hidden))  # running mean of the hidden probabilities

    def seen(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, "*item visible"]:
        """`v` as the visible units take it."""
        if not self.released:
            return v
        return v * (COUNTS / v.sum(dim=-1, keepdim=True).clamp_min(1e-6))

    def length(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, "*item 1"] | float:
        """L, by which the hidden bias is multiplied: the number of words for counts, else 1."""
        return v.sum(dim=-1, keepdim=True) if self.kind == "counts" else 1.0

    def upward(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, "*item hidden"]:
        """The input of the hidden units."""
        return self.length(v) * self.hidden_bias + v @ self.weight * (UP if self.released else 1.0)

    def hidden(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, "*item hidden"]:
        """p(h = 1 | v): the code."""
        return self.upward(self.seen(v)).sigmoid()

    def visible(
        self, h: Float[Tensor, "*item hidden"], length: Float[Tensor, "*item 1"] | float = 1.0
    ) -> Float[Tensor, "*item visible"]:
        """The mean of v given h; `length` is that of each text, for counts."""
        downward = self.visible_bias + h @ self.weight.T
        if self.kind == "counts":
            return length * downward.softmax(dim=-1)
        return downward.sigmoid() if self.kind == "binary" else downward

    def energy(self, v: Float[Tensor, "*item visible"], h: Float[Tensor, "*item hidden"]) -> Float[Tensor, " *item"]:
        """E(v, h)."""
        interaction = ((v @ self.weight) * h).sum(dim=-1)
        hidden = (self.length(v) * self.hidden_bias * h).sum(dim=-1)
        if self.kind == "gaussian":
            return (v - self.visible_bias).square().sum(dim=-1) / 2 - hidden - interaction
        return -v @ self.visible_bias - hidden - interaction

    def free_energy(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, " *item"]:
        """F(v) = -log sum_h exp(-E(v, h)); the hidden units are summed out one by one."""
        hidden = softplus(self.length(v) * self.hidden_bias + v @ self.weight).sum(dim=-1)
        if self.kind == "gaussian":
            return (v - self.visible_bias).square().sum(dim=-1) / 2 - hidden
        return -v @ self.visible_bias - hidden

    @torch.no_grad()
    def contrastive_divergence(
        self,
        v: Float[Tensor, "item visible"],
        steps: int = 1,
        sample_visible: bool = False,
        share: float = 1.0,
    ) -> Float[Tensor, ""]:
        """Add the gradient of CD-`steps` to `.grad`, times `share`; return the mean squared error of what comes back.

        The gradient of the mean free energy of the data, less that of what the machine makes of them in some steps of
        Gibbs sampling. Hidden units are sampled on the way and enter the gradient as probabilities; visible ones are
        means, or samples where `sample_visible`.
        """
        if steps < 1:
            raise ValueError(f"steps={steps} must be at least 1.")
        v = self.seen(v)
        h = first = self.upward(v).sigmoid()
        length = self.length(v)
        for _ in range(steps):
            fantasy = self.visible(torch.bernoulli(h), length)
            seen = self._sampled(fantasy, v) if sample_visible else fantasy
            h = self.upward(seen).sigmoid()
        self._add_statistics(v, first, share / len(v))
        self._add_statistics(seen, h, -share / len(v))
        self.activity.mul_(0.9).add_(first.mean(dim=0), alpha=0.1)
        return (fantasy - v).square().mean()

    def _sampled(self, mean: Tensor, data: Tensor) -> Tensor:
        if self.kind == "binary":
            return torch.bernoulli(mean)
        if self.kind == "gaussian":
            return mean + torch.randn_like(mean)
        # As many words as the text has; the released code's texts all have 100, so that no length leaves the device.
        words = data.sum(dim=-1, keepdim=True).round()
        most = int(COUNTS) if self.released else max(int(words.max()), 1)
        picked = torch.multinomial(mean.clamp_min(1e-20), most, replacement=True)
        counted = (torch.arange(most, device=mean.device) < words).to(mean.dtype)
        return torch.zeros_like(mean).scatter_add_(1, picked, counted)

    def _add_statistics(self, v: Tensor, h: Tensor, weight: float) -> None:
        """Add `weight` times the gradient of the summed free energy at v, whose hidden probabilities are h."""
        length = self.length(v)
        if self.released:  # the code divides v by L and leaves L out of the hidden bias
            v, length = v / length.clamp_min(1e-6), 1.0
        difference = v - self.visible_bias if self.kind == "gaussian" else v
        for parameter, statistic in (
            (self.weight, v.T @ h),
            (self.visible_bias, difference.sum(dim=0)),
            (self.hidden_bias, (length * h).sum(dim=0)),
        ):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad.sub_(statistic, alpha=weight)

    @torch.no_grad()
    def sparsity(self, target: float, cost: float, share: float = 1.0) -> None:
        """Pull the running mean of each hidden unit's probability towards `target` through its bias."""
        self.hidden_bias.grad.add_(self.activity - target, alpha=cost * share)


class AutoencoderLayer(nn.Module):
    """What may stand in an RBM's place: a layer that must give back its input from a damaged copy of it.

    visible, hidden, kind  as for `RBM`
    noise                  the share of input entries that are set to 0 in training

    Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008.
    """

    def __init__(self, visible: int, hidden: int, kind: Visible = "binary", noise: float = 0.2) -> None:
        super().__init__()
        _require_kind(kind)
        self.kind, self.noise = kind, noise
        self.encode = nn.Linear(visible, hidden)
        self.decode = nn.Linear(hidden, visible)

    def hidden(self, v: Float[Tensor, "*item visible"]) -> Float[Tensor, "*item hidden"]:
        """The code, between 0 and 1."""
        return self.encode(v.log1p() if self.kind == "counts" else v).sigmoid()

    def loss(self, v: Float[Tensor, "item visible"]) -> Float[Tensor, ""]:
        """How badly v is given back: half squared error, cross-entropy, or that of the words for counts; a mean."""
        damaged = v * (torch.rand_like(v) >= self.noise)
        back = self.decode(self.hidden(damaged))
        if self.kind == "gaussian":
            return (back - v).square().sum(dim=-1).mean() / 2
        if self.kind == "counts":
            return -((v * back.log_softmax(dim=-1)).sum(dim=-1) / v.sum(dim=-1).clamp_min(1)).mean()
        return nn.functional.binary_cross_entropy_with_logits(back, v, reduction="sum") / len(v)
