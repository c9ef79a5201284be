"""Accuracy, both F1, regression, and the fidelity of classifiers, against scikit-learn and SciPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import rel_entr, softmax
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score

from compress.measure.evaluate import choose_metric
from tests.unit.measure.fakes import Arrays, Model, judged, noisy, table


class Case:
    """A classifier, a noisy one, and what both say about 120 items."""

    def __init__(self, folder, *, classes, noise=0.4, config=None):
        (folder / "config.json").write_text(json.dumps(config or {}))
        self.folder, self.config = folder, config
        weights = table(0, 6, classes)
        inputs = table(1, 120, 6)
        self.weights = [weights, noisy(weights, 2, noise)]
        self.logits = [inputs @ one for one in self.weights]
        self.labels = (self.logits[0] + table(3, 120, classes, scale=0.8)).argmax(axis=1)
        self.rows = [{"image": x, "label": int(y)} for x, y in zip(inputs, self.labels, strict=True)]

    def score(self, name=None, *, labelled=True):
        task = "image-classification"
        metric = choose_metric(task, labelled=labelled, name=name, config=self.config)
        models = [
            Model(lambda feeds, w=w: {"logits": feeds["pixel_values"] @ w}, inputs=("pixel_values",))
            for w in self.weights
        ]
        return judged(
            metric,
            models[0],
            {"one": models[1]},
            self.rows,
            folder=self.folder,
            task=task,
            preprocess=Arrays(),
        )["one"]


def values(case, score):
    """scikit-learn's value of the reference and of the other model."""
    return [score(case.labels, logits.argmax(axis=1)) for logits in case.logits]


@pytest.mark.parametrize(
    ("name", "classes", "score"),
    [
        ("accuracy", 4, accuracy_score),
        ("f1", 2, f1_score),
        ("f1", 4, lambda *both: f1_score(*both, average="macro")),
        ("f1_macro", 2, lambda *both: f1_score(*both, average="macro")),
    ],
)
def test_task_metrics(tmp_path, name, classes, score):
    case = Case(tmp_path, classes=classes)
    found, (before, after) = case.score(name), values(case, score)
    assert (found.baseline, found.result) == pytest.approx((before, after))
    assert found.drop == pytest.approx(before - after)
    assert found.drop < found.drop_upper_95 < found.drop + 0.2
    assert found.items == 120


def test_bound_of_f1_is_the_bootstraps(tmp_path):
    case = Case(tmp_path, classes=4)
    found = case.score("f1")
    random, labels = np.random.default_rng(0), case.labels
    before, after = (logits.argmax(axis=1) for logits in case.logits)
    drops = []
    for _ in range(600):
        drawn = random.integers(0, len(labels), len(labels))
        score = [f1_score(labels[drawn], one[drawn], average="macro") for one in (before, after)]
        drops.append(score[0] - score[1])
    assert found.drop_upper_95 == pytest.approx(np.quantile(drops, 0.95), abs=0.025)


def test_regression(tmp_path):
    case = Case(tmp_path, classes=1, config={"id2label": {"0": "LABEL_0"}})
    scores = [logits[:, 0] for logits in case.logits]
    for row, score, noise in zip(case.rows, scores[0], table(5, 120), strict=True):
        row["label"] = float(score + noise)
    labels = [row["label"] for row in case.rows]
    found = case.score()
    assert found.result == pytest.approx(spearmanr(scores[1], labels).statistic)
    assert found.baseline == pytest.approx(spearmanr(scores[0], labels).statistic)
    without = case.score(labelled=False)
    assert without.result == pytest.approx(spearmanr(*scores).statistic)
    assert without.drop == pytest.approx(1 - without.result)


def test_fidelity(tmp_path):
    case = Case(tmp_path, classes=4)
    first, second = (softmax(logits.astype(np.float64), axis=1) for logits in case.logits)
    chosen = second.argmax(axis=1)
    kept = first[np.arange(120), chosen].sum() / first.max(axis=1).sum()
    assert case.score("fidelity").result == pytest.approx(kept)
    assert case.score("agreement").result == pytest.approx(np.mean(chosen == first.argmax(axis=1)))
    divergence = rel_entr(first, second).sum(axis=1).mean()
    assert case.score("kl").result == pytest.approx(np.exp(-divergence))


@pytest.mark.parametrize("name", ["fidelity", "agreement", "kl"])
def test_fidelity_is_one_of_itself_and_low_of_noise(tmp_path, name):
    itself, noise = Case(tmp_path, classes=4, noise=0.0), Case(tmp_path, classes=4, noise=5.0)
    assert itself.score(name).drop == pytest.approx(0, abs=1e-12)
    found = noise.score(name)
    assert found.kind == "fidelity"
    assert found.baseline == 1
    assert found.drop > 0.15
    assert found.drop_upper_95 < 1.2


def test_expected_accuracy_is_the_accuracy_if_the_probabilities_are_right(tmp_path):
    case = Case(tmp_path, classes=3, noise=0.8)
    case.rows *= 40
    random = np.random.default_rng(0)
    chances = softmax(case.logits[0].astype(np.float64), axis=1)
    drawn = [random.choice(3, p=chances[at % 120]) for at in range(len(case.rows))]
    case.rows = [{**row, "label": int(label)} for row, label in zip(case.rows, drawn, strict=True)]
    found, truth = case.score("fidelity"), case.score("accuracy")
    assert found.result == pytest.approx(truth.result / truth.baseline, abs=0.01)


def test_labels_that_do_not_exclude_each_other_are_decided_one_by_one(tmp_path):
    case = Case(tmp_path, classes=5, config={"problem_type": "multi_label_classification"})
    first, second = (1 / (1 + np.exp(-logits.astype(np.float64))) for logits in case.logits)
    kept = np.where(second > 0.5, first, 1 - first).sum() / np.maximum(first, 1 - first).sum()
    assert case.score("fidelity").result == pytest.approx(kept)
    same = np.mean((first > 0.5) == (second > 0.5))
    assert case.score("agreement").result == pytest.approx(same)
