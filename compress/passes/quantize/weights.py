"""Weight-only quantization to 4 or 8 bits by rounding to a searched grid, in ONNX Runtime's MatMulNBits.

Each block of consecutive input channels of an output channel has a scale (and a zero point), found by
least squared error. `accuracy_level` 4 lets kernels round activations to 8 bits by block as well, which
is where their speed comes from; 0 and 1 keep them in fp32.
Saves size and memory bandwidth: for one token at a time; for whole sequences 8-bit products
(`quantize.dynamic`) are faster.
Filters of convolutions, where they are asked for, are stored in 8 bits and widened while a runtime loads
the graph: a smaller file at the same speed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from onnx import NodeProto, TensorProto
from pydantic import Field, field_validator

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.stored_bits import Storage
from compress.graph.edit import Editor
from compress.graph.io import read_graph, write_graph
from compress.graph.linear import find_linears, is_excluded, lower
from compress.graph.quantized import block_product, store_blocks
from compress.graph.tables import find_tables
from compress.graph.tied import share_blocks
from compress.numerics.grid import fit_grid, signed
from compress.numerics.pack import round_to_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.artifact import Artifact, Context
    from compress.graph.linear import Linear
    from compress.graph.quantized import Blocks
    from compress.numerics.pack import Packed

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX

_CONVOLUTIONS = ("Conv", "ConvTranspose")


class Config(Frozen):
    """How weights are stored, and which."""

    bits: Literal[4, 8] = 4
    block_size: int = Field(default=32, ge=16, le=256)
    """Input channels that share a scale: a power of two. The last block of a row is padded."""
    symmetric: bool = False
    """Without zero points."""
    search: bool = True
    """Look for the scale with the least squared error, instead of the one that spans the range."""
    half_scales: bool = True
    """Store scales in fp16 where they fit; runtimes widen them while they load the graph."""
    accuracy_level: int = Field(default=4, ge=0, le=4)
    """Of the kernel: 4 computes in int8, 1 in fp32, 0 as the kernel likes."""
    operators: tuple[Literal["MatMul", "Gemm", "Conv"], ...] = ("MatMul", "Gemm")
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node or weight names that stay as they are."""
    minimum_elements: int = 4096
    """Smaller matrices stay as they are."""

    @field_validator("block_size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored."""
    return {
        "matrix": Storage(
            bits=config.bits,
            group_size=config.block_size,
            scale_bits=16 if config.half_scales else 32,
            zero_bits=0 if config.symmetric else config.bits,
            minimum=config.minimum_elements,
        )
    }


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return False


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Quantize the constant matrices of `artifact`'s graph. An embedding that is the output layer's
    matrix too is stored once, for both.

    Raises:
        CompressError: the graph has no matrix that could be quantized.
    """
    editor = Editor(read_graph(artifact.graph))
    chosen = _linears(editor, config)
    filters = _filters(editor, config) if "Conv" in config.operators else []
    if not (chosen or filters):
        message = (
            f"no constant fp32 weight of {config.minimum_elements} numbers or more in {config.operators}"
        )
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.weights out")
    with context.progress.track("Rounding weights", len(chosen) + len(filters)) as advance:
        for convolution in filters:
            _store_filters(editor, convolution)
            advance()
        shared = _share_tables(editor, chosen, config)
        advance(len(shared))
        stored: dict[tuple[str, bool, float], Blocks] = {}
        for linear in chosen:
            if linear.y not in shared:
                _write(editor, linear, stored, config)
                advance()
    write_graph(editor.finish(), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


def _linears(editor: Editor, config: Config) -> list[Linear]:
    found = find_linears(editor, operators=config.operators, exclude=config.exclude)
    return [one for one in found if math.prod(one.shape(editor)) >= config.minimum_elements]


def _filters(editor: Editor, config: Config) -> list[NodeProto]:
    """The convolutions, of any rank and grouping, whose filters are stored in 8 bits."""
    found = []
    for node in editor.nodes:
        form = editor.form(node.input[1]) if node.op_type in _CONVOLUTIONS and not node.domain else None
        if form is None or form[1] != np.float32 or math.prod(form[0]) < config.minimum_elements:
            continue
        if not is_excluded([node.name, node.input[1]], config.exclude):
            found.append(node)
    return found


def _store_filters(editor: Editor, node: NodeProto) -> None:
    """int8 with a scale for each filter (the first axis), and the two operations that widen them."""
    name = node.input[1]
    array = editor.array(name)
    assert array is not None
    grid = fit_grid(array.reshape(len(array), -1), codes=signed(8))
    codes = editor.add(grid.encode(array.reshape(len(array), -1)).reshape(array.shape), f"{name}_codes")
    scale = editor.add(grid.scale.reshape(-1, *[1] * (array.ndim - 1)), f"{name}_scale")
    real = editor.derive("Cast", [codes], f"{name}_float", to=TensorProto.FLOAT)
    new = NodeProto()
    new.CopyFrom(node)
    new.input[1] = editor.derive("Mul", [real, scale], f"{name}_wide")
    editor.replace(node, [new])


def _share_tables(editor: Editor, chosen: Sequence[Linear], config: Config) -> set[str]:
    """Write the products that are tied to an embedding; returns the names of their results."""
    products = {linear.y for linear in chosen}
    written: set[str] = set()
    for table in list(find_tables(editor, exclude=config.exclude)):
        tied = products & {linear.y for linear in table.tied}
        array = editor.array(table.name) if tied else None
        if array is not None:
            share_blocks(editor, table, _round(array, config), accuracy_level=config.accuracy_level)
            written |= tied
    return written


def _write(
    editor: Editor, linear: Linear, stored: dict[tuple[str, bool, float], Blocks], config: Config
) -> None:
    """Put the quantized form of a product in its place; `stored` are the matrices that are there already."""
    key = linear.key(editor)
    if key not in stored:
        stored[key] = store_blocks(editor, _round(linear.weight(editor), config), key[0])

    def product(x: str, y: str) -> list[NodeProto]:
        return [block_product(stored[key], x, y, accuracy_level=config.accuracy_level)]

    editor.replace(linear.node, lower(editor, linear, product))


def _round(matrix: np.ndarray, config: Config) -> Packed:
    return round_to_blocks(
        matrix,
        bits=config.bits,
        block_size=config.block_size,
        symmetric=config.symmetric,
        search=config.search,
        half_scales=config.half_scales,
    )
