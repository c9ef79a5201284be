"""Calibration rows as the model's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Feeds
    from compress.graph.session import TensorSpec

_BATCH = 8


class RowCalibration:
    """A `Calibration` over rows of text, images or sound, prepared as the artifact's users do."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        processor: Path,
        task: str,
        inputs: Sequence[TensorSpec],
    ) -> None:
        self._rows, self._processor, self._task, self._inputs = rows, processor, task, inputs

    def feeds(self, *, items: int) -> Sequence[Feeds]:
        """At most `items` rows in batches of eight, each padded to its own longest."""
        preprocessor = load_preprocessor(self._processor, task=self._task, inputs=self._inputs)
        chosen = self._rows[:items]
        return [preprocessor.feeds(chosen[start : start + _BATCH]) for start in range(0, len(chosen), _BATCH)]

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """All rows."""
        return self._rows
