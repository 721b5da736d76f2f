"""Cross attention for every image with every text, alone and in a training step of SCAN.

python -m benchmarks attend train relate        one process each, with memory, like all benchmarks
python -m benchmarks.cross_attention            microseconds a pair, by turns in one process, and exactness

Sizes are those of SCAN (Lee et al. 2018) on Flickr30K: 36 regions, 8 to 17 words, 1,024 dimensions, direction "t2i".
The floor of scoring is the product of all regions with all words, padding included.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.evaluate import Task
from xmrlib.nn import cross_attention
from xmrlib.nn.cross_attention import cross_attention_scores
from xmrlib.nn.ranking import hinge_loss

VOCABULARY = 8481
Score = Callable[[Tensor, Tensor, Tensor], Tensor]


def pairs(images: int, dim: int = 1024, regions: int = 36, times: int = 1) -> dict:
    """As many texts as images, features of unit length; `times` says how often all pairs are scored."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(8, 18, (images,), generator=rng)
    sides = [normalize(torch.randn(images, items, dim, generator=rng), dim=2) for items in (regions, 17)]
    return {"regions": sides[0], "words": sides[1], "mask": torch.arange(17) < lengths[:, None], "times": times}


def ours(regions: Tensor, words: Tensor, mask: Tensor, compiled: bool = False) -> Tensor:
    return cross_attention_scores(regions, words, word_mask=mask, compiled=compiled)


def forced(gram: bool, regions: Tensor, words: Tensor, mask: Tensor) -> Tensor:
    """Ours, with or without Gram matrices whatever the sizes say."""
    with patch.object(cross_attention, "gram_pays", return_value=gram):
        return ours(regions, words, mask)


def loop(regions: Tensor, words: Tensor, mask: Tensor) -> Tensor:
    """One text after another with all images, each context formed, as most published code does; in our words."""
    columns = []
    for text, length in zip(words, mask.sum(dim=1).tolist(), strict=True):
        asks = text[:length].expand(len(regions), -1, -1)
        affinity = leaky_relu(torch.bmm(regions, asks.mT), 0.1)
        affinity = affinity / (affinity.pow(2).sum(dim=2, keepdim=True).sqrt() + 1e-8)
        weights = (9 * affinity.mT.contiguous()).softmax(dim=2)
        contexts = torch.bmm(weights, regions)
        lengths = (asks.norm(dim=2) * contexts.norm(dim=2)).clamp(min=1e-8)
        cosines = (asks * contexts).sum(dim=2) / lengths
        columns.append((6 * cosines).exp().sum(dim=1).log() / 6)
    return torch.stack(columns, dim=1)


def floor(regions: Tensor, words: Tensor, mask: Tensor) -> None:
    regions.flatten(0, 1) @ words.flatten(0, 1).T


def attend(score: Score, data: dict) -> dict:
    """Score all pairs; the values that any right answer shares."""
    with torch.inference_mode():
        for _ in range(data["times"]):
            scores = score(data["regions"], data["words"], data["mask"])
    if scores is None:
        return {}
    signs = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sign()
    return {"mean": float(scores.double().mean()), "signed_mean": float((scores * signs).mean())}


