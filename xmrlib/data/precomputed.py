"""Features that were computed elsewhere, in the folders of VSE++ and SCAN: `f30k_precomp`, `coco_precomp`.

    train_ims.npy    (n, d), or (n, 36, 2048): a vector an image, or one for each of its regions
    train_caps.txt   five captions an image, one a line, images in the order of the rows
    train_ids.txt    one name an image; may be absent
    train_boxes.npy  (n, 36, 4): where the regions are; may be absent

and the same for `dev` (or `val`), `test` and, of MS-COCO, `testall`. A row may also stand there five times, once for
each caption. The features are mapped, not read: a set may be larger than the memory.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from xmrlib import settings
from xmrlib.data import disk
from xmrlib.data.cards import Card
from xmrlib.data.mapped import Mapped, open_array
from xmrlib.data.pairs import SPLITS, DataError, Images, Pairs, Texts

BLOCK = 2**26  # bytes that are looked through at a time
SLACK = 0.01  # a detector's box may reach a little over the edge

CARD = Card(
    name="precomputed",
    title="Precomputed features, in the layout of VSE++ and SCAN",
    summary="Features of Flickr30K's or MS-COCO's images with the captions, as nearly all work on image-sentence "
    "matching since 2018 hands them on; or your own in the same files.",
    source="F. Faghri et al., https://github.com/fartashf/vsepp (one vector an image); K.-H. Lee et al., "
    "https://github.com/kuanghueilee/SCAN, https://www.kaggle.com/datasets/kuanghueilee/scan-features (36 regions)",
    licence="captions and photographs: see flickr30k and coco; none is named for the features themselves",
    size="36 regions of 2,048 numbers, 0.29 MB an image: Flickr30K 9 GB, MS-COCO 36 GB",
    split="the files: train, dev (or val), test. Flickr30K 29,000 / 1,014 / 1,000; MS-COCO 113,287 / 5,000 / 1,000, or "
    "5,000 with test='testall' (from memory)",
    views="image 'regions', (n, 36, 2048), with 'boxes' where there are any, or 'whole', (n, d); five texts per image",
    layout=(
        "SPLIT_ims.npy",
        "SPLIT_caps.txt",
        "SPLIT_ids.txt (optional)",
        "SPLIT_boxes.npy (optional): x0 y0 x1 y1 in shares of the picture, or in pixels with SPLIT_img_sizes.npy",
        "SPLIT_img_sizes.npy (optional): width and height of each picture",
    ),
    fetch="Download the features from one of the two pages, and load the folder by its path, for instance "
    "load('data/f30k_precomp'), or lay its files into $XMR_DATA/precomputed.",
    cite="F. Faghri et al., VSE++, BMVC 2018; K.-H. Lee et al., Stacked Cross Attention for Image-Text Matching, ECCV "
    "2018; regions: P. Anderson et al., Bottom-Up and Top-Down Attention, CVPR 2018",
    faults=(
        "The detector behind the regions was trained on Visual Genome, about half of whose pictures are MS-COCO's; its "
        "authors say that they kept the test splits apart (from memory).",
        "SCAN and VSE++ validate on the first 5,000 lines of dev, 1,000 images, whatever it holds: val=1000 does so.",
        "SCAN's folders have no boxes. Others have them in pixels; which order and which corner is seldom said.",
        "The 1K numbers of MS-COCO are five folds of testall in its order, not the files named test.",
        "The real files were not at hand when this loader was written: no checksum stands here.",
    ),
)


@dataclass(frozen=True)
class _Part:
    """One split; `step` is how many rows of `array` an image has."""

    stem: str
    ids: tuple[str, ...] | None
    array: np.ndarray
    step: int
    boxes: Tensor | None
    captions: list[str]

    def __len__(self) -> int:
        return len(self.array) // self.step


def present(root: str | Path | None = None) -> bool:
    """Whether a split with features and captions is there."""
    place = settings.data_directory() / "precomputed" if root is None else Path(root).expanduser()
    return any(path.with_name(path.name.replace("_ims.npy", "_caps.txt")).is_file() for path in place.glob("*_ims.npy"))


def load(
    root: str | Path | None = None,
    *,
    splits: Sequence[Literal["train", "val", "test"]] = SPLITS,
    test: str = "test",
    val: int | None = None,
    captions: int = 5,
    verify: bool = True,
) -> Pairs:
    """The images of a folder with their features, training split first, each with its captions as one text each.

    The features are `data.images.given["regions"]` (n, r, d), with "boxes" (n, r, 4), or "whole" (n, d). They stay on
    disk: `data.train` and its like are views of the files, `select` copies the rows that it names.

    splits    which splits to load; each must be there
    test      how the files of the test split begin: "test", or "testall" for all 5,000 of MS-COCO
    val       validate on the first so many images only; SCAN takes 1,000
    captions  how many an image has
    verify    read all features once, a block at a time, and look for numbers that are not finite and for repeated rows
              that differ; a folder that was found whole is not looked through again until one of its files changes

    Raises `DataError` for a file that is missing, short or altered, for captions and features that do not go together,
    and for boxes that are not x0 y0 x1 y1 in shares of the picture.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits or len(set(splits)) < len(splits):
        raise DataError(f"splits={list(splits)} must be some of {', '.join(SPLITS)}, each once.")
    if captions < 1:
        raise DataError(f"captions={captions} must be at least 1.")
    place = disk.folder_of("precomputed", root, CARD.fetch)
    wanted = [split for split in SPLITS if split in splits]
    stems = {split: _stem(place, split, test) for split in wanted}
    parts = {split: _part(place, stem, captions) for split, stem in stems.items()}
    _agree(place, list(parts.values()))
    if verify:
        paths = [place / f"{stem}_ims.npy" for stem in stems.values()]
        disk.once(f"{place.name}-{disk.fingerprint(paths, captions)}", lambda: _look(place, list(parts.values())))
    if val is not None and "val" in parts:
        if not 0 < val <= len(parts["val"]):
            raise DataError(f"val={val} is outside 1..{len(parts['val'])}, the images of {stems['val']} in {place}.")
        parts["val"] = _first(parts["val"], val, captions)
    ids = _ids(place, parts)
    texts = [caption for part in parts.values() for caption in part.captions]
    split = np.repeat(list(parts), [len(part) for part in parts.values()])
    pairs = Pairs(
        name=place.resolve().name,
        images=Images(ids),
        texts=Texts(tuple(f"{name}#{k}" for name in ids for k in range(captions)), tuple((text,) for text in texts)),
        image_of_text=np.repeat(np.arange(len(ids)), captions),
        split=split,
        card=CARD,
    ).check()
    # The features come in after the check, which would read them all at once; `_look` did it in blocks.
    view = "whole" if next(iter(parts.values())).array.ndim == 2 else "regions"
    given = {view: Mapped([_tensor(part.array[:: part.step]) for part in parts.values()])}
    if all(part.boxes is not None for part in parts.values()):
        given["boxes"] = torch.cat([part.boxes for part in parts.values()])
    return replace(pairs, images=Images(ids, given=given))


