"""MCSM piece by piece: attention, word-CNN, loss and fusion against numbers worked out by hand and slow definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from xmrlib.methods import MCSMConfig
from xmrlib.methods.mcsm_fusion import best_weight, both_ways, fuse, places, rescaled, typical_bounds
from xmrlib.methods.mcsm_network import (
    MaskedBatchNorm,
    MCSMNetwork,
    RecurrentAttention,
    TextClassifier,
    TextualSpace,
    VisualSpace,
    WordCNN,
    Words,
)
from xmrlib.methods.mcsm_training import noise_for, ranking_loss
from xmrlib.methods.sides import Views
from xmrlib.nn.ranking import hinge_loss

SIZES = {"image_hidden": 6, "text_hidden": 5, "dim": 7, "word_dim": 4, "kernels": (3, 2), "maps": (6, 8)}
SIZES |= {"pools": (2, 2), "classifier_maps": 3}
SEEDS = pytest.mark.parametrize("seed", range(4))


def config(**own) -> MCSMConfig:
    return MCSMConfig(**SIZES | own)


def attention(steps=3, hidden=6, inner=True, **own) -> RecurrentAttention:
    return RecurrentAttention(config(**own), steps, hidden, inner).eval()


def ragged(lengths: list[int], words=9) -> tuple[torch.Tensor, torch.Tensor]:
    """Word numbers of texts of these lengths, and their mask."""
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return torch.randint(2, words, mask.shape) * mask, mask


def longer(ids: torch.Tensor, mask: torch.Tensor, by: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same texts, filled up further."""
    return nn.functional.pad(ids, (0, by)), nn.functional.pad(mask, (0, by))


# -- recurrent attention


@pytest.fixture
def plain() -> RecurrentAttention:
    """Without a recurrence, and H = x: what follows can be done by hand."""
    found = attention(2, 2, recurrence=False, dim=2)
    nn.init.eye_(found.out.weight)
    nn.init.zeros_(found.out.bias)
    return found


STEPS = torch.tensor([[[0.0, 0.0], [math.atanh(0.5), 1.0]]])
BOTH = torch.ones(1, 2, dtype=torch.bool)


def test_attention_of_two_steps_by_hand(plain):
    plain.inner = None  # tanh(H): energies 0 and 2 ln 3 / 2
    with torch.no_grad():
        plain.outer.weight.copy_(torch.tensor([[2 * math.log(3), 0.0]]))
    assert plain.attend(STEPS, BOTH).tolist()[0] == pytest.approx([1 / 4, 3 / 4])
    length = math.hypot(math.atanh(0.5), 1)  # the first step is zero, and the sum is brought to unit length
    assert plain(STEPS, BOTH).tolist()[0] == pytest.approx([math.atanh(0.5) / length, 1 / length])


def test_attention_looks_through_its_inner_matrix_and_bias(plain):
    with torch.no_grad():
        plain.inner.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        plain.inner.bias.copy_(torch.tensor([-1.0, 0.3]))
        plain.outer.weight.copy_(torch.tensor([[1.0, 5.0]]))
    first, second = (math.exp(math.tanh(y - 1) + 5 * math.tanh(0.3)) for y in (0.0, 1.0))
    found = plain.attend(STEPS, BOTH).tolist()[0]
    assert found == pytest.approx([first / (first + second), second / (first + second)])


