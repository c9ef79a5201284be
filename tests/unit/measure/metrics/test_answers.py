"""Exact match and F1 of extracted answers, by SQuAD's rules."""

from __future__ import annotations

import collections
import json
import re
import string

import numpy as np
import pytest

from compress.data.items import load_items
from compress.measure.answers import extracted, normalized
from compress.measure.evaluate import choose_metric
from compress.measure.metric import Tools
from compress.measure.metrics.answer_f1 import overlap
from compress.measure.prepare import windowed
from compress.runtime.text import load_text
from tests.unit.measure.fakes import SPECIAL, VOCABULARY, Model, judged, sentences, text_folder

TASK = "question-answering"


@pytest.mark.parametrize(
    ("answer", "plain"),
    [("The  Eiffel-Tower!", "eiffeltower"), ("a man, an owl", "man owl"), ("Theory", "theory"), ("", "")],
)
def test_normalized(answer, plain):
    assert normalized(answer) == plain


@pytest.mark.parametrize(
    ("said", "right", "value"),
    [
        ("the cat", "a cat", 1.0),
        ("black cat", "cat", 2 / 3),
        ("cat cat dog", "cat dog dog", 2 / 3),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "the", 1.0),
    ],
)
def test_overlap(said, right, value):
    assert overlap(said, right) == pytest.approx(value)


def finder(*wanted):
    """A model that starts an answer at the first and ends it at the last of the `wanted` words."""
    ids = [len(SPECIAL) + number for number in wanted]

    def run(feeds):
        tokens = feeds["input_ids"]
        found = [9.0 * (tokens == one) for one in (ids[0], ids[-1])]
        return {"start_logits": found[0].astype(np.float32), "end_logits": found[1].astype(np.float32)}

    return Model(run)


ROWS = [
    {"question": "w0", "context": "w1 w2 w3 w4 w5", "answers": ["w2 w3"]},
    {"question": "w0", "context": "w9 w8 w2 w3 w7", "answers": ["w8", "w3"]},
    {"question": "w0 w1", "context": " ".join(["w20"] * 60) + " w2 w3 " + "w21 " * 50, "answers": ["w2 w3"]},
]


@pytest.mark.parametrize(
    ("name", "other", "value"),
    [
        ("exact_match", finder(2, 3), 2 / 3),
        ("exact_match", finder(2), 0.0),
        ("f1", finder(2, 3), (1 + 2 / 3 + 1) / 3),
        ("f1", finder(2), (2 / 3 + 0 + 2 / 3) / 3),
    ],
)
def test_best_answers_over_all_windows(tmp_path, name, other, value):
    folder = text_folder(tmp_path, length=24)
    metric = choose_metric(TASK, labelled=True, name=name)
    found = judged(metric, finder(2, 3), {"one": other}, ROWS, folder=folder, task=TASK)["one"]
    assert found.result == pytest.approx(value)
    assert found.items == 3
    assert found.drop_upper_95 > found.drop + 0.1


def test_fidelity(tmp_path):
    folder = text_folder(tmp_path, length=24)
    metric = choose_metric(TASK, labelled=False)
    rows = [{name: row[name] for name in ("question", "context")} for row in ROWS]
    models = {"same": finder(2, 3), "other": finder(4)}
    found = judged(metric, finder(2, 3), models, rows, folder=folder, task=TASK)
    assert found["same"].drop == 0
    assert found["other"].drop > 0.2


def official_scores(rows, said):
    """Exact match and F1 as SQuAD 2.0's evaluation script computes them (compute_exact, compute_f1)."""

    def plain(text):
        text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def f1(gold, guess):
        gold, guess = plain(gold).split(), plain(guess).split()
        common = collections.Counter(gold) & collections.Counter(guess)
        same = sum(common.values())
        if len(gold) == 0 or len(guess) == 0:
            return int(gold == guess)
        if same == 0:
            return 0
        precision, recall = same / len(guess), same / len(gold)
        return 2 * precision * recall / (precision + recall)

    exact, overlaps = [], []
    for row, guess in zip(rows, said, strict=True):
        golds = [answer for answer in row["answers"] if plain(answer)] or [""]
        exact.append(max(int(plain(gold) == plain(guess)) for gold in golds))
        overlaps.append(max(f1(gold, guess) for gold in golds))
    return float(np.mean(exact)), float(np.mean(overlaps))


