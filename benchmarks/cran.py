"""CRAN's scores of every image with every text at all three levels, from features of regions and words on.

Five texts an image of 8 to 17 words, `CRANConfig.paper()`, five regions or 36. In the form of MAVA ("attended") each
region asks each word, and each of the 20 or 1,260 ordered pairs of regions asks each phrase. The floor is the products
of these, made in tiles and thrown away, without the encoders. "pooled" makes one vector of every item first; "grounded"
is the extension, its local level with the best region of each word.
"""

from __future__ import annotations

import torch

from benchmarks.evaluate import Task
from xmrlib import CRAN, CRANConfig
from xmrlib.features.sequences import TokenIds
from xmrlib.features.views import Regions
from xmrlib.methods.cran_network import CRANNetwork
from xmrlib.methods.several import Several

WHOLE, REGION, WORDS = 4096, 4096, 10_000  # fc7 of VGG-16 and VGG-19, and a vocabulary
SHORTEST, LONGEST = 8, 17  # words a text
TILE = 64  # images whose products are made at a time


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


def scored(data: dict, **form: object) -> dict:
    """The mean score at each level."""
    torch.manual_seed(0)
    model = CRAN(CRANConfig.paper(dim=data["dim"], **form))
    network = CRANNetwork(model.config, {"image_view": WHOLE, "image_regions": REGION}, WORDS).eval()
    found = model._level_scores(network, data["images"], data["texts"], model.config.levels)
    return {name: float(scores.mean()) for name, scores in found.items()}


def floor(data: dict) -> dict:
    """Regions with words and pairs of regions with phrases of two and three words, without padding, at size `dim`."""
    regions, words, dim = data["images"].views[1].mask.shape[1], int(data["texts"].mask.sum()), data["dim"]
    phrases = 2 * words - 3 * len(data["texts"])
    for asks, answers in ((regions, words), (regions * (regions - 1), phrases)):
        columns = torch.randn(dim, answers)
        step = max(1, min(TILE, 100_000_000 // (asks * answers)))
        rows = torch.randn(step * asks, dim)
        for begin in range(0, len(data["images"]), step):
            rows[: min(step, len(data["images"]) - begin) * asks] @ columns
    return {}


def task(**form: object) -> Task:
    """Scoring in one form beside its products, where it has such."""
    methods = {"xmrlib": lambda data: scored(data, **form)}
    if form.get("matching") == "attended":
        methods["floor (matrix products)"] = floor
    return Task(
        data=features,
        warm={"images": 8, "regions": 3, "dim": 8},
        sizes=({"images": 1000, "regions": 5}, {"images": 100, "regions": 36}),
        quick=({"images": 40, "regions": 5},),
        methods=methods,
        agree=1e-4,
    )


TASKS = {
    "cran": task(matching="attended"),
    "cran pooled": task(),
    "cran grounded": task(relation="grounded", matching="best"),
}
