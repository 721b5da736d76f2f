"""MCSM measured in both directions: each space's products are made once, and two matrices are all that is held."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.methods.mcsm_fusion import Embedded, Fusion, fuse, fuse_embeddings

BLOCK = {"cpu": 1 << 20, "cuda": 1 << 26}  # scores that are fused at a time; on a CPU they stay in a core's cache


def fuse_both_ways(
    visual: Embedded, textual: Embedded, how: Fusion = "adaptive", weight: float = 0.5
) -> tuple[Float[Tensor, "image text"], Float[Tensor, "image text"]]:
    """`fuse` where images ask and `fuse` where texts do, as `xmrlib.evaluate.report` takes them.

    visual, textual  the same images, (image, dim), and texts, (text, dim), in each space, of unit length for cosines:
                     what `MCSM.embed_images` and `MCSM.embed_texts` give
    how, weight      as in `fuse`

    The results stand where the similarities in the two spaces stood. "rank" must sort whole galleries, and makes the
    products twice. Raises what `fuse_embeddings` raises.

    >>> both = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> for_images, for_texts = fuse_both_ways(both, both)
    >>> for_images
    tensor([[2.0000, 0.0000],
            [0.0000, 1.6000]])
    >>> for_texts
    tensor([[2.0000, 0.0000],
            [0.0000, 1.6000]])
    """
    if how == "rank" or len(visual[0]) != len(textual[0]) or len(visual[1]) != len(textual[1]):
        return tuple(fuse_embeddings(visual, textual, how, weight, axis) for axis in (1, 0))
    v, t = (images @ texts.T for images, texts in (visual, textual))
    # Below some rows of a matrix stand the extremes of its columns, so that r along a column sees what all rows hold.
    v_extremes, t_extremes = (torch.stack([scores.amin(dim=0), scores.amax(dim=0)]) for scores in (v, t))
    step = max(1, BLOCK.get(v.device.type, BLOCK["cpu"]) // v.shape[1])
    for start in range(0, len(v), step):
        part = slice(start, start + step)
        for_images = fuse(v[part], t[part], how, weight, axis=1)
        above = fuse(torch.cat([v[part], v_extremes]), torch.cat([t[part], t_extremes]), how, weight, axis=0)
        v[part], t[part] = for_images, above[:-2]
    return v, t
