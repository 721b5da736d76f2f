"""What CRAN must be told; see `cran.py` for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from xmrlib.methods.base import Measure
from xmrlib.methods.network import NetworkConfig
from xmrlib.methods.sides import Kind

Level = Literal["global", "local", "relation"]
LEVELS: tuple[Level, ...] = get_args(Level)
Matching = Literal["pooled", "best", "attended"]
Wrong = Literal["hardest", "sum", "random", "softmax"]


@dataclass(frozen=True)
class CRANConfig(NetworkConfig):
    """What CRAN must be told; the defaults are the sizes that papers of its time have (see DEVIATIONS).

    image_view, image_regions   the views of images as wholes and as regions. image_view="regions": the mean of the
                   regions stands for the whole, for data that bring nothing else
    backbone, regions_backbone  the networks behind the two; regions_backbone=None: the same one
    most_regions   keep so many regions of a picture at most, the first ones: a detector's surest. None: all
    levels         which of "global", "local" and "relation" there are
    weights        of the levels in the sum, in this order; "validation" chooses them on the validation split
    joint          True: one training, words and regions encoded once for all levels. False: one training a level, each
                   with encoders of its own
    matching       of local and relation: "pooled" (attention makes one vector of all), "best" (each word takes its best
                   region, attention over words adds up) or "attended" (regions attend to words, the better of their
                   cosines count, as in MAVA)
    lambda_softmax, top   of "attended": inverse temperature of the attention over words; how many cosines count, a
                   number (int) or a share of them (float)
    relation       "pairs": relations of regions and of words are encoded and matched; "grounded": pairs of words look
                   for their regions by the local level, what lies between the words is compared with how the regions
                   lie. The second is an extension of CRAN, and goes with "pooled" and "best"
    text_relations of "pairs": "phrases" (convolutions over words), "words", or "pairs" (of words at most `reach` apart)
    geometry       where boxes enter: "relation", "local" (absolute places), "both" or "none"
    place_scale    of absolute places, less a half: 4 brings their spread to about 1, that of scaled features. As they
                   are, they drown beside a thousand inputs
    ordered, linear_pairs   whether (j, k) and (k, j) differ; without the rectifier, rho = A v_j + B v_k + G g_jk
    attention      switch: without, the mean over what is there
    recurrence     what reads the words: "lstm" or "gru", in both directions, or None: each word by itself, so that the
                   local level does not know their order, and twins' texts are one to it
    sentence       a text as a whole: "cnn" (Kim 2014) or the "mean" of its words' states
    sentence_widths, sentence_maps, phrase_widths   of the convolutions over words
    word_dim, dim  length of a word's vector, which is learned, and of the common spaces
    content_words, word_pairs   of "grounded": so many words of a text, the most attended, are paired within their
                   sentence; so many pairs are kept
    predicate_dim  of "grounded": length of the vectors by which words and places are compared
    dropout        on the features of regions and wholes, and on word vectors
    scaling        of the features: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    negatives      the wrong partners in a batch: the "hardest", a "random" one, the "sum" over all; or "softmax": all,
                   by cross entropy with a learned temperature
    margin         alpha, for all but "softmax"
    twins_together scenes that are twins come in one batch, so that each has a wrong partner that differs in arrangement
                   only; nothing changes for data without twins
    lower_after, clip   the learning rate falls to a tenth after every so many epochs; the largest norm of the gradient
    """

    text_view: str = "tokens"
    epochs: int = 30
    batch: int = 100
    learning_rate: float = 2e-4
    choose_by: Measure = "recall"
    image_regions: str = "regions"
    regions_backbone: str | None = None
    most_regions: int | None = None
    levels: tuple[Level, ...] = LEVELS
    weights: tuple[float, ...] | Literal["validation"] = (1.0, 1.0, 1.0)
    joint: bool = True
    matching: Matching = "pooled"
    lambda_softmax: float = 4.0
    top: int | float = 2 / 3
    relation: Literal["pairs", "grounded"] = "pairs"
    text_relations: Literal["phrases", "words", "pairs"] = "phrases"
    reach: int = 5
    geometry: Literal["relation", "local", "both", "none"] = "relation"
    place_scale: float = 4.0
    ordered: bool = True
    linear_pairs: bool = False
    attention: bool = True
    recurrence: Literal["lstm", "gru"] | None = "lstm"
    sentence: Literal["cnn", "mean"] = "cnn"
    sentence_widths: tuple[int, ...] = (3, 4, 5)
    sentence_maps: int = 100
    phrase_widths: tuple[int, ...] = (2, 3)
    word_dim: int = 300
    dim: int = 1024
    content_words: int = 6
    word_pairs: int = 8
    predicate_dim: int = 32
    dropout: float = 0.0
    scaling: Literal["none", "unit", "standard"] = "none"
    negatives: Wrong = "hardest"
    margin: float = 0.2
    twins_together: bool = True
    lower_after: int = 15
    clip: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("levels", "sentence_widths", "phrase_widths"):  # out of a file they come as lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not isinstance(self.weights, str):
            object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        self._check_names()
        sizes = "lambda_softmax top reach sentence_maps word_dim dim content_words word_pairs predicate_dim margin"
        for name in (*sizes.split(), "place_scale", "lower_after", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.most_regions is not None and self.most_regions < 1:
            raise ValueError(f"most_regions={self.most_regions}: give at least 1, or None for all.")
        for name in ("sentence_widths", "phrase_widths"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least one width, each from 1.")
        if isinstance(self.top, float) and self.top > 1:
            raise ValueError(f"top={self.top}: give a number of regions (int), or a share of them up to 1.0.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is outside [0, 1).")
        self._check_levels()

    def _check_names(self) -> None:
        for name, allowed in (
            ("matching", get_args(Matching)),
            ("relation", ("pairs", "grounded")),
            ("text_relations", ("phrases", "words", "pairs")),
            ("geometry", ("relation", "local", "both", "none")),
            ("recurrence", ("lstm", "gru", None)),
            ("sentence", ("cnn", "mean")),
            ("scaling", ("none", "unit", "standard")),
            ("negatives", get_args(Wrong)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, allowed))}.")

    def _check_levels(self) -> None:
        strange = [level for level in self.levels if level not in LEVELS]
        if strange or not self.levels or len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels={self.levels} must be one or more of {', '.join(LEVELS)}, each once.")
        object.__setattr__(self, "levels", tuple(level for level in LEVELS if level in self.levels))
        if self.weights != "validation" and (
            isinstance(self.weights, str) or len(self.weights) != 3 or min(self.weights) < 0
        ):
            raise ValueError(
                f'weights={self.weights!r}: give three numbers from 0, for {", ".join(LEVELS)}, or "validation".'
            )
        if self.weights != "validation" and not any(self.weight_of(level) for level in self.levels):
            raise ValueError(f"weights={self.weights} leave nothing of levels={self.levels}.")
        if self.grounded and "local" not in self.levels:
            raise ValueError(
                'relation="grounded" reads the alignment of the local level, which is not in '
                f'levels={self.levels}. Add "local", with weight 0 if it is not to count, or set relation="pairs".'
            )
        if self.grounded and self.matching == "attended":
            raise ValueError(
                'relation="grounded" pairs the words that the local level attends to most, and matching="attended" '
                'learns no attention over words. Set matching="best" or "pooled", or relation="pairs".'
            )
        if self.grounded and self.geometry in ("none", "local") and not self.ordered:
            raise ValueError('relation="grounded" without geometry has nothing that could be unordered.')
        if self.grounded and self.linear_pairs:
            raise ValueError('linear_pairs belongs to relation="pairs"; relation="grounded" has no such layer.')

    @property
    def grounded(self) -> bool:
        """Whether there is a relation level, and it is the grounded one."""
        return "relation" in self.levels and self.relation == "grounded"

    def weight_of(self, level: Level) -> float:
        """The weight of a level that is not left to the validation split."""
        return self.weights[LEVELS.index(level)]

    @property
    def looks_at_regions(self) -> bool:
        """Whether any level sees regions."""
        return self.levels != ("global",)

    @property
    def places(self) -> bool:
        """Whether anything that is built reads boxes."""
        by_pair = self.geometry in ("relation", "both") and "relation" in self.levels
        return by_pair or (self.geometry in ("local", "both") and self.looks_at_regions)

    @property
    def image_kinds(self) -> dict[str, Kind]:
        """The views of images that the levels look at, by the setting that names each."""
        whole = {"image_view": "vector"} if "global" in self.levels and self.image_view != "regions" else {}
        regions = {"image_regions": "regions"} if self.looks_at_regions or not whole else {}
        return whole | regions

    @classmethod
    def paper(cls, **settings: Any) -> CRANConfig:
        """VGG-19 for wholes, a detector for 5 regions, 1,024 dimensions: as far as the paper is known."""
        return cls(**{"backbone": "vgg19", "regions_backbone": "fasterrcnn", "most_regions": 5} | settings)

    @classmethod
    def small(cls, **settings: Any) -> CRANConfig:
        """The sizes of the book on a laptop, with the grounded relation level: an extension, see DEVIATIONS.

        relation "grounded" brings matching "best" and no recurrence; each of them may be set otherwise.
        """
        sizes = {"word_dim": 64, "dim": 64, "predicate_dim": 16, "sentence_maps": 64, "batch": 64, "epochs": 15}
        how = {"learning_rate": 6e-3, "lower_after": 11, "dropout": 0.3, "scaling": "standard", "negatives": "softmax"}
        if settings.get("relation", "grounded") == "grounded":
            how |= {"relation": "grounded", "matching": "best", "recurrence": None}
        return cls(**sizes | how | settings)
