from __future__ import annotations

import json

import pytest

from compress.core.errors import CompressError
from compress.data.unlabelled import load_unlabelled


def texts(found):
    return sorted(row["text"] for row in found.rows)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("id,genre,sentence1,sentence2,score\n7,news,A cat,A dog,3.5\n8,news,One,Two birds,1.0\n")
    return str(path)


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("first line\n\nsecond line\n")
    return str(path)


def test_every_column_of_text_is_rows_of_its_own(pairs, lines):
    found = load_unlabelled([pairs, lines], task="feature-extraction")
    assert texts(found) == ["A cat", "A dog", "One", "Two birds", "first line", "second line"]
    assert all(set(row) == {"text"} for row in found.rows)
    assert found.sources[0].endswith("pairs.csv (sentence1, sentence2: 4 rows)")


def test_sources_are_mixed_in_the_same_order_each_time(tmp_path):
    paths = []
    for name in "ab":
        paths.append(str(tmp_path / f"{name}.txt"))
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} line {number}\n" for number in range(50)))
    found, again = (load_unlabelled(paths, task="fill-mask") for _ in range(2))
    assert found.rows == again.rows
    assert 15 < sum(row["text"].startswith("a") for row in found.rows[:50]) < 35
    assert load_unlabelled(paths, task="fill-mask", seed=1).rows != found.rows


def test_what_is_judged_is_left_out(pairs, lines):
    found = load_unlabelled([pairs, lines], task="feature-extraction")
    kept = found.without([{"text": "a  CAT", "text_pair": "first line", "label": 1.0}])
    assert texts(kept) == ["A dog", "One", "Two birds", "second line"]
    assert kept.left_out == 2


def test_a_classifier_keeps_labels_that_are_its_own(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\nso good\t1\nso bad\t0\n")
    found = load_unlabelled([str(path)], task="text-classification", labels={"bad": 0, "good": 1})
    assert {row["text"]: row["label"] for row in found.rows} == {"so good": 1, "so bad": 0}
    other = load_unlabelled([str(path)], task="text-classification", labels={"x": 5, "y": 6, "z": 7})
    assert all("label" not in row or row["label"] in (0, 1) for row in other.rows)
    path.write_text("text\tlabel\nso good\tsports\nso bad\tnews\n")
    found = load_unlabelled([str(path)], task="text-classification", labels={"a b": 0, "c d": 1, "e": 2})
    assert all(set(row) == {"text"} for row in found.rows)


def test_a_classifier_of_pairs_gets_pairs(pairs):
    found = load_unlabelled([pairs], task="text-classification", pairs=True)
    assert {(row["text"], row["text_pair"]) for row in found.rows} == {
        ("A cat", "A dog"),
        ("One", "Two birds"),
    }


def test_other_tasks_get_their_own_columns_without_answers(tmp_path):
    path = tmp_path / "squad.jsonl"
    row = {"question": "who?", "context": "Ada did", "answers": {"text": ["Ada"], "answer_start": [0]}}
    path.write_text(json.dumps(row) + "\n")
    found = load_unlabelled([str(path)], task="question-answering")
    assert found.rows == ({"question": "who?", "context": "Ada did"},)


def test_what_holds_no_text_is_refused(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(CompressError, match="column-missing"):
        load_unlabelled([str(path)], task="fill-mask")
    with pytest.raises(CompressError, match="data-missing"):
        load_unlabelled([str(tmp_path / "none.txt")], task="fill-mask")
