"""CRAN's scores of every image with every text at all three levels, from features of regions and words on.

Five texts an image of 8 to 17 words, `CRANConfig.paper()`, five regions or 36. In the form of MAVA ("attended") each
region asks each word, and each of the 20 or 1,260 ordered pairs of regions asks each phrase. "pooled" makes one vector
of every item first; "grounded" is the extension, its local level with the best region of each word. The floor is the
matrix products of each form, of its encoders and of its matching, without padding, made some at a time and thrown away.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.evaluate import Task
from xmrlib import CRAN, CRANConfig
from xmrlib.features.sequences import TokenIds
from xmrlib.features.views import Regions
from xmrlib.methods.cran_network import CRANNetwork
from xmrlib.methods.several import Several

WHOLE, REGION, WORDS = 4096, 4096, 10_000  # fc7 of VGG-16 and VGG-19, and a vocabulary
SHORTEST, LONGEST = 8, 17  # words a text
TILE = {"cpu": 1 << 26, "cuda": 1 << 29}  # numbers that a product may fill at a time
FORMS = {
    "cran": {"matching": "attended"},
    "cran pooled": {},
    "cran grounded": {"matching": "best", "relation": "grounded"},
}


def features(images: int, regions: int, dim: int = 1024) -> dict:
    """Random features of images and of five texts each, and how long a vector is at each level."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(images, regions, 2, generator=generator) / 2
    boxes = torch.cat([corner, corner + 0.1 + torch.rand(images, regions, 2, generator=generator) / 3], dim=2)
    found = torch.randn(images, regions, REGION, generator=generator)
    seen = Regions(found, boxes, torch.ones(images, regions, dtype=torch.bool))
    length = torch.randint(SHORTEST, LONGEST + 1, (5 * images,), generator=generator)
    mask = torch.arange(LONGEST) < length[:, None]
    ids = torch.randint(2, WORDS, mask.shape, generator=generator).masked_fill(~mask, 0)
    read = TokenIds(ids, mask, torch.where(mask, 0, -1))
    return {"images": Several((torch.randn(images, WHOLE, generator=generator), seen)), "texts": read, "dim": dim}


def drawn(data: dict, device: torch.device | str = "cpu", **form: object) -> dict:
    """The same, and a network with random weights on the device."""
    torch.manual_seed(0)
    model = CRAN(CRANConfig.paper(dim=data["dim"], **form))
    network = CRANNetwork(model.config, {"image_view": WHOLE, "image_regions": REGION}, WORDS).eval().to(device)
    return data | {"model": model, "network": network}


def scores(data: dict) -> dict[str, Tensor]:
    """Every image with every text at each level."""
    model = data["model"]
    return model._level_scores(data["network"], data["images"], data["texts"], model.config.levels)


def scored(data: dict) -> dict:
    """The mean score at each level."""
    return {name: float(found.mean()) for name, found in scores(data).items()}


def floor(data: dict, device: torch.device | str = "cpu", matching: str = "pooled", relation: str = "pairs") -> dict:
    """Every product of that form, `rows` x `inner` times `inner` x `columns`."""
    config = CRANConfig.paper(dim=data["dim"], matching=matching, relation=relation)
    product = partial(multiply, torch.device(device))
    (images, regions), dim = data["images"].views[1].mask.shape, config.dim
    texts, words, pairs = len(data["texts"]), int(data["texts"].mask.sum()), regions * (regions - 1)
    phrases = sum(words - texts * (width - 1) for width in config.phrase_widths)
    product(images, WHOLE, dim)  # the global level
    product(words, config.word_dim * sum(config.sentence_widths), config.sentence_maps)
    product(texts, config.sentence_maps * len(config.sentence_widths), dim)
    product(images, dim, texts)
    product(images * regions, REGION, dim)  # regions, and words in both directions
    product(words, config.word_dim + dim, 2 * 4 * dim)
    if matching != "pooled":
        product(images * regions, dim, words)
    if matching != "attended":  # attention, W of u . tanh(W x)
        product(words + (images * regions if matching == "pooled" else 0), dim, dim)
    if matching == "pooled" and relation == "pairs":
        product(images * pairs + phrases, dim, dim)
    if relation == "pairs":  # A, B and W_2; phrases; each pair with each phrase
        product(images * regions, dim, 2 * dim)
        product(images * pairs, dim, dim)
        product(words, dim * sum(config.phrase_widths), dim)
        product(phrases, dim, dim)
        product(images * pairs if matching == "attended" else images, dim, phrases if matching == "attended" else texts)
    else:  # p and q; the alignment; each pair of regions with each pair of words
        product(texts * config.word_pairs, 3 * config.word_dim, dim)
        product(texts * config.word_pairs, dim, config.predicate_dim)
        product(images * pairs, dim, config.predicate_dim)
        product(images * regions, dim, texts * config.content_words)
        product(images * pairs, config.predicate_dim, texts * config.word_pairs)
    return {}


def multiply(device: torch.device, rows: int, inner: int, columns: int) -> None:
    """A product of these sizes, so many rows at a time that it fills `TILE` numbers at most.

    The rows of a factor are alike: to draw every number would take as long as some of the products.
    """
    step = max(1, min(rows, TILE[device.type] // max(inner, columns)))
    left, right = (torch.randn(n, device=device).repeat(m, 1) for m, n in ((step, inner), (inner, columns)))
    for begin in range(0, rows, step):
        left[: rows - begin] @ right


def task(form: dict) -> Task:
    """Scoring in one form beside its products."""
    return Task(
        data=features,
        warm={"images": 8, "regions": 3, "dim": 8},
        sizes=({"images": 1000, "regions": 5}, {"images": 100, "regions": 36}),
        quick=({"images": 40, "regions": 5},),
        methods={"xmrlib": scored, "floor (matrix products)": partial(floor, **form)},
        prepare={"xmrlib": partial(drawn, **form)},
        agree=1e-4,
    )


TASKS = {name: task(form) for name, form in FORMS.items()}
