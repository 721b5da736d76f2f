"""What CRAN looks at: the weights of words, regions and relations of a picture and its text, to draw and to score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from xmrlib.methods.cran_network import CRANNetwork, Parts
from xmrlib.methods.cran_relations import pairs
from xmrlib.methods.scan import SHORTEST


@dataclass(frozen=True)
class Looks:
    """What was looked at in n pictures, each with its text; None where a level or a form has no such thing.

    words         (n, l) attention over the words at the local level, of "pooled" and "best"; of sum 1, 0 where there is
                  no word
    regions       (n, r) attention over the regions at the local level, of "pooled"
    agreement     (n, l, r) cosine of each word with each region; 0 where there is none
    word_pairs    (n, l, l) at [m, n] the weight of the relation that goes from word m to word n: "grounded": b_mn, else
                  the attention over phrases, which go from their first word to their last, or over words (m = n)
    region_pairs  (n, r, r) at [j, k] the weight of the pair: "grounded": sum_mn b_mn a_mj a_nk, how much the text
                  speaks of it; "pairs" with "pooled": a_jk, the attention of the picture over its own pairs; with
                  "best": the attention of those relations of the text that chose the pair
    held          (n, l, l) of "grounded": between -1 and 1, how far the picture holds what is said of words m and n
    word_mask, region_mask   which words and which regions there are
    """

    words: Float[Tensor, "pair word"] | None
    regions: Float[Tensor, "pair region"] | None
    agreement: Float[Tensor, "pair word region"] | None
    word_pairs: Float[Tensor, "pair word word"] | None
    region_pairs: Float[Tensor, "pair region region"] | None
    held: Float[Tensor, "pair word word"] | None
    word_mask: Bool[Tensor, "pair word"]
    region_mask: Bool[Tensor, "pair region"]


@torch.inference_mode()
def looks(network: CRANNetwork, seen: Parts, read: Parts) -> Looks:
    """What `network` looks at in pictures, each with its text; both as it takes them."""
    _, features, boxes, mask = seen
    ids, word_mask, fragment = read
    found: dict[str, Tensor] = {}
    if network.region_scaling is not None:
        features = network.region_scaling(features).masked_fill(~mask[:, :, None], 0)
    for level in ("local", "relation"):
        if level not in network.levels:
            continue
        encoder, module = network.encoders[network.key(level)], network.levels[level]
        regions = encoder.regions(features, boxes).masked_fill(~mask[:, :, None], 0)
        states = encoder.states(encoder.vectors(ids, word_mask), word_mask).masked_fill(~word_mask[:, :, None], 0)
        if level == "local":
            if module.form != "attended":
                found["words"] = module.attention["text"](states, word_mask)
            if module.form == "pooled":
                found["regions"] = module.attention["image"](regions, mask)
            v, w = (normalize(part.float(), dim=2, eps=SHORTEST) for part in (regions, states))
            found["agreement"] = w @ v.mT
        elif network.config.grounded:
            weights = network.levels["local"].attention["text"](states, word_mask)
            found |= _grounded(module, module.images(regions, boxes, mask), (states, weights, *read))
        else:
            found |= _paired(module, (regions, boxes, mask), states, word_mask)
    names = ("words", "regions", "agreement", "word_pairs", "region_pairs", "held")
    return Looks(*(found[name].cpu() if name in found else None for name in names), word_mask.cpu(), mask.cpu())


def _grounded(module, images: Parts, read: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """One picture at a time: a text meets its own only."""
    _, weights, ids, word_mask, fragment = read
    chosen = module.paired(weights, word_mask, fragment)[0]
    words, a, b, p, gate = module.texts(*read)
    count, length, regions = len(ids), ids.shape[1], images[1].shape[1]
    said, held = torch.zeros(2, count, length, length, device=ids.device).unbind()
    spoken = torch.zeros(count, regions, regions, device=ids.device)
    for row in range(count):
        one = [part[row : row + 1] for part in images]
        alignment = module.alignment(one[0], one[1], words[row : row + 1])
        first, second = chosen[row, a[row]], chosen[row, b[row]]
        there = gate[row] > 0  # a place that is not real stands for the last word: leave it out
        said[row, first[there], second[there]] = gate[row, there]
        own = (part[row : row + 1] for part in (a, b, p))
        held[row, first[there], second[there]] = module.held(alignment, one[2], *own)[0, 0, there].tanh()
        alignment = alignment[0, :, 0]
        spoken[row] = torch.einsum("p,jp,kp->jk", gate[row], alignment[:, a[row]], alignment[:, b[row]])
    return {"word_pairs": said, "held": held, "region_pairs": spoken}


def _paired(module, images: tuple[Tensor, Tensor, Tensor], states: Tensor, word_mask: Tensor) -> dict[str, Tensor]:
    regions, boxes, mask = images
    relations, real = module.of_regions(regions, boxes, mask)
    phrases, there = module.of_words(states, word_mask)
    form, found = module.matching.form, {}
    if form == "attended":
        return found
    asked = module.matching.attention["text"](phrases.masked_fill(~there[:, :, None], 0), there)
    first, last = spans(module.of_words, states.shape[1], states.device)
    found["word_pairs"] = torch.zeros(*word_mask.shape, word_mask.shape[1], device=states.device)
    found["word_pairs"][:, first, last] = asked[:, : len(first)]
    if form == "pooled":
        weights = module.matching.attention["image"](relations.masked_fill(~real[:, :, None], 0), real)
    else:
        rho, pi = (normalize(part.float(), dim=2, eps=SHORTEST) for part in (relations, phrases))
        best = (rho @ pi.mT).masked_fill(~real[:, :, None], -torch.inf).argmax(dim=1)
        # In a picture without any pair the best one is the first place, where there is nothing.
        weights = torch.zeros(real.shape, device=states.device).scatter_add_(1, best, asked) * real
    j, k = pairs(regions.shape[1], states.device)
    found["region_pairs"] = torch.zeros(*mask.shape, mask.shape[1], device=states.device)
    found["region_pairs"][:, j, k] = weights[:, : len(j)]
    return found


def spans(module, words: int, device: torch.device) -> tuple[Int[Tensor, " relation"], Int[Tensor, " relation"]]:
    """The first and the last word of each relation of a text of so many words, in the order of `TextRelations`."""
    if module.form == "words":
        place = torch.arange(words, device=device)
        return place, place
    if module.form == "phrases":
        lengths = [layer.kernel_size[0] - 1 for layer in module.layers if layer.kernel_size[0] <= words]
    else:
        lengths = list(range(1, min(module.reach, words - 1) + 1))
    first = [place for length in lengths for place in range(words - length)]
    last = [place + length for length in lengths for place in range(words - length)]
    return torch.tensor(first, device=device, dtype=torch.long), torch.tensor(last, device=device, dtype=torch.long)
