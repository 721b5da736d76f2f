"""From a scene's recipe to its picture: background, soft shadows, drawings from back to front."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from xmrlib.data import openmoji
from xmrlib.data.scenes_canvas import Colour
from xmrlib.data.scenes_places import background
from xmrlib.data.scenes_truth import Object, Scene
from xmrlib.data.scenes_world import PLACES, code_of


@lru_cache(maxsize=1)
def _soft_ellipse() -> Image.Image:
    """A mask that is dark in the middle and fades to nothing at its rim."""
    y, x = np.mgrid[0:64, 0:64]
    inside = np.maximum(0, 1024 - ((2 * x - 63) ** 2 + (2 * y - 63) ** 2) // 4)
    return Image.fromarray((inside * inside // (1024 * 1024 // 120)).clip(0, 120).astype(np.uint8))


def _shadow(picture: Image.Image, box: tuple[int, int, int, int], colour: Colour) -> None:
    x0, _, x1, y1 = box
    width, height = max(4, (x1 - x0) * 23 // 20), max(3, (x1 - x0) // 4)
    mask = _soft_ellipse().resize((width, height), Image.Resampling.BILINEAR)
    picture.paste(colour, ((x0 + x1 - width) // 2, y1 - height * 11 // 20), mask)


@lru_cache(maxsize=4096)
def _drawn(drawing: str, mirrored: bool, width: int, height: int, master: int) -> Image.Image:
    sprite = openmoji.sprite(code_of(drawing), master)
    if mirrored:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Transparent pixels must not bleed into the edges: resize with opacity multiplied in.
    return sprite.convert("RGBa").resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")


def pixels_of(thing: Object, size: int) -> tuple[int, int, int, int]:
    """The object's box in whole pixels of a picture of `size` x `size`."""
    x0, y0, x1, y1 = (int(v * size + 0.5) for v in thing.box)
    return x0, y0, max(x0 + 1, x1), max(y0 + 1, y1)


def picture(scene: Scene, size: int) -> Image.Image:
    """The scene as an RGB picture of `size` x `size`."""
    place = PLACES[scene.place]
    canvas = background(scene.place, scene.look, size).copy()
    master = max(64, size // 2)
    # Back to front: what stands lower in the picture is nearer, and what flies is behind everything.
    for thing in sorted(scene.objects, key=lambda one: (one.stands != "a", one.box[3])):
        box = pixels_of(thing, size)
        if thing.stands != "a":
            wet = place.water is not None and (thing.stands == "w" or place.water == place.ground)
            _shadow(canvas, box, (225, 243, 252) if wet else (84, 80, 100))
        sprite = _drawn(thing.drawing, thing.mirrored, box[2] - box[0], box[3] - box[1], master)
        canvas.paste(sprite, box[:2], sprite)
    return canvas
