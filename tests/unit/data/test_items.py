"""Every kind of source, the columns that are guessed, the labels that are understood, the errors."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from compress.core.errors import CompressError
from compress.data.items import load_items
from compress.data.sample import sample_texts

SENTIMENT = {"negative": 0, "positive": 1}
ROWS = [("good film", 1), ("bad film", 0), ("a film", 1), ("no film", 0)]


def code_of(*args, **options):
    with pytest.raises(CompressError) as error:
        load_items(*args, **options)
    assert "\n" not in str(error.value)
    return error.value.code


def text_labels(items):
    return [(row["text"], row["label"]) for row in items.rows]


def write_parquet(path, rows, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return path


def write_kinds(folder):
    """The same rows in every format, by name."""
    dicts = [{"sentence": text, "label": label} for text, label in ROWS]
    lines = "".join(f'"{text}",{label}\n' for text, label in ROWS)
    files = {
        "a.csv": "sentence,label\n" + lines,
        "b.csv": "\ufeffsentence;label\r\n" + "".join(f"{text};{label}\r\n" for text, label in ROWS),
        "c.tsv": "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS) + "\n",
        "d.jsonl": "\n".join(json.dumps(row) for row in dicts),
        "e.json": json.dumps(dicts),
        "f.json": json.dumps({"data": dicts}),
        "g.json": json.dumps({"sentence": [r[0] for r in ROWS], "label": [r[1] for r in ROWS]}),
        "h.json": "\n".join(json.dumps(row) for row in dicts),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf8", newline="")
    write_parquet(folder / "i.parquet", dicts)
    return [folder / name for name in [*files, "i.parquet"]]


def test_every_format_gives_the_same_rows(tmp_path):
    paths = write_kinds(tmp_path)
    items = [load_items(str(path), task="text-classification", labels=SENTIMENT) for path in paths]
    assert all(text_labels(one) == ROWS for one in items)
    assert len({one.digest for one in items}) == 1
    assert items[0].columns == {"text": "sentence", "label": "label"}
    assert items[0].labelled
    assert items[0].licence is None


def test_quotes_of_csv_and_of_glue(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"one, ""two""\nthree",1\n')
    assert text_labels(load_items(str(tmp_path / "a.csv"), task="text-classification")) == [
        ('one, "two"\nthree', 1)
    ]
    (tmp_path / "a.tsv").write_text('text\tlabel\n"so it begins\t1\n"quoted" at first\t0\n')
    assert text_labels(load_items(str(tmp_path / "a.tsv"), task="text-classification")) == [
        ('"so it begins', 1), ('"quoted" at first', 0),
    ]  # fmt: skip


def test_text_is_one_item_a_line_without_headings(tmp_path):
    (tmp_path / "a.txt").write_text(" \n = Title = \n\n First line . \n = = Part = = \nSecond = line\n")
    items = load_items(str(tmp_path / "a.txt"), task="fill-mask")
    assert [row["text"] for row in items.rows] == ["First line .", "Second = line"]
    assert not items.labelled


COLUMNS = [
    ("feature-extraction", "sentence1,sentence2,score", "text=sentence1 text_pair=sentence2 label=score"),
    ("text-classification", "premise,hypothesis,label", "text=premise text_pair=hypothesis label=label"),
    ("text-classification", "question,sentence,label", "text=question text_pair=sentence label=label"),
    ("text-classification", "idx,Review,Sentiment", "text=Review label=Sentiment"),
    ("text-classification", "phrase,label", "text=phrase label=label"),
    ("text-generation", "id,text,label", "text=text"),
    ("feature-extraction", "text,label", "text=text"),
    (
        "question-answering",
        "id,question,context,answers",
        "question=question context=context answers=answers",
    ),
    ("token-classification", "tokens,ner_tags", "tokens=tokens tags=ner_tags"),
]


@pytest.mark.parametrize(("task", "header", "columns"), COLUMNS)
def test_columns_are_guessed_from_the_task(tmp_path, task, header, columns):
    numbers = ("label", "score", "sentiment", "ner_tags")
    cells = ",".join("1" if name.lower() in numbers else "word" for name in header.split(","))
    (tmp_path / "a.csv").write_text(f"{header}\n{cells}\n{cells}\n")
    found = load_items(str(tmp_path / "a.csv"), task=task)
    assert found.columns == dict(pair.split("=") for pair in columns.split())
    assert found.labelled == any(name in columns for name in ("label=", "tags=", "answers="))


def test_encoders_of_single_items_need_no_labels(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,positive\n")
    assert load_items(str(tmp_path / "a.csv"), task="feature-extraction").rows == ({"text": "a"},)
    folder = pictures(tmp_path / "p", "cat/1.png", "dog/2.png")
    items = load_items(str(folder), task="feature-extraction", modality="image")
    assert set(items.rows[0]) == {"image"}
    assert not items.labelled


LABELS = [
    (["negative", "Positive"], SENTIMENT, [0, 1]),
    (["0", "1"], SENTIMENT, [0, 1]),
    (["1.0", "0.0"], SENTIMENT, [1, 0]),
    (["LABEL_1", "LABEL_0"], {"LABEL_0": 0, "LABEL_1": 1}, [1, 0]),
    (["dog", "cat"], {"LABEL_0": 0, "LABEL_1": 1}, [1, 0]),
    (["dog", "cat"], None, [1, 0]),
    (["very_good", "bad"], {"BAD": 0, "Very good": 1}, [1, 0]),
    (["3.5", "4"], {"LABEL_0": 0}, [3.5, 4.0]),
    (["0.5", "1.5"], None, [0.5, 1.5]),
    (["7", "3"], None, [7, 3]),
]


@pytest.mark.parametrize(("written", "labels", "expected"), LABELS)
def test_labels_as_names_numbers_and_scores(tmp_path, written, labels, expected):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"a,{label}\n" for label in written))
    items = load_items(str(tmp_path / "a.csv"), task="text-classification", labels=labels)
    assert [row["label"] for row in items.rows] == expected
    assert all(isinstance(row["label"], type(value)) for row, value in zip(items.rows, expected, strict=True))


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        (["negative", "neutral"], SENTIMENT),
        (["0", "2"], SENTIMENT),
        (["0", "0.5"], SENTIMENT),
        (["a", "b", "c"], {"LABEL_0": 0, "LABEL_1": 1}),
        (["1.0", "high"], {"LABEL_0": 0}),
    ],
)
def test_an_unknown_label_names_its_line(tmp_path, written, labels):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"t,{label}\n" for label in written))
    with pytest.raises(CompressError, match=r"a.csv line \d") as error:
        load_items(str(tmp_path / "a.csv"), task="text-classification", labels=labels)
    assert error.value.code == "label-unknown"


def test_labels_that_are_held_back_make_the_data_unlabelled(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,-1\nb,-1\n")
    items = load_items(str(tmp_path / "a.csv"), task="text-classification", labels=SENTIMENT)
    assert not items.labelled
    assert items.columns == {"text": "text"}
    (tmp_path / "a.csv").write_text("text,label\na,1\nb,\n")
    assert code_of(str(tmp_path / "a.csv"), task="text-classification", labels=SENTIMENT) == "row-invalid"


def test_classes_that_the_file_names_are_matched_by_name(tmp_path):
    features = {"info": {"features": {"label": {"names": ["entailment", "neutral"], "_type": "ClassLabel"}}}}
    path = write_parquet(
        tmp_path / "a.parquet",
        [{"text": "a", "label": 0}, {"text": "b", "label": 1}],
        {"huggingface": json.dumps(features)},
    )
    swapped = {"NEUTRAL": 0, "ENTAILMENT": 1}
    assert [
        row["label"] for row in load_items(str(path), task="text-classification", labels=swapped).rows
    ] == [1, 0]
    others = {"yes": 0, "no": 1}
    assert [
        row["label"] for row in load_items(str(path), task="text-classification", labels=others).rows
    ] == [0, 1]


def test_tagged_words(tmp_path):
    names = {"O": 0, "B-PER": 1, "I-PER": 2}
    (tmp_path / "a.txt").write_text(
        "-DOCSTART- -X- O O\n\nAda NNP I-NP B-PER\nmet VB O O\n\n\nBoole NNP B-PER\n"
    )
    (tmp_path / "b.jsonl").write_text(
        '{"tokens": ["Ada", "met"], "ner_tags": [1, 0]}\n{"tokens": ["Boole"], "ner_tags": ["B-PER"]}\n'
    )
    (tmp_path / "c.csv").write_text("tokens,tags\n\"['Ada', 'met']\",\"['B-PER', 'O']\"\nBoole,B-PER\n")
    for name in ("a.txt", "b.jsonl", "c.csv"):
        items = load_items(str(tmp_path / name), task="token-classification", labels=names)
        assert [(row["tokens"], row["tags"]) for row in items.rows] == [
            (["Ada", "met"], [1, 0]),
            (["Boole"], [1]),
        ]
        assert items.labelled
    (tmp_path / "d.jsonl").write_text('{"tokens": ["a", "b"], "tags": [-100, 1]}\n')
    assert load_items(str(tmp_path / "d.jsonl"), task="token-classification", labels=names).rows[0][
        "tags"
    ] == [-100, 1]


def test_questions_with_answers_in_every_form(tmp_path):
    question = {"question": "Who?", "context": "Ada met Boole."}
    forms = [
        {"text": ["Ada", "Boole"], "answer_start": [0, 8]},
        ["Ada", "Boole"],
        [{"text": "Ada"}, {"text": "Boole"}],
        "{'text': ['Ada', 'Boole'], 'answer_start': [0, 8]}",
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(question | {"answers": form}) + "\n" for form in forms)
    )
    items = load_items(str(tmp_path / "a.jsonl"), task="question-answering")
    assert all(row["answers"] == ["Ada", "Boole"] for row in items.rows)
    squad = {"data": [{"paragraphs": [{"context": "Ada met Boole.", "qas": [
        {"question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}]}]}]}  # fmt: skip
    (tmp_path / "b.json").write_text(json.dumps(squad))
    assert load_items(str(tmp_path / "b.json"), task="question-answering").rows[0] == question | {
        "answers": ["Ada"]
    }


def pictures(folder, *names):
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), index * 20, dtype=np.uint8)).save(folder / name)
    return folder


def test_image_folders(tmp_path):
    folder = pictures(tmp_path / "a", "cat/1.png", "dog/2.jpg", "cat/3.PNG", "cat/._4.png")
    items = load_items(str(folder), task="image-classification", labels={"dog": 0, "cat": 1})
    assert [(row["image"].name, row["label"]) for row in items.rows] == [
        ("1.png", 1),
        ("3.PNG", 1),
        ("2.jpg", 0),
    ]
    assert items.columns == {"image": "files of the folder", "label": "names of the subfolders"}
    flat = pictures(tmp_path / "b", "1.png", "2.png")
    assert not load_items(str(flat), task="image-classification").labelled
    nested = pictures(tmp_path / "c", "train/cat/1.png", "test/dog/2.png", "test/cat/3.png")
    assert len(load_items(str(nested), task="image-classification")) == 2
    assert len(load_items(f"{nested}:train", task="image-classification")) == 1
    vehicles = pictures(tmp_path / "d", "train/1.png", "bus/2.png")
    assert [row["label"] for row in load_items(str(vehicles), task="image-classification").rows] == [0, 1]


@pytest.mark.parametrize("name", ["metadata.csv", "labels.csv", "metadata.jsonl"])
def test_image_folders_with_a_table(tmp_path, name):
    folder = pictures(tmp_path, "x/1.png", "2.png")
    text = "file_name,label\nx/1.png,1\n2.png,0\n"
    if name.endswith("jsonl"):
        text = '{"file_name": "x/1.png", "label": 1}\n{"file_name": "2.png", "label": 0}\n'
    (folder / name).write_text(text)
    items = load_items(str(folder), task="image-classification")
    assert [(row["image"].name, row["label"]) for row in items.rows] == [("1.png", 1), ("2.png", 0)]
    assert load_items(str(folder / name), task="image-classification").digest == items.digest


def test_pictures_inside_parquet(tmp_path):
    folder = pictures(tmp_path, "1.png")
    data = (folder / "1.png").read_bytes()
    path = write_parquet(tmp_path / "p" / "a.parquet", [{"image": {"bytes": data, "path": None}, "label": 0}])
    inside = load_items(str(path), task="image-classification")
    assert inside.rows[0]["image"] == data
    outside = load_items(str(path), task="image-classification", spill=tmp_path / "spill")
    assert outside.rows[0]["image"].read_bytes() == data
    assert outside.digest == inside.digest
    write_parquet(path, [{"image": {"bytes": b"no picture", "path": None}, "label": 0}])
    assert code_of(str(path), task="image-classification") == "data-unreadable"


def test_sound_folders(tmp_path):
    import soundfile

    for name in ("a/1.wav", "b/2.flac"):
        (tmp_path / "w" / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / "w" / name, np.sin(np.arange(1600) / len(name)), 16000)
    items = load_items(str(tmp_path / "w"), task="audio-classification", labels={"a": 0, "b": 1})
    assert [row["label"] for row in items.rows] == [0, 1]
    (tmp_path / "w" / "metadata.csv").write_text("file_name,transcription\na/1.wav,HELLO\nb/2.flac,YOU\n")
    items = load_items(str(tmp_path / "w"), task="automatic-speech-recognition")
    assert [row["transcript"] for row in items.rows] == ["HELLO", "YOU"]
    assert items.labelled
    (tmp_path / "w" / "a" / "1.wav").write_text("noise")
    assert code_of(str(tmp_path / "w"), task="automatic-speech-recognition") == "data-unreadable"


def test_folders_of_tables_prefer_rows_that_were_held_out(tmp_path):
    for name in ("train", "test", "validation"):
        (tmp_path / f"{name}.csv").write_text(f"text\n{name}\n")
    assert load_items(str(tmp_path), task="fill-mask").rows[0]["text"] == "validation"
    assert load_items(f"{tmp_path}:test", task="fill-mask").rows[0]["text"] == "test"
    assert code_of(f"{tmp_path}:tset", task="fill-mask") == "data-missing"
    for name in ("train", "test", "validation"):
        (tmp_path / f"{name}.csv").rename(tmp_path / f"part-{name}s.csv")
    assert code_of(str(tmp_path), task="fill-mask") == "data-missing"


def cached(home, name, revision, files):
    """A data set as huggingface_hub's cache holds it."""
    folder = home / f"datasets--{name.replace('/', '--')}"
    commit = "0" * 40
    reference = folder / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    for path, rows in files.items():
        write_parquet(folder / "snapshots" / commit / path, rows)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_hub_data_sets_from_the_cache(hub, monkeypatch):
    rows = {split: [{"text": split, "label": 0}] for split in ("train", "validation", "test")}
    cached(hub, "org/films", "refs/convert/parquet", {
        "default/train/0000.parquet": rows["train"], "default/partial-test/0000.parquet": rows["test"],
        "default/test/0001.parquet": rows["test"], "default/validation/0000.parquet": rows["validation"],
    })  # fmt: skip
    options = {"task": "text-classification", "offline": True}
    assert load_items("org/films", **options).rows[0]["text"] == "validation"
    assert len(load_items("org/films:test", **options)) == 2
    assert load_items("org/films:default:train", **options).source == "org/films:default:train"
    assert code_of("org/films:fr", **options) == "data-missing"
    assert code_of("org/films:default:dev", **options) == "data-missing"
    assert code_of("org/nothing", **options) == "offline-miss"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_items("org/films", task="text-classification").rows[0]["text"] == "validation"


