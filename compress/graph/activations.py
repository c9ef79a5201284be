"""What a graph's inner values are on calibration data, with bounded memory.

The values are read by adding outputs to a copy of the graph, a group at a time, so that the memory that
they take in one batch stays under a limit; each group is one more run over the data.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from compress.core.copies import link_or_copy
from compress.graph.ort import OrtRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compress.core.artifact import Feeds

LIMIT_BYTES = 384 * 2**20
"""Bytes that the values read in one batch may take together."""

_MASK = "attention_mask"


def observe(
    graph: Path,
    names: Sequence[str],
    feeds: Sequence[Feeds],
    visit: Callable[[str, np.ndarray], None],
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> None:
    """Run `graph` over `feeds` and call `visit(name, array)` with each named value in each batch.

    Rows of padding (where `attention_mask` is 0) are left out of values that are laid out as the mask
    is, (B, T, ...), which are given as (tokens, ...). Names of graph inputs are served from the feeds.

    Raises:
        CompressError: ONNX Runtime cannot run the graph.
    """
    given = [name for name in names if name in feeds[0]]
    inner = [name for name in names if name not in feeds[0]]
    for feed in feeds:
        for name in given:
            visit(name, without_padding(np.asarray(feed[name]), feed))
    for group in _groups(graph, inner, feeds, limit_bytes):
        with _opened(graph, group) as runner:
            for feed in feeds:
                for name, array in _values(runner, group, feed):
                    visit(name, without_padding(array, feed))


def without_padding(array: np.ndarray, feeds: Feeds) -> np.ndarray:
    """`array` (B, T, ...) as the rows (tokens, ...) where the attention mask (B, T) is 1; `array` itself
    where there is no mask, or it is laid out in another way.
    """
    mask = feeds.get(_MASK)
    if mask is None or mask.ndim != 2 or array.ndim < 3 or array.shape[:2] != mask.shape:
        return array
    return np.asarray(array[mask.astype(bool)])


class RowSample:
    """A uniform sample of the rows (along the last axis) of a stream of arrays, of bounded size.

    Each row is kept with equal probability: rows get random keys, and those with the smallest stay.
    """

    def __init__(self, rows: int, *, seed: int = 0) -> None:
        self._limit = rows
        self._random = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self._rows: np.ndarray | None = None

    @property
    def rows(self) -> np.ndarray:
        """What was kept, (rows, channels)."""
        return np.empty((0, 0), np.float32) if self._rows is None else self._rows

    def add(self, array: np.ndarray) -> None:
        """Add (..., channels)."""
        flat = array.reshape(-1, array.shape[-1])
        keys = self._random.random(len(flat))
        best = np.argsort(keys)[: self._limit]
        keys, flat = keys[best], flat[best]
        if self._rows is not None:
            keys, flat = np.concatenate([self._keys, keys]), np.concatenate([self._rows, flat])
            best = np.argsort(keys)[: self._limit]
            keys, flat = keys[best], flat[best]
        self._keys, self._rows = keys, flat


def _groups(
    graph: Path, names: Sequence[str], feeds: Sequence[Feeds], limit_bytes: int
) -> Iterator[list[str]]:
    """Names in their order, as many at once as fit in the limit in the largest batch."""
    group: list[str] = []
    total = 0
    sizes = _sizes(graph, names, feeds)
    for name in names:
        if group and total + sizes[name] > limit_bytes:
            yield group
            group, total = [], 0
        group.append(name)
        total += sizes[name]
    if group:
        yield group


def _sizes(graph: Path, names: Sequence[str], feeds: Sequence[Feeds]) -> Mapping[str, int]:
    """Bytes of each value in the largest batch, from a run with the first item of that batch."""
    largest = max(feeds, key=lambda feed: sum(array.nbytes for array in feed.values()))
    items = len(next(iter(largest.values())))
    single = {name: array[:1] for name, array in largest.items()}
    if not names:
        return {}
    with _opened(graph, names) as runner:
        return {name: array.nbytes * items for name, array in _values(runner, names, single)}


def _values(runner: OrtRunner, names: Sequence[str], feed: Feeds) -> Iterator[tuple[str, np.ndarray]]:
    results = runner.run(feed)
    for name in names:
        yield name, results.pop(name)


@contextmanager
def _opened(graph: Path, names: Sequence[str]) -> Iterator[OrtRunner]:
    """`graph` with `names` as its only outputs, loaded."""
    model = onnx.load_model(str(graph), load_external_data=False)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with tempfile.TemporaryDirectory(prefix="compress-") as folder:
        beside = graph.with_name(f"{graph.name}.data")
        if beside.exists():
            link_or_copy(beside, Path(folder) / beside.name)
        path = Path(folder) / graph.name
        path.write_bytes(model.SerializeToString())
        yield OrtRunner(path)
