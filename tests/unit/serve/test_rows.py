from __future__ import annotations

import base64

import pytest

from compress.core.errors import CompressError
from compress.serve.limits import Limits
from compress.serve.rows import rows_of

LIMITS = Limits(items=3, item_characters=10, characters=25)


def rows(inputs, task="text-classification", modality="text"):
    return rows_of(inputs, task=task, modality=modality, limits=LIMITS)


def test_what_each_task_takes():
    assert rows("a text") == [{"text": "a text"}]
    assert rows(["a", {"text": "b", "text_pair": "c"}]) == [{"text": "a"}, {"text": "b", "text_pair": "c"}]
    asked = {"question": "q", "context": "c"}
    assert rows(asked, "question-answering") == [asked]
    picture = base64.b64encode(b"\x89PNG").decode()
    for inputs in (picture, {"image": picture}):
        assert rows(inputs, "image-classification", "image") == [{"image": b"\x89PNG"}]


@pytest.mark.parametrize(
    "inputs",
    [None, 1, 1.5, True, [], [[]], [None], {}, {"text": 1}, {"text": None}, {"text_pair": "b"},
     {"text": "a", "label": 1}, {"path": "/etc/passwd"}, ["a"] * 4, "x" * 11, "\ud800", ["a", 1],
     {"text": "12345", "text_pair": "123456"}],
)  # fmt: skip
def test_anything_else_is_refused(inputs):
    with pytest.raises(CompressError) as caught:
        rows(inputs)
    assert caught.value.code == "input-invalid"


@pytest.mark.parametrize(
    "inputs", ["/etc/passwd", "file:///etc/passwd", "http://host/x.png", 5, {"audio": "aa"}]
)
def test_a_string_is_never_a_path_to_a_picture(inputs):
    with pytest.raises(CompressError):
        rows(inputs, "image-classification", "image")


def test_questions_need_both_parts():
    for inputs in ("a text", {"question": "q"}, {"context": "c"}):
        with pytest.raises(CompressError):
            rows(inputs, "question-answering")
