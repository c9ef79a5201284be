from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from compress.stats.f_score import average, f1
from tests.unit.stats.jackknife import close


@pytest.fixture
def answers():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 150)
    return labels, np.where(random.random(150) < 0.3, random.integers(0, 3, 150), labels)


def of_class(number, labels, predicted):
    hits = (labels == number) & (predicted == number)
    return f1(hits.astype(int), (predicted == number).astype(int), (labels == number).astype(int))


def test_value_and_influence(answers):
    found = of_class(1, *answers)
    assert found.value == pytest.approx(f1_score(*answers, average=None)[1])

    def statistic(labels, predicted):
        return f1_score(labels, predicted, average=None, labels=[0, 1, 2])[1]

    assert close(found.influence, statistic, *answers, tolerance=0.03)


def test_average_is_macro(answers):
    found = average([of_class(number, *answers) for number in range(3)])
    assert found.value == pytest.approx(f1_score(*answers, average="macro"))
    assert abs(found.influence.mean()) < 1e-12


def test_nothing_said_and_nothing_there():
    assert f1(np.zeros(4), np.zeros(4), np.zeros(4)).value == 0
