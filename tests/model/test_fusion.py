"""Fused graphs of tiny models against the modules that they came from.

One architecture for each form of attention; the others go through the same pass in the tests of the
command line, which compares every export with its module.
"""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest

from compress.graph.census import census
from compress.graph.optimize import optimize
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from tests import tiny
from tests.unit.graph.graphs import runtime

pytestmark = pytest.mark.model

FUSED = {
    "bert": 2,  # a mask of keys
    "mpnet": 2,  # and relative positions, repeated for each item
    "t5-encoder": 2,  # no scale, relative positions shared by layers
    "modernbert": 2,  # rotary positions, local and global layers
    "gpt2": 2,  # a causal mask, projections split from one product
    "swin": 2,  # windows: a bias by head, more items than the batch
    "whisper-encoder": 2,  # queries scaled before the product, no mask
    "deberta-v2": 0,  # disentangled: two products are looked up and added
}


def export(module, inputs) -> onnx.ModelProto:
    """The recipe that fuses best: eager attention, version 20 (has Gelu), named dynamic axes."""
    import torch

    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *values):
            result = self.module(**dict(zip(inputs.names, values, strict=True)))
            return result["logits"] if "logits" in result else result["last_hidden_state"]

    example = tuple(inputs.sample(batch=2, length=24, seed=0).values())
    axes = (tuple(inputs.axes[name] for name in inputs.names),)
    with torch.no_grad():
        program = torch.onnx.export(
            Wrapped().eval(),
            example,
            dynamo=True,
            opset_version=20,
            input_names=list(inputs.names),
            output_names=["y"],
            dynamic_shapes=axes,
            verbose=False,
        )
    stream = io.BytesIO()
    program.save(stream)
    return onnx.load_model_from_string(stream.getvalue())


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.filterwarnings("ignore")
def test_fused_graphs_answer_as_their_modules(name, tiny_models):
    import torch

    folder = tiny_models(name)
    module = load_module(folder, tiny.ARCHITECTURES[name][2])
    if getattr(module.config, "use_cache", False):
        module.config.use_cache = False
    inputs = inputs_of(module, folder)
    exported = export(module, inputs)
    fused, made = optimize(exported)
    standard, _ = optimize(exported, level="standard")
    assert made.get("Attention", 0) == FUSED[name]
    assert census(fused).operators.get("Softmax", 0) == (2 if name == "deberta-v2" else 0)
    assert "Attention" not in census(standard).operators
    for batch, length in ((1, 16), (3, 33)):
        sample = inputs.sample(batch=batch, length=length, seed=batch)
        with torch.inference_mode():
            result = module(**sample)
        wanted = (result["logits"] if "logits" in result else result["last_hidden_state"]).numpy()
        feeds = {key: value.numpy() for key, value in sample.items()}
        for graph in (fused, standard):
            _close(runtime(graph, feeds)[0], wanted, feeds.get("attention_mask"))


def _close(found, wanted, mask):
    assert found.shape == wanted.shape
    if mask is not None and wanted.shape[:2] == mask.shape:  # what is answered for padding is undefined
        found, wanted = found[mask > 0], wanted[mask > 0]
    np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)
