"""Does a published artifact answer? One call on made-up input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.core.artifact import GRAPH_NAME
from compress.core.errors import CompressError
from compress.graph.cached import SETTINGS
from compress.graph.session import open_runner
from compress.runtime.decoder import Decoder
from compress.runtime.embed import load_head
from compress.runtime.files import refuse_repository_code
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from pathlib import Path

    from compress.graph.session import Runner

_TOKENS = 8


def probe(folder: Path, *, task: str, runtime: str) -> dict[str, tuple[int, ...]]:
    """Load an artifact as its users do and run it once: with its tokenizer or processor, and with its pooling
    or as a decoder that writes a token.

    Args:
        folder: The artifact.
        task: Its task.
        runtime: What runs its graph.

    Returns:
        The shapes of the graph's outputs by name.

    Raises:
        CompressError: It cannot be loaded or run, would run foreign code, or what it answers is not finite.
    """
    graph = folder / GRAPH_NAME
    if not graph.is_file():
        message = f"{folder} has no {GRAPH_NAME}"
        raise CompressError("artifact-missing", message, hint="name a folder that `compress run` published")
    refuse_repository_code(folder)
    runner = open_runner(graph, runtime=runtime)
    preprocessor = load_preprocessor(folder, task=task, inputs=runner.inputs)
    batch, length = _fixed(runner)
    feeds = preprocessor.synthetic(batch=batch, length=length)
    outputs = _run(runner, feeds)
    for name, array in outputs.items():
        _refuse_not_finite(name, array)
    if task == "feature-extraction":
        _refuse_not_finite("embedding", load_head(folder).apply(outputs, feeds))
    shapes = {name: array.shape for name, array in outputs.items()}
    if (folder / SETTINGS).exists():
        del runner, outputs  # the decoder takes as much memory again
        _write_token(folder)
    return shapes


def _refuse_not_finite(name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        message = f"output '{name}' is not finite"
        raise CompressError("artifact-broken", message, hint="make the artifact again")


def _write_token(folder: Path) -> None:
    """Have a decoder continue one token."""
    Decoder(folder).session([0], longest=2).next()


def _fixed(runner: Runner) -> tuple[int, int]:
    """The batch and the length to ask for: those that the graph insists on, or small ones."""
    shape = runner.inputs[0].shape
    return shape[0] or 1, (shape[1] if len(shape) > 1 else None) or _TOKENS


def _run(runner: Runner, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    try:
        return runner.run(feeds)
    except Exception as error:  # runtimes' exceptions share no base class but this one
        reason = (str(error).splitlines() or [""])[0]
        message = f"the graph fails on a batch of one: {reason}"
        raise CompressError("artifact-broken", message, hint="make the artifact again") from error
