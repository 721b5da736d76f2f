"""What is known of a scene: its objects and boxes, what is said, and which word speaks of which object.

A relation is judged on boxes, with a margin: `holds` says yes only where a person would, and `fails` says yes only
where a person would deny it. Between the two lies a band in which nothing is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Gaps are fractions of the picture's side; sizes are compared by the square root of the box's area.
GAP = 0.015
NEAR = 0.06
FAR = 0.13
RATIO = 1.3


@dataclass(frozen=True)
class Object:
    """One drawing in a scene.

    name     its noun
    drawing  which OpenMoji drawing shows it, and whether it is `mirrored`
    role     "core" (shared by the family), "own" (of the theme), "stranger" (of another theme), "clutter" (never named)
    stands   g ground, t tall at the back, a air, w water, s shore
    box      x0, y0, x1, y1 in [0, 1], y downwards
    """

    name: str
    drawing: str
    mirrored: bool
    role: str
    stands: str
    box: tuple[float, float, float, float]

    @property
    def size(self) -> float:
        """The square root of the box's area."""
        x0, y0, x1, y1 = self.box
        return math.sqrt((x1 - x0) * (y1 - y0))


@dataclass(frozen=True)
class Mention:
    """`word` at characters `start:end` of its sentence speaks of object number `object`."""

    start: int
    end: int
    word: str
    object: int


@dataclass(frozen=True)
class Relation:
    """A stated relation: object `first` is `kind` (left of, near, bigger than ...) object `second`.

    `start:end` are the characters of the telling word in its sentence; `near` may be told by "beside", and "A is left
    of B" by "B is to the right of A": then `kind` is "right", `first` is B and `second` is A.
    """

    first: int
    kind: str
    second: int
    start: int
    end: int


@dataclass(frozen=True)
class Sentence:
    """One sentence. `kind`: "objects" (names some), "relation" (states one or two), "talk" (no picture shows it)."""

    text: str
    kind: str
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True)
class Scene:
    """Everything that is known of one scene.

    theme      its class
    place      the background; `look` numbers its colours and details
    family     scenes of one family share their core objects
    twin       the id of the scene that differs from this one in arrangement only, or None
    twin_kind  "left-right", "above-below", "near" or "size", or None
    novel      what of it training never showed: "drawing: ...", "pair: cow left"; empty for most
    """

    id: str
    theme: str
    place: str
    look: tuple[int, int]
    objects: tuple[Object, ...]
    sentences: tuple[Sentence, ...]
    family: int
    twin: str | None = None
    twin_kind: str | None = None
    novel: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All sentences in one string."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def names(self) -> tuple[str, ...]:
        """The nouns of the objects, in the order of `objects`."""
        return tuple(thing.name for thing in self.objects)

    @property
    def named(self) -> tuple[int, ...]:
        """The objects that the text speaks of, in order of first mention."""
        return tuple(dict.fromkeys(mention.object for sentence in self.sentences for mention in sentence.mentions))

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Every relation that the text states."""
        return tuple(relation for sentence in self.sentences for relation in sentence.relations)

    @property
    def boxes(self) -> Float[np.ndarray, "region 4"]:
        """Boxes of the objects as x0 y0 x1 y1 in [0, 1]."""
        return np.array([thing.box for thing in self.objects], dtype=np.float32).reshape(-1, 4)

    def words(self) -> list[tuple[int, int, str, int]]:
        """(start, end, word, object) for every mention, in characters of `text`."""
        found, offset = [], 0
        for sentence in self.sentences:
            found += [(m.start + offset, m.end + offset, m.word, m.object) for m in sentence.mentions]
            offset += len(sentence.text) + 1
        return found

    def holds(self, first: int, kind: str, second: int) -> bool:
        """Whether object `first` clearly is `kind` object `second` in the picture."""
        return holds(kind, self.objects[first].box, self.objects[second].box)

    def position(self, name: str) -> int | None:
        """Which object is called `name`, or None."""
        return next((place for place, thing in enumerate(self.objects) if thing.name == name), None)


Box = tuple[float, float, float, float]


def gap(first: Box, second: Box) -> float:
    """The distance between two boxes: 0 where they touch."""
    across = max(0.0, first[0] - second[2], second[0] - first[2])
    down = max(0.0, first[1] - second[3], second[1] - first[3])
    return math.sqrt(across * across + down * down)


def _ratio(first: Box, second: Box) -> float:
    area = (first[2] - first[0]) * (first[3] - first[1])
    return math.sqrt(area / ((second[2] - second[0]) * (second[3] - second[1])))


def holds(kind: str, first: Box, second: Box) -> bool:
    """Whether the box `first` clearly is `kind` the box `second`.

    >>> cow, tractor = (0.1, 0.5, 0.3, 0.7), (0.5, 0.4, 0.9, 0.8)
    >>> [kind for kind in ("left", "right", "above", "near", "smaller") if holds(kind, cow, tractor)]
    ['left', 'smaller']
    """
    if kind == "left":
        return first[2] + GAP <= second[0]
    if kind == "right":
        return second[2] + GAP <= first[0]
    if kind == "above":
        return first[3] + GAP <= second[1]
    if kind == "below":
        return second[3] + GAP <= first[1]
    if kind == "near":
        return gap(first, second) <= NEAR
    if kind == "bigger":
        return _ratio(first, second) >= RATIO
    if kind == "smaller":
        return _ratio(second, first) >= RATIO
    raise ValueError(f"relation {kind!r} is none of left, right, above, below, near, bigger, smaller.")


def fails(kind: str, first: Box, second: Box) -> bool:
    """Whether the box `first` clearly is *not* `kind` the box `second`.

    >>> fails("near", (0.1, 0.5, 0.3, 0.7), (0.5, 0.4, 0.9, 0.8))
    True
    """
    if kind in ("left", "right"):
        # Centres on the wrong side: nobody would say "left" of something that lies to the right.
        wrong = first[0] + first[2] - second[0] - second[2]
        return wrong > 0 if kind == "left" else wrong < 0
    if kind in ("above", "below"):
        wrong = first[1] + first[3] - second[1] - second[3]
        return wrong > 0 if kind == "above" else wrong < 0
    if kind == "near":
        return gap(first, second) >= FAR
    ratio = _ratio(first, second)
    return ratio < 1 if kind == "bigger" else ratio > 1
