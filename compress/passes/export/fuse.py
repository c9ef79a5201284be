"""Make an exported graph faster without changing what it computes: masks, residual sums, attention.

The rules are in `compress.graph.optimize`. The graph is compared with the one it came from, on real
inputs: a rule that changed an answer is an error, not a loss of accuracy.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from compress.core.artifact import GRAPH_NAME, Artifact, ArtifactKind, Context
from compress.core.config import Frozen
from compress.graph.io import read_graph, write_graph
from compress.graph.optimize import Level, optimize
from compress.graph.parity import compare
from compress.graph.session import open_runner

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX

FUSE_FACTS = "fuse.json"
"""What was fused and how far the answers are apart, for the report. Not published."""

_ITEMS = 24


class Config(Frozen):
    """`level`: `contrib` lets in what ONNX Runtime's kernels are best at, `standard` keeps to operators
    that every runtime knows.
    """

    level: Level = "contrib"


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows: they only check the graph."""
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
    """Rewrite the graph and compare it with what it was.

    Raises:
        InternalError: it does not answer as before.
    """
    graph = context.folder / GRAPH_NAME
    with context.progress.track("fuse operators"):
        model, fused = optimize(read_graph(artifact.graph), level=config.level)
        write_graph(model, graph)
        before, after = open_runner(artifact.graph), open_runner(graph)
        feeds = context.calibration.feeds(items=_ITEMS)
        lines = [line for batch in feeds for line in compare(after, batch, before.run(batch))]
    facts = {"fused": fused, "parity": [asdict(line) for line in lines]}
    (context.folder / FUSE_FACTS).write_text(json.dumps(facts), encoding="utf8")
    return artifact.at(context.folder)