def _stem(place: Path, split: str, test: str) -> str:
    """How the files of a split begin."""
    if split != "val":
        return test if split == "test" else split
    found = [stem for stem in ("dev", "val") if (place / f"{stem}_ims.npy").is_file()]
    if len(found) == 2:
        raise DataError(f"{place} holds both dev_ims.npy and val_ims.npy: move one of them away.")
    return found[0] if found else "dev"


def _part(place: Path, stem: str, captions: int) -> _Part:
    others = sorted(path.name.removesuffix("_ims.npy") for path in place.glob("*_ims.npy"))
    remedy = (
        f"There are features of {', '.join(others)}: name what you need, splits=..., test=... {CARD.fetch}"
        if others and stem not in others
        else CARD.fetch
    )
    lines = _lines(disk.need(place / f"{stem}_caps.txt", remedy), "caption")
    path = disk.need(place / f"{stem}_ims.npy", remedy)
    array = open_array(path, CARD.fetch)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DataError(f"{path} has the shape {array.shape}: (n, d), or (n, regions, d), is needed.")
    if len(lines) % captions:
        raise DataError(
            f"{place / f'{stem}_caps.txt'} has {len(lines):,} lines, which is no multiple of {captions}, the captions "
            "of an image. It is short or altered; or say how many an image has, captions=..."
        )
    images = len(lines) // captions
    if len(array) not in (images, len(lines)):
        raise DataError(
            f"{path} has {len(array):,} rows for {len(lines):,} captions: {images:,} are needed, one an image, or "
            f"{len(lines):,}, one a caption. One of the two files is short, or captions={captions} is wrong."
        )
    step = len(array) // images
    names = place / f"{stem}_ids.txt"
    ids = _lines(names, "id") if names.is_file() else None
    if ids is not None:
        if len(ids) not in (images, len(lines)):
            raise DataError(f"{names} has {len(ids):,} lines for {images:,} images: give one an image, or remove it.")
        ids = ids[:: len(ids) // images]
    return _Part(stem, ids and tuple(ids), array, step, _boxes(place, stem, array, step), lines)


def _lines(path: Path, what: str) -> list[str]:
    # Not splitlines(): it would cut at characters that may stand inside a caption.
    lines = [" ".join(line.split()) for line in disk.read_text(path).rstrip().split("\n")]
    if not all(lines):
        raise DataError(f"{path}, line {lines.index('') + 1}: the {what} is empty. Give it words: lines are counted.")
    return lines


def _boxes(place: Path, stem: str, array: np.ndarray, step: int) -> Tensor | None:
    """(n, r, 4) x0 y0 x1 y1 in [0, 1], or None where there is no such file."""
    path, sizes = place / f"{stem}_boxes.npy", place / f"{stem}_img_sizes.npy"
    if not path.is_file():
        return None
    # Small beside the features: read at once, in whatever numbers they were saved.
    boxes, images = _small(path), len(array) // step
    rows = (images, len(array))
    if array.ndim != 3 or boxes.shape not in [(count, array.shape[1], 4) for count in rows]:
        raise DataError(
            f"{path} has the shape {boxes.shape}, beside features of shape {array.shape}: a box for each region is "
            "needed, (n, regions, 4). Take both from the same extraction, or move the boxes away."
        )
    boxes = boxes[:: len(boxes) // images]
    divided = sizes.is_file() and boxes.max() > 1 + SLACK
    if divided:
        size = _small(sizes)
        if size.shape not in [(count, 2) for count in rows] or not (size > 0).all():
            raise DataError(
                f"{sizes} has the shape {size.shape} or a size that is not above 0: width and height of {images:,} "
                "pictures are needed, (n, 2)."
            )
        boxes = boxes / np.tile(size[:: len(size) // images], 2)[:, None]
    bad = np.flatnonzero(((boxes < -SLACK) | (boxes > 1 + SLACK) | ~np.isfinite(boxes)).any((1, 2)))
    if len(bad):
        after = f" after division by {sizes.name}: are width and height swapped there?" if divided else "."
        raise DataError(
            f"{path}: the boxes of image {bad[0]} run from {boxes[bad[0]].min():g} to {boxes[bad[0]].max():g}{after} "
            "Boxes are x0 y0 x1 y1 in shares of the picture, 0 to 1. Divide x0 and x1 by the picture's width, y0 and "
            f"y1 by its height, or write both into {sizes.name}, (n, 2)."
        )
    bad = np.flatnonzero((boxes[..., 2:] < boxes[..., :2]).any((1, 2)))
    if len(bad):
        raise DataError(
            f"{path}: a box of image {bad[0]} ends before it begins. Boxes are x0 y0 x1 y1; if these are x0, y0, width "
            "and height, add the first two to the last two."
        )
    return torch.from_numpy(boxes.clip(0, 1).astype(np.float32))


def _small(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False).astype(np.float64)
    except Exception as error:
        raise DataError(
            f"{path} is no whole array of numbers: {error}. It is short or altered. {CARD.fetch}"
        ) from error


def _agree(place: Path, parts: Sequence[_Part]) -> None:
    """All splits must have the same kind of features, and boxes all or none."""
    first = parts[0]
    for part in parts[1:]:
        if part.array.shape[1:] != first.array.shape[1:] or part.array.dtype != first.array.dtype:
            raise DataError(
                f"{place}: {first.stem}_ims.npy has rows of {first.array.shape[1:]} {first.array.dtype}, "
                f"{part.stem}_ims.npy of {part.array.shape[1:]} {part.array.dtype}. Take both from the same extraction."
            )
        if (part.boxes is None) != (first.boxes is None):
            with_boxes, without = (part, first) if first.boxes is None else (first, part)
            raise DataError(
                f"{place} has {with_boxes.stem}_boxes.npy and no {without.stem}_boxes.npy: add it, or move the other "
                "away."
            )


def _look(place: Path, parts: Sequence[_Part]) -> None:
    """Every number is finite, and rows that stand there once for each caption are the same."""
    for part in parts:
        path, row_bytes = place / f"{part.stem}_ims.npy", part.array[0].nbytes * part.step
        size = max(1, BLOCK // row_bytes) * part.step
        begins = range(0, len(part.array), size)
        for begin in settings.progress(begins, len(begins), f"looking through {path.name}"):
            block = np.asarray(part.array[begin : begin + size])
            bad = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(1))
            if len(bad):
                raise DataError(
                    f"{path}: row {begin + bad[0]} is NaN or infinite. Extract it again, or leave its image out. "
                    "verify=False skips this check."
                )
            if part.step == 1:
                continue
            groups = block.reshape(-1, part.step, *block.shape[1:])
            bad = np.flatnonzero((groups != groups[:, :1]).reshape(len(groups), -1).any(1))
            if len(bad):
                row = begin + bad[0] * part.step
                raise DataError(
                    f"{path} has a row for each caption, but rows {row} to {row + part.step - 1}, of one image, "
                    f"differ. Are there other than {part.step} captions an image? Then say so, captions=..."
                )


def _first(part: _Part, images: int, captions: int) -> _Part:
    return replace(
        part,
        ids=part.ids and part.ids[:images],
        array=part.array[: images * part.step],
        boxes=None if part.boxes is None else part.boxes[:images],
        captions=part.captions[: images * captions],
    )


def _ids(place: Path, parts: dict[str, _Part]) -> tuple[str, ...]:
    """The names of the files; a number within the split where there are none, or where two splits share a name."""
    plain = [name for part in parts.values() for name in part.ids or ()]
    if len(set(plain)) == len(plain) == sum(map(len, parts.values())):
        return tuple(plain)
    for part in parts.values():
        doubled = [name for name, times in Counter(part.ids or ()).items() if times > 1]
        if doubled:
            raise DataError(f"{place / f'{part.stem}_ids.txt'} names {doubled[0]!r} for two images: remove the file.")
    return tuple(f"{split}/{name}" for split, part in parts.items() for name in part.ids or map(str, range(len(part))))


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        # An array larger than the memory is opened for reading only, and torch knows no such thing.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
