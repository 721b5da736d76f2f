"""CCL: cross-modal correlation learning. Five trainings, one after the other, from features to a common representation.

Peng, Qi, Huang and Yuan, "CCL: cross-modal correlation learning with multi-grained fusion by hierarchical network",
IEEE Transactions on Multimedia 2018, arXiv:1704.02116. An instance is looked at in two grains: coarse, the whole, and
fine, its parts (patches of a picture, sentences of a text).

    stage 1, separate representations
      A  two layers a side and grain, each an RBM (or an autoencoder): x -> code; fine = the mean over the parts
      B  Corr-AE of the two sides' codes, a grain at a time:
         L1 = (1 - lambda) 1/2 (|x^_i - x_i|^2 + |x^_t - x_t|^2) + lambda 1/2 |c_i - c_t|^2
      C  coarse and fine of a side joined by one more layer
      D  a classifier a side, of three layers; the last but one is the separate representation s, standardised
    stage 2, the common representation
      E  z = W2 sigmoid(W1 s), u = sigmoid(z), and the classes from z, with d_ab = |u_i^a - u_t^b|:
         L_contr = 1/(2B) sum_ab [ same_ab d_ab^2 + (1 - same_ab) max(0, m - d_ab)^2 ]
         L2      = L_contr + CE_image + CE_text

Nothing is shared between the sides. Which of these equations are the paper's and which the code's: `DEVIATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from xmrlib.data.pairs import DataError
from xmrlib.distributed import gather
from xmrlib.methods.base import retrieval_score
from xmrlib.methods.ccl_layers import classifier_stage, inverse, layer_stage, momentum
from xmrlib.methods.ccl_network import SIDES, Balance, CCLNetwork, contrastive_loss, mirrored
from xmrlib.methods.corr_ae import CorrAutoencoder, corr_ae_loss
from xmrlib.methods.network import EmbeddingNetwork, NetworkConfig, parts_of, through
from xmrlib.methods.sides import Kind, Views
from xmrlib.stages import Optimiser, Stage, Table, constant

# What the released evaluation does: every dimension of both sides to mean 0 and variance 1 over the test set.
AUTHORS_PROTOCOL = {"standardise": "test"}

DEVIATIONS = (
    # what, paper, released code, here
    ("stage 1 A", "RBMs", "RBMs", '`pretraining`: "rbm", or "autoencoder", which is quicker'),
    ("stage 1 D", "not remembered", "there", "`supervised`, a switch; there by default"),
    ("input of 1 D", "not known", "as it is", "released: as it is; paper: standardised, for the codes hardly differ"),
    ("layers of A to C in 1 D", "not known", "stay as they are", "`fine_tune`: they learn as well"),
    ("optimisers", "not known", "SGD with momentum", "released: the same; paper: Adam, RBMs by SGD"),
    ("weight of L_contr", "1", "its gradient is twice that of the loss printed", "released: 2; paper: 1"),
    ("classifier on z", "one output a class", "256 outputs", "released: 256; paper: one a class"),
    ("features read backwards by chance", "no", "in training and in extraction", "`mirror`, in training"),
    ("counts of words", "not known", "scaled to 100, times 10 upwards, divided by L", "released: the same; paper: no"),
    ("z-score of u", "not known", "statistics of the test set", "of the training set"),
    ("gradient where d = 0", "not known", "divided by d + 1e-4", "0"),
    ("balance of the losses", "adaptive, says the abstract", "all weights 1", "`balance`: fixed, or learned"),
    ("batch", "not known", "128, 100, 115, 100 and 80 in A to E", "`batch` in all"),
    ("length of a stage", "not known", "steps: 50,000 for an RBM", "epochs, the same number of steps for 800 pairs"),
    ("choice of the epoch", "not known", "the last", "best on the validation split, where there is one"),
)


@dataclass(frozen=True)
class CCLConfig(NetworkConfig):
    """What CCL must be told; the defaults are the released code's sizes.

    variant        "paper", or "released" with the quirks of the code (see DEVIATIONS)
    image_parts, text_parts, text_parts_options   the views of the parts
    grains         "both", "coarse" (no parts) or "fine" (parts only)
    pretraining    stage 1 A: "rbm" or "autoencoder"
    image_hidden, text_hidden, code   units of 1 A's first layers, of its second ones and of 1 B
    correlation    lambda of 1 B: 0 for intra-modality alone, 1 for inter-modality alone
    fusion, fused  1 C: "rbm" or "autoencoder"; its units
    scaling        of features that are no counts: "standard", a column at a time; "even", all by one number, so that a
                   column that says more stays louder
    supervised, separate, dropout   whether there is a 1 D; its units; the share of them dropped in training
    labelled       so many training images, those of `train.sample(labelled, seed)`, show their classes to D and E, and
                   A, B and C learn from all pairs; None: all
    fine_tune      the rate of A, B and C while 1 D learns, as a share of its own; 0: they stay as they are
    feature_dropout   the share of the features dropped in fine-tuning
    hidden, dim    units of 1 E's first layer, and of u
    margin         m
    classification, contrastive     weights of the losses of stage 2; 0 leaves one out
    balance        "fixed" weights, or "learned" on top of them, each loss divided by a scale of its own
    mirror         released quirk: every separate representation is read backwards with probability 1/2
    pretraining_rate   in A and C, times the released code's rates for RBMs, times `learning_rate` for autoencoders
    pretraining_epochs, association_epochs, fusion_epochs, supervised_epochs, epochs   of A, B, C, D, E; in A parts,
                       of which there are more, get fewer epochs, so that the steps are as many as for the wholes
    learning_rate, weight_decay     of B, D and E in the paper variant
    """

    text_view: str = "bow"
    batch: int = 80
    learning_rate: float = 1e-3
    variant: Literal["paper", "released"] = "paper"
    image_parts: str = "patches"
    text_parts: str = "fragments"
    text_parts_options: dict[str, Any] = field(default_factory=lambda: {"encoder": "bow"})
    grains: Literal["both", "coarse", "fine"] = "both"
    pretraining: Literal["rbm", "autoencoder"] = "rbm"
    image_hidden: int = 2048
    text_hidden: int = 1024
    code: int = 1024
    correlation: float = 0.7
    fusion: Literal["rbm", "autoencoder"] = "rbm"
    fused: int = 2048
    scaling: Literal["standard", "even"] = "standard"
    supervised: bool = True
    separate: int = 1024
    dropout: float = 0.0
    labelled: int | None = None
    fine_tune: float = 0.0
    feature_dropout: float = 0.0
    hidden: int = 1024
    dim: int = 1024
    margin: float = 1.0
    classification: float = 1.0
    contrastive: float = 1.0
    balance: Literal["fixed", "learned"] = "fixed"
    mirror: bool = False
    weight_decay: float = 0.0
    pretraining_rate: float = 1.0
    pretraining_epochs: int = 50
    association_epochs: int = 50
    fusion_epochs: int = 50
    supervised_epochs: int = 50
    epochs: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (
            ("variant", ("paper", "released")),
            ("grains", ("both", "coarse", "fine")),
            ("pretraining", ("rbm", "autoencoder")),
            ("fusion", ("rbm", "autoencoder")),
            ("scaling", ("standard", "even")),
            ("balance", ("fixed", "learned")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, allowed))}.")
        if not 0 <= self.correlation <= 1:
            raise ValueError(f"correlation={self.correlation} is outside [0, 1].")
        for name in ("dropout", "feature_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is outside [0, 1).")
        if self.feature_dropout and not self.fine_tune:
            raise ValueError(f"feature_dropout={self.feature_dropout} belongs to fine-tuning, and fine_tune=0.")
        for name in ("classification", "contrastive", "weight_decay", "fine_tune"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more.")
        if self.classification == self.contrastive == 0:
            raise ValueError("classification=0 and contrastive=0 leave stage 2 without a loss; set one above 0.")
        sizes = "image_hidden text_hidden code fused separate hidden dim margin pretraining_rate"
        for name in f"{sizes} pretraining_epochs association_epochs fusion_epochs supervised_epochs".split():
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.labelled is not None and self.labelled < self.batch:
            raise ValueError(f"labelled={self.labelled} fills no batch of {self.batch}: label more, or lower batch.")

    @classmethod
    def paper(cls, **settings: Any) -> CCLConfig:
        """The sizes of the paper, and as many steps as the released code takes on Pascal Sentence's 800 pairs."""
        steps = {"pretraining_epochs": 8000, "association_epochs": 1250, "fusion_epochs": 7000}
        return cls(**{"backbone": "vgg19", "supervised_epochs": 6250, "epochs": 2000} | steps | settings)

    @classmethod
    def small(cls, **settings: Any) -> CCLConfig:
        """The sizes of the book on a laptop: all layers are fine-tuned in 1 D, which makes up for the short A to C.

        With fine_tune=0 and in the released variant they are not, and A to C take longer.
        """
        sizes = dict.fromkeys(("image_hidden", "text_hidden", "code", "fused", "hidden"), 256) | {"dim": 128}
        words = {"text_view": "tfidf", "text_parts_options": {"encoder": "tfidf"}, "pretraining_rate": 3.0}
        frozen = settings.get("variant") == "released" or settings.get("fine_tune") == 0
        lengths = (10, 10, 10, 20, 20) if frozen else (5, 5, 5, 16, 12)
        names = ("pretraining_epochs", "association_epochs", "fusion_epochs", "supervised_epochs", "epochs")
        how = {"separate": 256, "dropout": 0.5} if frozen else {"separate": 512, "dropout": 0.3}
        if not frozen:
            how |= {"learning_rate": 1.5e-3, "fine_tune": 1.0, "feature_dropout": 0.6}
        return cls(**words | sizes | dict(zip(names, lengths, strict=True)) | how | settings)


