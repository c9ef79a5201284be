"""Embedding tables in 8 or 4 bits, read row by row.

A table costs no multiplications, so its bits are chosen apart from those of the products. 8 bits: int8
rows with a scale each, in standard operators. 4 bits: blocks along a row in ONNX Runtime's
GatherBlockQuantized (uint8 data and zero points need ONNX Runtime 1.23 or newer, its builds for the web
and for Node included).
Why no rounding error feedback: rows are looked up one at a time, so their errors never add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.stored_bits import Storage
from compress.graph.edit import Editor
from compress.graph.io import read_graph, write_graph
from compress.graph.quantized import block_gather, row_gather, store_blocks
from compress.graph.tables import find_tables
from compress.graph.tied import share_blocks
from compress.numerics.grid import fit_grid, signed
from compress.numerics.pack import round_to_blocks

if TYPE_CHECKING:
    import numpy as np

    from compress.core.artifact import Artifact, Context
    from compress.graph.tables import Table
    from compress.numerics.pack import Packed

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX


class Config(Frozen):
    """How tables are stored, and which."""

    bits: Literal[4, 8] = 8
    block_size: int = Field(default=64, ge=16, le=256)
    """Numbers of a row that share a scale: a power of two. Where 8 bits are used for an embedding alone,
    a whole row shares one."""
    symmetric: bool = False
    """Without zero points, which an embedding of 4 bits gains from."""
    search: bool = True
    """Look for the scale with the least squared error, instead of the one that spans the range."""
    half_scales: bool = True
    """Store scales in fp16 where they fit; runtimes widen them while they load the graph."""
    minimum_bytes: int = 65_536
    """Smaller tables (token types, say) stay as they are."""
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node or table names that stay as they are."""

    @field_validator("block_size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored: 8 bits share a scale a row."""
    least = config.minimum_bytes // 4
    if config.bits == 8:
        return {"embedding": Storage(bits=8, row_bits=32, minimum=least)}
    return {
        "embedding": Storage(
            bits=config.bits,
            group_size=config.block_size,
            scale_bits=16 if config.half_scales else 32,
            zero_bits=0 if config.symmetric else config.bits,
            minimum=least,
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
    """Quantize the tables of `artifact`'s graph, and the output layer that shares one.

    Raises:
        CompressError: the graph has no table that could be quantized.
    """
    editor = Editor(read_graph(artifact.graph))
    tables = list(find_tables(editor, minimum_bytes=config.minimum_bytes, exclude=config.exclude))
    if not tables:
        message = f"no embedding table in fp32 of {config.minimum_bytes} bytes or more"
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.embeddings out")
    with context.progress.track("Rounding embeddings", len(tables)) as advance:
        for table in tables:
            _write(editor, table, config)
            advance()
    write_graph(editor.finish(), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


def _write(editor: Editor, table: Table, config: Config) -> None:
    array = editor.array(table.name)
    assert array is not None
    if table.tied:
        share_blocks(editor, table, _blocks(array, config), accuracy_level=4)
    elif config.bits == 4 and array.shape[1] % 2 == 0:  # a row is a whole number of bytes
        _write_blocks(editor, table, _blocks(array, config))
    else:
        _write_rows(editor, table, array)


def _blocks(array: np.ndarray, config: Config) -> Packed:
    return round_to_blocks(
        array,
        bits=config.bits,
        block_size=config.block_size,
        symmetric=config.symmetric,
        search=config.search,
        half_scales=config.half_scales,
    )


def _write_blocks(editor: Editor, table: Table, packed: Packed) -> None:
    blocks = store_blocks(editor, packed, table.name, rows=True)
    for gather in table.gathers:
        editor.replace(gather, [block_gather(blocks, gather)])


def _write_rows(editor: Editor, table: Table, array: np.ndarray) -> None:
    grid = fit_grid(array, codes=signed(8), search=False)
    codes = editor.add(grid.encode(array), f"{table.name}_codes")
    scale = editor.add(grid.scale, f"{table.name}_scale")  # (V, 1)
    for gather in table.gathers:
        editor.replace(gather, row_gather(editor, codes, scale, gather))
