"""How many bits a matrix takes in a file, by the form that a pass stores it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The form of a matrix: codes, and what turns them back into numbers.

    - Codes are padded to whole groups of `group_size` columns (0: a row is one group).
    - Each group has a scale of `scale_bits` and a zero point of `zero_bits`; a row's zero points fill whole
      bytes.
    - Each row has another `row_bits`.
    - Matrices of less than `minimum` elements stay in fp32.
    """

    bits: float
    group_size: int = 0
    scale_bits: int = 0
    zero_bits: int = 0
    row_bits: int = 0
    minimum: int = 0

    def total_bits(self, rows: float, columns: float) -> float:
        """Return the bits of a matrix of so many rows (outputs) and columns (inputs)."""
        if rows * columns < self.minimum:
            return FP32.total_bits(rows, columns)
        groups = -(-columns // self.group_size) if self.group_size else 1
        padded = groups * self.group_size if self.group_size else columns
        zeros = 8 * -(-groups * self.zero_bits // 8)
        return rows * (padded * self.bits + groups * self.scale_bits + zeros + self.row_bits)


FP32 = Storage(bits=32)
