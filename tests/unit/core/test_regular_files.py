"""Only regular files of a bounded size and depth are read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from compress.core.errors import CompressError
from compress.core.regular_files import (
    MAX_JSON_DEPTH,
    open_regular,
    parse_json,
    read_bytes,
    read_json,
    read_text,
)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": [1]}', encoding="utf8")
    assert read_json(tmp_path / "config.json") == {"a": [1]}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "config.json") == {"a": 1}


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("{}", encoding="utf8")
    (tmp_path / "config.json").symlink_to("blob")
    assert read_json(tmp_path / "config.json") == {}


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "config.json")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "word"),
    [(os.mkfifo, "pipe"), (Path.mkdir, "folder"), (_socket, "socket")],
    ids=["pipe", "folder", "socket"],
)
def test_special_files_are_refused_without_waiting(tmp_path, make, word) -> None:
    path = tmp_path / "config.json"
    make(path)
    with pytest.raises(CompressError, match=word):
        open_regular(path)


@pytest.mark.timeout(10)
def test_an_endless_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("/dev/zero")
    with pytest.raises(CompressError, match="device"):
        read_bytes(tmp_path / "config.json")


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("config.json")
    with pytest.raises(CompressError, match="cannot read"):
        read_json(tmp_path / "config.json")


@pytest.mark.timeout(10)
def test_a_sparse_file_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as stream:
        stream.truncate(6 * 2**30)
    with pytest.raises(CompressError, match="at most"):
        read_json(tmp_path / "config.json")


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 1, 990, 100_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_nesting_is_refused(depth, pair) -> None:
    text = pair[:-1] * depth + "1" + pair[-1] * depth
    with pytest.raises(CompressError, match="deeper"):
        parse_json(text, where="config.json", code="config-invalid")


def test_nesting_up_to_the_limit_is_read() -> None:
    text = "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH
    value = parse_json(text, where="config.json", code="config-invalid")
    for _ in range(MAX_JSON_DEPTH - 1):
        (value,) = value
    assert value == []


def test_too_many_parts_are_refused_before_they_are_made() -> None:
    with pytest.raises(CompressError, match="lists and mappings"):
        parse_json("[" + "[]," * 4_000_001 + "[]]", where="config.json", code="config-invalid")


def test_other_encodings_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(CompressError, match="UTF-8"):
        read_text(tmp_path / "config.json")


def test_half_of_a_character_is_refused_and_a_whole_one_is_read(tmp_path: Path) -> None:
    assert parse_json('{"a": "\\ud83d\\ude00"}', where="x", code="c") == {"a": "\U0001f600"}
    for text in ('{"a": "\\ud800"}', '{"\\uD800": 1}'):
        with pytest.raises(CompressError, match="half of a character"):
            parse_json(text, where="x", code="c")
