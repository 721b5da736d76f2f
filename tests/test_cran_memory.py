"""How much CRAN takes at a time while many images meet many texts: no array is larger than the sources promise."""

from __future__ import annotations

import pytest
import torch
from test_cran import SIZES, built, some
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_cran import GROUNDED

from xmrlib.features.sequences import TokenIds
from xmrlib.features.views import Regions
from xmrlib.methods import CRAN
from xmrlib.methods.several import Several
from xmrlib.nn.sets import chunks
from xmrlib.nn.tiles import BLOCK, MEMORY

PAIRS, AFFINITIES = 4_000, 8_000  # bytes
BOUNDS = {
    "methods.cran.PAIRS_MEMORY": PAIRS,
    "methods.cran_network.MEMORY": AFFINITIES,
    "methods.cran_relations.MEMORY": AFFINITIES,
    "nn.sets.CHUNK": AFFINITIES,
}
BEST, ATTENDED = {"matching": "best"}, {"matching": "attended"}
FORMS = [{}, {"ordered": False}, BEST, ATTENDED, GROUNDED, BEST | {"text_relations": "pairs"}]
EACH = pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())) or "usual")


class Made(TorchDispatchMode):
    """Bytes of the largest tensor that was made, by what was at work: a view of another tensor is none of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.largest: dict[str, int] = {}
        self.at_work = "chunks"

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:  # in inference mode some functions come whole, with tensors of their own inside
            made = function.decompose(*args, **kwargs)
        if made is NotImplemented:
            made = function(*args, **kwargs)
            given = {
                part.untyped_storage().data_ptr() for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)
            }
            for part in tree_leaves(made):
                if isinstance(part, Tensor) and part.untyped_storage().data_ptr() not in given:
                    size = part.untyped_storage().nbytes()
                    self.largest[self.at_work] = max(self.largest.get(self.at_work, 0), size)
        return made

    def watch(self, network, name: str) -> None:
        """Count what a method of the network makes as its own."""
        whole = getattr(network, name)

        def watched(*args):
            self.at_work = name
            found = whole(*args)
            self.at_work = "rest"
            return found

        setattr(network, name, watched)


def scored(monkeypatch, form: dict, bounds: dict[str, int]) -> dict[str, int]:
    """30 images of up to 6 regions meet 20 texts at all levels: the largest tensors on the way."""
    network, made = built(**form), Made()
    (whole, *regions), read = some(images=30, texts=20, regions=6)
    with monkeypatch.context() as patch:
        for name, value in bounds.items():
            patch.setattr(f"xmrlib.{name}", value)
        patch.setitem(MEMORY, "cpu", AFFINITIES // BLOCK)
        for name in ("images", "texts", "scores"):
            made.watch(network, name)
        with made:
            CRAN(network.config)._level_scores(
                network, Several((whole, Regions(*regions))), TokenIds(*read), network.config.levels
            )
    return made.largest


@EACH
def test_pairs_of_regions_stay_within_their_memory(form, monkeypatch):
    assert scored(monkeypatch, form, BOUNDS)["images"] <= PAIRS


@EACH
def test_affinities_stay_within_their_memory(form, monkeypatch):
    """Of "best" at least one text meets all images at hand: those whose pairs fill their memory."""
    most = AFFINITIES
    if form.get("matching") == "best" and form.get("relation") != "grounded":
        relations = 7 * 6 // 2 if "text_relations" in form else 7 + 6
        most = max(most, PAIRS // (4 * SIZES["dim"]) * relations * 4)
    assert scored(monkeypatch, form, BOUNDS)["scores"] <= most


@pytest.mark.parametrize(
    ("form", "bound", "what"),
    [
        ({}, "methods.cran.PAIRS_MEMORY", "images"),
        (BEST, "methods.cran_network.MEMORY", "scores"),
        (GROUNDED, "methods.cran_relations.MEMORY", "scores"),
    ],
)
def test_without_its_bound_a_part_takes_more(form, bound, what, monkeypatch):
    largest = scored(monkeypatch, form, BOUNDS | {bound: 1 << 30})
    assert largest[what] > 3 * BOUNDS[bound]


@pytest.mark.parametrize("masked", [False, True])
def test_a_chunk_of_sets_stays_within_its_memory(masked, monkeypatch):
    items = torch.randn(60, 6, 64)
    mask = torch.arange(6) < torch.arange(60)[:, None] % 6 + 1 if masked else None
    largest = []
    for bound in (8_000, 1 << 30):
        monkeypatch.setattr("xmrlib.nn.sets.CHUNK", bound)
        with torch.no_grad(), Made() as made:
            parts = [part + 0 for _, (part, _) in chunks((items, mask), 60)]
        assert sum(map(len, parts)) == 60
        largest.append(made.largest["chunks"])
    assert largest[0] <= 8_000 and largest[1] == items.nbytes
