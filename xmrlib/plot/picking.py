"""Retrieval as HTML: a picker (choose a query, see the ranking) for the page, and a result sheet as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from xmrlib.data.pairs import Pairs
from xmrlib.plot import look, page
from xmrlib.plot.canvas import class_of, score_words, words_of
from xmrlib.plot.ranking import JUDGED, Ranking, meaning, needs_credit, rank

_STYLE = f"""
.xmr-explore ol.xmr-hits{{list-style:none;padding:0;margin:.5rem 0;display:grid;gap:.6rem;
 grid-template-columns:repeat(auto-fill,minmax(7rem,1fr))}}
.xmr-explore ol.xmr-hits.xmr-words{{grid-template-columns:1fr}}
.xmr-explore ol.xmr-hits li{{margin:0;border:2px solid var(--xmr-line);border-radius:6px;padding:.3rem;min-width:0}}
.xmr-explore li img{{display:block;width:100%;height:auto;border-radius:4px;
 margin:0 0 .25rem;padding:0!important;filter:none!important}}
.xmr-explore ol.xmr-hits li.xmr-pair{{border:3px solid {look.right_colour}}}
.xmr-explore ol.xmr-hits li.xmr-class{{border-color:{look.same_class_colour}}}
.xmr-explore ol.xmr-hits li.xmr-wrong{{border:2px dashed #B4476C}}
.xmr-explore .xmr-rank{{font-weight:700}}
.xmr-explore .xmr-mark{{display:inline-block;min-width:1.4em;text-align:center;border-radius:50%;color:#fff;
 font-size:.8rem}}
.xmr-explore .xmr-pair .xmr-mark{{background:{look.right_colour}}}
.xmr-explore .xmr-class .xmr-mark{{background:#fff;color:{look.same_class_colour};outline:1px solid}}
.xmr-explore .xmr-wrong .xmr-mark{{background:{look.wrong_colour};border-radius:2px}}
.xmr-explore .xmr-score{{opacity:.75;font-variant-numeric:tabular-nums;font-size:.85em}}
.xmr-explore fieldset{{border:0;padding:0;margin:.4rem 0;min-width:0}}
.xmr-explore legend{{font-size:1em;padding:0;margin:0 0 .2rem}}
.xmr-explore .xmr-thumbs{{display:flex;flex-wrap:wrap;gap:.3rem}}
.xmr-explore .xmr-thumbs label{{position:relative;width:3.4rem}}
.xmr-explore .xmr-thumbs img{{display:block;width:100%;height:auto;border-radius:4px;margin:0;
 padding:0!important;filter:none!important;
 outline:2px solid transparent;outline-offset:1px}}
.xmr-explore .xmr-thumbs input{{position:absolute;opacity:0;inset:0;margin:0;width:100%;height:100%;cursor:pointer}}
.xmr-explore .xmr-thumbs input:checked+img{{outline:3px solid var(--xmr-accent)}}
.xmr-explore .xmr-thumbs input:focus-visible+img{{outline:3px dashed var(--xmr-accent)}}
.xmr-explore select.xmr-query{{width:100%}}
.xmr-explore .xmr-question{{margin:.4rem 0;padding:.4rem .7rem;border-radius:6px;background:{look.text_tint};
 color:{look.text_colour};font-weight:600}}
"""

_SCRIPT = """
(function(){
const root=document.getElementById("ID");if(!root||root.dataset.ready)return;root.dataset.ready="1";
const d=JSON.parse(root.querySelector(".xmr-data").textContent),q=s=>root.querySelector(s);
const make=(tag,to,set)=>{const e=document.createElement(tag);Object.assign(e,set||{});if(to)to.append(e);return e};
const mode=q(".xmr-mode"),method=q(".xmr-method"),query=q(".xmr-query"),thumbs=q(".xmr-thumbs"),hits=q(".xmr-hits"),
 says=q(".xmr-says"),question=q(".xmr-question");
let picture=0;
const asked=()=>mode?mode.value:d.direction;
if(query)d.texts.forEach((t,i)=>make("option",query,{textContent:t,value:i}));
if(thumbs)d.images.forEach((im,i)=>{const l=make("label",thumbs),r=make("input",l,{type:"radio",name:root.id+"-picture",
 value:i,checked:i===0});r.setAttribute("aria-label",im.alt);make("img",l,{src:im.src,alt:""});
 r.addEventListener("change",()=>{picture=i;show()})});
const judge=(image,text)=>d.owner[text]===image?"pair":
 d.labels&&d.labels[image]===d.labels[d.owner[text]]?"class":"wrong";
function show(){
 const s=d.scores[method?method.selectedIndex:0],
  words=asked()==="i2t",row=words?picture:+query.value;
 question.hidden=words;question.textContent=words?"":d.texts[row];
 if(query)query.closest("label").hidden=words;if(thumbs)thumbs.closest("fieldset").hidden=!words;
 const all=(words?d.texts:d.images).map((_,i)=>words?{i,score:s[row][i],judged:judge(row,i)}:
  {i,score:s[i][row],judged:judge(i,row)});
 all.sort((a,b)=>b.score-a.score||a.i-b.i);
 hits.replaceChildren();hits.classList.toggle("xmr-words",words);
 all.slice(0,d.k).forEach((h,place)=>{const li=make("li",hits,{className:"xmr-"+h.judged});
  if(!words)make("img",li,{src:d.images[h.i].src,alt:d.images[h.i].alt});
  make("span",li,{className:"xmr-rank",textContent:place+1+" "});
  const m=make("span",li,{className:"xmr-mark",textContent:d.marks[h.judged][0],title:d.marks[h.judged][1]});
  m.setAttribute("role","img");m.setAttribute("aria-label",d.marks[h.judged][1]);
  make("span",li,{textContent:" "+(words?d.texts[h.i]:d.images[h.i].name)+" "});
  make("span",li,{className:"xmr-score",textContent:h.score.toFixed(3)})});
 const own=all.findIndex(h=>h.judged==="pair")+1,right=all.slice(0,d.k).filter(h=>h.judged!=="wrong").length;
 says.textContent=`Its own ${words?"text":"picture"} is at rank ${own} of ${all.length}`+
  (d.labels?`; ${right} of the first ${Math.min(d.k,all.length)} are of its class.`:".")}
[mode,method,query].forEach(c=>c&&c.addEventListener("input",show));
show()})();
"""


class Page(str):
    """HTML as a string, which a notebook shows and `save(path)` writes."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"Page({len(self) / 1e6:.2f} MB)"

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`."""
        path = Path(path)
        path.write_text(self, encoding="utf-8")
        return path


def picker(
    scores: Any | Mapping[str, Any], pairs: Pairs, rows: Sequence[int] | np.ndarray | None = None, k: int = 5, *,
    direction: Literal["t2i", "i2t", "both"] = "both", title: str = "Pick a query, see the ranking", side: int = 96,
    limit: int = 60,
) -> Page:  # fmt: skip
    """Let the reader pick a query and see its ranking, in the static page and in a notebook alike.

    scores  (images, texts) of all of `pairs`, or several such matrices by name: a menu then switches between methods
    rows    the images that take part, with their texts; without, all of them, or the first `limit`
    side    of a thumbnail in pixels

    The ranking is among the chosen rows only. Raises ValueError where more than `limit` images are asked for: each
    brings its picture into the page.
    """
    chosen = np.arange(min(len(pairs), limit)) if rows is None else np.asarray(rows, dtype=int)
    if not 0 < len(chosen) <= limit:
        raise ValueError(f"{len(chosen)} images asked for; a picker holds 1 to {limit}. Choose rows, or raise limit=.")
    named = scores if isinstance(scores, Mapping) else {"": scores}
    for name, matrix in named.items():
        if look.array(matrix).shape != (len(pairs.images), len(pairs.texts)):
            raise ValueError(
                f"scores {name!r} have the shape {look.array(matrix).shape}; the pairs ask for "
                f"({len(pairs.images)}, {len(pairs.texts)}). Use model.similarity(pairs)."
            )
    part = pairs.select(chosen)
    place = {int(row): at for at, row in enumerate(chosen)}
    kept = [text for text in range(len(pairs.texts)) if int(pairs.image_of_text[text]) in place]
    kept.sort(key=lambda text: place[int(pairs.image_of_text[text])])  # the order of `part.texts`
    held = {
        "images": [_thumb(part, row, side) for row in range(len(part))],
        "texts": [words_of(part, text) for text in range(len(part.texts))],
        "owner": [int(row) for row in part.image_of_text],
        "labels": None if part.labels is None else [int(label) for label in part.labels],
        "scores": [_part(matrix, chosen, kept) for matrix in named.values()],
        "marks": {judged: [JUDGED[judged][0], meaning(judged, pairs)] for judged in ("pair", "class", "wrong")},
        "k": k,
        "direction": direction,
    }
    data = json.dumps(held, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    identity = page.name_for(title + data)
    menus = ""
    if direction == "both":
        menus += _menu("xmr-mode", "Ask with", {"t2i": "a sentence", "i2t": "a picture"})
    if len(named) > 1:
        menus += _menu("xmr-method", "Method", {name: name for name in named})
    ask = ""
    if direction != "i2t":
        ask += _menu("xmr-query", "Sentence", {})
    if direction != "t2i":
        ask += '<fieldset><legend>Picture</legend><div class="xmr-thumbs"></div></fieldset>'
    return Page(
        f'<div class="xmr-explore xmr-picker" id="{identity}" role="group" aria-label="{page.attribute(title)}">'
        f"<style>{page.STYLE}{_STYLE}</style>"
        + (f'<div class="xmr-controls">{menus}</div>' if menus else "")
        + ask
        + '<p class="xmr-question"></p><p class="xmr-says" aria-live="polite"></p><ol class="xmr-hits"></ol>'
        "<noscript>Choosing a query needs JavaScript.</noscript>"
        f'<script type="application/json" class="xmr-data">{data}</script>{page.script(_SCRIPT, identity)}</div>'
    )


def _part(matrix: Any, images: np.ndarray, texts: list[int]) -> list[list[float]]:
    return np.round(look.array(matrix)[np.ix_(images, texts)].astype(float), 4).tolist()


def _menu(kind: str, label: str, options: Mapping[str, str]) -> str:
    inner = "".join(f'<option value="{page.attribute(key)}">{page.attribute(options[key])}</option>' for key in options)
    head = f'<select class="{kind}" aria-label="{label}" autocomplete="off">'
    return f"<label><span>{label}</span>{head}{inner}</select></label>"


def _thumb(pairs: Pairs, row: int, side: int) -> dict[str, str]:
    name = class_of(pairs, row)
    text = next((words_of(pairs, text) for text in np.flatnonzero(pairs.image_of_text == row).tolist()), "")
    source = "" if pairs.images.picture is None else page.thumbnail(pairs.images[row], side)
    return {"src": source, "alt": f"{name or 'picture'} {row}: {text[:80]}", "name": name or f"picture {row}"}


_FILE_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:56rem;padding:0 1rem;color:#2B2F36;background:#fff}
h1{font-size:1.3rem;overflow-wrap:anywhere}
footer{margin-top:2rem;font-size:.85rem;opacity:.8}
@media (prefers-color-scheme:dark){body{color:#dfe3e8;background:#14181e}a{color:#8cc7ff}}
.xmr-explore{max-width:none}
.xmr-explore ol.xmr-hits{grid-template-columns:repeat(auto-fill,minmax(11rem,1fr))}
.xmr-asked{max-width:15rem;width:100%;height:auto;border-radius:6px}
"""


def retrieval_html(
    model: Any, pairs: Pairs, query: str | int | Image.Image | None = None, k: int = 5, *, text: int | None = None,
    title: str = "", side: int = 256,
) -> Page:  # fmt: skip
    """A page of its own with what a query brings back, pictures inside, nothing fetched: `.save("hits.html")`.

    Arguments as for `retrieval`; `title` names the model, `side` is the pictures' size in pixels.
    """
    return ranking_html(rank(model, pairs, query, k, text=text), pairs, title, side)


def ranking_html(found: Ranking, pairs: Pairs, title: str = "", side: int = 256) -> Page:
    """The page of `retrieval_html` for a ranking that was made before."""
    words = found.side == "image"
    items = []
    for hit in found.hits:
        mark, what = JUDGED[hit.judged][0], page.attribute(meaning(hit.judged, pairs))
        told = f'<span class="xmr-mark" role="img" aria-label="{what}" title="{what}">{mark}</span> ' if mark else ""
        if words:
            shown, name = "", words_of(pairs, hit.row)
        else:
            shown, name = _image(pairs, hit.row, side), class_of(pairs, hit.row)
        items.append(
            f'<li class="xmr-{hit.judged}">{shown}<span class="xmr-rank">{hit.rank}</span> {told}'
            f'<span>{page.attribute(name)}</span> <span class="xmr-score">{score_words(hit.score)}</span></li>'
        )
    if not words:
        asked = f"“{found.text}”"
    else:
        asked = "Texts for a picture" if found.row is None else f"picture {pairs.images.ids[found.row]}"
    own = f" Its own {'text' if words else 'picture'} is at rank {found.own:,}." if found.own else ""
    if found.picture is not None:
        head = f'<img class="xmr-asked" src="{page.thumbnail(found.picture, side)}" alt="The query.">'
    else:
        head = _image(pairs, found.row, side).replace("<img", '<img class="xmr-asked"') if words else ""
    credit = (
        'Drawings: <a href="https://openmoji.org">OpenMoji</a>, '
        '<a href="https://creativecommons.org/licenses/by-sa/4.0/">CC BY-SA 4.0</a>.'
    )
    return Page(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{page.attribute(asked)}</title>'
        f"<style>{page.STYLE}{_STYLE}{_FILE_STYLE}</style></head><body><main><h1>{page.attribute(asked)}</h1>{head}"
        f"<p>{page.attribute(title + ': ' if title else '')}the first {len(found.hits)} of {found.gallery:,} "
        f"{'texts' if words else 'pictures'} in {page.attribute(pairs.name)}.{own}</p>"
        f'<div class="xmr-explore"><ol class="xmr-hits{" xmr-words" if words else ""}">{"".join(items)}</ol></div>'
        f"</main><footer>{credit if needs_credit(pairs) else ''}</footer></body></html>"
    )


def _image(pairs: Pairs, row: int, side: int) -> str:
    thumb = _thumb(pairs, row, side)
    return f'<img src="{thumb["src"]}" alt="{page.attribute(thumb["alt"])}">' if thumb["src"] else ""
