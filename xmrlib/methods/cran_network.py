"""The modules of CRAN: encoders of regions and words, attention, matching in three forms, and the three levels.

What a level makes of its items is a tuple of tensors with one row an item, on either side; `scores` compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize, pad

from xmrlib.features.views import geometry
from xmrlib.methods.cran_relations import Grounded, RegionPairs, TextRelations
from xmrlib.methods.mcsm_network import Words, any_of
from xmrlib.methods.network import InputScaling
from xmrlib.methods.scan import SHORTEST, along, reversed_order
from xmrlib.nn.cross_attention import cross_attention_scores
from xmrlib.nn.sets import without_padding

Parts = tuple[Tensor, ...]
MEMORY = 1 << 26  # bytes of affinities at a time, or those of one text with all images; without gradients


def unit(vectors: Float[Tensor, "*item dim"]) -> Float[Tensor, "*item dim"]:
    """`vectors` with length 1, in float32; zero stays zero."""
    return normalize(vectors.float(), dim=-1, eps=SHORTEST)


class Attention(nn.Module):
    """a = softmax(u . tanh(W x)) over the real items of a set; all zero for a set without any. Switched off: equal."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(config.dim, config.dim) if config.attention else None  # W
        self.outer = nn.Linear(config.dim, 1, bias=False) if config.attention else None  # u

    def forward(
        self, items: Float[Tensor, "set item dim"], mask: Bool[Tensor, "set item"]
    ) -> Float[Tensor, "set item"]:
        """The weights: at least 0, of sum 1 over the real items, and 0 at the others."""
        if self.outer is None:
            energies = torch.zeros(mask.shape, device=mask.device)
        else:
            energies = self.outer(self.inner(items).tanh())[:, :, 0].float()
        # The least number, not minus infinity: without any item it is 0 in the end, and no NaN.
        energies = energies.masked_fill(~mask, torch.finfo(energies.dtype).min)
        return energies.softmax(dim=1) * mask


class Matching(nn.Module):
    """Two sets of vectors compared: regions with words, or relations with relations."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.form, self.sharpness, self.top = config.matching, config.lambda_softmax, config.top
        self.attention = nn.ModuleDict({"image": Attention(config), "text": Attention(config)})

    def parts(self, side: str, items: Float[Tensor, "set item dim"], mask: Bool[Tensor, "set item"]) -> Parts:
        """What `scores` needs of the sets of a side, "image" or "text"."""
        items = without_padding(items, mask)
        if self.form == "pooled":
            weights = self.attention[side](items, mask)
            return (unit(einsum(weights, items.float(), "set item, set item dim -> set dim")),)
        if self.form == "best" and side == "text":
            return unit(items), self.attention[side](items, mask)
        if self.form == "attended":  # a set without items is one of a single zero, whose cosines are 0
            first = torch.arange(mask.shape[1], device=mask.device) == 0
            mask = mask | (first & ~mask.any(dim=1, keepdim=True))
        return unit(items), mask

    def scores(self, images: Parts, texts: Parts) -> Float[Tensor, "image text"]:
        """How well each image's set goes with each text's."""
        if self.form == "pooled":
            return images[0] @ texts[0].T
        if self.form == "best":
            return best_scores(*images, *texts)
        return cross_attention_scores(
            images[0],
            texts[0],
            images[1],
            texts[1],
            direction="i2t",
            lambda_softmax=self.sharpness,
            above_average_only=True,
            pooling="top",
            top=self.top,
        )


def best_scores(
    regions: Float[Tensor, "image region dim"],
    region_mask: Bool[Tensor, "image region"],
    words: Float[Tensor, "text word dim"],
    weights: Float[Tensor, "text word"],
) -> Float[Tensor, "image text"]:
    """sum_m a_m max_j cos(v_j, w_m): each word takes its best region; regions and words of unit length or zero.

    An image without any region scores 0 with every text.

    >>> regions = torch.eye(2)[None]
    >>> words = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
    >>> best_scores(regions, torch.ones(1, 2, dtype=torch.bool), words, torch.tensor([[0.5, 0.5]]))
    tensor([[0.9000]])
    """
    step = len(words)
    if not torch.is_grad_enabled():
        step = max(1, MEMORY // (4 * region_mask.numel() * words.shape[1]))
    flat, any_region = rearrange(regions, "image region dim -> (image region) dim"), region_mask.any(dim=1)
    found = []
    for asks, importance in zip(words.split(step), weights.split(step), strict=True):
        columns = rearrange(asks, "text word dim -> (text word) dim")
        cosines = rearrange(flat @ columns.T, "(image region) ask -> image region ask", image=len(regions)).float()
        cosines = cosines.masked_fill(~region_mask[:, :, None], -torch.inf).amax(dim=1)
        cosines = torch.where(any_region[:, None], cosines, 0.0)
        best = rearrange(cosines, "image (text word) -> image text word", text=len(asks))
        found.append((best * importance).sum(dim=2))
    return torch.cat(found, dim=1)


class Encoder(nn.Module):
    """Regions and words as vectors of one length: v_j = W x_j + b, and w_m, what a word means where it stands."""

    def __init__(self, config: Any, region: int | None, words: int) -> None:
        super().__init__()
        self.dropout, self.place_scale = config.dropout, config.place_scale
        self.words = Words(words, config.word_dim, trained=True)
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        self.forwards = self.backwards = self.word_layer = self.region_layer = self.place_layer = None
        if config.recurrence is None:
            self.word_layer = nn.Linear(config.word_dim, config.dim)
        else:
            kind = kinds[config.recurrence]
            self.forwards = kind(config.word_dim, config.dim, batch_first=True)
            self.backwards = kind(config.word_dim, config.dim, batch_first=True)
        if region is not None:
            self.region_layer = nn.Linear(region, config.dim)
            if config.geometry in ("local", "both"):
                self.place_layer = nn.Linear(5, config.dim, bias=False)

    def vectors(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text word dim"]:
        """The vector of each word, wherever it stands."""
        return dropout(self.words(ids, mask), self.dropout, self.training)

    def states(
        self, vectors: Float[Tensor, "text word dim"], mask: Bool[Tensor, "text word"]
    ) -> Float[Tensor, "text word common"]:
        """w_m: the mean of the states of both directions, or a linear map of each word's vector."""
        if self.word_layer is not None:
            return self.word_layer(vectors)
        order = reversed_order(mask)
        ahead, _ = self.forwards(vectors)
        back, _ = self.backwards(along(vectors, order))
        return (ahead + along(back, order)) / 2

    def regions(
        self, features: Float[Tensor, "image region dim"], boxes: Float[Tensor, "image region 4"]
    ) -> Float[Tensor, "image region common"]:
        """v_j, of what is in a region; its place counts only where `geometry` says so."""
        found = self.region_layer(dropout(features, self.dropout, self.training))
        if self.place_layer is None:
            return found
        return found + self.place_layer(self.place_scale * (geometry(boxes) - 0.5))