@SEEDS
def test_weights_are_a_distribution_over_the_real_steps(seed):
    torch.manual_seed(seed)
    module, steps = attention(), torch.randn(5, 8, 3)
    mask = torch.arange(8)[None] < torch.tensor([8, 1, 3, 7, 2])[:, None]
    weights = module.attend(steps, mask)
    assert (weights >= 0).all() and (weights[~mask] == 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5))
    assert weights[0].std() > 1e-4, "they tell the steps apart"
    torch.testing.assert_close(module(steps, mask).norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("how", ["w_a = 0", "attention=False"])
def test_without_attention_the_mean_of_the_real_steps_is_taken(how):
    torch.manual_seed(0)
    module, steps = attention(attention=how == "w_a = 0"), torch.randn(2, 5, 3)
    if module.outer is not None:
        nn.init.zeros_(module.outer.weight)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    expected = torch.tensor([[1 / 5] * 5, [1 / 2, 1 / 2, 0, 0, 0]])
    torch.testing.assert_close(module.attend(steps, mask), expected)
    states = module.states(steps)
    mean = torch.stack([states[0].mean(dim=0), states[1, :2].mean(dim=0)])
    torch.testing.assert_close(module(steps, mask), normalize(mean, dim=1))
    assert (module.inner is None) == (how == "attention=False")


@SEEDS
def test_padding_has_no_part_in_recurrence_and_attention(seed):
    torch.manual_seed(seed)
    module, steps = attention(), torch.randn(3, 6, 3)
    mask = torch.arange(6)[None] < torch.tensor([6, 2, 4])[:, None]
    further = nn.functional.pad(mask, (0, 7))
    noisy = torch.cat([torch.where(mask[:, :, None], steps, 9.0), torch.full((3, 7, 3), -50.0)], dim=1)
    torch.testing.assert_close(module(noisy, further), module(steps, mask))
    torch.testing.assert_close(module(steps[1:2, :2], mask[1:2, :2]), module(steps, mask)[1:2])


def test_two_layers_are_those_of_an_lstm_over_packed_sequences():
    torch.manual_seed(0)
    module, steps = attention(), torch.randn(3, 6, 3)
    oracle = nn.LSTM(3, 6, num_layers=2, batch_first=True)
    names = {f"{name[:-1]}{k}": p for k, layer in enumerate(module.layers) for name, p in layer.state_dict().items()}
    oracle.load_state_dict(names)
    packed = pack_padded_sequence(steps, torch.tensor([6, 4, 2]), batch_first=True)
    states, _ = pad_packed_sequence(oracle(packed)[0], batch_first=True)
    mask = torch.arange(6)[None] < torch.tensor([6, 4, 2])[:, None]
    torch.testing.assert_close(module.states(steps)[mask], module.out(states)[mask])


@SEEDS
def test_both_forms_of_the_similarity_are_equal(seed):
    """The weighted sum of the steps' similarities is the similarity of their weighted sum."""
    torch.manual_seed(seed)
    module, steps, q = attention(), torch.randn(4, 6, 3), torch.randn(5, 7)
    mask = torch.arange(6)[None] < torch.tensor([6, 2, 4, 1])[:, None]
    weights, states = module.attend(steps, mask), module.states(steps)
    by_step = torch.einsum("nj,njd,md->nm", weights, states, q)
    pooled = torch.einsum("nj,njd->nd", weights, states)
    torch.testing.assert_close(by_step, pooled @ q.T)
    scaled = by_step / pooled.norm(dim=1, keepdim=True) / q.norm(dim=1)
    torch.testing.assert_close(scaled, module(steps, mask) @ normalize(q, dim=1).T)
    assert scaled.abs().max() <= 1 + 1e-6


def test_dropout_falls_between_the_layers_on_their_output_and_in_the_attention():
    torch.manual_seed(0)
    module, steps, mask = attention(dropout=0.5), torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    fallen = []
    module.dropout.register_forward_hook(lambda _, given, found: fallen.append(((found == 0).float().mean(), given[0])))
    module.train()
    module(steps, mask)
    assert [given.shape[2] for _, given in fallen] == [6, 6, 7]
    assert all(0.2 < share < 0.8 for share, _ in fallen)
    fallen.clear()
    module.eval()
    torch.testing.assert_close(module(steps, mask), module(steps, mask))
    assert all(share == 0 for share, _ in fallen)


def test_the_released_lstm_begins_as_torch7_has_it():
    torch.manual_seed(0)
    released = attention(2, 100, variant="released", text_length=20)
    ours = attention(2, 100)
    weight = released.layers[0].weight_ih_l0
    assert 0.6 < weight.abs().max() <= 1 / math.sqrt(2)  # of its two inputs, not of its hundred units
    assert ours.layers[0].weight_ih_l0.abs().max() <= 0.1
    assert 0.09 < released.layers[0].weight_hh_l0.abs().max() <= 0.1


# -- words and segments


def test_the_released_shapes():
    """2904 -> 2890 -> 578 -> 570 -> 114 -> 108 -> 18, with fewer channels."""
    network = WordCNN(2, (15, 9, 7), (3, 2, 4), (5, 5, 6))
    seen, mask = [], torch.ones(1, 2904, dtype=torch.bool)
    for layer in network.layers:
        layer.register_forward_hook(lambda _, given, found: seen.extend((given[0].shape[2], found.shape[2])))
    segments, real = network(torch.randn(1, 2904, 2), mask)
    assert [*seen, segments.shape[1]] == [2904, 2890, 578, 570, 114, 108, 18]
    assert segments.shape == (1, 18, 4) and real.shape == (1, 18) and real.all()
    assert (network.stride, network.field) == (150, 354)
    space = TextualSpace(MCSMConfig.paper(word_dim=2, maps=(3, 2, 4), text_hidden=3, dim=4), words=9, image=5)
    assert space.length(12) == space.length(5000) == 2904
    attended = space.eval().attention(*ragged([2904, 400, 3]))
    assert attended.shape == (3, 18) and (attended > 0).sum(dim=1).tolist() == [18, 3, 1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from([((3, 3), (2, 2)), ((4,), (3,)), ((1, 5, 2), (2, 1, 3)), ((), ())]),
    st.integers(0, 50),
    st.integers(0, 10**6),
)
def test_a_segment_is_real_where_a_word_of_it_is_and_does_not_know_how_far_its_text_is_padded(lengths, sizes, by, seed):
    torch.manual_seed(seed)
    kernels, pools = sizes
    network = WordCNN(3, kernels, (4,) * len(kernels), pools)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    words = torch.randn(*mask.shape, 3)

    def segments(words, mask):
        missing = network.length(mask.shape[1]) - mask.shape[1]
        assert missing >= 0
        return network(nn.functional.pad(words, (0, 0, 0, missing), value=7.0), nn.functional.pad(mask, (0, missing)))

    short, real = segments(words, mask)
    assert real.sum(dim=1).tolist() == [math.ceil(length / network.stride) for length in lengths]
    for row, length in enumerate(lengths):
        for j in range(real.shape[1]):
            assert real[row, j] == any(
                j * network.stride <= k < j * network.stride + network.field for k in range(length)
            )
    # In training mode: the moments of the batch come from real steps alone.
    further, still = segments(nn.functional.pad(words, (0, 0, 0, by), value=-3.0), nn.functional.pad(mask, (0, by)))
    torch.testing.assert_close(further[:, : real.shape[1]][real], short[real], atol=1e-5, rtol=1e-4)
    assert torch.equal(still[:, : real.shape[1]], real) and not still[:, real.shape[1] :].any()
    network.eval()
    row = seed % len(lengths)
    alone, _ = segments(words[row : row + 1, : lengths[row]], mask[row : row + 1, : lengths[row]])
    among, _ = segments(words, mask)
    torch.testing.assert_close(alone[0], among[row, : alone.shape[1]], atol=1e-5, rtol=1e-4)


@SEEDS
def test_what_is_not_real_is_zero_to_a_convolution_and_nothing_to_a_pool(seed):
    torch.manual_seed(seed)
    network = WordCNN(3, (3, 2), (5, 4), (2, 3)).eval()
    for norm in network.norms:  # far from 0, so that a step that is not real would stand out after it
        nn.init.constant_(norm.bias, 3.0)
        nn.init.normal_(norm.running_mean)
    words = torch.randn(2, 9, 3)
    mask = torch.arange(9)[None] < torch.tensor([9, 4])[:, None]
    missing = network.length(9) - 9
    found, real = network(nn.functional.pad(words, (0, 0, 0, missing)), nn.functional.pad(mask, (0, missing)))
    for row, length in enumerate([9, 4]):
        steps = list(words[row, :length])
        for layer, norm, pool in zip(network.layers, network.norms, network.pools, strict=True):
            width = layer.kernel_size[0]
            padded = torch.stack([*steps, *[torch.zeros_like(steps[0])] * (width - 1)])
            sums = torch.stack(
                [torch.einsum("wd,mdw->m", padded[k : k + width], layer.weight) for k in range(len(steps))]
            )
            scaled = (sums - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            steps = [part.amax(dim=0) for part in scaled.clamp(min=0).split(pool)]
        assert real[row].sum() == len(steps)
        torch.testing.assert_close(found[row][real[row]], torch.stack(steps), atol=1e-5, rtol=1e-4)


def test_without_convolution_the_words_are_the_segments():
    network, words = WordCNN(3, (), (), ()), torch.randn(2, 5, 3)
    mask = torch.arange(5)[None] < torch.tensor([5, 2])[:, None]
    segments, real = network(words, mask)
    assert torch.equal(segments[real], words[mask]) and torch.equal(real, mask)
    assert (network.stride, network.field, network.length(5), network.dim) == (1, 1, 5, 3)
    assert torch.equal(network.cover(4), torch.eye(4, dtype=torch.bool))


@SEEDS
def test_masked_batch_norm_is_batch_norm_of_the_real_steps(seed):
    torch.manual_seed(seed)
    ours, theirs = MaskedBatchNorm(4), nn.BatchNorm1d(4)
    for module in (ours, theirs):
        with torch.no_grad():
            module.weight.copy_(torch.arange(1.0, 5.0))
            module.bias.copy_(torch.arange(4.0))
    mask = torch.rand(6, 7) < 0.6
    for _ in range(2):
        x = 3 * torch.randn(6, 7, 4) + 1
        torch.testing.assert_close(ours(torch.where(mask[:, :, None], x, 1e3), mask)[mask], theirs(x[mask]))
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x, mask).flatten(0, 1), theirs(x.flatten(0, 1)))
    assert torch.isfinite(MaskedBatchNorm(4)(x[:1, :1], torch.ones(1, 1, dtype=torch.bool))).all()


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("own", [{}, {"kernels": (), "maps": (), "pools": ()}, {"recurrence": False}], ids=str)
def test_a_text_has_one_embedding_however_long_its_neighbours_are(own, mode):
    torch.manual_seed(0)
    space = TextualSpace(config(dropout=0.0, **own), words=9, image=5).train(mode == "train")
    ids, mask = ragged([1, 3, 17, 8])
    short = space.texts(ids, mask)
    torch.testing.assert_close(space.texts(*longer(ids, mask, 30)), short, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(short.norm(dim=1), torch.ones(4))
    weights = space.attention(ids, mask)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
    if mode == "eval":
        for row, length in enumerate([1, 3, 17, 8]):
            alone = space.texts(ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(alone[0], short[row], atol=1e-5, rtol=1e-4)
        other = ids.clone()
        other[2, 16] = 2 + (ids[2, 16] - 1) % 7
        changed = (space.texts(other, mask) - short).abs().amax(dim=1) > 1e-6
        assert changed.tolist() == [False, False, True, False], "the last word of a text is read"


def test_texts_are_cut_and_filled_up_to_the_length_that_is_set():
    torch.manual_seed(0)
    space = TextualSpace(config(text_length=16), words=9, image=5).eval()
    ids, mask = ragged([40, 5])
    assert space.segments(ids, mask)[0].shape[1] == 3  # 16 -> 14 -> 7 -> 6 -> 3
    torch.testing.assert_close(space.texts(ids, mask), space.texts(ids[:, :16], mask[:, :16]))
    torch.testing.assert_close(space.texts(ids[1:, :5], mask[1:, :5]), space.texts(ids, mask)[1:])


def test_in_the_released_code_padding_counts():
    torch.manual_seed(0)
    released = TextualSpace(config(variant="released", text_length=40), words=9, image=5).eval()
    paper = TextualSpace(config(text_length=40), words=9, image=5).eval()
    ids, mask = ragged([5, 5])
    weights = released.attention(ids, mask)
    assert (weights > 0).all() and (paper.attention(ids, mask) > 0).sum(dim=1).tolist() == [2, 2]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    # One length for all, so that a text still does not know its neighbours.
    torch.testing.assert_close(released.texts(*longer(ids, mask, 9)), released.texts(ids, mask))
    words, twice = released.word_attention(ids, mask), paper.word_attention(ids, mask)
    assert (words.sum(dim=1) < 0.9).all() and words.shape == (2, 5)
    torch.testing.assert_close(twice.sum(dim=1), torch.ones(2))


def test_words_share_the_weight_of_their_segments():
    torch.manual_seed(0)
    space = TextualSpace(config(kernels=(2,), maps=(6,), pools=(2,)), words=9, image=5).eval()
    ids, mask = ragged([4, 1])
    weights, found = space.attention(ids, mask), space.word_attention(ids, mask)
    # The first segment sees words 0 to 2, the second one 2 to 4, of which there is no fourth.
    a, b = weights[0].tolist()
    assert found[0].tolist() == pytest.approx([a / 3, a / 3, a / 3 + b / 2, b / 2])
    assert found[1].tolist() == pytest.approx([1, 0, 0, 0]) and weights[1].tolist() == pytest.approx([1, 0])


def test_the_word_cnn_takes_the_maximum_over_all_windows_that_touch_the_text():
    torch.manual_seed(0)
    classifier = TextClassifier(config(), words=9, classes=3).eval()
    ids, mask = ragged([6, 1, 4])
    vectors = classifier.vectors(ids, mask)
    assert vectors.shape == (3, 9) and classifier(ids, mask).shape == (3, 3)
    torch.testing.assert_close(classifier.vectors(*longer(ids, mask, 11)), vectors)
    for row, length in enumerate([6, 1, 4]):
        words = classifier.words.vectors.weight[ids[row, :length]]
        expected = []
        for layer, width in zip(classifier.layers, (3, 4, 5), strict=True):
            padded = torch.cat([torch.zeros(width - 1, 4), words, torch.zeros(width - 1, 4)])
            windows = torch.stack([padded[k : k + width] for k in range(length + width - 1)])
            sums = torch.einsum("kwd,mdw->km", windows, layer.weight) + layer.bias
            expected.append(sums.clamp(min=0).amax(dim=0))
        torch.testing.assert_close(vectors[row], torch.cat(expected))


def test_words_begin_where_they_are_told():
    torch.manual_seed(0)
    known = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]])
    learned, fixed = Words(3, 2, trained=True), Words(3, 2, trained=False)
    random = learned.vectors.weight[1].clone()
    for words in (learned, fixed):
        words.start(known)
    assert torch.equal(learned.vectors.weight[1], random) and random.any()
    assert torch.equal(fixed.vectors.weight, known)
    assert learned.vectors.weight[2].tolist() == [1, 2] and not learned.vectors.weight[0].any()
    assert learned.vectors.weight.requires_grad and not fixed.vectors.weight.requires_grad
    with torch.no_grad():
        learned.vectors.weight[0] = 5.0
    assert not learned(torch.tensor([[2, 0]]), torch.tensor([[True, False]]))[0, 1].any()


