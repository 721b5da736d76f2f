"""CM-GANs piece by piece: shapes and sizes, losses against numbers worked out by hand, who moves whom."""

from __future__ import annotations

import math

import pytest
import torch
from test_networks import pairs
from torch.nn.functional import binary_cross_entropy, cross_entropy, leaky_relu
from training_cmgans import SIZES, VIEWS

from xmrlib.methods import CMGANs, CMGANsConfig
from xmrlib.methods.cmgans_network import Block, Cells, CMGANsNetwork, Top, WordFeatures
from xmrlib.methods.cmgans_training import (
    UNKNOWN,
    GameTable,
    class_loss,
    deception_loss,
    discriminator_loss,
    discriminators_move,
    generator_losses,
    generators_move,
    r1_penalty,
)
from xmrlib.methods.sides import views_of

OWN = SIZES | VIEWS["features"] | {"batch": 8, "epochs": 3, "learning_rate": 1e-2}
ENCODERS = pytest.mark.parametrize("encoder", ["features", "words", "conv"])
MADE = ("image generator", "text generator", "intra image", "intra text", "inter image", "inter text")


def model(encoder="features", **settings) -> CMGANs:
    return CMGANs(CMGANsConfig(**OWN | VIEWS[encoder] | {"encoder": encoder} | settings))


def built(data=None, encoder="features", **settings):
    """A network that has learned nothing, its stage, and a batch of eight."""
    method, data = model(encoder, **settings), data or pairs(classes=4)
    views = views_of(data, *(sides := method._fitted_sides(data, None)))
    torch.manual_seed(0)
    network = method._build({"image": sides[0].dim, "text": sides[1].dim, "classes": views.classes})
    stage = next(method._stages(network, views, None))
    rows = stage.order(torch.Generator().manual_seed(1))[:8]
    return network, stage, stage.data[rows]


class Watched:
    """A loop that notes which parameters have gradients at each move, moves as the real one does, and forgets."""

    def __init__(self, network, stage, moving=True) -> None:
        self.network, self.stage, self.moving, self.moves = network, stage, moving, []

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self, name: str) -> None:
        optimiser = self.stage.optimisers[name].optimiser
        self.moves.append((name, {key for key, p in self.network.named_parameters() if p.grad is not None}))
        if self.moving:
            optimiser.step()
        optimiser.zero_grad()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.moves]


def owned(stage) -> dict[str, list[int]]:
    """The parameters of each optimiser, by their ids."""
    return {
        name: [id(p) for group in entry.optimiser.param_groups for p in group["params"]]
        for name, entry in stage.optimisers.items()
    }


# -- sizes and shapes


def test_sizes_are_those_of_the_code():
    network = CMGANsNetwork(CMGANsConfig(), image=4096, text=300, classes=20)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    for side, dim in (("image", 4096), ("text", 300)):
        generator = f"generators.{side}"
        assert shapes[f"{generator}.first.linear.weight"] == (1024, dim)
        assert shapes[f"{generator}.decoder.0.linear.weight"] == (1024, 1024)
        assert shapes[f"{generator}.decoder.1.weight"] == (dim, 1024)
        assert shapes[f"{generator}.classify.weight"] == (20, 1024)
        assert shapes[f"intra.{side}.out.weight"] == (1, dim)
        assert shapes[f"inter.{side}.hidden.linear.weight"] == (512, 1024 + dim)
        assert shapes[f"inter.{side}.out.weight"] == (1, 512)
    assert shapes["generators.image.top.linear.weight"] == (1024, 1024)
    assert "generators.text.top.linear.weight" not in shapes, "one object, and so counted once"
    assert network.generators["image"].top is network.generators["text"].top
    assert network.generators["image"].norm is not network.generators["text"].norm
    assert isinstance(network.generators["text"].top, Top)
    assert not [m for m in network.modules() if isinstance(m, torch.nn.Dropout) and m.p]


@ENCODERS
def test_shapes_of_a_batch(encoder):
    network, _, batch = built(encoder=encoder)
    length = {"image": 10 if encoder == "conv" else 12, "text": 9 if encoder == "features" else 12}
    for side, other in (("image", "text"), ("text", "image")):
        h, beside = (network.features(name, *batch[name]) for name in (side, other))
        s = network.common(side, *batch[side])
        assert (h.shape, s.shape) == ((8, length[side]), (8, 12))
        assert network.reconstruct(side, *batch[side]).shape == h.shape
        assert torch.allclose(network.classes(side, *batch[side]).sum(dim=1), torch.ones(8))
        for logits in (network.intra[side](h), network.inter[side](s, h), network.inter[other](s, beside)):
            assert logits.shape == (8,) and ((logits.sigmoid() > 0) & (logits.sigmoid() < 1)).all()


