from __future__ import annotations

import onnx
from onnx import TensorProto

from compress.graph.places import node_components
from tests.unit.graph import graphs
from tests.unit.graph.graphs import HIDDEN, Builder


def encoder() -> onnx.ModelProto:
    b = Builder()
    b.add("Gather", b.weight("embeddings.word_embeddings.weight", 50, HIDDEN), "ids", out="rows", axis=0)
    y = graphs.attention(b, "rows", [])
    y = b.linear(y, "layer.0.intermediate.dense", width=32)
    b.add("Gelu", y, out="active")
    b.add("Identity", "active", out="same")
    y = b.linear("same", "layer.0.output.dense", inside=32)
    b.add("LayerNormalization", y, b.weight("gamma", HIDDEN), b.weight("beta", HIDDEN), out="normed", axis=-1)
    y = b.linear("normed", "classifier", width=3)
    return b.build({"ids": (TensorProto.INT64, ["batch", "sequence"])}, [y])


def test_every_node_has_the_part_that_it_works_for():
    model = encoder()
    found = node_components(model)
    by_type: dict[str, set[str]] = {}
    for node in model.graph.node:
        by_type.setdefault(node.op_type, set()).add(found[node.name])
    assert set(found) == {node.name for node in model.graph.node}
    assert by_type["Gather"] == {"embedding"}
    assert by_type["Softmax"] == {"attention"}
    assert by_type["Gelu"] == {"ffn"}
    assert by_type["Identity"] == {"ffn"}  # it quantizes, casts or moves for the product that reads it
    assert by_type["LayerNormalization"] == {"norm"}
    assert by_type["MatMul"] == {"attention", "ffn", "head"}
    assert found["node_classifier_product"] == found["node_classifier"] == "head"


def test_a_node_without_weights_belongs_to_what_reads_it_or_else_to_where_it_came_from():
    b = Builder()
    b.add("Cast", "x", out="cast", to=TensorProto.FLOAT)
    b.add("MatMul", "cast", b.weight("model.mlp.fc1.weight", HIDDEN, HIDDEN), out="product")
    b.add("Abs", "product", out="last")
    b.add("Neg", "x", out="alone")
    model = b.build(graphs.TOKENS, ["last", "alone"])
    assert node_components(model) == {
        "node_cast": "ffn", "node_product": "ffn", "node_last": "ffn", "node_alone": "other",
    }  # fmt: skip
