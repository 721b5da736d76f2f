"""What the text of a scene says: which objects, which relations, and how much that no picture shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmrlib.data import scenes_language as language
from xmrlib.data.scenes_layout import Figure, Swap, told_apart, told_apart_after
from xmrlib.data.scenes_truth import Box, Sentence, holds
from xmrlib.data.scenes_world import CONVERSE, KINDS, unseen_pair

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
    """A scene on its way: its figures, their boxes, and where it plays."""

    figures: list[Figure]
    boxes: list[Box]
    place: str
    look: tuple[int, int]

    def __post_init__(self) -> None:
        self.by_name = {one.name: box for one, box in zip(self.figures, self.boxes, strict=True)}


def _allowed(statement: Statement, figures: list[Figure], knobs: Knobs, novel: bool) -> bool:
    """Whether the knobs let a text say this, and whether training may hear it."""
    first, kind, second = statement
    if kind not in knobs.relations:
        return False
    return novel or not (unseen_pair(figures[first].name, kind) or unseen_pair(figures[second].name, CONVERSE[kind]))


def sayable(swap: Swap, figures: list[Figure], knobs: Knobs, novel: bool) -> bool:
    """Whether both texts of a pair of twins may say what tells them apart."""
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
    pair = draft.by_name.get(figures[first].name), draft.by_name.get(figures[second].name)
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


# A pattern, the kinds of relation it states, and the objects it speaks of in each of the twins.
Plan = tuple[str, tuple[str, ...], tuple[tuple[int, ...], ...]]


def texts(
    rng: np.random.RandomState, members: list[Draft], swap: Swap | None, family: list[Draft], knobs: Knobs, novel: bool
) -> list[list[Sentence]]:
    """The sentences of a scene, or of both twins: the same but for what tells the twins apart.

    members  the scene, or the two twins
    family   all scenes of the family: what is said should tell this one from them
    """
    figures = members[0].figures
    nameable = [number for number, one in enumerate(figures) if one.role != "clutter"]
    chosen = [number for number in nameable if rng.random_sample() < knobs.named]
    plans: list[Plan] = []
    if swap is not None:
        plans.append(_twin_plan(rng, swap, knobs))
        chosen = list(dict.fromkeys([*plans[0][2][0], *chosen]))
    while len(chosen) < min(2, len(nameable)):
        chosen.append(language.pick(rng, [number for number in nameable if number not in chosen]))
    rivals = [draft for draft in family if all(draft is not member for member in members)]
    for _ in range((1 if swap is None else 0) + (rng.random_sample() < 0.6)):
        said = {frozenset(numbers[0][:2]) for _, _, numbers in plans}
        candidates = [
            (first, kind, second)
            for first, kind, second in _true_statements(members, chosen, knobs, novel)
            if frozenset((first, second)) not in said
        ]
        if candidates:
            first, kind, second = _choose(rng, candidates, figures, rivals)
            pattern, turned = language.wording(rng, kind, knobs.language, knobs.relations)
            rivals = [rival for rival in rivals if _fits(rival, figures, (first, kind, second))]
            if turned:
                first, kind, second = second, CONVERSE[kind], first
            plans.append((pattern, (kind,), ((first, second),) * len(members)))
    spoken = {number for _, _, numbers in plans for number in numbers[0]}
    rest = [number for number in chosen if number not in spoken]
    rest = [rest[i] for i in rng.permutation(len(rest))]
    if rest:
        plans.append((language.object_wording(rng, knobs.language), (), (tuple(rest[:4]),) * len(members)))
    # A text has at least two sentences.
    talks = language.talk(rng, max(int(knobs.nonvisual + rng.random_sample()), 2 - len(plans)))
    order = rng.permutation(len(plans) + len(talks))
    return [_written(figures, plans, talks, order, twin) for twin in range(len(members))]


def _written(
    figures: list[Figure], plans: list[Plan], talks: list[Sentence], order: np.ndarray, twin: int
) -> list[Sentence]:
    """The sentences in their order, told for one of the twins."""
    speaker = language.Speaker([one.name for one in figures])
    sentences = []
    for place in order:
        if place < len(plans):
            pattern, kinds, numbers = plans[place]
            sentences.append(speaker.say(pattern, numbers[twin], kinds))
        else:
            sentences.append(talks[place - len(plans)])
    return sentences


def _twin_plan(rng: np.random.RandomState, swap: Swap, knobs: Knobs) -> Plan:
    """The sentence that tells the twins apart: one pattern, with the objects in two orders."""
    own, other = told_apart(swap), told_apart_after(swap)
    if swap[0] == "near":
        pattern = language.double_wording(rng, knobs.language)
        # Who is named first must not tell which of the twins it is.
        flip = bool(rng.random_sample() < 0.5)
        orders = [tuple(n for s in says for n in ((s[2], s[0]) if flip else (s[0], s[2]))) for says in (own, other)]
        return pattern, ("near", "near"), tuple(orders)
    first, kind, second = own[0]
    back = bool(rng.random_sample() < 0.5) and CONVERSE[kind] in knobs.relations
    pattern, turned = language.wording(rng, CONVERSE[kind] if back else kind, knobs.language, knobs.relations)
    if back != turned:
        return pattern, (CONVERSE[kind],), ((second, first), (first, second))
    return pattern, (kind,), ((first, second), (second, first))
