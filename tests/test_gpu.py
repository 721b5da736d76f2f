"""What must hold on a GPU as well; left out where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from test_networks import EACH, LEARNT, NETWORKS, model, pairs
from training_cut import cut_at

from benchmarks.gpu import check
from xmrlib import evaluate
from xmrlib.methods import mcsm_both, mcsm_fusion
from xmrlib.nn.rbm import RBM
from xmrlib.stages import Run, Stage

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


def with_steps(method: type, wrap: Any) -> type:
    """The method, each step of which is wrapped."""

    class Wrapped(method):
        def _stages(self, *arguments: Any) -> Iterator[Stage]:
            for stage in super()._stages(*arguments):
                yield dataclasses.replace(stage, step=wrap(stage.step))

    Wrapped.__name__ = method.__name__
    return Wrapped


@EACH
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_eight_pairs_are_learnt_by_heart(name, precision):
    data = pairs()
    trained = model(name, **LEARNT).fit(data, run=Run(device="cuda", precision=precision))
    scores = trained.similarity(data)
    if trained.needs_labels:
        assert evaluate.map_all(scores, data.labels).avg == pytest.approx(1.0)
    else:
        assert evaluate.recall(scores, data.image_of_text).i2t[1] == 1.0
    assert torch.isfinite(scores).all() and scores.device.type == "cpu"


@EACH
def test_scores_are_the_same_on_both_and_after_saving(name, tmp_path):
    data = pairs()
    trained = model(name).fit(data, run=Run(device="cuda", precision="fp32"))
    there = trained.similarity(data)
    trained.save(tmp_path / "model.safetensors")
    again = NETWORKS[name][0].load(tmp_path / "model.safetensors")
    assert next(again.network.parameters()).device.type == "cpu"
    for scores in (again.similarity(data), again.to("cuda").similarity(data), trained.to("cpu").similarity(data)):
        assert torch.allclose(scores, there, atol=1e-4)


@EACH
def test_a_run_goes_on_where_it_was(name, tmp_path):
    data, kind = pairs(16, texts_each=1), NETWORKS[name][0]
    last = []

    class Kept(kind):
        def _stages(self, *arguments: Any) -> Iterator[Stage]:
            for stage in super()._stages(*arguments):
                last.append(stage.name)
                yield stage

    Kept.__name__ = kind.__name__
    how = {"device": "cuda", "precision": "fp32", "save_seconds": 0.0}
    whole = Kept(model(name).config).fit(data, run=Run(**how))
    with cut_at(kind, last[-1], 3):
        model(name).fit(data, run=Run(out=tmp_path, **how))
    resumed = model(name).fit(data, run=Run(out=tmp_path, **how))
    for key, tensor in whole.tensors.items():
        assert torch.allclose(resumed.tensors[key].float(), tensor.float(), rtol=1e-3, atol=1e-4), key


WORD_CNN = {"text_whole": "cnn", "classifier_maps": 5, "classifier_epochs": 3, "differ_in": "class"}
RELEASED = {"variant": "released", "text_length": 16, "word_vectors": "ppmi", "differ_in": "class"}
SWITCHES = [
    ("ccl", {"variant": "released", "mirror": True}),
    ("ccl", {"fine_tune": 1.0, "balance": "learned"}),
    ("mcsm", WORD_CNN | {"dropout": 0.5}),
    ("mcsm", RELEASED),
    ("mcsm", {"negatives": "hardest"}),
    ("cmgans", {"variant": "released", "label_smoothing": 0.1}),
    ("cmgans", {"encoder": "conv", "image_view": "regions", "text_view": "tokens", "text_options": {"min_count": 1}}),
    ("cmgans", {"spectral_norm": True, "r1": 0.1, "game": "minimax", "reconstruction": 1.0, "classifier": "shared"}),
    ("cran", {"negatives": "random"}),  # grounded, with the best region of each word
    ("cran", {"relation": "pairs", "matching": "attended", "negatives": "hardest"}),
    ("cran", {"relation": "pairs", "matching": "attended", "negatives": "random", "dropout": 0.3}),
    ("cran", {"relation": "pairs", "matching": "pooled", "text_relations": "pairs", "joint": False}),
]


@pytest.mark.parametrize(("name", "switches"), [*((name, {}) for name in NETWORKS), *SWITCHES])
def test_no_step_waits_for_the_host(name, switches):
    """Neither a step nor its optimisers may read a value back; only the loop's rare looks may."""

    def strict(step: Any) -> Any:
        def watched(batch: Any, loop: Any) -> Any:
            torch.cuda.set_sync_debug_mode("error")
            try:
                return step(batch, loop)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        return watched

    kind = with_steps(NETWORKS[name][0], strict)
    kind(model(name, **switches).config).fit(pairs(16), run=Run(device="cuda", precision="bf16"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("own", [WORD_CNN, RELEASED | WORD_CNN], ids=["paper", "released"])
def test_spaces_and_attention_of_mcsm_are_the_cpus(own, precision, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # else convolutions have ten bits
    data = pairs(16)
    trained = model("mcsm", **own).fit(data, val=pairs(8, seed=5), run=Run(device="cuda", precision=precision))
    found = []
    for device in ("cuda", "cpu"):
        trained.to(device)
        attended = trained.image_attention(data.images), trained.text_attention(data.texts)
        found.append((*trained.spaces(data), *attended))
        for queries in (None, "images", "texts"):
            assert torch.isfinite(trained.similarity(data, queries=queries)).all()
    for there, here in zip(*found, strict=True):
        assert there.device.type == "cpu" and torch.allclose(there, here, atol=1e-4)
    assert np.isfinite(trained.facts["validation_score"])


@pytest.mark.parametrize("axis", [0, 1])
def test_fusion_on_the_device_is_the_cpus(axis, monkeypatch):
    for module in (mcsm_fusion, mcsm_both):
        monkeypatch.setitem(module.BLOCK, "cuda", 1000)
    torch.manual_seed(0)
    spaces = [tuple(torch.randn(n, 32) for n in (40, 70)) for _ in range(2)]
    there = [tuple(side.cuda() for side in space) for space in spaces]
    for how in ("adaptive", "sum", "max", "product"):
        expected = mcsm_fusion.fuse_embeddings(*spaces, how, axis=axis)
        both = mcsm_both.fuse_both_ways(*there, how)
        for fused in (mcsm_fusion.fuse_embeddings(*there, how, axis=axis), both[1 - axis]):
            assert torch.allclose(fused.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_measures_and_search_agree_with_the_cpu():
    worst = check(torch.device("cuda"))
    assert {k: v for k, v in worst.items() if v > (1e-6 if "ties" in k else 1e-3)} == {}


@pytest.mark.parametrize(("kind", "released"), [("gaussian", False), ("binary", False), ("counts", True)])
def test_contrastive_divergence_is_the_cpus(kind, released):
    """Without sampling there is nothing random in the first message up; its statistics must agree."""
    torch.manual_seed(0)
    here = RBM(12, 6, kind, released)
    there = RBM(12, 6, kind, released)
    there.load_state_dict(here.state_dict())
    there.cuda()
    v = torch.randint(1, 4, (20, 12)).float()
    assert torch.allclose(here.hidden(v), there.hidden(v.cuda()).cpu(), atol=1e-5)
    with torch.no_grad():
        h = here.hidden(v)
        for machine, seen in ((here, (v, h)), (there, (v.cuda(), h.cuda()))):
            machine._add_statistics(*seen, -1.0)
    for ours, theirs in zip(here.parameters(), there.parameters(), strict=True):
        assert np.allclose(ours.grad, theirs.grad.cpu(), rtol=1e-4, atol=1e-3)
