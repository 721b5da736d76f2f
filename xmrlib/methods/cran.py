"""CRAN: a picture and a sentence compared as wholes, by regions and words, and by the relations among these.

Qi, Peng and Yuan, "Cross-media multi-level alignment with relation attention network", IJCAI 2018, arXiv:1804.09539.
No code was released, and what is known of the paper leaves sizes and some forms open: this is a reconstruction, built
in the paper's style with what its successor MAVA shows (see DEVIATIONS). Each level has a similarity,

    global     g_i . g_t                                          of the whole picture, and of a sentence vector
    local      (sum_j a_j v_j) . (sum_m a_m w_m)                  regions, and words; a by attention
    relation   (sum_jk a_jk rho_jk) . (sum_r a_r pi_r)            rho_jk = W_2 ReLU(A v_j + B v_k + G g_jk), j != k;
                                                                  pi_r = ReLU of convolutions over words

all vectors of unit length, and a ranking loss of its own; their sum ranks. `matching` and `relation` of the
configuration give other forms, among them a relation level that is grounded in the local one: an extension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xmrlib.data.pairs import DataError, Images, Pairs
from xmrlib.features.sequences import TokenIds
from xmrlib.features.views import Regions, windows
from xmrlib.methods.base import retrieval_score
from xmrlib.methods.cran_config import CRANConfig, Level
from xmrlib.methods.cran_looks import Looks, looks
from xmrlib.methods.cran_network import CRANNetwork, Parts
from xmrlib.methods.cran_training import cran_stages
from xmrlib.methods.network import BATCH, NetworkConfig, NetworkMethod
from xmrlib.methods.pair_network import PairTable
from xmrlib.methods.several import Several, SeveralImages
from xmrlib.methods.sides import ImageInput, ImageSide, Kind, TextInput, TextSide, Views
from xmrlib.stages import Run, Stage

DEVIATIONS = (
    # what, paper, released code, here
    ("the whole", "read in excerpts only; no tables", "none", "a reconstruction, in the style of CRAN"),
    ("levels and their sum", "global, local, relation; summed", "none", "the same; `weights`"),
    (
        "regions",
        "Faster R-CNN with VGG-16 (from memory)",
        "none",
        "the view `regions`: true boxes, windows, or Faster R-CNN with ResNet-50 and a feature pyramid",
    ),
    ("regions a picture", "5 (from memory)", "none", "`paper()`: the same; else all, or `most_regions`"),
    (
        "relations of regions",
        "pairs, concatenated",
        "none",
        "ordered pairs with how they lie; `linear_pairs`, `geometry`",
    ),
    (
        "relations of words",
        "phrases by convolution (from memory)",
        "none",
        "`text_relations`: the same, words, or pairs",
    ),
    ("sentence vector", "not known", "none", "`sentence`: a word-CNN, or the mean of word states"),
    ("matching", "not known; MAVA attends from regions to words", "none", "`matching`: pooled; best; as MAVA"),
    ("levels in training", "not known; MAVA trains three models", "none", "`joint`: one training, or one a level"),
    (
        "loss",
        "ranking at every level; margin not known",
        "none",
        ".2; `negatives`: hardest, all, random, or a soft-max",
    ),
    ("grounded relations", "none", "none", "an extension: pairs of words look for their regions by the local level"),
    ("twins in a batch", "no such data", "none", "together, as negatives: `twins_together`"),
    ("two sentences of one picture in a batch", "not known", "none", "no negatives of one another"),
    ("choice of the epoch", "not known", "none", "best on validation, where there is such a split"),
)

PAIRS_MEMORY = 1 << 27  # bytes that the pairs of regions of some images may take


class RegionSide(ImageSide):
    """Regions with their places: where data bring features "regions" and, beside them, "boxes" and a "mask".

    most  keep so many regions of a picture at most, the first; None: all
    """

    most: int | None = None

    @classmethod
    def of(cls, side: ImageSide, most: int | None) -> Self:
        """The same side."""
        found = cls(side.view, side.backbone, side.kind, side.dim)
        found.fingerprint, found.most = side.fingerprint, most
        return found

    def features(self, images: ImageInput) -> Regions:
        """The regions of a table of images, of pictures, or of features that are there already."""
        found = super().features(images)
        given = images.given if isinstance(images, Images) else {}
        own = isinstance(given.get(self.view), Tensor)
        boxes = given["boxes"].float() if own and "boxes" in given else laid_out(self.view, found)
        mask = given["mask"].bool() if own and "mask" in given else found.mask
        found = Regions(*(part[:, : self.most] for part in (found.features, boxes, mask)))
        broken = (~found.boxes.isfinite().all(dim=2) & found.mask).any(dim=1)
        wrong = (broken | ~found.mask.any(dim=1)).nonzero()
        if len(wrong):
            row = int(wrong[0])
            name = repr(images.ids[row]) if isinstance(images, Images) else row
            if broken[row]:
                raise DataError(f'"boxes" of image {name} hold NaN or infinity for a region that is real: mask it.')
            raise DataError(f"the image view {self.view!r}: the mask leaves image {name} no region. Leave it out.")
        return replace(found, boxes=found.boxes.nan_to_num(0, 0, 0))  # of padding


def with_places(sides: SeveralImages, most: int | None) -> SeveralImages:
    """The same sides, whose regions know their places; at most so many of a picture."""
    return SeveralImages(tuple(RegionSide.of(side, most) if side.kind == "regions" else side for side in sides.sides))


class CRAN(NetworkMethod):
    """Relation attention and multi-level alignment; learns from pairs alone. It scores pairs, and cannot be indexed."""

    Config: ClassVar[type[NetworkConfig]] = CRANConfig
    text_kind: Kind = "tokens"

    def __init__(self, config: CRANConfig | None = None) -> None:
        super().__init__(config)
        self._partner: np.ndarray | None = None
        self._weights: dict[str, float] = {}

    @property
    def image_kind(self) -> dict[str, Kind]:
        """The whole and the regions, as far as the levels look at them."""
        return self.config.image_kinds

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(self, train: Pairs, val: Pairs | None = None, run: Run | None = None) -> Self:
        """Learn every level from `train`. facts: `weights` of the levels, and `validation_score` of their sum."""
        super().fit(train, val, run)
        self.facts |= self._chosen
        return self

    def _fitted_sides(self, train: Pairs, val: Pairs | None) -> tuple[SeveralImages, TextSide]:
        config = self.config
        if config.weights == "validation" and val is None:
            raise DataError(
                "the weights of the levels are to be chosen on a validation split, and there is none. Call "
                "fit(train, val=...), or set weights=(1, 1, 1)."
            )
        if len(np.unique(train.image_of_text)) < 2:
            raise DataError(f"all texts of {train.name} are of one image, so that no pair is wrong; give at least 2.")
        self._partner = partners(train) if config.twins_together else None
        if self._partner is not None and config.batch < 2:
            raise DataError(
                f"batch={config.batch}, and scenes that are twins come in one batch: set it to 2 or more, or "
                "twins_together to False."
            )
        backbones = {"image_view": config.backbone, "image_regions": config.regions_backbone or config.backbone}
        sides = tuple(ImageSide(getattr(config, name), backbones[name], kind) for name, kind in self.image_kind.items())
        text_side = TextSide(config.text_view, config.text_options, self.text_kind)
        return with_places(SeveralImages(sides), config.most_regions).fit(train.images), text_side.fit(train.texts)

    @classmethod
    def load(cls, path: str | Path, config: CRANConfig | None = None) -> Self:
        """The model saved at `path`; see `Method.load`."""
        model = super().load(path, config)
        model.image_side = with_places(model.image_side, model.config.most_regions)
        return model

    def _build(self, sizes: dict[str, Any]) -> CRANNetwork:
        image = dict(zip(self.image_kind, sizes["image"], strict=True))
        return CRANNetwork(self.config, image, sizes["text"])

    def _stages(self, network: CRANNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        """One training of all levels, or one a level; then the weights of the sum."""
        images = self._seen(train.images)
        whole, features, _, mask = images
        if network.whole_scaling is not None:
            network.whole_scaling.fit(whole)
        if network.region_scaling is not None and self.config.scaling == "standard":  # a copy of all of them
            network.region_scaling.fit(features[mask])
        table = PairTable(images, self._read(train.texts), train.image_of_text)
        measure = None if val is None else lambda levels: self._value(network, val, levels)
        yield from cran_stages(network, table, self._partner, measure)
        self._choose(network, val)

    def _value(self, network: CRANNetwork, val: Views, levels: Sequence[Level]) -> float:
        """What the sum of some levels scores on the validation split; levels of weight 0 count as 1 by themselves."""
        found = self._level_scores(network, val.images, val.texts, levels)
        return retrieval_score(weighed(found, self._given(levels)), val, self.config.choose_by)

    def _given(self, levels: Sequence[Level]) -> dict[str, float]:
        """The weights of some levels while they are trained: those that are set, or equal ones."""
        config = self.config
        weights = {level: 1.0 if config.weights == "validation" else config.weight_of(level) for level in levels}
        return weights if any(weights.values()) else dict.fromkeys(levels, 1.0)

    def _choose(self, network: CRANNetwork, val: Views | None) -> None:
        """The weights of the sum: as set, or the best of `STEPS` a level on the validation split."""
        weights, score = self._given(self.config.levels), None
        if val is not None:
            found = self._level_scores(network, val.images, val.texts, self.config.levels)
            candidates = [weights]
            if self.config.weights == "validation":
                others = product(STEPS, repeat=len(weights) - 1)
                candidates += [dict(zip(weights, (1.0, *rest), strict=True)) for rest in others]
            values = [retrieval_score(weighed(found, w), val, self.config.choose_by) for w in candidates]
            score = max(values)
            weights = candidates[values.index(score)]
        self._chosen = {"weights": weights} | ({} if score is None else {"validation_score": score})

    # -- what the network takes -------------------------------------------------------------------------------------

    def _seen(self, images: Several) -> Parts:
        """The tensors of images that the network takes: whole, features, boxes and mask of regions; empty if unused."""
        views = dict(zip(self.image_kind, images.views, strict=True))
        count = len(images)
        whole = views.get("image_view", torch.zeros(count, 0))
        if "image_regions" not in views:
            return whole, torch.zeros(count, 0, 0), torch.zeros(count, 0, 4), torch.zeros(count, 0, dtype=torch.bool)
        regions: Regions = views["image_regions"]
        whole_picture = torch.tensor([0.0, 0.0, 1.0, 1.0])
        if self.config.places and regions.mask.shape[1] > 1 and bool((regions.boxes == whole_picture).all()):
            raise DataError(
                f"the image view {self.config.image_regions!r} brings no boxes, and geometry={self.config.geometry!r} "
                'is made of them. Give "boxes" (n, r, 4) beside the features, or set geometry="none".'
            )
        return whole, regions.features, regions.boxes, regions.mask

    @staticmethod
    def _read(texts: TokenIds) -> Parts:
        return texts.ids, texts.mask, texts.fragment

    # -- comparing --------------------------------------------------------------------------------------------------

    def similarity(self, images: Pairs | ImageInput, texts: TextInput | None = None) -> Float[Tensor, "image text"]:
        """(n, m) weighted sum of the levels for every image with every text; a `Pairs` stands for both its sides."""
        return weighed(self.level_scores(images, texts), self.facts["weights"])

    def level_scores(
        self, images: Pairs | ImageInput, texts: TextInput | None = None
    ) -> dict[Level, Float[Tensor, "image text"]]:
        """(n, m) similarity at each level."""
        self._require_fitted()
        images, texts = self._sides(images, texts)
        seen, read = self.image_side.features(images), self.text_side.features(texts)
        return self._level_scores(self.network, seen, read, self.config.levels)

    def looks(self, images: Pairs | ImageInput, texts: TextInput | None = None) -> Looks:
        """What is looked at in pictures, each with its text: give as many texts as images, or `Pairs` of such."""
        self._require_fitted()
        images, texts = self._sides(images, texts)
        seen, read = self._seen(self.image_side.features(images)), self._read(self.text_side.features(texts))
        if len(seen[1]) != len(read[0]):
            raise ValueError(f"{len(seen[1])} images and {len(read[0])} texts: give each image one text.")
        if "local" not in self.network.levels and "relation" not in self.network.levels:
            raise ValueError(f"levels={self.config.levels}: only the local and the relation level look at parts.")
        device = next(self.network.parameters()).device
        return looks(self.network, *(tuple(part.to(device) for part in parts) for parts in (seen, read)))

    def _level_scores(
        self, network: CRANNetwork, images: Several, texts: TokenIds, levels: Sequence[Level]
    ) -> dict[Level, Float[Tensor, "image text"]]:
        """Texts are encoded once and kept; images are encoded some at a time, and meet all texts."""
        device = next(network.parameters()).device
        seen, read = self._seen(images), self._read(texts)
        with torch.inference_mode():
            kept = [
                network.texts(*(part.to(device) for part in chunk), levels)
                for chunk in zip(*(part.split(BATCH) for part in read), strict=True)
            ]
            step = BATCH
            if "relation" in levels:  # pairs of regions are many
                regions = max(seen[1].shape[1], 2)
                each = 4 * regions * (regions if self.config.grounded else regions - 1) * self.config.dim
                step = max(1, min(BATCH, PAIRS_MEMORY // each))
            rows: list[dict[str, Tensor]] = []
            for chunk in zip(*(part.split(step) for part in seen), strict=True):
                found = network.images(*(part.to(device) for part in chunk), levels)
                scores = [network.scores(found, part) for part in kept]
                rows.append({name: torch.cat([s[name].float().cpu() for s in scores], dim=1) for name in levels})
        return {name: torch.cat([row[name] for row in rows]) for name in levels}


STEPS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # weights that "validation" tries, the first level's being 1


def weighed(
    scores: dict[Level, Float[Tensor, "image text"]], weights: dict[Level, float]
) -> Float[Tensor, "image text"]:
    """The weighted sum of the levels."""
    return sum(weights[name] * scores[name] for name in scores)


def partners(pairs: Pairs) -> Int[np.ndarray, " text"] | None:
    """The row of the text of each text's twin, -1 for none; None for data without twins, or with several texts each."""
    from xmrlib.evaluate import twin_rows

    if pairs.truth is None or len(pairs.texts) != len(pairs):
        return None
    twin = twin_rows(pairs)
    if twin is None or (twin < 0).all():
        return None
    text_of_image = np.argsort(pairs.image_of_text)
    own = twin[pairs.image_of_text]
    return np.where(own < 0, -1, text_of_image[own])


def laid_out(view: str, regions: Regions) -> Float[Tensor, "image region 4"]:
    """The boxes of regions; those of a grid, and of patches, are the same in every picture."""
    count = regions.mask.shape[1]
    if view == "grid" and int(count**0.5) ** 2 == count:
        side = int(count**0.5)
        y, x = (place.reshape(-1) / side for place in np.indices((side, side)))
        boxes = np.stack([x, y, x + 1 / side, y + 1 / side], axis=1)
    elif view == "patches" and count in (5, 10):
        boxes = windows({5: "five", 10: "ten"}[count])
    else:
        return regions.boxes
    return torch.from_numpy(boxes).float().expand(len(regions), -1, -1)
