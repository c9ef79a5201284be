"""Find the products of an activation with a constant matrix, however the exporter wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from compress.graph.edit import MICROSOFT, attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor


@dataclass(frozen=True, kw_only=True)
class Linear:
    """`y = factor * x @ matrix + bias_factor * bias`, where `matrix` (K, N) is a constant of the graph
    (its transpose, where `transposed`), and `x` (..., K) is transposed first where `transpose_x`.
    """

    node: NodeProto
    x: str
    matrix: str
    transposed: bool = False
    factor: float = 1.0
    bias: str = ""
    bias_factor: float = 1.0
    transpose_x: bool = False

    @property
    def y(self) -> str:
        """The name of the result."""
        return str(self.node.output[0])

    def key(self, editor: Editor) -> tuple[str, bool, float]:
        """What two products share if they use one matrix: its root, orientation and factor."""
        name, transposed = editor.root(self.matrix)
        return name, transposed != self.transposed, self.factor

    def shape(self, editor: Editor) -> tuple[int, int]:
        """(N, K): output and input channels."""
        form = editor.form(self.matrix)
        assert form is not None
        rows, columns = form[0]
        return (rows, columns) if self.transposed else (columns, rows)

    def weight(self, editor: Editor) -> np.ndarray:
        """The matrix as it is multiplied, (N, K): one row for each output channel, in its own dtype."""
        array = editor.array(self.matrix)
        assert array is not None
        rows = array if self.transposed else array.T
        return rows if self.factor == 1 else rows * array.dtype.type(self.factor)


def find_linears(
    editor: Editor,
    *,
    operators: Iterable[str] = ("MatMul", "Gemm"),
    exclude: Sequence[str] = (),
    dtypes: Iterable[type[np.generic]] = (np.float32,),
) -> Iterator[Linear]:
    """Every product with a constant 2-D matrix in the main graph, in its order.

    `exclude` are patterns (`*` and `?`) of node or weight names that are left out.
    """
    readers = {"MatMul": _from_matmul, "Gemm": _from_gemm}
    chosen = {name: readers[name] for name in operators if name in readers}
    wanted = {np.dtype(dtype) for dtype in dtypes}
    for node in editor.nodes:
        linear = _read(node, chosen)
        if linear is None or is_excluded([node.name, linear.matrix, editor.root(linear.matrix)[0]], exclude):
            continue
        form = editor.form(linear.matrix)
        if form is not None and len(form[0]) == 2 and form[1] in wanted:
            yield linear


def is_excluded(names: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether one of the names matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def lower(
    editor: Editor, linear: Linear, product: Callable[[str, str], Sequence[NodeProto]]
) -> list[NodeProto]:
    """Nodes that compute `linear`, given `product(x, y)`: the nodes of the product by itself.

    The bias is an Add right behind it, where ONNX Runtime folds it into the product's kernel.
    """
    x, y = linear.x, linear.y
    nodes = []
    if linear.transpose_x:
        x = editor.fresh(f"{y}_x")
        nodes.append(helper.make_node("Transpose", [linear.x], [x], perm=[1, 0]))
    if not linear.bias or linear.bias_factor == 0:
        return [*nodes, *product(x, y)]
    plain = editor.fresh(f"{y}_product")
    return [*nodes, *product(x, plain), *_add_bias(editor, linear, plain)]


def _add_bias(editor: Editor, linear: Linear, plain: str) -> list[NodeProto]:
    bias, nodes = linear.bias, []
    if linear.bias_factor != 1:
        factor = editor.add(np.array(linear.bias_factor, np.float32), f"{linear.y}_beta")
        bias = editor.fresh(f"{linear.y}_bias")
        nodes.append(helper.make_node("Mul", [linear.bias, factor], [bias]))
    return [*nodes, helper.make_node("Add", [plain, bias], [linear.y])]


def _read(node: NodeProto, readers: Mapping[str, Callable[[NodeProto], Linear]]) -> Linear | None:
    if node.op_type == "FusedMatMul" and node.domain == MICROSOFT and "MatMul" in readers:
        return _from_fused_matmul(node)
    return readers[node.op_type](node) if node.op_type in readers and not node.domain else None


def _from_matmul(node: NodeProto) -> Linear:
    return Linear(node=node, x=node.input[0], matrix=node.input[1])


def _from_gemm(node: NodeProto) -> Linear:
    settings = attributes(node)
    return Linear(
        node=node,
        x=node.input[0],
        matrix=node.input[1],
        transposed=bool(settings.get("transB", 0)),
        factor=settings.get("alpha", 1.0),
        bias=node.input[2] if len(node.input) > 2 else "",
        bias_factor=settings.get("beta", 1.0),
        transpose_x=bool(settings.get("transA", 0)),
    )


def _from_fused_matmul(node: NodeProto) -> Linear | None:
    settings = attributes(node)
    if any(settings.get(name, 0) for name in ("transA", "transBatchA", "transBatchB")):
        return None
    return Linear(
        node=node,
        x=node.input[0],
        matrix=node.input[1],
        transposed=bool(settings.get("transB", 0)),
        factor=settings.get("alpha", 1.0),
    )