def transformers_answer(windows, context):
    """What transformers' pipeline answers with `handle_impossible_answer` (select_starts_ends, decode_spans
    and postprocess of its release 4.57, the last that has this pipeline), one span after the other.
    """
    null, answers = 1000000.0, []
    for start, end, encoding in windows:
        kept = [number == 1 or at == 0 for at, number in enumerate(encoding.sequence_ids)]
        probabilities = []
        for logits in (start, end):
            masked = np.where(kept, logits.astype(np.float64), -10000.0)
            raised = np.exp(masked - masked.max())
            probabilities.append(raised / raised.sum())
        starts, ends = probabilities
        null = min(null, starts[0] * ends[0])
        starts[0] = ends[0] = 0.0
        for first in range(len(starts)):
            for last in range(first, min(first + 30, len(ends))):
                if encoding.sequence_ids[first] == 1 and encoding.sequence_ids[last] == 1:
                    span = context[encoding.offsets[first][0] : encoding.offsets[last][1]]
                    answers.append((starts[first] * ends[last], span))
    answers.append((null, ""))
    return max(answers, key=lambda answer: answer[0])[1]


def squad2(folder, count=80):
    """SQuAD 2.0's layout, nested and flat: half of the questions have no answer."""
    rows = []
    for number, context in enumerate(sentences(count, longest=40, seed=3)):
        words = context.split()
        answers = [] if number % 2 else [" ".join(words[:2]), words[-1]]
        rows.append({"question": f"w{number % 40} w1", "context": context, "answers": answers})
    questions = [
        {"question": row["question"], "id": str(number), "is_impossible": not row["answers"],
         "answers": [{"text": text, "answer_start": 0} for text in row["answers"]],
         "plausible_answers": [{"text": "w1", "answer_start": 0}]}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    paragraphs = [{"context": row["context"], "qas": [one]} for row, one in zip(rows, questions, strict=True)]
    nested = {"version": "v2.0", "data": [{"title": "a", "paragraphs": paragraphs}]}
    (folder / "nested.json").write_text(json.dumps(nested))
    flat = [
        row | {"answers": {"text": row["answers"], "answer_start": [0] * len(row["answers"])}} for row in rows
    ]
    (folder / "flat.jsonl").write_text("\n".join(map(json.dumps, flat)))
    return rows


def random_finder(seed):
    """A model that prefers some words, and `[CLS]`, as starts and ends."""
    liking = np.random.default_rng(seed).normal(0, 2, (2, VOCABULARY)).astype(np.float32)
    liking[:, SPECIAL.index("[CLS]")] = 1.5
    return Model(lambda feeds: {
        "start_logits": liking[0][feeds["input_ids"]], "end_logits": liking[1][feeds["input_ids"]]
    })  # fmt: skip


@pytest.mark.parametrize("name", ["nested.json", "flat.jsonl"])
@pytest.mark.parametrize("length", [64, 24])
def test_no_answer_counts_as_the_official_script_counts_it(tmp_path, name, length):
    folder, rows = text_folder(tmp_path, length=length), squad2(tmp_path)
    items = load_items(str(tmp_path / name), task=TASK)
    assert items.labelled
    assert [row["answers"] for row in items.rows] == [row["answers"] for row in rows]
    model = random_finder(1)
    text = load_text(folder, task=TASK, inputs=model.inputs)
    batch = windowed(items.rows, Tools(folder=folder, task=TASK, preprocess=text))
    said = extracted(model.run(batch.feeds), batch)
    outputs = model.run(batch.feeds)
    groups = text.windows(items.rows)
    logits = [text.unpadded(outputs[key], batch.encodings) for key in ("start_logits", "end_logits")]
    windows = iter(zip(*logits, batch.encodings, strict=True))
    assert said == [
        transformers_answer([next(windows) for _ in group], row["context"])
        for group, row in zip(groups, rows, strict=True)
    ]
    assert 5 < said.count("") < 75
    exact, overlaps = official_scores(rows, said)
    for metric, value in (("exact_match", exact), ("answer_f1", overlaps)):
        chosen = choose_metric(TASK, labelled=True, name=metric)
        found = judged(chosen, model, {"one": model}, items.rows, folder=folder, task=TASK)["one"]
        assert found.result == pytest.approx(value)


def test_data_without_any_answer_is_unlabelled_and_says_so(tmp_path):
    rows = [{"question": "w1", "context": "w2 w3"}, {"question": "w1", "context": "w4"}]
    nested = {
        "data": [{"paragraphs": [{"context": row["context"], "qas": [{"question": "w1"}]} for row in rows]}]
    }
    (tmp_path / "hidden.json").write_text(json.dumps(nested))
    (tmp_path / "empty.jsonl").write_text("\n".join(json.dumps(row | {"answers": []}) for row in rows))
    assert not load_items(str(tmp_path / "hidden.json"), task=TASK).labelled
    items = load_items(str(tmp_path / "empty.jsonl"), task=TASK)
    assert not items.labelled
    assert "no answer" in items.notes[0]
