"""Hidden states of calibration windows, in a file.

Why a file and not memory: it is as fast while the system's page cache holds it, takes none of the process's
own memory, and is there when a killed run goes on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.core.seal import resume_point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType


class Activations:
    """float32 tensors (1, T, H), one for each of `count` windows of `length` tokens."""

    def __init__(self, path: Path, *, count: int, length: int, new: bool = False) -> None:
        self._stream = path.open("w+b" if new else "rb")
        width = 0 if new else path.stat().st_size // (4 * count * length)
        self._shape = (1, length, width)

    def write(self, number: int, value: torch.Tensor) -> None:
        """Put a tensor at its place."""
        array = value.detach().float().contiguous().numpy()
        self._shape = array.shape
        self._stream.seek(number * array.nbytes)
        self._stream.write(array.data)

    def read(self, number: int) -> torch.Tensor:
        """A tensor that was written."""
        array = np.empty(self._shape, np.float32)
        self._stream.seek(number * array.nbytes)
        self._stream.readinto(array.data)  # type: ignore[attr-defined]
        return torch.from_numpy(array)

    def __enter__(self) -> Activations:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()


@contextmanager
def written_whole(path: Path, *, count: int, length: int) -> Iterator[Activations]:
    """A new file that gets its name when all of it is written: a run that finds it finds the whole of it."""
    with resume_point(path) as part, Activations(part, count=count, length=length, new=True) as made:
        yield made
