"""What rounding does to one layer by itself, on a sample of its real inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from onnx import ModelProto

    from compress.graph.layers import Layer

_SIGNIFICANT = 2.0
"""Standard errors by which a channel's mean error must differ from 0 to be corrected."""


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """`snr_db` = 10 log10(|y|^2 / |y - y'|^2), of the layer's result y and the rounded layer's y'.
    `bias` float32 (output channels,) is the mean of y - y' where it is significant, else 0.
    """

    snr_db: float
    bias: np.ndarray


def layer_error(
    layer: Layer, *, x: np.ndarray, rounded_x: np.ndarray, weight: np.ndarray, rounded_weight: np.ndarray
) -> LayerError:
    """Run `layer` on `x` (rows (n, K) for products, items (n, C, ...) for convolutions) with its own
    weight and without bias, and again with both rounded.
    """
    exact, rounded = run_alone(layer, [(x, weight), (rounded_x, rounded_weight)])
    error = exact - rounded
    noise, signal = _power(error), _power(exact)
    snr = 10 * np.log10(signal / noise) if noise and signal else np.inf
    return LayerError(snr_db=float(snr), bias=_mean_by_channel(error, axis=1))


def run_alone(layer: Layer, inputs: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """The layer's results, without bias, for pairs of activation and weight."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(_model(layer).SerializeToString(), options)
    return [session.run(None, {"x": x, "weight": weight})[0] for x, weight in inputs]


def _model(layer: Layer) -> ModelProto:
    node = onnx.NodeProto()
    node.CopyFrom(layer.node)
    del node.input[:]
    node.input.extend(["x", "weight"])
    node.output[0] = "y"
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.input]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "layer", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _power(array: np.ndarray) -> float:
    return float(np.square(array, dtype=np.float64).sum())


def _mean_by_channel(error: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean over all axes but one, with 0 where it might be chance."""
    rows = np.moveaxis(error, axis, -1).reshape(-1, error.shape[axis]).astype(np.float64)
    mean, spread = rows.mean(axis=0), rows.std(axis=0) / np.sqrt(max(1, len(rows)))
    return np.where(np.abs(mean) > _SIGNIFICANT * spread, mean, 0).astype(np.float32)
