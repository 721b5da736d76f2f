"""What the commands of `xmr` do; `cli.py` says how they are spelled."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import inspect
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xmrlib

if TYPE_CHECKING:
    from torch import Tensor

    from xmrlib.data.pairs import Pairs
    from xmrlib.methods.base import Method, MethodConfig

RUN_FILE = "train.json"  # beside the model: what it was trained on


class UsageError(ValueError):
    """The command line asks for something that does not exist; the message names the remedy."""


# -- data and features


def data_list(options: argparse.Namespace) -> None:
    """Every data set by name, and whether it is ready to load."""
    from xmrlib import data

    entries = data.listing()
    if options.json:
        _print_json(entries)
        return
    for entry in entries:
        state = "ready" if entry["ready"] else "xmr data fetch" if entry["fetchable"] else "see xmr data show"
        print(f"{entry['name']:12s} {entry['kind']:9s} {state:18s} {entry['title']}")


def data_show(options: argparse.Namespace) -> None:
    """The card of a data set: source, licence, size, split rule, known faults."""
    from xmrlib import data

    card = data.card(options.name)
    if options.json:
        _print_json(card.as_dict())
    else:
        print(card)


def data_check(options: argparse.Namespace) -> None:
    """Load a data set, built in, real or the reader's own table, and say what is in it."""
    import numpy as np

    pairs = _load(options)
    split = None if pairs.split is None else {part: int((pairs.split == part).sum()) for part in np.unique(pairs.split)}
    counts = None
    if pairs.labels is not None:
        found = np.bincount(pairs.labels, minlength=len(pairs.classes))
        counts = dict(zip(pairs.classes, map(int, found), strict=False))
    pictures = pairs.images.picture is not None
    views = {"images": sorted(pairs.images.given), "texts": sorted(pairs.texts.given)}
    if options.json:
        facts = {"name": pairs.name, "images": len(pairs.images), "texts": len(pairs.texts), "pictures": pictures}
        _print_json(facts | {"split": split, "classes": counts, "views": views})
        return
    print(pairs)
    if counts:
        print("classes  " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    print(f"pictures {'yes' if pictures else 'no'}; given features: images {views['images']}, texts {views['texts']}")


def data_fetch(options: argparse.Namespace) -> None:
    """Put a data set on disk where a program can fetch it."""
    from xmrlib import data

    path = data.fetch(options.name)
    _say(options, {"path": str(path)}, f"{options.name} lies in {path}")


def features(options: argparse.Namespace) -> None:
    """Make the features of a view and keep them on disk; a run that was cut off goes on where it stopped."""
    from xmrlib import features as extraction

    pairs = _load(options)
    start = time.perf_counter()
    found = extraction.view(pairs.images, options.view, backbone=options.backbone, size=options.size)
    shape = list(getattr(found, "features", found).shape)
    seconds = time.perf_counter() - start
    about = {"data": pairs.name, "view": options.view, "shape": shape, "seconds": round(seconds, 1)}
    _say(options, about, f"{pairs.name}: {options.view} {tuple(shape)} in {seconds:.1f} s")


# -- train, evaluate, search


def train(options: argparse.Namespace) -> None:
    """Fit a method on the training split, score it on the validation split, save it."""
    from xmrlib import evaluate
    from xmrlib.distributed import rank
    from xmrlib.guards import TrainingStopped
    from xmrlib.methods import METHODS

    method = METHODS[options.method]
    config = config_from(method.Config, options.config)
    if options.list_config:
        for field in dataclasses.fields(config):
            print(f"{field.name} = {json.dumps(getattr(config, field.name))}")
        return
    if not options.data or not options.out:
        raise UsageError("train needs --data NAME and --out FOLDER.")
    pairs = _load(options)
    val = _part(pairs, "val", required=False)
    start = time.perf_counter()
    try:
        model = method(config).fit(pairs.train, val=val, **_how(method, options))
    except TrainingStopped as fault:
        raise UsageError(str(fault)) from fault
    seconds = time.perf_counter() - start
    if rank() > 0:
        return  # the first process speaks and writes for all
    path = model.save(options.out)
    metrics = {} if val is None else dict(evaluate.report(_scores(model, val), val).metrics)
    about = {
        "method": options.method,
        "data": options.data if options.data in _names() else str(Path(options.data).resolve()),
        "data_options": dict(_assignments(options.data_option)),
        "texts": options.texts,
        "config": dataclasses.asdict(config),
        "chosen": model.facts,
        "validation": metrics,
        "seconds_train": round(seconds, 2),
        "xmrlib": xmrlib.__version__,
    }
    _write(path.parent / RUN_FILE, json.dumps(about, indent=1) + "\n")
    chosen = ", ".join(f"{name} {_short(value)}" for name, value in model.facts.items()) or "nothing left to choose"
    lines = [f"{pairs!r}", f"{model.name} fitted in {seconds:.1f} s: {chosen}"]
    if metrics:
        lines.append("validation: " + ", ".join(f"{k} {_short(v)}" for k, v in metrics.items()))
    _say(options, about | {"path": str(path)}, "\n".join([*lines, f"saved {path}"]))


def _scores(model: Method, pairs: Pairs) -> Tensor | tuple[Tensor, Tensor]:
    """Similarities as `evaluate.report` takes them: where they depend on who asks, a matrix for each."""
    if "queries" in inspect.signature(model.similarity).parameters:
        return tuple(model.similarity(pairs, queries=side) for side in ("images", "texts"))
    return model.similarity(pairs)


def _how(method: type[Method], options: argparse.Namespace) -> dict[str, Any]:
    """For a network: where and how it trains. What is already in the folder goes on."""
    from xmrlib.methods.network import NetworkMethod
    from xmrlib.stages import Run

    asked = ("device", "precision", "accumulate", "save_seconds", "tensorboard")
    if not issubclass(method, NetworkMethod):
        return {}
    return {"run": Run(out=options.out, **{name: getattr(options, name) for name in asked})}


def evaluate(options: argparse.Namespace) -> None:
    """Score a trained model on one split."""
    from xmrlib import evaluate as measures

    model, pairs = _trained(options)
    part = _part(pairs, options.split)
    report = measures.report(_scores(model, part), part, protocol=options.protocol)
    if options.json:
        about = {"model": model.name, "data": pairs.name, "split": options.split, "protocol": options.protocol}
        _print_json(about | {"images": len(part.images), "texts": len(part.texts), "metrics": dict(report.metrics)})
    else:
        print(f"{model.name} on {pairs.name}, {options.split}: {len(part.images):,} images, {len(part.texts):,} texts")
        print(report)


def search(options: argparse.Namespace) -> None:
    """Answer a sentence with images, or a picture with texts."""
    from PIL import Image, UnidentifiedImageError

    from xmrlib.plot.ranking import rank

    if (options.query is None) == (options.image is None):
        raise UsageError('search needs either a sentence, "boats near an island", or --image FILE.')
    model, pairs = _trained(options)
    part = pairs if options.split == "all" else _part(pairs, options.split)
    query: Any = options.query
    if options.image is not None:
        try:
            query = Image.open(options.image).convert("RGB")
        except UnidentifiedImageError:
            raise UsageError(f"{options.image} is no picture that can be read. Give a PNG or JPEG file.") from None
    elif not model.text_side.knows(query):
        raise UsageError(f"no word of {query!r} stands in the training texts. Use other words.")
    found = rank(model, part, query, options.top)
    hits = [_hit(part, found.side, hit.row) | {"rank": hit.rank, "score": hit.score} for hit in found.hits]
    if options.html:
        from xmrlib.plot import ranking_html

        _write(Path(options.html), ranking_html(found, part, model.name))
    lines = [f"{h['rank']:3d}  {h['score']:6.3f}  {h['id']:24s} {h['label'] or '':12s} {h['text'] or ''}" for h in hits]
    _say(options, hits, "\n".join(lines + ([f"page: {options.html}"] if options.html else [])))


def _hit(part: Pairs, asked: str, row: int) -> dict[str, Any]:
    """What is found at a row of the side that was not asked with: its id, its class, its text."""
    by_image = asked == "image"
    image = int(part.image_of_text[row]) if by_image else row
    own = [row] if by_image else (part.image_of_text == row).nonzero()[0]
    return {
        "id": part.texts.ids[row] if by_image else part.images.ids[row],
        "label": None if part.labels is None else part.classes[int(part.labels[image])],
        "text": part.texts[int(own[0])] if part.texts.fragments is not None and len(own) else None,
    }


def reproduce(options: argparse.Namespace) -> None:
    """Run a recipe: train and evaluate every row of one table of the book, and write results/NAME.json."""
    folder = Path(xmrlib.__file__).parent.parent / "recipes"
    # A recipe is a file that runs; what recipes share lies beside them and does not.
    known = sorted(file.stem for file in folder.glob("*.py") if "__main__" in file.read_text(encoding="utf-8"))
    if not known:
        raise UsageError("recipes are not installed with the package: clone the repository and run xmr inside it.")
    if options.recipe not in known:
        raise UsageError(f"there is no recipe {options.recipe!r}; there are {', '.join(known)}.")
    ended = subprocess.run([sys.executable, str(folder / f"{options.recipe}.py"), *options.arguments], check=False)
    if ended.returncode:
        raise UsageError(
            f"recipe {options.recipe} stopped with exit code {ended.returncode}; its message stands above."
        )


# -- shared pieces


def config_from(kind: type[MethodConfig], assignments: Sequence[str]) -> MethodConfig:
    """A configuration from `key=value` words: JSON, plain, or `a,b` for a list; `text_options.dim=200` goes inside."""
    fields = {field.name for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in _assignments(assignments):
        name, _, inner = key.partition(".")
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{kind.__name__} has no {name!r}; it has {', '.join(sorted(fields))}.{hint}")
        if inner:
            values.setdefault(name, {})[inner] = value
        else:
            values[name] = value
    for field in dataclasses.fields(kind):
        # A list of names may be written as levels=local,relation.
        if str(field.type).startswith("tuple[") and "Literal[" not in str(field.type):
            if isinstance(found := values.get(field.name), str):
                values[field.name] = tuple(found.split(","))
    try:
        return kind(**values)
    except TypeError as fault:
        raise UsageError(f"{kind.__name__} does not take {' '.join(assignments)}: {fault}.") from None


def _assignments(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is not of the form key=value.")
        try:
            yield key, json.loads(value)
        except json.JSONDecodeError:
            yield key, {"none": None, "true": True, "false": False}.get(value.lower(), value)


def _names() -> tuple[str, ...]:
    from xmrlib import data

    return data.names()


def _load(options: argparse.Namespace) -> Pairs:
    from xmrlib import data

    pairs = data.load(options.data, **dict(_assignments(options.data_option)))
    return pairs.with_texts(options.texts) if options.texts else pairs


def _part(pairs: Pairs, name: str, required: bool = True) -> Pairs | None:
    from xmrlib.data.pairs import DataError

    with contextlib.nullcontext() if required else contextlib.suppress(DataError):
        return getattr(pairs, name)
    return None


def _trained(options: argparse.Namespace) -> tuple[Method, Pairs]:
    """The model of a run, and the data it is to be used on: those it was trained on, unless told otherwise."""
    from xmrlib import methods

    model = methods.load(options.model)
    run = methods.base.checkpoint_path(options.model).parent / RUN_FILE
    if options.data is None:
        if not run.is_file():
            raise UsageError(
                f"{options.model} does not say what it was trained on ({RUN_FILE} is missing). Give --data."
            )
        about = json.loads(run.read_text())
        options.data, options.texts = about["data"], options.texts or about["texts"]
        if not options.data_option:
            options.data_option = [f"{key}={json.dumps(value)}" for key, value in about["data_options"].items()]
    return model, _load(options)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=float))


def _say(options: argparse.Namespace, value: Any, text: str) -> None:
    _print_json(value) if options.json else print(text)
