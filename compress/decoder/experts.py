"""The experts of a layer in the form of ONNX Runtime's QMoE: all of them in one node, which computes the
chosen ones of each token.

Both of its products have one width of codes and one block of columns. Codes of fewer bits than others are
stored in the wider form, with the same values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.numerics.pack import Packed
from compress.numerics.regroup import SMALLEST, common_block_size, to_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.decoder.rows import Source
    from compress.decoder.skeleton import Values
    from compress.model.quantized import Layout, QuantizedCheckpoint

Rows = tuple["Source", ...]


@dataclass(frozen=True)
class Bank:
    """One product of a layer's experts: of each the rows of its matrix (N, K), all in blocks of
    `block_size` columns of codes of 4 or 8 bits. `paired`: rows of the first and of the second half of a
    matrix, gates and ups, are stored in turn.
    """

    experts: tuple[Rows, ...]
    bits: int
    block_size: int
    shape: tuple[int, int]
    paired: bool

    @property
    def blocks(self) -> int:
        """Blocks of a row."""
        return self.shape[1] // self.block_size


def make_banks(
    layouts: dict[str, Layout], gate_up: Sequence[Rows], down: Sequence[Rows], *, paired: bool
) -> tuple[Bank, Bank]:
    """The two products of a layer, in one form. `paired`: of the first all gates lie before all ups, and are
    to be stored in turn.

    Raises:
        CompressError: no block divides the columns and the groups of both.
    """
    used = {source.name: layouts[source.name] for rows in (*gate_up, *down) for source in rows}
    sizes = {size for one in used.values() for size in (one.shape[1], min(one.group_size, one.shape[1]))}
    size = common_block_size(*sizes)
    if not size:
        message = f"experts have columns and groups of {sorted(sizes)}, which no block of {SMALLEST} divides"
        raise CompressError("group-size-unsupported", message, hint="use another group_size")
    bits = 8 if any(one.bits > 4 for one in used.values()) else 4
    return (
        Bank(tuple(gate_up), bits, size, _shape(layouts, gate_up[0]), paired=paired),
        Bank(tuple(down), bits, size, _shape(layouts, down[0]), paired=False),
    )


def read_banks(values: Values, gate_up: str, down: str, *, paired: bool) -> tuple[Bank, Bank] | None:
    """The products of a layer whose parameters have these names, as `make_banks` has them; None where they
    are plain numbers.

    Raises:
        CompressError: one of them is quantized and the other is not.
    """
    rows = values.experts(gate_up), values.experts(down)
    if not any(rows):
        return None
    if not all(rows):
        message = "of a layer's experts one product is quantized and the other is not"
        raise CompressError("experts-unsupported", message, hint="exclude both or none")
    return make_banks(values.checkpoint.layouts, *rows, paired=paired)


def qmoe_inputs(
    x: str, choice: str, products: Sequence[Sequence[str]], biases: Sequence[str], weights: str
) -> list[str]:
    """The inputs of QMoE: tokens (B, T, K) or (T, K), by whose scores `choice` (T, E) experts are chosen, and
    by which `weights` (T, E) they count; of both `products` codes, scales and zero points (or ""), and
    their `biases` (or "").
    """
    (codes, scales, zeros), (down_codes, down_scales, down_zeros) = products
    inputs = [x, choice, codes, scales, biases[0], down_codes, down_scales, biases[1], "", "", ""]
    return [*inputs, zeros, down_zeros, "", weights]


class BankReader:
    """Reads banks from a checkpoint; what was packed last is kept, since its parts are asked for in turn."""

    def __init__(self, checkpoint: QuantizedCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._packed = lru_cache(maxsize=1)(self._pack)

    def weights(self, bank: Bank) -> np.ndarray:
        """uint8 (E, N, K * bits / 8)."""
        return self._packed(bank).data.reshape(len(bank.experts), bank.shape[0], -1)

    def scales(self, bank: Bank) -> np.ndarray:
        """float32 (E, N, blocks)."""
        return self._packed(bank).scale.reshape(len(bank.experts), bank.shape[0], -1)

    def zeros(self, bank: Bank) -> np.ndarray:
        """uint8 (E, N, ceil(blocks * bits / 8))."""
        zero = self._packed(bank).zero
        assert zero is not None
        return zero.reshape(len(bank.experts), bank.shape[0], -1)

    def is_centred(self, bank: Bank) -> bool:
        """Whether every zero point is the middle code, so that none need be stored."""
        middle = 1 << (bank.bits - 1)
        return all(bool((zeros == middle).all()) for zeros in self._parts(bank, "zeros"))

    def is_half(self, bank: Bank) -> bool:
        """Whether the scales are exact in fp16."""
        with np.errstate(over="ignore"):
            return all(
                bool((scales.astype(np.float16) == scales).all()) for scales in self._parts(bank, "scales")
            )

    def _parts(self, bank: Bank, part: str) -> list[np.ndarray]:
        names = {source.name for rows in bank.experts for source in rows}
        return [self._checkpoint.tensor(f"{name}.{part}").numpy() for name in sorted(names)]

    def _pack(self, bank: Bank) -> Packed:
        packed = [self._expert(bank, rows) for rows in bank.experts]
        data, scale, zero = (
            np.concatenate([getattr(one, part) for one in packed]) for part in ("data", "scale", "zero")
        )
        return Packed(bank.bits, bank.block_size, bank.shape[1], data, scale, zero)

    def _expert(self, bank: Bank, rows: Rows) -> Packed:
        matrices = [self._checkpoint.matrix(source.name) for source in rows]
        parts: list[list[np.ndarray]] = [[], [], []]
        for source, matrix in zip(rows, matrices, strict=True):
            size = matrix.layout.group_size
            group = np.minimum(
                np.arange(bank.blocks) * bank.block_size // size, matrix.scales.shape[1] - 1
            )  # (blocks,) of each block
            cut = slice(source.start, source.stop)
            parts[0].append(matrix.codes[cut].numpy())
            parts[1].append(matrix.scales[cut].numpy()[:, group])
            parts[2].append(matrix.zeros[cut].numpy()[:, group])
        codes, scales, zeros = (_ordered(np.concatenate(part), paired=bank.paired) for part in parts)
        return to_blocks(
            codes,
            scales,
            zeros,
            bits=bank.bits,
            group_size=bank.block_size,
            size=bank.block_size,
            centred=False,
        )


def _ordered(rows: np.ndarray, *, paired: bool) -> np.ndarray:
    """(N, ...) with the rows of both halves in turn."""
    if not paired:
        return rows
    halves = rows.reshape(2, len(rows) // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(0, 1)).reshape(rows.shape)


def _shape(layouts: dict[str, Layout], rows: Rows) -> tuple[int, int]:
    return sum(source.stop - source.start for source in rows), layouts[rows[0].name].shape[1]
