"""Columns of labels are mapped as a whole, told, and refused where they could mean several things."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compress.core.errors import CompressError
from compress.data.items import load_items
from compress.data.label_map import read_label_map
from compress.data.labels import class_ids

TASK = "text-classification"
NAMES = {"negative": 0, "positive": 1}
DIGITS = {name: number for number, name in enumerate(sorted(str(number) for number in range(12)))}
STARS = {f"{number + 1} star{'s' * (number > 0)}": number for number in range(5)}
RATINGS = {str(number + 1): number for number in range(5)}
LEVELS = {"awful": 0, "bad": 1, "fair": 2, "good": 3, "great": 4}
GENERIC = {f"LABEL_{number}": number for number in range(3)}


def read(folder, written, **options):
    """The items of a column of labels."""
    lines = [json.dumps({"text": f"t{number}", "label": label}) for number, label in enumerate(written)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return load_items(str(folder / "a.jsonl"), **{"task": TASK, **options})


def classes(folder, written, **options):
    return [row["label"] for row in read(folder, written, **options).rows]


WHOLE = [
    # written, the model's classes, the classes they are, what is said of it
    (["positive", "Negative"], NAMES, [1, 0], "the model's own names"),
    ([1, 0], NAMES, [1, 0], "the numbers of the model's classes"),
    ([10, 2, 0], DIGITS, [2, 4, 0], "the model's own names"),
    (["10", "2", "0"], DIGITS, [2, 4, 0], "the model's own names"),
    ([0, 1, 4], RATINGS, [0, 1, 4], "the numbers of the model's classes"),
    ([1, 3, 5], RATINGS, [0, 2, 4], "the model's own names"),
    ([1, 5], STARS, [0, 4], "by the numbers in the model's names"),
    ([1, 2, 5], LEVELS, [0, 1, 4], "numbered from 1"),
    (["1.0", "5.0", "2.0"], LEVELS, [0, 4, 1], "numbered from 1"),
    (["c", "a", "b"], GENERIC, [2, 0, 1], "names in sorted order, a guess"),
    (["LABEL_2", "LABEL_0"], GENERIC, [2, 0], "the model's own names"),
    ([True, False], NAMES, [1, 0], "the numbers of the model's classes"),
    ([["positive"], ["negative"]], NAMES, [1, 0], "the model's own names"),
]


@pytest.mark.parametrize(("written", "labels", "expected", "basis"), WHOLE)
def test_a_column_is_mapped_as_a_whole(tmp_path, written, labels, expected, basis):
    items = read(tmp_path, written, labels=labels)
    assert [row["label"] for row in items.rows] == expected
    assert items.label_map.basis == basis
    assert items.label_map.exact == (basis == "the model's own names")


def test_the_mapping_is_one_line(tmp_path):
    said = read(tmp_path, ["positive", "negative"], labels=NAMES).label_map.describe()
    assert said == "label map: negative -> 0, positive -> 1 (the model's own names)"
    said = read(tmp_path, [1, 0], labels=NAMES).label_map.describe()
    assert said == "label map: 0 -> negative, 1 -> positive (the numbers of the model's classes)"
    assert "\x1b" not in read(tmp_path, ["\x1b[2J", "b", "c"], labels=GENERIC).label_map.describe()


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        (["a", "b", "c"], GENERIC),
        ([1, 2, 3, 4], STARS),  # by the numbers in the names, or the classes 1 to 4
    ],
)
def test_what_could_be_otherwise_is_a_guess(tmp_path, written, labels):
    assert read(tmp_path, written, labels=labels).label_map.guess


UNKNOWN = [
    (["positive", "neutral"], NAMES),
    ([0, 1, 2], NAMES),
    ([0, 1.5], NAMES),
    ([0, 5], LEVELS),  # neither from 0 nor from 1
    (["a", "b"], GENERIC),
    ([0, "yes"], LEVELS),
]


@pytest.mark.parametrize(("written", "labels"), UNKNOWN)
def test_what_cannot_be_told_is_refused_with_the_way_out(tmp_path, written, labels):
    with pytest.raises(CompressError, match=r"a.jsonl line \d") as error:
        read(tmp_path, written, labels=labels)
    assert error.value.code == "label-unknown"
    assert "--label-map" in error.value.hint


def test_the_users_own_mapping_wins(tmp_path):
    given = {"good": "positive", "bad": "0"}
    assert classes(tmp_path, ["bad", "good", "negative"], labels=NAMES, label_map=given) == [0, 1, 0]
    assert classes(tmp_path, [1, 2], labels=NAMES, label_map={"1": "negative", "2": "positive"}) == [0, 1]
    assert classes(tmp_path, [-1, 1], labels=NAMES, label_map={"-1": "0", "1": "1"}) == [0, 1]
    assert not read(tmp_path, ["c", "a"], labels=GENERIC, label_map={"a": "2", "c": "0"}).label_map.guess
    for given, code in (({"good": "best"}, "label-map-invalid"), ({"good": "7"}, "label-map-invalid")):
        with pytest.raises(CompressError) as error:
            read(tmp_path, ["good"], labels=NAMES, label_map=given)
        assert error.value.code == code
    with pytest.raises(CompressError, match="says nothing of the label 'poor'"):
        read(tmp_path, ["poor", "good"], labels=NAMES, label_map={"good": "1"})


def test_label_maps_as_flags_and_files(tmp_path):
    assert read_label_map("negative=0, very good = 1") == {"negative": "0", "very good": "1"}
    assert read_label_map("a=b=1") == {"a=b": "1"}
    assert read_label_map({"a": 1}) == {"a": "1"}
    assert read_label_map(None) == {}
    (tmp_path / "a.json").write_text('{"negative": 0, "a, b": "positive"}')
    (tmp_path / "a.yaml").write_text("negative: 0\n'a, b': positive\n")
    for name in ("a.json", "a.yaml"):
        assert read_label_map(str(tmp_path / name)) == {"negative": "0", "a, b": "positive"}
    (tmp_path / "bad.json").write_text('{"negative": [0]}')
    (tmp_path / "empty.yaml").write_text("{}")
    for value in ("negative", "=1", "a=", "", str(tmp_path / "none.json"), str(tmp_path / "bad.json"),
                  str(tmp_path / "empty.yaml")):  # fmt: skip
        with pytest.raises(CompressError) as error:
            read_label_map(value)
        assert error.value.code == "label-map-invalid"


def test_classes_come_from_id2label_first():
    words, generic = {"0": "beer", "1": "tea"}, {"LABEL_0": 0, "LABEL_1": 1}
    assert class_ids({"id2label": words, "label2id": generic}) == {"beer": 0, "tea": 1}
    assert class_ids({"id2label": words}) == {"beer": 0, "tea": 1}
    assert class_ids({"id2label": words, "label2id": {"tea": 0, "beer": 1}}) == {"beer": 0, "tea": 1}
    assert class_ids({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"tea": 1, "beer": 0}}) == {
        "tea": 1, "beer": 0,
    }  # fmt: skip
    assert class_ids({"id2label": {"0": "same", "1": "same"}}) == generic
    assert class_ids({}) is None


MULTI = {"labels": {"wine": 0, "milk": 1, "beer": 2}, "problem": "multi_label_classification"}


@pytest.mark.parametrize(
    "written",
    [
        [["beer", "wine"], ["milk"], []],
        [[2, 0], [1], []],
        [[1, 0, 1], [0, 1, 0], [0, 0, 0]],
        [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]],
        ["beer, wine", "milk", ""],
        ["beer;wine", "milk", None],
        ["['beer', 'wine']", '["milk"]', "[]"],
    ],
)
def test_several_labels_a_row(tmp_path, written):
    items = read(tmp_path, written, **MULTI)
    assert [row["label"] for row in items.rows] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert items.labelled


def test_a_column_for_each_class(tmp_path):
    (tmp_path / "a.csv").write_text("text,milk,beer,wine\na,0,1,1\nb,1,0,0\n")
    items = load_items(str(tmp_path / "a.csv"), task=TASK, **MULTI)
    assert [row["label"] for row in items.rows] == [[1, 0, 1], [0, 1, 0]]
    assert items.columns["label"] == "3 columns, wine to beer"


def test_several_labels_that_cannot_be_told_are_refused(tmp_path):
    with pytest.raises(CompressError) as error:
        read(tmp_path, [["wine"], ["gin"]], **MULTI)
    assert error.value.code == "label-unknown"
    two = {"labels": NAMES, "problem": "multi_label_classification"}
    with pytest.raises(CompressError) as error:
        read(tmp_path, [[0, 1], [0, 1]], **two)
    assert error.value.code == "label-ambiguous"
    assert classes(tmp_path, [[0, 1], [1, 1]], **two) == [[0, 1], [1, 1]]
    with pytest.raises(CompressError, match="2 labels, the model gives one class"):
        read(tmp_path, [["negative", "positive"]], labels=NAMES)


def test_scores_of_one_and_of_several_outputs(tmp_path):
    three = {"labels": GENERIC, "problem": "regression"}
    assert classes(tmp_path, [[0.5, 1, 2], "[1, 2, 3]"], **three) == [[0.5, 1.0, 2.0], [1.0, 2.0, 3.0]]
    for written in ([0.5], [[0.5, 1]], ["high"]):
        with pytest.raises(CompressError, match="3 numbers, one for each"):
            read(tmp_path, written, **three)
    one = {"labels": {"LABEL_0": 0}}
    assert classes(tmp_path, [-1, 0.5, [1]], **one) == [-1.0, 0.5, 1.0]


PERSONS = {"O": 0, "B-PER": 1, "I-PER": 2, "B-LOC": 3, "I-LOC": 4}
BIOES = {"O": 0, "B-PER": 1, "I-PER": 2, "E-PER": 3, "S-PER": 4}
BARE = {"O": 0, "PER": 1, "LOC": 2}
SCHEMES = [
    (PERSONS, "B-PER I-PER O B-PER B-PER", [1, 2, 0, 1, 1]),
    (PERSONS, "I-PER I-PER O I-PER B-PER", [2, 2, 0, 2, 1]),  # IOB1 in the model's own names
    (PERSONS, "B-PER E-PER O S-PER S-LOC", [1, 2, 0, 1, 3]),
    (PERSONS, "B-PER I-PER L-PER U-PER O", [1, 2, 2, 1, 0]),
    (PERSONS, "PER PER O LOC PER", [1, 2, 0, 3, 1]),
    (PERSONS, "PER-B PER-I O LOC-B LOC-B", [1, 2, 0, 3, 3]),
    (BIOES, "B-PER I-PER O U-PER L-PER", [1, 3, 0, 4, 4]),
    (BARE, "B-PER I-PER O B-LOC B-PER", [1, 1, 0, 2, 1]),
]


@pytest.mark.parametrize(("labels", "written", "expected"), SCHEMES)
def test_tags_of_other_schemes(tmp_path, labels, written, expected):
    words = "".join(f"w{at}\t{tag}\n" for at, tag in enumerate(written.split()))
    (tmp_path / "a.conll").write_text(words)
    items = load_items(str(tmp_path / "a.conll"), task="token-classification", labels=labels)
    assert items.rows[0]["tags"] == expected
    assert items.label_map.classes


def test_numbered_tags_go_by_the_names_that_the_file_states(tmp_path):
    names = ["O", "S-LOC", "B-PER", "E-PER"]
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    features = {"info": {"features": {"ner_tags": feature}}}
    table = pa.Table.from_pylist([{"tokens": list("abcd"), "ner_tags": [1, 0, 2, 3]}])
    stated = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(stated, tmp_path / "a.parquet")
    options = {"task": "token-classification", "labels": PERSONS}
    assert load_items(str(tmp_path / "a.parquet"), **options).rows[0]["tags"] == [3, 0, 1, 2]
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_items(str(tmp_path / "a.parquet"), **options).rows[0]["tags"] == [1, 0, 2, 3]


def test_tags_of_other_types_need_a_mapping(tmp_path):
    (tmp_path / "a.conll").write_text("Ada\tB-PERSON\nLovelace\tE-PERSON\nmet\tO\n")
    options = {"task": "token-classification", "labels": PERSONS}
    with pytest.raises(CompressError) as error:
        load_items(str(tmp_path / "a.conll"), **options)
    assert error.value.code == "label-unknown"
    assert "--label-map" in error.value.hint
    items = load_items(str(tmp_path / "a.conll"), **options, label_map={"PERSON": "PER"})
    assert items.rows[0]["tags"] == [1, 2, 0]
    by_tag = {"B-PERSON": "B-PER", "E-PERSON": "I-PER", "O": "O"}
    assert load_items(str(tmp_path / "a.conll"), **options, label_map=by_tag).rows[0]["tags"] == [1, 2, 0]


def test_labels_that_are_not_used_say_why(tmp_path):
    for labels, said in (([-1, -1], "holds no label"), ([None, ""], "holds no label")):
        items = read(tmp_path, labels, labels=NAMES)
        assert not items.labelled
        assert said in items.notes[0]
    (tmp_path / "b.csv").write_text("text,verdict\nsome words,1\n")
    items = load_items(str(tmp_path / "b.csv"), task=TASK, labels=NAMES)
    assert "no column of right answers" in items.notes[0]
    items = read(tmp_path, [1, 0], task="feature-extraction")
    assert "pairs" in items.notes[0]
