"""Write Quantize/Dequantize pairs: the standard form of an 8-bit graph, which every runtime fuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from compress.numerics.grid import Grid, fit_grid

if TYPE_CHECKING:
    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.layers import Layer
    from compress.numerics.grid import Codes

_LARGEST_BIAS = 2**30
"""Codes of a bias, int32 with a bit to spare for the sum that it is added to."""


class PairWriter:
    """Inserts pairs behind values, each value's once, and 8-bit weights in the place of float ones.

    Readers are rewired in place; `finish` hands the new nodes to the editor.
    """

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._pairs: dict[tuple[str, float, int, str], str] = {}
        self._added: dict[str, list[NodeProto]] = {}
        self._weights: dict[tuple[str, bool, int], tuple[str, Grid]] = {}

    def pair(self, x: str, grid: Grid) -> str:
        """The name of `x` after rounding to `grid` (of one group)."""
        scale, zero = grid.scale.reshape(()), grid.zero.reshape(()).astype(grid.codes.dtype)
        key = (x, float(scale), int(zero), grid.codes.dtype.__name__)
        if key not in self._pairs:
            add = self._editor.add
            constants = [add(scale, f"{x}_scale"), add(zero, f"{x}_zero")]
            codes = self._behind("QuantizeLinear", x, [x, *constants], f"{x}_codes")
            self._pairs[key] = self._behind("DequantizeLinear", x, [codes, *constants], f"{x}_rounded")
        return self._pairs[key]

    def weight(self, layer: Layer, codes: Codes, *, x_scale: float) -> Grid:
        """Store a layer's weight as int8 with one scale a channel, and let the layer read that.

        `x_scale` is the activation's scale: a bias of the layer's own is stored as int32 in units of the
        product of both scales, and must fit.
        """
        key = layer.key(self._editor)
        if key not in self._weights:
            rows = layer.rows(self._editor)
            grid = fit_grid(rows, codes=codes, search=False)
            grid = self._with_room(grid, layer, x_scale)
            values = layer.folded(grid.encode(rows), self._editor)
            self._weights[key] = self._constant(values, grid, layer.axis, layer.weight), grid
        layer.node.input[1], grid = self._weights[key]
        return grid

    def bias(self, layer: Layer, grid: Grid, *, x_scale: float) -> None:
        """Store a layer's own bias as int32, as integer kernels add it."""
        if not layer.own_bias:
            return
        bias = self._editor.array(layer.own_bias)
        assert bias is not None
        scale = (grid.scale * np.float32(x_scale)).ravel()
        steps = np.clip(np.rint(bias / scale), -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
        layer.node.input[2] = self._dequantized(
            steps, scale, np.zeros_like(steps), axis=0, hint=layer.own_bias
        )

    def finish(self) -> None:
        """Put the pairs behind the nodes that make their values."""
        done: set[str] = set()
        for x in self._added:
            maker = self._editor.maker(x)
            assert maker is not None
            if x not in done:
                behind = [node for name in maker.output for node in self._added.get(name, [])]
                self._editor.replace(maker, [maker, *behind])
                done.update(maker.output)

    def _behind(self, operator: str, x: str, sources: list[str], hint: str) -> str:
        """Add a node that reads `x` to those that follow the maker of `x`; returns its result's name."""
        if self._editor.maker(x) is None:  # an input of the graph
            return self._editor.derive(operator, sources, hint)
        y = self._editor.fresh(hint)
        self._added.setdefault(x, []).append(helper.make_node(operator, sources, [y], name=y))
        return y

    def _with_room(self, grid: Grid, layer: Layer, x_scale: float) -> Grid:
        """`grid` with scales at which the bias fits in int32: a channel of tiny weights may have none."""
        bias = self._editor.array(layer.own_bias) if layer.own_bias else None
        if bias is None:
            return grid
        least = np.abs(bias).reshape(-1, 1) / (_LARGEST_BIAS * x_scale)
        return Grid(grid.codes, np.maximum(grid.scale, least).astype(np.float32), grid.zero)

    def _constant(self, values: np.ndarray, grid: Grid, axis: int, hint: str) -> str:
        zero = grid.zero.ravel().astype(grid.codes.dtype)
        return self._dequantized(values, grid.scale.ravel(), zero, axis=axis, hint=hint)

    def _dequantized(
        self, codes: np.ndarray, scale: np.ndarray, zero: np.ndarray, *, axis: int, hint: str
    ) -> str:
        add = self._editor.add
        sources = [add(codes, f"{hint}_codes"), add(scale, f"{hint}_scale"), add(zero, f"{hint}_zero")]
        return self._editor.derive("DequantizeLinear", sources, f"{hint}_rounded", axis=axis)


def rewire(node: NodeProto, old: str, new: str) -> None:
    """Let `node` read `new` where it read `old`."""
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new
