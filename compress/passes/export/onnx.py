"""A checkpoint to an ONNX graph, checked against its module at several shapes.

Traced by `torch.onnx.export(dynamo=True)` with dynamic batch and length.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.ONNX

EXPORT_FACTS = "export.json"
"""What the comparison saw, for the report. Not published."""


class Config(Frozen):
    """`opset` is the version of ONNX's operators that is asked for."""

    opset: int = 20


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
    """Export and compare; see the module.

    Raises:
        CompressError: the module cannot be traced, or its inputs are not supported.
        InternalError: the graph does not answer as the module does.
    """
    from compress.passes.tracing import trace_checkpoint  # imports torch, which `plan` does without

    facts = {"parity": [asdict(line) for line in trace_checkpoint(artifact, context, opset=config.opset)]}
    (context.folder / EXPORT_FACTS).write_text(json.dumps(facts), encoding="utf8")
    return artifact.at(context.folder, kind=PRODUCES)
