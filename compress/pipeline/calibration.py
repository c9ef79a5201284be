"""Calibration rows as the model's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.windows import token_windows
from compress.runtime.preprocess import load_preprocessor
from compress.runtime.text import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

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

    def tokens(self, *, count: int, length: int) -> np.ndarray:
        """The rows' texts, one after the other, as windows of token ids, int64 (windows, length).

        Raises:
            CompressError: the rows are no texts, or hold no token.
        """
        texts = [str(row["text"]) for row in self._rows if row.get("text")]
        if not texts:
            message = "calibration by windows of tokens needs rows with a 'text'"
            raise CompressError("data-empty", message, hint="name some with --data")
        tokenizer = load_tokenizer(self._processor)
        tokenizer.no_truncation()
        encodings = tokenizer.encode_batch([f"{text}\n" for text in texts], add_special_tokens=False)
        return token_windows([one.ids for one in encodings], count=count, length=length)

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """All rows."""
        return self._rows
