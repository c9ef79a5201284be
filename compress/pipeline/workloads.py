"""What is timed: calls of an encoder at the profile's shapes; of a decoder a prompt and tokens after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.core.artifact import ArtifactKind
from compress.core.profile import Workload
from compress.graph.session import open_runner
from compress.runtime.files import same_tokenizer
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.core.artifact import Artifact, Feeds
    from compress.core.profile import Profile
    from compress.runtime.preprocess import Preprocessor

PREFILL, DECODE = "prefill", "decode"
"""A call of `prefill` reads a prompt and gives the first token after it, one of `decode` gives one more."""

STEPS = "steps"
"""The name under which a decoder's feeds say how many tokens may follow the prompt: 0 asks for `prefill`."""

_NEW_TOKENS = 32
"""Tokens that are decoded before the cache is cut back to the prompt."""


def workloads_of(profile: Profile, kind: ArtifactKind) -> dict[str, Workload]:
    """The workloads by name. A decoder's prompt is as long as the `latency` workload's items."""
    if kind is not ArtifactKind.GENAI:
        return dict(profile.workloads)
    length = profile.workloads["latency"].length
    return {name: Workload(batch=1, length=length) for name in (PREFILL, DECODE)}


def headline_of(kind: ArtifactKind) -> str:
    """The workload whose speedup is reported and gated: bound by arithmetic and the least noisy, but of
    decoders what their users wait for.
    """
    return DECODE if kind is ArtifactKind.GENAI else "throughput"


def own_preprocessor(graph: Path, base: Artifact, preprocessor: Preprocessor, runtime: str) -> Preprocessor:
    """What gives a graph its inputs: the base's `preprocessor`, or, where a step changed the tokenizer, its
    own, since ids of another vocabulary mean other rows or none.

    Raises:
        CompressError: the graph or its tokenizer cannot be read.
    """
    if same_tokenizer(graph.parent, base.folder):
        return preprocessor
    inputs = open_runner(graph, runtime=runtime).inputs
    return load_preprocessor(graph.parent, task=base.task, inputs=inputs)


def feeds_of(workloads: Mapping[str, Workload], preprocessor: Preprocessor) -> dict[str, Feeds]:
    """The inputs of one call of each workload."""
    return {name: _feeds(name, workload, preprocessor) for name, workload in workloads.items()}


def _feeds(name: str, workload: Workload, preprocessor: Preprocessor) -> Feeds:
    if name not in (PREFILL, DECODE):
        return preprocessor.synthetic(batch=workload.batch, length=workload.length)
    longest = getattr(preprocessor, "max_length", workload.length)
    # Half of what the model takes at most: the other half is room for the tokens that follow.
    length = min(workload.length, max(longest // 2, 1))
    steps = min(_NEW_TOKENS, longest - length - 1) if name == DECODE else 0
    ids = preprocessor.synthetic(batch=1, length=length)["input_ids"]
    return {"input_ids": ids, STEPS: np.array(steps)}