# -- the two spaces


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_what_each_space_is_made_of(variant):
    torch.manual_seed(0)
    own = config(variant=variant, text_length=40, text_whole="cnn", word_vectors="ppmi")
    network = MCSMNetwork(own, {"image_regions": 3, "image_view": 5}, {"text_view": 9}, classes=2).eval()
    parts = (network.visual, network.textual, network.classifier)
    owned = [{p.data_ptr() for p in part.parameters()} for part in parts]
    assert all(owned) and not owned[0] & owned[1] and not owned[0] & owned[2] and not owned[1] & owned[2]
    assert sum(map(len, owned)) == len(list(network.parameters()))
    assert network.visual.sequence.inner is not None, "W_a is in the visual space of both"
    assert (network.textual.sequence.inner is None) == (variant == "released")
    images, regions = torch.randn(6, 5), torch.randn(6, 4, 3)
    q = network.textual.images(images)
    torch.testing.assert_close(q.norm(dim=1), torch.ones(6))
    assert bool((q > 0).all()) == (variant == "released")
    projected = network.textual.image_layer(images)
    if variant == "released":
        projected = 1 / (1 + (-projected).exp())
    torch.testing.assert_close(q, normalize(projected, dim=1))
    texts = torch.randn(5, 9)
    torch.testing.assert_close(network.visual.texts(texts), normalize(network.visual.text_layer(texts), dim=1))
    v = network.visual.images(regions, torch.ones(6, 4, dtype=torch.bool))
    scores = v @ network.visual.texts(texts).T
    assert scores.abs().max() <= 1 + 1e-6 and v.shape == (6, 7)
    assert network.textual.words.vectors.weight.requires_grad == (variant == "paper")