class CCL(EmbeddingNetwork):
    """Cross-modal correlation learning; needs a class for every image, and by default parts of both sides."""

    Config: ClassVar[type[NetworkConfig]] = CCLConfig
    needs_labels: ClassVar[bool] = True

    @property
    def image_kind(self) -> dict[str, Kind]:
        """The whole and the parts, as far as the grains are asked for."""
        return self._kinds("image")

    @property
    def text_kind(self) -> dict[str, Kind]:
        """The same of texts."""
        return self._kinds("text")

    def _kinds(self, side: str) -> dict[str, Kind]:
        kinds: dict[str, Kind] = {}
        if self.config.grains != "fine":
            kinds[f"{side}_view"] = "vector"
        if self.config.grains != "coarse":
            kinds[f"{side}_parts"] = "parts"
        return kinds

    def _known(self, train: Views) -> Int[Tensor, " image"]:
        """The classes as far as `labelled` lets D and E know them, -1 elsewhere."""
        n, few = len(train.labels), self.config.labelled or len(train.labels)
        if few > n:
            raise DataError(f"labelled={few}, and the training split has {n} images.")
        told = torch.as_tensor(np.random.default_rng(self.config.seed).choice(n, few, replace=False))
        return torch.full_like(train.labels, -1).index_copy(0, told, train.labels[told])

    def _build(self, sizes: dict[str, Any]) -> CCLNetwork:
        return CCLNetwork(self.config, **sizes)

    def _stages(self, network: CCLNetwork, train: Views, val: Views | None) -> Iterator[Stage]:
        """The five trainings; each learns from what the ones before it make of the training pairs."""
        config, own = self.config, {"image": train.images, "text": train.texts}
        for side in SIDES:  # A, with all parts as items of their own
            for grain, items in zip(network.grains, own[side].views, strict=True):
                x, *mask = parts_of(items)
                stack = network.stacks[f"{side}_{grain}"]
                stack.scaling.fit(x := x[mask[0]] if mask else x)
                most = config.pretraining_epochs * len(items) / len(x)  # as many steps for the parts as for the wholes
                for place, layer, see in (("first", stack.first, stack.scaling), ("second", stack.second, stack.below)):
                    seen, epochs = through(stack, see, x), max(1, round(most))
                    yield layer_stage(config, side, place, grain, layer, seen, epochs, stack.scaling)
        for i, grain in enumerate(network.grains):  # B, both sides together
            codes = {side: through(network, partial(network.below, side, grain), own[side].views[i]) for side in SIDES}
            yield self._association(grain, network.associations[grain], codes, train.image_of_text)
        for side, joint in network.joints.items():  # C
            alike = through(network, partial(network.alike, side), own[side])
            yield layer_stage(config, side, "joint", "both", joint, alike, config.fusion_epochs)
        labels = {"image": self._known(train), "text": self._known(train)[train.image_of_text]}  # -1: not told
        held_out = {}
        if val is not None and val.labels is not None:
            held_out = {"image": (val.images, val.labels), "text": (val.texts, val.text_labels)}
        for side in network.classifiers:  # D
            known = labels[side] >= 0
            yield classifier_stage(config, side, network, own[side][known], labels[side][known], held_out.get(side))
        yield self._multi_task(network, train, val)  # E
        self._standardise_common(network, self._separate(network, train))

    def _association(
        self, grain: str, pair: CorrAutoencoder, codes: dict[str, Tensor], image_of_text: Int[Tensor, " text"]
    ) -> Stage:
        """B: intra- and inter-modality correlation together."""
        config = self.config
        if released := config.variant == "released":
            optimiser = torch.optim.SGD(pair.parameters(), 0.05, momentum=0.5, weight_decay=1e-4)
        else:
            optimiser = torch.optim.Adam(pair.parameters(), config.learning_rate, weight_decay=config.weight_decay)

        def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
            losses = corr_ae_loss(pair, batch["image"], batch["text"], config.correlation)
            loop.backward(losses["loss"])
            for group in optimiser.param_groups if released else ():
                group["momentum"] = momentum(loop.done / config.association_epochs, ramp=1.0)
            loop.update("pair")
            return losses

        return Stage(
            name=f"1B {grain}",
            modules={f"association_{grain}": pair},
            optimisers={"pair": Optimiser(optimiser, inverse(1.0) if released else constant)},
            data=Table(image=codes["image"][image_of_text], text=codes["text"]),
            batch=config.batch,
            epochs=config.association_epochs,
            step=step,
        )

    def _separate(self, network: CCLNetwork, views: Views) -> dict[str, Float[Tensor, "item separate"]]:
        own = {"image": views.images, "text": views.texts}
        return {side: through(network, partial(network.separate, side), own[side]) for side in SIDES}

    def _common(self, network: CCLNetwork, separate: dict[str, Tensor]) -> dict[str, Float[Tensor, "item common"]]:
        """u, not standardised, of separate representations, not standardised either."""
        return {
            side: through(
                network.branches[side],
                lambda s, side=side: network.branches[side](network.separate_scaling[side](s))[0],
                separate[side],
            )
            for side in SIDES
        }

    def _standardise_common(self, network: CCLNetwork, separate: dict[str, Tensor]) -> None:
        """Take the mean and the deviation of u from the training pairs."""
        for side, u in self._common(network, separate).items():
            network.common_scaling[side].fit(u)

    def _multi_task(self, network: CCLNetwork, train: Views, val: Views | None) -> Stage:
        """E: the classes within each side, and all pairs across."""
        config = self.config
        separate = self._separate(network, train)
        held_out = None if val is None else self._separate(network, val)
        scaled = {side: network.separate_scaling[side].fit(separate[side])(separate[side]) for side in SIDES}
        known = (labels := self._known(train)[train.image_of_text]) >= 0
        factor = 2.0 if config.variant == "released" else 1.0
        weights = {"image": config.classification, "text": config.classification}
        balance = Balance(weights | {"contrastive": factor * config.contrastive}, config.balance == "learned")
        branches = network.branches
        if config.variant == "released":
            biases = [layer.bias for branch in branches.values() for layer in (branch.first, branch.classify)]
            others = [p for p in branches.parameters() if not any(p is bias for bias in biases)]
            scales = {"params": [*balance.parameters()], "weight_decay": 0.0}  # none in the code, whose weights are 1
            groups = [{"params": others}, {"params": biases, "lr": 2e-4}, *([scales] if scales["params"] else [])]
            optimiser = torch.optim.SGD(groups, 1e-4, momentum=0.9, weight_decay=0.004)
        else:
            parameters = [*branches.parameters(), *balance.parameters()]
            optimiser = torch.optim.Adam(parameters, config.learning_rate, weight_decay=config.weight_decay)

        def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
            u, logits = {}, {}
            for side in SIDES:
                u[side], logits[side] = branches[side](mirrored(batch[side]) if config.mirror else batch[side])
            losses = {side: cross_entropy(logits[side], batch["label"]) for side in SIDES}
            labels = gather(batch["label"])
            losses["contrastive"] = contrastive_loss(gather(u["image"]), gather(u["text"]), labels, config.margin)
            total = balance(losses)
            loop.backward(total)
            loop.update("branches")
            return {"loss": total} | losses

        def measure() -> float:
            self._standardise_common(network, separate)
            common = self._common(network, held_out)
            images, texts = (through(branches[s], network.common_scaling[s], common[s]) for s in SIDES)
            return retrieval_score(normalize(images, dim=1) @ normalize(texts, dim=1).T, val, config.choose_by)

        scalings = {"separate_scaling": network.separate_scaling, "common_scaling": network.common_scaling}
        return Stage(
            name="2E",
            modules={"branches": branches, "balance": balance} | scalings,
            optimisers={"branches": Optimiser(optimiser)},
            data=Table(
                image=scaled["image"][train.image_of_text][known], text=scaled["text"][known], label=labels[known]
            ),
            batch=config.batch,
            epochs=config.epochs,
            step=step,
            measure=None if val is None else measure,
            patience=config.patience,
        )