class Whole(nn.Module):
    """The global level: g_i = W x_i + b of the picture, g_t = W h + b of a sentence vector h, both of unit length."""

    def __init__(self, config: Any, image: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.image_layer = nn.Linear(image, config.dim)
        self.layers = None
        if config.sentence == "cnn":
            self.layers = nn.ModuleList(
                nn.Conv1d(config.word_dim, config.sentence_maps, width) for width in config.sentence_widths
            )
        self.text_layer = nn.Linear(
            config.dim if self.layers is None else config.sentence_maps * len(self.layers), config.dim
        )

    def images(self, features: Float[Tensor, "image dim"]) -> Parts:
        """g_i."""
        return (unit(self.image_layer(dropout(features, self.dropout, self.training))),)

    def texts(
        self,
        vectors: Float[Tensor, "text word dim"],
        states: Float[Tensor, "text word common"],
        mask: Bool[Tensor, "text word"],
    ) -> Parts:
        """g_t."""
        if self.layers is None:
            real = without_padding(unit(states), mask)
            return (unit(self.text_layer(real.sum(dim=1) / mask.sum(dim=1, keepdim=True))),)
        words, found = vectors.transpose(1, 2), []
        for layer in self.layers:
            around = layer.kernel_size[0] - 1  # each word at each place of the window, in the shortest text too
            real = any_of(pad(mask, (around, around)), around + 1, 1)
            maps = layer(pad(words, (around, around))).relu().float()
            found.append(maps.masked_fill(~real[:, None], 0).amax(dim=2))
        return (unit(self.text_layer(torch.cat(found, dim=1))),)

    def scores(self, images: Parts, texts: Parts) -> Float[Tensor, "image text"]:
        """The cosine."""
        return images[0] @ texts[0].T


class Relations(nn.Module):
    """The relation level as the paper has it, as far as we know: relations of each side, encoded, then matched."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.of_regions, self.of_words = RegionPairs(config), TextRelations(config)
        self.matching = Matching(config)
        self.scores = self.matching.scores

    def images(
        self,
        regions: Float[Tensor, "image region common"],
        boxes: Float[Tensor, "image region 4"],
        mask: Bool[Tensor, "image region"],
    ) -> Parts:
        """rho, for the matching."""
        return self.matching.parts("image", *self.of_regions(regions, boxes, mask))

    def texts(self, states: Float[Tensor, "text word common"], mask: Bool[Tensor, "text word"]) -> Parts:
        """pi, for the matching."""
        return self.matching.parts("text", *self.of_words(states, mask))


class CRANNetwork(nn.Module):
    """The levels that are asked for, on encoders that they share or not.

    image  the length of a vector in each view, by the setting that names it
    text   the number of words
    """

    def __init__(self, config: Any, image: dict[str, int], text: int) -> None:
        super().__init__()
        self.config = config
        region, whole = image.get("image_regions"), image.get("image_view")
        self.region_scaling = None if region is None else InputScaling(region, config.scaling)
        self.whole_scaling = None if whole is None else InputScaling(whole, config.scaling)
        keys = dict.fromkeys(self.key(level) for level in config.levels)
        self.encoders = nn.ModuleDict({key: Encoder(config, region if key != "global" else None, text) for key in keys})
        made = {
            "global": lambda: Whole(config, region if whole is None else whole),
            "local": lambda: Matching(config),
            "relation": lambda: Grounded(config, text) if config.grounded else Relations(config),
        }
        self.levels = nn.ModuleDict({level: made[level]() for level in config.levels})
        # log of the inverse temperature of "softmax"
        self.sharpness = nn.ParameterDict({level: torch.tensor(10.0).log() for level in config.levels})

    def key(self, level: str) -> str:
        """Which encoder a level reads: the common one, or its own; the grounded relation reads the local level's."""
        if self.config.joint:
            return "all"
        return "local" if level == "relation" and self.config.grounded else level

    def _keys(self, levels: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(self.key(level) for level in levels))

    def parameters_of(self, level: str) -> list[nn.Parameter]:
        """What a training of this level alone moves."""
        own = [*self.levels[level].parameters(), self.sharpness[level]]
        return own if self.key(level) != level else own + [*self.encoders[level].parameters()]

    def images(
        self,
        whole: Float[Tensor, "image whole"],
        features: Float[Tensor, "image region dim"],
        boxes: Float[Tensor, "image region 4"],
        mask: Bool[Tensor, "image region"],
        levels: Sequence[str] | None = None,
    ) -> dict[str, Parts]:
        """What each of `levels` sees of images; a view that no level looks at has the length 0."""
        levels, found = levels or self.config.levels, {}
        if self.region_scaling is not None:
            features = without_padding(self.region_scaling(features), mask)
        if "global" in levels:
            if self.whole_scaling is None:
                whole = features.sum(dim=1) / mask.sum(dim=1, keepdim=True)
            else:
                whole = self.whole_scaling(whole)
            found["global"] = self.levels["global"].images(whole)
        on_regions = self._keys([level for level in levels if level != "global"])
        regions = {key: self.encoders[key].regions(features, boxes) for key in on_regions}
        if "local" in levels:
            found["local"] = self.levels["local"].parts("image", regions[self.key("local")], mask)
        if "relation" in levels:
            found["relation"] = self.levels["relation"].images(regions[self.key("relation")], boxes, mask)
        return found

    def texts(
        self,
        ids: Int[Tensor, "text word"],
        mask: Bool[Tensor, "text word"],
        fragment: Int[Tensor, "text word"],
        levels: Sequence[str] | None = None,
    ) -> dict[str, Parts]:
        """What each of `levels` sees of texts."""
        levels, found = levels or self.config.levels, {}
        vectors = {key: self.encoders[key].vectors(ids, mask) for key in self._keys(levels)}
        states = {key: self.encoders[key].states(vectors[key], mask) for key in vectors}
        if "global" in levels:
            key = self.key("global")
            found["global"] = self.levels["global"].texts(vectors[key], states[key], mask)
        if "local" in levels:
            found["local"] = self.levels["local"].parts("text", states[self.key("local")], mask)
        if "relation" in levels:
            level, words = self.levels["relation"], states[self.key("relation")]
            if self.config.grounded:
                weights = self.levels["local"].attention["text"](without_padding(words, mask), mask)
                found["relation"] = level.texts(words, weights, ids, mask, fragment)
            else:
                found["relation"] = level.texts(words, mask)
        return found

    def scores(self, images: dict[str, Parts], texts: dict[str, Parts]) -> dict[str, Float[Tensor, "image text"]]:
        """The similarity of every image with every text at each level."""
        return {name: self.levels[name].scores(images[name], texts[name]) for name in images}
