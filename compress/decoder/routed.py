"""Layers of experts for a builder of decoders' graphs: a router, one node for all experts, a shared expert.

The router's scores are a softmax over all experts, of which the largest count (and are normalized, where
the configuration says so), as Mixtral's and Qwen's are, or what a builder makes of them itself. The node is
QMoE for codes, which reads but the experts that a token was sent to, and MoE for plain weights. A node for
each expert, with the tokens gathered for it, would be thousands of nodes in a model of 128 experts, most of
them run on nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.decoder.codes import add_lazily, widen
from compress.decoder.expert_form import form_of, refused
from compress.decoder.experts import BankReader, qmoe_inputs, read_banks

if TYPE_CHECKING:
    from compress.decoder.expert_form import ExpertForm
    from compress.decoder.experts import Bank
    from compress.decoder.skeleton import Values


class Experts:
    """The experts of a module, by their layer, as arrays or as codes of a quantized checkpoint."""

    def __init__(self, module: Any, values: Values | None) -> None:
        self._names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._values = values
        self._reader = None if values is None else BankReader(values.checkpoint)

    def banks(self, experts: Any, form: ExpertForm) -> tuple[Bank, Bank] | None:
        """Their codes; None where they are plain numbers."""
        if self._values is None:
            return None
        gate_up, down = (self._names[id(weight)] for weight in (experts.gate_up_proj, experts.down_proj))
        return read_banks(self._values, gate_up, down, paired=not form.interleaved)

    def stored(self, model: Any, bank: Bank, hint: str) -> list[str]:
        """The names of a bank's codes, scales and zero points among the constants of the graph; the last is
        empty where all are in the middle.
        """
        reader = self._reader
        assert reader is not None
        count, (rows, columns) = len(bank.experts), bank.shape
        names = [f"{hint}.qweight", f"{hint}.scales", "" if reader.is_centred(bank) else f"{hint}.qzeros"]
        shape = (count, rows, columns * bank.bits // 8)
        add_lazily(model, names[0], lambda: reader.weights(bank), np.uint8, shape)
        shape = (count, rows, bank.blocks)
        if reader.is_half(bank):
            add_lazily(model, f"{names[1]}_fp16", lambda: reader.scales(bank), np.float16, shape)
            widen(model, names[1], shape)
        else:
            add_lazily(model, names[1], lambda: reader.scales(bank), np.float32, shape)
        if names[2]:
            shape = (count, rows, -(-bank.blocks * bank.bits // 8))
            add_lazily(model, names[2], lambda: reader.zeros(bank), np.uint8, shape)
        return names


class Routed:
    """Mixed into a builder whose layers may hold experts; it has `experts` and `accuracy_level`."""

    experts: Experts
    accuracy_level: int

    def get_moe_module(self: Any, layer_id: int, layer: Any) -> Any:
        """Where a layer has what follows its attention."""
        del layer_id
        return layer.mlp

    def make_moe(self: Any, layer_id: int, moe: Any, root_input: str) -> None:
        """Write a layer of experts, or the dense one in its place."""
        if not hasattr(moe, "experts"):  # some layers of such models are dense
            self._dense(layer_id, moe, root_input)
            return
        base = f"/model/layers.{layer_id}/moe"
        logits = self._router(base, moe, root_input)
        found = self._experts(base, moe.experts, root_input, logits)
        if hasattr(moe, "shared_expert"):
            found = self._with_shared(layer_id, base, moe, root_input, found)
        self.layernorm_attrs["skip_input"] = found

    def _router(self: Any, base: str, moe: Any, root_input: str) -> str:
        """Scores of experts before the softmax, (B * T, experts)."""
        gate = moe.gate if hasattr(moe, "gate") else moe.router
        name = self.make_matmul(gate, f"{base}/router/MatMul", root_input)
        if getattr(gate, "bias", None) is not None:
            product, name = f"{name}/output_0", f"{base}/router/Add"
            self.make_add_bias(gate.bias, name, root_input=product)
        shape = f"/model/constants/INT64/{[-1, self.moe_attrs['num_experts']]}"
        flat = f"{base}/router/Reshape"
        inputs = [f"{name}/output_0", shape]
        self.make_reshape(flat, inputs, dtype=self.io_dtype, shape=self.make_moe_router_shape())
        return f"{flat}/output_0"

    def _experts(self: Any, base: str, experts: Any, root_input: str, logits: str) -> str:
        form = _form(experts)
        banks = self.experts.banks(experts, form)
        chosen = {
            "k": self.moe_attrs["top_k"],
            "normalize_routing_weights": int(self.moe_attrs["normalize_routing_weights"]),
            **form.gate.attributes,
        }
        hint = base[1:].replace("/", ".") + ".experts"
        biases = self._biases(experts, form, hint) if form.biased else ("", "")
        if banks is None:
            weights = self._plain(experts, form, hint)
            inputs = [root_input, logits, weights[0], biases[0], weights[1], biases[1]]
            return str(self._node("MoE", base, inputs, chosen))
        stored = [
            self.experts.stored(self, bank, f"{hint}.{part}")
            for bank, part in zip(banks, ("gate_up_proj", "down_proj"), strict=True)
        ]
        scores = f"{base}/router/Softmax"
        self.make_softmax(scores, logits, dtype=self.io_dtype, shape=self.make_moe_router_shape())
        inputs = qmoe_inputs(root_input, logits, stored, biases, f"{scores}/output_0")
        width = {"expert_weight_bits": banks[0].bits, "block_size": banks[0].block_size}
        return str(self._node("QMoE", base, inputs, chosen | width | {"accuracy_level": self.accuracy_level}))

    def _plain(self: Any, experts: Any, form: ExpertForm, hint: str) -> tuple[str, str]:
        """The weights among the graph's constants, rows of gates and ups in turn."""
        names = f"{hint}.gate_up_proj.weight", f"{hint}.down_proj.weight"
        self.make_initializer(form.gate_up(experts.gate_up_proj.detach()), names[0], to=self.io_dtype)
        self.make_initializer(form.down(experts.down_proj.detach()), names[1], to=self.io_dtype)
        return names

    def _biases(self: Any, experts: Any, form: ExpertForm, hint: str) -> tuple[str, str]:
        names = f"{hint}.gate_up_proj.bias", f"{hint}.down_proj.bias"
        self.make_initializer(form.in_turn(experts.gate_up_proj_bias.detach()), names[0], to=self.io_dtype)
        self.make_initializer(experts.down_proj_bias.detach(), names[1], to=self.io_dtype)
        return names

    def _node(self: Any, kind: str, base: str, inputs: list[str], attributes: dict[str, Any]) -> str:
        name = f"{base}/{kind}"
        output = f"{name}/output_0"
        self.make_node(kind, inputs=inputs, outputs=[output], name=name, domain="com.microsoft", **attributes)
        self.make_value(output, self.io_dtype, shape=self.make_hidden_state_shape())
        return output

    def _dense(self: Any, layer_id: int, mlp: Any, root_input: str) -> str:
        """A gated layer of a width of its own."""
        width, self.intermediate_size = self.intermediate_size, mlp.gate_proj.weight.shape[0]
        try:
            self.make_mlp(layer_id, mlp, root_input)
        finally:
            self.intermediate_size = width
        return str(self.mlp_attrs["output_0"])

    def _with_shared(self: Any, layer_id: int, base: str, moe: Any, root_input: str, found: str) -> str:
        """What the experts gave, and the shared one's share of it."""
        dense = self._dense(layer_id, moe.shared_expert, root_input)
        gate = self.make_matmul(moe.shared_expert_gate, f"{base}/shared_gate/MatMul", root_input)
        shape = self.make_hidden_state_shape(last_dim=1)
        self.make_sigmoid(f"{base}/shared_gate/Sigmoid", f"{gate}/output_0", self.io_dtype, shape=shape)
        shape = self.make_hidden_state_shape()
        product, total = f"{base}/shared/Mul", f"{base}/shared/Add"
        inputs = [dense, f"{base}/shared_gate/Sigmoid/output_0"]
        self.make_mul(product, inputs, dtype=self.io_dtype, shape=shape)
        self.make_add(total, [found, f"{product}/output_0"], dtype=self.io_dtype, shape=shape)
        return f"{total}/output_0"


class Chosen(Routed):
    """Mixed into a builder that writes itself how experts are chosen (LFM2's, by a sigmoid and a bias): as
    the logarithms of the weights of those that are, others far below, and the sum's factor.
    """

    def make_moe(self: Any, layer_id: int, moe: Any, root_input: str) -> None:
        """Write a layer of experts."""
        base = f"/model/layers.{layer_id}/moe"
        scores, scale = self.make_moe_router(layer_id, moe, root_input)
        found = self._experts(base, moe.experts, root_input, scores)
        product, shape = f"{base}/Mul", self.make_hidden_state_shape()
        self.make_mul(product, [found, scale], dtype=self.io_dtype, shape=shape)
        self.layernorm_attrs["skip_input"] = f"{product}/output_0"


def _form(experts: Any) -> ExpertForm:
    form = form_of(experts)
    if form is None:
        raise refused(f"of '{type(experts).__name__}'")
    return form


def is_normalized(config: Any) -> bool:
    """Whether the chosen scores are normalized: Mixtral's are."""
    return bool(getattr(config, "norm_topk_prob", True))
