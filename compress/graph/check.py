"""Is a graph complete, valid, and safe to hand on?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper

from compress.core.errors import CompressError
from compress.core.paths import contained

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from onnx import GraphProto, ModelProto

AXES = ("batch", "sequence", "samples")
"""Names that an input's dynamic axes may have: items, then tokens or samples of sound."""


def check(path: Path, *, axes: Collection[str] = AXES) -> None:
    """Check that the file at `path` is valid ONNX, that all its tensors lie in its folder, and that the
    first axis of every input is `batch` and its other dynamic axes are named as in `axes`.

    Raises:
        CompressError: `graph-missing`, `graph-invalid`, `graph-incomplete`, `path-escapes`, `axes-invalid`.
    """
    model = _read(path)
    for tensor in external_tensors(model):
        _check_tensor(path, tensor)
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise _invalid(path, error) from None
    _check_axes(path, model, axes)


def external_tensors(model: ModelProto) -> list[TensorProto]:
    """The tensors whose data is in another file, wherever in the model they are."""
    found = [tensor for graph in _graphs(model.graph) for tensor in _tensors(graph)]
    found += [t for function in model.functions for node in function.node for t in _attribute_tensors(node)]
    return [tensor for tensor in found if tensor.data_location == TensorProto.EXTERNAL]


def _read(path: Path) -> ModelProto:
    try:
        return onnx.load_model(str(path), load_external_data=False)
    except FileNotFoundError:
        raise CompressError("graph-missing", f"no such file: {path}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise _invalid(path, error) from None


def _invalid(path: Path, error: Exception) -> CompressError:
    reason = next(iter(str(error).splitlines()), "it cannot be read")
    return CompressError("graph-invalid", f"{path} is not a valid graph: {reason}", hint="export it again")


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for item in node.attribute:
            for inner in [*([item.g] if item.type == onnx.AttributeProto.GRAPH else []), *item.graphs]:
                yield from _graphs(inner)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _attribute_tensors(node)


def _attribute_tensors(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for item in node.attribute:
        if item.HasField("t"):
            yield item.t
        yield from item.tensors
        for sparse in [
            *([item.sparse_tensor] if item.HasField("sparse_tensor") else []),
            *item.sparse_tensors,
        ]:
            yield from (sparse.values, sparse.indices)


def _check_tensor(path: Path, tensor: TensorProto) -> None:
    """The file named by a tensor is in the graph's folder and holds all of the tensor's bytes."""
    info = external_data_helper.ExternalDataInfo(tensor)
    place = contained(path.parent, info.location)
    size = place.stat().st_size if place.is_file() else -1
    end = (info.offset or 0) + (info.length or 0)
    if size < end:
        found = "is missing" if size < 0 else f"has {size} bytes, expected {end}"
        message = f"{info.location}, which holds '{tensor.name}', {found}"
        raise CompressError("graph-incomplete", message, hint=f"put it whole beside {path.name}")


def _check_axes(path: Path, model: ModelProto, axes: Collection[str]) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in weights:
            continue
        sizes = value.type.tensor_type.shape.dim
        names = [size.dim_param for size in sizes if not size.HasField("dim_value")]
        first = sizes[0].dim_param if sizes else ""
        if first != "batch" or any(name not in axes for name in names):
            found = ", ".join(size.dim_param or str(size.dim_value) for size in sizes) or "no axes"
            message = f"input '{value.name}' of {path.name} has axes ({found})"
            hint = f"the first is batch, other dynamic ones are of: {', '.join(axes)}"
            raise CompressError("axes-invalid", message, hint=hint)
