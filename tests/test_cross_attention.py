"""Cross attention against its definition, in value and gradient; padding, order and tiles change nothing."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from unittest.mock import patch

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, normalize

from benchmarks import cross_attention as benchmark
from benchmarks import run
from xmrlib.nn import cross_attention, cross_attention_scores, cross_attention_weights, tiles
from xmrlib.nn.cross_attention import LAMBDAS
from xmrlib.nn.sets import chunks

DIRECTIONS = ("t2i", "i2t")
NORMALISATIONS = ("clipped_l2norm", "l2norm", "clipped", "no_norm")
POOLINGS = ("lse", "mean", "max", "top")


@pytest.fixture
def unchecked():
    """The function's own errors, with the tests' shape checker out of the way."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(params=["gram", "contexts"])
def way(request, monkeypatch):
    """Both ways to the length of a context, whichever the sizes would choose."""
    monkeypatch.setattr(cross_attention, "gram_pays", lambda *_: request.param == "gram")
    return request.param


def plain_pair(regions, words, direction, normalisation, softmax, above_average_only, pooling, lse, top):
    """The score and the weights of one image with one text without padding, with every context formed."""
    answers, asks = (regions, words) if direction == "t2i" else (words, regions)
    affinity = asks @ answers.T
    if "clipped" in normalisation:
        affinity = torch.where(affinity > 0, affinity, 0.1 * affinity)
    if "l2norm" in normalisation:
        affinity = affinity / (affinity.norm(dim=0, keepdim=True) + 1e-8)
    weights = (softmax * affinity).softmax(dim=1)
    if above_average_only:
        weights = torch.where(weights > 1 / len(answers), weights, 0)
    cosines = cosine_similarity(asks, weights @ answers, dim=1)
    if pooling == "lse":
        score = (lse * cosines).exp().sum().log() / lse
    elif pooling == "top":
        count = min(top, len(asks)) if isinstance(top, int) else -int(-top * len(asks) // 1)
        score = cosines.sort().values[-count:].mean()
    else:
        score = {"mean": torch.mean, "max": torch.max}[pooling](cosines)
    return score, weights


def plain(regions, words, region_mask=None, word_mask=None, **options):
    """The definition: pair by pair, padding cut away."""
    direction = options.get("direction", "t2i")
    filled = {
        "direction": direction,
        "normalisation": options.get("normalisation", "clipped_l2norm"),
        "softmax": options.get("lambda_softmax") or LAMBDAS[direction][0],
        "above_average_only": options.get("above_average_only", False),
        "pooling": options.get("pooling", "lse"),
        "lse": options.get("lambda_lse") or LAMBDAS[direction][1],
        "top": options.get("top", 2 / 3),
    }
    region_mask = torch.ones(regions.shape[:2], dtype=torch.bool) if region_mask is None else region_mask
    word_mask = torch.ones(words.shape[:2], dtype=torch.bool) if word_mask is None else word_mask
    rows = [
        [plain_pair(image[a], text[b], **filled)[0] for text, b in zip(words, word_mask, strict=True)]
        for image, a in zip(regions, region_mask, strict=True)
    ]
    return torch.stack([torch.stack(row) for row in rows])


def sets(images=4, texts=5, regions=6, words=5, dim=8, seed=0, dtype=torch.float32, prefix=False):
    """Features of unit length and masks with at least one item a set; padding anywhere, or at the end."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for count, items in ((images, regions), (texts, words)):
        features = normalize(torch.randn(count, items, dim, generator=rng, dtype=torch.float64), dim=2)
        mask = torch.rand(count, items, generator=rng) < 0.6
        mask[torch.arange(count), torch.randint(items, (count,), generator=rng)] = True
        if prefix:
            mask = mask.sort(dim=1, descending=True).values
        made.append((features.to(dtype), mask))
    (regions, region_mask), (words, word_mask) = made
    return regions, words, region_mask, word_mask


TABLE = [
    {"direction": direction, "normalisation": normalisation, "pooling": pooling, "above_average_only": only}
    for direction, normalisation, pooling, only in itertools.product(
        DIRECTIONS, NORMALISATIONS, POOLINGS, (False, True)
    )
]
OTHER = [
    {"direction": "i2t", "pooling": "top", "top": 2},
    {"direction": "t2i", "pooling": "top", "top": 1},
    {"direction": "t2i", "pooling": "top", "top": 1.0},
    {"direction": "t2i", "pooling": "top", "top": 99},
    {"direction": "i2t", "pooling": "top", "top": 0.01},
    {"direction": "t2i", "lambda_softmax": 3, "lambda_lse": 2.5},
    {"direction": "i2t", "lambda_softmax": 20.0, "lambda_lse": 9},
]


def name(options):
    return "-".join(str(value) for value in options.values())


@pytest.mark.parametrize("options", TABLE + OTHER, ids=name)
def test_equals_the_definition(way, options):
    for seed, masked in ((0, True), (1, False)):
        given = sets(seed=seed)
        given = given if masked else given[:2]
        torch.testing.assert_close(
            cross_attention_scores(*given, **options), plain(*given, **options), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("options", TABLE + OTHER, ids=name)
def test_gradients_equal_those_of_the_definition(way, options):
    given = sets(seed=2)
    pull = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    gradients = []
    for score in (cross_attention_scores, plain):
        regions, words = (side.clone().requires_grad_() for side in given[:2])
        loss = (score(regions, words, *given[2:], **options) * pull).sum()
        gradients.append(torch.autograd.grad(loss, (regions, words)))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"direction": direction, "normalisation": normalisation, "pooling": pooling}
        for direction in DIRECTIONS
        for normalisation, pooling in (*zip(NORMALISATIONS, POOLINGS, strict=True), ("clipped_l2norm", "mean"))
    ],
    ids=name,
)
def test_gradcheck(way, options):
    regions, words, *masks = sets(2, 2, 3, 3, 4, seed=4, dtype=torch.float64)
    given = regions.requires_grad_(), words.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: cross_attention_scores(a, b, *masks, **options), given)


@pytest.mark.parametrize("options", [row for row in TABLE if row["normalisation"] == "clipped_l2norm"], ids=name)
@pytest.mark.parametrize(("images", "texts"), [(2, 3), (9, 8)], ids=["few sets", "more sets than items"])
@pytest.mark.parametrize("memory", [1, None], ids=["a pair at a time", "all at once"])
def test_either_order_of_axes_and_any_tile_give_the_same(way, options, images, texts, memory):
    """Few queries lie before what asks in them, many after; a tile of one context has no mask, others may have one."""
    given = sets(images=images, texts=texts, seed=21, dtype=torch.float64)
    torch.testing.assert_close(cross_attention_scores(*given, memory=memory, **options), plain(*given, **options))


def test_two_thirds_are_counted_as_in_mava():
    """Its code drops the lowest n // 3 of n."""
    for count in range(1, 100):
        options = cross_attention._Options("t2i", "no_norm", 1.0, False, "top", 1.0, 2 / 3)
        cosines = torch.arange(count, dtype=torch.float64)
        found = cross_attention._pooled(cosines[None, :, None], None, options)
        assert found.item() == pytest.approx(cosines[count // 3 :].mean().item())


def test_both_directions_are_a_sum():
    given = sets(seed=5)
    one, other = (cross_attention_scores(*given, direction=direction) for direction in DIRECTIONS)
    assert torch.equal(cross_attention_scores(*given, direction="both"), one + other)


def test_by_hand():
    """One word and two regions, worked out with a pocket calculator.

    w = (1, 0), v1 = (3/5, 4/5), v2 = (-1, 0). Affinities 0.6 and -1; the leaky rectifier makes 0.6 and -0.1. With one
    word, unit length makes 1 and -1. Soft-max of 9 and -9: 1 and e^-18. So c = v1, and the cosine is 0.6. Without any
    normalisation and lambda = log 3 / 1.6, the weights are 3/4 and 1/4, c = (1/5, 3/5), and the cosine is
    0.2 / sqrt(0.4) = 0.3162. Weights above one half alone leave 3/4 v1, whose cosine is 0.6 again.
    """
    regions, words = torch.tensor([[[0.6, 0.8], [-1.0, 0.0]]]), torch.tensor([[[1.0, 0.0]]])
    for pooling in POOLINGS:  # one word: all are the same
        assert cross_attention_scores(regions, words, pooling=pooling).item() == pytest.approx(0.6, abs=1e-6)
    options = {"normalisation": "no_norm", "lambda_softmax": 0.68663}
    assert cross_attention_scores(regions, words, **options).item() == pytest.approx(0.3162, abs=1e-4)
    assert cross_attention_scores(regions, words, above_average_only=True, **options).item() == pytest.approx(0.6)
    weights = cross_attention_weights(regions, words, **options)
    assert weights.tolist() == [[pytest.approx([0.75, 0.25], abs=1e-5)]]
    # Each region has one word to look at, and that word is its context: cosines 0.6 and -1.
    score = cross_attention_scores(regions, words, direction="i2t", pooling="mean")
    assert score.item() == pytest.approx(-0.2, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    images=st.integers(1, 7),
    texts=st.integers(1, 7),
    regions=st.integers(1, 6),
    words=st.integers(1, 6),
    memory=st.sampled_from([1, 500, 4_000, 60_000]),
    chunk=st.sampled_from([1, 600, 1 << 25]),
    direction=st.sampled_from(DIRECTIONS),
    pooling=st.sampled_from(POOLINGS),
    gradients=st.booleans(),
)
def test_tiles_change_nothing(seed, images, texts, regions, words, memory, chunk, direction, pooling, gradients):
    given = sets(images, texts, regions, words, 16, seed)
    options = {"direction": direction, "pooling": pooling}
    with torch.set_grad_enabled(gradients):
        with patch("xmrlib.nn.sets.CHUNK", chunk):
            tiled = cross_attention_scores(*given, **options, memory=memory)
        torch.testing.assert_close(tiled, cross_attention_scores(*given, **options), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(tiled, plain(*given, **options), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_tiles_change_no_gradient(direction):
    given, gradients = sets(7, 9, seed=6), []
    for memory in (1, 3_000, None):
        regions, words = (side.clone().requires_grad_() for side in given[:2])
        scores = cross_attention_scores(regions, words, *given[2:], direction=direction, memory=memory)
        gradients.append(torch.autograd.grad(scores.square().sum(), (regions, words)))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-5, atol=5e-6)


def test_large_sets_come_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("xmrlib.nn.sets.CHUNK", 4 * 3 * 2 * 5)  # bytes of five sets
    items, mask = torch.arange(42.0).reshape(7, 3, 2), torch.ones(7, 3, dtype=torch.bool)
    for real in (None, mask, mask & (torch.arange(7) < 6)[:, None] | (torch.arange(3) < 2)):
        found = list(chunks((items, real), 100))
        assert [len(rows) for rows, _ in found] == [4, 3]
        for rows, (part, some) in found:
            kept = torch.ones(part.shape[:2], dtype=torch.bool) if some is None else some
            assert torch.equal(part, items[rows, : part.shape[1]] * kept[:, :, None])
    assert [len(rows) for rows, _ in chunks((items, mask), 2)] == [2, 2, 2, 1]


@pytest.mark.parametrize("gradients", [False, True])
def test_chunks_hold_no_more_padding_than_their_largest_set_needs(gradients):
    real = torch.rand(40, 12, generator=torch.Generator().manual_seed(0)) < torch.linspace(0.1, 0.9, 40)[:, None]
    real[:, 5] = True
    items = torch.arange(40 * 12.0).reshape(40, 12, 1).masked_fill(~real[:, :, None], torch.nan)
    seen, last = [], 0
    with torch.set_grad_enabled(gradients):
        for rows, (part, mask) in chunks((items.requires_grad_(gradients), real), 7):
            counts = real[rows].sum(dim=1)
            assert part.shape == (len(rows), int(counts.max()), 1) and last <= int(counts.min())
            assert torch.equal(mask, torch.arange(part.shape[1]) < counts[:, None])
            for row, own, there in zip(rows, part, mask, strict=True):
                assert torch.equal(own[there], items[row][real[row]]) and not own[~there].any()
            seen, last = seen + rows.tolist(), int(counts.max())
    assert sorted(seen) == list(range(40))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tile_stays_within_its_memory(dtype):
    bound, itemsize = 100_000, dtype.itemsize
    contexts, queries = torch.zeros(500, 36, 64, dtype=dtype), torch.zeros(900, 17, 64, dtype=dtype)
    for pays in (True, False):
        width, height = tiles.tile_size(contexts, queries, bound, pays)
        assert width * height * 36 * 17 * tiles.ALIVE * itemsize <= bound
        assert (width + 1) * height * 17 * (36 * tiles.ALIVE + 64 * (not pays)) * itemsize > bound
        block = tiles.block_size(contexts, queries, bound, width, height)
        assert width <= block <= len(contexts)
        assert block == width or block * height * 36 * 17 * itemsize <= tiles.BLOCK * bound
    assert tiles.tile_size(contexts, queries, 1, True) == (1, 1)


def test_tiles_of_few_contexts_share_a_product(monkeypatch):
    """As pairs of regions ask a few phrases: a tile has room for one text, its block for more."""
    regions, words, region_mask, word_mask = sets(9, 40, 30, 4, 8, seed=3)
    options = {"direction": "i2t", "pooling": "top", "memory": 16_000}
    expected = cross_attention_scores(regions, words, region_mask, word_mask, **options)
    shapes = []
    products = torch.Tensor.__matmul__

    def product(left, right):
        shapes.append(left.shape)
        return products(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    with torch.no_grad():
        found = cross_attention_scores(regions, words, region_mask, word_mask, **options)
    width, height = tiles.tile_size(words, regions, 16_000, True)
    assert width * 4 < max(shape[0] for shape in shapes if len(shape) == 2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("direction", "pooling", "garbage"),
    [*itertools.product(DIRECTIONS, POOLINGS, [1e30, torch.nan, -torch.inf])],
)
def test_padding_never_matters(way, direction, pooling, garbage):
    regions, words, region_mask, word_mask = sets(seed=7)
    results = []
    for padding in (0.0, garbage):
        sides = [
            side.masked_fill(~mask[..., None], padding).requires_grad_()
            for side, mask in ((regions, region_mask), (words, word_mask))
        ]
        scores = cross_attention_scores(*sides, region_mask, word_mask, direction=direction, pooling=pooling)
        results.append([scores, *torch.autograd.grad(scores.sum(), sides)])
        for gradient, mask in zip(results[-1][1:], (region_mask, word_mask), strict=True):
            assert (gradient[~mask] == 0).all()
    for mine, theirs in zip(*results, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(("direction", "pooling"), [*itertools.product(DIRECTIONS, POOLINGS)])
def test_more_padding_changes_nothing(way, direction, pooling):
    given = sets(seed=8, prefix=True)
    wider = [torch.cat([part, torch.zeros_like(part[:, :3])], dim=1) for part in given]
    options = {"direction": direction, "pooling": pooling}
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(
        cross_attention_scores(*wider, **options), cross_attention_scores(*given, **options), **close
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_masks_that_may_not_be_looked_at(direction, monkeypatch):
    """As in a training step on a GPU: no order by length and no look for empty sets, the same scores and gradients."""
    given, results = sets(seed=12), []
    for look in (True, False):
        for module in ("sets", "cross_attention"):
            monkeypatch.setattr(f"xmrlib.nn.{module}.may_look", lambda mask, look=look: look)
        sides = [side.clone().requires_grad_() for side in given[:2]]
        scores = cross_attention_scores(*sides, *given[2:], direction=direction, memory=3_000)
        results.append([scores, *torch.autograd.grad(scores.square().sum(), sides)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=5e-6)
    given[2][1] = False
    assert not torch.isfinite(cross_attention_scores(*given, direction=direction)[1]).any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), direction=st.sampled_from(DIRECTIONS), pooling=st.sampled_from(POOLINGS))
def test_order_changes_nothing(seed, direction, pooling):
    regions, words, region_mask, word_mask = sets(seed=seed, regions=7, words=6)
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.randperm(7, generator=rng), torch.randperm(6, generator=rng)
    image, text = torch.randperm(4, generator=rng), torch.randperm(5, generator=rng)
    options = {"direction": direction, "pooling": pooling}
    scores = cross_attention_scores(regions, words, region_mask, word_mask, **options)
    shuffled = cross_attention_scores(
        regions[image][:, a], words[text][:, b], region_mask[image][:, a], word_mask[text][:, b], **options
    )
    torch.testing.assert_close(shuffled, scores[image][:, text], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_weights_to_look_at(direction):
    regions, words, region_mask, word_mask = sets(5, 5, seed=9)
    weights = cross_attention_weights(regions, words, region_mask, word_mask, direction=direction)
    assert weights.shape == (5, 5, 6)
    pairs = word_mask[:, :, None] & region_mask[:, None]
    assert (weights[~pairs] == 0).all()
    asking, over = (word_mask, 2) if direction == "t2i" else (region_mask, 1)
    torch.testing.assert_close(weights.sum(dim=over), asking.float())
    for pair in range(5):
        a, b = region_mask[pair], word_mask[pair]
        _, expected = plain_pair(
            regions[pair][a], words[pair][b], direction, "clipped_l2norm", LAMBDAS[direction][0], False, "mean", 1, 1
        )
        found = weights[pair][b][:, a]
        torch.testing.assert_close(found if direction == "t2i" else found.T, expected)
    only = cross_attention_weights(regions, words, region_mask, word_mask, direction=direction, above_average_only=True)
    assert ((only == 0) | (only == weights)).all() and (only == 0).sum() > (weights == 0).sum()


def test_weights_of_zero_temperature_are_uniform():
    weights = cross_attention_weights(*sets(5, 5, seed=9)[:2], lambda_softmax=0)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 6))


@pytest.mark.parametrize("squeeze", [1e-1, 1e-2, 1e-3])
def test_regions_that_nearly_cancel(squeeze):
    """v and -v + something small: |c|^2 is a difference of nearly equal terms, and loses digits as the text says."""
    rng = torch.Generator().manual_seed(0)
    v, rest = normalize(torch.randn(40, 2, 64, generator=rng, dtype=torch.float64), dim=2).unbind(dim=1)
    regions = torch.stack([v, -v + squeeze * rest], dim=1)
    words = normalize(torch.randn(40, 3, 64, generator=rng, dtype=torch.float64), dim=2)
    options = {"normalisation": "no_norm", "lambda_softmax": 0.0, "pooling": "mean"}
    exact = plain(regions.float().double(), words.float().double(), **options | {"lambda_softmax": 1e-12})
    factor = 2 / squeeze
    found = cross_attention_scores(regions.float(), words.float(), **options)
    assert torch.isfinite(found).all()
    assert (found - exact).abs().max() < 1e-7 * factor**2
    precise = cross_attention_scores(regions.float().double(), words.float().double(), **options)
    assert (precise - exact).abs().max() < 1e-15 * factor**2 + 1e-10


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_items_that_cancel_or_vanish_leave_no_infinite_gradient(way, direction):
    v = torch.tensor([1.0, 0.0, 0.0])
    for regions in (torch.stack([v, -v]), torch.zeros(2, 3)):
        for words in (torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), torch.zeros(2, 3)):
            sides = regions[None].clone().requires_grad_(), words[None].clone().requires_grad_()
            scores = cross_attention_scores(*sides, direction=direction, pooling="mean")
            assert scores.item() == pytest.approx(0.0, abs=1e-6)
            assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(scores.sum(), sides))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_half_precision(way, direction):
    """The affinities lose digits, nothing else does: scores are float32 and close."""
    given = sets(6, 6, 9, 7, 32, seed=10)
    exact = cross_attention_scores(*given, direction=direction)
    sides = [side.clone().requires_grad_() for side in given[:2]]
    with torch.autocast("cpu", torch.bfloat16):
        scores = cross_attention_scores(*sides, *given[2:], direction=direction)
    halves = cross_attention_scores(*(side.bfloat16() for side in given[:2]), *given[2:], direction=direction)
    for found in (scores, halves):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, exact, rtol=0, atol=2e-2)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(scores.sum(), sides))
    # With values that bfloat16 holds exactly and one product a sum, not a digit is lost.
    signs = torch.eye(4)[None], torch.eye(4)[None]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cross_attention_scores(*signs), cross_attention_scores(*map(torch.Tensor.float, signs)))


