"""How scenes are made up: families that share objects, and twins within them.

A split is made in blocks of one family a theme. Every family has a seed of its own, so the first hundred scenes of a
split are the same whether one asks for a hundred or for a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from xmrlib.data.scenes_language import pick
from xmrlib.data.scenes_layout import Swap, figure, layout, possible_swaps, twin_layouts, with_clutter
from xmrlib.data.scenes_texts import Draft, Knobs, sayable, texts
from xmrlib.data.scenes_truth import Object, Scene, Sentence
from xmrlib.data.scenes_world import (
    CAST,
    CLUTTER,
    CONVERSE,
    OWN_PLACE,
    PLACES,
    SHARED_PLACES,
    THEMES,
    THINGS,
    Thing,
    unseen_pair,
)

SPLIT_NUMBERS = {"train": 0, "val": 1, "test": 2}
LOOKS, DETAILS = 24, 3

Unit = tuple[list[Draft], Swap | None]  # one draft, or two drafts and what was exchanged between them


def scenes(part: str, count: int, knobs: Knobs) -> list[Scene]:
    """The first `count` scenes of the split `part`."""
    made: list[Scene] = []
    block = 0
    while len(made) < count:
        for unit in _block(part, block, knobs):
            room = count - len(made)
            if room == 0:
                break
            if len(unit) > room:
                unit = [replace(unit[0], twin=None, twin_kind=None)]
            ids = [f"{part}-{len(made) + i:05d}" for i in range(len(unit))]
            for i, scene in enumerate(unit):
                made.append(replace(scene, id=ids[i], twin=ids[1 - i] if len(unit) == 2 else None))
        block += 1
    return made


def _block(part: str, block: int, knobs: Knobs) -> Iterator[list[Scene]]:
    """One family of each theme, shuffled; twins stay side by side."""
    units = []
    for number, theme in enumerate(THEMES):
        family = block * len(THEMES) + number
        units += _family(np.random.RandomState([knobs.seed, SPLIT_NUMBERS[part], family]), part, theme, family, knobs)
    order = np.random.RandomState([knobs.seed, SPLIT_NUMBERS[part], block, 7]).permutation(len(units))
    return (units[place] for place in order)


def _family(rng: np.random.RandomState, part: str, theme: str, family: int, knobs: Knobs) -> list[list[Scene]]:
    novel = part == "test" and rng.random_sample() < knobs.novel
    # Half of the families at sea hold nothing that needs land: their scenes may lie on the open water.
    stands = "asw" if theme == "sea" and rng.random_sample() < 0.5 else "asgtw"
    cast = [(thing, weight) for thing, weight in CAST[theme] if thing.stands in stands]
    core = _core(rng, theme, cast, stands, knobs, novel)
    share = knobs.twins[SPLIT_NUMBERS[part]]
    units: list[Unit] = []
    count = 0
    while count < knobs.family:
        # A pair fills two places at once: to have `share` of the scenes in pairs, draw pairs a little less often.
        paired = rng.random_sample() < share / (2 - share)
        units.append(_unit(rng, theme, cast, stands, core, knobs, novel, paired))
        count += len(units[-1][0])
    drafts = [draft for members, _ in units for draft in members]
    voice = np.random.RandomState([knobs.seed, SPLIT_NUMBERS[part], family, 3])
    # Families are counted within a split; what a scene is told must tell the families of all splits apart.
    known = len(SPLIT_NUMBERS) * family + SPLIT_NUMBERS[part]
    return [
        [
            _scene(theme, known, draft, sentences, swap, novel)
            for draft, sentences in zip(members, texts(voice, members, swap, drafts, knobs, novel), strict=True)
        ]
        for members, swap in units
    ]


# Who is in the picture ---------------------------------------------------------------------------------------------


def _draw(rng: np.random.RandomState, cast: list[tuple[Thing, float]], taken: set[str]) -> Thing:
    left = [(thing, weight) for thing, weight in cast if thing.noun not in taken]
    at = rng.random_sample() * sum(weight for _, weight in left)
    for thing, weight in left:
        at -= weight
        if at < 0:
            return thing
    return left[-1][0]


def _stranger(rng: np.random.RandomState, theme: str, stands: str, taken: set[str]) -> Thing:
    """A thing of another theme, out of the water."""
    while True:
        other = pick(rng, THEMES)
        thing = pick(rng, CAST[other])[0]
        fits = thing.stands in stands and thing.stands != "w" and thing.noun not in taken
        if fits and theme not in (thing.theme, *thing.also):
            return thing


def _core(
    rng: np.random.RandomState, theme: str, cast: list[tuple[Thing, float]], stands: str, knobs: Knobs, novel: bool
) -> list[tuple[str, str]]:
    """The (noun, role) that all scenes of a family share. The first two belong to the theme."""
    cast = [(thing, weight * (4 if novel and thing.unseen else 1)) for thing, weight in cast]
    core: list[tuple[str, str]] = []
    for place in range(knobs.sharing):
        taken = {noun for noun, _ in core}
        if place >= 2 and rng.random_sample() < knobs.strangers:
            core.append((_stranger(rng, theme, stands, taken).noun, "stranger"))
        else:
            core.append((_draw(rng, cast, taken).noun, "core"))
    return core


def _places(theme: str, nouns: list[str]) -> tuple[bool, list[str]]:
    """Whether the theme's own place suits these things, and which shared places do."""
    stands = [THINGS[noun].stands for noun in nouns]
    wet, dry = "w" in stands, sum(one in "gt" for one in stands)
    own = {"open sea": dry == 0, "heights": not wet and dry + stands.count("s") <= 2}.get(OWN_PLACE[theme], not wet)
    return own, ["beach"] if wet else list(SHARED_PLACES[theme])


