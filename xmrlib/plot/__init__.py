"""Every picture of the book: one look, each function one picture.

    import xmrlib as xmr

    xmr.plot.sheet(data.test, rows=[0, 3, 8])                  # pictures with their texts
    xmr.plot.retrieval(model, data.test, query="a cow near a tractor")
    xmr.plot.explore(draw, k=range(1, 11))                     # a slider: live in Lab, precomputed in the static page

Nothing is drawn with, and matplotlib is not even imported, before the first of these names is used;
the first use also sets the one look (`style`).
"""

from __future__ import annotations

import importlib

_NAMES = {
    "look": "style palette image_colour text_colour right_colour wrong_colour sequential wrap end_labels array",
    "sheets": "sheet retrieval",
    "errors": "failures",
    "attention": "attention_on_picture attention_on_words",
    "charts": "similarity_matrix precision_recall embeddings bars points lines",
    "tables": "results_table ResultsTable glue",
    "explorer": "explore Explorer",
    "picking": "picker retrieval_html ranking_html Page",
    "relations": "reading",
    "diagrams": "the_gap map_of_the_book pipeline",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        importlib.import_module("xmrlib.plot.look")  # sets the look before anything is drawn
        return getattr(importlib.import_module(f"xmrlib.plot.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'xmrlib.plot' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
