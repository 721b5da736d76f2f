"""How scenes are made up: families that share objects, twins within them, and what each text says.

A split is made in blocks of one family a theme. Every family has a seed of its own, so the first hundred scenes of a
split are the same whether one asks for a hundred or for a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from xmrlib.data import scenes_language as language
from xmrlib.data.scenes_layout import (
    Figure,
    Swap,
    figure,
    layout,
    possible_swaps,
    told_apart,
    told_apart_after,
    twin_layouts,
    with_clutter,
)
from xmrlib.data.scenes_truth import Box, Object, Scene, Sentence, holds
from xmrlib.data.scenes_world import (
    CAST,
    CLUTTER,
    CONVERSE,
    KINDS,
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

Statement = tuple[int, str, int]


@dataclass(frozen=True)
class Knobs:
    """What can be turned; the defaults are the frozen data set `scenes-1` (see `xmrlib.data.scenes.load`)."""

    seed: int = 1
    strangers: float = 0.35
    named: float = 0.6
    nonvisual: float = 1.2
    background: float = 0.3
    twins: tuple[float, float, float] = (0.5, 0.25, 0.25)
    relations: tuple[str, ...] = KINDS
    language: str = "full"
    clutter: int = 0
    family: int = 5
    sharing: int = 3
    novel: float = 0.2


@dataclass
class Draft:
    """A scene on its way: figures with boxes, and what must be said of it."""

    figures: list[Figure]
    boxes: list[Box]
    place: str
    look: tuple[int, int]


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
    return [
        [
            _scene(theme, family, draft, sentences, swap, novel)
            for draft, sentences in zip(members, _texts(voice, members, swap, drafts, knobs, novel), strict=True)
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
        other = language.pick(rng, THEMES)
        thing = language.pick(rng, CAST[other])[0]
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
    place = OWN_PLACE[theme] if own and rng.random_sample() < knobs.background else language.pick(rng, shared)
    look = int(LOOKS * rng.random_sample()), int(DETAILS * rng.random_sample())
    figures = [figure(rng, noun, role, novel and rng.random_sample() < 0.7) for noun, role in nouns]
    props = [CLUTTER[i] for i in rng.permutation(len(CLUTTER))[: knobs.clutter]]
    figures = with_clutter(rng, figures, props)
    if paired:
        swaps = [swap for swap in possible_swaps(rng, figures, PLACES[place]) if _sayable(swap, figures, knobs, novel)]
        # The strict kind asks for four things of one layer; where they are there, it goes first half of the time.
        if rng.random_sample() < 0.5:
            swaps.sort(key=lambda swap: swap[0] != "near")
        for swap in swaps:
            found = twin_layouts(rng, figures, PLACES[place], swap)
            if found is not None:
                return [Draft(figures, boxes, place, look) for boxes in found], swap
    return [Draft(figures, layout(rng, figures, PLACES[place]), place, look)], None


# What is said of it ------------------------------------------------------------------------------------------------


def _allowed(statement: Statement, figures: list[Figure], knobs: Knobs, novel: bool) -> bool:
    """Whether the knobs let a text say this, and whether training may hear it."""
    first, kind, second = statement
    if kind not in knobs.relations:
        return False
    return novel or not (unseen_pair(figures[first].name, kind) or unseen_pair(figures[second].name, CONVERSE[kind]))


def _sayable(swap: Swap, figures: list[Figure], knobs: Knobs, novel: bool) -> bool:
    return all(_allowed(s, figures, knobs, novel) for s in (*told_apart(swap), *told_apart_after(swap)))


def _true_statements(drafts: list[Draft], among: list[int], knobs: Knobs, novel: bool) -> list[Statement]:
    """Everything that holds of these objects in all of `drafts` (a scene, or both twins)."""
    return [
        (i, kind, j)
        for i in among
        for j in among
        if i != j
        for kind in knobs.relations
        if all(holds(kind, draft.boxes[i], draft.boxes[j]) for draft in drafts)
        and _allowed((i, kind, j), drafts[0].figures, knobs, novel)
    ]


def _fits(draft: Draft, figures: list[Figure], statement: Statement) -> bool:
    """Whether a statement about `figures` is true of another scene as well."""
    first, kind, second = statement
    boxes = {one.name: box for one, box in zip(draft.figures, draft.boxes, strict=True)}
    pair = boxes.get(figures[first].name), boxes.get(figures[second].name)
    return None not in pair and holds(kind, *pair)


def _choose(
    rng: np.random.RandomState, candidates: list[Statement], figures: list[Figure], rivals: list[Draft]
) -> Statement:
    """A true statement of a kind drawn first; of three drawn, the one that rules out most of the rivals."""
    kinds = sorted({kind for _, kind, _ in candidates}, key=KINDS.index)
    drawn = []
    for _ in range(3):
        kind = language.pick(rng, kinds)
        drawn.append(language.pick(rng, [statement for statement in candidates if statement[1] == kind]))
    return min(drawn, key=lambda statement: sum(_fits(rival, figures, statement) for rival in rivals))


def _texts(
    rng: np.random.RandomState, members: list[Draft], swap: Swap | None, family: list[Draft], knobs: Knobs, novel: bool
) -> list[list[Sentence]]:
    """The sentences of a scene, or of both twins: the same but for what tells the twins apart."""
    figures = members[0].figures
    sayable = [number for number, one in enumerate(figures) if one.role != "clutter"]
    chosen = [number for number in sayable if rng.random_sample() < knobs.named]
    rivals = [draft for draft in family if all(draft is not member for member in members)]
    # A plan is a pattern, the kinds of relation it states, and the objects it speaks of in each of the twins.
    plans: list[tuple[str, tuple[str, ...], tuple[tuple[int, ...], ...]]] = []
    if swap is not None:
        plans.append(_twin_plan(rng, swap, knobs))
        chosen = list(dict.fromkeys([*plans[0][2][0], *chosen]))
    while len(chosen) < min(2, len(sayable)):
        chosen.append(language.pick(rng, [number for number in sayable if number not in chosen]))
    spoken = {number for _, _, numbers in plans for number in numbers[0]}
    for _ in range((1 if swap is None else 0) + (rng.random_sample() < 0.6)):
        said = {(numbers[0][0], numbers[0][1]) for _, _, numbers in plans}
        candidates = [
            statement
            for statement in _true_statements(members, chosen, knobs, novel)
            if (statement[0], statement[2]) not in said and (statement[2], statement[0]) not in said
        ]
        if candidates:
            first, kind, second = _choose(rng, candidates, figures, rivals)
            pattern, turned = language.wording(rng, kind, knobs.language, knobs.relations)
            rivals = [rival for rival in rivals if _fits(rival, figures, (first, kind, second))]
            if turned:
                first, kind, second = second, CONVERSE[kind], first
            plans.append((pattern, (kind,), ((first, second),) * len(members)))
            spoken |= {first, second}
    rest = [number for number in chosen if number not in spoken]
    rest = [rest[i] for i in rng.permutation(len(rest))]
    if rest:
        plans.append((language.object_wording(rng, knobs.language), (), (tuple(rest[:4]),) * len(members)))
    # A text has at least two sentences.
    talks = language.talk(rng, max(int(knobs.nonvisual + rng.random_sample()), 2 - len(plans)))
    order = rng.permutation(len(plans) + len(talks))
    texts = []
    for twin in range(len(members)):
        speaker = language.Speaker([one.name for one in figures])
        texts.append(
            [
                speaker.say(plans[place][0], plans[place][2][twin], plans[place][1])
                if place < len(plans)
                else talks[place - len(plans)]
                for place in order
            ]
        )
    return texts


def _twin_plan(rng: np.random.RandomState, swap: Swap, knobs: Knobs):
    own, other = told_apart(swap), told_apart_after(swap)
    if swap[0] == "near":
        pattern, kinds = language.double_wording(rng, knobs.language), ("near", "near")
        # Who is named first must not tell which of the twins it is.
        flip = bool(rng.random_sample() < 0.5)
        turned = [tuple(n for s in says for n in ((s[2], s[0]) if flip else (s[0], s[2]))) for says in (own, other)]
        return pattern, kinds, tuple(turned)
    (first, kind, second), back = own[0], bool(rng.random_sample() < 0.5)
    pattern, turned = language.wording(rng, CONVERSE[kind] if back else kind, knobs.language, knobs.relations)
    pairs = ((second, first), (first, second)) if back != turned else ((first, second), (second, first))
    return pattern, (CONVERSE[kind] if back != turned else kind,), pairs


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
