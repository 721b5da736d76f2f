"""A method's training that ends in the middle of a step, as if the process had been killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xmrlib.methods.network import NetworkMethod
from xmrlib.stages import Stage


class Cut(Exception):
    """Stands for the end of the process."""


@contextmanager
def cut_at(method: type[NetworkMethod], name: str, step: int) -> Iterator[None]:
    """Within, a training of `method` ends at a step of the stage `name`, and has to come so far."""
    whole = method._stages

    def stages(self: Any, *arguments: Any) -> Iterator[Stage]:
        for stage in whole(self, *arguments):
            inner = stage.step

            def cutting(batch: Any, loop: Any, inner: Any = inner) -> Any:
                if (loop.stage.name, loop.step) == (name, step):
                    raise Cut
                return inner(batch, loop)

            stage.step = cutting
            yield stage

    method._stages = stages
    try:
        yield
    except Cut:
        return
    finally:
        method._stages = whole
    raise AssertionError(f"the training never came to step {step} of {name}")