def test_hub_data_sets_of_several_configurations(hub):
    files = {f"data/{config}/train-00000-of-00001.parquet": [{"text": config}] for config in ("de", "en")}
    cached(hub, "org/talks", "main", files)
    options = {"task": "fill-mask", "offline": True}
    assert code_of("org/talks", **options) == "data-missing"
    assert load_items("org/talks:de", **options).rows[0]["text"] == "de"


def test_a_limit_is_spread_over_the_source(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"t{i},{i // 50}\n" for i in range(100)))
    write_parquet(tmp_path / "a.parquet", [{"text": f"t{i}", "label": i // 50} for i in range(100)])
    for name in ("a.csv", "a.parquet"):
        items = load_items(str(tmp_path / name), task="text-classification", limit=10)
        assert len(items) == 10
        assert sum(row["label"] for row in items.rows) == 5
    assert len(load_items(str(tmp_path / "a.csv"), task="text-classification", limit=1000)) == 100


def test_the_sample_fits_every_task_of_text():
    for task, columns in [
        ("fill-mask", {"text"}), ("feature-extraction", {"text"}), ("text-classification", {"text"}),
        ("text-generation", {"text"}), ("token-classification", {"tokens"}),
        ("question-answering", {"question", "context"}),
    ]:  # fmt: skip
        items = load_items(None, task=task)
        assert set(items.rows[0]) == columns
        assert len(items) > 500
        assert not items.labelled
        assert "CC BY-SA 3.0" in items.licence
    assert len(load_items(None, task="fill-mask", limit=7)) == 7
    lengths = sorted(len(text.split()) for text in sample_texts())
    assert lengths[len(lengths) // 10] < 12 < 40 < lengths[-len(lengths) // 10]
    assert not any("<unk>" in text or "@" in text for text in sample_texts())
    for task in ("image-classification", "audio-classification", "automatic-speech-recognition"):
        assert code_of(None, task=task) == "data-needed"
    assert code_of(None, task="feature-extraction", modality="image") == "data-needed"


BAD = [
    ("a.csv", "text,label\n", "fill-mask", "data-empty"),
    ("a.csv", "", "fill-mask", "data-empty"),
    ("a.txt", "\n = Title = \n", "fill-mask", "data-empty"),
    ("a.jsonl", '{"text": "  "}\n', "fill-mask", "data-empty"),
    ("a.csv", "text,label\none,1\ntwo,1,2\n", "fill-mask", "data-unreadable"),
    ("a.csv", 'text,label\n"one,1\n', "fill-mask", "data-unreadable"),
    ("a.jsonl", '{"text": "a"}\n{"text": \n', "fill-mask", "data-unreadable"),
    ("a.jsonl", '{"text": "a"}\n["b"]\n', "fill-mask", "data-unreadable"),
    ("a.json", '{"text": ', "fill-mask", "data-unreadable"),
    ("a.json", '{"text": ["a"], "label": []}', "fill-mask", "data-unreadable"),
    ("a.json", '{"version": "1"}', "fill-mask", "data-unreadable"),
    ("a.parquet", "PAR1 not really", "fill-mask", "data-unreadable"),
    ("a.xlsx", "", "fill-mask", "data-unsupported"),
    ("a.jsonl", '{"text": 5}\n', "fill-mask", "row-invalid"),
    ("a.jsonl", '{"text": "a"}\n{"label": 1}\n', "fill-mask", "row-invalid"),
    ("a.jsonl", '{"tokens": [], "tags": []}\n', "token-classification", "row-invalid"),
    ("a.txt", "Ada B-PER\nmet\n", "token-classification", "data-unreadable"),
    ("a.csv", "file_name,label\n/etc/passwd,0\n", "image-classification", "path-escapes"),
    ("a.csv", "file_name,label\n../x.png,0\n", "image-classification", "path-escapes"),
    ("a.csv", "file_name,label\nnone.png,0\n", "image-classification", "data-unreadable"),
    ("a.csv", "text\na\n", "image-to-text", "column-missing"),
    ("a.csv", "text\na\n", "translation", "task-unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "task", "code"), BAD)
def test_bad_data_has_a_code(tmp_path, name, text, task, code):
    (tmp_path / name).write_text(text)
    assert code_of(str(tmp_path / name), task=task) == code


def test_bad_rows_are_named_by_their_line(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\none,1\ntwo,1,2\n")
    with pytest.raises(CompressError, match="a.csv line 3 has 3 fields, expected 2"):
        load_items(str(tmp_path / "a.csv"), task="fill-mask")
    (tmp_path / "b.csv").write_bytes(b"text\nfine\n\xff\xfe\n")
    with pytest.raises(CompressError, match="b.csv line 3 is not UTF-8"):
        load_items(str(tmp_path / "b.csv"), task="fill-mask")
    (tmp_path / "c.jsonl").write_text('{"text": "a"}\n\n{"text": \n')
    with pytest.raises(CompressError, match="c.jsonl line 3"):
        load_items(str(tmp_path / "c.jsonl"), task="fill-mask")


def test_sources_that_are_not_there(tmp_path, hub):
    assert code_of(str(tmp_path / "none.csv"), task="fill-mask") == "data-missing"
    assert code_of("dir/none.csv", task="fill-mask", offline=True) == "data-missing"
    assert code_of("no such name", task="fill-mask", offline=True) == "data-missing"
    assert code_of("org/none", task="fill-mask", offline=True) == "offline-miss"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert code_of(str(empty), task="fill-mask") == "data-empty"
    assert code_of(str(empty), task="image-classification") == "data-empty"
    (empty / "broken.png").write_text("no picture")
    assert code_of(str(empty), task="image-classification") == "data-unreadable"
    shutil.rmtree(empty)
