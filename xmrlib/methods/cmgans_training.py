"""How CM-GANs is trained: what a batch holds, the losses of both players, and their moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, softplus

from xmrlib.distributed import processes, total
from xmrlib.methods.cmgans_network import OTHER, SIDES, CMGANsNetwork
from xmrlib.methods.network import frozen
from xmrlib.methods.pictures import groups
from xmrlib.stages import Optimiser, Stage, drop

Game = Literal["non-saturating", "minimax"]
UNKNOWN = -100  # in place of a class: such an item has no part in the losses of classes


# -- losses


def discriminator_loss(
    right: Float[Tensor, " item"], wrong: Sequence[Float[Tensor, " item"]], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Binary cross-entropy of a discriminator: what is right against what is wrong, both with weight 1.

    right      (n,) logits of what it should call 1, or 1 - `smoothing`
    wrong      (n,) logits of what it should call 0, of one kind or two, whose weights then are 1/2

    With every output at 1/2 it is 2 log 2.

    >>> nothing = torch.zeros(3)
    >>> discriminator_loss(nothing, [nothing, nothing])
    tensor(1.3863)
    """
    loss = (softplus(right) - (1 - smoothing) * right).mean()
    return loss + sum(softplus(logits).mean() for logits in wrong) / len(wrong)


def deception_loss(wrong: Float[Tensor, " item"], game: Game = "non-saturating") -> Float[Tensor, ""]:
    """How far a generator is from being taken for what it is not: -log D, or log(1 - D), of logits.

    >>> deception_loss(torch.zeros(3)), deception_loss(torch.zeros(3), "minimax")
    (tensor(0.6931), tensor(-0.6931))
    """
    return softplus(-wrong).mean() if game == "non-saturating" else -softplus(wrong).mean()


def class_loss(logits: Float[Tensor, "item class_"], label: Int[Tensor, " item"]) -> Float[Tensor, ""]:
    """Cross-entropy, as a mean over the items of all processes whose class is known; 0 where there is none.

    >>> class_loss(torch.zeros(3, 2), torch.tensor([0, 1, UNKNOWN]))
    tensor(0.6931)
    """
    known = total((label != UNKNOWN).sum().float()) / processes()
    return cross_entropy(logits, label, reduction="sum", ignore_index=UNKNOWN) / known.clamp_min(1 / processes())


def r1_penalty(discriminator: nn.Module, *right: Float[Tensor, "item _"]) -> Float[Tensor, ""]:
    """Half the mean squared length of the gradient of a discriminator's logit, at what is right.

    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML 2018, equation 9.
    """
    right = tuple(x.detach().float().requires_grad_() for x in right)
    slopes = torch.autograd.grad(discriminator(*right).sum(), right, create_graph=True)
    return sum(slope.square().sum(dim=1) for slope in slopes).mean() / 2


# -- batches


class GameTable:
    """Training pairs; beside each pair of a batch stands a wrong one, of another class or of another image.

    A row of an epoch is a pair and its wrong one in one number, so that all processes know the same wrong ones.

    images, texts   the tensors of the images, and of the texts
    image_of_text   the image of each text; a pair is a text with its image
    group           what must differ in a wrong pair: the class, or the image, of each text
    labels          the class of each text, or None
    """

    def __init__(
        self,
        images: tuple[Tensor, ...],
        texts: tuple[Tensor, ...],
        image_of_text: Int[Tensor, " text"],
        group: Int[Tensor, " text"],
        labels: Int[Tensor, " text"] | None = None,
    ) -> None:
        self.images, self.texts, self.image_of_text = images, texts, image_of_text
        self.group, self.labels = group, labels

    def __len__(self) -> int:
        return len(self.image_of_text)

    def __getitem__(self, rows: Int[Tensor, " pair"]) -> dict[str, Any]:
        """What the network takes of some pairs and of their wrong ones, and the classes of the right ones."""
        rows = rows.to(self.image_of_text.device)
        right, wrong = rows // len(self), rows % len(self)
        batch = {} if self.labels is None else {"label": self.labels[right]}
        for name, place in (("", right), ("wrong ", wrong)):
            image = self.image_of_text[place]
            batch[f"{name}image"] = tuple(part[image] for part in self.images)
            batch[f"{name}text"] = tuple(part[place] for part in self.texts)
        return batch

    def to(self, device: torch.device) -> GameTable:
        """The same table on another device."""
        images, texts = (tuple(part.to(device) for part in parts) for parts in (self.images, self.texts))
        labels = None if self.labels is None else self.labels.to(device)
        return GameTable(images, texts, self.image_of_text.to(device), self.group.to(device), labels)

    def order(self, draws: Literal["pairs", "classes"]) -> Callable[[torch.Generator], Int[Tensor, " pair"]]:
        """The rows of an epoch: all pairs, shuffled; or as many places, each with a random pair of a random class."""
        count, group = len(self), self.group.cpu()
        by_group = group.argsort(stable=True)
        _, own, sizes = group.unique(return_inverse=True, return_counts=True)
        begin = sizes.cumsum(0) - sizes

        def below(limit: Tensor, generator: torch.Generator) -> Int[Tensor, " pair"]:
            """A random number below each limit, from 0."""
            drawn = (torch.rand(count, generator=generator, dtype=torch.float64) * limit).long()
            return drawn.minimum(limit - 1)

        def pairs(generator: torch.Generator) -> Int[Tensor, " pair"]:
            right = torch.randperm(count, generator=generator)
            which = own[right]
            wrong = below(count - sizes[which], generator)  # a place among all others, which stand before and behind
            wrong = torch.where(wrong < begin[which], wrong, wrong + sizes[which])
            return right * count + by_group[wrong]

        def classes(generator: torch.Generator) -> Int[Tensor, " pair"]:
            right = below(torch.full((count,), len(sizes)), generator)
            wrong = below(torch.full((count,), len(sizes) - 1), generator)
            wrong = wrong + (wrong >= right)
            places = (by_group[begin[which] + below(sizes[which], generator)] for which in (right, wrong))
            return next(places) * count + next(places)

        return pairs if draws == "pairs" else classes


