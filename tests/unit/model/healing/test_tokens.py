"""What a student with fewer tokens learns of what its teacher says in one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from compress.model.healing.lost_words import pools, replaced
from compress.model.healing.tokens import first_pieces, same_readings
from tests.unit.model.vocabulary.test_tokenizer import TEXTS, cut, made

SPELLED = ["byte-level BPE", "BPE with bytes", "Unigram"]


def both(kind, kept=("the dog and the",)):
    core, document = made(kind)
    return cut(core, document, kept)[0], core


@pytest.mark.parametrize("kind", SPELLED)
def test_each_token_begins_with_the_piece_that_its_text_begins_with(kind):
    own, other = both(kind)
    firsts = first_pieces(own, other)
    vocabulary = other.get_vocab(with_added_tokens=False)
    for piece, number in vocabulary.items():
        first = own.id_to_token(firsts[number].item())
        assert piece.startswith(first) or first in ("<unk>", "<0xE2>")
        if piece in own.get_vocab():
            assert first == piece
    assert sum(own.id_to_token(firsts[number].item()) != piece for piece, number in vocabulary.items()) > 9


def test_pieces_of_a_word_that_only_words_spell_are_left_out():
    assert (first_pieces(*both("WordPiece")) == -1).all()


@pytest.mark.parametrize("kind", SPELLED)
@settings(max_examples=25, deadline=None)
@given(text=TEXTS)
def test_the_same_was_read_at_both_places(kind, text):
    own, other = both(kind)
    ours, theirs = own.encode(text), other.encode(text)
    places = same_readings([ours], [theirs], width=len(ours) + 2, left={})[0]
    assert (places[len(ours) :] == -1).all()
    for at, (_, end) in enumerate(ours.offsets):
        if ours.special_tokens_mask[at]:
            assert theirs.tokens[places[at]] == ours.tokens[at]
        else:
            last = text_until(theirs, end) if text_until(ours, end) == at else -1
            assert places[at] == last


def text_until(encoding, place):
    """The last of the text's tokens that ends at a place, or -1."""
    ends = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return max(
        (at for at, ((_, end), special) in enumerate(ends) if end == place and not special), default=-1
    )


def test_padding_at_the_left_moves_both():
    own, other = both("byte-level BPE")
    ours, theirs = own.encode("the dog"), other.encode("the dog")
    places = same_readings([ours], [theirs], width=9, left={"student": 9, "teacher": 7})[0]
    start, shift = 9 - len(ours), 7 - len(theirs)
    plain = same_readings([ours], [theirs], width=len(ours), left={})[0]
    assert places[start:].tolist() == [place + shift if place >= 0 else -1 for place in plain]


@pytest.mark.parametrize("kind", SPELLED)
def test_words_give_way_to_tokens_that_are_lost(kind):
    own, other = both(kind)
    lost = {n: 1.0 for piece, n in other.get_vocab().items() if piece not in own.get_vocab()}
    choices = pools(other, lost)
    text = "the quick brown fox, and 12345 dogs"
    encoding = other.encode(text)
    random = np.random.default_rng(0)
    assert replaced(text, encoding, choices, share=0.0, random=random) == text
    drawn = [replaced(text, encoding, choices, share=0.5, random=random) for _ in range(30)]
    assert len(set(drawn)) > 20
    assert all("12345" in one and "," in one for one in drawn)  # these are no words
    before = len(own.encode(text)) - len(encoding)
    more = [len(own.encode(one)) - len(other.encode(one)) for one in drawn]
    assert np.mean(more) > before


def test_likely_tokens_are_drawn_more_often():
    _, other = both("byte-level BPE")
    document = json.loads(other.to_str())
    first, second = (document["model"]["vocab"][piece] for piece in ("\u0120fox", "\u0120dog"))
    pool = pools(other, {first: 0.03, second: 0.01})[True]
    random = np.random.default_rng(0)
    drawn = [pool.draw(random) for _ in range(400)]
    assert drawn.count("fox") == pytest.approx(300, abs=40)
    assert set(drawn) == {"fox", "dog"}
