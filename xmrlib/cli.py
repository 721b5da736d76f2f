"""The command `xmr`: data, features, train, evaluate, search, reproduce.

    xmr data list
    xmr train cca --data scenes --out runs/cca --config ridge=validation
    xmr evaluate runs/cca --split test
    xmr search runs/cca "boats near an island" --top 5 --html hits.html

It ends with 0 when all went well, 2 where the request or the data are at fault (one line says how to mend it), 1 for a
fault of the program itself, and 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import xmrlib
from xmrlib import commands

# As in xmrlib.methods.METHODS, whose import would take longer than all else that `xmr --help` does.
METHODS = (
    "cca",
    "kernel_cca",
    "semantic_matching",
    "corr_ae",
    "dscmr",
    "acmr",
    "vse",
    "scan",
    "ccl",
    "mcsm",
    "cmgans",
    "cran",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options, left = _parser().parse_known_args(arguments)
    if getattr(options, "query", "") is None and len(left) == 1 and not left[0].startswith("-"):
        options.query = left.pop()  # argparse finds no `query` that stands behind the options
    if getattr(options, "json", False):
        os.environ["XMR_PROGRESS"] = "0"  # a bar would stand in the middle of the JSON
    try:
        if left:
            raise ValueError(f"unrecognized arguments: {' '.join(left)}. `xmr COMMAND --help` lists what there is.")
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; what is left in the buffer must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as fault:
        if options.traceback:
            raise
        print(f"xmr: {' '.join(str(fault).split())}", file=sys.stderr)
        return 2
    except Exception as fault:
        if options.traceback:
            raise
        print(
            f"xmr: a fault of the program: {type(fault).__name__}: {fault}. `xmr --traceback ...` shows where.",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("xmr", description="Image-text retrieval: data, training, evaluation, search.")
    parser.add_argument("--version", action="version", version=f"xmrlib {xmrlib.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(under: Any, name: str, run: Any, data: str = "") -> argparse.ArgumentParser:
        added = under.add_parser(name, help=run.__doc__.splitlines()[0].rstrip("."), description=run.__doc__)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")
        if data:
            kind = {"nargs": None} if data == "data" else {}
            added.add_argument(data, **kind, help="a data set's name, or the path of a .csv or .jsonl")
            added.add_argument("--data-option", nargs="+", default=[], metavar="KEY=VALUE", help="for its loader")
            added.add_argument("--texts", choices=("each", "joined"), help="captions as texts of their own, or as one")
        return added

    about_data = verbs.add_parser("data", help="what data there are").add_subparsers(required=True, metavar="WHAT")
    command(about_data, "list", commands.data_list)
    command(about_data, "show", commands.data_show).add_argument("name")
    command(about_data, "check", commands.data_check, data="data")
    command(about_data, "fetch", commands.data_fetch).add_argument("name")

    added = command(verbs, "features", commands.features, data="data")
    added.add_argument("--view", default="whole", help="whole, grid, regions, patches or pixels")
    added.add_argument("--backbone", default="lite0")
    added.add_argument("--size", type=int, help="side of the square input in pixels")

    added = command(verbs, "train", commands.train, data="--data")
    added.add_argument("method", choices=METHODS)
    added.add_argument("--out", help="folder for the model")
    added.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="for instance ridge=validation")
    added.add_argument("--list-config", action="store_true", help="print what --config may set, and end")
    added.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="for networks")
    added.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"), help="for networks")
    added.add_argument("--accumulate", type=_positive, default=1, help="gradients to add up before a move")
    added.add_argument("--save-seconds", type=float, default=60.0, help="time between two checkpoints")
    added.add_argument("--tensorboard", action="store_true", help="write the log for TensorBoard as well")

    added = command(verbs, "evaluate", commands.evaluate, data="--data")
    added.add_argument("model", help="a folder written by xmr train")
    added.add_argument("--split", default="test", choices=("train", "val", "test"))
    added.add_argument("--protocol", default="honest", choices=("honest", "authors"))

    added = command(verbs, "search", commands.search, data="--data")
    added.add_argument("model", help="a folder written by xmr train")
    added.add_argument("query", nargs="?", help="a sentence")
    added.add_argument("--image", help="a picture to find texts for, in place of a sentence")
    added.add_argument("--top", type=_positive, default=5)
    added.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    added.add_argument("--html", metavar="FILE", help="write the hits as a page")

    added = command(verbs, "reproduce", commands.reproduce)
    added.add_argument("recipe", help="a file in recipes/, without .py")
    added.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to the recipe")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
