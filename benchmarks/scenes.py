"""How fast scenes are made up and drawn: python -m benchmarks.scenes [--json] [--images 1000] [--size 224].

Layout and text take one pass when a data set is loaded; pictures are drawn when asked for. Cold: every drawing has to
be rendered from its SVG and every background painted. Warm: these are kept in memory.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.evaluate import Task


def recipes(images: int, size: int = 224) -> dict:
    """Scenes laid out, with nothing drawn yet."""
    from xmrlib.data.scenes_families import scenes
    from xmrlib.data.scenes_texts import Knobs

    return {"scenes": scenes("train", images, Knobs()), "size": size, "images": images}


def forget(data: dict) -> dict:
    """Nothing rendered and nothing painted."""
    from xmrlib.data import openmoji, scenes_picture, scenes_places

    for kept in (openmoji.rendered, openmoji.sprite, scenes_picture._drawn, scenes_places.background):
        kept.cache_clear()
    return data


def remember(data: dict) -> dict:
    """Everything rendered and painted that these scenes need, as far as it is kept at all."""
    draw(data)
    return data


def lay_out(data: dict) -> dict:
    """Layout, relations and texts anew."""
    from xmrlib.data.scenes_families import scenes
    from xmrlib.data.scenes_texts import Knobs

    return {"objects": sum(len(scene.objects) for scene in scenes("train", data["images"], Knobs()))}


def draw(data: dict) -> dict:
    """Every picture once."""
    from xmrlib.data.scenes_picture import picture

    return {"bytes": sum(len(picture(scene, data["size"]).tobytes()) for scene in data["scenes"])}


TASKS = {
    "layout": Task(
        data=recipes,
        warm={"images": 20},
        sizes=({"images": 1000}, {"images": 4500}),
        quick=({"images": 300},),
        methods={"xmrlib": lay_out},
        agree=0,
    ),
    "drawing": Task(
        data=recipes,
        warm={"images": 20},
        sizes=({"images": 1000, "size": 224}, {"images": 1000, "size": 128}),
        quick=({"images": 200, "size": 128},),
        methods={"xmrlib": draw, "xmrlib, warm": draw},
        agree=0,
        prepare={"xmrlib": forget, "xmrlib, warm": remember},
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """One table: scenes a second and milliseconds a scene, on one core."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scenes", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    recipes(20)
    data = recipes(options.images, options.size)
    rows = []
    for name, prepare, work in (
        ("layout and text", dict, lay_out),
        ("drawing, cold", forget, draw),
        ("drawing, warm", dict, draw),
    ):
        prepare(data)
        wall, cpu = time.perf_counter(), time.process_time()
        work(data)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rows.append({"work": name, "images": options.images, "size": options.size, "seconds": wall, "cpu_seconds": cpu})
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'work':18}{'scenes':>8}{'px':>6}{'scenes/s':>12}{'ms/scene':>11}{'CPU ms/scene':>14}")
    for row in rows:
        per, cpu = 1000 * row["seconds"] / row["images"], 1000 * row["cpu_seconds"] / row["images"]
        print(f"{row['work']:18}{row['images']:>8}{row['size']:>6}{1000 / per:>12.0f}{per:>11.2f}{cpu:>14.2f}")


if __name__ == "__main__":
    main()
