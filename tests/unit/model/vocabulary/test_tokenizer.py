from __future__ import annotations

import json
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from compress.core.errors import CompressError
from compress.model.vocabulary import tokenizer
from compress.model.vocabulary.expected import lacked, needed
from compress.model.vocabulary.kind import kind_of
from compress.model.vocabulary.script import of_script
from tests.unit.model.vocabulary.tokenizers_of import CORPUS, KINDS, byte_bpe, wordpiece

WORDS = sorted({word for line in CORPUS for word in line.split()})
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), min_size=1, max_size=8).map(" ".join)


@cache
def made(kind):
    core = KINDS[kind]()
    return core, json.loads(core.to_str())


def cut(core, document, texts):
    """The tokenizer of what `texts` need, and the new numbers."""
    wanted = {number for text in texts for number in core.encode(text).ids}
    numbers = tokenizer.numbered(tokenizer.closed(document, wanted))
    written = json.dumps(tokenizer.cut(document, numbers))
    tokenizer.check(document, written, numbers)
    return Tokenizer.from_str(written), numbers


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_tokens_are_left(kind):
    core, document = made(kind)
    small, numbers = cut(core, document, ["the dog"])
    assert small.get_vocab_size() == len(numbers) < core.get_vocab_size()
    assert sorted(numbers.values()) == list(range(len(numbers)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(kept=st.lists(TEXTS, min_size=1, max_size=4), text=TEXTS)
def test_text_of_kept_tokens_is_cut_as_before(kind, kept, text):
    core, document = made(kind)
    small, numbers = cut(core, document, kept)
    for one in [*kept, text, *WORDS]:
        before = core.encode(one)
        if all(number in numbers for number in before.ids):
            after = small.encode(one)
            assert after.ids == [numbers[number] for number in before.ids]
            assert after.tokens == before.tokens
            assert after.offsets == before.offsets


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(kept=st.lists(TEXTS, min_size=1, max_size=3), text=TEXTS)
def test_other_text_falls_back_to_smaller_pieces(kind, kept, text):
    """It is never unknown where it was known, and it never fails."""
    core, document = made(kind)
    small, _ = cut(core, document, kept)
    before, after = core.encode(text), small.encode(text)
    unknown = {"[UNK]", "<unk>"}
    assert sum(one in unknown for one in after.tokens) == sum(one in unknown for one in before.tokens)
    if kind != "Unigram":  # whose best cut may have fewer pieces, if they are worse ones
        assert len(after.ids) >= len(before.ids)
    known = [one for one in before.tokens if one not in unknown]
    if kind == "byte-level BPE":
        assert small.decode(after.ids) == core.decode(before.ids) == text or known != before.tokens


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_stay(kind):
    core, document = made(kind)
    small, _ = cut(core, document, [])
    for token in document["added_tokens"]:
        assert small.token_to_id(token["content"]) is not None
    assert [one for one in small.encode("dog").tokens if one in ("[CLS]", "[SEP]", "<s>", "</s>")] == [
        one for one in core.encode("dog").tokens if one in ("[CLS]", "[SEP]", "<s>", "</s>")
    ]


def test_merges_are_closed_under_removal():
    """Every kept merge's parts are kept, and the piece `the` brings what it is made of."""
    core, document = made("byte-level BPE")
    small, _ = cut(core, document, [" the"])
    model = json.loads(small.to_str())["model"]
    for merge in model["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        assert {first, second, first + second} <= set(model["vocab"])
    assert "Ġthe" in model["vocab"]
    assert len(model["vocab"]) < 256 + 2 + 6


def test_merges_written_as_text_are_read_too():
    document = json.loads(byte_bpe().to_str())
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in document["model"]["merges"]]
    old = {**document, "model": {**document["model"], "merges": [" ".join(pair) for pair in pairs]}}
    new = {**document, "model": {**document["model"], "merges": pairs}}
    assert tokenizer.closed(old, {300, 350}) == tokenizer.closed(new, {300, 350})
    numbers = tokenizer.numbered(tokenizer.closed(old, {300, 350}))
    assert all(isinstance(merge, str) for merge in tokenizer.cut(old, numbers)["model"]["merges"])


def test_a_wordpiece_that_nothing_spells_stays():
    """`##z` has no piece of its own: `za` can go, `az` cannot."""
    vocabulary = {"[UNK]": 0, "a": 1, "##a": 2, "z": 3, "za": 4, "az": 5, "##za": 6, "aza": 7}
    document = json.loads(Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")).to_str())
    assert tokenizer.closed(document, set()) == {0, 1, 2, 3, 5, 6}


def test_a_kind_that_cannot_fall_back_is_refused():
    document = json.loads(Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).to_str())
    with pytest.raises(CompressError, match="tokenizer-unsupported"):
        tokenizer.closed(document, {0})


def test_ids_without_a_row_are_refused():
    document = json.loads(wordpiece().to_str())
    size = len(tokenizer.all_pieces(document))
    tokenizer.refuse_beyond(document, size)
    with pytest.raises(CompressError, match="vocabulary-mismatched"):
        tokenizer.refuse_beyond(document, size - 1)


def test_tokens_of_a_script():
    vocabulary = {"[UNK]": 0, "dog": 1, "##s": 2, "собака": 3, "12": 4, "日本": 5, "!": 6}
    document = json.loads(Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")).to_str())
    assert of_script(document, "latin") == {0, 1, 2, 4, 6}
    assert of_script(document, "Cyrillic") == {3, 4, 6}
    with pytest.raises(CompressError, match="script-unknown"):
        of_script(document, "klingon")


def test_bytes_are_read_as_the_text_that_they_spell():
    core, document = made("byte-level BPE")
    found = {core.id_to_token(number) for number in of_script(document, "latin")}
    assert "Ġthe" in found
    assert "Ã" not in found  # half of a character


@pytest.mark.parametrize("kind", KINDS)
def test_parts_spell_the_piece_and_are_read_without_it(kind):
    _, document = made(kind)
    model = document["model"]
    parts = kind_of(model).parts(model)
    vocabulary = kind_of(model).pieces(model)
    assert len(parts) > 30
    marks = ("##",) if model.get("continuing_subword_prefix") else ()
    for piece, spelling in parts.items():
        assert len(spelling) > 1
        assert piece not in spelling
        assert all(part in vocabulary for part in spelling)
        inside = [part.removeprefix(mark) for part in spelling[1:] for mark in marks or ("",)]
        assert spelling[0] + "".join(inside) == piece


def test_parts_of_unigrams_are_the_best():
    model = {"type": "Unigram", "vocab": [["a", -1.0], ["b", -1.5], ["ab", -4.0], ["ba", -1.2], ["aba", -3]]}
    assert kind_of(model).parts(model) == {"ab": ["a", "b"], "ba": ["b", "a"], "aba": ["a", "ba"]}


def test_what_is_expected_stays():
    core, document = made("WordPiece")
    counts = Counter(number for line in CORPUS[:2] for number in core.encode(line).ids)
    table = np.random.default_rng(0).standard_normal((core.get_vocab_size(), 8)).astype(np.float32)
    sizes = [len(needed(document, counts, table, lost=lost)) for lost in (0.01, 0.1, 0.3)]
    assert core.get_vocab_size() > sizes[0] > sizes[1] > sizes[2] > 10
    most = {number for number, count in counts.items() if count > 3}
    assert most <= needed(document, counts, table, lost=0.1)


def test_parts_of_the_data_tell_what_text_like_it_lacks():
    """Each of two parts has frequent tokens of its own, as texts about different people have."""
    core, document = made("WordPiece")
    table = np.random.default_rng(0).standard_normal((core.get_vocab_size(), 8)).astype(np.float32)
    parts = [
        Counter(number for line in one for number in core.encode(line).ids)
        for one in (CORPUS[:1], CORPUS[1:4])
    ]
    shares = []
    for part, other in zip(parts, reversed(parts), strict=True):
        kept = needed(document, other, table, lost=0.05)
        shares.append(sum(part[number] for number in part if number not in kept) / sum(part.values()))
    assert lacked(document, parts, table, lost=0.05) == pytest.approx(np.mean(shares))
    assert np.mean(shares) > 0.05
    assert lacked(document, [parts[0], parts[0]], table, lost=0.05) < np.mean(shares)


def test_what_its_pieces_stand_in_for_goes_first():
    _, document = made("WordPiece")
    model, vocabulary = document["model"], document["model"]["vocab"]
    table = np.random.default_rng(0).standard_normal((len(vocabulary), 8)).astype(np.float32)
    spellings = kind_of(model).parts(model)
    spared = max(spellings, key=lambda piece: vocabulary[piece])
    table[vocabulary[spared]] = table[[vocabulary[part] for part in spellings[spared]]].mean(axis=0)
    counts = Counter(dict.fromkeys(vocabulary.values(), 5))
    gone = set(vocabulary.values()) - needed(document, counts, table, lost=1.5 / len(vocabulary))
    assert gone == {vocabulary[spared]}