def test_the_way_is_chosen_by_the_work():
    """The Gram way for 36 regions against many words; contexts where one word asks, and for 1,260 pairs of regions."""
    regions, words = torch.zeros(1, 36, 1024), torch.zeros(64, 17, 1024)
    assert tiles.gram_pays(regions, words)
    assert not tiles.gram_pays(regions, words[:1, :1])
    assert not tiles.gram_pays(torch.zeros(1, 1260, 1024), words)


COMPILED = """
import torch
from xmrlib.nn import cross_attention_scores

torch.manual_seed(0)
given = torch.randn(6, 5, 8), torch.randn(7, 4, 8), torch.rand(6, 5) < 0.7, torch.rand(7, 4) < 0.7
given[2][:, 0] = given[3][:, 0] = True
results = []
for compiled in (False, True):
    sides = [side.clone().requires_grad_() for side in given[:2]]
    scores = cross_attention_scores(*sides, *given[2:], compiled=compiled)
    results.append([scores, *torch.autograd.grad(scores.square().sum(), sides)])
for eager, fused in zip(*results, strict=True):
    torch.testing.assert_close(fused, eager, rtol=1e-5, atol=5e-6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_compiled_equals_eager():
    """In a process of its own, for what is compiled must not carry the tests' shape checker."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]


