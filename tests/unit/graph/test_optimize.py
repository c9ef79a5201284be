import numpy as np
import onnx
import pytest
from onnx import TensorProto

from compress.graph.optimize import optimize
from tests.unit.graph import graphs
from tests.unit.graph.graphs import HEADS, HIDDEN, MASK, TOKENS, Builder

SHAPES = [(1, 1), (1, 5), (3, 4), (2, 9)]


def assert_same(before, after, shapes=SHAPES, tolerance=1e-5):
    """The optimized graph answers as the given one does, in two runtimes that share no code."""
    onnx.checker.check_model(after, full_check=True)
    for batch, length in shapes:
        feeds = graphs.tokens(batch, length)
        expected = graphs.reference(before, feeds)
        for run in (graphs.reference, graphs.runtime):
            for found, wanted in zip(run(after, feeds), expected, strict=True):
                np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=tolerance)


def attention_model(mask=graphs.key_mask, *, relative=False, opset=20, outputs=(), **settings):
    b = Builder()
    biases = [_relative(b)] if relative else []
    biases += [mask(b)] if mask else []
    y = graphs.attention(b, "x", biases, **settings)
    return b.build(TOKENS | (MASK if mask else {}), [y, *outputs], opset=opset)


def _relative(b):
    """(1, N, S, S) from a table and the distance of two positions, as T5 and MPNet have it."""
    b.add("Shape", "x", out="x_n", start=1, end=2)
    b.add("Squeeze", "x_n", out="x_size")
    b.add("Range", b.const("r0", np.int64(0)), "x_size", b.const("r1", np.int64(1)), out="positions")
    b.state("positions", TensorProto.INT64, "sequence")
    b.add("Unsqueeze", "positions", b.const("r_row", np.array([0])), out="columns")
    b.add("Unsqueeze", "positions", b.const("r_column", np.array([1])), out="rows")
    b.add("Sub", "rows", "columns", out="distance")
    b.add("Abs", "distance", out="bucket")
    b.add("Gather", b.weight("relative_attention_bias.weight", 16, HEADS), "bucket", out="looked_up", axis=0)
    b.add("Transpose", "looked_up", out="by_head", perm=[2, 0, 1])
    return b.add("Unsqueeze", "by_head", "r_row", out="relative")


@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize("key_order", [(0, 2, 3, 1), (0, 2, 1, 3)])
@pytest.mark.parametrize("mask", [None, graphs.key_mask, graphs.row_mask])
def test_attention_is_fused_whole(mask, key_order, divide):
    before = attention_model(mask, key_order=key_order, divide=divide)
    after, made = optimize(before)
    assert made["Attention"] == 1
    assert not {"Softmax", "Transpose", "Reshape", "GatherND", "Range"} & set(graphs.operators(after))
    assert_same(before, after)


def test_relative_positions_and_a_mask_become_one_bias():
    before = attention_model(relative=True)
    after, made = optimize(before)
    assert made["Attention"] == 1
    assert "Softmax" not in graphs.operators(after)
    assert_same(before, after)


def test_an_item_of_padding_alone_is_finite_and_leaves_the_others_alone():
    """What a model answers without any key is undefined: a softmax gives every key the same weight,
    kernels of Attention give zeros."""
    before = attention_model(graphs.row_mask)
    feeds = graphs.tokens(2, 4)
    feeds["attention_mask"][1] = 0
    expected = graphs.reference(before, feeds)[0]
    found = graphs.runtime(optimize(before)[0], feeds)[0]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    assert np.isfinite(found).all()


def test_standard_keeps_the_operator_set():
    before = attention_model(graphs.row_mask)
    after, made = optimize(before, level="standard")
    assert "Attention" not in made
    assert after.opset_import[0].version == 20
    assert "GatherND" not in graphs.operators(after)
    assert_same(before, after)


def test_queries_that_are_rotated_head_by_head_keep_their_four_axes():
    b = Builder()
    query = graphs.heads_of(b, b.linear("x", "query"), "q")
    key = graphs.heads_of(b, b.linear("x", "key"), "k")
    value = graphs.heads_of(b, b.linear("x", "value"), "v")
    for name, heads in (("q", query), ("k", key)):
        b.add("Mul", heads, b.weight(f"{name}_turn", 1, 1, 1, graphs.WIDTH), out=f"{name}_turned")
    b.add("Transpose", "k_turned", out="k_back", perm=[0, 1, 3, 2])
    b.add("MatMul", "q_turned", "k_back", out="product")
    b.add("Mul", "product", b.const("factor", 0.5), out="scaled")
    b.add("Add", "scaled", graphs.key_mask(b), out="masked")
    b.add("Softmax", "masked", out="probabilities", axis=-1)
    b.add("MatMul", "probabilities", value, out="context")
    before = b.build(TOKENS | MASK, ["context"])
    after, made = optimize(before)
    assert made["Attention"] == 1
    assert_same(before, after)


