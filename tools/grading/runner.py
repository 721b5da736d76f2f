"""The process that runs one submission: gives up its rights, then runs the cells that it is sent, one by one.

The grader starts it with `python -I runner.py SETTINGS`. A test is sent only when its turn comes, so that no code of a
student's runs after a test has arrived but what the test itself calls. Each request carries a token, which the answer
repeats; a student's code that writes into the pipe does not know it. This keeps honest mistakes from looking like right
answers. It does not keep out somebody who takes this process apart: that is found by reading the code.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import sys
import traceback
import types
from pathlib import Path
from typing import Any

CELL = "<cell {}>"
LONGEST_MESSAGE = 600
MAGIC = re.compile(r"^\s*[%!?]|\?\s*$|=\s*[%!]", re.MULTILINE)


def public(module: types.ModuleType) -> dict[str, Any]:
    """The functions and classes of a module that a test may call."""
    return {name: value for name, value in vars(module).items() if not name.startswith("_") and callable(value)}


class Keeper:
    """Puts back what tests rely on: the modules' functions, and the names that the homework's own cells defined."""

    def __init__(self, modules: list[str]) -> None:
        loaded = [importlib.import_module(name) for name in ["builtins", *modules]]
        inner = [part for module in loaded for part in vars(module).values() if isinstance(part, types.ModuleType)]
        self.modules = {id(module): (module, public(module)) for module in [*loaded, *inner]}
        self.given: dict[str, Any] = {}

    def put_back(self, names: dict[str, Any]) -> None:
        for module, kept in self.modules.values():
            now = vars(module)
            for name, value in kept.items():
                if now.get(name) is not value:
                    setattr(module, name, value)
        names.update(self.given)


def plain(text: str, names: dict[str, Any]) -> str:
    """A cell without IPython's own syntax (`%time`, `!ls`), which becomes calls of IPython."""
    if not MAGIC.search(text):
        return text
    from IPython.core.inputtransformer2 import TransformerManager

    changed = TransformerManager().transform_cell(text)
    if "get_ipython()" in changed:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        # No history: it would be a database in the folder.
        shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        names["get_ipython"] = shell.get_ipython
    return changed


def run(request: dict[str, Any], names: dict[str, Any], keeper: Keeper, folder: str) -> dict[str, Any] | None:
    """Run a cell; return what it raised: type, message and the lines of cells that it passed through."""
    role, text = request["role"], request["text"]
    before = dict(names)
    try:
        if role == "test":
            keeper.put_back(names)
        elif role == "own":
            text = plain(text, names)
        exec(compile(text, CELL.format(request["cell"]), "exec", dont_inherit=True), names)
    except BaseException as fault:  # also what a student's sys.exit() raises
        return described(fault, folder)
    finally:
        if role == "given":
            keeper.given |= {name: value for name, value in names.items() if before.get(name) is not value}
    return None


def described(fault: BaseException, folder: str) -> dict[str, Any]:
    try:
        message = str(fault)
    except BaseException:
        message = "(its message cannot be shown)"
    lines = [
        [int(frame.filename[6:-1]), frame.lineno]
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename.startswith("<cell ") and frame.filename[6:-1].isdigit()
    ]
    if isinstance(fault, SyntaxError) and str(fault.filename).startswith("<cell "):
        message = str(fault.msg)
        lines.append([int(str(fault.filename)[6:-1]), fault.lineno or 1])
    message = message.replace(folder, ".")
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + " …"
    return {"type": type(fault).__name__, "message": message, "lines": lines[-20:]}


def main() -> None:
    settings = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parent))
    from confine import confine

    sys.path.pop(0)
    folder = Path(settings["folder"])
    for name in ("xmrlib",):  # its place is known to an editable installation only
        spec = importlib.util.find_spec(name)
        settings["readable"] += list(spec.submodule_search_locations or []) if spec else []
    confine(set(settings["features"]), folder, settings["readable"], settings["disk"])
    os.chdir(folder)
    os.environ |= {name: str(folder) for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR", "XMR_CACHE")}
    # No answer to input(), and nothing printed is kept: a loop that prints would fill the disk.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in (settings["requests"], settings["answers"]):
        os.set_inheritable(descriptor, False)
    requests = os.fdopen(settings["requests"], encoding="utf-8")

    def answer(found: dict[str, Any]) -> None:
        os.write(settings["answers"], (json.dumps(found) + "\n").encode())

    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    keeper = Keeper(settings["modules"])
    answer({"ready": True})
    for line in requests:
        request = json.loads(line)
        error = run(request, vars(module), keeper, str(folder))
        answer({"token": request["token"], "error": error})
    os._exit(0)  # no handlers at exit, no waiting for threads


if __name__ == "__main__":
    main()
