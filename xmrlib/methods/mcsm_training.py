"""How a space of MCSM is trained: which pairs a batch holds, which wrong ones it is told from, and the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xmrlib.data.pairs import DataError, Texts
from xmrlib.distributed import gather
from xmrlib.features.sequences import TokenIds
from xmrlib.features.words import fit_ppmi, glove, read_vectors
from xmrlib.methods.network import through
from xmrlib.methods.pair_network import PairTable
from xmrlib.methods.pictures import groups
from xmrlib.stages import Optimiser, Stage, Table

Wrong = Literal["random", "hardest"]
DEALS = 100  # times that an epoch's order is drawn again before it is given up


def ranking_loss(
    scores: Float[Tensor, "pair pair"],
    group: Int[Tensor, " pair"],
    margin: float,
    noise: Float[Tensor, "pair 2 pair"] | None = None,
) -> Float[Tensor, ""]:
    """How far a wrong text and a wrong image come within `margin` of the right ones, as a mean over the pairs.

    scores  of the image of each pair (rows) with the text of each pair (columns); the diagonal holds the pairs
    group   what must differ in a wrong one: the class, or the image, of each pair
    noise   numbers in [0, 1): of all wrong texts, and of all wrong images, the one with the largest is taken; None:
            the one with the largest score, the hardest

    A pair without a wrong one in the batch counts 0.

    >>> ranking_loss(torch.tensor([[0.9, 0.6], [0.2, 0.8]]), torch.tensor([0, 1]), margin=0.5)
    tensor(0.2500)
    """
    own, wrong = scores.diagonal(), group[:, None] != group[None]
    drawn = (scores, scores.T) if noise is None else noise.unbind(dim=1)
    loss = torch.zeros_like(own)
    for found, draw in zip((scores, scores.T), drawn, strict=True):
        # No boolean index: on a GPU the host would wait for the number of wrong ones.
        row = draw.masked_fill(~wrong, -torch.inf).argmax(dim=1, keepdim=True)
        hinge = (margin - own + found.gather(1, row)[:, 0]).clamp_min(0)
        loss = loss + torch.where(wrong.any(dim=1), hinge, 0.0)
    return loss.mean()


def noise_for(share: int, batch: int, device: torch.device) -> Float[Tensor, "share 2 batch"]:
    """Noise for a process's share of the pairs of a batch; all processes' together serve all."""
    return torch.rand(share, 2, batch, device=device)


class RankingTable(PairTable):
    """Training pairs of a space. A batch also says what must differ between a pair and a wrong one.

    labels      the class of each text, or None
    differ_in   "class" or "image"
    positives   "pair": each text comes with its image; "class": with a random one of its class, drawn anew every time
    """

    def __init__(
        self,
        images: tuple[Tensor, ...],
        texts: tuple[Tensor, ...],
        image_of_text: Int[Tensor, " text"],
        labels: Int[Tensor, " text"] | None = None,
        differ_in: Literal["class", "image"] = "image",
        positives: Literal["pair", "class"] = "pair",
        image_labels: Int[Tensor, " image"] | None = None,
    ) -> None:
        super().__init__(images, texts, image_of_text)
        self.labels, self.differ_in, self.positives, self.image_labels = labels, differ_in, positives, image_labels
        self.group = labels if differ_in == "class" else image_of_text
        if positives == "class":
            counts = torch.bincount(image_labels, minlength=int(labels.max()) + 1)
            # The images, class by class; where each class begins, and how many it has.
            self.by_class = image_labels.argsort(stable=True)
            self.begin, self.count = counts.cumsum(0) - counts, counts

    def __getitem__(self, rows: Int[Tensor, " pair"]) -> dict[str, Any]:
        """What the network takes of some texts and their images, and the group of each pair."""
        rows = rows.to(self.image_of_text.device)
        row = self.image_of_text[rows]
        if self.positives == "class":
            label = self.labels[rows]
            draw = (torch.rand(len(rows), device=rows.device) * self.count[label]).long()
            row = self.by_class[self.begin[label] + draw.minimum(self.count[label] - 1)]
        images, texts = tuple(part[row] for part in self.images), tuple(part[rows] for part in self.texts)
        return {"images": images, "texts": texts, "group": self.group[rows]}

    def to(self, device: torch.device) -> RankingTable:
        """The same table on another device."""
        images, texts = (tuple(part.to(device) for part in parts) for parts in (self.images, self.texts))
        others = (None if part is None else part.to(device) for part in (self.labels, self.image_labels))
        labels, image_labels = others
        return RankingTable(
            images, texts, self.image_of_text.to(device), labels, self.differ_in, self.positives, image_labels
        )

    def order(self, batch: int) -> Callable[[torch.Generator], Int[Tensor, " text"]]:
        """The order of an epoch: shuffled, and shuffled again as long as some batch has a single group.

        Such a batch has no wrong pair. Raises DataError where there seems to be no other order.
        """
        group = self.group.cpu()

        def drawn(generator: torch.Generator) -> Int[Tensor, " text"]:
            whole = len(group) // batch * batch
            for _ in range(DEALS):
                rows = torch.randperm(len(group), generator=generator)
                dealt = group[rows[:whole]].view(-1, batch)
                if bool((dealt.amin(dim=1) < dealt.amax(dim=1)).all()):
                    return rows
            what = "class" if self.differ_in == "class" else "image"
            raise DataError(
                f"in {DEALS} random orders some batch of {batch} had all its pairs of a single {what}, so that nothing "
                f"in it is wrong. Set batch to more than {batch}, or take data in which no {what} has nearly all pairs."
            )

        return drawn


def space_stage(
    config: Any, name: str, space: nn.Module, table: RankingTable, measure: Callable[[], float] | None
) -> Stage:
    """The training of one space, "visual" or "textual"."""
    parameters = groups(config, space.named_parameters())
    squared = config.variant == "released" and name == "visual"
    if config.variant == "released":
        optimiser = torch.optim.RMSprop(parameters, config.learning_rate, alpha=0.99, eps=1e-8)
    else:
        optimiser = torch.optim.Adam(parameters, config.learning_rate)

    def step(batch: dict[str, Any], loop: Any) -> dict[str, Tensor]:
        group = gather(batch["group"])
        scores = gather(space.images(*batch["images"])) @ gather(space.texts(*batch["texts"])).T
        noise = None
        if config.negatives == "random":
            noise = gather(noise_for(len(batch["group"]), len(group), group.device))
        loss = ranking_loss(scores.float(), group, config.margin, noise)
        loss = loss / len(group) if squared else loss
        loop.backward(loss)
        loop.update(name)
        return {"loss": loss}

    return Stage(
        name=f"{name} space",
        modules={name: space},
        optimisers={name: Optimiser(optimiser)},
        data=table,
        batch=config.batch,
        epochs=config.epochs,
        step=step,
        measure=measure,
        patience=config.patience,
        order=table.order(config.batch),
    )


def classifier_stage(
    config: Any,
    classifier: nn.Module,
    words: TokenIds,
    labels: Int[Tensor, " text"],
    held_out: tuple[TokenIds, Int[Tensor, " held_out"]] | None,
) -> Stage:
    """The training of the word-CNN that sees texts as a whole.

    held_out  words and classes on which the epoch with the least cross entropy is chosen
    """
    parameters = [parameter for parameter in classifier.parameters() if parameter.requires_grad]

    def step(batch: dict[str, Tensor], loop: Any) -> dict[str, Tensor]:
        loss = cross_entropy(classifier(batch["ids"], batch["mask"]), batch["label"])
        loop.backward(loss)
        loop.update("classifier")
        return {"loss": loss}

    def measure() -> float:
        return -float(cross_entropy(through(classifier, classifier, held_out[0]), held_out[1]))

    return Stage(
        name="text classifier",
        modules={"classifier": classifier},
        optimisers={"classifier": Optimiser(torch.optim.Adam(parameters, config.classifier_rate))},
        data=Table(ids=words.ids, mask=words.mask, label=labels),
        batch=config.batch,
        epochs=config.classifier_epochs,
        step=step,
        measure=None if held_out is None else measure,
        patience=None if held_out is None else config.patience,
    )


def starting_vectors(
    source: str, texts: Texts, words: Sequence[str], dim: int, min_count: int
) -> Float[Tensor, "word dim"] | None:
    """A vector for each of `words`, zero where there is none, from "ppmi", "glove" or a file; None for "random".

    Raises DataError where they are not of length `dim`.
    """
    if source == "random":
        return None
    if source == "ppmi":
        found = fit_ppmi(texts, dim, min_count=min_count)
    else:
        found = glove(words) if source == "glove" else read_vectors(source, words)
    if found.vectors.shape[1] != dim:
        have = found.vectors.shape[1]
        raise DataError(
            f"the word vectors of {found.source} have {have} numbers, and word_dim={dim}. Set it to {have}."
        )
    return found.matrix(words).float()