@pytest.mark.parametrize(
    "change",
    [
        {"opset": 17},
        {"outputs": ["probabilities"]},
        {"outputs": ["biased_0"]},
    ],
)
def test_attention_is_left_where_it_cannot_be_replaced(change):
    before = attention_model(**change)
    after, made = optimize(before)
    assert "Attention" not in made
    assert "Softmax" in graphs.operators(after)
    assert_same(before, after)


def test_a_factor_behind_the_bias_is_no_scale():
    b = Builder()
    query = graphs.heads_of(b, b.linear("x", "query"), "q")
    key = graphs.heads_of(b, b.linear("x", "key"), "k", order=(0, 2, 3, 1))
    value = graphs.heads_of(b, b.linear("x", "value"), "v")
    b.add("MatMul", query, key, out="product")
    b.add("Add", "product", _relative(b), out="biased")
    b.add("Mul", "biased", b.const("factor", 0.5), out="scaled")
    b.add("Softmax", "scaled", out="probabilities", axis=-1)
    b.add("MatMul", "probabilities", value, out="context")
    before = b.build(TOKENS, ["context"])
    after, made = optimize(before)
    assert "Attention" not in made
    assert_same(before, after)


def test_a_graph_with_an_operator_that_changed_meaning_keeps_its_version():
    b = Builder()
    y = graphs.attention(b, "x", [])
    b.add("Unsqueeze", y, b.const("one", np.array([1])), out="image")
    b.add("GridSample", "image", "grid", out="sampled", mode="bilinear")  # "linear" since version 20
    grid = {"grid": (TensorProto.FLOAT, ["batch", 2, 2, 2])}
    after, made = optimize(b.build(TOKENS | grid, ["sampled"], opset=18))
    assert "Attention" not in made
    assert after.opset_import[0].version == 18


def test_a_mask_that_hides_nothing_is_gone():
    """As transformers writes it for images: every position may see every other one."""
    b = Builder()
    b.add("Shape", "x", out="batch_n", start=0, end=1)
    one, size = b.const("one_n", np.array([1])), b.const("size_n", np.array([5]))
    b.add("Concat", "batch_n", one, size, size, out="mask_shape", axis=0)
    b.add("Expand", b.const("allowed", np.ones((1, 1, 5, 1), bool)), "mask_shape", out="allowed4")
    zero, lowest = b.const("zero", np.float32(0)), b.const("lowest", np.finfo(np.float32).min)
    mask = b.add("Where", "allowed4", zero, lowest, out="mask")
    y = graphs.attention(b, "x", [mask])
    before = b.build({"x": (TensorProto.FLOAT, ["batch", 5, HIDDEN])}, [y])
    for level in ("standard", "contrib"):
        after, _ = optimize(before, level=level)
        assert not {"Where", "Expand"} & set(graphs.operators(after))
        assert_same(before, after, shapes=[(1, 5), (3, 5)])


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("limit", [0, 1])
def test_only_comparisons_that_always_hold_are_dropped(start, limit):
    b = Builder()
    b.add("Shape", "x", out="n", start=1, end=2)
    b.add("Squeeze", "n", out="size")
    b.add("Add", "size", b.const("start", np.int64(start)), out="end")
    b.add("Range", "start", "end", b.const("step", np.int64(1)), out="positions")
    b.state("positions", TensorProto.INT64, "sequence")
    b.add("Unsqueeze", "positions", b.const("last", np.array([1])), out="rows")
    b.add("GreaterOrEqual", "rows", b.const("limit", np.int64(limit)), out="holds")
    zero, low = b.const("zero", np.float32(0)), b.const("low", np.float32(-9))
    b.add("Where", "holds", zero, low, out="bias")
    b.add("Add", "x", "bias", out="y")
    before = b.build(TOKENS, ["y"])
    after, _ = optimize(before, level="standard")
    assert ("Where" not in graphs.operators(after)) == (start == 0 and limit == 0)
    assert_same(before, after)


def test_a_look_up_at_other_places_is_kept():
    b = Builder()
    graphs.row_mask(b)
    [gather] = [node for node in b.nodes if node.op_type == "GatherND"]
    places = next(node for node in b.nodes if "places" in node.output)
    places.input[:] = list(reversed(places.input))  # (key, item): the transposed mask
    gather.input[1] = "places"
    y = graphs.attention(b, "x", ["mask"])
    before = b.build({"x": TOKENS["x"], "attention_mask": (TensorProto.INT64, ["batch", "sequence"])}, [y])
    after, _ = optimize(before)
    assert "GatherND" in graphs.operators(after)
    assert_same(before, after, shapes=[(4, 4)])


