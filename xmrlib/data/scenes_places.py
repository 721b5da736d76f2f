"""The sixteen places of `scenes`, painted: pastel, soft, and never louder than what stands in front of them.

A painter gets a canvas, a source of random numbers for details, the height of the horizon, and a number that picks the
colours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from xmrlib.data.scenes_canvas import WHITE, Canvas, Colour, mix
from xmrlib.data.scenes_world import PLACES

WATER = (146, 211, 245)  # OpenMoji's own water blue: its boats bring a block of it
# fmt: off
SKIES = (((203, 230, 250), (238, 247, 253)), ((189, 216, 248), (233, 240, 253)), ((214, 236, 244), (252, 246, 232)),
         ((219, 222, 246), (250, 238, 240)))
EVENINGS = (((188, 178, 226), (252, 219, 205)), ((170, 185, 226), (250, 226, 214)), ((201, 176, 214), (253, 226, 190)),
            ((160, 182, 214), (238, 224, 232)))
GREENS = (((196, 226, 168), (172, 211, 142)), ((206, 228, 160), (184, 214, 134)), ((186, 222, 178), (158, 206, 152)),
          ((214, 226, 166), (196, 212, 140)))
FIELDS = (((214, 204, 232), (190, 182, 216)), ((236, 208, 210), (218, 186, 196)), ((190, 214, 212), (164, 194, 196)),
          ((234, 216, 188), (216, 194, 164)))
SNOWS = (((238, 244, 250), (226, 234, 244)), ((244, 244, 250), (230, 230, 242)), ((240, 248, 248), (224, 238, 240)),
         ((248, 244, 244), (236, 230, 234)))
WALLS = (((246, 236, 220), (222, 200, 176)), ((232, 240, 236), (204, 216, 204)), ((240, 232, 244), (214, 202, 222)),
         ((250, 234, 228), (230, 204, 194)), ((230, 238, 248), (202, 214, 230)), ((250, 244, 218), (228, 214, 172)))
# fmt: on


def _clouds(canvas: Canvas, rng: np.random.RandomState, sky: Colour, low: float, count: int) -> None:
    colour = mix(sky, WHITE, 0.6)
    for _ in range(count):
        x, y, r = rng.random_sample(), 0.05 + (low - 0.08) * rng.random_sample(), 0.035 + 0.03 * rng.random_sample()
        for dx, grow in ((-1.5, 0.7), (0.0, 1.1), (1.4, 0.8)):
            canvas.ellipse(x + dx * r, y - (grow - 0.7) * r * 0.5, 1.3 * grow * r, 0.75 * grow * r, colour)


def _hills(canvas: Canvas, rng: np.random.RandomState, horizon: float, colours: tuple[Colour, Colour]) -> None:
    far, near = colours
    for _ in range(2):
        x, wide = rng.random_sample(), 0.34 + 0.2 * rng.random_sample()
        canvas.ellipse(x, horizon + 0.13, wide, 0.19, mix(far, WHITE, 0.3))
    canvas.fade(horizon + 0.02, 1, far, near)
    canvas.ellipse(rng.random_sample(), horizon + 0.32, 0.75, 0.28, mix(far, near, 0.45))
    canvas.fade(horizon + 0.36, 1, mix(far, near, 0.45), near)


def _land(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int, skies=SKIES, greens=GREENS) -> None:
    sky, ground = skies[look % 4], greens[look // 4 % 4]
    canvas.fade(0, horizon + 0.1, *sky)
    _clouds(canvas, rng, sky[0], horizon - 0.08, 3)
    _hills(canvas, rng, horizon, ground)


def _tuft(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    for lean in (-0.008, 0.0, 0.008):
        canvas.line([(x, y), (x + lean, y - 0.018)], colour, 0.004)


def _pasture(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _land(canvas, rng, horizon, look)
    post = (222, 196, 158)
    for y in (horizon + 0.045, horizon + 0.075):
        canvas.line([(0, y), (1, y)], post, 0.009)
    start = 0.16 * rng.random_sample()
    for i in range(7):
        canvas.block(start + 0.16 * i, horizon + 0.02, start + 0.16 * i + 0.016, horizon + 0.105, post)


def _meadow(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _land(canvas, rng, horizon, look)
    for _ in range(14):
        x, y = rng.random_sample(), horizon + 0.16 + (0.8 - horizon) * rng.random_sample()
        _tuft(canvas, x, y, mix(GREENS[look // 4 % 4][1], (90, 150, 90), 0.35))


def _dusk(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _land(canvas, rng, horizon, look, EVENINGS, FIELDS)


def _snow(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _land(canvas, rng, horizon, look, tuple((mix(a, (170, 190, 215), 0.5), b) for a, b in SKIES), SNOWS)
    for _ in range(40):
        x, y = rng.random_sample(), rng.random_sample()
        canvas.ellipse(x, y, 0.006, 0.006, WHITE)


def _glade(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky, ground = SKIES[look % 4], GREENS[look // 4 % 4]
    canvas.fade(0, horizon + 0.1, mix(sky[0], (190, 220, 180), 0.4), mix(sky[1], (226, 240, 214), 0.5))
    for row, share in ((0, 0.75), (1, 0.55)):
        colour = mix((120, 170, 130), WHITE, share)
        x = -0.1 * rng.random_sample()
        while x < 1.05:
            wide, tall = 0.05 + 0.04 * rng.random_sample(), 0.2 + 0.16 * rng.random_sample() - 0.05 * row
            foot = horizon + 0.05
            for step in range(3):
                lift, narrow = foot - tall * step * 0.28, wide * (1 - 0.22 * step)
                canvas.shape([(x - narrow, lift), (x + narrow, lift), (x, lift - tall * 0.5)], colour)
            x += 0.09 + 0.07 * rng.random_sample()
    canvas.fade(horizon + 0.04, 1, mix(ground[0], (150, 180, 120), 0.35), mix(ground[1], (140, 160, 110), 0.3))
    for _ in range(16):
        _tuft(canvas, rng.random_sample(), horizon + 0.12 + 0.4 * rng.random_sample(), (132, 170, 112))


def _waves(canvas: Canvas, rng: np.random.RandomState, top: float, bottom: float, count: int) -> None:
    for _ in range(count):
        x, y = rng.random_sample(), top + (bottom - top) * rng.random_sample()
        r = 0.02 + 0.015 * rng.random_sample()
        for side in (0, 1):
            box = canvas.box(x + (2 * side - 1) * r - r, y - 0.4 * r, x + (2 * side - 1) * r + r, y + 0.4 * r)
            canvas.draw.arc(box, 20, 160, fill=mix(WATER, WHITE, 0.55), width=max(1, canvas.size // 150))


def _open_sea(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky = (SKIES + EVENINGS)[(look * 3) % 8]
    canvas.fade(0, horizon, *sky)
    _clouds(canvas, rng, sky[0], horizon - 0.05, 3)
    canvas.fade(horizon, horizon + 0.1, mix(WATER, WHITE, 0.35), WATER)
    canvas.block(0, horizon + 0.1, 1, 1, WATER)
    _waves(canvas, rng, horizon + 0.08, 0.98, 12)


def _beach(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky = (SKIES + EVENINGS)[look % 8]
    canvas.fade(0, horizon, *sky)
    _clouds(canvas, rng, sky[0], horizon - 0.04, 2)
    canvas.fade(horizon, horizon + 0.06, mix(WATER, WHITE, 0.35), WATER)
    canvas.block(0, horizon + 0.06, 1, 1, WATER)
    _waves(canvas, rng, horizon + 0.06, 0.6, 5)
    sand = ((248, 232, 196), (250, 226, 190), (246, 236, 208), (244, 226, 184))[look // 8 % 4]
    shift = 0.4 * rng.random_sample() - 0.2
    for lift, colour in ((0.0, mix(WATER, WHITE, 0.6)), (0.018, sand)):
        canvas.ellipse(0.5 + shift, 0.625 + lift + 0.75, 1.5, 0.75, colour)
    for _ in range(26):
        x, y = rng.random_sample(), 0.74 + 0.24 * rng.random_sample()
        canvas.ellipse(x, y, 0.004, 0.003, mix(sand, (190, 160, 110), 0.4))


def _inside(canvas: Canvas, horizon: float, look: int) -> tuple[Colour, Colour]:
    wall, floor = WALLS[look % 6][0], WALLS[(look // 6 + look) % 6][1]
    canvas.fade(0, horizon, mix(wall, WHITE, 0.3), wall)
    canvas.fade(horizon, 1, mix(floor, WHITE, 0.25), floor)
    return wall, floor


def _studio(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    wall, floor = _inside(canvas, horizon, look)
    # A photographer's backdrop: the wall runs into the floor.
    canvas.fade(horizon - 0.06, horizon + 0.06, wall, mix(floor, WHITE, 0.25))


def _skirting(canvas: Canvas, horizon: float, floor: Colour) -> None:
    canvas.block(0, horizon - 0.018, 1, horizon, mix(floor, WHITE, 0.55))
    canvas.line([(0, horizon), (1, horizon)], mix(floor, (120, 100, 90), 0.3), 0.004)


def _window(canvas: Canvas, x: float, y: float, look: int) -> None:
    canvas.block(x - 0.012, y - 0.012, x + 0.232, y + 0.232, WHITE)
    for column in (0, 1):
        for row in (0, 1):
            x0, y0 = x + 0.113 * column, y + 0.113 * row
            canvas.block(x0, y0, x0 + 0.107, y0 + 0.107, SKIES[look % 4][0])


def _room(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _, floor = _inside(canvas, horizon, look)
    if look % 2:
        _window(canvas, 0.08 + 0.6 * rng.random_sample(), 0.09, look)
    else:
        x, frame = 0.1 + 0.6 * rng.random_sample(), (214, 190, 160)
        canvas.block(x, 0.1, x + 0.2, 0.26, frame)
        canvas.block(x + 0.015, 0.115, x + 0.185, 0.245, SKIES[look // 2 % 4][1])
        canvas.ellipse(x + 0.08, 0.245, 0.07, 0.05, GREENS[look // 2 % 4][0])
        canvas.block(x, 0.245, x + 0.2, 0.26, frame)
    _skirting(canvas, horizon, floor)
    canvas.ellipse(0.5, 0.84, 0.42, 0.11, mix(floor, WALLS[(look + 3) % 6][0], 0.7))
    canvas.ring(0.5, 0.84, 0.39, 0.095, mix(floor, WHITE, 0.5), 0.006)


def _study(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _, floor = _inside(canvas, horizon, look + 4)
    _window(canvas, 0.1 + 0.5 * rng.random_sample(), 0.08, look)
    _skirting(canvas, horizon, floor)
    for i in range(1, 6):
        y = horizon + (1 - horizon) * i * i / 30
        canvas.line([(0, y), (1, y)], mix(floor, WHITE, 0.25), 0.004)


def _tiles(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    wall, floor = _inside(canvas, horizon, look)
    second = mix(wall, WALLS[(look + 2) % 6][1], 0.35)
    for row in range(4):
        for column in range(8):
            x, y = column * 0.125, horizon - 0.125 * (row + 1)
            colour = second if (row + column) % 2 else mix(wall, WHITE, 0.4)
            canvas.block(x + 0.005, y + 0.005, x + 0.12, y + 0.12, colour)
    wood = ((226, 196, 160), (214, 188, 164), (232, 206, 176))[look % 3]
    canvas.block(0, horizon, 1, horizon + 0.03, mix(wood, (120, 90, 60), 0.25))
    canvas.fade(horizon + 0.03, 1, mix(wood, WHITE, 0.3), wood)
    for i in range(3):
        y = horizon + 0.12 + 0.13 * i + 0.03 * rng.random_sample()
        canvas.line([(0, y), (1, y)], mix(wood, (150, 120, 90), 0.2), 0.004)


def _road(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky = (SKIES + EVENINGS)[look % 8]
    canvas.fade(0, horizon + 0.02, *sky)
    _clouds(canvas, rng, sky[0], 0.25, 2)
    x = -0.05
    while x < 1:
        wide, tall = 0.09 + 0.09 * rng.random_sample(), 0.1 + 0.22 * rng.random_sample()
        colour = mix(mix((150, 160, 190), sky[1], 0.35), WHITE, 0.3 * rng.random_sample() + 0.2)
        canvas.block(x, horizon - tall, x + wide, horizon + 0.02, colour)
        for row in range(int(tall / 0.05)):
            for column in range(int(wide / 0.04)):
                x0, y0 = x + 0.015 + 0.04 * column, horizon - tall + 0.02 + 0.05 * row
                canvas.block(x0, y0, x0 + 0.016, y0 + 0.022, mix(colour, WHITE, 0.5))
        x += wide + 0.01
    canvas.block(0, horizon + 0.01, 1, horizon + 0.12, (222, 220, 216))
    canvas.block(0, horizon + 0.11, 1, horizon + 0.125, (200, 198, 196))
    canvas.fade(horizon + 0.125, 1, (196, 198, 206), (178, 180, 190))
    start = 0.2 * rng.random_sample() - 0.2
    for i in range(6):
        x0 = start + 0.22 * i
        canvas.shape([(x0, 0.8), (x0 + 0.12, 0.8), (x0 + 0.11, 0.825), (x0 - 0.012, 0.825)], (238, 236, 226))


def _pitch(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky, ground = SKIES[look % 4], GREENS[look // 4 % 4]
    canvas.fade(0, horizon, *sky)
    _clouds(canvas, rng, sky[0], 0.2, 2)
    for row in range(4):
        y = horizon - 0.15 + 0.035 * row
        canvas.block(0, y, 1, y + 0.04, mix((176, 184, 206), WHITE, 0.25 + 0.12 * (row % 2)))
        for _ in range(26):
            x, dress = rng.random_sample(), WALLS[int(6 * rng.random_sample())][1]
            canvas.ellipse(x, y + 0.018, 0.007, 0.008, mix(dress, WHITE, 0.3))
    canvas.block(0, horizon - 0.015, 1, horizon + 0.02, (244, 244, 240))
    for stripe in range(5):
        y0, y1 = horizon + 0.02 + 0.112 * stripe, horizon + 0.02 + 0.112 * (stripe + 1)
        canvas.block(0, y0, 1, y1, ground[stripe % 2])
    canvas.ring(0.5, 0.8, 0.3, 0.11, mix(ground[0], WHITE, 0.7), 0.008)
    canvas.line([(0, horizon + 0.1), (1, horizon + 0.1)], mix(ground[0], WHITE, 0.7), 0.008)


def _stage(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    cloth = ((226, 196, 222), (232, 200, 200), (200, 206, 232), (206, 222, 214))[look % 4]
    canvas.block(0, 0, 1, horizon, cloth)
    x = 0.0
    while x < 1:
        wide = 0.035 + 0.025 * rng.random_sample()
        canvas.block(x, 0, x + wide / 2, horizon, mix(cloth, WHITE, 0.3))
        x += wide
    for i in range(6):
        canvas.ellipse(i / 5, -0.01, 0.11, 0.09, mix(cloth, (150, 110, 150), 0.25))
    boards = ((228, 204, 174), (216, 194, 174), (236, 214, 184))[look // 4 % 3]
    canvas.fade(horizon, 1, mix(boards, WHITE, 0.25), boards)
    for i in range(-4, 15):
        seam = [(0.5 + (i - 5) * 0.08, horizon), (0.5 + (i - 5) * 0.2, 1)]
        canvas.line(seam, mix(boards, (140, 110, 80), 0.18), 0.004)
    canvas.ellipse(0.5, 0.82, 0.4, 0.13, mix(boards, (255, 250, 220), 0.45))


def _heights(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    sky = (SKIES + EVENINGS)[look % 8]
    canvas.fade(0, horizon + 0.06, *sky)
    _clouds(canvas, rng, sky[0], horizon - 0.1, 6)
    far, near = GREENS[look // 8 % 4]
    for x, r in ((rng.random_sample() * 0.5, 0.5), (0.5 + rng.random_sample() * 0.5, 0.55)):
        canvas.ellipse(x, 1.0, r, 1.02 - horizon, mix(far, sky[1], 0.35))
    canvas.ellipse(rng.random_sample(), 1.06, 0.9, 1.06 - horizon - 0.06, far)
    canvas.fade(0.93, 1, far, near)


def _hall(canvas: Canvas, rng: np.random.RandomState, horizon: float, look: int) -> None:
    _, floor = _inside(canvas, horizon, look + 2)
    bright = ((248, 180, 180), (250, 220, 150), (176, 216, 240), (190, 226, 180), (220, 190, 236))
    for row, sag in ((0, 0.1), (1, 0.07)):
        top = 0.03 + 0.1 * row
        points = [(i / 14, top + sag * (1 - (i / 7 - 1) ** 2)) for i in range(15)]
        canvas.line(points, (200, 190, 196), 0.004)
        for i in range(14):
            (x0, y0), (x1, y1) = points[i], points[i + 1]
            canvas.shape([(x0, y0), (x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2 + 0.06)], bright[(i + look + row) % 5])
    for _ in range(36):
        x, y = rng.random_sample(), horizon + 0.04 + (0.96 - horizon) * rng.random_sample()
        canvas.ellipse(x, y, 0.006, 0.004, bright[int(5 * rng.random_sample())])
    _skirting(canvas, horizon, floor)


_PAINTERS: dict[str, Callable[[Canvas, np.random.RandomState, float, int], None]] = {
    "pasture": _pasture, "open sea": _open_sea, "glade": _glade, "tiles": _tiles, "road": _road, "pitch": _pitch,
    "stage": _stage, "study": _study, "heights": _heights, "hall": _hall, "meadow": _meadow, "dusk": _dusk,
    "snow": _snow, "beach": _beach, "studio": _studio, "room": _room,
}  # fmt: skip


@lru_cache(maxsize=512)
def background(place: str, look: tuple[int, int], size: int) -> Image.Image:
    """The empty place, `size` x `size`; `look` picks its colours and its details."""
    canvas = Canvas(size)
    colours, details = look
    _PAINTERS[place](canvas, np.random.RandomState(details), PLACES[place].horizon, colours)
    return canvas.finished()
