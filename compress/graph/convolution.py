"""Convolutions along time, written as products with a constant matrix.

A row of the columns holds what a filter sees at one step: `kernel` neighbouring steps of all channels.
They are cut out of the 8-bit codes, so the copies are a quarter of what they would be in fp32. On speech
models this took a third of the time of the fp32 kernel, where ConvInteger took four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from compress.graph.edit import attributes
from compress.graph.linear import is_excluded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.quantized import Quantized

_FEWEST_CHANNELS = 32
"""With fewer input channels (raw sound has one) the copies cost more than the products save."""

_END = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A Conv of (B, C, T) by constant filters (N, C, kernel), without groups or dilation."""

    node: NodeProto
    x: str
    filters: str
    bias: str
    kernel: int
    stride: int
    pads: tuple[int, int]

    @property
    def y(self) -> str:
        """The name of the result, (B, N, steps)."""
        return str(self.node.output[0])

    def weight(self, editor: Editor) -> np.ndarray:
        """The filters as (N, kernel * C), in the order of the columns."""
        array = editor.array(self.filters)
        assert array is not None
        return array.transpose(0, 2, 1).reshape(len(array), -1)


def find_convolutions(editor: Editor, *, exclude: Sequence[str] = ()) -> Iterator[Convolution]:
    """The convolutions along one axis that gain from being products."""
    for node in editor.nodes:
        if node.op_type != "Conv" or node.domain:
            continue
        found = _read(editor, node)
        if found is not None and not is_excluded([node.name, found.filters], exclude):
            yield found


def columns(editor: Editor, x: Quantized, convolution: Convolution) -> tuple[Quantized, list[NodeProto]]:
    """The codes (B, C, T) as (B, steps, kernel * C), and the nodes that make them so."""
    hint = f"{convolution.y}_columns"
    steps = editor.fresh(f"{hint}_steps")
    nodes = [helper.make_node("Transpose", [x.codes], [steps], perm=[0, 2, 1])]  # (B, T, C)
    if any(convolution.pads):
        before, after = convolution.pads
        pads = editor.add(np.array([0, before, 0, 0, after, 0], np.int64), f"{hint}_pads")
        padded = editor.fresh(f"{hint}_padded")
        nodes.append(helper.make_node("Pad", [steps, pads, x.zero], [padded]))
        steps = padded
    taps = [_tap(editor, steps, convolution, offset) for offset in range(convolution.kernel)]
    joined = editor.fresh(hint)
    parts = [tap.output[0] for tap in taps]
    return replace(x, codes=joined), [*nodes, *taps, helper.make_node("Concat", parts, [joined], axis=2)]


def _tap(editor: Editor, steps: str, convolution: Convolution, offset: int) -> NodeProto:
    """Every `stride`-th step from `offset` on, up to the last one at which the whole filter fits."""
    end = offset - (convolution.kernel - 1) or _END
    limits = [offset, end, 1, convolution.stride]
    names = [editor.add(np.array([limit], np.int64), f"{convolution.y}_{limit}") for limit in limits]
    return helper.make_node("Slice", [steps, *names], [editor.fresh(f"{convolution.y}_tap_{offset}")])


def _read(editor: Editor, node: NodeProto) -> Convolution | None:
    form = editor.form(node.input[1])
    settings = attributes(node)
    if form is None or form[1] != np.float32 or len(form[0]) != 3 or form[0][1] < _FEWEST_CHANNELS:
        return None
    if settings.get("group", 1) != 1 or settings.get("dilations", [1]) != [1]:
        return None
    if settings.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    before, after = settings.get("pads", [0, 0])
    return Convolution(
        node=node,
        x=node.input[0],
        filters=node.input[1],
        bias=node.input[2] if len(node.input) > 2 else "",
        kernel=form[0][2],
        stride=settings.get("strides", [1])[0],
        pads=(before, after),
    )
