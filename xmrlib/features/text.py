"""From words to vectors: words, counts of words, and counts weighed by how rare a word is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xmrlib.data.pairs import DataError, Texts

TextInput = Texts | Sequence[str]
Splitter = str  # "words", "wordpunct" or "treebank"

WORD = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*")

# Words that carry grammar only. Prepositions of place ("above", "between", "near") stay in: a picture shows them.
STOP_WORDS = frozenset(
    """a an the this that these those and or but nor so yet if then than as of to in on at by for with from into onto
    is are was were be been being am do does did doing have has had having will would shall should can could may might
    must it its it's itself he him his himself she her hers herself they them their theirs themselves we us our ours
    ourselves you your yours yourself i me my mine myself who whom whose which what where when why how there here
    not no only just also too very much more most such same own other another some any each every all both either
    neither few many several one while because until although though during about again once further""".split()
)


def tokenize(text: str, splitter: Splitter = "words") -> list[str]:
    """The words of a text, in small letters.

    "words" keeps letters and digits, with hyphens and apostrophes inside a word, and drops punctuation; "wordpunct" and
    "treebank" are nltk's tokenisers of these names, which keep punctuation as words of their own.

    >>> tokenize("A fire-engine, near the cow's tree.")
    ['a', 'fire-engine', 'near', 'the', "cow's", 'tree']
    """
    text = text.lower()
    if splitter == "words":
        return WORD.findall(text)
    from nltk import tokenize as nltk

    if splitter == "wordpunct":
        return nltk.wordpunct_tokenize(text)
    if splitter == "treebank":
        return nltk.TreebankWordTokenizer().tokenize(text)
    raise ValueError(f"unknown splitter {splitter!r}; there are 'words', 'wordpunct' and 'treebank'.")


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.snowball import SnowballStemmer

    return lru_cache(maxsize=200_000)(SnowballStemmer("english").stem)


def terms(text: str, splitter: Splitter = "words", stem: bool = True, stop: bool = True) -> list[str]:
    """The words that count: without stop words, cut to their stems (Snowball, which needs no download).

    >>> terms("Two cows are standing near the tractors.")
    ['two', 'cow', 'stand', 'near', 'tractor']
    """
    words = tokenize(text, splitter)
    if stop:
        words = [word for word in words if word not in STOP_WORDS]
    return [_stemmer()(word) for word in words] if stem else words


def choose_words(
    lists: Iterable[Sequence[str]], min_count: int = 1, max_words: int | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """A vocabulary in alphabetical order, and in how many of the lists each word stands.

    Words in fewer than `min_count` lists are left out; of the rest, the `max_words` most common are kept.
    """
    counts: Counter[str] = Counter()
    total = 0
    for words in lists:
        counts.update(set(words))
        total += 1
    common = [word for word, count in counts.items() if count >= min_count]
    words = tuple(sorted(sorted(common, key=lambda word: (-counts[word], word))[:max_words]))
    if not words:
        most = f"; the most common stands in {max(counts.values())}" if counts else ""
        raise DataError(
            f"the vocabulary is empty: no word stands in at least min_count={min_count} of the {total} texts{most}. "
            "Lower min_count, or set stop=False; if the texts are blank, mend the data."
        )
    return words, np.array([counts[word] for word in words])


def same_sign(axes: np.ndarray) -> np.ndarray:
    """Singular vectors are defined up to their sign: turn each row so that its largest entry is positive."""
    largest = np.abs(axes).argmax(axis=1)
    return axes * np.where(axes[np.arange(len(axes)), largest] < 0, -1.0, 1.0)[:, None]


def leading_axes(matrix: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The `dim` largest singular values of a sparse matrix, their right singular vectors as rows; repeatable."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import svds

    limit = min(matrix.shape)
    if not 0 < dim <= limit:
        raise DataError(
            f"dim={dim} axes were asked of a table of {matrix.shape[0]} rows and {matrix.shape[1]} words, which has at "
            f"most {limit}. Lower dim, or fit on more texts."
        )
    matrix = matrix.astype(np.float64)
    if limit > 4096:  # too wide for the table of inner products
        # Lanczos, from a start that is fixed but has no symmetry in common with the data.
        start = np.random.default_rng(0).standard_normal(limit)
        _, values, axes = svds(matrix, k=dim, v0=start, tol=1e-5, return_singular_vectors="vh")
        order = np.argsort(-values)
        return values[order], same_sign(axes[order])
    wide = matrix.shape[0] < matrix.shape[1]
    products = (matrix @ matrix.T if wide else matrix.T @ matrix).toarray()
    squares, vectors = eigh(products, subset_by_index=[limit - dim, limit - 1])
    squares, vectors = squares[::-1].clip(0), vectors[:, ::-1]
    values = np.sqrt(squares)
    # Beyond the rank there is no axis: zeros, where rounding errors would make one up.
    real = squares > 1e-12 * squares[0]
    axes = (matrix.T @ vectors if wide else vectors).T * (real / np.where(real & wide, values, 1.0))[:, None]
    return values, same_sign(axes)


ENCODERS: dict[str, type[TextEncoder]] = {}


class TextEncoder(ABC):
    """What turns texts into tensors. Options are the fields of the dataclass; what `fit` learns ends in `_`."""

    name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            ENCODERS[cls.name] = cls

    @abstractmethod
    def fit(self, texts: Texts | Sequence[str]) -> TextEncoder:
        """Learn from the training texts, and from no others."""

    @abstractmethod
    def transform(self, texts: Texts | Sequence[str]) -> Any:
        """Encode texts; nothing is learned."""

    @abstractmethod
    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]: ...

    @abstractmethod
    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None: ...

    @property
    def fitted(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All there is to know, as a JSON-able dictionary and tensors: for checkpoints."""
        self._require_fit()
        learned, tensors = self._learned()
        return {"encoder": self.name, "options": asdict(self), "learned": learned}, tensors

    @classmethod
    def from_state(cls, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> TextEncoder:
        """The fitted encoder that `state` describes."""
        if state.get("encoder") != cls.name:
            raise ValueError(f"this state belongs to the encoder {state.get('encoder')!r}, not to {cls.name!r}.")
        encoder = cls(**state["options"])
        encoder._restore(state["learned"], tensors or {})
        return encoder

    def _require_fit(self) -> None:
        if not self.fitted:
            raise DataError(f"{type(self).__name__} is not fitted yet: call .fit(data.train.texts) first.")


def strings(texts: Texts | Sequence[str]) -> list[str]:
    """Texts as plain strings."""
    if isinstance(texts, str):
        return [texts]
    return list(texts)


@dataclass(eq=False)
class BagOfWords(TextEncoder):
    """(m, v): how often each word of the training texts stands in a text; words never seen in training are ignored.

    max_words  keep so many words at most, the most common; None: all
    min_count  keep words that stand in at least so many training texts
    stem       cut words to their stems
    stop       leave out stop words
    splitter   see `tokenize`
    binary     1 for a word that is there, however often

    >>> BagOfWords(min_count=1).fit(["a red cow", "a cow and a cow"]).transform(["cow, cow, goat"])
    tensor([[2., 0.]])
    """

    name: ClassVar[str] = "bow"
    max_words: int | None = None
    min_count: int = 2
    stem: bool = True
    stop: bool = True
    splitter: Splitter = "words"
    binary: bool = False

    def fit(self, texts: Texts | Sequence[str]) -> BagOfWords:
        """Choose the vocabulary: `words_`, in alphabetical order."""
        self.words_, _ = choose_words(map(self._terms, strings(texts)), self.min_count, self.max_words)
        return self

    def transform(self, texts: Texts | Sequence[str]) -> Float[Tensor, "text word"]:
        """The counts; a text without a known word is a row of zeros."""
        return torch.from_numpy(self._counts(texts).toarray().astype(np.float32))

    def _terms(self, text: str) -> list[str]:
        return terms(text, self.splitter, self.stem, self.stop)

    def _counts(self, texts: Texts | Sequence[str]) -> Any:
        """(m, v) counts, sparse."""
        from scipy.sparse import csr_matrix

        self._require_fit()
        place = {word: column for column, word in enumerate(self.words_)}
        found = [Counter(place[word] for word in self._terms(text) if word in place) for text in strings(texts)]
        begins = np.cumsum([0] + [len(counts) for counts in found])
        columns = np.array([column for counts in found for column in sorted(counts)], dtype=np.int64)
        values = np.array([counts[column] for counts in found for column in sorted(counts)], dtype=np.float64)
        if self.binary:
            values[:] = 1.0
        return csr_matrix((values, columns, begins), shape=(len(found), len(self.words_)))

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"words": list(self.words_)}, {}

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.words_ = tuple(learned["words"])


