"""Scores of lm-evaluation-harness tasks against the harness's own way to run the same checkpoint."""

import json

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.graph.session import open_runner
from compress.measure import harness
from compress.passes.export import genai
from tests import tiny
from tests.unit.graphs import PROFILE

CHOICE = """
task: my_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{start}}}}"
doc_to_target: right
doc_to_choice: ends
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROLLING = """
task: my_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{start}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]
"""
UNTIL = """
task: my_answer
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{start}}}}"
doc_to_target: "{{{{ends[0]}}}}"
generation_kwargs: {{until: ["e"], max_gen_toks: 6}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny Llama with its graph, and three tasks on rows of its own."""
    root = tmp_path_factory.mktemp("harness")
    task = tiny.build("llama-wide", root / "model")
    (root / "graph").mkdir()
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=root / "model", task=task)
    context = Context(folder=root / "graph", calibration=Fixed([]), profile=PROFILE, progress=Silent())
    graph = genai.apply(source, genai.Config(), context)
    words = tiny.TEXT.split()
    rows = [
        {"start": " ".join(words[at : at + 6]), "ends": [f" {words[at + 7]}", " small good"], "right": at % 2}
        for at in range(12)
    ]
    data = root / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (root / "tasks").mkdir()
    for name, text in (("choice", CHOICE), ("rolling", ROLLING), ("until", UNTIL)):
        (root / "tasks" / f"{name}.yaml").write_text(text.format(data=data))
    return root, graph


def test_scores_are_those_of_the_checkpoint(made):
    root, graph = made
    names = ["my_choice", "my_text"]
    found = harness.score(graph.folder, open_runner(graph.graph), names, extra=root / "tasks", limit=None)
    model = HFLM(pretrained=str(root / "model"), device="cpu", batch_size=1, prefix_token_id=3)
    manager = TaskManager(include_path=str(root / "tasks"))
    expected = simple_evaluate(model=model, tasks=names, task_manager=manager)["results"]
    assert {(one.task, one.metric) for one in found} >= {("my_choice", "acc"), ("my_text", "bits_per_byte")}
    for one in found:
        assert one.items == 12
        assert one.value == pytest.approx(expected[one.task][f"{one.metric},none"], rel=1e-4)


def test_answers_are_generated_up_to_their_end(made):
    root, graph = made
    model = harness.HarnessModel(graph.folder, open_runner(graph.graph), longest=64)
    requests = [type("Request", (), {"args": ("the quick", {"until": ["e"], "max_gen_toks": 6})})()]
    (answer,) = model.generate_until(requests)
    assert "e" not in answer
    (one,) = harness.score(graph.folder, model._runner, ["my_answer"], extra=root / "tasks", limit=5)
    assert (one.metric, one.items) == ("exact_match", 5)


def test_an_unknown_task_is_refused(cli, made):
    root, _ = made
    called = cli("eval", root / "model", "--harness", "my_chioce", "--harness-tasks", root / "tasks")
    assert called.code == 2
    assert "error[task-unknown]" in called.err


def test_two_models_are_scored_side_by_side(cli, made):
    root, _ = made
    words = ["--harness", "my_choice", "--harness-tasks", root / "tasks", "--limit", "4", "--json"]
    called = cli("eval", root / "model", *words)
    assert called.code == 0, called.err
    scores = json.loads(called.out)[str(root / "model")]
    assert {one["metric"] for one in scores} == {"acc", "acc_norm"}


def test_the_settings_limit_the_items(cli, made, monkeypatch):
    root, _ = made
    monkeypatch.setenv("COMPRESS_LIMIT", "3")
    words = ["--harness", "my_choice", "--harness-tasks", root / "tasks", "--json"]
    called = cli("eval", root / "model", *words)
    assert called.code == 0, called.err
    assert {one["items"] for one in json.loads(called.out)[str(root / "model")]} == {3}