def norm_model(*, second_reader=False):
    b = Builder()
    y = b.linear("x", "dense")
    b.add("Add", y, "x", out="residual")
    scale, bias = b.weight("norm.weight", HIDDEN), b.weight("norm.bias", HIDDEN)
    b.add("LayerNormalization", "residual", scale, bias, out="normed", axis=-1, epsilon=1e-5)
    outputs = ["normed"]
    if second_reader:
        outputs.append(b.add("Neg", "residual", out="negative"))
    return b.build(TOKENS, outputs)


def test_onnxruntime_does_not_fuse_residuals_back(tmp_path):
    before = norm_model()
    path = tmp_path / "optimized.onnx"
    graphs.runtime(before, graphs.tokens(2, 4), optimized=str(path))
    assert "SkipLayerNormalization" in graphs.operators(onnx.load(path)), "the rule has lost its reason"
    after, made = optimize(before)
    assert made["Sum"] == 1
    graphs.runtime(after, graphs.tokens(2, 4), optimized=str(path))
    assert "SkipLayerNormalization" not in graphs.operators(onnx.load(path))
    assert_same(before, after)


def test_a_residual_with_other_readers_is_left():
    before = norm_model(second_reader=True)
    after, made = optimize(before)
    assert "Sum" not in made
    assert_same(before, after)


def test_an_output_layer_that_is_the_embedding_is_stored_once():
    b = Builder()
    table = b.rng.normal(size=(700, HIDDEN)).astype(np.float32)
    b.add("Gather", b.const("embeddings.weight", table), "ids", out="rows", axis=0)
    b.add("MatMul", "rows", b.const("val_9", np.ascontiguousarray(table.T)), out="y")
    before = b.build({"ids": (TensorProto.INT64, ["batch", "sequence"])}, ["y"])
    after, made = optimize(before)
    assert made["Shared"] == 1
    assert [tensor.name for tensor in after.graph.initializer] == ["embeddings.weight"]
    feeds = {"ids": np.array([[0, 5, 699]])}
    np.testing.assert_array_equal(graphs.runtime(after, feeds)[0], graphs.runtime(before, feeds)[0])


def test_equal_weights_are_stored_once():
    b = Builder()
    same = b.rng.normal(size=(HIDDEN, HIDDEN)).astype(np.float32)
    b.add("MatMul", "x", b.const("first.weight", same), out="h")
    b.add("MatMul", "h", b.const("second.weight", same.copy()), out="y")
    before = b.build(TOKENS, ["y"])
    after, _ = optimize(before)
    assert len(after.graph.initializer) == 1
    assert_same(before, after)


def test_the_input_is_left_as_it_is():
    before = attention_model(graphs.row_mask)
    _scoped(before)
    bytes_before = before.SerializeToString(deterministic=True)
    optimize(before)
    assert before.SerializeToString(deterministic=True) == bytes_before


def test_optimizing_twice_changes_nothing_more():
    once, _ = optimize(attention_model(graphs.row_mask))
    twice, made = optimize(once)
    assert graphs.operators(twice) == graphs.operators(once)
    assert made == {}


def test_names_of_nodes_and_outputs_are_kept():
    before = attention_model(graphs.row_mask)
    _scoped(before)
    once, _ = optimize(before)
    twice, _ = optimize(once)
    assert [node.name for node in twice.graph.node] == [node.name for node in once.graph.node]
    b = Builder()
    graphs.attention(b, "x", [])
    bare = b.build(TOKENS, ["joined"])  # nothing behind the attention
    after, made = optimize(bare)
    assert made["Attention"] == 1
    assert [value.name for value in after.graph.output] == ["joined"]
    assert_same(bare, after)


def test_weights_are_named_by_their_module_and_paths_of_the_exporting_machine_are_gone():
    before = attention_model()
    _scoped(before)
    after, _ = optimize(before)
    names = {tensor.name for tensor in after.graph.initializer}
    assert {"encoder.layer.0.query.weight", "encoder.layer.0.query.bias"} <= names
    assert "/home/somebody" not in str(after)
    assert any(node.name == "encoder.layer.0.query/MatMul" for node in after.graph.node)
    assert_same(before, after)


def _scoped(model):
    """Write what torch's exporter notes about the projection of queries, and its anonymous weight."""
    scopes = "['', 'module', 'module.encoder.layer.0', 'module.encoder.layer.0.query', 'linear']"
    for tensor in model.graph.initializer:
        if tensor.name == "query.weight":
            tensor.name = "val_87"
        if tensor.name == "query.bias":
            tensor.name = "module.encoder.layer.0.query.bias"
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = {
                "query.weight": "val_87", "query.bias": "module.encoder.layer.0.query.bias",
            }.get(name, name)  # fmt: skip
        if "query" in node.output[0]:
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
            node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/somebody/model.py")
