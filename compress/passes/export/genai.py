"""A decoder to a graph with KV cache and the folder that ONNX Runtime GenAI runs, checked against its module.

The graph is made by ONNX Runtime GenAI's model builder, or traced by torch where the builder does not know
the architecture. Of a quantized checkpoint the codes go into MatMulNBits and GatherBlockQuantized as they
are; an embedding and the output layer that is tied to it share one table. The comparison is with the module
that has the same dequantized weights: the prompt at once, then 32 steps from the cache, with products in
fp32. `accuracy_level` is set afterwards: 4 lets kernels round activations to 8 bits by block, which is where
their speed comes from, and what that costs is measured with the artifact's accuracy.

`kv_cache: int8` keeps keys and values in a quarter of the memory, for texts so long that the cache outgrows
the weights; see `compress.decoder.kv_cache`. It is calibrated by the graph with its cache in fp32, after
that was found to agree with the module. SmolLM2-135M in 4 bits, two cores with AVX-512: 11,520 instead of
46,080 bytes a token; perplexity 22.78 instead of 22.76 and KL 0.0033 between the two (4 x 512 tokens of
held-out text). It saves memory, not time: decode 89 instead of 82 tokens/s after 512 tokens and 49 instead of
46 after 2,048 (means of three, within noise), prefill 239 instead of 325 and 112 instead of 255 tokens/s.
Hence it is not the default.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen
from compress.passes.export.onnx import EXPORT_FACTS

if TYPE_CHECKING:
    from compress.core.artifact import Artifact, Context

ACCEPTS = frozenset({ArtifactKind.CHECKPOINT, ArtifactKind.QUANTIZED})
PRODUCES = ArtifactKind.GENAI
STREAMS = True


class Config(Frozen):
    """How the graph computes and what it keeps."""

    accuracy_level: Annotated[int, Field(ge=0, le=4)] | Literal["auto"] = 4
    """Of quantized products: 4 computes in int8, 1 in fp32, 0 as the kernel likes; auto: 4 or 1, by what they
    take and cost here on calibration text."""
    kv_cache: Literal["float32", "int8"] = "float32"
    """What keys and values are kept in; int8 needs a graph of ONNX Runtime GenAI's builder."""


def calibrated(config: Config) -> bool:
    """Whether what is made depends on the calibration rows."""
    return config.kv_cache == "int8" or config.accuracy_level == "auto"


def timed(config: Config) -> bool:
    """Whether what is made depends on this host."""
    return config.accuracy_level == "auto"


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Build and compare; see the module.

    Raises:
        CompressError: the model is no decoder that can be exported.
        InternalError: the graph does not answer as the module does.
    """
    from compress.passes.cached_graph import export_decoder  # imports torch, which `plan` does without

    facts = export_decoder(artifact, config, context)
    (context.folder / EXPORT_FACTS).write_text(json.dumps(facts), encoding="utf8")
    return artifact.at(context.folder, kind=PRODUCES)
