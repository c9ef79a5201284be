import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.graph.census import census, checkpoint_census
from compress.graph.components import component_by_name
from compress.graph.optimize import optimize
from tests.unit.graph import graphs
from tests.unit.graph.graphs import HIDDEN, Builder

NAMES = {
    "embeddings.word_embeddings.weight": "embedding",
    "embeddings.LayerNorm.weight": "norm",
    "encoder.layer.0.attention.self.query.weight": "attention",
    "encoder.layer.0.attention.output.dense.weight_codes": "attention",
    "encoder.layer.0.attention.output.LayerNorm.bias": "norm",
    "encoder.layer.0.intermediate.dense.weight": "ffn",
    "bert.encoder.layer.11.output.dense.weight_scale": "ffn",
    "transformer.layer.3.ffn.lin1.weight": "ffn",
    "transformer.layer.3.attention.q_lin.weight": "attention",
    "cls.predictions.transform.dense.weight": "head",
    "pooler.dense.weight": "head",
    "classifier.weight": "head",
    "decoder.bias": "head",
    "model.layers.0.self_attn.q_proj.weight": "attention",
    "model.layers.0.mlp.down_proj.weight": "ffn",
    "model.layers.0.input_layernorm.weight": "norm",
    "lm_head.weight": "head",
    "model.embed_tokens.weight": "embedding",
    "transformer.wte.weight": "embedding",
    "transformer.h.0.attn.c_attn.weight": "attention",
    "transformer.h.0.mlp.c_proj.weight": "ffn",
    "transformer.h.0.ln_1.weight": "norm",
    "encoder.block.0.layer.0.SelfAttention.q.weight": "attention",
    "encoder.block.0.layer.1.DenseReluDense.wi.weight": "ffn",
    "vit.embeddings.patch_embeddings.projection.weight": "conv",
    "vit.embeddings.cls_token": "embedding",
    "vit.encoder.layer.0.layernorm_before.weight": "norm",
    "wav2vec2.feature_extractor.conv_layers.0.conv.weight": "conv",
    "resnet.encoder.stages.0.layers.0.layer.0.normalization.running_mean": "norm",
    "convnext.encoder.stages.0.layers.0.pwconv1.weight": "ffn",
    "layers.0.fc1.weight": "ffn",
    "weight": None,
    "val_87": None,
}


@pytest.mark.parametrize(("name", "component"), NAMES.items())
def test_names_tell_components(name, component):
    assert component_by_name(name) == component


def encoder() -> onnx.ModelProto:
    b = Builder()
    b.add("Gather", b.weight("table", 50, HIDDEN), "ids", out="rows", axis=0)
    y = graphs.attention(b, "rows", [])
    y = b.linear(y, "up", width=32)
    b.add("Gelu", y, out="active")
    y = b.linear("active", "down", inside=32)
    b.add("LayerNormalization", y, b.weight("gamma", HIDDEN), b.weight("beta", HIDDEN), out="normed", axis=-1)
    y = b.linear("normed", "last", width=3)
    return b.build({"ids": (TensorProto.INT64, ["batch", "sequence"])}, [y])


@pytest.mark.parametrize("fused", [False, True])
def test_operators_tell_components_where_names_do_not(fused):
    model = encoder()
    for tensor in model.graph.initializer:  # names without a path tell nothing
        assert component_by_name(tensor.name) is None or "." in tensor.name
    anonymous = _anonymous(optimize(model)[0] if fused else model)
    found = census(anonymous)
    assert found.components() | {"other": 0} == {
        "embedding": 50 * HIDDEN * 4,
        "attention": 4 * (HIDDEN * HIDDEN + HIDDEN) * 4,
        "ffn": (HIDDEN * 32 + 32 + 32 * HIDDEN + HIDDEN) * 4,
        "norm": 2 * HIDDEN * 4,
        "head": (HIDDEN * 3 + 3) * 4,
        "other": 0,
    }
    assert found.parameters == sum(size for name, size in found.components().items() if name != "other") // 4


def _anonymous(model):
    names = {tensor.name: f"val_{index}" for index, tensor in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return model


def test_every_byte_is_counted_once():
    model = encoder()
    found = census(model)
    assert sum(found.bytes.values()) == sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert sum(found.operators.values()) == len(model.graph.node)
    assert found.fused == {"Gelu": 1, "LayerNormalization": 1}


def test_packed_codes_count_as_the_parameters_that_they_hold():
    b = Builder()
    b.const("layers.0.mlp.fc1.weight_codes", np.zeros((8, 1, 16), np.uint8))  # 8 rows of 32 4-bit codes
    b.const("layers.0.mlp.fc1.weight_scale", np.ones(8, np.float32))
    inputs = ["x", "layers.0.mlp.fc1.weight_codes", "layers.0.mlp.fc1.weight_scale"]
    node = helper.make_node(
        "MatMulNBits", inputs, ["y"], domain="com.microsoft", K=32, N=8, bits=4, block_size=32
    )
    graph = helper.make_graph([node], "g", [], [], b.tensors)
    found = census(helper.make_model(graph))
    assert found.bytes == {("ffn", "int4"): 128, ("ffn", "float32"): 32}
    assert found.parameters == 256


def test_four_bit_tensors_take_half_a_byte():
    tensor = helper.make_tensor("embeddings.weight", TensorProto.INT4, [3, 5], [1] * 15)
    graph = helper.make_graph([], "g", [], [], [tensor])
    assert census(helper.make_model(graph)).bytes == {("embedding", "int4"): 8}


def test_nodes_in_subgraphs_are_counted():
    inner = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "inner", [], [])
    node = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    assert census(model).operators == {"Relu": 2, "If": 1}


def test_a_checkpoint_is_counted_by_its_header():
    found = checkpoint_census({
        "model.embed_tokens.weight": ("BF16", (100, 8)),
        "model.layers.0.mlp.up_proj.weight": ("F32", (16, 8)),
        "model.layers.0.mlp.up_proj.qweight": ("I32", (2, 8)),
        "unknown": ("F8_E4M3", (4,)),
    })  # fmt: skip
    assert found.bytes == {
        ("embedding", "bfloat16"): 1600,
        ("ffn", "float32"): 512,
        ("ffn", "int32"): 64,
        ("other", "float8e4m3"): 4,
    }
    assert found.parameters == 800 + 128 + 4
    assert list(found.components()) == ["embedding", "ffn", "other"]
