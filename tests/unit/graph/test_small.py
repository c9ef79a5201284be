from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from scipy.special import erf

from compress.core.layers import LayerShape
from compress.graph.small import layer_graph

X = np.random.default_rng(1).standard_normal((2, 5, 8), np.float32)


def run(model):
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]


def matrices(model):
    found = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return [array for array in found if array.ndim == 2]


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


@pytest.mark.parametrize("produced", [(1,), (1, 1), (2,)])
def test_a_feed_forward_layer_is_what_it_says(produced):
    shape = LayerShape(kind="ffn", inside=8, outside=6, produced=produced, consumed=1)
    model = layer_graph(shape, 12, "fp32")
    *first, last = matrices(model)
    made = X @ np.concatenate(first, axis=1)
    hidden = gelu(made[..., :12]) * (made[..., 12:] if sum(produced) == 2 else 1.0)
    assert last.shape == (12, 6)
    np.testing.assert_allclose(run(model), hidden @ last, rtol=1e-4, atol=1e-5)


def attention(made, units, width, queries):
    """Head by head: queries share the keys and values of their unit."""
    q, k, v = np.split(made, np.cumsum([units * queries * width, units * width]), axis=-1)
    heads = []
    for head in range(units * queries):
        mine = q[..., head * width : (head + 1) * width]
        unit = slice(head // queries * width, (head // queries + 1) * width)
        scores = mine @ k[..., unit].transpose(0, 2, 1) / (1 if queries > 1 else np.sqrt(width))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads.append(weights / weights.sum(axis=-1, keepdims=True) @ v[..., unit])
    return np.concatenate(heads, axis=-1)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("queries", [1, 3])
def test_an_attention_is_what_it_says(queries, fused):
    width, units = 4, 2
    parts = (queries * width, width, width)
    produced = (sum(parts),) if fused else parts
    shape = LayerShape(kind="heads", inside=8, outside=8, produced=produced, consumed=queries * width)
    assert shape.head_width == width
    model = layer_graph(shape, units, "fp32")
    *first, last = matrices(model)
    made = X @ np.concatenate(first, axis=1)
    expected = attention(made, units, width, queries) @ last
    np.testing.assert_allclose(run(model), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("kind", ["ffn", "heads"])
def test_quantized_layers_run_in_their_own_kernels(kind, dtype):
    produced, consumed = ((1, 1), 1) if kind == "ffn" else ((4, 4, 4), 4)
    shape = LayerShape(kind=kind, inside=8, outside=6, produced=produced, consumed=consumed)
    model = layer_graph(shape, 5, dtype)
    kernel = {"int8": "DynamicQuantizeMatMul", "int4": "MatMulNBits"}[dtype]
    types = [node.op_type for node in model.graph.node]
    assert types.count(kernel) == len(produced) + 1
    assert "MatMul" not in types
    assert run(model).shape == (2, 5, 6)
    assert np.isfinite(run(model)).all()
