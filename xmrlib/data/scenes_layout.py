"""Where things go in a scene, and how its twin differs.

Boxes are drawn at random and kept if nothing overlaps. A twin is made from a finished layout by exchanging two
objects (or their sizes) and then moving and scaling the whole group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from xmrlib.data.scenes_truth import Box, fails, holds
from xmrlib.data.scenes_world import THINGS, Place, aspect

REFERENCE = 0.33  # the drawn size of a thing of natural size 1, as a fraction of the picture
AIR_BETWEEN = 0.012  # the least gap between two boxes
EDGE = 0.012
TWIN_KINDS = ("left-right", "above-below", "near", "size")


@dataclass(frozen=True)
class Figure:
    """A thing chosen for a scene, before it has a place."""

    name: str
    drawing: str
    mirrored: bool
    role: str
    stands: str
    natural: float


Swap = tuple[str, tuple[int, ...]]  # the kind of a twin and the figures it moves: (A, B), or (A, C, B, D) for "near"


def figure(rng: np.random.RandomState, noun: str, role: str, unseen: bool = False) -> Figure:
    """The thing called `noun` with one of its drawings; with `unseen`, one that training never shows."""
    thing = THINGS[noun]
    drawings = thing.unseen if unseen and thing.unseen else thing.drawings
    drawing = drawings[int(rng.random_sample() * len(drawings))]
    mirrored = bool(rng.random_sample() < 0.5) and thing.mirrored
    return Figure(noun, drawing, mirrored, role, thing.stands, thing.size)


def _level(stands: str, place: Place) -> str:
    """In which layer of the picture a thing stands; only things of one layer can be exchanged freely."""
    if stands == "a":
        return "air"
    # What lives on the shore lies on the sand of a beach and swims only where there is no land.
    if place.water is not None and (stands == "w" or (stands == "s" and place.water == place.ground)):
        return "water"
    return "back" if stands == "t" else "ground"


def _heights(stands: str, place: Place, height: float) -> tuple[float, float]:
    """Between which heights the lower edge of a thing may lie."""
    level = _level(stands, place)
    if level == "air":
        return height + 0.03, max(height + 0.05, place.horizon - 0.02)
    return {"water": place.water or place.ground, "back": place.back, "ground": place.ground}[level]


def _shape(natural: float, drawing: str, scale: float) -> tuple[float, float]:
    """Width and height of a drawing at `scale`. The root compresses: a shell beside a ship must still be seen."""
    side = REFERENCE * math.sqrt(natural) * scale
    ratio = math.sqrt(aspect(drawing))
    width, height = side * ratio, side / ratio
    # Long thin things (a skateboard, a flute) would cross half the picture.
    shrink = min(1.0, 0.42 / max(width, height))
    return width * shrink, height * shrink


def _clear(box: Box, others: list[Box | None]) -> bool:
    x0, y0, x1, y1 = box
    for other in others:
        if (
            other is not None
            and x0 < other[2] + AIR_BETWEEN
            and other[0] < x1 + AIR_BETWEEN
            and y0 < other[3] + AIR_BETWEEN
            and other[1] < y1 + AIR_BETWEEN
        ):
            return False
    return x0 >= EDGE and x1 <= 1 - EDGE and y0 >= EDGE and y1 <= 1 - EDGE


def _at(x: float, bottom: float, shape: tuple[float, float]) -> Box:
    return x - shape[0] / 2, bottom - shape[1], x + shape[0] / 2, bottom


def _standing(figures: list[Figure], boxes: list[Box], place: Place) -> bool:
    """Whether every lower edge is where its thing may stand."""
    for one, box in zip(figures, boxes, strict=True):
        low, high = _heights(one.stands, place, box[3] - box[1])
        if not low - 1e-9 <= box[3] <= high + 1e-9:
            return False
    return True


def _apart(boxes: list[Box]) -> bool:
    return all(_clear(box, list(boxes[:place])) for place, box in enumerate(boxes))


def _scatter(
    rng: np.random.RandomState, figures: list[Figure], place: Place, scales: list[float], swap: Swap | None
) -> list[Box] | None:
    """One attempt to give every figure a box, or None."""
    shapes = [_shape(one.natural, one.drawing, scale) for one, scale in zip(figures, scales, strict=True)]
    boxes: list[Box | None] = [None] * len(figures)
    beside = {}
    # The large ones first, while there is room.
    order = sorted(range(len(figures)), key=lambda place: -shapes[place][0] * shapes[place][1])
    if swap is not None and swap[0] == "near":
        a, c, b, d = swap[1]
        beside = {c: a, d: b}
    if swap is not None:
        order.sort(key=lambda place: place not in swap[1])
        order[: len(swap[1])] = swap[1]
    for here in order:
        width, height = shapes[here]
        low, high = _heights(figures[here].stands, place, height)
        for _ in range(16):
            if here in beside:
                # C stands beside A, on either side, at about the same height.
                x0, y0, x1, y1 = boxes[beside[here]]
                away = AIR_BETWEEN + 0.003 + 0.025 * rng.random_sample() + width / 2
                x = x0 - away if rng.random_sample() < 0.5 else x1 + away
                bottom = y1 + 0.05 * (rng.random_sample() - 0.5)
                if not low <= bottom <= high:
                    continue
            else:
                x = EDGE + width / 2 + (1 - 2 * EDGE - width) * rng.random_sample()
                bottom = low + (high - low) * rng.random_sample()
            box = _at(x, bottom, (width, height))
            if _clear(box, boxes):
                boxes[here] = box
                break
        else:
            return None
        if swap is not None and here == swap[1][-1] and not _promising(swap, boxes):
            return None
    return boxes


def _promising(swap: Swap, boxes: list[Box | None]) -> bool:
    """Whether the figures to be exchanged stand so that twins can come of it: asked before the others are placed."""
    if swap[0] == "near":
        return all(fails("near", boxes[i], boxes[j]) for i, _, j in told_apart_after(swap))
    ((a, kind, b),) = told_apart(swap)
    return holds(kind, boxes[a], boxes[b]) or holds(kind, boxes[b], boxes[a])


def _exchanged(figures: list[Figure], boxes: list[Box], scales: list[float], swap: Swap) -> list[Box]:
    """The layout after the exchange that makes the twin."""
    kind, members = swap
    a, b = members[0], members[-2] if kind == "near" else members[1]
    if kind == "near":
        a, b = members[1], members[3]
    after = list(boxes)
    shapes = [(box[2] - box[0], box[3] - box[1]) for box in boxes]
    x = [(box[0] + box[2]) / 2 for box in boxes]
    bottom = [box[3] for box in boxes]
    if kind == "left-right":
        after[a], after[b] = _at(x[b], bottom[a], shapes[a]), _at(x[a], bottom[b], shapes[b])
    elif kind == "above-below":
        after[a], after[b] = _at(x[a], bottom[b], shapes[a]), _at(x[b], bottom[a], shapes[b])
    elif kind == "near":
        after[a], after[b] = _at(x[b], bottom[b], shapes[a]), _at(x[a], bottom[a], shapes[b])
    else:
        grown = scales[b] * math.sqrt(figures[b].natural / figures[a].natural)
        shrunk = scales[a] * math.sqrt(figures[a].natural / figures[b].natural)
        after[a] = _at(x[a], bottom[a], _shape(figures[a].natural, figures[a].drawing, grown))
        after[b] = _at(x[b], bottom[b], _shape(figures[b].natural, figures[b].drawing, shrunk))
    return after


def _moved(rng: np.random.RandomState, figures: list[Figure], boxes: list[Box], place: Place) -> list[Box]:
    """The whole group at a random place and scale, so that no single box tells the twins apart."""
    for _ in range(12):
        scale = 0.88 + 0.12 * rng.random_sample()
        right = 0.3 * (rng.random_sample() - 0.5)
        down = 0.2 * (rng.random_sample() - 0.5)
        moved = [tuple((v - 0.5) * scale + 0.5 + (down if i % 2 else right) for i, v in enumerate(b)) for b in boxes]
        if _standing(figures, moved, place) and _apart(moved):
            return moved
    return boxes


def told_apart(swap: Swap) -> tuple[tuple[int, str, int], ...]:
    """The relations of the first twin that are false in the second, as (first, kind, second)."""
    kind, members = swap
    if kind == "near":
        a, c, b, d = members
        return (a, "near", c), (b, "near", d)
    a, b = members
    return ((a, {"left-right": "left", "above-below": "above", "size": "bigger"}[kind], b),)


def told_apart_after(swap: Swap) -> tuple[tuple[int, str, int], ...]:
    """The same for the second twin: the relations after the exchange."""
    kind, members = swap
    if kind == "near":
        a, c, b, d = members
        return (a, "near", d), (b, "near", c)
    return tuple((second, relation, first) for first, relation, second in told_apart(swap))


def _true_and_false(swap: Swap, boxes: list[Box], after: list[Box]) -> bool:
    """Whether each twin shows its own relations and clearly not the other's."""
    own, other = told_apart(swap), told_apart_after(swap)
    return (
        all(holds(kind, boxes[i], boxes[j]) and fails(kind, after[i], after[j]) for i, kind, j in own)
        and all(holds(kind, after[i], after[j]) and fails(kind, boxes[i], boxes[j]) for i, kind, j in other)
    )  # fmt: skip


