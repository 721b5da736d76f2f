"""A page of search results that stands on its own: one HTML file, pictures inside, nothing fetched."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

CREDIT = (
    "Pictures composed from <a href='https://openmoji.org'>OpenMoji</a> drawings, the open-source emoji and icon "
    "project, <a href='https://creativecommons.org/licenses/by-sa/4.0/'>CC BY-SA 4.0</a>."
)
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --mark: #0072b2 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } .about, footer { color: GrayText; font-size: .9rem }
ol { list-style: none; padding: 0; display: grid; gap: 1rem }
ol { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
li { border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; display: flex; flex-direction: column }
li img { width: 100%; display: block; background: var(--soft) } li div { padding: .6rem .8rem }
li p { margin: .3rem 0 0 } .score { display: flex; gap: .6rem; align-items: center; font-variant-numeric: tabular-nums }
.bar { flex: 1; height: .4rem; border-radius: .2rem; background: var(--soft) }
.bar i { display: block; height: 100%; border-radius: inherit; background: var(--mark) }
.query img { max-width: 14rem; border-radius: .6rem }
"""


@dataclass(frozen=True)
class Hit:
    """One result: its rank from 1, its score, and what it shows; `picture` is None for a text or for features only."""

    rank: int
    score: float
    id: str
    label: str | None
    text: str | None
    picture: Image.Image | None = None


def picture_data(picture: Image.Image, side: int = 360) -> str:
    """The picture as a data address, at most `side` pixels wide and high."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def results_page(query: str | Image.Image, hits: Sequence[Hit], about: str, credit: str = "") -> str:
    """The whole page for one query, a sentence or a picture.

    about   one line under the query: which model, which data
    credit  HTML for the footer, as the licence of the pictures asks
    """
    if isinstance(query, str):
        heading, title = f"<h1>{html.escape(query)}</h1>", query
    else:
        heading = f'<h1>Texts for a picture</h1><p class="query"><img src="{picture_data(query)}" alt="The query."></p>'
        title = "Texts for a picture"
    best = max((hit.score for hit in hits), default=0.0)
    cards = "\n".join(_card(hit, best) for hit in hits)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head>
<body><main>{heading}<p class="about">{html.escape(about)}</p>
<ol>
{cards}
</ol></main><footer>{credit}</footer></body></html>
"""


def _card(hit: Hit, best: float) -> str:
    width = 0 if best <= 0 else max(0.0, min(1.0, hit.score / best)) * 100
    text = html.escape(hit.text or "")
    picture = ""
    if hit.picture is not None:
        picture = f'<img src="{picture_data(hit.picture)}" alt="{text or html.escape(hit.id)}" loading="lazy">'
    label = f" · {html.escape(hit.label)}" if hit.label else ""
    return (
        f"<li>{picture}<div><div class='score'><b>{hit.rank}</b>"
        f"<span class='bar'><i style='width:{width:.0f}%'></i></span><span>{hit.score:.3f}</span></div>"
        f"<p class='about'>{html.escape(hit.id)}{label}</p><p>{text}</p></div></li>"
    )
