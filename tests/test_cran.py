"""CRAN: its modules against slow definitions, and the properties that the paper's construction must have."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from xmrlib.features.views import pair_geometry
from xmrlib.methods import CRANConfig
from xmrlib.methods.cran_network import Attention, CRANNetwork, Encoder, Matching, Whole, best_scores
from xmrlib.methods.cran_relations import Grounded, RegionPairs, TextRelations, pairs
from xmrlib.methods.cran_training import level_loss, level_losses, order_with_partners
from xmrlib.nn.ranking import hinge_loss

SIZES = {"dim": 6, "word_dim": 5, "predicate_dim": 3, "sentence_maps": 4, "content_words": 5, "word_pairs": 4}
MATCHINGS = pytest.mark.parametrize("matching", ["pooled", "best", "attended"])
FORMS = [
    {"relation": "pairs", "matching": "pooled"},
    {"relation": "pairs", "matching": "best"},
    {"relation": "pairs", "matching": "attended"},
    {"relation": "grounded", "matching": "best"},
    {"relation": "grounded", "matching": "pooled", "recurrence": None},
    {"relation": "pairs", "matching": "pooled", "text_relations": "words", "geometry": "both"},
    {"relation": "pairs", "matching": "best", "text_relations": "pairs", "reach": 2, "attention": False},
    {"relation": "pairs", "matching": "pooled", "ordered": False, "linear_pairs": True, "sentence": "mean"},
]
EACH = pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())))


def config(**settings) -> CRANConfig:
    return CRANConfig(**SIZES | settings)


def boxes(images: int, regions: int) -> torch.Tensor:
    corner = torch.rand(images, regions, 2) * 0.6
    return torch.cat([corner, corner + 0.1 + 0.3 * torch.rand(images, regions, 2)], dim=2)


def some(images: int = 4, texts: int = 5, regions: int = 4, words: int = 7):
    """Images and texts as a network takes them; sets of several lengths."""
    torch.manual_seed(1)
    region_mask = torch.arange(regions) < torch.randint(min(2, regions), regions + 1, (images,))[:, None]
    seen = torch.randn(images, 8), torch.randn(images, regions, 9), boxes(images, regions), region_mask
    mask = torch.arange(words) < torch.randint(4, words + 1, (texts,))[:, None]
    ids = torch.randint(2, 20, (texts, words)).masked_fill(~mask, 0)
    fragment = (torch.arange(words) // 4).expand(texts, words).masked_fill(~mask, -1)
    return seen, (ids, mask, fragment)


def built(seed: int = 0, **settings) -> CRANNetwork:
    torch.manual_seed(seed)
    found = config(**settings)
    sizes = {"image_view": 8, "image_regions": 9}
    return CRANNetwork(found, {name: sizes[name] for name in found.image_kinds}, 20).eval()


def scores(network: CRANNetwork, seen, read) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return network.scores(network.images(*seen), network.texts(*read))


def listed(count: int) -> list[tuple[int, int]]:
    return list(zip(*(side.tolist() for side in pairs(count)), strict=True))


# -- pairs of regions


def test_the_pairs_are_all_ordered_ones_but_those_of_a_region_with_itself():
    for count in range(6):
        assert listed(count) == list(permutations(range(count), 2))
        assert len(listed(count)) == count * (count - 1)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("geometry", ["relation", "none"])
def test_a_relation_of_regions_is_its_formula(linear, geometry):
    torch.manual_seed(0)
    module = RegionPairs(config(linear_pairs=linear, geometry=geometry))
    regions, where, mask = torch.randn(2, 4, 6), boxes(2, 4), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    found, real = module(regions, where, mask)
    assert found.shape == (2, 12, 6)
    g = pair_geometry(where)
    for row, (j, k) in enumerate(listed(4)):
        hidden = regions[:, j] @ module.first.weight.T + module.first.bias + regions[:, k] @ module.second.weight.T
        if geometry == "relation":
            hidden = hidden + g[:, j, k] @ module.place.weight.T
        expected = hidden if linear else module.out(hidden.relu())
        assert torch.allclose(found[:, row], expected, atol=1e-5)
        assert torch.equal(real[:, row], mask[:, j] & mask[:, k])


def test_with_identity_in_place_of_the_maps_a_pair_is_both_its_regions():
    module = RegionPairs(config(linear_pairs=True, geometry="none"))
    with torch.no_grad():
        module.first.weight.copy_(torch.eye(6))
        module.first.bias.zero_()
        module.second.weight.copy_(10 * torch.eye(6))
    regions = torch.randn(1, 3, 6)
    found, _ = module(regions, boxes(1, 3), torch.ones(1, 3).bool())
    for row, (j, k) in enumerate(listed(3)):
        assert torch.allclose(found[0, row], regions[0, j] + 10 * regions[0, k])


def test_unordered_pairs_do_not_know_which_comes_first():
    module = RegionPairs(config(ordered=False))
    found, _ = module(torch.randn(2, 3, 6), boxes(2, 3), torch.ones(2, 3).bool())
    place = {pair: row for row, pair in enumerate(listed(3))}
    for (j, k), row in place.items():
        assert torch.allclose(found[:, row], found[:, place[k, j]], atol=1e-6)
    ordered, _ = RegionPairs(config())(torch.randn(2, 3, 6), boxes(2, 3), torch.ones(2, 3).bool())
    assert not torch.allclose(ordered[:, place[0, 1]], ordered[:, place[1, 0]])


def test_linear_pairs_with_equal_weights_are_a_bag_of_regions():
    module = RegionPairs(config(linear_pairs=True))
    regions, mask = torch.randn(1, 4, 6), torch.ones(1, 4).bool()
    means = [module(regions, boxes(1, 4), mask)[0].mean(dim=1) for _ in range(3)]
    # However the regions lie: dx and dy cancel, but distance and the like need not, so the place is left out.
    module.place = None
    bags = [module(regions, boxes(1, 4), mask)[0].mean(dim=1) for _ in range(3)]
    assert torch.allclose(bags[0], bags[1]) and torch.allclose(bags[0], bags[2])
    expected = module.first(regions).mean(dim=1) + module.second(regions).mean(dim=1)
    assert torch.allclose(bags[0], expected, atol=1e-6)
    assert not torch.allclose(means[0], means[1])


@EACH
def test_an_image_with_one_region_has_no_relation(form):
    network = built(**form)
    seen, read = some(images=2, regions=1)
    found = scores(network, seen, read)
    assert found["relation"].eq(0).all()
    assert all(torch.isfinite(part).all() for part in found.values())


@EACH
def test_a_text_of_one_word_gives_numbers(form):
    network = built(**form)
    seen, (ids, mask, fragment) = some()
    found = scores(network, seen, (ids[:, :1], mask[:, :1], fragment[:, :1]))
    assert all(torch.isfinite(part).all() for part in found.values())
    if form["relation"] == "grounded" or form.get("text_relations", "phrases") != "words":
        assert found["relation"].abs().max() < 1e-6


# -- relations of words


def test_phrases_and_pairs_of_words_are_their_formulas():
    torch.manual_seed(0)
    states, mask = torch.randn(2, 5, 6), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    module = TextRelations(config(phrase_widths=(2, 3)))
    found, real = module(states, mask)
    assert found.shape == (2, 4 + 3, 6) and real.sum(dim=1).tolist() == [7, 3]
    two = module.layers[0].weight
    expected = module.out(
        (states[0, 1] @ two[:, :, 0].T + states[0, 2] @ two[:, :, 1].T + module.layers[0].bias).relu()
    )
    assert torch.allclose(found[0, 1], expected, atol=1e-5)

    module = TextRelations(config(text_relations="pairs", reach=2))
    found, real = module(states, mask)
    assert found.shape == (2, 4 + 3, 6) and real.sum(dim=1).tolist() == [7, 2 + 1]
    hidden = module.first(states[0, 1]) + module.second(states[0, 3]) + module.apart.weight[1]
    assert torch.allclose(found[0, 4 + 1], module.out(hidden.relu()), atol=1e-5)

    found, real = TextRelations(config(text_relations="words"))(states, mask)
    assert found.shape == states.shape and torch.equal(real, mask)


def test_padding_has_no_part_in_phrases():
    module = TextRelations(config())
    states, mask = torch.randn(1, 5, 6), torch.tensor([[1, 1, 1, 0, 0]]).bool()
    other = states.masked_fill(~mask[..., None], math.nan)
    first, real = module(states, mask)
    second, _ = module(other, mask)
    assert torch.allclose(first[real], second[real])


# -- attention and matching


def test_attention_is_a_soft_max_over_what_is_there():
    torch.manual_seed(0)
    attention = Attention(config())
    items, mask = torch.randn(3, 4, 6), torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]]).bool()
    weights = attention(items, mask)
    assert torch.allclose(weights.sum(dim=1), torch.tensor([1.0, 1.0, 0.0]))
    assert weights[~mask].eq(0).all()
    energies = (
        torch.tanh(items[1, [0, 2]] @ attention.inner.weight.T + attention.inner.bias) @ attention.outer.weight[0]
    )
    assert torch.allclose(weights[1, [0, 2]], energies.softmax(dim=0))
    with torch.no_grad():
        attention.inner.weight.zero_()
        attention.outer.weight.zero_()
    assert torch.allclose(attention(items, mask)[1], torch.tensor([0.5, 0, 0.5, 0]))
    assert torch.equal(Attention(config(attention=False))(items, mask), attention(items, mask))


@MATCHINGS
def test_a_matching_is_its_plain_definition(matching):
    torch.manual_seed(0)
    module = Matching(config(matching=matching))
    regions, region_mask = torch.randn(3, 4, 6), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    words, word_mask = torch.randn(2, 5, 6), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    with torch.no_grad():
        found = module.scores(module.parts("image", regions, region_mask), module.parts("text", words, word_mask))
        regions, words = (
            torch.where(mask[..., None], part, 0.0) for part, mask in ((regions, region_mask), (words, word_mask))
        )
        ai = module.attention["image"](regions, region_mask)
        at = module.attention["text"](words, word_mask)
    v, w = normalize(regions, dim=2), normalize(words, dim=2)
    for i in range(3):
        for t in range(2):
            vs, ws = v[i, region_mask[i]], w[t, word_mask[t]]
            if matching == "pooled":
                pooled = normalize(ai[i] @ regions[i], dim=0), normalize(at[t] @ words[t], dim=0)
                expected = pooled[0] @ pooled[1]
            elif matching == "best":
                expected = (at[t, word_mask[t]] * (vs @ ws.T).amax(dim=0)).sum()
            else:  # MAVA: leaky rectifier, unit length over regions, soft-max over words, those above the mean
                a = torch.nn.functional.leaky_relu(vs @ ws.T, 0.1)
                a = (4 * a / a.norm(dim=0, keepdim=True)).softmax(dim=1)
                a = a * (a > 1 / len(ws))
                cosines = torch.cosine_similarity(a @ ws, vs, dim=1).sort(descending=True).values
                expected = cosines[: math.ceil(2 / 3 * len(vs) - 1e-3)].mean()
            assert found[i, t] == pytest.approx(float(expected), abs=1e-5)


def test_the_best_region_is_found_some_texts_at_a_time(monkeypatch):
    torch.manual_seed(0)
    regions, mask = torch.randn(3, 4, 6), torch.rand(3, 4) > 0.3
    words, weights = torch.randn(7, 5, 6), torch.rand(7, 5)
    whole = best_scores(regions, mask, words, weights)
    monkeypatch.setattr("xmrlib.methods.cran_network.MEMORY", 4 * 3 * 4 * 5 * 2)
    with torch.no_grad():
        assert torch.allclose(best_scores(regions, mask, words, weights), whole)


def test_words_are_read_in_both_directions_and_padding_is_not():
    torch.manual_seed(0)
    for recurrence in ("lstm", "gru", None):
        encoder = Encoder(config(recurrence=recurrence), 9, 20).eval()
        ids, mask = torch.tensor([[3, 4, 5, 0], [3, 4, 5, 7]]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
        states = encoder.states(encoder.vectors(ids, mask), mask)
        short = encoder.states(encoder.vectors(ids[:1, :3], mask[:1, :3]), mask[:1, :3])
        assert torch.allclose(states[0, :3], short[0], atol=1e-6)
        assert torch.allclose(states[0, 0], states[1, 0]) == (recurrence is None)
        if recurrence:
            ahead = encoder.forwards(encoder.vectors(ids, mask))[0][1, 2]
            back = encoder.backwards(encoder.vectors(ids, mask)[1:, [3, 2]])[0][0, 1]
            assert torch.allclose(states[1, 2], (ahead + back) / 2, atol=1e-6)


def test_a_sentence_vector_does_not_see_padding():
    for sentence in ("cnn", "mean"):
        torch.manual_seed(0)
        level = Whole(config(sentence=sentence), 8)
        vectors, states = torch.randn(1, 6, 5), torch.randn(1, 6, 6)
        mask = torch.tensor([[1, 1, 1, 0, 0, 0]]).bool()
        vectors = vectors.masked_fill(~mask[..., None], 0)  # as the encoder leaves them
        whole = level.texts(vectors, states, mask)[0].detach()
        assert torch.allclose(whole, level.texts(vectors[:, :3], states[:, :3], mask[:, :3])[0], atol=1e-6)
        assert whole.norm() == pytest.approx(1, abs=1e-5)


# -- the grounded relation


def by_hand(level: Grounded, regions, where, mask, states, weights, ids, word_mask, fragment) -> float:
    """sim of one image with one text, in loops."""
    beta, total = level.sharpness.exp(), 0.0
    v, w, g = normalize(regions, dim=1), normalize(states, dim=1), pair_geometry(where)
    vectors = level.words.vectors(ids)
    real = [m for m in range(len(ids)) if word_mask[m]]
    chosen = sorted(sorted(real, key=lambda m: -weights[m])[: level.count])
    inside = [(m, n) for m, n in combinations(chosen, 2) if fragment[m] == fragment[n]]
    for m, n in sorted(inside, key=lambda pair: -weights[pair[0]] * weights[pair[1]])[: level.most]:
        own = [x for x in range(len(ids)) if fragment[x] == fragment[m]]
        stretches = range(own[0], m), range(m + 1, n), range(n + 1, own[-1] + 1)
        means = [vectors[list(s)].mean(dim=0) if len(s) else torch.zeros(5) for s in stretches]
        hidden = level.said(torch.cat(means))
        p, gate = level.predicate(hidden), level.gate(hidden).sigmoid()
        regions_there = [j for j in range(len(mask)) if mask[j]]
        am, an = ((beta * (v[regions_there] @ w[x])).softmax(dim=0) for x in (m, n))
        held = sum(
            am[a] * an[b] * (p @ level.place(g[j, k]))
            for a, j in enumerate(regions_there)
            for b, k in enumerate(regions_there)
            if j != k
        )
        total += float(gate * torch.tanh(torch.as_tensor(held)))
    return total


def test_the_grounded_relation_is_its_plain_definition(monkeypatch):
    torch.manual_seed(0)
    level = Grounded(config(), 20)
    (_, _, where, mask), (ids, word_mask, fragment) = some()
    regions, states, weights = torch.randn(4, 4, 6), torch.randn(5, 7, 6), torch.rand(5, 7)
    with torch.no_grad():
        images, texts = level.images(regions, where, mask), level.texts(states, weights, ids, word_mask, fragment)
        found = level.scores(images, texts)
        for i in range(4):
            for t in range(5):
                expected = by_hand(
                    level, regions[i], where[i], mask[i], states[t], weights[t], ids[t], word_mask[t], fragment[t]
                )
                assert found[i, t] == pytest.approx(expected, abs=1e-5)
        monkeypatch.setattr("xmrlib.methods.cran_relations.MEMORY", 4 * 4 * 16 * 4 * 2)  # two texts at a time
        assert torch.allclose(level.scores(images, texts), found, atol=1e-6)


def test_the_grounded_relation_leaves_the_local_level_alone():
    network = built(relation="grounded", matching="best").train()
    seen, read = some(4, 4)
    found = network.scores(network.images(*seen), network.texts(*read))
    losses = level_losses(found, torch.arange(4), network.config, network.sharpness)
    losses["relation"].backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved and all(name.startswith(("levels.relation", "sharpness.relation")) for name in moved)


def test_without_geometry_the_grounded_relation_does_not_see_how_regions_lie():
    torch.manual_seed(0)
    seen, read = some()
    moved = (seen[0], seen[1], boxes(*seen[3].shape), seen[3])
    for geometry, sees in (("none", False), ("relation", True), ("local", False)):
        network = built(relation="grounded", matching="best", geometry=geometry)
        first, second = (scores(network, part, read) for part in (seen, moved))
        assert torch.allclose(first["relation"], second["relation"], atol=1e-6) != sees or geometry == "local"
        assert torch.allclose(first["local"], second["local"]) == (geometry != "local")


# -- the whole network


@EACH
def test_the_order_of_regions_does_not_matter(form):
    network = built(**form)
    (whole, features, where, mask), read = some(regions=4)
    order = torch.tensor([2, 0, 3, 1])
    first = scores(network, (whole, features, where, mask), read)
    second = scores(network, (whole, features[:, order], where[:, order], mask[:, order]), read)
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-5), name


@EACH
def test_what_stands_in_padding_does_not_matter(form):
    network = built(**form)
    (whole, features, where, mask), (ids, word_mask, fragment) = some()
    first = scores(network, (whole, features, where, mask), (ids, word_mask, fragment))
    junk = features.masked_fill(~mask[..., None], 1e4), where.masked_fill(~mask[..., None], 0.0)
    wider = [
        torch.nn.functional.pad(part, (0, 3), value=value)
        for part, value in ((ids, 0), (word_mask, False), (fragment, -1))
    ]
    second = scores(network, (whole, *junk, mask), wider)
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-4), name


@EACH
def test_a_pair_has_one_score_whoever_is_scored_with_it(form):
    network = built(**form)
    seen, read = some()
    whole = scores(network, seen, read)
    one = scores(network, [part[2:3] for part in seen], [part[3:4] for part in read])
    for name in whole:
        assert torch.allclose(one[name][0, 0], whole[name][2, 3], atol=1e-5), name


@EACH
def test_every_parameter_learns(form):
    network = built(**form).train()
    seen, read = some(6, 6)
    found = network.scores(network.images(*seen), network.texts(*read))
    losses = level_losses(
        found, torch.arange(6), dataclasses.replace(network.config, negatives="softmax"), network.sharpness
    )
    sum(losses.values()).backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    idle = {"attended": {"attention"}, "best": {"attention.image"}}.get(form["matching"], set())
    # The alignment of pooled levels is read by the grounded relation only, whose loss does not change it.
    unexpected = {name for name in without if not any(part in name for part in idle)}
    assert not unexpected, unexpected


def test_levels_that_are_off_are_not_there():
    for levels in (("global",), ("local",), ("relation",), ("global", "relation")):
        network = built(levels=levels)
        seen, read = some()
        assert set(scores(network, seen, read)) == set(levels)
    assert built(levels=("global",)).region_scaling is None
    assert built(levels=("local",)).whole_scaling is None


def test_trained_apart_levels_share_nothing():
    network = built(joint=False)
    own = [{id(p) for p in network.parameters_of(level)} for level in network.config.levels]
    assert not own[0] & own[1] and not own[1] & own[2] and not own[0] & own[2]
    assert set.union(*own) == {id(p) for p in network.parameters()}
    grounded = built(joint=False, relation="grounded", matching="best")
    assert set(grounded.encoders) == {"global", "local"}
    assert {id(p) for p in grounded.parameters_of("relation")}.isdisjoint(
        map(id, grounded.encoders["local"].parameters())
    )


# -- losses and batches


def test_the_losses_against_numbers_worked_out_by_hand():
    same = torch.full((4, 4), 0.3)
    row = torch.arange(4)
    assert level_loss(same, row, "hardest", 0.2) == pytest.approx(2 * 0.2 * 4)
    noise = torch.rand(4, 2, 4)
    assert level_loss(same, row, "random", 0.2, noise=noise) == pytest.approx(2 * 0.2 * 4)
    assert level_loss(same, row, "sum", 0.2) == pytest.approx(2 * 0.2 * 4 * 3)
    assert level_loss(same, row, "softmax") == pytest.approx(2 * 4 * math.log(4))
    clear = 0.2 * torch.eye(4)
    for negatives in ("hardest", "sum", "random"):
        assert level_loss(clear, row, negatives, 0.2, noise=noise) == pytest.approx(0, abs=1e-6)
    torch.manual_seed(0)
    scores = torch.rand(6, 6)
    hardest = level_loss(scores, torch.arange(6), "hardest")
    for _ in range(20):
        assert hardest >= level_loss(scores, torch.arange(6), "random", noise=torch.rand(6, 2, 6)) - 1e-6
    assert hardest == hinge_loss(scores, torch.eye(6).bool())


def test_two_texts_of_one_image_are_no_negatives_of_one_another():
    scores = torch.tensor([[0.5, 0.9, 0.0], [0.9, 0.5, 0.0], [0.0, 0.0, 0.5]])
    row = torch.tensor([7, 7, 8])
    for negatives in ("hardest", "sum", "random"):
        assert level_loss(scores, row, negatives, 0.2, noise=torch.rand(3, 2, 3)) == pytest.approx(0, abs=1e-6)
    softmax = level_loss(scores, row, "softmax", sharpness=1.0)
    expected = 4 * math.log(math.exp(0.5) + 1) - 4 * 0.5 + 2 * (math.log(math.exp(0.5) + 2) - 0.5)
    assert softmax == pytest.approx(expected, abs=1e-5)


def test_the_grounded_relation_is_judged_by_what_it_adds():
    network = built(relation="grounded", matching="best", negatives="hardest")
    scores = {name: torch.rand(4, 4) for name in ("global", "local", "relation")}
    found = level_losses(scores, torch.arange(4), network.config, network.sharpness)
    assert found["local"] == level_loss(scores["local"], torch.arange(4), "hardest")
    assert found["relation"] == level_loss(scores["local"] + scores["relation"], torch.arange(4), "hardest")


@pytest.mark.parametrize(("texts", "batch"), [(40, 8), (41, 7), (12, 2), (9, 100), (10, 3)])
def test_twins_come_in_one_batch_and_everything_comes_once(texts, batch):
    partner = np.full(texts, -1)
    for first in range(0, texts - 3, 3):
        partner[first], partner[first + 1] = first + 1, first
    order = order_with_partners(partner, batch)
    for seed in range(10):
        rows = order(torch.Generator().manual_seed(seed)).tolist()
        assert sorted(rows) == list(range(texts))
        place = {row: at for at, row in enumerate(rows)}
        apart = [
            row for row in range(texts) if partner[row] >= 0 and place[row] // batch != place[partner[row]] // batch
        ]
        assert len(apart) <= 2, "no pair but the last may be cut, where nothing single is left to fill a batch"
    assert order(torch.Generator().manual_seed(1)).tolist() != order(torch.Generator().manual_seed(2)).tolist()


# -- the configuration


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"levels": ("local", "globe")}, "levels=.*one or more of global, local, relation"),
        ({"levels": ()}, "levels="),
        ({"levels": ("local", "local")}, "each once"),
        ({"weights": (1, 2)}, "three numbers"),
        ({"weights": (1, -1, 1)}, "three numbers from 0"),
        ({"weights": "best"}, "three numbers"),
        ({"weights": (0, 0, 1), "levels": ("local",)}, "leave nothing"),
        ({"relation": "grounded", "levels": ("relation",)}, "alignment of the local level"),
        ({"relation": "grounded", "linear_pairs": True}, "linear_pairs belongs to"),
        ({"relation": "grounded", "matching": "attended"}, 'learns no attention over words. Set matching="best"'),
        ({"matching": "nearest"}, "matching='nearest' is none of 'pooled', 'best', 'attended'"),
        ({"negatives": "all"}, "negatives='all'"),
        ({"dropout": 1.0}, "outside"),
        ({"phrase_widths": ()}, "at least one width"),
        ({"phrase_widths": (0, 2)}, "each from 1"),
        ({"dim": 0}, "dim=0 must be positive"),
        ({"margin": -0.1}, "margin"),
        ({"most_regions": 0}, "most_regions=0: give at least 1, or None"),
        ({"place_scale": 0.0}, "place_scale=0.0 must be positive"),
        ({"recurrence": "rnn"}, "recurrence"),
    ],
)
def test_faults_at_the_door(settings, words):
    with pytest.raises(ValueError, match=words):
        CRANConfig(**settings)


def test_sizes_that_are_known():
    paper = CRANConfig.paper()
    assert (paper.dim, paper.levels, paper.weights, paper.matching, paper.relation) == (
        1024, ("global", "local", "relation"), (1.0, 1.0, 1.0), "pooled", "pairs",
    )  # fmt: skip
    assert (paper.margin, paper.batch, paper.epochs, paper.learning_rate, paper.clip) == (0.2, 100, 30, 2e-4, 2.0)
    assert (paper.most_regions, CRANConfig().most_regions) == (5, None)
    assert CRANConfig.small().grounded and not CRANConfig.small(relation="pairs").grounded
    assert CRANConfig(levels=["relation", "global"]).levels == ("global", "relation")
