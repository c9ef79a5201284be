"""What counts as an answer, and that models take turns on the same questions."""

from __future__ import annotations

import pytest

from compress.measure.voting import Sampling, judge, sample_in_turn
from compress.stats.vote import NO_ANSWER


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        ("6 times 7 is 42.", ["42"], True),
        ("42 is not it, so 41", ["42"], False),
        ("that makes $1,200.00", ["She pays 1200 in all. #### 1200"], True),
        ("1 + 1\n#### 2\nand 3 more", ["2"], True),
        ("no idea", ["42"], False),
        ("The answer is (B), since A is wrong", ["B"], True),
        ("A good question. C", ["C"], False),
        ("Answer: D", ["(D)"], True),
        ("\nThe Eiffel Tower!\nIn Paris.", ["eiffel tower", "Tour Eiffel"], True),
        ("In Paris, the Eiffel Tower", ["Eiffel Tower"], False),
        ("", ["yes"], False),
    ],
)
def test_answers_are_found_by_what_the_right_ones_look_like(text, answers, right):
    assert judge([text], answers)[1] == [right]


def test_equal_answers_have_equal_numbers():
    numbers, right = judge(["it is 4", "4.0", "five", "5", "2 + 2 = 4"], ["4"])
    assert numbers == [0, 0, NO_ANSWER, 1, 0]
    assert right == [True, True, False, False, True]


class Parrot:
    """Says its piece, and writes down how it was asked."""

    def __init__(self, says):
        self.says, self.asked = says, []

    def tokens(self, prompt, *, chat=False):
        return [len(prompt), int(chat)]

    def pieces(self, ids, *, tokens, **search):
        self.asked.append((tuple(ids), search["random_seed"]))
        return iter(self.says[:tokens])


def test_every_model_is_asked_the_same_with_the_same_seeds():
    good, bad = Parrot(["4", "", "."]), Parrot(["5"])
    rows = [{"question": "2+2", "answers": ["4"]}, {"question": "2*2 =", "answers": ["4"]}]
    how = Sampling(samples=3, tokens=2, temperature=0.7, chat=True, seed=1)
    found = sample_in_turn({"good": good, "bad": bad}, rows, how)
    assert sorted(good.asked) == sorted(bad.asked)
    assert len({seed for _, seed in good.asked}) == 6
    assert found["good"].right.all()
    assert not found["bad"].right.any()
    assert found["good"].tokens.tolist() == [[2] * 3] * 2
    assert (found["good"].seconds > 0).all()
