"""A loaded graph and its preprocessor, fed with batches of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from compress.graph.session import Runner
    from compress.runtime.preprocess import Preprocessor, Row

    Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What runs a model's rows."""

    folder: Path
    config: Mapping[str, Any]
    runner: Runner
    preprocessor: Preprocessor

    def batches(self, rows: Sequence[Row], batch_size: int) -> Iterator[tuple[Arrays, Arrays]]:
        """Outputs and feeds of each batch, in order.

        One row at a time where rows of different lengths would change each other's result. A graph
        with a fixed batch gets it: the last one is filled up and cut again.
        """
        fixed = self.runner.inputs[0].shape[0]
        size = fixed or (batch_size if self.preprocessor.mixed_lengths else 1)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            filler = [part[-1]] * (fixed - len(part)) if fixed else []
            feeds = self.preprocessor.feeds([*part, *filler])
            outputs = self.run(feeds)
            yield _cut(outputs, len(part)), _cut(feeds, len(part))

    def run(self, feeds: Arrays) -> Arrays:
        """Run the graph on one batch.

        Raises:
            CompressError: It fails.
        """
        try:
            return self.runner.run(feeds)
        except Exception as error:  # runtimes' exceptions share no base class but this one
            reason = visible((str(error).splitlines() or [""])[0][:300])
            message = f"the graph fails on this batch: {reason}"
            raise CompressError("graph-failed", message, hint="see `compress verify`") from error


def _cut(arrays: Mapping[str, np.ndarray], rows: int) -> Arrays:
    return {name: array[:rows] for name, array in arrays.items()}
