"""Turn whatever a library raises on a stranger's input into one line with a code.

transformers, pyarrow, Pillow and libsndfile raise any exception at all on damaged input (`KeyError: 5`,
`AttributeError`, `RecursionError`). Calls that hand them such input run inside `translated`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 240


@contextmanager
def translated(code: str, message: str, *, hint: str) -> Iterator[None]:
    """Raise what a library raises inside as a `CompressError`; errors of this tool pass as they are.

    Args:
        code: The error's code.
        message: What could not be done, such as `cannot read FILE`; the reason follows it.
        hint: The fix.

    Raises:
        CompressError: The library failed.
    """
    try:
        yield
    except (CompressError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust (tokenizers, safetensors) is no Exception
        raise CompressError(code, f"{message}: {reason(error)}", hint=hint) from error


def reason(error: BaseException) -> str:
    """Describe an error in one short line: its first line, and its type where the message is no sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0][:_LONGEST] if lines else ""
    name = type(error).__name__
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if len(first.split()) >= 3:
        return first
    return f"{name}: {first}" if first else name
