"""Texts as sequences and as means: word numbers, means of word vectors, one vector per fragment, given features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xmrlib.data.pairs import DataError, Texts
from xmrlib.features import words as word_vectors
from xmrlib.features.text import Splitter, TextEncoder, choose_words, strings, text_encoder, tokenize
from xmrlib.features.words import WordVectors

PAD, UNKNOWN = "<pad>", "<unk>"


def parts(texts: Texts | Sequence[str]) -> list[tuple[str, ...]]:
    """The fragments of each text; a plain string is one fragment."""
    if not isinstance(texts, Texts):
        return [(text,) for text in strings(texts)]
    if texts.fragments is None:
        raise DataError(f"these texts have no words, only the features {', '.join(map(repr, texts.given)) or 'none'}.")
    return list(texts.fragments)


@dataclass(frozen=True)
class TokenIds:
    """Texts as rows of word numbers.

    ids       (m, l) row of each word in the vocabulary; 0 where the text has ended
    mask      (m, l) True for words
    fragment  (m, l) which fragment of its text each word belongs to; -1 where the text has ended
    """

    ids: Int[Tensor, "text word"]
    mask: Bool[Tensor, "text word"]
    fragment: Int[Tensor, "text word"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> TokenIds:
        """Some of the texts: a slice, a mask or row numbers."""
        return TokenIds(self.ids[rows], self.mask[rows], self.fragment[rows])


@dataclass(eq=False)
class Tokens(TextEncoder):
    """(m, l) word numbers in reading order, with a mask. Number 0 is `<pad>`, 1 is `<unk>`: any word not in training.

    Words are neither stemmed nor left out, so that place `k` of a row is word `k` of the text.

    max_words   the most common training words to keep; None: all
    min_count   keep words that stand in at least so many training texts
    max_length  cut texts after so many words; None: as long as the longest

    >>> Tokens(min_count=1).fit(["a red cow"]).transform(["a blue cow"]).ids
    tensor([[2, 1, 3]])
    """

    name: ClassVar[str] = "tokens"
    max_words: int | None = None
    min_count: int = 2
    max_length: int | None = None
    splitter: Splitter = "words"

    def fit(self, texts: Texts | Sequence[str]) -> Tokens:
        """Choose the vocabulary: `words_`, which begins with `<pad>` and `<unk>`."""
        lists = (tokenize(text, self.splitter) for text in strings(texts))
        words, _ = choose_words(lists, self.min_count, self.max_words)
        self.words_ = (PAD, UNKNOWN, *words)
        return self

    def transform(self, texts: Texts | Sequence[str]) -> TokenIds:
        """Word numbers; a text without any word is one `<unk>`, so that no row is masked throughout."""
        self._require_fit()
        place = {word: row for row, word in enumerate(self.words_)}
        rows, fragments = [], []
        for pieces in parts(texts):
            found = [(place.get(w, 1), k) for k, piece in enumerate(pieces) for w in tokenize(piece, self.splitter)]
            found = found[: self.max_length] or [(1, 0)]
            rows.append([row for row, _ in found])
            fragments.append([k for _, k in found])
        length = max(map(len, rows), default=1)
        ids = torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.long).reshape(-1, length)
        which = torch.tensor([row + [-1] * (length - len(row)) for row in fragments], dtype=torch.long)
        which = which.reshape(-1, length)
        return TokenIds(ids, which >= 0, which)

    def words(self, texts: TokenIds) -> list[list[str]]:
        """The words behind the numbers."""
        return [[self.words_[i] for i in row[keep].tolist()] for row, keep in zip(texts.ids, texts.mask, strict=True)]

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"words": list(self.words_)}, {}

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.words_ = tuple(learned["words"])


@dataclass(eq=False)
class MeanVector(TextEncoder):
    """(m, d): the mean of the vectors of a text's words.

    vectors    "ppmi": fitted on the training texts (`fit_ppmi`); "glove": see `glove`; else the path of a file
    dim        length of the fitted vectors; files and packages have their own
    window     of "ppmi", in words
    min_count  of "ppmi": fit vectors for words that stand in at least so many training texts
    idf        weigh each word by ln((1 + N) / (1 + N_word)) + 1 over the N training texts
    more       of a file or package: keep so many of its first words besides those of the training texts, so that
               queries may use them (files list frequent words first)
    """

    name: ClassVar[str] = "vector"
    vectors: str = "ppmi"
    dim: int = 100
    window: int = 5
    min_count: int = 2
    idf: bool = True
    more: int = 20_000

    def fit(self, texts: Texts | Sequence[str]) -> MeanVector:
        """Fit or read the vectors, `words_` and `vectors_`, and weigh the words, `weights_`."""
        lists = [tokenize(text) for text in strings(texts)]
        known, counts = choose_words(lists)
        found = self._vectors(texts, known)
        in_texts = dict(zip(known, counts.tolist(), strict=True))
        seen = np.array([in_texts.get(word, 0) for word in found.words])
        weights = np.log((1 + len(lists)) / (1 + seen)) + 1 if self.idf else np.ones(len(seen))
        self.words_, self.vectors_, self.source_ = found.words, found.vectors, found.source
        self.weights_ = torch.from_numpy(weights.astype(np.float32))
        return self

    def _vectors(self, texts: Texts | Sequence[str], known: tuple[str, ...]) -> WordVectors:
        if self.vectors == "ppmi":
            return word_vectors.fit_ppmi(texts, self.dim, self.window, self.min_count)
        if self.vectors == "glove":
            return word_vectors.glove(known, self.more)
        return word_vectors.read_vectors(self.vectors, known, self.more)

    def transform(self, texts: Texts | Sequence[str]) -> Float[Tensor, "text dim"]:
        """The weighted means; a text without a known word is a row of zeros."""
        self._require_fit()
        place = {word: row for row, word in enumerate(self.words_)}
        means = torch.zeros(len(texts := strings(texts)), self.vectors_.shape[1])
        for row, text in enumerate(texts):
            found = [place[word] for word in tokenize(text) if word in place]
            if found:
                weights = self.weights_[found]
                means[row] = weights @ self.vectors_[found] / weights.sum()
        return means

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"words": list(self.words_), "source": self.source_}, {
            "vectors": self.vectors_,
            "weights": self.weights_,
        }

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.words_, self.source_ = tuple(learned["words"]), learned["source"]
        self.vectors_, self.weights_ = tensors["vectors"], tensors["weights"]


@dataclass(frozen=True)
class FragmentVectors:
    """Texts as sets of fragments.

    features  (m, f, d), zero where `mask` is False
    mask      (m, f) True for the fragments that exist
    """

    features: Float[Tensor, "text fragment dim"]
    mask: Bool[Tensor, "text fragment"]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> FragmentVectors:
        """Some of the texts: a slice, a mask or row numbers."""
        return FragmentVectors(self.features[rows], self.mask[rows])


@dataclass(eq=False)
class Fragments(TextEncoder):
    """(m, f, d): every fragment (sentence, caption) of a text encoded on its own, with a mask.

    encoder  name of the encoder of a fragment, fitted on the fragments of the training texts
    options  handed to it
    most     keep so many fragments of a text at most, the first; None: all
    """

    name: ClassVar[str] = "fragments"
    encoder: str = "tfidf"
    options: dict[str, Any] = field(default_factory=dict)
    most: int | None = None

    def fit(self, texts: Texts | Sequence[str]) -> Fragments:
        """Fit the encoder of a fragment: `inner_`."""
        self.inner_ = text_encoder(self.encoder, **self.options).fit([p for pieces in parts(texts) for p in pieces])
        return self

    def transform(self, texts: Texts | Sequence[str]) -> FragmentVectors:
        """The fragments' features, padded with zeros."""
        self._require_fit()
        pieces = [found[: self.most] for found in parts(texts)]
        features = self.inner_.transform([piece for found in pieces for piece in found])
        counts = torch.tensor([len(found) for found in pieces], dtype=torch.long)
        most = max(map(len, pieces), default=1)
        mask = torch.arange(most)[None, :] < counts[:, None]
        padded = features.new_zeros(len(pieces), most, features.shape[1])
        padded[mask] = features
        return FragmentVectors(padded, mask)

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        inner, tensors = self.inner_.state()
        return {"inner": inner}, tensors

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        from xmrlib.features.text import encoder_from_state

        self.inner_ = encoder_from_state(learned["inner"], tensors)


@dataclass(eq=False)
class Given(TextEncoder):
    """(m, d): features that came with the data, as they are.

    view  their name in `Texts.given`
    """

    name: ClassVar[str] = "given"
    view: str = "whole"

    def fit(self, texts: Texts) -> Given:
        """Remember the shape of a row: `shape_`."""
        self.shape_ = tuple(self._features(texts).shape[1:])
        return self

    def transform(self, texts: Texts) -> Tensor:
        """The given features; `DataError` where they are missing or of another shape than in training."""
        self._require_fit()
        features = self._features(texts)
        if tuple(features.shape[1:]) != self.shape_:
            shape = tuple(features.shape[1:])
            raise DataError(f"the view {self.view!r} has rows of shape {shape}; it was fitted on {self.shape_}.")
        return features

    def _features(self, texts: Texts) -> Tensor:
        given = getattr(texts, "given", {})
        if self.view not in given:
            raise DataError(
                f"these texts do not bring the features {self.view!r}; they bring "
                f"{', '.join(map(repr, given)) or 'none'}. Words cannot be turned into given features."
            )
        return given[self.view]

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"shape": list(self.shape_)}, {}

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.shape_ = tuple(learned["shape"])