def test_weights_begin_as_in_torch7():
    torch.manual_seed(0)
    block, top = Block(400, 3000), Top(400, 3000)
    for linear, weight, bias in (
        (block.linear, block.norm.weight, block.norm.bias),
        (top.linear, top.weight, top.bias),
    ):
        for found in (linear.weight, linear.bias):
            assert 0.049 < found.abs().max() <= 1 / 20
            assert found.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.05)
        assert weight.mean().item() == pytest.approx(1, abs=0.002)
        assert weight.std().item() == pytest.approx(0.02, rel=0.05) and not bias.any()


def test_an_encoder_by_hand():
    network, _, batch = built()
    network.train()
    (h,) = batch["image"]
    g = network.generators["image"]

    def normed(x, weight, bias):
        return leaky_relu((x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt() * weight + bias, 0.2)

    first = normed(h @ g.first.linear.weight.T + g.first.linear.bias, g.first.norm.weight, g.first.norm.bias)
    s = normed(first @ g.top.linear.weight.T + g.top.linear.bias, g.top.weight, g.top.bias)
    assert torch.allclose(network.common("image", h), s, atol=1e-5)


def test_a_text_has_one_vector_however_long_its_neighbours_are():
    torch.manual_seed(0)
    features = WordFeatures(CMGANsConfig(word_dim=4, text_widths=(1, 3), text_maps=5), words=9)
    ids = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0]])
    longer = torch.cat([ids, torch.zeros(2, 5, dtype=torch.long)], dim=1)
    found = features(ids, ids > 0)
    assert torch.allclose(found, features(longer, longer > 0), atol=1e-6)
    words = features.words.vectors(ids)[0]
    by_hand = torch.relu(words @ features.layers[0].weight[:, :, 0].T + features.layers[0].bias).amax(dim=0)
    assert torch.allclose(found[0, :5], by_hand, atol=1e-6)
    assert features(ids[1:, :1], ids[1:, :1] > 0).shape == (1, 10), "shorter than the convolution is wide"


def test_cells_that_are_not_there_count_for_nothing():
    torch.manual_seed(0)
    cells, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, True, True]])
    network = Cells(4, 6, "none")
    found = network(cells, mask)
    by_hand = torch.relu(cells[0, :2] @ network.layer.weight.T + network.layer.bias).mean(dim=0)
    assert torch.allclose(found[0], by_hand, atol=1e-6)
    changed = cells.clone()
    changed[0, 2] = 99
    assert torch.equal(network(changed, mask), found)


# -- losses


def test_losses_where_every_output_is_one_half():
    """2 log 2 for each discriminator, 2 log 2 for what a generator wants of both of its own, log C for the classes."""
    network, stage, batch = built()
    for module in (*network.intra.values(), *network.inter.values()):
        torch.nn.init.zeros_(module.out.weight), torch.nn.init.zeros_(module.out.bias)
    for generator in network.generators.values():
        torch.nn.init.zeros_(generator.classify.weight), torch.nn.init.zeros_(generator.classify.bias)
    losses = discriminators_move(model().config, network, batch, Watched(network, stage, moving=False))
    assert list(losses) == ["intra text", "intra image", "inter text", "inter image"]
    assert all(loss.item() == pytest.approx(2 * math.log(2)) for loss in losses.values())
    for side in ("image", "text"):
        found = generator_losses(model().config, network, side, batch)
        assert found["inter"].item() + found["intra"].item() == pytest.approx(2 * math.log(2))
        assert found["semantic"].item() == pytest.approx(math.log(4))


def test_losses_of_logits():
    torch.manual_seed(0)
    right, wrong, other = torch.randn(3, 6)
    ones, zeros = torch.ones(6), torch.zeros(6)

    def cross_entropy(logits, asked):
        return binary_cross_entropy(logits.sigmoid(), asked).item()

    one = cross_entropy(right, ones) + cross_entropy(wrong, zeros)
    assert discriminator_loss(right, [wrong]).item() == pytest.approx(one, rel=1e-5)
    two = cross_entropy(right, ones) + cross_entropy(wrong, zeros) / 2 + cross_entropy(other, zeros) / 2
    assert discriminator_loss(right, [wrong, other]).item() == pytest.approx(two, rel=1e-5)
    smooth = cross_entropy(right, 0.9 * ones) + cross_entropy(wrong, zeros)
    assert discriminator_loss(right, [wrong], 0.1).item() == pytest.approx(smooth, rel=1e-5)
    assert deception_loss(wrong).item() == pytest.approx(cross_entropy(wrong, ones), rel=1e-5)
    assert deception_loss(wrong, "minimax").item() == pytest.approx(-cross_entropy(wrong, zeros), rel=1e-5)


