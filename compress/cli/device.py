"""The device that `--remote` names, while a command needs it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compress.measure.remote import Device


@contextmanager
def reached(host: str | None, python: str) -> Iterator[Device | None]:
    """The device; None where none is named.

    Raises:
        CompressError: it cannot be reached, or lacks what it needs.
    """
    if host is None:
        yield None
        return
    from compress.measure.remote import connected

    with connected(host, python=python) as device:
        yield device
