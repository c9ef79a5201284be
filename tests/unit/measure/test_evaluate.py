from __future__ import annotations

import weakref

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.measure.evaluate import choose_metric
from tests.unit.measure.fakes import VOCABULARY, Arrays, Model, judged, sentences, table, text_folder

ACCURACY = choose_metric("image-classification", labelled=True)
WEIGHTS = table(0, 8, 3)


def classifier(weights=WEIGHTS, **settings):
    return Model(lambda feeds: {"logits": feeds["pixel_values"] @ weights}, **settings)


@pytest.fixture
def rows():
    inputs = table(1, 50, 8)
    labels = (inputs @ WEIGHTS + table(2, 50, 3)).argmax(axis=1)
    return [{"image": one, "label": int(label)} for one, label in zip(inputs, labels, strict=True)]


def accuracy_of(rows, others, tmp_path, *, reference=None, preprocess=None, batch_size=16):
    return judged(
        ACCURACY,
        reference or classifier(),
        others,
        rows,
        folder=tmp_path,
        task="image-classification",
        preprocess=preprocess or Arrays(),
        batch_size=batch_size,
    )


def test_scores_have_the_names_of_the_models(rows, tmp_path):
    found = accuracy_of(rows, {"same": classifier(), "none": classifier(-WEIGHTS)}, tmp_path)
    assert list(found) == ["same", "none"]
    assert found["same"].drop == 0
    assert found["same"].baseline == found["same"].result == found["none"].baseline
    assert found["none"].drop == pytest.approx(found["none"].baseline - found["none"].result)
    assert found["none"].accuracy().items == 50


def test_batches_do_not_change_the_score(rows, tmp_path):
    other = {"other": classifier(WEIGHTS + table(3, 8, 3))}
    values = {accuracy_of(rows, other, tmp_path, batch_size=size)["other"].result for size in (1, 7, 64)}
    assert len(values) == 1


def test_a_graph_with_a_fixed_batch_gets_it(rows, tmp_path):
    fixed, free = classifier(batch=8), classifier()
    found = accuracy_of(rows, {"fixed": fixed, "free": free}, tmp_path)
    assert set(fixed.sizes) == {8}
    assert found["fixed"].records["right"].tolist() == found["free"].records["right"].tolist()


def test_rows_that_must_not_be_mixed_come_one_at_a_time(rows, tmp_path):
    preprocess, reference = Arrays(), classifier()
    preprocess.mixed_lengths = False
    accuracy_of(rows, {"same": classifier()}, tmp_path, reference=reference, preprocess=preprocess)
    assert set(reference.sizes) == {1}


def test_a_broken_contender_is_judged_as_one_that_says_nothing(rows, tmp_path):
    found = accuracy_of(rows, {"broken": classifier(WEIGHTS * np.nan)}, tmp_path)["broken"]
    assert found.result == np.mean([row["label"] == 0 for row in rows])
    assert np.isfinite(found.drop_upper_95)


def test_a_broken_reference_is_refused(rows, tmp_path):
    with pytest.raises(CompressError) as caught:
        accuracy_of(rows, {"same": classifier()}, tmp_path, reference=classifier(WEIGHTS * np.nan))
    assert caught.value.code == "output-not-finite"


def test_texts_with_nothing_to_judge_are_refused(tmp_path):
    model = Model(lambda feeds: {"logits": table(0, VOCABULARY, VOCABULARY)[feeds["input_ids"]]})
    with pytest.raises(CompressError) as caught:
        judged(
            choose_metric("text-generation", labelled=False),
            model,
            {"same": model},
            [{"text": ""}, {"text": "w1"}],
            folder=text_folder(tmp_path, special=False),
            task="text-generation",
        )
    assert caught.value.code == "data-empty"


def test_logits_over_a_vocabulary_are_not_kept(tmp_path):
    alive: weakref.WeakSet = weakref.WeakSet()
    most = []

    class Logits(np.ndarray):
        pass

    def run(feeds):
        made = table(0, VOCABULARY, VOCABULARY)[feeds["input_ids"]].view(Logits)
        alive.add(made)
        most.append(len(alive))
        return {"logits": made}

    Logits.__hash__ = object.__hash__
    model = Model(run)
    rows = [{"text": text} for text in sentences(20)]
    metric = choose_metric("text-generation", labelled=False)
    folder = text_folder(tmp_path, special=False)
    judged(metric, model, dict.fromkeys("abc", model), rows, folder=folder, task="text-generation")
    assert len(most) == 40  # four models, two rows at once
    assert max(most) <= 3  # the reference's, one contender's, and the one just made
