"""The modules of MCSM: a sequence with recurrent attention, the two spaces, and a word-CNN for texts as a whole.

Padding stands at the end of a sequence. In the paper variant it has no part in convolution, batch norm, recurrence or
attention, so that a text has one embedding, however long its neighbours in the batch are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, normalize, pad

from xmrlib.distributed import BatchNorm, total
from xmrlib.methods.network import InputScaling
from xmrlib.methods.pictures import trunk_of


class MaskedBatchNorm(BatchNorm):
    """Batch norm of the steps of sequences, over the real steps of all processes; others mean nothing afterwards."""

    def forward(
        self, features: Float[Tensor, "item step dim"], mask: Bool[Tensor, "item step"]
    ) -> Float[Tensor, "item step dim"]:
        """The standardised steps, in float32; the running moments are kept as in `torch.nn.BatchNorm1d`."""
        features = features.float()
        mean, variance = self.running_mean, self.running_var
        if self.training:
            real = mask[:, :, None].float()
            count = total(real.sum())
            mean = total((features * real).sum(dim=(0, 1))) / count
            variance = total(((features - mean).square() * real).sum(dim=(0, 1))) / count
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1).clamp_min(1), self.momentum)
        return (features - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class WordCNN(nn.Module):
    """Convolution, batch norm, ReLU and max-pooling, some times over: from words to segments. No layers: words stay.

    A segment begins every `stride` words and sees `field` words; it is real if any of these is.
    """

    def __init__(self, dim: int, kernels: tuple[int, ...], maps: tuple[int, ...], pools: tuple[int, ...]) -> None:
        super().__init__()
        self.pools, self.dim = pools, maps[-1] if maps else dim
        ends = (dim, *maps)
        # What a bias would add, the batch norm takes away.
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, kernel, bias=False) for a, b, kernel in zip(ends, maps, kernels, strict=False)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(size) for size in maps)
        self.stride, self.field = math.prod(pools), field_of(kernels, pools)

    def length(self, words: int) -> int:
        """How many words to pad texts of `words` words to, so that every segment that begins in them exists."""
        return (math.ceil(words / self.stride) - 1) * self.stride + self.field

    def cover(self, words: int) -> Bool[Tensor, "segment word"]:
        """Which words each segment of a text of `words` words sees."""
        begin = torch.arange((words - self.field) // self.stride + 1)[:, None] * self.stride
        place = torch.arange(words)[None]
        return (place >= begin) & (place < begin + self.field)

    def forward(
        self, words: Float[Tensor, "text word dim"], mask: Bool[Tensor, "text word"]
    ) -> tuple[Float[Tensor, "text segment map"], Bool[Tensor, "text segment"]]:
        """The segments, and which of them are real."""
        x = words.masked_fill(~mask[:, :, None], 0)
        for layer, norm, pool in zip(self.layers, self.norms, self.pools, strict=True):
            mask = any_of(mask, layer.kernel_size[0], 1)
            x = norm(layer(x.transpose(1, 2)).transpose(1, 2), mask).relu().masked_fill(~mask[:, :, None], 0)
            # Nothing is below 0 here: a step that is not real never is the largest of a pool with a real one.
            x, mask = max_pool1d(x.transpose(1, 2), pool).transpose(1, 2), any_of(mask, pool, pool)
        return x, mask


def field_of(kernels: tuple[int, ...], pools: tuple[int, ...]) -> int:
    """How many words one segment sees.

    >>> field_of((15, 9, 7), (5, 5, 6))
    354
    """
    field, stride = 1, 1
    for kernel, pool in zip(kernels, pools, strict=True):
        field += (kernel + pool - 2) * stride
        stride *= pool
    return field


def any_of(mask: Bool[Tensor, "item step"], width: int, stride: int) -> Bool[Tensor, "item window"]:
    """Whether any step of each window is real.

    >>> any_of(torch.tensor([[True, True, True, False, False, False]]), width=2, stride=2)
    tensor([[ True,  True, False]])
    """
    return max_pool1d(mask[:, None].float(), width, stride)[:, 0] > 0


class RecurrentAttention(nn.Module):
    """H, a and the sum of a_j h_j: two layers of LSTM over a sequence, a linear map, and attention over its steps.

    recurrence=False leaves the LSTM out, attention=False takes the mean over the real steps.
    """

    def __init__(self, config: Any, dim: int, hidden: int, inner: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        if config.recurrence:
            ends = (dim, *(hidden,) * config.layers)
            # One module a layer: cuDNN's own dropout keeps a state of which a checkpoint would know nothing.
            self.layers.extend(nn.LSTM(a, hidden, batch_first=True) for a in ends[:-1])
            if config.variant == "released":
                self.layers.apply(torch7_uniform)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(hidden if config.recurrence else dim, config.dim)
        self.inner = nn.Linear(config.dim, config.dim) if config.attention and inner else None  # W_a
        # w_a; what the code adds to all steps alike, softmax takes away.
        self.outer = nn.Linear(config.dim, 1, bias=False) if config.attention else None

    def states(self, steps: Float[Tensor, "item step dim"]) -> Float[Tensor, "item step common"]:
        """H; a state knows nothing of the steps that follow, padding included."""
        for layer in self.layers:
            steps = self.dropout(layer(steps.float())[0])
        return self.out(steps if self.layers else self.dropout(steps))

    def weights(
        self, states: Float[Tensor, "item step common"], mask: Bool[Tensor, "item step"]
    ) -> Float[Tensor, "item step"]:
        """a: at least 0, of sum 1 over the real steps, and 0 at the others."""
        if self.outer is None:
            energies = torch.zeros(mask.shape, device=mask.device)
        else:
            inner = states if self.inner is None else self.inner(states)
            energies = self.outer(self.dropout(inner.tanh()))[:, :, 0]
        return energies.float().masked_fill(~mask, -torch.inf).softmax(dim=1)

    def attend(
        self, steps: Float[Tensor, "item step dim"], mask: Bool[Tensor, "item step"]
    ) -> Float[Tensor, "item step"]:
        """The weights of the steps of a sequence."""
        return self.weights(self.states(steps), mask)

    def forward(
        self, steps: Float[Tensor, "item step dim"], mask: Bool[Tensor, "item step"]
    ) -> Float[Tensor, "item common"]:
        """The sum of a_j h_j, of unit length."""
        states = self.states(steps)
        pooled = torch.einsum("nj,njd->nd", self.weights(states, mask).to(states.dtype), states)
        # In fp16 the length of a short vector would be lost.
        return normalize(pooled.float(), dim=1)


def torch7_uniform(module: nn.Module) -> None:
    """Torch7's initial weights of an LSTM: its two linear maps are uniform within 1 / root of their own inputs."""
    if isinstance(module, nn.LSTM):
        for name, parameter in module.named_parameters():
            bound = 1 / math.sqrt(module.input_size if "_ih_" in name else module.hidden_size)
            nn.init.uniform_(parameter, -bound, bound)