@pytest.mark.parametrize(
    ("spaces", "built"), [("visual", {"visual"}), ("textual", {"textual"}), ("both", {"visual", "textual"})]
)
def test_a_space_that_is_not_asked_for_is_not_built(spaces, built):
    network = MCSMNetwork(
        config(spaces=spaces), {"image_regions": 3, "image_view": 5}, {"text_whole": 4, "text_view": 9}, classes=2
    )
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == built


def test_a_region_that_is_not_there_does_not_count():
    torch.manual_seed(0)
    space = VisualSpace(config(scaling="standard"), regions=3, text=4).eval()
    space.region_scaling.fit(torch.randn(50, 3) + 4)
    regions, mask = torch.randn(2, 4, 3), torch.tensor([[True] * 4, [True, True, False, False]])
    other = torch.where(mask[:, :, None], regions, 77.0)
    torch.testing.assert_close(space.images(other, mask), space.images(regions, mask))
    torch.testing.assert_close(space.images(regions[1:, :2], mask[1:, :2]), space.images(regions, mask)[1:])
    assert (space.attention(regions, mask) > 0).equal(mask)
    swapped = regions[:1, [1, 0, 2, 3]]
    assert (space.images(swapped, mask[:1]) - space.images(regions[:1], mask[:1])).abs().max() > 1e-4, "order counts"