# -- moves


def discriminators_move(
    config: Any, network: CMGANsNetwork, batch: dict[str, Any], loop: Any
) -> dict[str, Float[Tensor, ""]]:
    """One move of each discriminator, of D_T, D_I, D_CT and D_CI; the generators stand still."""
    h, s, r, wrong_h, wrong_s = {}, {}, {}, {}, {}
    with torch.no_grad():
        for side, generator in network.generators.items():
            h[side] = generator.features(*batch[side])
            s[side] = generator.encode(h[side])
            if config.intra:
                r[side] = generator.decode(s[side])
            if config.inter and config.mismatches != "none":
                wrong_h[side] = generator.features(*batch[f"wrong {side}"])
                wrong_s[side] = generator.encode(wrong_h[side])
    losses = {}

    def move(name: str, discriminator: nn.Module, right: tuple[Tensor, ...], *wrong: tuple[Tensor, ...]) -> None:
        told = [discriminator(*items) for items in (right, *wrong)]
        losses[name] = discriminator_loss(told[0], told[1:], config.label_smoothing)
        penalty = config.r1 * r1_penalty(discriminator, *right) if config.r1 else 0.0
        loop.backward(losses[name] + penalty)
        loop.update(name)

    for side in reversed(SIDES):
        if side in network.intra:
            move(f"intra {side}", network.intra[side], (h[side],), (r[side],))
    for side in reversed(SIDES):
        if side in network.inter:
            wrong = [(s[OTHER[side]], h[side])]
            if config.mismatches != "none":
                beside = h if config.mismatches == "condition" else wrong_h
                wrong.append((wrong_s[side], beside[side]))
            move(f"inter {side}", network.inter[side], (s[side], h[side]), *wrong)
    return losses


def generator_losses(
    config: Any, network: CMGANsNetwork, side: str, batch: dict[str, Any]
) -> dict[str, Float[Tensor, ""]]:
    """What the generator of one side learns from, each loss without its weight.

    It plays against the discriminator of its own reconstructions, and against the one that has the other side's
    originals.
    """
    generator, other = network.generators[side], network.generators[OTHER[side]]
    h = generator.features(*batch[side])
    s = generator.encode(h)
    r = generator.decode(s) if config.intra or config.reconstruction else None
    losses = {}
    if config.inter:
        with torch.no_grad():
            beside = other.features(*batch[OTHER[side]])
        losses["inter"] = deception_loss(network.inter[OTHER[side]](s, beside), config.game)
    if config.intra:
        losses["intra"] = deception_loss(network.intra[side](r), config.game)
    if config.semantic:
        losses["semantic"] = class_loss(generator.classify(s).float(), batch["label"])
    if config.reconstruction:
        # h is a given: where it is learned, it must not come to meet r.
        losses["reconstruction"] = mse_loss(r, h.detach().float())
    return losses


def generators_move(
    config: Any, network: CMGANsNetwork, batch: dict[str, Any], loop: Any
) -> dict[str, Float[Tensor, ""]]:
    """One move of the image generator, then one of the text generator; the discriminators stand still."""
    found, whole = {}, 0.0
    with frozen(network.intra), frozen(network.inter):
        for side in SIDES:
            losses = generator_losses(config, network, side, batch)
            loss = sum(getattr(config, name) * value for name, value in losses.items())
            loop.backward(loss)
            loop.update(f"{side} generator")
            if "shared" in loop.stage.optimisers:
                loop.update("shared")
            found |= {f"{side} {name}": value for name, value in losses.items()}
            whole = whole + loss.detach()
    return {"loss": whole} | found


def game_optimisers(config: Any, network: CMGANsNetwork) -> dict[str, Optimiser]:
    """An Adam for each player; what both generators share has its own, so that no parameter belongs to two."""

    def adam(parameters: Iterable[tuple[str, nn.Parameter]]) -> Optimiser:
        made = torch.optim.Adam(groups(config, parameters), config.learning_rate, betas=(0.5, 0.999))
        return Optimiser(made, drop(config.halve_after, 0.5))

    own = {side: {id(p): (name, p) for name, p in network.generators[side].named_parameters()} for side in SIDES}
    both = own["image"].keys() & own["text"].keys()
    players = {f"{s} generator": adam(found for key, found in own[s].items() if key not in both) for s in SIDES}
    if both:
        players["shared"] = adam(found for key, found in own["image"].items() if key in both)
    for kind, discriminators in (("intra", network.intra), ("inter", network.inter)):
        players |= {f"{kind} {side}": adam(found.named_parameters()) for side, found in discriminators.items()}
    return players


def game_stage(config: Any, network: CMGANsNetwork, table: GameTable, measure: Callable[[], float] | None) -> Stage:
    """The training: on each batch all discriminators move `discriminator_steps` times, then the generators theirs."""

    def step(batch: dict[str, Any], loop: Any) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for _ in range(config.discriminator_steps if config.intra or config.inter else 0):
            losses |= discriminators_move(config, network, batch, loop)
        for _ in range(config.generator_steps):
            losses |= generators_move(config, network, batch, loop)
        return losses

    return Stage(
        name="CM-GANs",
        modules={"network": network},
        optimisers=game_optimisers(config, network),
        data=table,
        batch=config.batch,
        epochs=config.epochs,
        step=step,
        measure=measure,
        patience=config.patience,
        order=table.order(config.draws),
    )
