"""Sides that show a method several views at once: the whole and its parts, a map of cells and a vector beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from xmrlib.data.pairs import Images, Texts
from xmrlib.methods.sides import ImageInput, ImageSide, Kind, TextInput, TextSide

# What a method looks at on one side: a view of one kind, or of each such view the setting that names it and its kind.
Kinds = Kind | Mapping[str, Kind]


@dataclass(frozen=True)
class Several:
    """Several views of the same items, in the order in which a network takes them."""

    views: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.views[0])

    def __getitem__(self, rows: Any) -> Several:
        """The views of some items: a slice, a mask or row numbers."""
        return Several(tuple(view[rows] for view in self.views))


class SeveralImages:
    """Some `ImageSide`s as one."""

    def __init__(self, sides: tuple[ImageSide, ...]) -> None:
        self.sides = sides

    @property
    def dim(self) -> list[int | None]:
        """The length of a vector in each view."""
        return [side.dim for side in self.sides]

    def fit(self, images: Images) -> SeveralImages:
        """Fit each side."""
        for side in self.sides:
            side.fit(images)
        return self

    def features(self, images: ImageInput) -> Several:
        """All views of `images`; features that are there already stand for each of them."""
        return Several(tuple(side.features(images) for side in self.sides))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"several": [side.state() for side in self.sides]}


class SeveralTexts:
    """Some `TextSide`s as one."""

    def __init__(self, sides: tuple[TextSide, ...]) -> None:
        self.sides = sides

    @property
    def dim(self) -> list[int | None]:
        """The length of a vector, or the number of words, in each view."""
        return [side.dim for side in self.sides]

    def fit(self, texts: Texts) -> SeveralTexts:
        """Fit each side on the training texts."""
        for side in self.sides:
            side.fit(texts)
        return self

    def features(self, texts: TextInput) -> Several:
        """All views of `texts`; features that are there already stand for each of them."""
        return Several(tuple(side.features(texts) for side in self.sides))

    def knows(self, text: str) -> bool:
        """Whether any view has a word of `text`."""
        return any(side.knows(text) for side in self.sides)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint must keep: plain facts, and tensors."""
        states = [side.state() for side in self.sides]
        tensors = {f"{i}.{name}": tensor for i, (_, own) in enumerate(states) for name, tensor in own.items()}
        return {"several": [facts for facts, _ in states]}, tensors


def new_image_side(config: Any, kinds: Kinds) -> ImageSide | SeveralImages:
    """The image side that `config` describes, not fitted yet."""
    if isinstance(kinds, str):
        return ImageSide(config.image_view, config.backbone, kinds)
    return SeveralImages(tuple(ImageSide(getattr(config, name), config.backbone, kind) for name, kind in kinds.items()))


def new_text_side(config: Any, kinds: Kinds) -> TextSide | SeveralTexts:
    """The text side that `config` describes, not fitted yet; the options of a view `x` are the setting `x_options`."""
    if isinstance(kinds, str):
        return TextSide(config.text_view, config.text_options, kinds)
    options = {"text_view": "text_options"}
    sides = (
        TextSide(getattr(config, name), getattr(config, options.get(name, f"{name}_options")), kind)
        for name, kind in kinds.items()
    )
    return SeveralTexts(tuple(sides))


def restored_image_side(state: Mapping[str, Any], kinds: Kinds) -> ImageSide | SeveralImages:
    """The image side that a checkpoint keeps as `state`."""
    if isinstance(kinds, str):
        return ImageSide.from_state(state, kinds)
    pairs = zip(state["several"], kinds.values(), strict=True)
    return SeveralImages(tuple(ImageSide.from_state(own, kind) for own, kind in pairs))


def restored_text_side(facts: Mapping[str, Any], kinds: Kinds, tensors: dict[str, Tensor]) -> TextSide | SeveralTexts:
    """The text side that a checkpoint keeps as `facts` and `tensors`."""
    from xmrlib.checkpoint import with_prefix

    if isinstance(kinds, str):
        return TextSide.from_state(facts, kinds, tensors)
    sides = (
        TextSide.from_state(own, kind, with_prefix(tensors, f"{i}."))
        for i, (own, kind) in enumerate(zip(facts["several"], kinds.values(), strict=True))
    )
    return SeveralTexts(tuple(sides))
