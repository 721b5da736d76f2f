"""MCSM: two spaces, one for what is special to images and one for what is special to texts, and a fusion of both.

Peng, Qi and Yuan, "Modality-specific cross-modal similarity measurement with recurrent attention network", IEEE
Transactions on Image Processing 2018, arXiv:1708.04776. In its own space a side is a sequence (regions of a picture,
segments of a text), which an LSTM reads; the other side, as a whole, is projected in:

    H = W LSTM(x) + b,  a = softmax_j(w_a . tanh(W_a h_j + b_a))     attention over regions, or over segments
    sim(i, t) = (sum_j a_j h_j) . q,  q the other side               both of unit length here, as in the code

For each pair n of a batch, with one wrong partner drawn for each side, each space learns by itself

    L = 1/Z sum_n [alpha - sim(i_n, t_n) + sim(i_n, t_n')]+  +  [alpha - sim(i_n, t_n) + sim(i_n'', t_n)]+

V and T, the similarities in the visual and in the textual space, are fused as r(T) V + r(V) T; see `mcsm_fusion.py`.
Which of this is the paper's and which the code's: `DEVIATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError, Pairs
from xmrlib.features.sequences import Tokens
from xmrlib.methods.base import retrieval_score
from xmrlib.methods.mcsm_config import SPACES, MCSMConfig
from xmrlib.methods.mcsm_fusion import Embedded, best_weight, fuse_embeddings, typical_bounds
from xmrlib.methods.mcsm_network import MCSMNetwork
from xmrlib.methods.mcsm_training import RankingTable, classifier_stage, space_stage, starting_vectors
from xmrlib.methods.network import NetworkConfig, parts_of, through
from xmrlib.methods.pictures import PictureMethod, before_training
from xmrlib.methods.several import Several, SeveralImages, SeveralTexts
from xmrlib.methods.sides import ImageInput, Kind, TextInput, Views
from xmrlib.stages import Run, Stage

# What the released evaluation does, and this library does not: of the weights 0, .01, ..., 1 it reports the one that is
# best on the test set. It lets r look along the texts, also where texts ask.
AUTHORS_PROTOCOL = {"weight": "test", "axis": "texts"}

DEVIATIONS = (
    # what, paper, released code, here
    ("W_a in the textual space", "there", "left out", "paper: there; released: left out"),
    ("bias of the energies", "not in the equation", "there, without effect", "left out"),
    ("nonlinearity of what is projected in", "not known", "sigmoid on images", "released: the same; paper: none"),
    ("sign in the loss", "+ sim of the right, as one report has it", "- sim of the right", "-"),
    ("right partner in the textual space", "its own", "a random image of its class", "`positives`; as in each"),
    ("wrong partners", "not known", "random, of another class", "`negatives`: random, or the hardest; `differ_in`"),
    ("Z", "not known", "B; in the visual space B squared", "released: the same; paper: B"),
    ("padding of texts", "not known", "takes part in everything", "released: the same; paper: masked throughout"),
    (
        "texts of other lengths",
        "not known",
        "2,904 words",
        "`kernels`, `maps`, `pools`, `text_length`; or no convolution",
    ),
    ("word vectors", "word2vec", "word2vec, fixed", "`word_vectors`, `word_training`; released: fixed"),
    ("text as a whole", "a word-CNN", "300 numbers from a file", '`text_whole`: a view, or "cnn", trained here first'),
    (
        "initial weights",
        "not known",
        "uniform, 1 / root of a layer's inputs",
        "released: the same; paper: LSTM by its units",
    ),
    ("optimiser", "not known", "RMSprop, decay .99", "released: the same; paper: Adam"),
    ("batches", "not known", "10,000, each drawn afresh", "epochs: every pair once, in random order"),
    ("batch norm's first weights", "not known", "uniform in [0, 1] (Torch7, from memory)", "1"),
    (
        "network below",
        "VGG-19",
        "its outputs, fixed",
        "the same; or trained with each space, `backbone_rate`, its batch norm and dropout as in use",
    ),
    ("axis of r", "not known", "texts, whoever asks", "released: the same; paper: what the query ranks, or `facts`"),
    ("weight of the fusion", "none", "the best of 101 on the test set", "1/2, or the best of 21 on validation"),
    ("choice of the epoch", "not known", "the last of 10,000 steps", "best on validation, where there is such a split"),
)

SAMPLE = 1000  # training images by which the two spaces are calibrated where there is no validation split


class MCSM(PictureMethod):
    """Modality-specific similarities: two spaces, each with recurrent attention, and their adaptive fusion.

    It scores pairs. Each space embeds for itself, so that what a side contributes is computed once; the fused score of
    a pair is no product of two vectors, so that it can re-rank but not be indexed.
    """

    Config: ClassVar[type[NetworkConfig]] = MCSMConfig

    def __init__(self, config: MCSMConfig | None = None) -> None:
        super().__init__(config)
        self._chosen: dict[str, Any] = {}
        self._word_vectors: Tensor | None = None

    @property
    def image_kind(self) -> dict[str, Kind]:
        """The regions and the whole, as far as the spaces look at them."""
        return self.config.image_kinds

    @property
    def text_kind(self) -> dict[str, Kind]:
        """The whole and the words, as far as the spaces look at them."""
        return self.config.text_kinds

    @property
    def needs_labels(self) -> bool:
        """Whether there must be a class for every image."""
        return bool(self.config.uses_of_labels)

    # -- learning ---------------------------------------------------------------------------------------------------

    def fit(self, train: Pairs, val: Pairs | None = None, run: Run | None = None) -> Self:
        """Learn both spaces from `train`, one after the other, and what the fusion needs to know.

        facts: `bounds`, the least and the largest similarity of a query in each space, on the validation split where
        there is one, else on training pairs; `weight` of the fusion; `spaces`, what each scored at its best epoch.
        """
        super().fit(train, val, run)
        best: dict[str, Any] = {}
        for line in self.history:
            space = line["stage"].removesuffix(" space")
            if line.get("best") and space in SPACES:
                best[space] = {"validation_score": line["validation"], "epoch": line["epoch"]}
        self.facts |= {"spaces": best} | self._chosen
        return self

    def _fitted_sides(self, train: Pairs, val: Pairs | None) -> tuple[SeveralImages, SeveralTexts]:
        config, uses = self.config, self.config.uses_of_labels
        if train.labels is None and uses:
            raise DataError(f"{train.name} has no labels, and classes are needed for {' and for '.join(uses)}.")
        if self._level(train.labels) == "class" and len(set(train.labels.tolist())) < 2:
            raise DataError(
                f"all {len(train)} images of {train.name} carry class {train.labels[0]}, so that no partner is wrong; "
                'MCSM needs at least 2 classes. Set differ_in="image" and positives="pair" to learn from pairs alone.'
            )
        if config.weight == "validation" and val is None:
            raise DataError(
                "weight is to be chosen on a validation split, and there is none. Call fit(train, val=...), or set "
                "a number such as .5."
            )
        self._chosen, self._word_vectors = {}, None
        sides = super()._fitted_sides(train, val)
        encoders = [side.encoder for side in sides[1].sides if isinstance(side.encoder, Tokens)]
        for encoder in encoders:
            self._word_vectors = starting_vectors(
                config.vectors_from, train.texts, encoder.words_, config.word_dim, encoder.min_count
            )
        return sides

    def _level(self, labels: Any) -> Literal["class", "image"]:
        """What a wrong partner must differ in."""
        if self.config.differ_in != "auto":
            return self.config.differ_in
        return "image" if labels is None else "class"

    def _build(self, sizes: dict[str, Any]) -> MCSMNetwork:
        image, text = (
            dict(zip(kinds, sizes[side], strict=True))
            for side, kinds in (("image", self.image_kind), ("text", self.text_kind))
        )
        return MCSMNetwork(self.config, image, text, sizes["classes"])

    def _stages(self, network: MCSMNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        """The word-CNN where texts as a whole are seen by one, then each space by itself."""
        config, level = self.config, self._level(train.labels)
        if self._word_vectors is not None:
            for module in (network.classifier, network.textual):
                if module is not None:
                    module.words.start(self._word_vectors)
        if network.classifier is not None:
            told = None
            if val is not None and val.labels is not None:
                told = (self._view("text_view", val.texts), val.text_labels)
            yield classifier_stage(
                config, network.classifier, self._view("text_view", train.texts), train.text_labels, told
            )
        for name in config.spaces_built:
            space = getattr(network, name)
            images, texts = (self._seen(network, name, side, train) for side in ("image", "text"))
            seen = before_training(space, space.trunk, images)
            if name == "visual":
                space.region_scaling.fit(seen)
                space.text_scaling.fit(texts)
            else:
                space.image_scaling.fit(seen)
            table = RankingTable(
                parts_of(images),
                parts_of(texts),
                train.image_of_text,
                train.text_labels,
                level,
                config.positives_in(name),
                train.labels,
            )
            yield space_stage(config, name, space, table, self._measure_of(network, name, val))
        if config.spaces == "both":
            self._calibrate(network, train, val)

    def _measure_of(self, network: MCSMNetwork, name: str, val: Views | None) -> Any:
        """What a space by itself scores on the validation split."""
        if val is None:
            return None
        space = getattr(network, name)
        images, texts = (self._seen(network, name, side, val) for side in ("image", "text"))

        def measure() -> float:
            scores = through(space, space.images, images) @ through(space, space.texts, texts).T
            return retrieval_score(scores, val, self.config.choose_by)

        return measure

    def _view(self, setting: str, items: Several) -> Any:
        """One view, by the setting that names it."""
        kinds = self.image_kind if setting.startswith("image") else self.text_kind
        return items.views[list(kinds).index(setting)]

    def _seen(self, network: MCSMNetwork, name: str, side: str, views: Views) -> Any:
        """What a space learns from, or is measured on: texts as a whole have gone through the word-CNN already."""
        items = self._view(self.config.seen(name, side), views.images if side == "image" else views.texts)
        if (side, name) == ("text", "visual") and network.classifier is not None:
            return through(network.classifier, network.classifier.vectors, items)
        return items

    def _calibrate(self, network: MCSMNetwork, train: Views, val: Views | None) -> None:
        """Choose what the fusion needs: the bounds of each space, and a weight that is to be chosen."""
        config = self.config
        if val is None:
            few = train.image_of_text < SAMPLE
            images, texts = train.images[:SAMPLE], train.texts[few]
        else:
            images, texts = val.images, val.texts
        embedded = self._both_sides(network, images, texts)
        visual, textual = (found[0] @ found[1].T for found in embedded.values())
        bounds = {name: list(typical_bounds(scores)) for name, scores in zip(SPACES, (visual, textual), strict=True)}
        weight = config.weight
        if weight == "validation":
            weight = best_weight(visual, textual, val, config.fusion, self._axes, config.choose_by)
        self._chosen = {"bounds": bounds, "weight": weight}
        if val is not None:
            fused = self._fused(embedded, None, self._chosen)
            self._chosen["validation_score"] = retrieval_score(fused, val, config.choose_by)

    # -- comparing --------------------------------------------------------------------------------------------------

    @property
    def _axes(self) -> tuple[int, int]:
        """Along which r looks where images ask, and where texts do."""
        return (1, 1) if self.config.variant == "released" else (1, 0)

    def _embedded(self, network: MCSMNetwork, name: str, side: str, items: Several) -> Float[Tensor, "item common"]:
        space = getattr(network, name)
        forward = space.images if side == "image" else space.texts
        if (side, name) == ("text", "visual") and network.classifier is not None:
            whole = space.texts
            forward = lambda ids, mask: whole(network.classifier.vectors(ids, mask))  # noqa: E731
        return through(space, forward, self._view(self.config.seen(name, side), items))

    def _both_sides(self, network: MCSMNetwork, images: Several, texts: Several) -> dict[str, Embedded]:
        """Images and texts in each space: each item goes through each network once."""
        sides = (("image", images), ("text", texts))
        return {
            name: tuple(self._embedded(network, name, side, items) for side, items in sides)
            for name in self.config.spaces_built
        }

    def _found(self, images: Pairs | ImageInput, texts: TextInput | None) -> dict[str, Embedded]:
        self._require_fitted()
        images, texts = self._sides(images, texts)
        return self._both_sides(self.network, self.image_side.features(images), self.text_side.features(texts))

    def spaces(
        self, images: Pairs | ImageInput, texts: TextInput | None = None
    ) -> tuple[Float[Tensor, "image text"] | None, Float[Tensor, "image text"] | None]:
        """(n, m) similarities in the visual and in the textual space; None for a space that there is not."""
        found = self._found(images, texts)
        return tuple(found[name][0] @ found[name][1].T if name in found else None for name in SPACES)

    def similarity(
        self,
        images: Pairs | ImageInput,
        texts: TextInput | None = None,
        queries: Literal["images", "texts"] | None = None,
    ) -> Float[Tensor, "image text"]:
        """(n, m) similarity of every image with every text; a `Pairs` stands for both its sides.

        queries  "images" or "texts": as the paper has it, r looks at what each query finds in this gallery, so that
                 rows, or columns, are to be ranked, and not the other way round. None: r lies between the bounds that
                 `fit` found, the same for all. Then a score depends on its pair alone, and one matrix serves both
                 directions, a single pair, and a second stage that ranks candidates anew. Two exceptions, for None:
                 fusion="rank" has no such bounds and takes the mean of both; the released variant always looks along
                 the texts, as its authors do, unless there is but one.
        """
        if queries not in (None, "images", "texts"):
            raise ValueError(f'queries={queries!r} is neither "images" nor "texts", nor None.')
        found = self._found(images, texts)
        if len(found) == 1:
            ((images, texts),) = found.values()
            return images @ texts.T
        return self._fused(found, queries, self.facts)

    def _fused(
        self, embedded: dict[str, Embedded], queries: str | None, facts: dict[str, Any]
    ) -> Float[Tensor, "image text"]:
        spaces, how, weight, bounds = embedded.values(), self.config.fusion, facts["weight"], None
        axis = 0 if queries == "texts" else 1
        if queries is None and self.config.variant == "released":
            axis = 1 if len(embedded["visual"][1]) > 1 else 0
        elif queries is None and how == "rank":
            by_texts, by_images = (fuse_embeddings(*spaces, how, weight, axis) for axis in (0, 1))
            return by_texts.add_(by_images).div_(2)
        elif queries is None:
            bounds = tuple(tuple(facts["bounds"][name]) for name in SPACES)
        return fuse_embeddings(*spaces, how, weight, axis, bounds)

    def embed_images(self, images: ImageInput, space: str) -> Float[Tensor, "image common"]:
        """(n, d) images in one space, "visual" or "textual", of unit length."""
        return self._embedded(self._network_with(space), space, "image", self.image_side.features(images))

    def embed_texts(self, texts: TextInput, space: str) -> Float[Tensor, "text common"]:
        """(m, d) texts in one space, "visual" or "textual", of unit length."""
        return self._embedded(self._network_with(space), space, "text", self.text_side.features(texts))

    def image_attention(self, images: ImageInput) -> Float[Tensor, "image region"]:
        """(n, r) the weight of each region in the visual space; 0 for those that are not there, the sum is 1."""
        space = self._network_with("visual").visual
        return through(space, space.attention, self._view("image_regions", self.image_side.features(images)))

    def text_attention(self, texts: TextInput, per: Literal["word", "segment"] = "word") -> Float[Tensor, "text step"]:
        """(m, s) the weight of each segment in the textual space, or of each word: segments share among their words."""
        space = self._network_with("textual").textual
        if per not in ("word", "segment"):
            raise ValueError(f'per={per!r} is neither "word" nor "segment".')
        weigh = space.word_attention if per == "word" else space.attention
        return through(space, weigh, self._view("text_view", self.text_side.features(texts)))

    def _network_with(self, space: str) -> MCSMNetwork:
        self._require_fitted()
        if space not in self.config.spaces_built:
            raise ValueError(
                f"this {self.name} has no space {space!r}; it was trained with spaces={self.config.spaces!r}."
            )
        return self.network