class VisualSpace(nn.Module):
    """Images as sequences of regions; texts, as a whole, projected in."""

    def __init__(self, config: Any, regions: int, text: int) -> None:
        super().__init__()
        self.trunk = trunk_of(config, "grid")
        self.region_scaling, self.text_scaling = (InputScaling(dim, config.scaling) for dim in (regions, text))
        self.sequence = RecurrentAttention(config, regions, config.image_hidden, inner=True)
        self.text_layer = nn.Linear(text, config.dim)

    def regions(self, *seen: Tensor) -> tuple[Float[Tensor, "image region dim"], Bool[Tensor, "image region"]]:
        """What the LSTM reads, and which of it is real: given with a mask, or made of pictures by a backbone."""
        if self.trunk is not None:
            cells = self.trunk(*seen)
            seen = cells, torch.ones(cells.shape[:2], dtype=torch.bool, device=cells.device)
        features, mask = seen
        return self.region_scaling(features), mask

    def images(self, *seen: Tensor) -> Float[Tensor, "image common"]:
        """v, of unit length."""
        return self.sequence(*self.regions(*seen))

    def texts(self, vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text common"]:
        """q, of unit length."""
        return normalize(self.text_layer(self.text_scaling(vectors)).float(), dim=1)

    def attention(self, *seen: Tensor) -> Float[Tensor, "image region"]:
        """The weight of each region."""
        return self.sequence.attend(*self.regions(*seen))


class Words(nn.Module):
    """Word vectors, learned or fixed; zeros for padding."""

    def __init__(self, count: int, dim: int, trained: bool) -> None:
        super().__init__()
        self.vectors = nn.Embedding(count, dim, padding_idx=0)
        with torch.no_grad():
            nn.init.uniform_(self.vectors.weight, -0.25, 0.25)[0] = 0
        self.vectors.weight.requires_grad_(trained)

    @torch.no_grad()
    def start(self, vectors: Float[Tensor, "word dim"]) -> None:
        """Begin with these; a word whose vector is zero keeps a random one where they are learned, else the zero."""
        if self.vectors.weight.requires_grad:
            vectors = torch.where(vectors.any(dim=1, keepdim=True), vectors, self.vectors.weight)
        self.vectors.weight.copy_(vectors)

    def forward(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text word dim"]:
        """The vector of each word."""
        return self.vectors(ids).masked_fill(~mask[:, :, None], 0)


class TextualSpace(nn.Module):
    """Texts as sequences of segments; images, as a whole, projected in."""

    def __init__(self, config: Any, words: int, image: int) -> None:
        super().__init__()
        self.fixed, self.released = config.text_length, config.variant == "released"
        self.words = Words(words, config.word_dim, config.learns_words)
        self.convolution = WordCNN(config.word_dim, config.kernels, config.maps, config.pools)
        self.sequence = RecurrentAttention(config, self.convolution.dim, config.text_hidden, inner=not self.released)
        self.trunk = trunk_of(config, "whole")
        self.image_scaling = InputScaling(image, config.scaling)
        self.image_layer = nn.Linear(image, config.dim)

    def length(self, words: int) -> int:
        """How many words texts of at most `words` words are brought to."""
        return self.convolution.length(words) if self.fixed is None else self.fixed

    def segments(
        self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]
    ) -> tuple[Float[Tensor, "text segment map"], Bool[Tensor, "text segment"]]:
        """What the LSTM reads, and which of it is real: in the released code all of it, padding included."""
        length = self.length(ids.shape[1])
        missing = max(length - ids.shape[1], 0)
        ids, mask = pad(ids[:, :length], (0, missing)), pad(mask[:, :length], (0, missing))
        words = self.words(ids, mask)
        return self.convolution(words, torch.ones_like(mask) if self.released else mask)

    def texts(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text common"]:
        """t, of unit length."""
        return self.sequence(*self.segments(ids, mask))

    def images(self, seen: Tensor) -> Float[Tensor, "image common"]:
        """q, of unit length, of vectors, or of pictures where a backbone is trained."""
        vectors = seen if self.trunk is None else self.trunk(seen)
        projected = self.image_layer(self.image_scaling(vectors)).float()
        return normalize(projected.sigmoid() if self.released else projected, dim=1)

    def attention(
        self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]
    ) -> Float[Tensor, "text segment"]:
        """The weight of each segment."""
        return self.sequence.attend(*self.segments(ids, mask))

    def word_attention(
        self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]
    ) -> Float[Tensor, "text word"]:
        """The weight of each segment shared equally by the words that it sees; padding's share is left out."""
        weights, count = self.attention(ids, mask), ids.shape[1]
        cover = self.convolution.cover(length := self.length(count)).to(weights)
        real = pad(mask[:, :length], (0, max(length - count, 0))).to(weights)
        seen = real @ cover.T
        shared = (weights / seen.clamp_min(1) * (seen > 0)) @ cover * real
        return pad(shared, (0, max(count - length, 0)))[:, :count]