def _unit(
    rng: np.random.RandomState,
    theme: str,
    cast: list[tuple[Thing, float]],
    stands: str,
    core: list[tuple[str, str]],
    knobs: Knobs,
    novel: bool,
    paired: bool,
) -> Unit:
    """One scene, or two that are twins."""
    nouns = list(core)
    for _ in range((0, 1, 1, 2, 2, 3)[int(6 * rng.random_sample())]):
        taken = {noun for noun, _ in nouns}
        if rng.random_sample() < knobs.strangers:
            nouns.append((_stranger(rng, theme, stands, taken).noun, "stranger"))
        else:
            nouns.append((_draw(rng, cast, taken).noun, "own"))
    if len(nouns) < 3:
        nouns.append((_draw(rng, cast, {noun for noun, _ in nouns}).noun, "own"))
    own, shared = _places(theme, [noun for noun, _ in nouns])
    place = OWN_PLACE[theme] if own and rng.random_sample() < knobs.background else pick(rng, shared)
    look = int(LOOKS * rng.random_sample()), int(DETAILS * rng.random_sample())
    figures = [figure(rng, noun, role, novel and rng.random_sample() < 0.7) for noun, role in nouns]
    props = [CLUTTER[i] for i in rng.permutation(len(CLUTTER))[: knobs.clutter]]
    figures = with_clutter(rng, figures, props)
    if paired:
        swaps = [swap for swap in possible_swaps(rng, figures, PLACES[place]) if sayable(swap, figures, knobs, novel)]
        # The strict kind asks for four things of one layer; where they are there, it goes first half of the time.
        if rng.random_sample() < 0.5:
            swaps.sort(key=lambda swap: swap[0] != "near")
        for swap in swaps:
            found = twin_layouts(rng, figures, PLACES[place], swap)
            if found is not None:
                return [Draft(figures, boxes, place, look) for boxes in found], swap
    return [Draft(figures, layout(rng, figures, PLACES[place]), place, look)], None


def _scene(theme: str, family: int, draft: Draft, sentences: list[Sentence], swap: Swap | None, novel: bool) -> Scene:
    objects = tuple(
        Object(one.name, one.drawing, one.mirrored, one.role, one.stands, box)
        for one, box in zip(draft.figures, draft.boxes, strict=True)
    )
    scene = Scene(
        id="",
        theme=theme,
        place=draft.place,
        look=draft.look,
        objects=objects,
        sentences=tuple(sentences),
        family=family,
        twin_kind=None if swap is None else swap[0],
    )
    return replace(scene, novel=_novelties(scene)) if novel else scene


def _novelties(scene: Scene) -> tuple[str, ...]:
    """What of this scene training never showed."""
    drawings = [
        f"drawing: {thing.drawing}"
        for thing in scene.objects
        if thing.role != "clutter" and thing.drawing in THINGS[thing.name].unseen
    ]
    pairs = []
    for relation in scene.relations:
        for number, kind in ((relation.first, relation.kind), (relation.second, CONVERSE[relation.kind])):
            if unseen_pair(scene.objects[number].name, kind):
                pairs.append(f"pair: {scene.objects[number].name} {kind}")
    return tuple(dict.fromkeys([*drawings, *pairs]))
