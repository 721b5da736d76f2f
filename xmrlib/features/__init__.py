"""From pixels and words to tensors.

Images: `view(images, "whole" | "grid" | "regions" | "patches" | "pixels")`. Texts: an encoder, fitted on the training
split, `TfIdf().fit(data.train.texts).transform(data.test.texts)`.
"""

from xmrlib.features.backbones import Backbone, backbone
from xmrlib.features.store import FeatureStore, StoreError
from xmrlib.features.text import BagOfWords, TextEncoder, TfIdf, encoder_from_state, text_encoder, tokenize
from xmrlib.features.views import Regions, fingerprint, geometry, pair_geometry, view, windows

__all__ = [
    "Backbone",
    "BagOfWords",
    "FeatureStore",
    "Regions",
    "StoreError",
    "TextEncoder",
    "TfIdf",
    "backbone",
    "encoder_from_state",
    "fingerprint",
    "geometry",
    "pair_geometry",
    "text_encoder",
    "tokenize",
    "view",
    "windows",
]
