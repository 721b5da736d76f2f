"""What CM-GANs must be told; see `cmgans.py` for the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from xmrlib.methods.network import NetworkConfig
from xmrlib.methods.pictures import check_trunk
from xmrlib.methods.sides import Kind


@dataclass(frozen=True)
class CMGANsConfig(NetworkConfig):
    """What CM-GANs must be told; the defaults are the released code's sizes, fewer epochs apart.

    variant        "paper", or "released" with the quirks of the code (see DEVIATIONS)
    encoder        what h is: "features", a vector of each side as it comes; "words", texts through a word-CNN that is
                   trained with the rest (text_view="tokens"); "conv", images through a convolution over their cells
                   (image_view="grid") as well
    backbone_rate  with "conv": learning rate of the backbone, which then is a part of the generator and sees pictures
                   of `backbone_size` pixels a side. image_view="whole" takes its vector in place of the convolution
                   over cells: of VGG-19, fc7, which is h in the paper. None: it is fixed, its cells are computed once
    scaling        of vectors and cells: "none", "unit" length, or "standard" (mean 0 and variance 1 a column)
    word_dim, word_vectors, text_widths, text_maps   of the word-CNN: length of a word's vector; where it begins,
                   "random", "ppmi" (fitted on the training texts), "glove" or a file; the words that each convolution
                   sees, and its maps
    image_maps     maps of the convolution over cells
    hidden, dim    units of each first layer, of encoder and decoder, and of the common representation s
    inter_hidden   units of the discriminators between the modalities
    dropout        the share of h that an encoder does not get to see in training
    sharing        the last layer of the encoders: "weights", one for both sides; "start", two that begin equal; "none";
                   "auto": weights in the paper variant, start in the released one
    classifier     of the classes in s: each side's "own", as in the code, or one for both, "shared"
    intra, inter   weights of the discriminators within a modality and between the two; 0 leaves them out
    semantic       weight of the classes of s; 0 leaves them out
    reconstruction weight of the mean squared difference of r and h; 0 leaves it out
    mismatch       the wrong s shown to a discriminator between the modalities: beside the right h, "condition"; beside
                   the h that it was made from, "pair"; "none"; "auto": condition in the paper variant, pair in the
                   released one
    labelled       so many training images, those of `train.sample(labelled, seed)`, show their classes; None: all. What
                   is wrong then differs in the image
    differ_in      what makes it wrong: another "class", another "image"; "auto": class, where there are labels
    sampling       a batch: of "pairs" in random order, each once an epoch; or a random pair of a random class for each
                   place, "classes"; "auto": pairs in the paper variant, classes in the released one
    discriminator_steps, generator_steps   moves of each discriminator, then of each generator, on one batch
    game           "non-saturating": generators climb log D; "minimax": they descend log(1 - D)
    halve_after    epochs after which the learning rate halves, again and again
    label_smoothing  one-sided: where something is right, discriminators are asked for so much less than 1
    spectral_norm  in all layers of the discriminators
    r1             weight of the squared gradients of the discriminators where something is right, over 2
    compare        what retrieval compares: s, "common"; or the probabilities of its "classes"
    standardise    bring each dimension of s to mean 0 and variance 1 on the training pairs before the cosine
    """

    epochs: int = 100
    batch: int = 64
    learning_rate: float = 1e-3
    variant: Literal["paper", "released"] = "paper"
    encoder: Literal["features", "words", "conv"] = "features"
    backbone_rate: float | None = None
    backbone_size: int = 224
    scaling: Literal["none", "unit", "standard"] = "none"
    word_dim: int = 300
    word_vectors: str = "random"
    text_widths: tuple[int, ...] = (3, 4, 5)
    text_maps: int = 100
    image_maps: int = 1024
    hidden: int = 1024
    dim: int = 1024
    inter_hidden: int = 512
    dropout: float = 0.0
    sharing: Literal["auto", "weights", "start", "none"] = "auto"
    classifier: Literal["own", "shared"] = "own"
    intra: float = 1.0
    inter: float = 1.0
    semantic: float = 1.0
    reconstruction: float = 0.0
    mismatch: Literal["auto", "condition", "pair", "none"] = "auto"
    labelled: int | None = None
    differ_in: Literal["auto", "class", "image"] = "auto"
    sampling: Literal["auto", "pairs", "classes"] = "auto"
    discriminator_steps: int = 1
    generator_steps: int = 5
    game: Literal["non-saturating", "minimax"] = "non-saturating"
    halve_after: int = 100
    label_smoothing: float = 0.0
    spectral_norm: bool = False
    r1: float = 0.0
    compare: Literal["common", "classes"] = "common"
    standardise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "text_widths", tuple(self.text_widths))  # out of a file it comes as a list
        for name, allowed in (
            ("variant", ("paper", "released")),
            ("encoder", ("features", "words", "conv")),
            ("scaling", ("none", "unit", "standard")),
            ("sharing", ("auto", "weights", "start", "none")),
            ("classifier", ("own", "shared")),
            ("mismatch", ("auto", "condition", "pair", "none")),
            ("differ_in", ("auto", "class", "image")),
            ("sampling", ("auto", "pairs", "classes")),
            ("game", ("non-saturating", "minimax")),
            ("compare", ("common", "classes")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, allowed))}.")
        sizes = "word_dim text_maps image_maps hidden dim inter_hidden"
        for name in f"{sizes} discriminator_steps generator_steps halve_after".split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        for name in ("intra", "inter", "semantic", "reconstruction", "r1"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more, and finite.")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is outside [0, 1).")
        if not self.text_widths or min(self.text_widths) < 1:
            raise ValueError(f"text_widths={self.text_widths}: give at least one width, and none below 1.")
        if self.batch < 2:
            raise ValueError(f"batch={self.batch} leaves batch norm nothing to average; set 2 or more.")
        if self.backbone_rate is not None and self.encoder != "conv":
            raise ValueError(
                f"backbone_rate={self.backbone_rate} trains the backbone, and encoder={self.encoder!r} takes its "
                'features as they come. Set encoder="conv", or leave backbone_rate out.'
            )
        check_trunk(self, {"image_view": "whole" if self.image_view == "whole" else "grid"})
        if self.labelled is not None:
            if self.labelled < 1:
                raise ValueError(f"labelled={self.labelled} must be at least 1, or None for all.")
            if self.differ_in == "class" or self.draws == "classes":
                raise ValueError(
                    f"labelled={self.labelled} leaves most classes unknown, so that nothing can be drawn by them: set "
                    'differ_in to "image", and sampling to "pairs".'
                )
        self._check_losses()

    def _check_losses(self) -> None:
        if not (self.intra or self.inter or self.semantic or self.reconstruction):
            raise ValueError("intra, inter, semantic and reconstruction are all 0, so that there is no loss; set one.")
        if not (self.intra or self.inter):
            for name, usual in (("label_smoothing", 0.0), ("spectral_norm", False), ("r1", 0.0)):
                if getattr(self, name) != usual:
                    raise ValueError(
                        f"{name}={getattr(self, name)} belongs to discriminators, and intra=0 and inter=0 leave none."
                    )
        if self.compare == "classes" and not self.semantic:
            raise ValueError('compare="classes" needs classes of s, and semantic=0 leaves them out; set it above 0.')
        if self.draws == "classes" and self.differ_in == "image":
            raise ValueError(
                'sampling by classes puts two classes in every place of a batch, and differ_in="image" asks for less. '
                'Set sampling="pairs", or leave differ_in out.'
            )

    @property
    def image_kind(self) -> Kind | dict[str, Kind]:
        """What the image side gives: a vector, or cells; a mapping where it gives pictures for a backbone."""
        if self.backbone_rate is None:
            return "regions" if self.encoder == "conv" else "vector"
        return {"image_view": "vector" if self.image_view == "whole" else "regions"}

    @property
    def shares(self) -> Literal["weights", "start", "none"]:
        """What the last layers of the encoders share."""
        return self._auto("sharing", "weights", "start")

    @property
    def mismatches(self) -> Literal["condition", "pair", "none"]:
        """What a wrong common representation stands beside."""
        return self._auto("mismatch", "condition", "pair")

    @property
    def draws(self) -> Literal["pairs", "classes"]:
        """What the places of a batch are filled from."""
        return self._auto("sampling", "pairs", "classes")

    def _auto(self, name: str, paper: Any, released: Any) -> Any:
        set_to = getattr(self, name)
        return set_to if set_to != "auto" else paper if self.variant == "paper" else released

    @property
    def uses_of_labels(self) -> list[str]:
        """What needs a class for every image, and how to do without."""
        found = ["the classes of s (semantic=0 leaves them out)"] if self.semantic else []
        if self.draws == "classes":
            found.append('sampling by classes (sampling="pairs" needs none)')
        if self.differ_in == "class":
            found.append('differ_in="class" ("image" needs none)')
        return found

    @classmethod
    def paper(cls, **settings: Any) -> CMGANsConfig:
        """VGG-19's 4,096 numbers a picture, a word-CNN of 300 maps (released: 300 fixed numbers a text), 2,000 epochs.

        An epoch of the code is 13 batches, on Pascal Sentence's 800 pairs.
        """
        if settings.get("variant") == "released":
            sizes: dict[str, Any] = {"text_options": {"dim": 300}}
        else:
            sizes = {"encoder": "words", "text_view": "tokens"}
        return cls(**{"epochs": 2000, "backbone": "vgg19"} | sizes | settings)

    @classmethod
    def small(cls, **settings: Any) -> CMGANsConfig:
        """The sizes of the book on a laptop: fewer units, and one move of a generator for one of a discriminator.

        Spectral norm keeps the discriminators from running away, without which neither side learns much from them.
        The encoders "words" and "conv" come with the views that they look at; "conv" takes some times as long an epoch,
        and gets fewer.
        """
        sizes = {"hidden": 256, "dim": 64, "inter_hidden": 128, "word_dim": 64, "image_maps": 256}
        how = {"epochs": 20, "halve_after": 7, "generator_steps": 1, "scaling": "standard", "word_vectors": "ppmi"}
        how |= {"dropout": 0.3, "spectral_norm": bool(settings.get("intra", 1) or settings.get("inter", 1))}
        if settings.get("encoder", "features") != "features":
            how |= {"text_view": "tokens"}
        if settings.get("encoder") == "conv":
            how |= {"image_view": "grid", "epochs": 8}
            how |= {"backbone_size": 96} if settings.get("backbone_rate") else {}
        return cls(**sizes | how | settings)