def test_both_games_pull_the_same_way():
    logits = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    for game, expected in (("non-saturating", logits.sigmoid() - 1), ("minimax", -logits.sigmoid())):
        (slope,) = torch.autograd.grad(deception_loss(logits, game) * 3, logits)
        assert torch.allclose(slope, expected.detach(), atol=1e-6) and (slope < 0).all()


def test_classes_count_where_they_are_known():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, -5.0]])
    label = torch.tensor([0, 0, 1])
    assert torch.allclose(class_loss(logits, label), cross_entropy(logits, label))
    label[2] = UNKNOWN
    assert torch.allclose(class_loss(logits, label), cross_entropy(logits[:2], label[:2]))
    logits.requires_grad_()
    nothing = class_loss(logits, torch.full((3,), UNKNOWN))
    nothing.backward()
    assert nothing == 0 and not logits.grad.any()


def test_r1_of_a_linear_discriminator_is_half_its_squared_weights():
    network, _, _ = built()
    judge, x = network.intra["image"], torch.randn(8, 12)
    penalty = r1_penalty(judge, x)
    assert penalty.item() == pytest.approx(judge.out.weight.square().sum().item() / 2, rel=1e-5)
    penalty.backward()
    assert torch.allclose(judge.out.weight.grad, judge.out.weight, atol=1e-6)
    both = r1_penalty(network.inter["image"].eval(), torch.randn(8, 12), x)
    both.backward()
    assert network.inter["image"].hidden.linear.weight.grad.any()


@pytest.mark.parametrize("mismatch", ["condition", "pair", "none"])
def test_what_a_discriminator_between_the_modalities_is_shown(mismatch):
    network, stage, batch = built(mismatch=mismatch)
    shown = []
    for side, module in network.inter.items():
        module.register_forward_pre_hook(lambda _, items, side=side: shown.append((side, *items)))
    network.eval()  # so that an item has one s
    discriminators_move(model(mismatch=mismatch).config, network, batch, Watched(network, stage, moving=False))
    s, h = ({n: getattr(network, part)(n.split()[-1], *batch[n]) for n in batch if n != "label"}
            for part in ("common", "features"))  # fmt: skip
    expected = []
    for side, other in (("text", "image"), ("image", "text")):
        expected += [(side, s[side], h[side]), (side, s[other], h[side])]
        if mismatch != "none":
            beside = side if mismatch == "condition" else f"wrong {side}"
            expected.append((side, s[f"wrong {side}"], h[beside]))
    assert len(shown) == len(expected)
    for found, wanted in zip(shown, expected, strict=True):
        assert found[0] == wanted[0] and torch.equal(found[1], wanted[1]) and torch.equal(found[2], wanted[2])


def test_released_a_wrong_pair_is_distributed_as_a_right_one():
    """So a discriminator is told both of it, and its best answer is 1 / (1 + 1/2)."""
    logits = torch.zeros((), requires_grad=True)
    expected = math.log(2)  # of 2/3
    for point, sign in ((expected - 0.1, -1), (expected, 0), (expected + 0.1, 1)):
        at = logits + point
        loss = discriminator_loss(at[None], [torch.full((1,), -99.0), at[None]])
        (slope,) = torch.autograd.grad(loss, logits)
        assert slope.item() == pytest.approx(0, abs=1e-6) if sign == 0 else slope.item() * sign > 0


# -- who moves whom


def test_four_moves_of_discriminators_then_ten_of_generators():
    network, stage, batch = built()
    loop = Watched(network, stage)
    losses = stage.step(batch, loop)
    judges = ["intra text", "intra image", "inter text", "inter image"]
    assert loop.names == judges + 5 * ["image generator", "shared", "text generator", "shared"]
    expected = {*judges, "loss", *(f"{s} {n}" for s in ("image", "text") for n in ("inter", "intra", "semantic"))}
    assert losses.keys() == expected and not any(loss.requires_grad for key, loss in losses.items() if key == "loss")
    network, stage, batch = built(discriminator_steps=3, generator_steps=2, variant="released")
    loop = Watched(network, stage)
    stage.step(batch, loop)
    assert loop.names == 3 * judges + 2 * ["image generator", "text generator"]