# -- the loss


def slow_loss(scores, group, margin, noise):
    """The loss, one pair after the other."""
    total, n = 0.0, len(group)
    for a in range(n):
        wrong = [b for b in range(n) if group[b] != group[a]]
        if not wrong:
            continue
        if noise is None:
            text, image = max(wrong, key=lambda b: scores[a, b]), max(wrong, key=lambda b: scores[b, a])
        else:
            text, image = (max(wrong, key=lambda b, k=k: noise[a, k, b]) for k in (0, 1))
        total += max(0, margin - scores[a, a] + scores[a, text]) + max(0, margin - scores[a, a] + scores[image, a])
    return float(total) / n


def test_the_loss_of_three_pairs_by_hand():
    scores = torch.tensor([[0.9, 0.6, 0.8], [0.2, 0.5, 0.4], [0.7, 0.1, 0.3]])
    group = torch.tensor([0, 0, 1])
    # The first two are of one class, so that the third is wrong for both; for the third, both are.
    first = max(0, 0.5 - 0.9 + 0.8) + max(0, 0.5 - 0.9 + 0.7)
    second = max(0, 0.5 - 0.5 + 0.4) + max(0, 0.5 - 0.5 + 0.1)
    hardest = max(0, 0.5 - 0.3 + 0.7) + max(0, 0.5 - 0.3 + 0.8)
    assert ranking_loss(scores, group, 0.5).item() == pytest.approx((first + second + hardest) / 3)
    # Noise that takes the second text and the first image for the third pair.
    noise = torch.zeros(3, 2, 3)
    noise[2, 0, 1] = noise[2, 1, 0] = 0.9
    drawn = max(0, 0.5 - 0.3 + 0.1) + max(0, 0.5 - 0.3 + 0.8)
    assert ranking_loss(scores, group, 0.5, noise).item() == pytest.approx((first + second + drawn) / 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.floats(0.05, 1), st.booleans(), st.integers(0, 10**6))
