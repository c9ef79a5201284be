"""What decoders and newer encoders are made of: RMSNorm, rotary positions, grouped queries."""

import numpy as np
import pytest
from onnx import TensorProto

from compress.graph.optimize import optimize
from tests.unit.graph import graphs
from tests.unit.graph.graphs import HIDDEN, TOKENS, Builder
from tests.unit.graph.test_optimize import assert_same

HEAD = 4


def rms_norm(
    b: Builder, x: str, name: str, *, width: int = HIDDEN, axis: int = -1, power: float = 2.0
) -> str:
    b.add("Pow", x, b.const(f"{name}_two", power), out=f"{name}_square")
    b.add("ReduceMean", f"{name}_square", b.const(f"{name}_axis", np.array([axis])), out=f"{name}_mean")
    b.add("Add", f"{name}_mean", b.const(f"{name}_epsilon", 1e-6), out=f"{name}_sum")
    b.add("Sqrt", f"{name}_sum", out=f"{name}_root")
    b.add("Reciprocal", f"{name}_root", out=f"{name}_inverse")
    b.add("Mul", x, f"{name}_inverse", out=f"{name}_unit")
    return b.add("Mul", b.weight(f"{name}.weight", width), f"{name}_unit", out=name)


def test_rms_norm_is_one_operator():
    b = Builder()
    before = b.build(TOKENS, [rms_norm(b, "x", "norm")])
    after, made = optimize(before)
    assert made == {"RMSNormalization": 1}
    assert graphs.operators(after) == ["RMSNormalization"]
    assert [value.name for value in after.graph.output] == ["norm"]
    assert_same(before, after)


@pytest.mark.parametrize("change", [{"axis": 1}, {"power": 3.0}, {"width": 1}])
def test_what_only_looks_like_rms_norm_is_left(change):
    b = Builder()
    before = b.build(TOKENS, [rms_norm(b, "x", "norm", **change)])
    after, made = optimize(before)
    assert "RMSNormalization" not in made
    assert_same(before, after)


def tables(b: Builder, *, halves: tuple[str, str] = ("angles", "angles")) -> None:
    """cos and sin (1, 1, T, H) of positions times frequencies, each frequency twice."""
    b.add("Shape", "x", out="n", start=1, end=2)
    b.add("Squeeze", "n", out="size")
    b.add("Cast", "size", out="size_float", to=TensorProto.FLOAT)
    b.add("Range", b.const("from", np.float32(0)), "size_float", b.const("by", np.float32(1)), out="places")
    b.state("places", TensorProto.FLOAT, "sequence")
    b.add("Unsqueeze", "places", b.const("outer", np.array([0, 2])), out="column")
    b.add("Mul", "column", b.const("frequencies", np.array([1.0, 0.1])), out="angles")
    b.add("Mul", "angles", b.const("other", 2.0), out="others")
    b.add("Concat", *halves, out="all_angles", axis=-1)
    for kind in ("Cos", "Sin"):
        b.add(kind, "all_angles", out=f"{kind}_table")
        b.add("Unsqueeze", f"{kind}_table", b.const(f"{kind}_axis", np.array([1])), out=f"{kind}4")


def rotate(b: Builder, x: str, name: str, *, swapped: bool = False) -> str:
    if "head_start" not in {tensor.name for tensor in b.tensors}:
        for key, value in {"start": 0, "middle": 2, "end": 2**63 - 1, "last": 3}.items():
            b.const(f"head_{key}", np.array([value]))
    b.add("Slice", x, "head_start", "head_middle", "head_last", out=f"{name}_first")
    b.add("Slice", x, "head_middle", "head_end", "head_last", out=f"{name}_second")
    front, back = ("first", "second") if swapped else ("second", "first")
    b.add("Neg", f"{name}_{front}", out=f"{name}_negated")
    b.add("Concat", f"{name}_negated", f"{name}_{back}", out=f"{name}_turned", axis=-1)
    b.add("Mul", x, "Cos4", out=f"{name}_straight")
    b.add("Mul", f"{name}_turned", "Sin4", out=f"{name}_across")
    return b.add("Add", f"{name}_straight", f"{name}_across", out=name)


