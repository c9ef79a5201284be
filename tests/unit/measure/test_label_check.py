"""Chance by metric, and mappings of labels that a model's predictions contradict or do not confirm."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from compress.core.errors import CompressError
from compress.data.labels import Known, map_labels
from compress.measure.catalogue import choose_metric
from compress.measure.label_check import better_order, chance_note, refuse_chance, refuse_doubtful
from compress.measure.metrics import accuracy, entity_f1, label_f1
from compress.stats.chance import agreement

RANDOM = np.random.default_rng(0)


def records(labels, predicted, classes):
    labels, predicted = np.array(labels), np.array(predicted)
    return {
        "right": (labels == predicted).astype(np.int64),
        "label": labels,
        "predicted": predicted,
        "classes": np.full(len(labels), classes),
    }


def noisy(labels, classes, share):
    """Predictions of which a share is right and the others are anything."""
    other = RANDOM.integers(0, classes, len(labels))
    return np.where(RANDOM.random(len(labels)) < share, labels, other)


def test_agreement_is_cohens_kappa():
    labels = RANDOM.integers(0, 4, 500)
    lift = agreement(noisy(labels, 4, 0.5), labels, classes=4)
    labels2 = RANDOM.integers(0, 4, 500)
    predicted = noisy(labels2, 4, 0.3)
    lift = agreement(predicted, labels2, classes=4)
    kappa = cohen_kappa_score(labels2, predicted)
    assert lift.above.value / (1 - lift.chance) == pytest.approx(kappa)
    assert abs(lift.above.influence.mean()) < 1e-12


@pytest.mark.parametrize(
    ("classes", "share", "items", "verdict"),
    [
        (2, 0.0, 1000, "at"),
        (12, 0.0, 1000, "at"),
        (2, 0.3, 1000, "above"),
        (12, 0.3, 256, "above"),
        (2, 0.8, 30, "above"),
        (2, 0.1, 20, "unknown"),
    ],
)
def test_where_the_interval_lies(classes, share, items, verdict):
    labels = np.arange(items) % classes
    assert agreement(noisy(labels, classes, share), labels, classes=classes).verdict == verdict


def test_chance_of_skewed_data_is_not_the_commonest_class():
    labels = np.repeat([0, 1], [950, 50])
    found = labels.copy()
    found[900:960] = [0, 1] * 30  # half of the rare class is found, and as many are wrong
    assert (found == labels).mean() <= 0.97
    assert agreement(found, labels, classes=2).verdict == "above"
    assert agreement(np.zeros(1000, np.int64), labels, classes=2).verdict == "at"
    alone = np.ones(60, np.int64)
    assert agreement(alone, alone, classes=2).verdict == "above"
    assert agreement(1 - alone, alone, classes=2).verdict == "below"


def test_a_swapped_map_is_refused_in_few_items():
    labels = np.arange(40) % 2
    lift = agreement(1 - labels, labels, classes=2)
    assert lift.verdict == "below"
    with pytest.raises(CompressError, match="is the label map right") as error:
        refuse_chance(accuracy.METRIC, lift)
    assert error.value.code == "label-chance"
    assert "--allow-chance" in error.value.hint


def test_too_few_items_are_no_refusal():
    lift = agreement(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), classes=2)
    refuse_chance(accuracy.METRIC, lift)
    assert "too few items" in chance_note(accuracy.METRIC, lift)


WORDS = ["wine", "milk", "beer", "tea"]
GENERIC = Known(labels={f"LABEL_{number}": number for number in range(4)})


def test_a_sorted_guess_is_confirmed_or_contradicted_by_predictions():
    truth = np.arange(200) % 4
    predicted = noisy(truth, 4, 0.9)
    ordered = map_labels(sorted(WORDS), GENERIC)
    found = records(truth, predicted, 4)
    refuse_doubtful(ordered, found, accuracy.lift(found))
    names = [WORDS[number] for number in truth]  # the model was trained on the words in this order
    guess = map_labels(names, GENERIC)
    found = records([guess.read(name) for name in names], predicted, 4)
    with pytest.raises(CompressError) as error:
        refuse_doubtful(guess, found, accuracy.lift(found))
    assert error.value.code == "label-ambiguous"
    assert "beer=2,milk=1,tea=3,wine=0" in error.value.hint
    given = map_labels(
        names, Known(labels=GENERIC.labels, given={word: str(at) for at, word in enumerate(WORDS)})
    )
    refuse_doubtful(given, found, accuracy.lift(found))


def test_a_guess_that_few_items_cannot_confirm_is_refused():
    guess = map_labels(WORDS, GENERIC)
    found = records([0, 1, 2, 3], [0, 2, 1, 1], 4)
    with pytest.raises(CompressError) as error:
        refuse_doubtful(guess, found, accuracy.lift(found))
    assert error.value.code == "label-ambiguous"


def test_numbers_in_another_order_than_the_models_are_found():
    """MNLI's numbers with a model that has them otherwise: a third is right all the same."""
    labels = np.arange(240) % 3
    predicted = noisy(np.array([2, 1, 0])[labels], 3, 0.9)
    assert better_order(labels, predicted) == {0: 2, 1: 1, 2: 0}
    assert better_order(predicted, predicted) is None
    assert better_order(labels, RANDOM.integers(0, 3, 240)) is None


def test_label_f1_is_sklearns_micro_average():
    said, there = RANDOM.integers(0, 2, (2, 300, 5))
    found = {"said": said, "there": there}
    value = label_f1.compare(found, found).result
    assert value == pytest.approx(f1_score(there, said, average="micro"))
    assert label_f1.lift(found).verdict == "at"
    assert label_f1.lift({"said": there, "there": there}).verdict == "above"


def test_entities_anywhere_are_at_chance():
    hits, places = [], []
    for _ in range(400):
        tags = ["B-LOC" if one else "O" for one in RANDOM.random(12) < 0.2]
        said = list(RANDOM.permutation(tags))
        first, second = entity_f1.entities(said), entity_f1.entities(tags)
        hits.append((len(first & second), len(first), len(second), entity_f1._by_chance(first, second, 12)))
        places.append((len(second), len(second), len(second), entity_f1._by_chance(second, second, 12)))
    names = ("hits", "predicted", "actual", "by_chance")
    at_chance, perfect = (dict(zip(names, np.array(one, float).T, strict=True)) for one in (hits, places))
    assert entity_f1.lift(at_chance).verdict == "at"
    assert entity_f1.lift(perfect).verdict == "above"


@pytest.mark.parametrize("config", [{"problem_type": "multi_label_classification"}])
def test_models_of_several_labels_have_a_metric_of_their_own(config):
    assert choose_metric("text-classification", labelled=True, config=config).name == "label_f1"
    assert choose_metric("text-classification", labelled=False, config=config).name == "expected_accuracy"