def test_the_loss_is_the_slow_loop(count, groups, margin, random, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.rand(count, count, generator=generator) - 1
    group = torch.randint(0, groups, (count,), generator=generator)
    noise = torch.rand(count, 2, count, generator=generator) if random else None
    found = ranking_loss(scores, group, margin, noise)
    assert found.item() == pytest.approx(slow_loss(scores, group, margin, noise), abs=1e-5)
    assert 0 <= found.item() <= 2 * (2 + margin)


def test_the_loss_is_twice_the_margin_where_all_embeddings_coincide():
    for noise in (None, noise_for(6, 6, torch.device("cpu"))):
        loss = ranking_loss(torch.full((6, 6), 1.0), torch.arange(6) % 2, 0.5, noise)
        assert loss.item() == pytest.approx(2 * 0.5)
    worst = ranking_loss(1 - 2 * torch.eye(4), torch.arange(4), 0.5)
    assert worst.item() == pytest.approx(2 * (2 + 0.5))
    assert ranking_loss(2 * torch.eye(4) - 1, torch.arange(4), 0.5).item() == 0


def test_the_hardest_are_those_of_the_hinges_that_other_networks_take():
    torch.manual_seed(0)
    scores, group = torch.rand(7, 7), torch.arange(7) % 3
    same = group[:, None] == group[None]
    expected = hinge_loss(scores, same, 0.5, "hardest") / 7
    torch.testing.assert_close(ranking_loss(scores, group, 0.5), expected)
    random = [ranking_loss(scores, group, 0.5, torch.rand(7, 2, 7)) for _ in range(30)]
    assert max(random) <= expected + 1e-6 and min(random) < expected - 1e-3


def test_a_wrong_one_is_always_of_another_group_and_any_of_them():
    torch.manual_seed(0)
    group = torch.tensor([0, 0, 1, 2, 2, 1])
    own = group[:, None] == group[None]
    # A right one that was taken for wrong would cost a thousand.
    scores = torch.where(own, 1000.0, 0.0).fill_diagonal_(0)
    drawn, together = torch.zeros(6, 6), torch.zeros(6, 6)
    for _ in range(600):
        leaf = scores.clone().requires_grad_()
        loss = ranking_loss(leaf, group, 0.5, noise_for(6, 6, torch.device("cpu")))
        assert loss.item() == pytest.approx(1.0)
        loss.backward()
        step = (6 * leaf.grad).fill_diagonal_(0)  # 1 for the text of each row, and 1 for the image of each column
        drawn += step
        together += step == 2
    assert not drawn[own].any()
    # Four wrong ones a pair: every place is drawn by a row and by a column, a quarter of the time each.
    expected = 600 * (1 / (~own).sum(dim=1)[:, None] + 1 / (~own).sum(dim=0)[None]) * ~own
    assert ((drawn - expected).abs() < 75).all()
    # By both at once in a sixteenth of the time: the two draws know nothing of one another.
    assert ((together[~own] - 600 / 16).abs() < 30).all()


def test_a_pair_without_a_wrong_one_costs_nothing_and_gives_no_gradient():
    scores = torch.rand(3, 3).requires_grad_()
    for noise in (None, torch.rand(3, 2, 3)):
        loss = ranking_loss(scores, torch.zeros(3, dtype=torch.long), 0.5, noise)
        loss.backward()
        assert loss.item() == 0 and not scores.grad.any()


# -- the fusion


def test_fusion_of_one_query_by_hand():
    v, t = torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[0.2, 0.4, 0.2]])
    assert fuse(v, t)[0].tolist() == pytest.approx([0, 1 * 0.5 + 0.5 * 0.4, 1 * 0.2])
    # w = 3/4 of r(V) T and 1/4 of r(T) V, twice.
    weighed = [0, 2 * (0.75 * 0.5 * 0.4 + 0.25 * 1 * 0.5), 2 * 0.75 * 1 * 0.2]
    assert fuse(v, t, weight=0.75)[0].tolist() == pytest.approx(weighed)
    assert fuse(v, t, "sum")[0].tolist() == pytest.approx([0.2, 0.9, 1.2])
    assert fuse(v, t, "sum", 1.0)[0].tolist() == pytest.approx([0, 1, 2])
    assert fuse(v, t, "max")[0].tolist() == pytest.approx([0.2, 0.5, 1.0])
    assert fuse(v, t, "rank")[0].tolist() == pytest.approx([0 + 1 / 4, 1 / 2 + 1, 1 + 1 / 4])
    assert fuse(v, t, "product")[0].tolist() == pytest.approx([0, 0.5, 0])
    bounds = ((0.0, 2.0), (-0.2, 0.8))
    assert fuse(v, t, bounds=bounds)[0].tolist() == pytest.approx([0, 0.6 * 0.5 + 0.25 * 0.4, 0.4 + 0.5 * 0.2])
    below = fuse(-torch.ones(1, 1), -torch.ones(1, 1), "product", bounds=((0.0, 1.0), (0.0, 1.0)))
    assert below.item() == 0, "two that are below do not make a high one"