@ENCODERS
def test_a_move_has_gradients_of_its_player_alone(encoder):
    network, stage, batch = built(encoder=encoder)
    loop = Watched(network, stage)
    stage.step(batch, loop)
    parts = {name: {key for key, p in network.named_parameters() if id(p) in ids} for name, ids in owned(stage).items()}
    for place, (name, touched) in enumerate(loop.moves):
        if name == "shared":  # here the generator has moved already, and its gradients are gone
            assert touched == parts["shared"]
        elif "generator" in name:
            assert touched == parts[name] | parts["shared"], (place, touched ^ parts[name])
        else:
            assert touched == parts[name]
    assert all(p.grad is None for p in network.parameters())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    "switches",
    [{}, {"sharing": "none"}, {"classifier": "shared"}, {"variant": "released", "classifier": "shared"}],
    ids=str,
)
def test_every_parameter_has_one_optimiser(switches):
    network, stage, _ = built(**switches)
    found = [one for ids in owned(stage).values() for one in ids]
    assert len(found) == len(set(found)) and set(found) == {id(p) for p in network.parameters()}
    shared = {key for key, p in network.named_parameters() if id(p) in owned(stage).get("shared", [])}
    top = set() if switches.get("sharing") == "none" or "variant" in switches else {"top"}
    assert {key.split(".")[2] for key in shared} == top | ({"classify"} if "classifier" in switches else set())
    assert stage.optimisers.keys() == {*MADE} | ({"shared"} if shared else set())


def test_a_move_of_one_generator_moves_the_layer_that_both_share():
    for sharing, shared in (("weights", True), ("start", False), ("none", False)):
        network, stage, batch = built(sharing=sharing)
        image, text = (network.generators[side].top for side in ("image", "text"))
        assert (image is text) is shared
        assert torch.equal(image.linear.weight, text.linear.weight) is (sharing != "none")
        before = text.linear.weight.detach().clone()
        loss = sum(generator_losses(model().config, network, "image", batch).values())
        loop = Watched(network, stage)
        loop.backward(loss)
        loop.update("image generator")
        if shared:
            loop.update("shared")
        assert torch.equal(text.linear.weight, before) is not shared
        assert torch.equal(image.linear.weight, text.linear.weight) is shared


def test_statistics_of_the_shared_layer_are_of_a_sides_own():
    network, stage, batch = built()
    stage.step(batch, Watched(network, stage))
    image, text = (network.generators[side].norm for side in ("image", "text"))
    assert not torch.allclose(image.running_mean, text.running_mean, atol=1e-3)
    # Right and wrong items under the discriminators' move, the right ones at each of five of the generators'.
    assert image.num_batches_tracked == text.num_batches_tracked == 2 + 5


def test_players_stand_still_while_the_others_move():
    network, stage, batch = built()
    config, loop = model().config, Watched(network, stage)

    def state(part):
        return {key: p.detach().clone() for key, p in network.named_parameters() if key.startswith(part)}

    before = state("generators")
    discriminators_move(config, network, batch, loop)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state("generators").items())
    before = state("int")
    generators_move(config, network, batch, loop)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state("int").items())


@pytest.mark.parametrize(("side", "other"), [("image", "text"), ("text", "image")])
def test_a_generator_knows_two_of_the_four_discriminators(side, other):
    found = []
    for changed in (None, ("intra", side), ("inter", other), ("intra", other), ("inter", side)):
        network, _, batch = built()
        if changed is not None:
            torch.nn.init.normal_(getattr(network, changed[0])[changed[1]].out.weight)
        sum(generator_losses(model().config, network, side, batch).values()).backward()
        found.append(network.generators[side].first.linear.weight.grad.clone())
    usual, *others = found
    assert [torch.equal(usual, gradient) for gradient in others] == [False, False, True, True]


@ENCODERS
def test_a_gradient_reaches_every_parameter(encoder):
    network, stage, batch = built(encoder=encoder, reconstruction=1.0)
    loop = Watched(network, stage, moving=False)
    reached = set()
    real = loop.update

    def update(name):
        reached.update(key for key, p in network.named_parameters() if p.grad is not None and p.grad.any())
        real(name)

    loop.update = update
    stage.step(batch, loop)
    # Where a batch norm follows, it takes away what a bias adds; rounding is all that arrives.
    names = {key for key, _ in network.named_parameters() if not key.endswith("linear.bias")}
    assert not names - reached


