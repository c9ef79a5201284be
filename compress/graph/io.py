"""Read and write ONNX files, with tensors beside the file where protobuf's 2 GB limit asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from pathlib import Path

SINGLE_FILE_LIMIT = 1_800_000_000
"""Bytes of weights above which they go to `model.onnx.data`. Protobuf stops at 2 GiB, names and
shapes need their share, and runtimes re-serialize while they optimize."""


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a graph with all its tensors in memory.

    Raises:
        CompressError: the file is missing or is not ONNX, or a tensor file beside it is missing.
    """
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
    """Write a graph and check it; large weights go to one file beside it. `model` is left as it is.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX, which is a defect of its maker.
    """
    if model.ByteSize() < SINGLE_FILE_LIMIT:
        onnx.save_model(model, str(path))
    else:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        onnx.save_model(
            copy,
            str(path),
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=f"{path.name}.data",
        )


def graph_bytes(path: Path) -> int:
    """Bytes of the graph and of the tensor file beside it."""
    beside = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The graph's constant tensors by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}