def two_spaces(seed: int, rows=5, columns=7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(rows, columns, generator=generator, dtype=torch.float64) for _ in (0, 1))


EVERY = ("adaptive", "sum", "max", "rank", "product")


@SEEDS
def test_what_the_fusion_does_not_depend_on(seed):
    v, t = two_spaces(seed)
    for scale, shift in ((3.0, 0.7), (0.01, -5.0)):
        torch.testing.assert_close(rescaled(scale * v + shift), rescaled(v))
        row_by_row = scale * torch.arange(1.0, 6.0, dtype=torch.float64)[:, None]
        torch.testing.assert_close(rescaled(row_by_row * v + shift), rescaled(v))
        for how in ("rank", "product"):
            torch.testing.assert_close(fuse(scale * v + shift, t, how), fuse(v, t, how))
    torch.testing.assert_close(fuse(v.exp(), t, "rank"), fuse(v, t, "rank"))
    for how in EVERY:
        torch.testing.assert_close(fuse(v, t, how), fuse(t, v, how))
        torch.testing.assert_close(fuse(v.T, t.T, how, axis=0).T, fuse(v, t, how))
    for how in ("adaptive", "sum", "rank"):
        torch.testing.assert_close(fuse(v, t, how, 0.3), fuse(t, v, how, 0.7))
    torch.testing.assert_close(fuse(3 * v, 3 * t), 3 * fuse(v, t))
    torch.testing.assert_close(fuse(v, v), 2 * rescaled(v) * v)
    own = ((float(v[0].min()), float(v[0].max())), (float(t[0].min()), float(t[0].max())))
    torch.testing.assert_close(fuse(v, t, bounds=own)[0], fuse(v, t)[0])


def test_rescaling_one_space_changes_the_fused_order():
    v, t = torch.tensor([[1.0, 0.6, 0.0]]), torch.tensor([[0.8, 0.9, 0.7]])
    # r(V) = 1, .6, 0 and r(T) = .5, 1, 0. With c V in place of V: .8 + .5 c against .54 + .6 c, which meet at 2.6.
    for scale, order in ((1.0, [0, 1, 2]), (10.0, [1, 0, 2])):
        fused = fuse(scale * v, t)
        assert fused[0].tolist() == pytest.approx([0.8 + 0.5 * scale, 0.54 + 0.6 * scale, 0])
        assert fused.argsort(dim=1, descending=True)[0].tolist() == order
    assert fuse(0.1 * v, t, "product").argsort().equal(fuse(10 * v, t, "product").argsort())


