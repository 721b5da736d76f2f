"""From pixels and words to tensors.

Images: `view(images, "whole" | "grid" | "regions" | "patches" | "pixels")`. Texts: an encoder, fitted on the training
split, `TfIdf().fit(data.train.texts).transform(data.test.texts)`.
"""

from xmrlib.features.backbones import BACKBONES, Backbone, backbone
from xmrlib.features.sequences import Fragments, FragmentVectors, Given, MeanVector, TokenIds, Tokens
from xmrlib.features.store import FeatureStore, StoreError
from xmrlib.features.text import ENCODERS, BagOfWords, TextEncoder, TfIdf, encoder_from_state, text_encoder, tokenize
from xmrlib.features.views import VIEWS, Regions, fingerprint, geometry, pair_geometry, view, windows
from xmrlib.features.words import WordVectors, fit_ppmi, glove, read_vectors

__all__ = [
    "BACKBONES",
    "ENCODERS",
    "VIEWS",
    "Backbone",
    "BagOfWords",
    "FeatureStore",
    "FragmentVectors",
    "Fragments",
    "Given",
    "MeanVector",
    "Regions",
    "StoreError",
    "TextEncoder",
    "TfIdf",
    "TokenIds",
    "Tokens",
    "WordVectors",
    "backbone",
    "encoder_from_state",
    "fingerprint",
    "fit_ppmi",
    "geometry",
    "glove",
    "pair_geometry",
    "read_vectors",
    "text_encoder",
    "tokenize",
    "view",
    "windows",
]
