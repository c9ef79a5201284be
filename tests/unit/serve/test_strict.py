"""What is plain JSON, against Python's own reader and writer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.core.errors import CompressError
from compress.serve.strict import check_json

_TEXTS = st.text(st.characters(codec="utf8"))
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(_PLAIN)
def test_plain_documents_pass(document):
    check_json(json.dumps(document).encode(), containers=1000)
    check_json(json.dumps(document, ensure_ascii=False).encode(), containers=1000)


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_bytes_are_refused_where_they_are_no_json(body):
    try:
        json.loads(body.decode("utf8"), parse_constant=int)
    except ValueError:
        with pytest.raises(CompressError):
            check_json(body, containers=1000)


@pytest.mark.parametrize(
    "body",
    [b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"1e999", b'"\\ud800"', b'{"\\udfff": 1}', b"\xff",
     b"1" * 5000, b"[" * 100 + b"]" * 100, b"[" * 100_000, b'{"a":' * 50_000,
     b"[[],[],[],[],[],[],[],[],[],[],[]]"],
)  # fmt: skip
def test_what_answers_cannot_hold_is_refused(body):
    with pytest.raises(CompressError) as caught:
        check_json(body, containers=10 if b"[],[]" in body else 10**6)
    assert caught.value.code == "json-invalid"
