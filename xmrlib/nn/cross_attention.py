"""Cross attention between regions and words: a score for every image with every text (Lee et al., ECCV 2018).

In direction "t2i" each word w asks and the regions v_k answer: its weights a_k over them make its context
c = sum_k a_k v_k, its score is the cosine of w and c, and the scores of all words are pooled. In "i2t" regions ask.
There is a context for each word of each text with each image. None is formed here, for the cosine needs two numbers:

    w . c  =  sum_k a_k (w . v_k)                from the affinities, which the weights are made of anyway
    |c|^2  =  sum_k sum_l a_k a_l (v_k . v_l)    from the Gram matrix of the regions, one an image

That halves the arithmetic and moves little through memory. It pays while fewer items answer than there are dimensions,
and many ask; elsewhere the contexts are formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, reduce
from itertools import repeat
from math import ceil
from typing import Literal, NamedTuple, get_args

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import hardshrink, leaky_relu

from xmrlib.nn.sets import Sets, check_sets, chunks, may_look, without_padding
from xmrlib.nn.tiles import MEMORY, block_size, gram_pays, precise, tile_size

Direction = Literal["t2i", "i2t", "both"]
Normalisation = Literal["clipped_l2norm", "l2norm", "clipped", "no_norm"]
Pooling = Literal["lse", "mean", "max", "top"]

# As in the released code: added to norms of affinities, and the least product of two lengths in a cosine.
EPSILON = 1e-8
LAMBDAS = {"t2i": (9.0, 6.0), "i2t": (4.0, 5.0)}  # the released code's lambda_softmax and lambda_lse


class _Options(NamedTuple):
    direction: Direction
    normalisation: Normalisation
    lambda_softmax: float | None
    above_average_only: bool
    pooling: Pooling = "mean"
    lambda_lse: float | None = None
    top: int | float = 1

    def one_way(self, direction: Direction) -> _Options:
        softmax, lse = LAMBDAS[direction]
        softmax = softmax if self.lambda_softmax is None else self.lambda_softmax
        lse = lse if self.lambda_lse is None else self.lambda_lse
        return self._replace(direction=direction, lambda_softmax=softmax, lambda_lse=lse)


def cross_attention_scores(
    regions: Float[Tensor, "image region dim"],
    words: Float[Tensor, "text word dim"],
    region_mask: Bool[Tensor, "image region"] | None = None,
    word_mask: Bool[Tensor, "text word"] | None = None,
    *,
    direction: Direction = "t2i",
    normalisation: Normalisation = "clipped_l2norm",
    lambda_softmax: float | None = None,
    above_average_only: bool = False,
    pooling: Pooling = "lse",
    lambda_lse: float | None = None,
    top: int | float = 2 / 3,
    memory: int | None = None,
    compiled: bool = False,
) -> Float[Tensor, "image text"]:
    """The score of every image with every text by attention between regions and words, differentiable in both.

    regions, region_mask  (image, region, dim), and True where a region is real; None where all are
    words, word_mask      (text, word, dim), and True where a word is real; None where all are
    direction             "t2i": words ask, regions answer; "i2t": regions ask, words answer; "both": the sum of the two
    normalisation         of the affinities of one answering item with all that ask: "clipped_l2norm" (leaky rectifier
                          of slope 0.1, then unit length), "l2norm", "clipped" or "no_norm"
    lambda_softmax        inverse temperature of the soft-max over the answering items; by default 9 (t2i), 4 (i2t)
    above_average_only    set weights of at most 1 / (number of answering items) to zero, leave the rest as it is
    pooling               of the cosines: "lse" (log-sum-exp), "mean", "max" or "top" (the mean of the best)
    lambda_lse            factor inside the log-sum-exp; by default 6 (t2i), 5 (i2t)
    top                   for "top": how many (int), or the fraction of the asking items, rounded up (float)
    memory                bytes a tile works in (8 MB, on a GPU 1 GB); what tiles share may take four times that
    compiled              let `torch.compile` fuse the passes over a tile: no gain on a CPU, some on a GPU

    Padding has no influence, whatever it holds, NaN included. Affinities are inner products: cosines, as in the paper,
    if the features have unit length. All after them is in float32 at least, under autocast too. With gradients about 16
    bytes stay for each region with each word of each pair (40 MB for 64 images of 36 regions with 64 texts of 17
    words). The sum for |c|^2 loses digits where items nearly cancel: if c is f times shorter than what it mixes, its
    cosine is off by up to about f^2 times the precision of the numbers (1e-7 in float32).

    Raises `ValueError` for shapes that do not fit, unknown names, factors out of range, an image without a region and a
    text without a word. With gradients on a GPU the last is not looked for, lest the host wait: it scores NaN or -inf.

    Source: Lee et al. 2018, Section 3.1, equations 1 to 6 for "i2t"; "t2i" exchanges the roles. The paper clips
    affinities at zero, its code with the leaky rectifier, as here. `above_average_only` and the mean of the best two
    thirds are from the code of MAVA (Peng et al. 2020).

    >>> regions = torch.tensor([[[1., 0.], [0., 1.]], [[1., 0.], [1., 0.]]])
    >>> words = torch.tensor([[[1., 0.], [1., 0.]], [[0., 1.], [9., 9.]]])
    >>> real = torch.tensor([[True, True], [True, False]])
    >>> cross_attention_scores(regions, words, word_mask=real, lambda_softmax=100.0, pooling="mean")
    tensor([[1., 1.],
            [1., 0.]])
    """
    images, texts = (regions, region_mask), (words, word_mask)
    options = _Options(direction, normalisation, lambda_softmax, above_average_only, pooling, lambda_lse, top)
    _check(images, texts, options, memory)
    ways = ("t2i", "i2t") if direction == "both" else (direction,)
    return reduce(torch.add, (_scores(images, texts, options.one_way(way), memory, compiled) for way in ways))


def cross_attention_weights(
    regions: Float[Tensor, "pair region dim"],
    words: Float[Tensor, "pair word dim"],
    region_mask: Bool[Tensor, "pair region"] | None = None,
    word_mask: Bool[Tensor, "pair word"] | None = None,
    *,
    direction: Literal["t2i", "i2t"] = "t2i",
    normalisation: Normalisation = "clipped_l2norm",
    lambda_softmax: float | None = None,
    above_average_only: bool = False,
) -> Float[Tensor, "pair word region"]:
    """Where each word of a text looks in its image ("t2i"), or each region in its text ("i2t"): the weights, to show.

    The arguments are those of `cross_attention_scores`, one text an image. Padding gets zero and gives zero.

    Raises `ValueError` as `cross_attention_scores` does, and for other than one text an image.

    Source: Lee et al. 2018, Section 3.1, equation 3.

    >>> cross_attention_weights(torch.eye(2)[None], torch.eye(2)[None], lambda_softmax=9999.0)
    tensor([[[1., 0.],
             [0., 1.]]])
    """
    images, texts = (regions, region_mask), (words, word_mask)
    options = _Options(direction, normalisation, lambda_softmax, above_average_only)
    _check(images, texts, options)
    if direction == "both" or len(regions) != len(words):
        given = f"direction={direction!r}, {len(regions)} images, {len(words)} texts"
        raise ValueError(f"{given}: weights belong to one direction and to as many texts as images.")
    (answers, answers_mask), (asks, asks_mask) = (images, texts) if direction == "t2i" else (texts, images)
    answers, asks = without_padding(answers, answers_mask), without_padding(asks, asks_mask)
    affinity = einsum(answers, asks, "pair answer dim, pair ask dim -> pair answer ask").to(precise(answers))
    weights = _weights(affinity[..., None], answers_mask, options.one_way(direction))[..., 0]
    weights = weights if asks_mask is None else weights.masked_fill(~asks_mask[:, None], 0)
    return rearrange(weights, "pair region word -> pair word region") if direction == "t2i" else weights


class _Answering(NamedTuple):
    """A block of contexts: which they are, their items in rows, and the tiles that it is cut into."""

    which: Tensor  # context
    items: Tensor  # (context answer) dim
    tiles: list[tuple[Tensor, Tensor, Tensor | None, Tensor | None]]  # which, answers, mask, Gram matrices


class _Asking(NamedTuple):
    """A chunk of queries: which they are, their items in rows, how long each is, and True where one is real or None."""

    which: Tensor  # query
    axes: str  # how items lie: "ask query", or "query ask" if queries are few, for sums run best through long rows
    items: Tensor  # (axes) dim
    lengths: Tensor  # axes
    mask: Tensor | None  # query ask


def _scores(images: Sets, texts: Sets, options: _Options, memory: int | None, compiled: bool) -> Tensor:
    """(image text) scores in one direction, tile by tile: the items of `queries` ask, those of `contexts` answer."""
    contexts, queries = (images, texts) if options.direction == "t2i" else (texts, images)
    device, dtype = contexts[0].device, precise(contexts[0])
    by_gram = gram_pays(contexts[0], queries[0])
    memory = MEMORY.get(device.type, MEMORY["cpu"]) if memory is None else memory
    width, height = tile_size(contexts[0], queries[0], memory, by_gram)
    block = block_size(contexts[0], queries[0], memory, width, height)
    blocks = _kept(partial(_answering, contexts, block, width, by_gram), contexts, memory)
    asking = _kept(partial(_asking, queries, height), queries, memory)
    score_tile = _compiled_tile() if compiled else _score_tile
    scores = torch.empty(len(contexts[0]), len(queries[0]), dtype=dtype, device=device)
    # Each block meets each chunk. What the inner loop goes through is made anew at each turn of the outer one.
    if queries[0].nbytes * len(contexts[0]) / block <= contexts[0].nbytes * len(queries[0]) / height:
        meetings = ((answers, asks) for answers in blocks() for asks in asking())
    else:
        meetings = ((answers, asks) for asks in asking() for answers in blocks())
    for answers, asks in meetings:
        # Equation 1, one product for all tiles of a block: many rows at once take half the time that few take.
        axes = f"(context answer) ({asks.axes}) -> context answer {asks.axes}"
        affinity = rearrange(answers.items @ asks.items.T, axes, context=len(answers.which), query=len(asks.which))
        for (rows, *tile), part in zip(answers.tiles, affinity.split(width), strict=True):
            part = part[:, : tile[0].shape[1]]
            scores[rows[:, None], asks.which] = score_tile(part, *tile, asks.axes, asks.lengths, asks.mask, options)
    return scores if options.direction == "t2i" else scores.T


def _kept(make: Callable[[], Iterator], sets: Sets, memory: int) -> Callable[[], Iterable]:
    """`make`, or what it once made: with gradients, or if there is little; else there is no second copy of the sets."""
    if not torch.is_grad_enabled() and sets[0].nbytes > memory:
        return make
    made = list(make())
    return lambda: made


def _answering(contexts: Sets, block: int, width: int, by_gram: bool) -> Iterator[_Answering]:
    """The contexts, `block` at a time, in tiles of `width`, each as long as its longest context."""
    for which, (answers, mask) in chunks(contexts, block):
        items, gram = rearrange(answers, "context answer dim -> (context answer) dim"), None
        if by_gram:
            with torch.autocast(answers.device.type, enabled=False):
                gram = answers.to(precise(answers)) @ answers.to(precise(answers)).mT
        parts = [repeat(None) if part is None else part.split(width) for part in (answers, mask, gram)]
        yield _Answering(which, items, [_cut(*tile) for tile in zip(which.split(width), *parts, strict=False)])


def _cut(which: Tensor, answers: Tensor, mask: Tensor | None, gram: Tensor | None) -> tuple:
    """A tile without what is padding in all its contexts, where that may be looked at: real items come first then."""
    if mask is None or not may_look(mask):
        return which, answers, mask, gram
    longest = int(mask.sum(dim=1).max())
    gram = None if gram is None else gram[:, :longest, :longest]
    return which, answers[:, :longest], _needed(mask[:, :longest]), gram


def _asking(queries: Sets, height: int) -> Iterator[_Asking]:
    """The queries, `height` at a time."""
    for which, (asks, mask) in chunks(queries, height):
        axes = "ask query" if asks.shape[1] <= len(which) else "query ask"
        lengths = rearrange(asks.to(precise(asks)).norm(dim=2), f"query ask -> {axes}")
        yield _Asking(which, axes, rearrange(asks, f"query ask dim -> ({axes}) dim"), lengths, _needed(mask))


def _needed(mask: Tensor | None) -> Tensor | None:
    """None in place of a mask by which everything is real, where that may be looked at."""
    return None if mask is None or (may_look(mask) and bool(mask.all())) else mask


def _score_tile(
    affinity: Tensor,
    answers: Tensor,
    answers_mask: Tensor | None,
    gram: Tensor | None,
    axes: str,
    lengths: Tensor,
    asks_mask: Tensor | None,
    options: _Options,
) -> Tensor:
    """(context query) scores of some contexts with some queries; without `gram`, the plain way.

    All between is (context answer `axes`), see `_Asking`. Equations: Lee et al. 2018.
    """
    with torch.autocast(affinity.device.type, enabled=False):
        affinity, answers = affinity.to(precise(affinity)), answers.to(precise(answers))
        weights = _weights(affinity, answers_mask, options, ask=2 + axes.split().index("ask"))
        # Equation 4: w . c and |c|. With the Gram matrix, the context c of equation 2 is not formed.
        inner = (weights * affinity).sum(dim=1)
        if gram is None:
            context = einsum(weights, answers, f"context answer {axes}, context answer dim -> context {axes} dim")
            length = context.norm(dim=3)
        else:
            mixture = einsum(gram, weights, f"context answer other, context other {axes} -> context answer {axes}")
            length = _root((weights * mixture).sum(dim=1))
        cosines = inner / (length * lengths).clamp(min=EPSILON)
        return _pooled(rearrange(cosines, f"context {axes} -> context ask query"), asks_mask, options)


@cache
def _compiled_tile():
    return torch.compile(_score_tile, dynamic=True)


def _weights(affinity: Tensor, answers_mask: Tensor | None, options: _Options, ask: int = 2) -> Tensor:
    """The weights (context answer . .) of what asks, along axis `ask`, over what answers, from their affinities."""
    # Below equation 1: clipped, and of unit length over the items that ask.
    logits = leaky_relu(affinity, 0.1) if options.normalisation.startswith("clipped") else affinity
    scale = options.lambda_softmax
    if options.normalisation.endswith("l2norm"):
        scale = scale / (_root(logits.square().sum(dim=ask, keepdim=True)) + EPSILON)
    logits, count = logits * scale, affinity.shape[1]
    if answers_mask is not None:
        answers_mask = rearrange(answers_mask, "context answer -> context answer 1 1")
        logits, count = logits + torch.where(answers_mask, 0.0, -torch.inf), answers_mask.sum(dim=1, keepdim=True)
    weights = logits.softmax(dim=1)  # equation 3
    if not options.above_average_only:
        return weights
    if answers_mask is None:
        return hardshrink(weights, 1 / count)
    # By a factor of 0 or 1: a comparison takes three times as long.
    return weights * (weights.detach() - 1 / count).sign_().clamp_(min=0)


def _pooled(cosines: Tensor, asks_mask: Tensor | None, options: _Options) -> Tensor:
    """(context query) scores from the cosines (context ask query) of the items that ask."""
    real = torch.ones_like(cosines[0], dtype=torch.bool) if asks_mask is None else asks_mask.T
    count = real.sum(dim=0)
    if options.pooling == "mean":  # equation 6
        return cosines.masked_fill(~real, 0).sum(dim=1) / count
    cosines = cosines.masked_fill(~real, -torch.inf)
    if options.pooling == "lse":  # equation 5
        return (options.lambda_lse * cosines).logsumexp(dim=1) / options.lambda_lse
    if options.pooling == "max":
        return cosines.amax(dim=1)
    # A thousandth of an item is rounding: two thirds of 36 are 24.
    top = options.top
    if asks_mask is None:
        most = cosines.shape[1]
        most = min(most, top) if isinstance(top, int) else max(1, ceil(top * most - 1e-3))
        return cosines.topk(most, dim=1, sorted=False).values.mean(dim=1)  # a tenth of the time of sorting
    kept = count.clamp(max=top) if isinstance(top, int) else (top * count - 1e-3).ceil().clamp(min=1)
    place = torch.arange(cosines.shape[1], device=cosines.device)
    best = cosines.sort(dim=1, descending=True).values
    return best.masked_fill(place[:, None] >= kept, 0).sum(dim=1) / kept


def _root(square: Tensor) -> Tensor:
    """The square root. What rounding put below zero counts as zero, and the slope there is zero, not infinite."""
    return square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()


def _check(images: Sets, texts: Sets, options: _Options, memory: int | None = None) -> None:
    check_sets(*images, "image", "region")
    check_sets(*texts, "text", "word")
    if (width := images[0].shape[2]) != texts[0].shape[2]:
        raise ValueError(f"regions have {width} dimensions, words {texts[0].shape[2]}; map both into one space.")
    for name, known in (("direction", Direction), ("normalisation", Normalisation), ("pooling", Pooling)):
        if (value := getattr(options, name)) not in get_args(known):
            raise ValueError(f"{name}={value!r} is unknown; choose from {', '.join(get_args(known))}.")
    softmax, lse, top = options.one_way("t2i").lambda_softmax, options.one_way("t2i").lambda_lse, options.top
    if not (softmax >= 0 and lse > 0):
        raise ValueError(f"lambda_softmax={softmax} must be at least 0, and lambda_lse={lse} more than 0.")
    if not (top >= 1 if isinstance(top, int) else 0 < top <= 1):
        raise ValueError(f"top={top}: give a number of items from 1, or a fraction above 0.0 and up to 1.0.")
    if memory is not None and memory < 1:
        raise ValueError(f"memory={memory} bytes hold nothing; the default on a CPU is {MEMORY['cpu']}.")
