"""A text read in a picture: choose a word or a pair of words, and what it speaks of lights up. HTML, no kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from xmrlib.data.pairs import Images, Texts
from xmrlib.features.text import WORD
from xmrlib.plot import look, page
from xmrlib.plot.picking import Page

LIMIT_BYTES = 1_500_000
LEAST = 0.05  # pairs of words that weigh less are not offered

_STYLE = f"""
.xmr-explore .xmr-reading{{position:relative;max-width:22rem;margin:0 auto}}
.xmr-explore .xmr-reading img{{display:block;width:100%;height:auto}}
.xmr-explore .xmr-reading svg{{position:absolute;inset:0;width:100%;height:100%}}
.xmr-explore .xmr-reading rect.xmr-veil{{fill:#fff}}
.xmr-explore .xmr-reading rect.xmr-box{{fill:none;stroke:{look.image_colour};stroke-width:2px;
 vector-effect:non-scaling-stroke}}
.xmr-explore .xmr-reading line{{stroke:#2B2F36;stroke-width:3px;vector-effect:non-scaling-stroke}}
.xmr-explore .xmr-reading .xmr-tag{{position:absolute;transform:translateY(-100%);background:{look.image_colour};
 color:#fff;font-size:.75rem;line-height:1.2;padding:.05rem .3rem;border-radius:3px;white-space:nowrap}}
.xmr-explore label.xmr-wide:has(select.xmr-text){{flex-basis:100%;min-width:0}}
.xmr-explore select.xmr-text{{width:100%;min-width:0;text-overflow:ellipsis}}
.xmr-explore .xmr-sentence{{background:{look.text_tint};color:#2B2F36;border-radius:6px;padding:.5rem .6rem;
 margin:.4rem 0;line-height:2.1}}
.xmr-explore .xmr-sentence button{{color:#2B2F36;border-color:transparent;min-height:1.7rem;padding:0 .12rem;
 border-radius:4px}}
.xmr-explore .xmr-pairs{{display:flex;flex-wrap:wrap;gap:.4rem;margin:.4rem 0;padding:0;list-style:none}}
.xmr-explore .xmr-pairs li{{margin:0}}
.xmr-explore .xmr-sentence button.xmr-part{{outline:2px solid #2B2F36}}
.xmr-explore button[aria-pressed=true]{{border-color:var(--xmr-accent);box-shadow:inset 0 0 0 1px var(--xmr-accent);
 font-weight:700}}
.xmr-explore .xmr-sentence button[aria-pressed=true]{{background:{look.text_colour}!important;color:#fff}}
"""

_SCRIPT = """
(function(){
const root=document.getElementById("ID");if(!root||root.dataset.ready)return;root.dataset.ready="1";
const d=JSON.parse(root.querySelector(".xmr-data").textContent),q=s=>root.querySelector(s);
const make=(tag,to,set)=>{const e=document.createElement(tag);Object.assign(e,set||{});if(to)to.append(e);return e};
const draw=(tag,to,set)=>{const e=document.createElementNS("http://www.w3.org/2000/svg",tag);
 Object.entries(set).forEach(([k,v])=>e.setAttribute(k,v));to.append(e);return e};
const text=q(".xmr-text"),view=q(".xmr-view"),img=q(".xmr-reading img"),svg=q("svg"),tags=q(".xmr-tags"),
 sentence=q(".xmr-sentence"),pairs=q(".xmr-pairs"),says=q(".xmr-says"),all=q(".xmr-all");
let chosen=null;
const seen=()=>d.seen[view?view.selectedIndex:0][text.selectedIndex],read=()=>d.read[text.selectedIndex];
const num=x=>(x<0?"\\u2212":"+")+Math.abs(x).toFixed(2),middle=b=>[(b[0]+b[2])/2,(b[1]+b[3])/2];
const best=row=>row.indexOf(Math.max(...row));
const word=m=>read().words[m][0];
function button(to,name,pick){const b=make("button",to,{type:"button",textContent:name});
 b.setAttribute("aria-pressed","false");
 b.addEventListener("click",()=>{chosen=b.getAttribute("aria-pressed")==="true"?null:pick;light()});
 b.pick=pick;return b}
function lay(){
 chosen=null;sentence.replaceChildren();pairs.replaceChildren();
 const r=read(),s=seen(),most=Math.max(1e-9,...r.words.map(w=>w[2]));
 r.words.forEach(([w,before,weight],m)=>{sentence.append(before);const b=button(sentence,w,{m});
  b.style.background="rgba(213,94,0,"+(.55*weight/most).toFixed(2)+")";b.title="weight "+weight.toFixed(2)});
 sentence.append(r.after);
 s.pairs.forEach(pair=>{const [m,n,,held]=pair;
  button(make("li",pairs),word(m)+" \\u2192 "+word(n)+" "+num(held),{pair})});
 img.src=s.src;img.alt=s.alt;light()}
function light(){
 const s=seen(),r=read();let lit=s.boxes.map(()=>0),arrows=[],names={},parts=[];
 if(chosen&&chosen.pair){const [m,n,gate,held]=chosen.pair,j=best(s.agree[m]),k=best(s.agree[n]);
  parts=[m,n];lit[j]=lit[k]=1;arrows=[[j,k,1]];names[j]=word(m);names[k]=j===k?word(m)+", "+word(n):word(n);
  says.textContent=`What is said of \\u201c${word(m)}\\u201d and \\u201c${word(n)}\\u201d weighs ${gate.toFixed(2)}. `+
   `This picture holds it by ${num(held)} (from \\u22121 to +1).`}
 else if(chosen){const row=s.agree[chosen.m],top=Math.max(...row,1e-9),j=best(row);
  lit=row.map(x=>Math.max(0,x/top));names[j]=word(chosen.m)+" "+num(row[j]);
  says.textContent=`\\u201c${word(chosen.m)}\\u201d weighs ${r.words[chosen.m][2].toFixed(2)} of the text. `+
   `Its best region is ${d.named?s.names[j]:"number "+(j+1)}, with a cosine of ${num(row[j])}.`}
 else{const top=Math.max(1e-9,...s.over.map(o=>o[2]));
  arrows=s.over.map(([j,k,w])=>[j,k,w/top]);s.over.forEach(([j,k,w])=>[j,k].forEach(x=>{lit[x]=Math.max(lit[x],w/top)}));
  says.textContent=s.score}
 svg.replaceChildren();tags.replaceChildren();
 const id=root.id+"-light",mask=draw("mask",draw("defs",svg,{}),{id});
 draw("rect",mask,{x:0,y:0,width:1,height:1,fill:"#fff"});
 s.boxes.forEach((b,j)=>draw("rect",mask,{x:b[0],y:b[1],width:b[2]-b[0],height:b[3]-b[1],fill:"#000",opacity:lit[j]}));
 draw("rect",svg,{class:"xmr-veil",x:0,y:0,width:1,height:1,opacity:.72,mask:`url(#${id})`});
 s.boxes.forEach((b,j)=>draw("rect",svg,{class:"xmr-box",x:b[0],y:b[1],width:b[2]-b[0],height:b[3]-b[1],
  opacity:.25+.75*lit[j]}));
 arrows.forEach(([j,k,w])=>{if(j===k)return;const [x,y]=middle(s.boxes[j]),[u,v]=middle(s.boxes[k]),
  a=Math.atan2(v-y,u-x);draw("line",svg,{x1:x,y1:y,x2:u,y2:v,opacity:.25+.75*w});
  [-2.6,2.6].forEach(t=>draw("line",svg,{x1:u,y1:v,x2:u+.045*Math.cos(a+t),y2:v+.045*Math.sin(a+t),opacity:.25+.75*w}))});
 Object.entries(names).forEach(([j,name])=>{const b=s.boxes[j],
  t=make("span",tags,{className:"xmr-tag",textContent:name});
  t.style.left=100*Math.min(b[0],.72)+"%";t.style.top=100*Math.max(b[1],.07)+"%"});
 [...sentence.children].forEach((b,m)=>b.classList.toggle("xmr-part",parts.includes(m)));
 root.querySelectorAll("button[aria-pressed]").forEach(b=>b.setAttribute("aria-pressed",String(b.pick===chosen)))}
function again(){const before=chosen;lay();if(!before)return;
 const same=p=>before.pair?p.pair&&p.pair[0]===before.pair[0]&&p.pair[1]===before.pair[1]:p.m===before.m;
 const b=[...root.querySelectorAll("button[aria-pressed]")].find(b=>same(b.pick));if(b){chosen=b.pick;light()}}
text.addEventListener("input",lay);if(view)view.addEventListener("input",again);
all.addEventListener("click",()=>{chosen=null;light()});
lay()})();
"""


def reading(
    texts: Texts, seen: Mapping[str, tuple[Images, Any]], *, boxes: Any = None, names: Any = None, scores: Any = None,
    title: str = "A text, read in a picture", side: int = 320,
) -> Page:  # fmt: skip
    """Let the reader choose a text, a word or a pair of words, and see which regions and pairs of regions light up.

    texts   n texts
    seen    by name, such as "its own picture" and "its twin": n images, one a text, and what a model looks at in them
            with these texts, as `CRAN.looks` gives it; a menu switches where there is more than one
    boxes   by the same names, (n, r, 4) boxes of the regions; without, the true ones
    names   by the same names, n lists of what each region is
    scores  by the same names, n lines: what is said below the picture while no word is chosen
    side    of a picture in pixels

    Words are shaded by their weight at the local level. A word lights the regions that it agrees with; a pair of words
    lights the best region of either, with an arrow from the first to the second. Where nothing is chosen, arrows show
    the pairs of regions of most weight. Raises ValueError where counts do not fit, or the page would be too large.
    """
    if not seen:
        raise ValueError("seen names no pictures: give at least one name with images and looks.")
    first = next(iter(seen.values()))[1]
    if first.agreement is None or first.words is None:
        raise ValueError("these looks have no words that agree with regions: the model needs its local level.")
    held_by_view = []
    for name, (images, looks) in seen.items():
        if not len(images) == len(texts) == len(looks.agreement):
            raise ValueError(f"{name!r}: {len(images)} images, {len(looks.agreement)} looks and {len(texts)} texts.")
        part = [None if given is None else given[name] for given in (boxes, names, scores)]
        held_by_view.append([_seen(images, looks, row, name, side, *part) for row in range(len(texts))])
    held = {
        "read": [_read(texts, first, row) for row in range(len(texts))],
        "seen": held_by_view,
        "named": names is not None,
    }
    data = json.dumps(held, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"the pictures take {len(data) / 1e6:.1f} MB: give fewer texts, or a smaller side=.")
    identity = page.name_for(title + data)
    menus = _menu("xmr-text", "Text", [_short(texts[row]) for row in range(len(texts))], "xmr-wide")
    menus += _menu("xmr-view", "Picture", list(seen)) if len(seen) > 1 else ""
    first = held_by_view[0][0]
    return Page(
        f'<div class="xmr-explore" id="{identity}" role="group" aria-label="{page.attribute(title)}">'
        f"<style>{page.STYLE}{_STYLE}</style>"
        f'<div class="xmr-controls">{menus}<button type="button" class="xmr-all">Show all</button></div>'
        f'<div class="xmr-sentence" role="group" aria-label="Words"></div>'
        f'<div class="xmr-card"><div class="xmr-reading">'
        f'<img src="{first["src"]}" alt="{page.attribute(first["alt"])}">'
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true"></svg>'
        f'<div class="xmr-tags" aria-hidden="true"></div></div></div>'
        f'<p class="xmr-says" aria-live="polite"></p>'
        f'<ul class="xmr-pairs" aria-label="Pairs of words"></ul>'
        f'<script type="application/json" class="xmr-data">{data}</script>'
        f"{page.script(_SCRIPT, identity)}</div>"
    )


def _menu(kind: str, label: str, words: list[str], wide: str = "") -> str:
    options = "".join(f"<option>{page.attribute(word)}</option>" for word in words)
    return (
        f'<label class="{wide}"><span>{label}</span><select class="{kind}" aria-label="{label}" autocomplete="off">'
        f"{options}</select></label>"
    )


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:88].rsplit(' ', 1)[0]} …"


def _read(texts: Texts, looks: Any, row: int) -> dict[str, Any]:
    """The words of a text as [word, what stands before it, weight], and what stands after the last."""
    text, weights = " ".join(texts.fragments[row]), look.array(looks.words[row])
    words, end = [], 0
    for place, found in enumerate(WORD.finditer(text)):
        if place >= int(look.array(looks.word_mask[row]).sum()):
            break
        words.append([found[0], text[end : found.start()], round(float(weights[place]), 3)])
        end = found.end()
    return {"words": words, "after": text[end:]}


def _seen(
    images: Images, looks: Any, row: int, name: str, side: int, boxes: Any, names: Any, scores: Any
) -> dict[str, Any]:
    """A picture, its boxes, how words agree with them, and the pairs of words and of regions with their weights."""
    there = np.flatnonzero(look.array(looks.region_mask[row]))
    places = look.array(images.boxes(int(images.rows[row])) if boxes is None else boxes[row]).astype(float)
    if len(places) < len(there):
        raise ValueError(f"{name!r}, row {row}: {len(places)} boxes for {len(there)} regions.")
    words = int(look.array(looks.word_mask[row]).sum())
    agree = look.array(looks.agreement[row])[:words, there]
    over, pairs = [], []
    if looks.region_pairs is not None:
        weights = look.array(looks.region_pairs[row])[np.ix_(there, there)] * (1 - np.eye(len(there)))
        ranked = np.argsort(-weights, axis=None)[:4]
        places_of = (divmod(int(place), len(there)) for place in ranked)
        over = [(j, k, round(float(weights[j, k]), 3)) for j, k in places_of if weights[j, k] > LEAST * weights.max()]
    if looks.word_pairs is not None and looks.held is not None:
        gates, held = look.array(looks.word_pairs[row]), look.array(looks.held[row])
        for m, n in np.argwhere(gates > LEAST).tolist():
            if m < words and n < words:
                pairs.append([m, n, round(float(gates[m, n]), 3), round(float(held[m, n]), 3)])
    return {
        "src": page.thumbnail(images[row], side),
        "alt": f"{name}: picture with {len(there)} regions" + (f": {', '.join(names[row])}" if names else "") + ".",
        "boxes": [[round(float(x), 3) for x in places[j]] for j in there],
        "names": list(names[row]) if names else [],
        "agree": [[round(float(x), 2) for x in line] for line in agree],
        "over": over,
        "pairs": pairs,
        "score": scores[row] if scores else "Choose a word, or a pair of words.",
    }
