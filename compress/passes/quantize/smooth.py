"""SmoothQuant: make activations easier to round by moving the size of their channels into the weights.

Xiao et al. 2022 (arXiv:2211.10438). What the graph computes stays the same. Where the paper takes one
strength alpha for a model, each layer's is the one with which its 8-bit products are nearest to the
exact ones on calibration data. The division is folded into what makes the activation (a normalization,
the values of an attention, a gate) where that is exact, and is a Mul in front of the layer elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper
from pydantic import Field

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.graph.activations import RowSample, observe
from compress.graph.divide import divide
from compress.graph.edit import Editor
from compress.graph.io import read_graph, write_graph
from compress.graph.layers import find_layers
from compress.graph.qdq import rewire
from compress.numerics.smooth import ALPHAS, best_migration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compress.core.artifact import Artifact, Context
    from compress.graph.layers import Layer

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX


class Config(Frozen):
    """How strong the migration may be, and what it may cost."""

    alphas: tuple[float, ...] = ALPHAS
    """Strengths that are tried for each layer."""
    minimum_gain: float = Field(default=1.1, ge=1)
    """How many times a layer's squared error must shrink for its activation to be touched."""
    explicit: bool = True
    """Put a Mul in front of layers where the division cannot be folded (after GELU, or where a
    residual connection reads the same value)."""
    items: int = Field(default=128, gt=0)
    """Calibration items."""
    rows: int = Field(default=256, gt=0)
    """Rows of each activation on which errors are measured."""
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node or weight names that stay as they are."""
    minimum_elements: int = 4096
    """Layers with smaller weights stay as they are."""


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return True


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return True


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Migrate what pays; a graph in which nothing does is written as it was.

    Raises:
        CompressError: there is no calibration data.
    """
    editor = Editor(read_graph(artifact.graph))
    groups = list(_groups(editor, config))
    feeds = context.calibration.feeds(items=config.items)
    if not feeds:
        raise CompressError("data-empty", "no calibration data", hint="name some with --data")
    seen = {group.x: _Channels(RowSample(config.rows, seed=context.seed)) for group in groups}
    with context.progress.track("Observing activations"):
        observe(artifact.graph, list(seen), feeds, lambda name, array: seen[name].add(array))
    with context.progress.track("Migrating", len(groups)) as advance:
        for group in groups:
            _migrate(editor, group, seen[group.x], config)
            advance()
    write_graph(editor.finish(), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


@dataclass(frozen=True)
class _Group:
    """Products that read one activation, with weights that nothing else uses."""

    x: str
    layers: tuple[Layer, ...]


@dataclass
class _Channels:
    """The extremes of each channel, and a sample of rows."""

    sample: RowSample
    low: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    high: np.ndarray = field(default_factory=lambda: np.array(-np.inf))

    def add(self, array: np.ndarray) -> None:
        rows = array.reshape(-1, array.shape[-1])
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows):
            self.low = np.minimum(self.low, rows.min(axis=0))
            self.high = np.maximum(self.high, rows.max(axis=0))
            self.sample.add(rows)


def _groups(editor: Editor, config: Config) -> Iterator[_Group]:
    found = find_layers(
        editor,
        operators=("MatMul", "Gemm"),
        exclude=config.exclude,
        minimum_elements=config.minimum_elements,
    )
    by_input: dict[str, list[Layer]] = {}
    for layer in found:
        by_input.setdefault(layer.x, []).append(layer)
    for x, layers in by_input.items():
        if all(len(editor.readers(editor.root(layer.weight)[0])) == 1 for layer in layers):
            yield _Group(x, tuple(layers))


def _migrate(editor: Editor, group: _Group, seen: _Channels, config: Config) -> None:
    if not seen.sample.rows.size:
        return
    weights = [layer.rows(editor) for layer in group.layers]
    factors, gain = best_migration(
        seen.sample.rows, weights, low=seen.low, high=seen.high, alphas=config.alphas
    )
    if gain < config.minimum_gain:
        return
    division = divide(editor, group.x, factors, readers=len(group.layers))
    if division is None and not config.explicit:
        return
    for layer, rows in zip(group.layers, weights, strict=True):
        scaled = layer.folded(rows * factors, editor)
        layer.node.input[1] = editor.add(scaled, f"{layer.weight}_smooth")
    if division is not None:
        division.apply(editor)
    else:
        _multiply(editor, group.x, factors, group.layers)


def _multiply(editor: Editor, x: str, factors: np.ndarray, layers: Sequence[Layer]) -> None:
    """Divide `x` for its layers alone: right behind its maker."""
    inverse = editor.add((1 / factors).astype(np.float32), f"{x}_smooth_factors")
    maker = editor.maker(x)
    if maker is None:  # an input of the graph
        y = editor.derive("Mul", [x, inverse], f"{x}_smooth")
    else:
        y = editor.fresh(f"{x}_smooth")
        editor.replace(maker, [maker, helper.make_node("Mul", [x, inverse], [y], name=y)])
    for layer in layers:
        rewire(layer.node, x, y)
