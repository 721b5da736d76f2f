"""The relations of CRAN: of regions pair by pair, of words, and the extension that grounds them in the local level."""

from __future__ import annotations

from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from xmrlib.features.views import pair_geometry
from xmrlib.methods.mcsm_network import Words
from xmrlib.methods.scan import SHORTEST

PLACES = 5  # numbers in `pair_geometry`
MEMORY = 1 << 26  # bytes at a time, without gradients


def pairs(count: int, device: torch.device | str = "cpu") -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """The ordered pairs (j, k) of `count` items, j != k: all j, and all k.

    >>> pairs(3)
    (tensor([0, 0, 1, 1, 2, 2]), tensor([1, 2, 0, 2, 0, 1]))
    """
    # By arithmetic: on a GPU the host need not wait to learn how many there are.
    row = torch.arange(count * (count - 1), device=device)
    j, k = row // max(count - 1, 1), row % max(count - 1, 1)
    return j, k + (k >= j)


def word_pairs(count: int, device: torch.device | str = "cpu") -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """The pairs (m, n) of `count` words, m before n: all m, and all n.

    >>> word_pairs(3)
    (tensor([0, 0, 1]), tensor([1, 2, 2]))
    """
    return torch.triu_indices(count, count, 1, device=device).unbind(dim=0)


def not_empty(items: Float[Tensor, "set item dim"], mask: Bool[Tensor, "set item"]) -> tuple[Tensor, Tensor]:
    """The same sets, with one item of zeros that is not real where there is room for none."""
    return (items, mask) if items.shape[1] else (pad(items, (0, 0, 0, 1)), pad(mask, (0, 1)))


class RegionPairs(nn.Module):
    """rho_jk = W_2 ReLU(A v_j + B v_k + G g_jk) for the ordered pairs of regions, g_jk how k lies as seen from j.

    linear_pairs leaves W_2 and ReLU out; ordered=False gives (j, k) and (k, j) the mean of the two.

    All pairs are made at once. An array of them has 516 MB in float32 for 100 images of 36 regions, 1,260 pairs each,
    of 1,024 numbers. A training step of CRAN's pooled form holds about eight such at its peak (measured on a CPU with
    20 images), some 4 GB, and W_2 alone takes 264 Gflop a pass. Where that is too much, take a smaller `batch`, or
    fewer regions (`most_regions`). Without gradients some images are taken at a time.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.first = nn.Linear(config.dim, config.dim)  # A
        self.second = nn.Linear(config.dim, config.dim, bias=False)  # B
        self.place = None  # G
        if config.geometry in ("relation", "both"):
            self.place = nn.Linear(PLACES, config.dim, bias=False)
        self.out = None if config.linear_pairs else nn.Linear(config.dim, config.dim)  # W_2
        self.ordered = config.ordered

    def forward(
        self,
        regions: Float[Tensor, "image region dim"],
        boxes: Float[Tensor, "image region 4"],
        mask: Bool[Tensor, "image region"],
    ) -> tuple[Float[Tensor, "image pair dim"], Bool[Tensor, "image pair"]]:
        """rho, and which pairs are of two regions that exist; row j (r - 1) + k, less one where k > j, is (j, k)."""
        # Each region is projected once, before it meets the others.
        first, second = self.first(regions), self.second(regions)
        count = regions.shape[1]
        j, k = pairs(count, regions.device)
        hidden = first[:, j].add_(second[:, k])
        if self.place is not None:
            hidden.add_(self.place(pair_geometry(boxes)[:, j, k]))
        if self.out is not None:
            hidden.relu_()
        if not self.ordered:
            turned = k * (count - 1) + j - (j > k).long()  # the row of (k, j)
            hidden = (hidden + hidden[:, turned]) / 2
        found = hidden if self.out is None else self.out(hidden)
        return not_empty(found, mask[:, j] & mask[:, k])


class TextRelations(nn.Module):
    """pi: relations that a text states, each a vector.

    "phrases": ReLU of convolutions over the states of some words in a row, then a linear map; "words": a linear map of
    each state; "pairs": W_2 ReLU(A w_m + B w_n + c_{n-m}) of words at most `reach` apart, m < n.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.form, self.reach = config.text_relations, config.reach
        self.layers = self.first = self.second = self.apart = None
        if self.form == "phrases":
            self.layers = nn.ModuleList(nn.Conv1d(config.dim, config.dim, width) for width in config.phrase_widths)
        if self.form == "pairs":
            self.first, self.second = nn.Linear(config.dim, config.dim), nn.Linear(config.dim, config.dim, bias=False)
            self.apart = nn.Embedding(config.reach, config.dim)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(
        self, states: Float[Tensor, "text word dim"], mask: Bool[Tensor, "text word"]
    ) -> tuple[Float[Tensor, "text relation dim"], Bool[Tensor, "text relation"]]:
        """pi, and which of them are of words that exist."""
        if self.form == "words":
            return self.out(states), mask
        found, real, count = [], [], states.shape[1]
        if self.form == "phrases":
            words = states.masked_fill(~mask[:, :, None], 0).transpose(1, 2)
            for layer in self.layers:
                width = layer.kernel_size[0]
                if width <= count:
                    found.append(layer(words).relu().transpose(1, 2))
                    real.append(mask.unfold(1, width, 1).all(dim=2))
        else:
            first, second = self.first(states), self.second(states)
            for apart in range(1, min(self.reach, count - 1) + 1):
                found.append((first[:, :-apart] + second[:, apart:] + self.apart.weight[apart - 1]).relu())
                real.append(mask[:, :-apart] & mask[:, apart:])
        if not found:
            return not_empty(states[:, :0], mask[:, :0])
        return self.out(torch.cat(found, dim=1)), torch.cat(real, dim=1)


