"""What a method may look at in an image: the whole, a grid of cells, regions, patches, or the pixels themselves."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xmrlib.data.pairs import DataError, Images
from xmrlib.features.backbones import Backbone, backbone
from xmrlib.features.store import FeatureStore, Field, identity
from xmrlib.settings import cache_directory, progress

VIEWS = ("whole", "grid", "regions", "patches", "pixels")
SIZES = {"whole": 160, "grid": 224, "regions": 96, "patches": 128, "pixels": 224}  # of the backbone's input, in pixels
DETECTORS = ("fasterrcnn",)
VERSION = 1  # raised when code in this folder changes what the features are: stores made before are left aside
BATCH = 32


@dataclass(frozen=True)
class Regions:
    """Parts of pictures: what is in them, where they are, and which entries are real.

    features  (n, r, d), zero where `mask` is False
    boxes     (n, r, 4) as x0 y0 x1 y1, in shares of the picture's width and height
    mask      (n, r) True for the regions that exist: pictures differ in their number
    """

    features: Float[Tensor, "image region dim"]
    boxes: Float[Tensor, "image region 4"]
    mask: Bool[Tensor, "image region"]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> Regions:
        """The regions of some images: a slice, a mask or row numbers."""
        return Regions(self.features[rows], self.boxes[rows], self.mask[rows])

    @property
    def geometry(self) -> Float[Tensor, "image region 5"]:
        """Where each region is: see the function `geometry`."""
        return geometry(self.boxes)


def geometry(boxes: Float[Tensor, "*image 4"]) -> Float[Tensor, "*image 5"]:
    """Centre x, centre y, width, height and area of boxes, in shares of the picture.

    >>> geometry(torch.tensor([[0.0, 0.0, 0.5, 1.0]]))
    tensor([[0.2500, 0.5000, 0.5000, 1.0000, 0.5000]])
    """
    left, top, right, bottom = boxes.unbind(-1)
    wide, high = right - left, bottom - top
    return torch.stack([(left + right) / 2, (top + bottom) / 2, wide, high, wide * high], dim=-1)


def pair_geometry(boxes: Float[Tensor, "*image region 4"]) -> Float[Tensor, "*image region region 5"]:
    """How region k lies as seen from region j: (dx, dy, distance, log width ratio, log height ratio) at [..., j, k].

    dx and dy are differences of the centres, k minus j; the ratios are k over j. Padded regions (boxes of width 0)
    give finite numbers without a meaning: mask them.
    """
    x, y, wide, high, _ = geometry(boxes).unbind(-1)
    sides = (x, y, wide.clamp_min(1e-3).log(), high.clamp_min(1e-3).log())
    dx, dy, dw, dh = (side[..., None, :] - side[..., :, None] for side in sides)
    return torch.stack([dx, dy, (dx.square() + dy.square()).sqrt(), dw, dh], dim=-1)


def windows(kind: str) -> np.ndarray:
    """Boxes that are the same for every picture, overlapping so that few things are cut by all of them.

    "five": four corners and the centre, each .6 of the side. "ten": the whole, and nine of half the side.

    >>> windows("five")[4]
    array([0.2, 0.2, 0.8, 0.8])
    """
    if kind == "five":
        corners, side, first = [(0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4), (0.2, 0.2)], 0.6, []
    elif kind == "ten":
        corners, side, first = [(x, y) for y in (0, 0.25, 0.5) for x in (0, 0.25, 0.5)], 0.5, [(0.0, 0.0, 1.0, 1.0)]
    else:
        raise ValueError(f"unknown windows {kind!r}; there are 'five' and 'ten'.")
    return np.array(first + [(x, y, x + side, y + side) for x, y in corners]).round(6)


def fingerprint(name: str = "lite0", view: str = "whole", size: int | None = None) -> str:
    """What decides the features of a view: the network, its weights, scaling, frame and input size. For checkpoints."""
    return _network(name, view, size).fingerprint


def view(
    images: Images,
    name: str = "whole",
    backbone: str | Any = "lite0",
    size: int | None = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> Tensor | Regions:
    """What the images look like to a method.

    whole    (n, d) one vector per picture
    grid     (n, cells, d) one vector per cell of the last feature map, 7 x 7 = 49 cells at 224 pixels, row by row
    regions  `Regions`: crops, each brought to `size` pixels and encoded. boxes="auto" takes the true boxes where the
             data know them, else "ten" windows; at most `most` (12) per picture, the largest. A crop holds what lies
             behind the thing and any neighbour that reaches into its box, nothing else. With backbone="fasterrcnn":
             the detector's own boxes and features, at most 36.
    patches  (n, p, d) the same windows for every picture, windows="five" or "ten"
    pixels   (n, 3, size, size) of bytes, framed but not scaled; `backbone(...).scaled(pixels)` does the rest

    backbone  "lite0", "vgg19", "resnet50", for regions also "fasterrcnn"; or a `Backbone` (or `Detector`) itself
    size      side of the network's input in pixels, a multiple of 32; by default 160 for whole (a little less good
              than 224, in less than half the time), 224 for grid and pixels, 96 for regions, 128 for patches; for
              torchvision's networks 224 for whole, as they were trained
    dtype     of the answer; on disk all but `whole` is kept in half precision

    Features that came with the data (`images.given[name]`) win. Others are computed, once where the images have a key:
    the feature store under `XMR_CACHE` then keeps them row by row.
    Raises `DataError` where there are no pictures, `ValueError` for an unknown view, backbone or option.
    """
    if name in images.given:
        return _given(images, name)
    if name not in VIEWS:
        others = ", ".join(map(repr, images.given)) or "none"
        raise ValueError(f"unknown view {name!r}; there are {', '.join(VIEWS)}, and of this data's own: {others}.")
    if images.picture is None:
        raise DataError(
            f"the view {name!r} needs pictures, and this data set brings features only "
            f"({', '.join(map(repr, images.given)) or 'none'}). Use one of these views, or add the pictures."
        )
    network = _network(backbone, name, size)
    if name == "pixels":
        return torch.cat([network.pixels([images[int(i)] for i in part]) for part in _batches(np.arange(len(images)))])
    maker = _detected if hasattr(network, "regions") else MAKERS[name]
    options = _options(maker, name, images, network, options)
    fields, compute = maker(images, network, **options)
    rows = _rows(images, name, network, options, fields, compute)
    found = {key: torch.from_numpy(block) for key, block in rows.items()}
    features = found["features"].to(dtype)
    if "boxes" not in found:
        return features
    most = max(int(found["mask"].sum(1).max()), 1)  # no wider than the fullest of these pictures
    return Regions(features[:, :most], found["boxes"][:, :most], found["mask"][:, :most])


def _network(name: str | Any, view: str, size: int | None) -> Any:
    if not isinstance(name, str):
        return name
    if name in DETECTORS:
        if view != "regions":
            raise ValueError(f"{name!r} finds regions; it has no view {view!r}. Use backbone='lite0' or 'resnet50'.")
        from xmrlib.features.published import detector

        return detector(name)
    default = SIZES.get(view, 224)
    return backbone(name, size or (224 if name != "lite0" and view in ("whole", "grid") else default))


def _options(maker: Callable, name: str, images: Images, network: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options with all defaults written out: what is the same must have one name in the store."""
    try:
        bound = inspect.signature(maker).bind(images, network, **options)
    except TypeError:
        known = ", ".join(list(inspect.signature(maker).parameters)[2:]) or "none"
        raise ValueError(f"the view {name!r} has these options: {known}; not {', '.join(options)}.") from None
    bound.apply_defaults()
    full = dict(list(bound.arguments.items())[2:])
    if full.get("boxes") == "auto":
        full["boxes"] = "truth" if images.boxes is not None else "ten"
    return full


