"""Whatever a library raises becomes one line with a code; what is no fault of the input passes."""

from __future__ import annotations

import pytest

from compress.core.errors import CompressError, InternalError
from compress.core.foreign import translated


class Panic(BaseException):
    """As pyo3 raises what Rust panics with."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError(5), "KeyError: 5"),
        (ValueError("cannot read this at all\nand more"), "cannot read this at all"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
        (MemoryError(), "MemoryError"),
        (Panic("no entry found for key"), "no entry found for key"),
    ],
)
def test_what_libraries_raise_is_one_line(error: BaseException, words: str) -> None:
    with pytest.raises(CompressError) as caught, translated("x-invalid", "cannot read x", hint="save it"):
        raise error
    assert caught.value.code == "x-invalid"
    assert caught.value.message == f"cannot read x: {words}"
    assert caught.value.hint == "save it"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [InternalError("own", "words"), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_fault_of_the_input_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, translated("x-invalid", "cannot read x", hint="save it"):
        raise error
    assert caught.value is error
