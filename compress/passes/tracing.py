"""Trace the module of a checkpoint with torch and compare the graph with it: the work of `export.onnx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import torch

from compress.core.artifact import GRAPH_NAME
from compress.core.errors import CompressError
from compress.graph.io import SINGLE_FILE_LIMIT, read_graph, write_graph
from compress.graph.naming import name_by_module
from compress.graph.parity import Parity, compare
from compress.graph.session import open_runner
from compress.model.ends import gathering_by_position
from compress.model.inputs import Inputs, inputs_of, on_own_inputs
from compress.model.load import load_module
from compress.model.outputs import exported_outputs, unsupported_outputs
from compress.model.quiet import exporters_cause, quiet_exporter
from compress.model.sidecars import copy_sidecars

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.artifact import Artifact, Context
    from compress.graph.session import Runner

_PARITY_SHAPES = ((1, 16), (2, 7), (3, 61), (2, 128))
"""(batch, length) pairs; none is the one that was traced."""


def trace_checkpoint(artifact: Artifact, context: Context, *, opset: int) -> list[Parity]:
    """Write the graph of a checkpoint and its sidecars into the step's folder.

    Args:
        artifact: The checkpoint.
        context: The step's folder and progress.
        opset: The version of ONNX's operators.

    Returns:
        How far the graph's answers are from the module's.

    Raises:
        CompressError: the module cannot be traced, or its inputs are not supported.
        InternalError: the graph does not answer as the module does.
    """
    module = load_module(artifact.folder, artifact.task)
    if hasattr(module, "set_attn_implementation"):
        # As products and a softmax, which the rules of fusion know; what torch decomposes its own fused
        # attention into carries guards against rows without any key.
        module.set_attn_implementation("eager")
    inputs = inputs_of(module, artifact.folder)
    wrapped = _Exportable(module, inputs, _output_names(module, inputs, artifact.task))
    graph = context.folder / GRAPH_NAME
    with context.progress.track("export to ONNX"):
        _trace(wrapped, inputs, graph, opset=opset)
        _name(graph)
    with context.progress.track("compare with the module", total=len(_PARITY_SHAPES)) as advance:
        parity = []
        runner = open_runner(graph)
        for index, (batch, length) in enumerate(_PARITY_SHAPES):
            parity += _compare(wrapped, inputs, runner, batch=batch, length=length, seed=index + 1)
            advance()
    copy_sidecars(artifact.folder, context.folder, text="input_ids" in inputs.names)
    return parity


class _Exportable(torch.nn.Module):
    """A transformers module with positional inputs and a tuple of named outputs."""

    def __init__(self, module: torch.nn.Module, inputs: Inputs, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = inputs.names
        self.outputs = outputs

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.module(**dict(zip(self.names, values, strict=True)), return_dict=True)
        return tuple(result[name] for name in self.outputs)


def _output_names(module: torch.nn.Module, inputs: Inputs, task: str) -> tuple[str, ...]:
    if getattr(module.config, "use_cache", False):
        module.config.use_cache = False
    sample = inputs.sample(batch=1, length=16, seed=0)
    with on_own_inputs(module, sample), torch.inference_mode():
        result = module(**sample, return_dict=True)
        again = module(**sample, return_dict=True)
    tensors = [name for name, value in result.items() if isinstance(value, torch.Tensor)]
    names = exported_outputs(tensors, task=task, reads_text="input_ids" in inputs.names)
    if not names:
        raise unsupported_outputs(type(module).__name__, result.keys())
    if random := [name for name in names if not _alike(result[name], again[name])]:
        message = f"{type(module).__name__} answers differently each time ({', '.join(random)})"
        raise CompressError("outputs-random", message, hint="a graph cannot draw its random numbers")
    return names


def _alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two answers to one sample differ by no more than the order of sums does."""
    if first.shape != second.shape:
        return False
    return bool(torch.allclose(first, second, rtol=1e-3, atol=1e-4, equal_nan=True))


def _trace(wrapped: _Exportable, inputs: Inputs, graph: Path, *, opset: int) -> None:
    example = inputs.sample(batch=2, length=24, seed=0)
    try:
        with quiet_exporter(), torch.no_grad(), gathering_by_position(wrapped.module):
            program = torch.onnx.export(
                wrapped,
                tuple(example.values()),
                dynamo=True,
                opset_version=opset,
                input_names=list(inputs.names),
                output_names=list(wrapped.outputs),
                dynamic_shapes=(tuple(inputs.axes[name] for name in inputs.names),),
                verbose=False,
            )
            program.save(str(graph), external_data=_large(wrapped))
    except Exception as error:  # the exporter raises whatever its passes raise
        message = f"torch cannot trace this model: {exporters_cause(error)}"
        hint = "this architecture computes something that ONNX export does not support; --debug shows where"
        raise CompressError("export-failed", message, hint=hint) from error


def _large(module: torch.nn.Module) -> bool:
    return bool(sum(p.numel() * p.element_size() for p in module.parameters()) > SINGLE_FILE_LIMIT)


def _name(graph: Path) -> None:
    """Name weights by their modules, so that later steps and reports can tell what they are."""
    model = ir.from_proto(read_graph(graph))
    name_by_module(model.graph)
    for old in graph.parent.glob(f"{graph.name}*"):
        old.unlink()
    write_graph(ir.to_proto(model), graph)


def _compare(
    wrapped: _Exportable, inputs: Inputs, runner: Runner, *, batch: int, length: int, seed: int
) -> list[Parity]:
    sample = inputs.sample(batch=batch, length=length, seed=seed)
    with torch.inference_mode():
        expected = dict(zip(wrapped.outputs, wrapped(*sample.values()), strict=True))
    return compare(
        runner,
        {name: value.numpy() for name, value in sample.items()},
        {name: value.numpy() for name, value in expected.items()},
    )
