"""Dynamic 8-bit products: weights are rounded now, activations when the graph runs.

Each product with a constant matrix becomes uint8 x int8 -> int32, with the activation's range taken
from the tensor itself (Jacob et al. 2018, arXiv:1712.05877, equation 7, with the ranges of the moment).
Why int8 weights: x86 kernels multiply uint8 by int8, and uint8 weights took 1.8 times as long.
Why no ConvInteger: ONNX Runtime's took 4 to 20 times as long as its fp32 kernel. Convolutions along time
(speech) become products instead; those of images are left to static quantization.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from onnx import helper
from pydantic import Field, model_validator

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.stored_bits import Storage
from compress.graph.attention import find_attentions, quantized_attention
from compress.graph.convolution import Convolution, columns, find_convolutions
from compress.graph.edit import Editor
from compress.graph.hessians import InputFactors
from compress.graph.io import read_graph, write_graph
from compress.graph.linear import Linear, find_linears, lower
from compress.graph.nibbles import store_nested
from compress.graph.quantized import (
    Matrix,
    integer_product,
    quantize_activation,
    store_matrix,
)
from compress.graph.tables import find_tables
from compress.graph.tied import share_rows
from compress.numerics.grid import Codes, fit_grid, signed, unsigned
from compress.numerics.nested import nest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from onnx import NodeProto

    from compress.core.artifact import Artifact, Context
    from compress.graph.attention import Attention
    from compress.graph.quantized import Quantized
    from compress.graph.tables import Table
    from compress.numerics.grid import Grid

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX


class Config(Frozen):
    """Which products are quantized, and how their weights are."""

    weights: Literal["int8", "uint8"] = "int8"
    per_channel: bool = True
    """One scale for each output channel, instead of one for the whole matrix."""
    symmetric: bool = True
    """Zero points of 0 (128 for uint8)."""
    stored: Literal[4, 8] = 8
    """4: the file holds 4 bits of a weight and a factor for each `group_size` of them, which runtimes widen
    to 8 bits while they load it: half the size, at the speed and with the activations of 8 bits. Of matrices
    that are no embedding at once; needs int8, per_channel and symmetric."""
    group_size: int = Field(default=32, ge=16, le=256)
    """Input channels that share a factor, where 4 bits are stored: a power of two."""
    items: int = Field(default=128, ge=0)
    """Calibration items for GPTQ, where 4 bits are stored; 0: plain rounding."""
    reduce_range: bool | None = None
    """Keep weights within 7 bits, since kernels without VNNI or dot products add pairs of products in
    16 bits, which overflow otherwise. None: as the target needs it; 7 bits where that is not known."""
    operators: tuple[Literal["MatMul", "Gemm", "Attention", "Conv"], ...] = (
        "MatMul",
        "Gemm",
        "Attention",
        "Conv",
    )
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node or weight names that stay as they are."""
    minimum_elements: int = 4096
    """Smaller matrices stay as they are: a head with two labels gains no time and would lose accuracy."""

    @model_validator(mode="after")
    def _nests(self) -> Config:
        if self.group_size & (self.group_size - 1):
            raise ValueError("group_size must be a power of two")
        if self.stored == 4 and not (self.weights == "int8" and self.per_channel and self.symmetric):
            raise ValueError("stored: 4 needs int8, per_channel and symmetric")
        return self


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored."""
    least = config.minimum_elements
    if config.stored == 8:
        return {"matrix": Storage(bits=8, row_bits=40 if config.per_channel else 0, minimum=least)}
    return {"matrix": Storage(bits=4, group_size=config.group_size, scale_bits=8, row_bits=32, minimum=least)}


def learns(config: Config) -> bool:
    """Whether weights are fitted to calibration rows: those that are stored in 4 bits."""
    return calibrated(config)


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    return config.stored == 4 and config.items > 0


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    return config.reduce_range is None


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Quantize the products of `artifact`'s graph.

    Raises:
        CompressError: the graph has no product that could be quantized.
    """
    editor = Editor(read_graph(artifact.graph))
    chosen = _products(editor, config)
    if not chosen:
        message = f"no product with a constant fp32 matrix of {config.minimum_elements} numbers or more"
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.dynamic out")
    editor.require(11)
    writer = _Writer(
        editor,
        config,
        saturates=context.profile.int8_saturates,
        factors=_factors(artifact, editor, chosen, config, context),
    )
    writer.share_tables(chosen)
    with context.progress.track("Rounding weights", len(chosen)) as advance:
        for product in chosen:
            writer.write(product)
            advance()
    write_graph(editor.finish(), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


def _products(editor: Editor, config: Config) -> list[Linear | Attention | Convolution]:
    """What is quantized, in the order of the graph."""
    found: list[Linear | Attention | Convolution] = [
        linear
        for linear in find_linears(editor, operators=config.operators, exclude=config.exclude)
        if math.prod(linear.shape(editor)) >= config.minimum_elements
    ]
    if "Attention" in config.operators:
        found.extend(find_attentions(editor, exclude=config.exclude))
    if "Conv" in config.operators:
        found.extend(find_convolutions(editor, exclude=config.exclude))
    place = {node.output[0]: index for index, node in enumerate(editor.nodes)}
    return sorted(found, key=lambda product: place[product.node.output[0]])


def _factors(
    artifact: Artifact,
    editor: Editor,
    chosen: Sequence[Linear | Attention | Convolution],
    config: Config,
    context: Context,
) -> InputFactors | None:
    """What GPTQ needs to know of the inputs, where it is wanted."""
    if config.stored == 8 or not config.items:
        return None
    sizes = {}
    for product in chosen:
        if isinstance(product, Linear) and not product.transpose_x:
            sizes[product.x] = product.shape(editor)[1]
        elif not isinstance(product, Linear | Convolution):
            form = editor.form(product.weight)
            assert form is not None
            sizes[product.x] = form[0][0]
    return InputFactors(artifact.graph, sizes, context.calibration.feeds(items=config.items))


class _Writer:
    """Writes products, and remembers activations and matrices that several of them use."""

    def __init__(
        self, editor: Editor, config: Config, *, saturates: bool | None, factors: InputFactors | None
    ) -> None:
        self._editor = editor
        self._config = config
        self._factors = factors
        self._codes = _codes(config, saturates=saturates)
        self._activations: dict[str, Quantized] = {}
        self._matrices: dict[tuple[str, bool, float], Matrix] = {}

    def share_tables(self, chosen: Sequence[Linear | Attention | Convolution]) -> None:
        """Store a table that is an embedding and an output layer at once, for both to read."""
        config = self._config
        if config.weights != "int8" or not (config.per_channel and config.symmetric):
            return
        products = {product.node.output[0] for product in chosen}
        for table in find_tables(self._editor, exclude=config.exclude):
            tied = [linear for linear in table.tied if linear.y in products]
            if tied:
                self._share(table, tied)

    def write(self, product: Linear | Attention | Convolution) -> None:
        """Put the quantized form of a product in its place."""
        if isinstance(product, Linear):
            matrix = self._matrix(product)
            nodes = lower(self._editor, product, lambda x, y: self._product(x, matrix, y))
        elif isinstance(product, Convolution):
            nodes = self._convolution(product)
        else:
            nodes = self._attention(product)
        self._editor.replace(product.node, nodes)

    def _product(self, x: str, matrix: Matrix, y: str) -> list[NodeProto]:
        activation, nodes = self._activation(x)
        return [*nodes, *integer_product(self._editor, activation, matrix, y)]

    def _convolution(self, convolution: Convolution) -> list[NodeProto]:
        editor, y = self._editor, convolution.y
        activation, nodes = self._activation(convolution.x)
        seen, cut = columns(editor, activation, convolution)
        matrix = self._store(convolution.weight(editor), convolution.filters)
        steps = editor.fresh(f"{y}_by_step")  # (B, steps, N)
        plain = editor.fresh(f"{y}_product") if convolution.bias else steps
        nodes = [*nodes, *cut, *integer_product(editor, seen, matrix, plain)]
        if convolution.bias:
            nodes.append(helper.make_node("Add", [plain, convolution.bias], [steps]))
        return [*nodes, helper.make_node("Transpose", [steps], [y], perm=[0, 2, 1])]

    def _attention(self, attention: Attention) -> list[NodeProto]:
        array = self._editor.array(attention.weight)
        assert array is not None
        activation, nodes = self._activation(attention.x)
        matrix = self._store(array.T, attention.weight, x=attention.x)
        width = array.shape[1]
        return [*nodes, quantized_attention(self._editor, attention, activation, matrix, width=width)]

    def _activation(self, x: str) -> tuple[Quantized, list[NodeProto]]:
        """The 8-bit form of `x`, and the node that makes it where no product before had the same."""
        if x in self._activations:
            return self._activations[x], []
        self._activations[x], node = quantize_activation(self._editor, x)
        return self._activations[x], [node]

    def _matrix(self, linear: Linear) -> Matrix:
        key = linear.key(self._editor)
        if key not in self._matrices:
            self._matrices[key] = self._store(linear.weight(self._editor), key[0], x=linear.x)
        return self._matrices[key]

    def _store(self, weight: np.ndarray, hint: str, *, x: str = "") -> Matrix:
        """Round (N, K), which `x` is multiplied by, and add it to the graph."""
        if self._config.stored == 4:
            factor = self._factors.of(x) if self._factors else None
            high, size = self._codes.high, self._config.group_size
            return store_nested(self._editor, nest(weight, group_size=size, high=high, factor=factor), hint)
        flat = weight if self._config.per_channel else weight.reshape(1, -1)
        grid = self._fit(flat)
        return store_matrix(self._editor, grid.encode(flat).reshape(weight.shape), grid, hint)

    def _share(self, table: Table, tied: Sequence[Linear]) -> None:
        array = self._editor.array(table.name)
        assert array is not None
        grid = self._fit(array)
        matrix = share_rows(self._editor, table, grid.encode(array), grid)
        for linear in tied:
            self._matrices[linear.key(self._editor)] = matrix

    def _fit(self, rows: np.ndarray) -> Grid:
        # No search: clipping wins under 1% of an error that is a tenth of the activations'.
        return fit_grid(rows, codes=self._codes, symmetric=self._config.symmetric, search=False)


def _codes(config: Config, *, saturates: bool | None) -> Codes:
    """8 bits, or 7 where sums of two products must fit in 16 bits."""
    reduced = config.reduce_range if config.reduce_range is not None else saturates is not False
    bits = 7 if reduced else 8
    if config.weights == "uint8":
        return unsigned(bits)
    return signed(bits) if config.symmetric else Codes(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