def _room(figures: list[Figure], place: Place) -> float:
    """By how much to shrink so that the fullest layer of the picture is at most 38 % covered: then dice find room."""
    covered: dict[str, float] = {}
    height: dict[str, float] = {}
    for one in figures:
        level = _level(one.stands, place)
        side, low = REFERENCE * REFERENCE * one.natural, _heights(one.stands, place, 0.0)
        covered[level] = covered.get(level, 0.0) + side
        height[level] = low[1] - low[0] if level == "air" else low[1] - low[0] + REFERENCE * math.sqrt(one.natural)
    return min(1.0, math.sqrt(min(0.38 * height[level] / covered[level] for level in covered)))


def _scales(rng: np.random.RandomState, figures: list[Figure], swap: Swap | None, crowd: float) -> list[float]:
    scales = [crowd * (0.82 + 0.4 * rng.random_sample()) for _ in figures]
    if swap is not None and swap[0] == "size":
        # Both sides of the exchange must be drawable: take two sizes around the mean of the two, one 1.5 the other.
        a, b = swap[1]
        middle = crowd * math.sqrt(math.sqrt(figures[a].natural * figures[b].natural))
        scales[a] = middle * 1.24 / math.sqrt(figures[a].natural)
        scales[b] = middle * 0.82 / math.sqrt(figures[b].natural)
    return scales