def rotary_attention(*, norm: bool = False, groups: bool = False) -> Builder:
    """Queries and keys that turn with their position, as in Llama; with a norm of each head as in
    Qwen 3; with one head of keys and values for two of queries.
    """
    b = Builder()
    tables(b)
    query = _heads(b, "query", 2, norm=norm)
    key = _heads(b, "key", 1 if groups else 2, norm=norm)
    value = _heads(b, "value", 1 if groups else 2, norm=False)
    query, key = rotate(b, query, "q_rotated"), rotate(b, key, "k_rotated")
    if groups:
        key, value = _repeat(b, key, "k"), _repeat(b, value, "v")
    b.add("Transpose", key, out="k_back", perm=[0, 1, 3, 2])
    b.add("MatMul", query, "k_back", out="product")
    b.add("Mul", "product", b.const("factor", 0.5), out="scaled")
    b.add("Softmax", "scaled", out="probabilities", axis=-1)
    b.add("MatMul", "probabilities", value, out="context")
    b.add("Transpose", "context", out="context_back", perm=[0, 2, 1, 3])
    b.add("Reshape", "context_back", b.const("flat", np.array([0, 0, HIDDEN])), out="y")
    return b


def _heads(b: Builder, name: str, heads: int, *, norm: bool) -> str:
    b.linear("x", name, width=heads * HEAD)
    b.add("Reshape", name, b.const(f"{name}_shape", np.array([0, 0, heads, HEAD])), out=f"{name}_view")
    view = rms_norm(b, f"{name}_view", f"{name}_norm", width=HEAD) if norm else f"{name}_view"
    return b.add("Transpose", view, out=f"{name}_heads", perm=[0, 2, 1, 3])


def _repeat(b: Builder, value: str, name: str) -> str:
    """(B, 1, S, H) as (B, 2, S, H)."""
    b.add("Unsqueeze", value, b.const(f"{name}_two", np.array([2])), out=f"{name}_five")
    b.add("Expand", f"{name}_five", b.const(f"{name}_times", np.array([1, 1, 2, 1, 1])), out=f"{name}_wide")
    b.state(f"{name}_wide", TensorProto.FLOAT, "batch", 1, 2, "sequence", HEAD)
    b.add("Shape", "x", out=f"{name}_ends", start=0, end=2)
    b.add("Split", f"{name}_ends", b.const(f"{name}_ones", np.array([1, 1])), out=f"{name}_batch", axis=0)
    b.nodes[-1].output.append(f"{name}_length")
    count, width = b.const(f"{name}_count", np.array([2])), b.const(f"{name}_width", np.array([HEAD]))
    b.add("Concat", f"{name}_batch", count, f"{name}_length", width, out=f"{name}_shape", axis=0)
    b.add("Reshape", f"{name}_wide", f"{name}_shape", out=f"{name}_repeated")
    return b.state(f"{name}_repeated", TensorProto.FLOAT, "batch", 2, "sequence", HEAD)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("groups", [False, True])
def test_rotary_attention_is_fused_without_a_transposition(norm, groups):
    before = rotary_attention(norm=norm, groups=groups).build(TOKENS, ["y"])
    after, made = optimize(before)
    assert made == {"RotaryEmbedding": 2, "Attention": 1} | ({"RMSNormalization": 2} if norm else {})
    assert not {"Transpose", "Neg", "Softmax", "Pow"} & set(graphs.operators(after))
    [attention] = [node for node in after.graph.node if node.op_type == "Attention"]
    heads = {item.name: item.i for item in attention.attribute}
    assert (heads["q_num_heads"], heads["kv_num_heads"]) == (2, 1 if groups else 2)
    assert_same(before, after)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("halves", [("angles", "angles"), ("angles", "others")])
def test_only_a_rotation_is_taken_for_one(swapped, halves):
    b = Builder()
    tables(b, halves=halves)
    b.add("Unsqueeze", "x_head", b.const("heads_axis", np.array([1])), out="x4")
    y = rotate(b, "x4", "y", swapped=swapped)
    shape = (TensorProto.FLOAT, ["batch", "sequence", HEAD])
    before = b.build(TOKENS | {"x_head": shape}, [y])
    after, made = optimize(before)
    assert ("RotaryEmbedding" in made) == (not swapped and halves == ("angles", "angles"))
    for batch, length in ((1, 1), (2, 5)):
        feeds = graphs.tokens(batch, length)
        feeds["x_head"] = feeds["x"][..., :HEAD]
        wanted = graphs.reference(before, feeds)[0]
        np.testing.assert_allclose(graphs.runtime(after, feeds)[0], wanted, atol=1e-5)


def test_standard_keeps_the_parts():
    before = rotary_attention(norm=True).build(TOKENS, ["y"])
    after, made = optimize(before, level="standard")
    assert made == {}
    assert after.opset_import[0].version == 20
    assert_same(before, after, shapes=[(2, 5)])
