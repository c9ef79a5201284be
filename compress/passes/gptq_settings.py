"""How `quantize.gptq` stores matrices and what it calibrates them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from compress.core.config import Frozen
from compress.core.stored_bits import Storage

if TYPE_CHECKING:
    from compress.model.rounding import Scheme

Bits = Literal[2, 3, 4, 8]


FACTS = "gptq.json"
"""Errors and fallbacks by matrix, for the report. Not published."""

SENSITIVITY = "sensitivity.json"
"""What rounding groups of matrices does to the answers, and the bits that each was given. Not published."""


class GptqConfig(Frozen):
    """How matrices are stored, and what they are calibrated on."""

    bits: Bits = 4
    group_size: int = 32
    """Input channels that share a grid, 16 to 256; -1: one grid for each output channel."""
    symmetric: bool = False
    embedding_bits: Bits | None = 4
    """Of the embedding (and of the head that is tied to it); None: as it was."""
    head_bits: Bits | None = 8
    """Of an output layer that is a matrix of its own."""
    embedding_group_size: int | None = None
    head_group_size: int | None = None
    """Of those; None: `group_size`."""
    samples: int = Field(default=128, gt=0)
    length: int = Field(default=512, gt=1)
    """Calibration: so many windows of so many tokens."""
    damping: float = Field(default=0.01, gt=0)
    """Share of the mean of the Hessian's diagonal that is added to it."""
    activation_order: bool = True
    activations: Literal["auto", "float32", "bfloat16"] = "auto"
    """What products are computed in during calibration; auto: bfloat16 where the processor has it."""
    sweeps: int = Field(default=2, ge=0)
    """Sweeps of coordinate descent over codes and scales after GPTQ (QuantEase)."""
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of weights that stay as they are."""
    minimum_elements: int = 4096
    """Smaller matrices stay as they are."""
    minimum_rows: int = 32
    """Matrices that saw fewer calibration tokens (experts) are rounded to searched grids."""
    average_bits: float | None = None
    """Bits of the blocks' matrices on average at most, each group's own chosen by measured sensitivity; None
    here and below: `bits` for all."""
    max_size: str | None = None
    """The same, by what the model may take with scales, zero points and tables (`90MB`): `estimated`, since
    files hold more than weights. Where both are given, both hold."""
    choices: tuple[Bits, ...] = (4, 8)
    """Bits to choose from. Graphs of ONNX Runtime hold 2 and 3 bits in 4."""
    probe_samples: int = Field(default=2, gt=0)
    probe_length: int = Field(default=128, gt=1)
    """Windows on which the sensitivity is measured."""
    channel_scaling: bool = True
    """Whether channels of the inputs are scaled first (AWQ), folded into norms and matrices before them."""
    output_feedback: bool = False
    """Whether what rounding some outputs of a matrix got wrong is made up for by the others (YAQA), weighed
    by how the model's loss curves in them: slower by a backward of the model on some windows."""
    output_samples: int = Field(default=48, gt=0)
    output_length: int = Field(default=256, gt=1)
    """Windows on which that curvature is gathered."""

    @field_validator("group_size", "embedding_group_size", "head_group_size")
    @classmethod
    def _in_range(cls, value: int | None) -> int | None:
        if value not in (None, -1) and not 16 <= value <= 256:
            raise ValueError("must be 16 to 256, or -1")
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.average_bits is not None and not min(self.choices) <= self.average_bits <= max(self.choices):
            raise ValueError(
                f"average_bits must lie within choices, {min(self.choices)} to {max(self.choices)}"
            )
        return self

    def grid_bits(self, bits: int, group_size: int | None = None) -> float:
        """What scales and zero points add to a number of so many bits."""
        size = group_size or self.group_size
        return 0.0 if size < 0 else (16 + (0 if self.symmetric else bits)) / size

    def storage(self, bits: float, zero_bits: int, group_size: int | None = None) -> Storage:
        """The form of matrices in so many bits."""
        return Storage(
            bits=bits,
            group_size=max(group_size or self.group_size, 0),
            scale_bits=16,
            zero_bits=0 if self.symmetric else zero_bits,
        )

    def scheme(self, bits: int, group_size: int | None = None) -> Scheme:
        """The scheme of matrices in so many bits, in groups of another size where one is given."""
        from compress.model.rounding import Scheme  # imports torch, which `plan` does without

        return Scheme(
            bits=bits,
            group_size=group_size or self.group_size,
            symmetric=self.symmetric,
            damping=self.damping,
            activation_order=self.activation_order,
            sweeps=self.sweeps,
            minimum_rows=self.minimum_rows,
        )
