"""How a layer's experts compute, told from transformers' module, in the terms of ONNX Runtime's MoE and QMoE.

Those compute down(gate * sigmoid(alpha gate) * (up + beta)) of gates cut off above a limit and ups on both
sides of it, with the rows of gates and ups in turn: SwiGLU (Shazeer 2020, arXiv:2002.05202) with alpha 1,
beta 0 and no limit, or what GPT-OSS has (arXiv:2508.10925, section 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from compress.core.errors import CompressError

_PARAMETERS = {"gate_up_proj", "down_proj"}
_BIASES = {"gate_up_proj_bias", "down_proj_bias"}


@dataclass(frozen=True)
class Gate:
    """What joins gates and ups."""

    alpha: float = 1.0
    beta: float = 0.0
    limit: float = math.inf

    def __call__(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """Join gates and ups of one shape."""
        gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
        return gate * torch.sigmoid(self.alpha * gate) * (up + self.beta)

    @property
    def attributes(self) -> dict[str, Any]:
        """Of MoE and QMoE."""
        limited = {"swiglu_limit": self.limit} if math.isfinite(self.limit) else {}
        joined = {"activation_alpha": self.alpha, "activation_beta": self.beta, **limited}
        return {"activation_type": "swiglu", "swiglu_fusion": 1, **joined}


@dataclass(frozen=True, kw_only=True)
class ExpertForm:
    """How a module holds its experts, and joins their gates and ups.

    Attributes:
        interleaved: rows of gates and ups lie in turn; else all gates lie before all ups.
        transposed: matrices are held (in, out).
        biased: both products have a bias.
    """

    gate: Gate
    interleaved: bool
    transposed: bool
    biased: bool

    def gate_up(self, values: torch.Tensor) -> torch.Tensor:
        """The first product's weights as they are held, as MoE takes them (E, 2 N, K)."""
        return self.in_turn(self.down(values))

    def down(self, values: torch.Tensor) -> torch.Tensor:
        """The second product's weights as they are held, as MoE takes them (E, K, N)."""
        return (values.transpose(1, 2) if self.transposed else values).contiguous()

    def in_turn(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (E, 2 N, ...) of gates and ups in turn."""
        if self.interleaved:
            return rows
        return rows.unflatten(1, (2, -1)).transpose(1, 2).reshape(rows.shape).contiguous()


def form_of(part: torch.nn.Module) -> ExpertForm | None:
    """The form of a module that holds a layer's experts; None: it holds none, or others than these."""
    if not getattr(part, "has_gate", False) or getattr(part, "has_post_expert_norm", True):
        return None
    known: Any = part
    expected = _PARAMETERS | (_BIASES if known.has_bias else set())
    if {name for name, _ in part.named_parameters()} != expected:
        return None
    gate = _gate(known)
    if gate is None:
        return None
    return ExpertForm(
        gate=gate,
        interleaved=not known.is_concatenated,
        transposed=known.is_transposed,
        biased=known.has_bias,
    )


def refused(experts: str) -> CompressError:
    """The error for experts of another form."""
    message = f"the experts {experts} are not gates and ups under SiLU"
    return CompressError("experts-unsupported", message, hint="this architecture is not supported yet")


def _gate(part: Any) -> Gate | None:
    """What joins gates and ups, seen by what some of them give."""
    joined = torch.cartesian_prod(*2 * [torch.linspace(-40, 40, 64)])  # (64 * 64, 2): one gate, one up
    found: torch.Tensor = part._apply_gate(joined)
    gate, up = joined.chunk(2, dim=-1)
    tried = [Gate()]
    if hasattr(part, "alpha") and hasattr(part, "limit"):
        tried.append(Gate(alpha=float(part.alpha), beta=1.0, limit=float(part.limit)))
    return next((one for one in tried if torch.allclose(found, one(gate, up))), None)