class Grounded(nn.Module):
    """The relation level built on the alignment of the local one: an extension of CRAN.

    The words of a text that the local level attends to most are paired, m before n, if they are of one sentence. With
    v_j and w_m of unit length,

        a_mj  = softmax_j(beta cos(w_m, v_j))                         which region word m speaks of
        p_mn  = MLP(mean vectors of the words before m, between m and n, after n)        what is said of the two
        q_jk  = MLP(g_jk)                                              how region k lies as seen from j
        sim   = sum_mn b_mn tanh(sum_{j != k} a_mj a_nk  p_mn . q_jk),  b_mn = sigmoid(u . hidden layer of p_mn)

    The alignment is read, not changed: no gradient goes back into the local level.
    """

    def __init__(self, config: Any, words: int) -> None:
        super().__init__()
        self.count, self.most = config.content_words, config.word_pairs
        self.words = Words(words, config.word_dim, trained=True)
        self.said = nn.Sequential(nn.Linear(3 * config.word_dim, config.dim), nn.ReLU())
        self.predicate = nn.Linear(config.dim, config.predicate_dim)
        self.gate = nn.Linear(config.dim, 1)
        self.place = None
        if config.geometry in ("relation", "both"):
            hidden = nn.Linear(PLACES, config.dim)
            self.place = nn.Sequential(hidden, nn.ReLU(), nn.Linear(config.dim, config.predicate_dim))
        else:
            self.anywhere = nn.Parameter(torch.zeros(config.predicate_dim))
        self.ordered = config.ordered
        self.sharpness = nn.Parameter(torch.tensor(10.0).log())  # log beta

    def images(
        self,
        regions: Float[Tensor, "image region common"],
        boxes: Float[Tensor, "image region 4"],
        mask: Bool[Tensor, "image region"],
    ) -> tuple[Tensor, ...]:
        """v of unit length, which are real, and q_jk, zero where j = k or either is not real."""
        if self.place is None:
            q = self.anywhere.expand(*mask.shape, mask.shape[1], -1)
        else:
            q = self.place(pair_geometry(boxes)).float()
        if not self.ordered:
            q = (q + q.transpose(1, 2)) / 2
        real = mask[:, :, None] & mask[:, None] & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        return normalize(regions.detach().float(), dim=-1, eps=SHORTEST), mask, q.masked_fill(~real[..., None], 0)

    def texts(
        self,
        states: Float[Tensor, "text word common"],
        weights: Float[Tensor, "text word"],
        ids: Int[Tensor, "text word"],
        mask: Bool[Tensor, "text word"],
        fragment: Int[Tensor, "text word"],
    ) -> tuple[Tensor, ...]:
        """w of the words that are paired, of unit length; of each pair its words, as places among these, p, and b.

        b is 0 for pairs that there are not.
        """
        chosen, a, b, real = self.paired(weights.detach(), mask, fragment)
        text = torch.arange(len(ids), device=ids.device)[:, None]
        before, between, after = self._around(ids, mask, fragment, chosen[text, a], chosen[text, b])
        said = self.said(torch.cat([before, between, after], dim=-1))
        gate = self.gate(said)[..., 0].float().sigmoid() * real
        aligned = normalize(states.detach().float(), dim=-1, eps=SHORTEST)[text, chosen]
        return aligned, a, b, self.predicate(said).float(), gate

    def paired(
        self,
        weights: Float[Tensor, "text word"],
        mask: Bool[Tensor, "text word"],
        fragment: Int[Tensor, "text word"],
    ) -> tuple[
        Int[Tensor, "text chosen"], Int[Tensor, "text pair"], Int[Tensor, "text pair"], Bool[Tensor, "text pair"]
    ]:
        """The places of the most attended words; of each pair its first and its second among these; which pairs exist.

        Kept are the pairs of words of one sentence with the largest product of weights.
        """
        chosen, real = self.chosen(weights, mask)
        text = torch.arange(len(weights), device=weights.device)[:, None]
        a, b = word_pairs(chosen.shape[1], weights.device)
        first, second = chosen[:, a], chosen[:, b]
        both = real[:, a] & real[:, b] & (fragment[text, first] == fragment[text, second])
        product = (weights[text, first] * weights[text, second]).masked_fill(~both, -1)
        kept = product.topk(min(self.most, len(a)), dim=1).indices.sort(dim=1).values
        return chosen, a[kept], b[kept], both.gather(1, kept)

    def chosen(
        self, weights: Float[Tensor, "text word"], mask: Bool[Tensor, "text word"]
    ) -> tuple[Int[Tensor, "text chosen"], Bool[Tensor, "text chosen"]]:
        """The places of the most attended words of each text, in reading order, and which of them are real."""
        few = min(self.count, mask.shape[1])
        found = weights.masked_fill(~mask, -1).topk(few, dim=1)
        # In reading order, those that are not real last.
        place = found.indices.masked_fill(found.values < 0, mask.shape[1]).sort(dim=1).values
        return place.clamp_max(mask.shape[1] - 1), place < mask.shape[1]

    def _around(
        self, ids: Tensor, mask: Tensor, fragment: Tensor, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean vectors of the words of a sentence before both words of a pair, between them, and after both."""
        # Sums up to each word give the sum of any stretch.
        sums = pad(self.words(ids, mask).float().cumsum(dim=1), (0, 0, 1, 0))
        place = torch.arange(mask.shape[1], device=mask.device)
        text = torch.arange(len(ids), device=ids.device)[:, None]
        own = fragment[text, first][:, :, None] == fragment[:, None]
        begin = torch.where(own, place, mask.shape[1]).amin(dim=2)
        end = torch.where(own, place + 1, 0).amax(dim=2)

        def mean(start: Tensor, stop: Tensor) -> Tensor:
            count = (stop - start).clamp_min(1)[..., None]
            return (sums[text, stop.maximum(start)] - sums[text, start]) / count

        return mean(begin, first), mean(first + 1, second), mean(second + 1, end.maximum(second + 1))

    def scores(self, images: tuple[Tensor, ...], texts: tuple[Tensor, ...]) -> Float[Tensor, "image text"]:
        """sim of every image with every text."""
        regions, mask, q = images
        step = len(texts[0])
        if not torch.is_grad_enabled():
            step = max(1, MEMORY // (4 * q[..., 0].numel() * max(1, texts[1].shape[1])))
        return torch.cat(
            [self._scores(regions, mask, q, *part) for part in zip(*(t.split(step) for t in texts), strict=True)], dim=1
        )

    def _scores(
        self, regions: Tensor, mask: Tensor, q: Tensor, words: Tensor, a: Tensor, b: Tensor, p: Tensor, gate: Tensor
    ) -> Tensor:
        held = self.held(self.alignment(regions, mask, words), q, a, b, p)
        return (held.tanh() * gate).sum(dim=2)

    def alignment(
        self,
        regions: Float[Tensor, "image region common"],
        mask: Bool[Tensor, "image region"],
        words: Float[Tensor, "text chosen common"],
    ) -> Float[Tensor, "image region text chosen"]:
        """a: which region each chosen word speaks of. Texts and words come last, so that sums run over long rows."""
        flat = rearrange(words, "text word dim -> (text word) dim")
        cosines = rearrange(regions, "image region dim -> (image region) dim") @ flat.T
        cosines = rearrange(
            cosines, "(image region) (text word) -> image region text word", image=len(mask), text=len(words)
        )
        least = torch.finfo(cosines.dtype).min
        return (self.sharpness.exp() * cosines).masked_fill(~mask[:, :, None, None], least).softmax(dim=1)

    @staticmethod
    def held(
        alignment: Float[Tensor, "image region text chosen"],
        q: Float[Tensor, "image region region predicate"],
        a: Int[Tensor, "text pair"],
        b: Int[Tensor, "text pair"],
        p: Float[Tensor, "text pair predicate"],
    ) -> Float[Tensor, "image text pair"]:
        """sum_jk a_mj a_nk p_mn . q_jk: how far the picture holds what is said of each pair of words."""
        first, second = (alignment.gather(3, place.expand(*alignment.shape[:2], *place.shape)) for place in (a, b))
        agree = einsum(q, p, "image j k predicate, text pair predicate -> image j k text pair")
        return ((agree * first[:, :, None]).sum(dim=1) * second).sum(dim=1)