def _given(images: Images, name: str) -> Tensor | Regions:
    """Features that came with the data, as they are; regions get boxes and a mask, given or made up."""
    features = images.given[name]
    if name != "regions" or not isinstance(features, Tensor):
        return features
    boxes = images.given.get("boxes", torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(*features.shape[:2], 4))
    mask = images.given.get("mask", torch.ones(features.shape[:2], dtype=torch.bool))
    return Regions(features.float(), boxes.float(), mask.bool())


Maker = tuple[dict[str, Field], Callable[[np.ndarray], Mapping[str, np.ndarray]]]


def _rows(images: Images, name: str, network: Any, options: dict, fields: dict[str, Field], compute: Callable) -> dict:
    """The arrays of `fields` for these images: out of the store where the images have a key, else computed here."""
    if images.key is None:
        parts = [compute(part) for part in progress(list(_batches(images.rows)), label=name)]
        return {k: np.concatenate([np.asarray(part[k], dtype=f.dtype) for part in parts]) for k, f in fields.items()}
    about = dict(images=images.key, view=name, backbone=network.fingerprint, options=options, version=VERSION)
    folder = cache_directory() / "features" / f"{name}-{identity(**about, total=images.total)}"
    return FeatureStore(folder, images.total, fields, about).fill(images.rows, compute, BATCH, name)