def layout(rng: np.random.RandomState, figures: list[Figure], place: Place) -> list[Box]:
    """A box for every figure, without overlap."""
    room = _room(figures, place)
    for attempt in range(200):
        boxes = _scatter(rng, figures, place, _scales(rng, figures, None, room * 0.98**attempt), None)
        if boxes is not None:
            return boxes
    raise RuntimeError(f"no room for {len(figures)} figures in {place.name}")


def twin_layouts(
    rng: np.random.RandomState, figures: list[Figure], place: Place, swap: Swap
) -> tuple[list[Box], list[Box]] | None:
    """Two layouts that differ by the exchange `swap` and by where the group stands, or None if no room was found."""
    room = _room(figures, place)
    for attempt in range(40):
        # Rather no twin of this kind than one so small that nobody can make it out.
        scales = _scales(rng, figures, swap, room * max(0.75, 0.98**attempt))
        boxes = _scatter(rng, figures, place, scales, swap)
        if boxes is None:
            continue
        after = _exchanged(figures, boxes, scales, swap)
        if not (_standing(figures, after, place) and _apart(after)):
            continue
        after = _moved(rng, figures, after, place)
        if _true_and_false(swap, boxes, after):
            return boxes, after
        if _true_and_false(swap, after, boxes):
            return after, boxes
    return None


def possible_swaps(rng: np.random.RandomState, figures: list[Figure], place: Place) -> list[Swap]:
    """Every kind of twin that these figures allow here, each with figures chosen at random, in random order."""
    layers: dict[str, list[int]] = {}
    for number, one in enumerate(figures):
        if one.role != "clutter":
            layers.setdefault(_level(one.stands, place), []).append(number)
    everyone = [number for members in layers.values() for number in members]
    widest = max(layers.values(), key=len)
    roomy = [members for layer, members in layers.items() if layer != "back" and len(members) >= 2]
    found: list[Swap] = []
    if len(everyone) >= 2:
        found.append(("left-right", _some(rng, everyone, 2)))
        found.append(("size", _some(rng, everyone, 2)))
    if roomy:
        found.append(("above-below", _some(rng, roomy[int(rng.random_sample() * len(roomy))], 2)))
    if len(widest) >= 4:
        found.append(("near", _some(rng, widest, 4)))
    return [found[i] for i in rng.permutation(len(found))]


def _some(rng: np.random.RandomState, numbers: list[int], count: int) -> tuple[int, ...]:
    return tuple(numbers[i] for i in rng.permutation(len(numbers))[:count])


def with_clutter(rng: np.random.RandomState, figures: list[Figure], drawings: list[str]) -> list[Figure]:
    """The figures with small props that no text names."""
    props = [Figure(drawing, drawing, bool(rng.random_sample() < 0.5), "clutter", "s", 0.32) for drawing in drawings]
    return [*figures, *(replace(prop, name=f"prop {prop.name}") for prop in props)]