def test_errors_at_the_door(unchecked):
    regions, words, region_mask, word_mask = sets()
    empty = region_mask.clone()
    empty[2] = False
    no_word = word_mask & (torch.arange(5)[:, None] != 3)
    score = cross_attention_scores
    for call, message in [
        (lambda: score(regions[0], words), r"regions must be \(image, region, dim\)"),
        (lambda: score(regions, words[:0]), r"words must be \(text, word, dim\), at least one"),
        (lambda: score(regions, words[:, :, :3]), "regions have 8 dimensions, words 3"),
        (lambda: score(regions, words, region_mask[:, :2]), r"region_mask must be \(4, 6\) of torch.bool"),
        (lambda: score(regions, words, None, word_mask.float()), r"word_mask must be .* got \(5, 5\) of torch.float32"),
        (lambda: score(regions, words, empty), "image 2 has no region"),
        (lambda: score(regions, words, None, no_word), "text 3 has no word"),
        (lambda: score(regions, words, direction="i2i"), "direction='i2i' is unknown; choose from t2i, i2t, both"),
        (lambda: score(regions, words, normalisation="l1norm"), "normalisation='l1norm' is unknown"),
        (lambda: score(regions, words, pooling="sum"), "pooling='sum' is unknown"),
        (lambda: score(regions, words, lambda_softmax=-1), "lambda_softmax=-1 must be at least 0"),
        (lambda: score(regions, words, lambda_lse=0), "lambda_lse=0 more than 0"),
        (lambda: score(regions, words, top=0), "top=0: give a number"),
        (lambda: score(regions, words, top=1.5), "top=1.5: give a number"),
        (lambda: score(regions, words, memory=0), "memory=0 bytes hold nothing"),
        (lambda: cross_attention_weights(regions, words), "4 images, 5 texts: weights belong"),
        (lambda: cross_attention_weights(regions, words[:4], direction="both"), "belong to one direction"),
        (lambda: cross_attention_weights(regions, words[:4], empty), "image 2 has no region"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


TINY = {"attend": {"images": 5, "dim": 24}, "train": {"images": 4, "dim": 12}, "relate": {"images": 2, "dim": 12}}
METHODS = [(task, method) for task in TINY for method in benchmark.TASKS[task].methods]


@pytest.mark.parametrize(("task", "method"), METHODS)
def test_each_method_of_the_benchmark_agrees(task, method):
    work = benchmark.TASKS[task]
    ours, theirs = (
        work.methods[name](work.prepare.get(name, dict)(work.data(**TINY[task]))) for name in (run.OURS, method)
    )
    assert run.agreement(theirs, ours, work.agree) == ("equal" if theirs else "")
