"""Build the book into _build/html: `python tools/build_book.py`.

1. Outputs kept from an earlier run are deleted when what they depend on has changed. (Jupyter Book looks at a chapter's
   cells only: after a change in xmrlib it would show the old numbers.)
2. MathJax is fetched from npm beside the page, by a lock file; without npm the page takes it from a CDN.
3. The feature cache is filled, which all chapters share.
4. Every chapter that has no kept output runs, as many at a time as there are cores, up to four.
5. Every page is written, with warnings as errors.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Thread

from book_layout import HTML, ROOT, chapters, config, pages
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

BUILD = ROOT / "_build"
VENDOR = ROOT / "book" / "_vendor"
OUTPUTS = BUILD / ".jupyter_cache"  # where Sphinx looks for the outputs of a chapter
AT_A_TIME = 4  # chapters that run side by side, at most: each takes a GB of memory
# What an output depends on besides its chapter's own cells.
SOURCES = ("xmrlib/**/*.py", "xmrlib/**/*.json", "requirements.txt", "results/**/*.json")


def execution_key() -> str:
    """One hash over everything, outside the chapters, that a chapter's output depends on."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(path.read_bytes())
    digest.update(f"{sys.version_info[:3]} {os.environ.get('XMR_FULL', '0')}".encode())
    return digest.hexdigest()


def forget_stale_outputs() -> None:
    """Delete executed chapters where `execution_key` differs from the one they were run with."""
    note, key = BUILD / "execution.key", execution_key()
    if note.exists() and note.read_text() == key:
        return
    if note.exists():
        print("xmrlib, results, the pins or XMR_FULL changed: every chapter runs again.")
    for stale in (".jupyter_cache", ".doctrees", "html", "jupyter_execute"):
        shutil.rmtree(BUILD / stale, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    note.write_text(key)


def fetch_mathjax() -> None:
    """Fill book/_vendor, which git ignores, so that the page can be read offline."""
    lock = (ROOT / "tools" / "vendor" / "package-lock.json").read_bytes()
    stamp = VENDOR / "stamp"
    key = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text() == key:
        return
    if shutil.which("npm") is None:
        print(
            "npm is missing: the page will load MathJax from a CDN. Install Node.js for a page that needs no network."
        )
        return
    work = ROOT / "_work" / "npm"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "tools" / "vendor", work)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, capture_output=True, text=True
    )
    if done.returncode:
        print(f"npm could not fetch MathJax; the page will load it from a CDN. It said:\n{done.stderr.strip()}")
        return
    mathjax, target = work / "node_modules" / "mathjax", VENDOR / "vendor" / "mathjax"
    shutil.rmtree(VENDOR, ignore_errors=True)
    target.mkdir(parents=True)
    for part in ("es5/tex-mml-chtml.js", "es5/output/chtml/fonts/woff-v2", "es5/input/tex/extensions", "LICENSE"):
        place = target / Path(part).relative_to("es5") if part.startswith("es5") else target / part
        place.parent.mkdir(parents=True, exist_ok=True)
        if (mathjax / part).is_dir():
            shutil.copytree(mathjax / part, place)
        else:
            shutil.copy(mathjax / part, place)
    stamp.write_text(key)


def environment() -> dict[str, str]:
    """What the chapters run in: a static page, so that widgets draw every state at once."""
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "XMR_BOOK": "1"}


def run_chapters() -> None:
    """Run the pages that have code and no kept output. Sphinx runs those that failed again, and reports them."""
    cache = get_cache(OUTPUTS)
    # From the back: the chapters that take long are not the first ones.
    sources = [
        source for page in reversed(pages()) if "```{code-cell}" in (source := ROOT / f"{page}.md").read_text("utf-8")
    ]
    for source in sources:
        cache.add_nb_to_project(str(source), read_data={"name": "myst_nb_md", "type": "plugin"})
    waiting = {record.uri for record in cache.list_unexecuted(filter_uris=[*map(str, sources)])}
    cores = os.cpu_count() or 1
    workers = max(1, min(len(waiting), cores, AT_A_TIME))
    given = {"OMP_NUM_THREADS": str(cores // workers)} | environment()
    with ProcessPoolExecutor(workers, initializer=begin, initargs=(given,)) as pool:
        list(pool.map(run_chapter, [source for source in sources if str(source) in waiting]))


def begin(given: dict[str, str]) -> None:
    """What a process that runs chapters does first: take its environment, and end when the builder is killed."""
    os.environ.update(given)

    def end_with_the_builder() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    Thread(target=end_with_the_builder, daemon=True).start()


def run_chapter(source: Path) -> None:
    """Run one page, keep its outputs, and say how long it took."""
    start, quiet = time.monotonic(), logging.getLogger("quiet")
    quiet.setLevel(logging.CRITICAL)
    runner = load_executor("local-serial", get_cache(OUTPUTS), quiet)
    done = runner.run_and_cache(filter_uris=[str(source)], timeout=config()["execute"]["timeout"])
    took = f"{time.monotonic() - start:.0f} s" if done.succeeded else "failed"
    print(f"{source.relative_to(ROOT)}: {took}", flush=True)


def build(strict: bool) -> int:
    """Run Jupyter Book; its exit code."""
    command = [
        str(Path(sys.executable).parent / "jupyter-book"),
        "build",
        str(ROOT),
        "--path-output",
        str(ROOT),
        "--keep-going",
    ]
    return subprocess.run([*command, *(["-W", "-n"] if strict else [])], cwd=ROOT, env=environment()).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lenient", action="store_true", help="build in spite of warnings, to look at a draft")
    arguments = parser.parse_args()
    start = time.monotonic()
    forget_stale_outputs()
    fetch_mathjax()
    filled = subprocess.run([sys.executable, "tools/fill_cache.py"], cwd=ROOT, env=environment()).returncode
    if filled:
        print("The feature cache could not be filled; see above.")
        return filled
    run_chapters()
    code = build(strict=not arguments.lenient)
    took = time.monotonic() - start
    if code:
        print(f"\nThe book has faults (after {took:.0f} s); they are named above.")
        print("A chapter that failed has its traceback in _build/html/reports.")
        return code
    missing = [page for page in chapters() if not (HTML / f"{page}.html").exists()]
    if missing:
        print(f"Not written: {', '.join(missing)}")
        return 1
    print(f"\nBuilt in {took:.0f} s. Open {HTML / 'index.html'} or run `make serve`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
