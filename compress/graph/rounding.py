"""Where a graph is rounded to 8 bits, so that runtimes find whole integer kernels.

Products need pairs on their inputs only: their results leave the kernel as floats, for normalizations
and sums that would lose accuracy on codes. Convolutions need a pair on the result as well (there is no
ONNX Runtime kernel from codes to floats), and so do residual sums between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compress.graph.edit import MICROSOFT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.layers import Layer

Use = Literal["activation", "attention"]
"""`activation`: codes of the layers' inputs and results. `attention`: signed codes around 0, which
fused attention kernels ask for."""

_FUSED = {"Relu", "Clip"}
"""Activations that are part of a convolution's integer kernel: rounding follows them."""

_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
_SCALES = {"Add", "Sum", "Mul", "Div", "Where", "Cast", "Identity"}
"""What stands between scores and their softmax."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Value `x` is rounded for `readers`, on the grid of `source` (`x`, or what it was pooled from)."""

    x: str
    source: str
    readers: tuple[NodeProto, ...]
    use: Use = "activation"


def layer_places(editor: Editor, layers: Sequence[Layer]) -> list[Place]:
    """The inputs of layers, and the results of convolutions."""
    return [place for layer in layers for place in _of_layer(editor, layer)]


def _of_layer(editor: Editor, layer: Layer) -> Iterator[Place]:
    yield _place(editor, layer.x, [layer.node])
    if layer.is_convolution:
        y = fused_result(editor, layer.y)
        yield _place(editor, y, editor.readers(y))


def fused_result(editor: Editor, y: str) -> str:
    """`y` behind the activation that runs in the kernel which makes `y`."""
    readers = editor.readers(y)
    if len(readers) == 1 and readers[0].op_type in _FUSED and not editor.is_output(y):
        return str(readers[0].output[0])
    return y


def before_clamp(editor: Editor, x: str) -> str:
    """What `x` is made from by a ReLU, or by a Clip from 0: rounding that to a grid whose lowest code is
    0 gives the same, and ONNX Runtime finds its integer kernels only where nothing stands in between.
    """
    maker = editor.maker(x)
    if maker is None or maker.domain or maker.op_type not in _FUSED:
        return x
    if maker.op_type == "Clip":
        low = editor.array(maker.input[1]) if len(maker.input) > 1 and maker.input[1] else None
        if low is None or low.item() != 0:
            return x
    return str(maker.input[0])


def sum_places(editor: Editor, rounded: Sequence[Place]) -> list[Place]:
    """Sums of two whose operands are both rounded, and whose result is: chains of residual blocks."""
    known = {place.x for place in rounded}
    places: list[Place] = []
    for node in editor.nodes:
        if node.op_type not in {"Add", "Sum"} or len(node.input) != 2 or node.domain:
            continue
        if all(name in known for name in node.input):
            y = fused_result(editor, node.output[0])
            places += [_place(editor, name, [node]) for name in node.input]
            places.append(_place(editor, y, editor.readers(y)))
            known.add(y)
    return places


def attention_places(editor: Editor) -> list[Place]:
    """The queries and keys whose products are scores of an attention.

    Values and probabilities stay floats: rounding them gained no time, and probabilities are the
    worst case of a uniform grid.
    """
    places = []
    for node in editor.nodes:
        if _is_attention(node) or (node.op_type == "MatMul" and _makes_scores(editor, node)):
            places += [_moved(editor, name, node) for name in node.input[:2]]
    return places


def _is_attention(node: NodeProto) -> bool:
    if node.op_type == "Attention":
        return not node.domain
    return node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT and len(node.input) > 1


def _makes_scores(editor: Editor, node: NodeProto) -> bool:
    if any(editor.is_constant(name) for name in node.input):
        return False
    for _ in range(8):
        readers = editor.readers(node.output[0])
        if len(readers) != 1 or readers[0].domain:
            return False
        node = readers[0]
        if node.op_type == "Softmax":
            return True
        if node.op_type not in _SCALES:
            return False
    return False


def _moved(editor: Editor, name: str, reader: NodeProto) -> Place:
    """Rounding of `name` where its numbers are made, before they are only moved: there runtimes write
    codes instead of floats.
    """
    while (maker := editor.maker(name)) is not None and maker.op_type in _MOVES:
        if editor.is_constant(maker.input[0]):
            break
        name, reader = maker.input[0], maker
    return Place(x=name, source=name, readers=(reader,), use="attention")


def _place(editor: Editor, x: str, readers: Sequence[NodeProto]) -> Place:
    return Place(x=x, source=_pooled_from(editor, x), readers=tuple(readers))


def _pooled_from(editor: Editor, x: str) -> str:
    """A maximum of codes is a code of the same grid, so pooling needs no grid of its own."""
    while (maker := editor.maker(x)) is not None and maker.op_type == "MaxPool":
        x = maker.input[0]
    return x