def _batches(rows: np.ndarray) -> Sequence[np.ndarray]:
    if not len(rows):
        raise DataError("there are no images: a view needs at least one.")
    return [rows[begin : begin + BATCH] for begin in range(0, len(rows), BATCH)]


def _pictures(images: Images, rows: np.ndarray) -> list:
    return [images.picture(int(row)) for row in rows]


def _whole(images: Images, network: Backbone) -> Maker:
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"features": network.whole(_pictures(images, rows)).numpy()}

    return {"features": Field((network.dim,), "float32")}, compute


def _grid(images: Images, network: Backbone) -> Maker:
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"features": network.grid(_pictures(images, rows)).numpy()}

    return {"features": Field((network.cells, network.grid_dim), "float16")}, compute


def _crops(picture: Any, boxes: np.ndarray) -> list:
    """The parts of a picture inside `boxes`, at least one pixel each."""
    wide, high = picture.size
    parts = []
    for x0, y0, x1, y1 in np.asarray(boxes, dtype=np.float64).clip(0, 1):
        left, top = min(math.floor(x0 * wide), wide - 1), min(math.floor(y0 * high), high - 1)
        right, bottom = max(math.ceil(x1 * wide), left + 1), max(math.ceil(y1 * high), top + 1)
        parts.append(picture.crop((left, top, right, bottom)))
    return parts


def _patches(images: Images, network: Backbone, windows: str = "five") -> Maker:
    boxes = _windows(windows)

    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        crops = [crop for picture in _pictures(images, rows) for crop in _crops(picture, boxes)]
        return {"features": network.whole(crops).numpy().reshape(len(rows), len(boxes), -1)}

    return {"features": Field((len(boxes), network.dim), "float16")}, compute


_windows = windows


def _regions(images: Images, network: Backbone, boxes: str = "auto", most: int = 12) -> Maker:
    if boxes == "truth" and images.boxes is None:
        raise DataError("boxes='truth' needs the true boxes, which this data set does not have; use boxes='ten'.")

    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        kept = [_largest(images.boxes(int(row)), most) if boxes == "truth" else windows(boxes)[:most] for row in rows]
        pictures = zip(_pictures(images, rows), kept, strict=True)
        crops = [crop for picture, found in pictures for crop in _crops(picture, found)]
        return _padded(kept, network.whole(crops).numpy() if crops else np.zeros((0, network.dim)), most, network.dim)

    return _region_fields(most, network.dim), compute


MAKERS = {"whole": _whole, "grid": _grid, "regions": _regions, "patches": _patches}


def _detected(images: Images, network: Any, most: int = 36) -> Maker:
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        found = [network.regions(picture, most) for picture in _pictures(images, rows)]
        features = np.concatenate([features.numpy() for features, _ in found])
        return _padded([boxes.numpy() for _, boxes in found], features, most, network.dim)

    return _region_fields(most, network.dim), compute


def _largest(boxes: np.ndarray, most: int) -> np.ndarray:
    """At most `most` boxes, the largest, in their own order."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return boxes[np.sort(np.argsort(-area, kind="stable")[:most])]


def _region_fields(most: int, dim: int) -> dict[str, Field]:
    where = {"boxes": Field((most, 4), "float32"), "mask": Field((most,), "bool")}
    return {"features": Field((most, dim), "float16"), **where}


def _padded(boxes: list[np.ndarray], features: np.ndarray, most: int, dim: int) -> dict[str, np.ndarray]:
    """Regions of several pictures, one after the other, as padded rows."""
    rows = {name: np.zeros((len(boxes), *f.shape), f.dtype) for name, f in _region_fields(most, dim).items()}
    begin = 0
    for row, found in enumerate(boxes):
        count = len(found)
        rows["features"][row, :count] = features[begin : begin + count]
        rows["boxes"][row, :count] = found
        rows["mask"][row, :count] = True
        begin += count
    return rows
