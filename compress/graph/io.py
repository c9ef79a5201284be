"""Read and write ONNX files, with tensors beside the file where protobuf's 2 GB limit asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from compress.core.errors import CompressError
from compress.graph.trust import check_graph

if TYPE_CHECKING:
    from pathlib import Path

SINGLE_FILE_LIMIT = 1_800_000_000
"""Bytes of weights above which they go to `model.onnx.data`. Protobuf stops at 2 GiB, names and
shapes need their share, and runtimes re-serialize while they optimize."""


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a graph with all its tensors in memory.

    Raises:
        CompressError: the file is missing, is not ONNX or not to be trusted (`check_graph`), or a tensor
            file beside it is missing.
    """
    check_graph(path)
    try:
        return onnx.load_model(str(path))
    except FileNotFoundError as error:
        raise CompressError("graph-missing", f"no such file: {error.filename or path}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CompressError(
            "graph-invalid", f"{path} is not an ONNX file: {reason}", hint="export it again"
        ) from None


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph; weights above the limit go to one file beside it, and `model` then only refers to
    them: a copy would need their memory twice, and protobuf cannot make one above 2 GiB.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX, which is a defect of its maker.
    """
    if _weight_bytes(model) < SINGLE_FILE_LIMIT:
        onnx.save_model(model, str(path))
    else:
        onnx.save_model(
            model,
            str(path),
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=f"{path.name}.data",
        )


def _weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of the constant tensors. (Protobuf cannot tell the size of a message above 2 GiB.)"""
    return sum(
        len(tensor.raw_data) if tensor.HasField("raw_data") else tensor.ByteSize()
        for tensor in model.graph.initializer
    )


def graph_bytes(path: Path) -> int:
    """Bytes of the graph and of the tensor file beside it."""
    beside = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The graph's constant tensors by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}
