"""The best of many: exact search, approximate search, a second stage that scores pairs, several processes.

    Index                  exact, on the CPU or a GPU; what to begin with
    ApproximateIndex       HNSW, IVF and IVF-PQ by faiss, where a product with every vector takes too long
    recall_against_exact   how much an approximate index misses, on your own queries
    rerank                 the first hundred of an index, put in order by a model that scores pairs
    ShardedIndex           one gallery over several processes

All searches return the scores, highest first, and the rows of what was found:

    index = Index(model.embed_images(data.test), model="a fingerprint of the fitted model")
    scores, rows = index.search(model.embed_texts(["a cow near a tractor"]), k=5, model=...)

Items that tie are listed lower row first.
"""

from __future__ import annotations

from xmrlib.search.approximate import ApproximateIndex, recall_against_exact
from xmrlib.search.exact import Index
from xmrlib.search.reranking import rerank
from xmrlib.search.sharded import ShardedIndex

__all__ = ["ApproximateIndex", "Index", "ShardedIndex", "recall_against_exact", "rerank"]