@SEEDS
def test_a_space_that_cannot_tell_leaves_the_ranking_to_the_other(seed):
    v, _ = two_spaces(seed)
    flat = torch.full_like(v, 0.4)
    torch.testing.assert_close(fuse(v, flat), 0.4 * rescaled(v))
    assert torch.equal(fuse(v, flat).argsort(dim=1), v.argsort(dim=1))
    assert not fuse(flat, flat).any(), "0/0 is 0"
    assert not fuse(v[:, :1], v[:, :1]).any() and torch.isfinite(fuse(v[:1], v[:1], axis=0)).all()


@SEEDS
def test_only_a_querys_own_row_counts(seed):
    v, t = two_spaces(seed)
    for how in EVERY:
        torch.testing.assert_close(fuse(v, t, how)[2:3], fuse(v[2:3], t[2:3], how))
        torch.testing.assert_close(fuse(v, t, how, axis=0)[:, 3:4], fuse(v[:, 3:4], t[:, 3:4], how, axis=0))
    assert not torch.allclose(fuse(v, t)[2:3], fuse(v, t, axis=0)[2:3])


def test_places_with_ties():
    assert places(torch.tensor([[5.0, 1.0, 5.0, 2.0, 5.0]]))[0].tolist() == pytest.approx(
        [3 / 4, 0, 3 / 4, 1 / 4, 3 / 4]
    )
    assert places(torch.tensor([[3.0], [1.0]]), axis=0).flatten().tolist() == [1, 0]
    assert places(torch.tensor([[3.0]])).item() == 0


def test_typical_bounds_by_hand():
    scores = torch.tensor([[0.0, 1.0], [0.5, 0.2], [0.1, 0.9]])
    least = ((0 + 0.2 + 0.1) / 3 + (0 + 0.2) / 2) / 2
    largest = ((1 + 0.5 + 0.9) / 3 + (0.5 + 1) / 2) / 2
    assert typical_bounds(scores) == pytest.approx((least, largest))


def test_each_direction_is_scored_on_its_own_matrix():
    right, wrong = torch.eye(3), torch.eye(3).roll(1, 0)
    alone = Views(torch.zeros(3, 1), torch.zeros(3, 1), torch.arange(3))
    classes = Views(torch.zeros(3, 1), torch.zeros(3, 1), torch.arange(3), torch.arange(3), 3)
    assert both_ways(right, right, classes) == 1.0
    half = both_ways(right, wrong, classes)
    assert both_ways(wrong, wrong, classes) < half < 1 and half == pytest.approx(both_ways(wrong, right, classes))
    # Recall@1 of one direction is 0; that of all others is 1.
    assert both_ways(right, wrong, alone) == both_ways(right, wrong, classes, "recall") < 1
    assert both_ways(right, right, alone) == 1.0


def test_the_weight_is_the_one_that_retrieves_best():
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    views = Views(torch.zeros(12, 1), torch.zeros(12, 1), torch.arange(12), labels, 3)
    good = (labels[:, None] == labels[None]).float() + 0.2 * torch.rand(12, 12)
    noise = 30 * torch.rand(12, 12)
    assert best_weight(good, noise, views, "sum") == 1.0
    assert best_weight(noise, good, views, "sum") == 0.0
    assert best_weight(good, good, views, "sum") == 0.5, "of equals the middle"
    # Far from 0, r(V) T ranks as V does and r(T) V as T does.
    far = good + 100, torch.rand(12, 12) + 100
    assert both_ways(fuse(*far, axis=1), fuse(*far, axis=0), views) < 1
    found = best_weight(*far, views, "adaptive")
    assert found > 0.5 and both_ways(*(fuse(*far, "adaptive", found, axis) for axis in (1, 0)), views) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"how": "mean"}, "how='mean' is none of 'adaptive', 'sum'"),
        ({"weight": 1.5}, "weight=1.5 has no place in the fusion 'adaptive'"),
        ({"weight": math.nan}, "weight=nan has no place"),
        ({"how": "max", "weight": 0.3}, "weight=0.3 has no place in the fusion 'max'"),
        ({"axis": 2}, "axis=2 is neither 1"),
        ({"how": "rank", "bounds": ((0.0, 1.0), (0.0, 1.0))}, "has no use for bounds"),
    ],
    ids=str,
)
def test_a_wrong_fusion_is_refused(settings, message):
    with pytest.raises(ValueError) as caught:
        getattr(fuse, "__wrapped__", fuse)(torch.rand(2, 2), torch.rand(2, 2), **settings)
    assert message in str(caught.value)
