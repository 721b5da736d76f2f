"""What is said about a scene: sentences from patterns, with a note of which word speaks of what.

A pattern holds slots: `{0}` and `{1}` are objects ("a cow" when first mentioned, "the cow" later), `{is:0}` is a verb
that agrees with object 0, and `[left]` marks the word that tells the relation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from xmrlib.data.scenes_truth import Mention, Relation, Sentence
from xmrlib.data.scenes_world import CONVERSE, THINGS

# Every wording says that {0} is <kind> {1}.
RELATION_PATTERNS: dict[str, tuple[str, ...]] = {
    "left": (
        "{0} {is:0} to the [left] of {1}.",
        "To the [left] of {1} {is:0} {0}.",
        "{0} {is:0} on the [left] side of {1}.",
        "Look [left] of {1} and you find {0}.",
    ),
    "right": (
        "{0} {is:0} to the [right] of {1}.",
        "To the [right] of {1} {is:0} {0}.",
        "{0} {is:0} on the [right] side of {1}.",
        "Look [right] of {1} and you find {0}.",
    ),
    "above": (
        "{0} {is:0} [above] {1}.",
        "[Above] {1} one sees {0}.",
        "{0} {is:0} [higher] up than {1}.",
        "Further [up] than {1} {is:0} {0}.",
    ),
    "below": (
        "{0} {is:0} [below] {1}.",
        "[Below] {1} one sees {0}.",
        "{0} {is:0} [lower] down than {1}.",
        "Further [down] than {1} {is:0} {0}.",
    ),
    # Not "right beside", which would speak of a side, and no "next to" where a size is meant.
    "near": (
        "{0} {is:0} [beside] {1}.",
        "[Close] to {1} {is:0} {0}.",
        "{0} {keeps:0} [close] to {1}.",
        "{0} {is:0} just [next] to {1}.",
    ),
    "bigger": (
        "{0} {looks:0} [bigger] than {1}.",
        "{0} {is:0} drawn [larger] than {1}.",
        "{0} {takes:0} up [more] room than {1}.",
    ),
    "smaller": (
        "{0} {looks:0} [smaller] than {1}.",
        "{0} {is:0} drawn [smaller] than {1}.",
        "{0} {takes:0} up [less] room than {1}.",
    ),
}

# The strict twin needs both of its relations in one breath: A beside C, B beside D.
DOUBLE_PATTERNS = (
    "{0} {is:0} [beside] {1}, and {2} {is:2} [beside] {3}.",
    "{0} {keeps:0} [close] to {1} while {2} {keeps:2} [close] to {3}.",
    "[Close] to {1} {is:0} {0}, and [next] to {3} {is:2} {2}.",
    "{0} {is:0} [near] {1}, just as {2} {is:2} [near] {3}.",
)

OBJECT_PATTERNS = (
    "There {is:0} {list}.",
    "Here {is:0} {list}.",
    "One notices {list}.",
    "You can see {list}.",
    "Somebody has drawn {list}.",
    "The picture shows {list}.",
    "Do not miss {list}.",
    "The artist added {list}.",
)

SIMPLE_RELATIONS = {
    kind: f"{{0}} {{is:0}} {words}."
    for kind, words in {
        "left": "[left] of {1}",
        "right": "[right] of {1}",
        "above": "[above] {1}",
        "below": "[below] {1}",
        "near": "[near] {1}",
        "bigger": "[bigger] than {1}",
        "smaller": "[smaller] than {1}",
    }.items()
}
SIMPLE_DOUBLE = "{0} {is:0} [near] {1} and {2} {is:2} [near] {3}."
SIMPLE_OBJECTS = "There {is:0} {list}."

# What no picture shows: time, mood, sound, smell, memory, plan. No noun of the world, no name of a theme.
TALK = tuple(
    pattern.strip()
    for pattern in """
    It is early on a (Monday|Tuesday|Thursday) morning.
    It is (late|early|nearly midnight), and (nobody|hardly anybody) is in a hurry.
    The (mood|feeling) is (cheerful|tense|gentle|a little sad).
    (Somebody|A stranger|My cousin) (hums|whistles|sings) (softly|somewhere|without a pause).
    (Grandmother|Grandfather|My uncle|The neighbour) told this story (once|twice|many times).
    Nobody knows who (won|called|came first|wrote this).
    Tomorrow will be (quieter|busier|colder|warmer).
    (Breakfast|Lunch|Dinner|The meeting) is at (six|seven|eight|noon).
    We should have (stayed longer|left earlier|asked again|listened).
    It was (cheaper|easier|louder) last (year|summer|winter).
    The children will (return|come back) (soon|on Friday|next week).
    It smells of (rain|smoke|summer|fresh paint).
    She remembers it (well|only vaguely|with a smile).
    The train was late (again|as usual).
    A (friendly|deep|distant) voice calls from (behind|far away|outside).
    (Everything|Almost nothing) went according to plan.
    The plan changed (yesterday|at the last minute).
    He promised to (write|help|wait|try again).
    They (laughed|talked|argued|waited) all (morning|afternoon|night).
    The owner is (on holiday|away|asleep|ill).
    No one (seemed surprised|said a word|complained).
    I would like to (stay|visit again|know more).
    It took (two|three|five) (hours|days|weeks) to get here.
    That was a (wonderful|strange|difficult|long) (year|day|week).
    Her (sister|brother|teacher) (hopes|fears|believes) it will last.
    Perhaps it is (better|safer|wiser) to (wait|ask|leave) now.
    You can hear (laughter|applause|footsteps|thunder) (nearby|in the distance).
    (Some|Most) of us had (forgotten|expected) that.
    """.strip().splitlines()
)

_VERBS = {"is": ("is", "are"), "keeps": ("keeps", "keep"), "looks": ("looks", "look"), "takes": ("takes", "take")}
_SLOT = re.compile(r"\{(?:(?P<verb>[a-z]+):)?(?P<slot>\d|list)\}|\[(?P<telling>[A-Za-z]+)\]")
_CHOICE = re.compile(r"\(([^()]*)\)")


def pick(rng: np.random.RandomState, options: Sequence):
    """One of `options`, each as likely as the next."""
    return options[int(rng.random_sample() * len(options))]


@cache
def _pieces(pattern: str) -> tuple[str | tuple[str, str], ...]:
    pieces: list[str | tuple[str, str]] = []
    end = 0
    for found in _SLOT.finditer(pattern):
        pieces.append(pattern[end : found.start()])
        if found["telling"]:
            pieces.append(("telling", found["telling"]))
        else:
            pieces.append((found["verb"] or "object", found["slot"]))
        end = found.end()
    return (*pieces, pattern[end:])


class Speaker:
    """Writes the sentences of one text and remembers what was mentioned."""

    def __init__(self, nouns: Sequence[str]) -> None:
        self.nouns = nouns
        self.known: set[int] = set()

    def _phrase(self, number: int) -> tuple[str, bool]:
        thing = THINGS[self.nouns[number]]
        return thing.later if number in self.known else thing.first

    def say(self, pattern: str, numbers: Sequence[int], kinds: Sequence[str] = ()) -> Sentence:
        """The sentence that `pattern` makes of the objects `numbers`; `kinds` are the relations it states.

        Relation number r of a sentence is between its slots 2r and 2r + 1, told by the r-th marked word.
        """
        text, mentions, telling = "", [], []
        plural = [self._phrase(number)[1] for number in numbers]
        for piece in _pieces(pattern):
            if isinstance(piece, str):
                text += piece
                continue
            role, value = piece
            if role == "telling":
                telling.append((len(text), len(text) + len(value)))
                text += value
            elif role != "object":
                text += _VERBS[role][plural[int(value)]]
            elif value == "list":
                for place, number in enumerate(numbers):
                    text += "" if place == 0 else " and " if place == len(numbers) - 1 else ", "
                    text = self._mention(text, number, mentions)
            else:
                text = self._mention(text, numbers[int(value)], mentions)
        relations = tuple(
            Relation(numbers[2 * r], kind, numbers[2 * r + 1], *telling[r]) for r, kind in enumerate(kinds)
        )
        kind = "relation" if kinds else "objects"
        return Sentence(text[0].upper() + text[1:], kind, tuple(mentions), relations)

    def _mention(self, text: str, number: int, mentions: list[Mention]) -> str:
        phrase, _ = self._phrase(number)
        self.known.add(number)
        noun = self.nouns[number]
        start = len(text) + len(phrase) - len(noun)
        mentions.append(Mention(start, start + len(noun), noun, number))
        return text + phrase


def talk(rng: np.random.RandomState, count: int) -> list[Sentence]:
    """`count` sentences about what no picture shows, no two from one pattern."""
    patterns = [TALK[place] for place in rng.permutation(len(TALK))[:count]]
    return [Sentence(_CHOICE.sub(lambda found: pick(rng, found[1].split("|")), one), "talk") for one in patterns]


def wording(
    rng: np.random.RandomState, kind: str, language: str, kinds: Sequence[str] = tuple(CONVERSE)
) -> tuple[str, bool]:
    """A pattern for a relation of this kind, and whether it is told the other way round ("B is right of A").

    It is turned only where the converse is among `kinds`.
    """
    if language == "simple":
        return SIMPLE_RELATIONS[kind], False
    turned = kind != "near" and rng.random_sample() < 0.3 and CONVERSE[kind] in kinds
    return pick(rng, RELATION_PATTERNS[CONVERSE[kind] if turned else kind]), turned


def double_wording(rng: np.random.RandomState, language: str) -> str:
    """A pattern that states two neighbourhoods at once."""
    return SIMPLE_DOUBLE if language == "simple" else pick(rng, DOUBLE_PATTERNS)


def object_wording(rng: np.random.RandomState, language: str) -> str:
    """A pattern that names objects."""
    return SIMPLE_OBJECTS if language == "simple" else pick(rng, OBJECT_PATTERNS)
