"""What the tests of pictures share: a small data set of plain pictures, scores, a model that is nothing but scores."""

from __future__ import annotations

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from xmrlib.data.pairs import Images, Pairs, Texts


def make_pairs(count: int = 12, per_image: int = 1, labels: bool = True, pictures: bool = True) -> Pairs:
    owner = np.repeat(np.arange(count), per_image)
    shade = [Image.new("RGB", (40 + row, 30), (20 * row % 255, 90, 160)) for row in range(count)]
    words = tuple((f"Picture {row} shows a thing & <another>.", "It is late.") for row in owner)
    return Pairs(
        name="scenes",
        images=Images(tuple(f"image {row}" for row in range(count)), picture=shade.__getitem__ if pictures else None),
        texts=Texts(tuple(f"text {row}" for row in range(len(owner))), words),
        image_of_text=owner,
        labels=np.arange(count) % 3 if labels else None,
        classes=("farm", "sea", "sky") if labels else (),
    )


def make_scores(pairs: Pairs, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(pairs), len(pairs.texts)))
    return noise + 1.5 * (np.arange(len(pairs))[:, None] == pairs.image_of_text[None])


class Model:
    """Scores by the length of the words: any model is judged by `similarity` alone."""

    def similarity(self, images: Images, texts: Texts | list[str]) -> torch.Tensor:
        lengths = torch.tensor([float(len(text)) for text in texts])
        return torch.arange(len(images))[:, None] * 0.1 + lengths[None]


def draw(figure: Figure) -> None:
    """Render, so that a warning or a fault of the layout shows."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    plt.close(figure)
