import numpy as np

from compress.data.bounded import in_parts, within


def batch(*lengths):
    mask = np.array([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    return {"input_ids": mask * 7, "attention_mask": mask}


def rows(found):
    return [len(one["input_ids"]) for one in found]


def test_texts_are_taken_row_by_row_until_there_are_enough():
    feeds = [batch(4, 3), batch(5, 2, 6), batch(1)]
    assert rows(within(feeds, 100)) == [2, 3, 1]
    assert rows(within(feeds, 12)) == [2, 1]
    assert rows(within(feeds, 14)) == [2, 2]
    assert rows(within(feeds, 7)) == [2]


def test_one_row_is_taken_however_long_it_is():
    assert rows(within([batch(9, 9)], 4)) == [1]


def test_what_is_no_text_is_taken_whole():
    feeds = [{"pixel_values": np.zeros((8, 3, 4, 4))}, {"pixel_values": np.zeros((2, 3, 4, 4))}]
    assert [len(one["pixel_values"]) for one in within(feeds, 1)] == [8, 2]
    assert [len(one["pixel_values"]) for one in in_parts(feeds, 1)] == [8, 2]


def test_parts_hold_all_rows_in_their_order_and_few_positions():
    feeds = [batch(4, 3, 4, 1), batch(9)]
    found = list(in_parts(feeds, 8))
    assert [one["input_ids"].shape for one in found] == [(2, 4), (2, 4), (1, 9)]
    joined = np.concatenate([one["attention_mask"] for one in found[:2]])
    assert (joined == feeds[0]["attention_mask"]).all()
