"""What MCSM must be told; see `mcsm.py` for the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from xmrlib.methods.mcsm_fusion import WEIGHED, Fusion
from xmrlib.methods.mcsm_network import field_of
from xmrlib.methods.mcsm_training import Wrong
from xmrlib.methods.network import NetworkConfig
from xmrlib.methods.pictures import VIEWS, check_trunk
from xmrlib.methods.sides import Kind

SPACES = ("visual", "textual")


@dataclass(frozen=True)
class MCSMConfig(NetworkConfig):
    """What MCSM must be told; the defaults are the released code's sizes, for long texts.

    variant        "paper", or "released" with the quirks of the code (see DEVIATIONS)
    spaces         "both", "visual" or "textual"
    image_regions, image_view   the views of images as sequences and as wholes
    backbone_rate  learning rate of the backbone, of which each space then trains a copy of its own, on pictures of
                   `backbone_size` pixels a side; None: it is fixed, and its features are computed once
    text_view, text_whole, text_whole_options   the same of texts; text_whole="cnn" trains a word-CNN for the classes
    text_length    cut and fill up texts to so many words; None: as they come. The released variant needs a number, for
                   there padding counts
    kernels, maps, pools        of the convolutions over words, one number a layer; () for none. For captions and short
                   descriptions (3, 3) and pools (2, 2) are enough
    word_dim, word_vectors, word_training   length of a word's vector; where it begins: "random", "ppmi" (fitted on the
                   training texts), "glove" or a file, None: random where it is trained, else ppmi; whether it is
                   trained, None: in the paper variant
    image_hidden, text_hidden, layers, dim   units of the LSTMs, their layers, and the length of an embedding
    attention, recurrence       switches: without, the mean over the steps; no LSTM
    dropout        between the LSTM's layers, on its output, and in the attention
    scaling        of vectors and regions: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    margin         alpha
    negatives      the wrong partner: a "random" one of the batch, or the "hardest"
    differ_in      what makes it wrong: another "class", another "image"; "auto": class, where there are labels
    positives      the right one: of the "pair", or any of the "class"; "auto": of the pair, but in the released textual
                   space of the class
    fusion, weight see `mcsm_fusion.fuse`; weight="validation" chooses it on the validation split
    classifier_widths, classifier_maps, classifier_epochs, classifier_rate   of the word-CNN
    """

    text_view: str = "tokens"
    epochs: int = 185
    batch: int = 40
    learning_rate: float = 1e-4
    variant: Literal["paper", "released"] = "paper"
    spaces: Literal["both", "visual", "textual"] = "both"
    image_regions: str = "grid"
    backbone_rate: float | None = None
    backbone_size: int = 224
    text_whole: str = "tfidf"
    text_whole_options: dict[str, Any] = field(default_factory=dict)
    text_length: int | None = None
    kernels: tuple[int, ...] = (15, 9, 7)
    maps: tuple[int, ...] = (384, 512, 256)
    pools: tuple[int, ...] = (5, 5, 6)
    word_dim: int = 300
    word_vectors: str | None = None
    word_training: bool | None = None
    image_hidden: int = 512
    text_hidden: int = 256
    layers: int = 2
    dim: int = 4096
    attention: bool = True
    recurrence: bool = True
    dropout: float = 0.5
    scaling: Literal["none", "unit", "standard"] = "none"
    margin: float = 0.5
    negatives: Wrong = "random"
    differ_in: Literal["auto", "class", "image"] = "auto"
    positives: Literal["auto", "pair", "class"] = "auto"
    fusion: Fusion = "adaptive"
    weight: float | Literal["validation"] = 0.5
    classifier_widths: tuple[int, ...] = (3, 4, 5)
    classifier_maps: int = 100
    classifier_epochs: int = 20
    classifier_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernels", "maps", "pools", "classifier_widths"):  # out of a file they come as lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, allowed in (
            ("variant", ("paper", "released")),
            ("spaces", ("both", *SPACES)),
            ("scaling", ("none", "unit", "standard")),
            ("negatives", ("random", "hardest")),
            ("differ_in", ("auto", "class", "image")),
            ("positives", ("auto", "pair", "class")),
            ("fusion", get_args(Fusion)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, allowed))}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is outside [0, 1).")
        sizes = "word_dim image_hidden text_hidden layers dim margin classifier_maps classifier_epochs classifier_rate"
        for name in sizes.split():
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        self._check_words()
        check_trunk(self, {name: VIEWS[kind] for name, kind in self.image_kinds.items()})
        if self.weight != "validation" and (isinstance(self.weight, str) or not 0 <= self.weight <= 1):
            raise ValueError(f'weight={self.weight!r} is neither between 0 and 1 nor "validation".')
        if self.weight != 0.5 and self.fusion not in WEIGHED:
            raise ValueError(f"the fusion {self.fusion!r} has no weight; leave weight={self.weight!r} out.")
        if self.spaces != "both" and (self.fusion, self.weight) != ("adaptive", 0.5):
            raise ValueError(
                f"fusion={self.fusion!r} and weight={self.weight!r} belong to two spaces, and spaces={self.spaces!r} "
                'is one. Set spaces to "both", or leave them out.'
            )
        if self.differ_in == "image" and "class" in map(self.positives_in, self.spaces_built):
            raise ValueError(
                "where any image of a class is right, one of another image cannot be wrong: set differ_in to "
                '"class", or positives to "pair".'
            )

    def _check_words(self) -> None:
        if not len(self.kernels) == len(self.maps) == len(self.pools):
            counts = f"{len(self.kernels)} kernels, {len(self.maps)} maps and {len(self.pools)} pools"
            raise ValueError(f"a convolution has one number each, and there are {counts}. Give as many of each.")
        for name in ("kernels", "maps", "pools", "classifier_widths"):
            if any(size < 1 for size in getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)}: every size must be at least 1.")
        if not self.classifier_widths:
            raise ValueError("classifier_widths=() leaves the word-CNN without a layer; give at least one width.")
        if self.learns_words is False and self.vectors_from == "random":
            raise ValueError(
                'word_training=False with word_vectors="random" gives words that mean nothing. Train them, or begin '
                'with "ppmi", "glove" or a file.'
            )
        if "textual" not in self.spaces_built:
            return
        least = field_of(self.kernels, self.pools)
        if self.text_length is not None and self.text_length < least:
            raise ValueError(
                f"text_length={self.text_length}: these kernels and pools need at least {least} words. Set it to "
                f"{least} or more, or take smaller ones."
            )
        if self.variant == "released" and self.text_length is None:
            raise ValueError(
                'in variant="released" the padding counts, so that all texts must have one length. Set text_length, '
                "for instance to the words of the longest."
            )

    @property
    def spaces_built(self) -> tuple[str, ...]:
        """The spaces that there are."""
        return SPACES if self.spaces == "both" else (self.spaces,)

    @property
    def learns_words(self) -> bool:
        """Whether word vectors are trained."""
        return self.variant == "paper" if self.word_training is None else self.word_training

    @property
    def vectors_from(self) -> str:
        """Where word vectors begin."""
        return self.word_vectors or ("random" if self.learns_words else "ppmi")

    def positives_in(self, space: str) -> Literal["pair", "class"]:
        """What is right in a space: the pair, or any of the class."""
        if self.positives != "auto":
            return self.positives
        return "class" if self.variant == "released" and space == "textual" else "pair"

    @property
    def uses_of_labels(self) -> list[str]:
        """What needs a class for every image, and how to do without."""
        found = []
        if "visual" in self.spaces_built and self.text_whole == "cnn":
            found.append('text_whole="cnn" (a view such as "tfidf" needs none)')
        if "class" in map(self.positives_in, self.spaces_built):
            found.append('right partners by class (positives="pair" needs none)')
        if self.differ_in == "class":
            found.append('differ_in="class" ("image" needs none)')
        return found

    def seen(self, space: str, side: str) -> str:
        """The setting that names what a space sees of a side, "image" or "text"."""
        if side == "image":
            return "image_regions" if space == "visual" else "image_view"
        return "text_whole" if space == "visual" and self.text_whole != "cnn" else "text_view"

    @property
    def image_kinds(self) -> dict[str, Kind]:
        """The views of images that the spaces look at, by the setting that names each."""
        return {self.seen(space, "image"): "regions" if space == "visual" else "vector" for space in self.spaces_built}

    @property
    def text_kinds(self) -> dict[str, Kind]:
        """The same of texts; a word-CNN reads the words."""
        settings = [self.seen(space, "text") for space in self.spaces_built]
        return {setting: "tokens" if setting == "text_view" else "vector" for setting in settings}

    @classmethod
    def paper(cls, **settings: Any) -> MCSMConfig:
        """The sizes of the code for Wikipedia: articles of up to 2,904 words, 10,000 steps on its 2,173 pairs."""
        return cls(**{"backbone": "vgg19", "text_whole": "cnn", "text_length": 2904} | settings)

    @classmethod
    def small(cls, **settings: Any) -> MCSMConfig:
        """The sizes of the book on a laptop, for descriptions of some sentences: short trainings on few pairs.

        So the paper variant draws its right partners from the class in both spaces, lets word vectors begin at what the
        training texts say of their company, and has LSTMs of one layer. `positives="pair"` needs no classes.
        """
        sizes = {"dim": 256, "image_hidden": 64, "text_hidden": 128, "word_dim": 64, "batch": 64, "epochs": 10}
        words = {"kernels": (3,), "maps": (128,), "pools": (2,), "word_vectors": "ppmi", "classifier_epochs": 10}
        how = {"learning_rate": 1e-3, "scaling": "standard", "dropout": 0.3}
        if settings.get("variant") == "released":
            how |= {"text_length": 100}
        else:
            how |= {"layers": 1, "positives": "class"}
        return cls(**sizes | words | how | settings)
