"""The style and the little scripts that interactive figures carry with them; nothing is fetched from elsewhere.

Each figure brings its own style and script, so that the same HTML works in the book, in JupyterLab, in Colab and in a
saved file. Scripts define no globals and find their figure by its id; any number may share a page.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from html import escape

from PIL import Image

_count = itertools.count(1)

STYLE = """
.xmr-explore{--xmr-ink:var(--pst-color-text-base,var(--jp-ui-font-color1,currentColor));--xmr-line:#8a93a0;
 --xmr-accent:var(--pst-color-primary,#0072B2);color:var(--xmr-ink);max-width:42rem;margin:1rem 0;font-size:.95rem;
 line-height:1.4}
.xmr-explore *{box-sizing:border-box}
.xmr-explore .xmr-card{background:#fff;border-radius:8px;overflow:hidden;padding:.25rem}
.xmr-explore .xmr-card img{display:block;width:100%;height:auto;margin:0;padding:0!important;filter:none!important;
 background:#fff}
.xmr-explore [hidden]{display:none!important}
.xmr-explore .xmr-controls{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:center;margin:.5rem 0}
.xmr-explore label{display:flex;flex-wrap:wrap;gap:.25rem .6rem;align-items:center;margin:0}
.xmr-explore label.xmr-wide{flex:1 1 15rem}
.xmr-explore input[type=range]{flex:1 1 8rem;min-width:7rem;accent-color:var(--xmr-accent);height:1.6rem;margin:0}
.xmr-explore output{font-variant-numeric:tabular-nums;font-weight:600;min-width:2.2em}
.xmr-explore select,.xmr-explore button{font:inherit;color:inherit;background:transparent;max-width:100%;
 border:1px solid var(--xmr-line);border-radius:6px;padding:.2rem .6rem;min-height:2rem}
.xmr-explore select option{color:#2B2F36;background:#fff}
.xmr-explore button{cursor:pointer}
.xmr-explore :is(input,select,button):focus-visible{outline:3px solid var(--xmr-accent);outline-offset:2px}
.xmr-explore .xmr-says{margin:.25rem 0 0;min-height:1.4em}
.xmr-explore .xmr-only-heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
 white-space:nowrap}
"""

# Rows of frames are counted like digits: the last control turns fastest.
FRAMES = """
(function(){
const root=document.getElementById("ID");if(!root||root.dataset.ready)return;root.dataset.ready="1";
const controls=[...root.querySelectorAll("[data-choice]")],frames=[...root.querySelectorAll("[data-frame]")];
const says=root.querySelector(".xmr-says"),play=root.querySelector(".xmr-play");
const size=c=>c.tagName==="SELECT"?c.options.length:+c.max+1;
const place=c=>c.tagName==="SELECT"?c.selectedIndex:+c.value;
let timer=null;
function show(){
 const at=controls.reduce((sum,c)=>sum*size(c)+place(c),0);
 frames.forEach((f,i)=>{f.hidden=i!==at});
 controls.forEach(c=>{if(c.type!=="range")return;const word=JSON.parse(c.dataset.words)[place(c)];
  c.setAttribute("aria-valuetext",word);c.parentNode.querySelector("output").textContent=word});
 if(says)says.textContent=frames[at].dataset.says}
controls.forEach(c=>c.addEventListener("input",()=>{stop();show()}));
function stop(){if(timer){clearInterval(timer);timer=null}if(play)play.textContent=play.dataset.word}
if(play){const first=controls.find(c=>c.type==="range"),still=matchMedia("(prefers-reduced-motion: reduce)").matches;
 play.dataset.word=still?"Next":"Play";play.textContent=play.dataset.word;
 const step=()=>{first.value=+first.value+1;show();if(place(first)>=size(first)-1)stop()};
 play.addEventListener("click",()=>{if(timer){stop();return}
  if(place(first)>=size(first)-1){first.value=0;show();if(still)return}
  if(still){step();return}play.textContent="Pause";timer=setInterval(step,+play.dataset.pause)})}
show()})();
"""


def name_for(content: str) -> str:
    """An id for a figure: the same content at the same place of a run has the same id, and no two share one."""
    return f"xmr-{hashlib.sha256(content.encode()).hexdigest()[:8]}-{next(_count)}"


def script(source: str, identity: str) -> str:
    """A script element for the figure `identity`."""
    return f"<script>{source.replace('ID', identity, 1).strip()}</script>"


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(picture: Image.Image, side: int = 96, quality: int = 82) -> str:
    """A picture as a data URI, at most `side` pixels each way."""
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    small.save(held, "JPEG", quality=quality, optimize=True)
    return data_uri(held.getvalue(), "image/jpeg")


def attribute(text: object) -> str:
    """Text that is safe between the quotes of an attribute."""
    return escape(str(text), quote=True)