class Encoders(nn.Module):
    """SCAN's: a linear layer over features of regions; word vectors and a GRU in both directions; unit length."""

    def __init__(self, features: int, dim: int):
        super().__init__()
        self.regions = nn.Linear(features, dim)
        self.vectors = nn.Embedding(VOCABULARY, 300)
        self.words = nn.GRU(300, dim, batch_first=True, bidirectional=True)

    def forward(self, features: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(self.vectors(tokens), mask.sum(dim=1), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.words(packed)[0], batch_first=True, total_length=tokens.shape[1])
        ahead, back = states.chunk(2, dim=2)
        return normalize(self.regions(features), dim=2), normalize((ahead + back) / 2, dim=2)


def batch(images: int, dim: int = 1024, steps: int = 1) -> dict:
    """A batch of features and texts, and freshly initialised encoders."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(8, 18, (images,), generator=rng)
    features = normalize(torch.randn(images, 36, 2 * dim, generator=rng), dim=2)
    tokens = torch.randint(VOCABULARY, (images, 17), generator=rng)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoders = Encoders(2 * dim, dim)
    data = {"features": features, "tokens": tokens, "mask": torch.arange(17) < lengths[:, None]}
    return data | {"encoders": encoders, "steps": steps}


def train(score: Score, data: dict) -> dict:
    """Steps of Adam on the hinges of the hardest negatives; loss and gradient of the first."""
    encoders, mask, first = data["encoders"], data["mask"], {}
    optimiser = torch.optim.Adam(encoders.parameters(), lr=2e-4)
    for _ in range(data["steps"]):
        optimiser.zero_grad()
        regions, words = encoders(data["features"], data["tokens"], mask)
        scores = score(regions, words, mask)
        if scores is None:  # the floor: whatever pulls at all outputs of the encoders
            (regions.sum() + words.sum()).backward()
        else:
            loss = hinge_loss(scores, torch.eye(len(scores), dtype=torch.bool))
            loss.backward()
        norm = nn.utils.clip_grad_norm_(encoders.parameters(), 2.0)
        optimiser.step()
        if scores is not None and not first:
            first = {"loss": loss.item(), "gradient": norm.item()}
    return first


def nothing(regions: Tensor, words: Tensor, mask: Tensor) -> None:
    """No scores at all."""


TASKS = {
    "attend": Task(
        data=pairs,
        warm={"images": 4, "dim": 16},
        sizes=({"images": 64, "times": 20}, {"images": 500, "times": 1}),
        quick=({"images": 32, "times": 2},),
        methods={
            "xmrlib": partial(attend, ours),
            "xmrlib, contexts formed": partial(attend, partial(forced, False)),
            "plain loop": partial(attend, loop),
            "floor (matrix product)": partial(attend, floor),
        },
        agree=1e-6,
    ),
    "train": Task(
        data=batch,
        warm={"images": 4, "dim": 16},
        sizes=({"images": 64, "steps": 5},),
        quick=({"images": 16, "steps": 1},),
        methods={
            "xmrlib": partial(train, ours),
            "plain loop": partial(train, loop),
            "floor (encoders alone)": partial(train, nothing),
        },
        agree=1e-3,
    ),
    # The ordered pairs of 36 regions in the regions' place, as in CRAN: more items than dimensions.
    "relate": Task(
        data=partial(pairs, regions=1260),
        warm={"images": 2, "dim": 16},
        sizes=({"images": 16, "times": 1},),
        quick=({"images": 4, "times": 1},),
        methods={
            "xmrlib": partial(attend, ours),
            "xmrlib, Gram matrices": partial(attend, partial(forced, True)),
            "plain loop": partial(attend, loop),
            "floor (matrix product)": partial(attend, floor),
        },
        agree=1e-6,
    ),
}


def by_turns(methods: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """The least seconds, of the wall clock and of the processor, of each method; all take turns in each round."""
    least = dict.fromkeys(methods, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, work in methods.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            passed = time.perf_counter() - wall, time.process_time() - cpu
            least[name] = tuple(map(min, least[name], passed))
    return least


def main() -> None:
    """Two tables: scoring, and scoring with its gradient, for growing numbers of items that answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_attention", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--regions", type=int, nargs="+", default=[36, 128, 512, 1260])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    known = {"Gram matrices": partial(forced, True), "contexts formed": partial(forced, False), "plain loop": loop}
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {options.images} images and texts")
    print(
        f"{'regions':>8} {'method':18}{'us a pair':>11}{'processor':>11}{'with gradient':>15}{'largest difference':>21}"
    )
    for regions in options.regions:
        data = pairs(max(2, min(options.images, options.images * 128 // regions)), regions=regions)
        given = [data[name].to(options.device) for name in ("regions", "words", "mask")]
        count = len(given[0]) * len(given[1])
        few = [part[:4] for part in given]
        exact = loop(few[0].double(), few[1].double(), few[2])

        def gradient(score: Score, given: list[Tensor] = given) -> None:
            sides = [side.detach().requires_grad_() for side in given[:2]]
            torch.autograd.grad(score(*sides, given[2]).sum(), sides)

        with torch.no_grad():
            work = {name: partial(score, *given) for name, score in (known | {"floor": floor}).items()}
            scored = by_turns(work, options.rounds)
            off = {name: float((score(*few) - exact).abs().max()) for name, score in known.items()}
        learned = by_turns({name: partial(gradient, score) for name, score in known.items()}, options.rounds)
        for name, (wall, cpu) in scored.items():
            line = f"{regions:>8} {name:18}{1e6 * wall / count:>11.1f}{1e6 * cpu / count:>11.1f}"
            print(line + (f"{1e6 * learned[name][0] / count:>15.1f}{off[name]:>21.1e}" if name in off else ""))


if __name__ == "__main__":
    main()