@dataclass(eq=False)
class TfIdf(BagOfWords):
    """(m, v) or (m, dim): counts weighed by how rare a word is, each text brought to unit length.

    Weight: (1 + ln count) * (ln((1 + N) / (1 + N_word)) + 1), Salton and Buckley 1988 with scikit-learn's smoothing;
    N training texts, N_word of them with the word.

    dim        project onto so many axes of the training texts (truncated SVD: latent semantic analysis, Deerwester et
               al. 1990); None: one number per word
    sublinear  1 + ln count; False: the count itself
    """

    name: ClassVar[str] = "tfidf"
    dim: int | None = None
    sublinear: bool = True

    def fit(self, texts: Texts | Sequence[str]) -> TfIdf:
        """Choose the vocabulary `words_`, the weights `idf_` and, with `dim`, the axes `axes_` (dim, v)."""
        plain = strings(texts)
        words, counts = choose_words(map(self._terms, plain), self.min_count, self.max_words)
        self.words_, self.axes_ = words, None
        self.idf_ = torch.from_numpy(np.log((1 + len(plain)) / (1 + counts)) + 1)
        if self.dim is not None:
            try:
                self.axes_ = torch.from_numpy(leading_axes(self._weighted(plain), self.dim)[1].copy())
            except Exception:
                del self.words_, self.idf_, self.axes_  # half fitted is not fitted
                raise
        return self

    def transform(self, texts: Texts | Sequence[str]) -> Float[Tensor, "text dim"]:
        """The weighted counts, or their projections; a text without a known word is a row of zeros."""
        weighted = self._weighted(texts)
        dense = weighted.toarray() if self.axes_ is None else weighted @ self.axes_.numpy().T
        return torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))

    def _weighted(self, texts: Texts | Sequence[str]) -> Any:
        matrix = self._counts(texts)
        if self.sublinear:
            matrix.data = 1 + np.log(matrix.data)
        matrix.data *= self.idf_.numpy()[matrix.indices]
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        matrix.data /= np.repeat(length, np.diff(matrix.indptr))
        return matrix

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = {"idf": self.idf_} | ({} if self.axes_ is None else {"axes": self.axes_})
        return {"words": list(self.words_)}, tensors

    def _restore(self, learned: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.words_, self.idf_, self.axes_ = tuple(learned["words"]), tensors["idf"], tensors.get("axes")


def text_encoder(name: str, **options: Any) -> TextEncoder:
    """The encoder called `name`, not yet fitted.

    >>> text_encoder("tfidf", dim=200)
    TfIdf(max_words=None, min_count=2, stem=True, stop=True, splitter='words', binary=False, dim=200, sublinear=True)
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown text encoder {name!r}; there are {', '.join(sorted(ENCODERS))}.")
    try:
        return ENCODERS[name](**options)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(ENCODERS[name]))
        raise ValueError(f"the text encoder {name!r} cannot take these options ({error}); it has {known}.") from None


def encoder_from_state(state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> TextEncoder:
    """The fitted encoder that a checkpoint describes, whatever its kind."""
    if state.get("encoder") not in ENCODERS:
        raise ValueError(f"unknown text encoder {state.get('encoder')!r}; there are {', '.join(sorted(ENCODERS))}.")
    return ENCODERS[state["encoder"]].from_state(state, tensors)
