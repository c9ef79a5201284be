"""Kinds of files as they are found: each is read whole, or refused by what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pyarrow as pa
import pytest

from compress.core.errors import CompressError
from compress.data.items import load_items

ROWS = [(f"a film that is number {number}", number % 2) for number in range(12)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
TAGS = {"O": 0, "B-LOC": 1, "I-LOC": 2}


def read(path, **options):
    items = load_items(str(path), **{"task": "text-classification", **options})
    return [(row["text"], row["label"]) for row in items.rows]


def error_of(path, **options):
    with pytest.raises(CompressError) as error:
        load_items(str(path), **{"task": "text-classification", **options})
    assert "\n" not in str(error.value)
    return error.value


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text)
    return stream.getvalue()


def zstandard(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKED = {
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.csv.bz2": bz2.compress(CSV.encode()),
    "a.csv.xz": lzma.compress(CSV.encode()),
    "a.csv.zst": zstandard(CSV.encode()),
    "a.zip": zipped(a__csv=CSV, README__md="words"),
    "splits.zip": zipped(train__csv="text,label\nx,0\n", test__csv=CSV),
    "u16.csv": CSV.encode("utf-16"),
    "mac.csv": CSV.replace("\n", "\r").encode(),
    "excel.csv": ("sep=;\r\n" + CSV.replace(",", ";")).encode(),
    "bars.csv": CSV.replace(",", "|").encode(),
    "mac.jsonl": "\r".join(json.dumps({"text": t, "label": label}) for t, label in ROWS).encode(),
}


@pytest.mark.parametrize("name", PACKED)
def test_compressed_files_and_other_encodings_are_read_whole(tmp_path, name):
    (tmp_path / name).write_bytes(PACKED[name])
    assert read(tmp_path / name) == ROWS


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.zip", "a.arrow"])
def test_what_expands_without_bound_is_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr("compress.data.packed.FREE_BYTES", 2**20)
    zeros = bytes(2**22)
    bombs = {"a.csv.gz": gzip.compress(zeros), "a.csv.zst": zstandard(zeros), "a.zip": zipped(a__csv=zeros)}
    sink, table = pa.BufferOutputStream(), pa.table({"text": [zeros.decode()]})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    bombs["a.arrow"] = sink.getvalue().to_pybytes()
    (tmp_path / name).write_bytes(bombs[name])
    error = error_of(tmp_path / name)
    assert error.code == "data-unreadable"
    assert "unpacks to more than" in error.message


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.zip", "a.arrow"])
def test_damaged_files_are_told_in_one_line(tmp_path, name):
    whole = PACKED.get(name, arrow_stream())
    for data in (whole[: len(whole) // 2], b"no such file", b""):
        (tmp_path / name).write_bytes(data)
        assert error_of(tmp_path / name).code in ("data-unreadable", "data-empty")


def test_an_archive_without_one_table_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(a__csv=CSV, b__csv=CSV))
    assert "several tables: a.csv, b.csv" in error_of(tmp_path / "a.zip").message
    (tmp_path / "a.zip").write_bytes(zipped(a__png="no table"))
    assert "no table" in error_of(tmp_path / "a.zip").message


def test_fields_of_any_length(tmp_path):
    long = "word " * 60_000
    (tmp_path / "a.csv").write_text(f'text,label\n"{long}",1\nb,0\n')
    assert read(tmp_path / "a.csv") == [(long, 1), ("b", 0)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("names", [("0", "1"), ("bad", "good")])
def test_a_file_without_header_is_told_and_read_by_position(tmp_path, delimiter, names):
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    path.write_text("".join(f"{text}{delimiter}{names[label]}\n" for text, label in ROWS))
    items = load_items(str(path), task="text-classification", labels={"bad": 0, "good": 1})
    assert [(row["text"], row["label"]) for row in items.rows] == ROWS
    assert items.columns == {"text": "1", "label": "2"}
    assert "has no header" in items.notes[0]


def test_columns_without_header_are_named_by_number(tmp_path):
    lines = [f"{label},{text},{text} again\n" for text, label in ROWS]
    (tmp_path / "a.csv").write_text("".join(lines))
    assert error_of(tmp_path / "a.csv").code == "column-missing"
    assert read(tmp_path / "a.csv", columns={"text": "2", "label": "1"}) == ROWS


@pytest.mark.parametrize("header", ["product,verdict", "utterance,2019", "Text ,y"])
def test_a_header_of_any_words_is_one(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\n" + "".join(f"{text},{label}\n" for text, label in ROWS))
    text, label = header.split(",")
    assert read(tmp_path / "a.csv", columns={"text": text.strip(), "label": label}) == ROWS


def test_repeated_names_of_columns_lose_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("text,text,label\na,b,1\n")
    assert read(tmp_path / "a.csv") == [("a", 1)]
    assert read(tmp_path / "a.csv", columns={"text": "text.1"}) == [("b", 1)]


def arrow_stream():
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([{"text": text, "label": label} for text, label in ROWS])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return sink.getvalue().to_pybytes()


def test_arrow_streams_and_feather_files(tmp_path):
    from pyarrow import feather

    (tmp_path / "a.arrow").write_bytes(arrow_stream())
    table = pa.Table.from_pylist([{"text": text, "label": label} for text, label in ROWS])
    feather.write_feather(table, str(tmp_path / "a.feather"), compression="zstd")
    assert read(tmp_path / "a.arrow") == read(tmp_path / "a.feather") == ROWS
    assert read(tmp_path / "a.arrow", limit=3) == [ROWS[0], ROWS[4], ROWS[8]]


def saved(folder, stream):
    folder.mkdir(parents=True)
    (folder / "data-00000-of-00001.arrow").write_bytes(stream)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")


def test_folders_of_save_to_disk(tmp_path):
    saved(tmp_path / "one", arrow_stream())
    assert read(tmp_path / "one") == ROWS
    for split in ("train", "heldout"):
        saved(tmp_path / "many" / split, arrow_stream())
    (tmp_path / "many" / "dataset_dict.json").write_text('{"splits": ["train", "heldout"]}')
    assert read(tmp_path / "many") == ROWS
    assert read(f"{tmp_path}/many:heldout") == ROWS
    (tmp_path / "one" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    assert error_of(tmp_path / "one").code == "path-escapes"
    for state in ('{"_data_files": 5}', "[]", '{"_data_files": [{"filename": 5}]}', '{"_data_files": []}'):
        (tmp_path / "one" / "state.json").write_text(state)
        assert error_of(tmp_path / "one").code in ("data-unreadable", "data-empty")


def test_values_inside_of_mappings(tmp_path):
    rows = [{"meta": {"body": text, "by": {"name": "x"}}, "label": label} for text, label in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read(tmp_path / "a.jsonl", columns={"text": "meta.body"}) == ROWS
    items = load_items(str(tmp_path / "a.jsonl"), task="text-classification")
    assert items.columns == {"text": "meta.body", "label": "label"}
    assert error_of(tmp_path / "a.jsonl", columns={"text": "meta.text"}).code == "column-missing"


SENTENCES = {
    "tabs": ("10 000\tO\nhouse\tB-LOC\n", ["10 000", "house"], [0, 1]),
    "windows": ("10 000\tO\r\nhouse\tB-LOC\r\n", ["10 000", "house"], [0, 1]),
    "no-break": ("\u00a0\tO\nhouse\tB-LOC\n", ["\u00a0", "house"], [0, 1]),
    "comment": ("# id 12 domain=news\nhouse\tB-LOC\nfox\tO\n", ["house", "fox"], [1, 0]),
    "comment, blanks": ("# id 12 domain=news\nhouse B-LOC\nfox O\n", ["house", "fox"], [1, 0]),
    "hash": ("#\tO\n#house\tB-LOC\n", ["#", "#house"], [0, 1]),
    "docstart": ("-DOCSTART- -X- O\n\nhouse NN B-LOC\nfox NN O\n", ["house", "fox"], [1, 0]),
    "counted": (
        "# sent_id = 1\n# text = the house\n1-2\tthehouse\t_\t_\n1\tthe\tDT\tO\n2\thouse\tNN\tB-LOC\n",
        ["the", "house"],
        [0, 1],
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_conll_is_read_by_its_separator(tmp_path, name):
    text, tokens, tags = SENTENCES[name]
    (tmp_path / "a.conll").write_bytes(text.encode())
    items = load_items(str(tmp_path / "a.conll"), task="token-classification", labels=TAGS)
    assert items.rows[0]["tokens"] == tokens
    assert items.rows[0]["tags"] == tags


COLUMNS = [
    ({"O": 0, "B-LOC": 1, "I-LOC": 2}, [0, 1], "4"),
    ({"NN": 0, "DT": 1}, [1, 0], "2"),
    ({"B-NP": 0, "I-NP": 1, "O": 2}, [0, 1], "3"),
]


@pytest.mark.parametrize(("labels", "tags", "column"), COLUMNS)
def test_the_column_of_tags_is_the_one_that_the_model_knows(tmp_path, labels, tags, column):
    (tmp_path / "a.conll").write_text("the DT B-NP O\nhouse NN I-NP B-LOC\n")
    items = load_items(str(tmp_path / "a.conll"), task="token-classification", labels=labels)
    assert items.rows[0]["tags"] == tags
    assert items.columns == {"tokens": "tokens", "tags": column}
    named = load_items(str(tmp_path / "a.conll"), task="token-classification", columns={"tags": "2"})
    assert len(named.rows[0]["tags"]) == 2


def test_outer_entities_are_read_before_those_within(tmp_path):
    (tmp_path / "a.tsv").write_text(
        "# a b\n1\tBonn\tB-LOC\tO\n2\tUniversity\tI-LOC\tO\n\n1\tBonn\tB-LOC\tO\n"
    )
    items = load_items(str(tmp_path / "a.tsv"), task="token-classification", labels=TAGS)
    assert [row["tags"] for row in items.rows] == [[1, 2], [1]]


def test_conll_in_files_of_other_names(tmp_path):
    for name in ("a.tsv", "a.txt", "a.iob2", "a.conllu"):
        (tmp_path / name).write_text("10 000\tO\nhouse\tB-LOC\n\nfox\tO\n")
        items = load_items(str(tmp_path / name), task="token-classification", labels=TAGS)
        assert [row["tokens"] for row in items.rows] == [["10 000", "house"], ["fox"]]


@pytest.mark.parametrize("line", ["house", "house\tNN\tB-LOC"])
def test_a_ragged_line_of_conll_is_named(tmp_path, line):
    (tmp_path / "a.conll").write_text(f"the\tO\n{line}\nfox\tO\n")
    error = error_of(tmp_path / "a.conll", task="token-classification", labels=TAGS)
    assert "a.conll" in error.message
