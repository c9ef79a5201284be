from __future__ import annotations

import pytest

from compress.core.errors import CompressError
from compress.measure.catalogue import all_metrics, choose_metric, metric_names

TASKS = {
    "text-classification": ("accuracy", "expected_accuracy"),
    "image-classification": ("accuracy", "expected_accuracy"),
    "audio-classification": ("accuracy", "expected_accuracy"),
    "feature-extraction": ("spearman", "similarity_rank"),
    "token-classification": ("entity_f1", "expected_accuracy"),
    "question-answering": ("answer_f1", "expected_accuracy"),
    "automatic-speech-recognition": ("wer", "expected_accuracy"),
}
ONE_SCORE = {"id2label": {"0": "LABEL_0"}}


@pytest.mark.parametrize(("task", "names"), TASKS.items())
def test_default_follows_from_the_labels(task, names):
    assert choose_metric(task, labelled=True).name == names[0]
    assert choose_metric(task, labelled=False).name == names[1]
    assert choose_metric(task, labelled=True, name="fidelity").name == names[1]
    assert choose_metric(task, labelled=True, name="fidelity").kind == "fidelity"


@pytest.mark.parametrize("task", ["fill-mask", "text-generation"])
@pytest.mark.parametrize("labelled", [True, False])
def test_text_is_the_answer_of_language_models(task, labelled):
    assert choose_metric(task, labelled=labelled).name == "perplexity"
    assert choose_metric(task, labelled=labelled, name="fidelity").name == "divergence"


def test_models_of_one_score():
    assert choose_metric("text-classification", labelled=True, config=ONE_SCORE).name == "spearman"
    assert choose_metric("text-classification", labelled=False, config=ONE_SCORE).name == "score_rank"
    assert choose_metric("token-classification", labelled=True, config=ONE_SCORE).name == "entity_f1"


@pytest.mark.parametrize(
    ("task", "name", "found"),
    [
        ("text-classification", "f1", "f1"),
        ("token-classification", "f1", "entity_f1"),
        ("question-answering", "token-f1", "answer_f1"),
        ("question-answering", "Exact-Match", "exact_match"),
        ("fill-mask", "kl", "divergence"),
        ("feature-extraction", "rank", "similarity_rank"),
    ],
)
def test_names_are_of_the_task(task, name, found):
    assert choose_metric(task, labelled=True, name=name).name == found


def test_unknown_name():
    with pytest.raises(CompressError) as caught:
        choose_metric("image-classification", labelled=True, name="acuracy")
    assert (caught.value.code, caught.value.hint) == ("metric-unknown", "did you mean 'accuracy'?")


def test_missing_labels():
    with pytest.raises(CompressError) as caught:
        choose_metric("image-classification", labelled=False, name="accuracy")
    assert caught.value.code == "metric-needs-labels"


def test_unknown_task():
    with pytest.raises(CompressError) as caught:
        choose_metric("time-travel", labelled=True)
    assert caught.value.code == "task-unsupported"


def test_each_task_has_one_default_of_each_kind_and_no_name_twice():
    tasks = {task for metric in all_metrics() for task in metric.tasks}
    for task in tasks:
        known = [metric for metric in all_metrics() if task in metric.tasks]
        for kind in ("task", "fidelity"):
            assert len([one for one in known if one.kind == kind and task in one.default_for]) == 1
        names = [name for metric in known for name in (metric.name, *metric.aliases)]
        assert len(names) == len(set(names))


def test_names_for_help():
    assert metric_names("question-answering")[:2] == ["agreement", "answer_f1"]
    assert "fidelity" in metric_names("fill-mask")