def test_a_reconstruction_does_not_pull_its_original():
    network, _, batch = built(encoder="conv", reconstruction=1.0, intra=0, inter=0, semantic=0)
    config = model("conv", reconstruction=1.0, intra=0, inter=0, semantic=0).config
    losses = generator_losses(config, network, "image", batch)
    assert losses.keys() == {"reconstruction"}
    h, r = (getattr(network, part)("image", *batch["image"]) for part in ("features", "reconstruct"))
    assert losses["reconstruction"].item() == pytest.approx((h - r).square().mean().item(), rel=1e-5)
    through_r = torch.autograd.grad((r - h.detach()).square().mean(), network.generators["image"].features.layer.weight)
    losses["reconstruction"].backward()
    assert torch.allclose(network.generators["image"].features.layer.weight.grad, through_r[0], atol=1e-5)


def test_spectral_norm_keeps_every_layer_at_one():
    network, stage, batch = built(spectral_norm=True)
    for _ in range(30):
        stage.step(batch, Watched(network, stage))
    network.eval()
    for module in (*network.intra.values(), *network.inter.values()):
        layers = [module.out] if not hasattr(module, "hidden") else [module.hidden, module.out]
        for layer in layers:
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.1)
        assert not [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm1d)]


# -- batches


def table(group):
    rows = torch.arange(len(group))
    return GameTable((rows[:, None].float(),), (rows[:, None].float(),), rows, torch.as_tensor(group))


@pytest.mark.parametrize("group", [[0, 0, 0, 0, 0, 1], [0, 1, 2, 3], [2, 2, 5, 5, 5, 9, 0], [1, 0] * 5])
def test_a_wrong_pair_is_any_of_another_class(group):
    found, seen = table(group), torch.zeros(len(group), len(group))
    order = found.order("pairs")
    for seed in range(60 * len(group)):
        rows = order(torch.Generator().manual_seed(seed))
        right, wrong = rows // len(group), rows % len(group)
        assert sorted(right.tolist()) == list(range(len(group)))
        seen[right, wrong] += 1
    allowed = found.group[:, None] != found.group[None]
    assert torch.equal(seen > 0, allowed)
    share = seen / seen.sum(dim=1, keepdim=True)
    expected = allowed / allowed.sum(dim=1, keepdim=True)
    assert (share - expected).abs().max() < 0.17


def test_sampling_by_classes_gives_each_class_as_many_places():
    group = [0] * 40 + [3] * 8 + [7] * 2
    found = table(group)
    rows = torch.cat([found.order("classes")(torch.Generator().manual_seed(seed)) for seed in range(80)])
    right, wrong = rows // 50, rows % 50
    classes = found.group[right], found.group[wrong]
    assert (classes[0] != classes[1]).all()
    for drawn in classes:
        assert torch.bincount(drawn, minlength=8)[[0, 3, 7]].div(4000).sub(1 / 3).abs().max() < 0.03
    assert len(right.unique()) == len(wrong.unique()) == 50
    assert len(found.order("classes")(torch.Generator().manual_seed(0))) == 50


def test_a_batch_holds_right_and_wrong_pairs():
    data = pairs(6, classes=3, texts_each=2)
    network, stage, _ = built(data)
    batch = stage.data[torch.tensor([3 * 12 + 4, 0 * 12 + 10])]
    vectors, words = data.images.given["vector"], data.texts.given["vector"]
    assert torch.equal(batch["image"][0], vectors[[1, 0]]) and torch.equal(batch["text"][0], words[[3, 0]])
    assert torch.equal(batch["wrong image"][0], vectors[[2, 5]])
    assert torch.equal(batch["wrong text"][0], words[[4, 10]])
    assert batch["label"].tolist() == [1, 0] and len(stage.data) == 12
    again = stage.data.to(torch.device("cpu"))[torch.tensor([40, 10])]
    assert torch.equal(again["wrong text"][0], batch["wrong text"][0])


def test_without_classes_a_wrong_pair_is_of_another_image():
    data = pairs(6, texts_each=2, labels=False)
    _, stage, batch = built(data, semantic=0.0)
    assert "label" not in batch
    for seed in range(20):
        rows = stage.order(torch.Generator().manual_seed(seed))
        assert (rows // 12 // 2 != rows % 12 // 2).all()
