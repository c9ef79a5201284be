from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from compress.data.chunks import chunks
from compress.model.healing.batches import Batch, by_length, by_tokens, divided, same_places
from tests.unit.model.vocabulary.test_tokenizer import cut
from tests.unit.model.vocabulary.tokenizers_of import byte_bpe, wordpiece


def test_batches_hold_each_item_once_and_like_lengths_together():
    lengths = np.random.default_rng(0).integers(2, 60, 500).tolist()
    batches = by_length(lengths, 8, seed=1)
    assert sorted(at for batch in batches for at in batch) == list(range(500))
    spread = [max(lengths[at] for at in batch) - min(lengths[at] for at in batch) for batch in batches]
    assert np.mean(spread) < 5
    assert by_length(lengths, 8, seed=1) == batches != by_length(lengths, 8, seed=2)


def test_batches_hold_about_as_many_tokens_however_long_items_are():
    lengths = np.random.default_rng(0).choice([5, 6, 40, 200, 900], 600).tolist()
    batches = by_tokens(lengths, 640, seed=1)
    assert sorted(at for batch in batches for at in batch) == list(range(600))
    sizes = [len(batch) * max(lengths[at] for at in batch) for batch in batches]
    assert all(size <= 640 or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
    assert np.median(sizes) > 500
    assert by_tokens(lengths, 640, seed=1) == batches != by_tokens(lengths, 640, seed=2)


def test_tokens_of_the_same_stretch_of_text_are_found():
    for make, texts in ((wordpiece, ["the quick dogs", "dog"]), (byte_bpe, [" the Maß dogs", " dog"])):
        core = make()
        small, _ = cut(core, json.loads(core.to_str()), [texts[1]])
        ours, theirs = ([one.encode(text) for text in texts] for one in (small, core))
        width = max(len(one) for one in ours)
        places = same_places(ours, theirs, width=width, left={})
        assert places.shape == (2, width)
        for own, other, row in zip(ours, theirs, places, strict=True):
            for at, place in enumerate(row[: len(own)]):
                assert place < 0 or own.tokens[at] == other.tokens[place]
            assert (row[len(own) :] == -1).all()
        assert (places[1][: len(ours[1])] >= 0).all()  # this text was kept whole
        assert (places[0][: len(ours[0])] < 0).any()


def test_padding_at_the_left_moves_places():
    core = wordpiece()
    encodings = [core.encode("the dog"), core.encode("dog")]
    widths = {"student": 6, "teacher": 7}
    places = same_places(encodings, encodings, width=6, left=widths)
    length = len(encodings[1])
    assert places[1].tolist() == [-1] * (6 - length) + list(range(7 - length, 7))


def test_long_texts_are_cut_where_the_tokenizer_cuts():
    core = wordpiece()
    core.enable_truncation(8)
    text = " ".join(["the quick dogs"] * 6)
    parts = chunks(text, core)
    assert len(parts) > 1
    assert text.startswith(" ".join(parts)[: len(parts[0])])
    assert all(not core.encode(part).overflowing for part in parts)
    assert chunks("the dog", core) == ["the dog"]


def sized(count, length):
    feeds = [{"input_ids": torch.full((4, length), at)} for at in range(count)]
    return [Batch(student=one, teacher=one) for one in feeds]


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7, 40, 400])
def test_what_is_held_out_is_not_learned(count, long):
    batches = sized(count, 200)
    held, rest = divided(batches, long=long)
    assert 1 <= len(held) <= max(1, round(0.05 * count))
    assert {id(one) for one in held} | {id(one) for one in rest} == {id(one) for one in batches}
    assert len(held) + len(rest) == count
    assert bool(rest) == (count > 1)


@pytest.mark.parametrize("long", [False, True])
def test_held_out_texts_are_of_all_lengths(long):
    lengths = np.random.default_rng(3).integers(4, 64, 16 * 800).tolist()
    parts = by_length(lengths, 16, seed=0)
    batches = [sized(1, max(lengths[at] for at in part))[0] for part in parts]
    held, rest = divided(batches, long=long)
    found, all_ = ([int(one.mask.shape[1]) for one in some] for some in (held, [*held, *rest]))
    assert len(held) == 16
    assert np.mean(found) == pytest.approx(np.mean(all_), rel=0.05)
    assert min(found) <= np.quantile(all_, 0.05)
    assert max(found) >= np.quantile(all_, 0.95)
    again, _ = divided(batches, long=long)
    assert [id(one) for one in again] == [id(one) for one in held]


def test_of_long_texts_some_of_each_part_are_held_out():
    held, _ = divided(sized(400, 200), long=True)
    places = [int(one.student["input_ids"][0, 0]) for one in held]
    assert len(held) == 4096 // 800
    assert np.ptp(np.diff(places)) == 0
    assert places[0] == 40  # half of the way between two of them
    assert places[-1] == 360


def test_parts_hold_every_item_once_with_its_share_of_positions():
    mask = torch.ones(5, 10, dtype=torch.int64)
    mask[1, 4:] = 0
    feeds = {"input_ids": torch.arange(50).view(5, 10), "attention_mask": mask}
    batch = Batch(student=feeds, teacher=feeds)
    for tokens, count in ((1, 5), (20, 3), (39, 2), (1000, 1)):
        parts = list(batch.parts(tokens))
        assert len(parts) == count
        ids = torch.cat([batch.rows(rows).student["input_ids"] for rows, _ in parts])
        assert torch.equal(ids, feeds["input_ids"])
        for rows, share in parts:
            assert share == pytest.approx(mask[rows].sum().item() / 44)