class TextClassifier(nn.Module):
    """A text as one vector: convolutions of several widths over the words, each with its maximum over the text.

    Kim, "Convolutional neural networks for sentence classification", EMNLP 2014; trained for the classes of the texts.
    """

    def __init__(self, config: Any, words: int, classes: int) -> None:
        super().__init__()
        self.words = Words(words, config.word_dim, config.learns_words)
        self.layers = nn.ModuleList(
            nn.Conv1d(config.word_dim, config.classifier_maps, width) for width in config.classifier_widths
        )
        self.dropout = nn.Dropout(0.5)
        self.classify = nn.Linear(config.classifier_maps * len(self.layers), classes)

    def vectors(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text dim"]:
        """What the classes are told from."""
        words, found = self.words(ids, mask).transpose(1, 2), []
        for layer in self.layers:
            around = layer.kernel_size[0] - 1  # each word at each place of the window, in the shortest text too
            windows = layer(pad(words, (around, around))).relu()
            real = any_of(pad(mask, (around, around)), around + 1, 1)
            found.append(windows.masked_fill(~real[:, None], 0).amax(dim=2))
        return torch.cat(found, dim=1)

    def forward(self, ids: Int[Tensor, "text word"], mask: Bool[Tensor, "text word"]) -> Float[Tensor, "text class_"]:
        """Logits."""
        return self.classify(self.dropout(self.vectors(ids, mask)))


class MCSMNetwork(nn.Module):
    """The spaces that are asked for, with nothing in common, and the word-CNN where that is to see texts as a whole.

    image, text  the length of a vector, or the number of words, in each view, by the setting that names it
    """

    def __init__(self, config: Any, image: Mapping[str, int], text: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.classifier = self.visual = self.textual = None
        if config.spaces != "textual":
            whole = text.get("text_whole")
            if config.text_whole == "cnn":
                self.classifier = TextClassifier(config, text["text_view"], classes)
                whole = self.classifier.classify.in_features
            self.visual = VisualSpace(config, image["image_regions"], whole)
        if config.spaces != "visual":
            self.textual = TextualSpace(config, text["text_view"], image["image_view"])
