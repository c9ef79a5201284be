"""Tables of other types, bombs and special files are one line with a code."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compress.core.errors import CompressError
from compress.data.items import load_items
from compress.data.tables import MAX_TEXT_BYTES


def refused(path: Path, task: str = "text-classification") -> CompressError:
    with pytest.raises(CompressError) as caught:
        load_items(str(path), task=task)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.timeout(10)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "txt"])
def test_a_pipe_as_data_is_refused(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"data.{suffix}")
    assert "named pipe" in refused(tmp_path / f"data.{suffix}").message


@pytest.mark.timeout(10)
@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "txt"])
def test_a_sparse_file_is_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{suffix}"
    with path.open("wb") as stream:
        stream.truncate(MAX_TEXT_BYTES + 1)
    assert "expected at most" in refused(path).message


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").symlink_to("data.csv")
    refused(tmp_path / "data.csv")


@pytest.mark.parametrize(
    "text",
    [
        "5",
        '"text"',
        '{"data": 5}',
        '{"data": [5]}',
        '{"data": [{"paragraphs": 5}]}',
        '{"data": [{"paragraphs": [{"qas": [{}]}]}]}',
        "[" * 100_000,
        '[{"text": ' + "[" * 500 + "]" * 500 + "}]",
        '[{"text": NaN}]',
    ],
)
@pytest.mark.parametrize("task", ["text-classification", "question-answering", "token-classification"])
def test_json_of_other_shapes_is_one_line(text: str, task: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(text, encoding="utf8")
    refused(tmp_path / "data.json", task)


@pytest.mark.timeout(10)
def test_a_number_is_not_taken_for_the_bytes_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"image": {"bytes": 1000000000000}, "label": 0}\n', encoding="utf8")
    assert refused(tmp_path / "data.jsonl", "image-classification").code == "row-invalid"


@pytest.mark.parametrize("cell", ["[" * 100_000, "[" * 500 + "]" * 500, "[{1: [2]}: 3]"])
def test_a_list_in_a_cell_that_is_none_is_one_line(cell: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(f'tokens\n"{cell}"\n', encoding="utf8")
    refused(tmp_path / "data.csv", "token-classification")


@pytest.mark.parametrize("metadata", [b"no json", b"[" * 5000, b"\xff"], ids=["words", "deep", "not UTF-8"])
def test_parquet_metadata_that_is_no_json_is_one_line(metadata: bytes, tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "label": [0, 1]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "data.parquet")
    assert refused(tmp_path / "data.parquet").code == "data-unreadable"


@pytest.mark.parametrize(
    "metadata",
    ["5", "[]", '{"info": 5}',
     '{"info": {"features": []}}', '{"info": {"features": {"label": {"names": 5}}}}',
     '{"info": {"features": {"label": {"_type": "ClassLabel", "names": [5]}}}}'],
)  # fmt: skip
def test_parquet_metadata_of_other_shapes_names_no_labels(metadata: str, tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "label": [0, 1]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "data.parquet")
    assert len(load_items(str(tmp_path / "data.parquet"), task="text-classification")) == 2


def test_an_arrow_file_of_endless_rows_is_refused(tmp_path: Path) -> None:
    table = pa.table({"text": pa.nulls(10**9)})
    with pa.ipc.new_file(tmp_path / "data.arrow", table.schema) as writer:
        writer.write_table(table)
    assert "1,000,000,000 rows" in refused(tmp_path / "data.arrow").message


def test_a_parquet_of_endless_rows_is_refused(tmp_path: Path) -> None:
    # Ten million times the same value takes some kilobytes.
    pq.write_table(pa.table({"text": pa.nulls(10**7, pa.string())}), tmp_path / "data.parquet")
    assert "10,000,000 rows" in refused(tmp_path / "data.parquet").message
