"""Find tables whose rows are looked up (embeddings), and the products that use the same table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.graph.edit import attributes
from compress.graph.linear import find_linears, is_excluded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnx import NodeProto

    from compress.graph.edit import Editor
    from compress.graph.linear import Linear


@dataclass(frozen=True, kw_only=True)
class Table:
    """A constant (V, H) whose rows are gathered. `tied` are the products with the same numbers, as in
    a model whose output layer is its embedding; exporters may have stored those a second time.
    """

    name: str
    gathers: tuple[NodeProto, ...]
    tied: tuple[Linear, ...] = ()


def find_tables(
    editor: Editor,
    *,
    minimum_bytes: int = 0,
    exclude: Sequence[str] = (),
    dtypes: Sequence[type[np.generic]] = (np.float32,),
) -> Iterator[Table]:
    """Every table of at least `minimum_bytes`, in the order of first use.

    `exclude` are patterns of node or table names that are left out.
    """
    gathers: dict[str, list[NodeProto]] = {}
    for node in editor.nodes:
        if node.op_type == "Gather" and not node.domain and _looks_up_rows(editor, node):
            gathers.setdefault(editor.root(node.input[0])[0], []).append(node)
    linears = list(find_linears(editor, dtypes=dtypes)) if gathers else []
    for name, nodes in gathers.items():
        form = editor.form(name)
        if form is None or len(form[0]) != 2 or form[1] not in dtypes:
            continue
        if math.prod(form[0]) * form[1].itemsize < minimum_bytes:
            continue
        if not is_excluded([name, *(node.name for node in nodes)], exclude):
            yield Table(name=name, gathers=tuple(nodes), tied=tuple(_tied(editor, name, form[0], linears)))


def _looks_up_rows(editor: Editor, node: NodeProto) -> bool:
    """Whether rows of a constant are picked by indices that are only known when the graph runs."""
    data, indices = node.input
    if attributes(node).get("axis", 0) != 0 or editor.is_constant(indices):
        return False
    return editor.is_constant(data) and not editor.root(data)[1]


def _tied(editor: Editor, table: str, shape: tuple[int, ...], linears: Sequence[Linear]) -> Iterator[Linear]:
    """The products whose (N, K) matrix is the table; numbers are compared where the names differ."""
    for linear in linears:
        if linear.factor != 1 or linear.shape(editor) != shape:
            continue
        name, transposed, _ = linear.key(editor)
        # (K, N) that is a transposed table is (N, K) as the table stands.
        if (name == table and transposed) or _equal(linear.weight(editor), editor.array(table)):
            yield linear


def _equal(matrix: np.ndarray, table: np.ndarray | None) -> bool:
    return table is not None and np.array_equal(matrix, table)
