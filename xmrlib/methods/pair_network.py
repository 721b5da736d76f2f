"""What networks need that look at regions and words: pairs of these to learn from, and scores of pairs of these."""

from __future__ import annotations

from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xmrlib.data.pairs import Pairs
from xmrlib.methods.network import BATCH, NetworkMethod, parts_of, through
from xmrlib.methods.sides import ImageInput, TextInput, Views


class PairTable:
    """Training pairs that lie in memory: a batch is some texts, each with its image; every image is kept once.

    images, texts   the tensors that the network takes of each side, one row an item
    image_of_text   the row of each text's image

    >>> table = PairTable.of(Views(torch.eye(2), torch.arange(3.0)[:, None], torch.tensor([0, 0, 1])))
    >>> table[torch.tensor([1, 2])]
    {'images': (tensor([[1., 0.],
            [0., 1.]]),), 'texts': (tensor([[1.],
            [2.]]),), 'row': tensor([0, 1])}
    """

    def __init__(
        self, images: tuple[Tensor, ...], texts: tuple[Tensor, ...], image_of_text: Int[Tensor, " text"]
    ) -> None:
        self.images, self.texts, self.image_of_text = images, texts, image_of_text

    @classmethod
    def of(cls, views: Views) -> Self:
        """The pairs of `views`."""
        return cls(parts_of(views.images), parts_of(views.texts), views.image_of_text)

    def __len__(self) -> int:
        return len(self.image_of_text)

    def __getitem__(self, rows: Int[Tensor, " pair"]) -> dict[str, Any]:
        """What the network takes of some texts and of their images, and which image each one's is."""
        rows = rows.to(self.image_of_text.device)
        row = self.image_of_text[rows]
        images, texts = tuple(part[row] for part in self.images), tuple(part[rows] for part in self.texts)
        return {"images": images, "texts": texts, "row": row}

    def to(self, device: torch.device) -> PairTable:
        """The same table on another device."""
        images, texts = (tuple(part.to(device) for part in parts) for parts in (self.images, self.texts))
        return PairTable(images, texts, self.image_of_text.to(device))


class PairNetwork(NetworkMethod):
    """A network that scores pairs: `network.images` and `network.texts` encode a side, `network.scores` compares.

    Each item is encoded once; scores are made for some items at a time, so that memory stays bounded.
    """

    def similarity(self, images: Pairs | ImageInput, texts: TextInput | None = None) -> Float[Tensor, "image text"]:
        """(n, m) score of every image with every text; a `Pairs` stands for both its sides."""
        self._require_fitted()
        images, texts = self._sides(images, texts)
        return self._scores(self.network, self.image_side.features(images), self.text_side.features(texts))

    def _scores(self, network: nn.Module, images: Any, texts: Any) -> Float[Tensor, "image text"]:
        device = next(network.parameters()).device
        sides = (
            list(zip(through(network, part, features).split(4 * BATCH), features.mask.split(4 * BATCH), strict=True))
            for part, features in ((network.images, images), (network.texts, texts))
        )
        image_parts, text_parts = sides
        rows = []
        with torch.inference_mode():
            for image_part in image_parts:
                regions = [tensor.to(device) for tensor in image_part]
                words = ([tensor.to(device) for tensor in text_part] for text_part in text_parts)
                rows.append(torch.cat([network.scores(*regions, *found).float().cpu() for found in words], dim=1))
        return torch.cat(rows)
