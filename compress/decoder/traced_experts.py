"""Layers of experts in graphs that torch's exporter traces: one node for all experts of a layer.

Which experts run depends on the text, which the exporter cannot keep open. The architectures of transformers
5 hold a layer's experts in one module, called with tokens, the chosen experts and their weights. While it is
traced that call leaves a mark in the graph, which is then written as QMoE, or as MoE for plain weights. What
chooses (scores by softmax or sigmoid, groups of experts, biases, factors) is traced as it stands.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from onnx import helper

from compress.decoder.expert_form import form_of, refused
from compress.decoder.experts import BankReader, qmoe_inputs, read_banks
from compress.graph.edit import MICROSOFT, Editor, attributes
from compress.graph.quantized import store_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onnx import ModelProto, NodeProto

    from compress.decoder.expert_form import ExpertForm
    from compress.decoder.experts import Bank
    from compress.decoder.skeleton import Values

_MARK = "compress"
"""The domain of the nodes that stand for experts until they are written."""

_LEAST = 1e-30
"""For the logarithm of an expert's weight: MoE takes no weights, but gives their softmax."""


def find_experts(module: torch.nn.Module) -> dict[str, ExpertForm]:
    """How each module that holds a layer's experts does so, by its name.

    Raises:
        CompressError: some experts are computed or held in another way than MoE knows.
    """
    forms = {name: form_of(part) for name, part in module.named_modules()}
    found = {name: form for name, form in forms.items() if form}
    for name, parameter in module.named_parameters():
        holder = name.rpartition(".")[0]
        if parameter.ndim == 3 and "experts" in name and holder not in found:
            raise refused(f"'{name}' of {type(module).__name__}")
    return found


def mark_experts(module: torch.nn.Module, names: Iterable[str]) -> None:
    """Let experts leave marks when the module is traced, without their weights, in place."""
    for name in names:
        part: Any = module.get_submodule(name)
        part.forward = partial(_mark, name, part.num_experts)
        part._parameters.clear()


def _mark(
    name: str, count: int, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
) -> torch.Tensor:
    """Tokens (..., K) and their chosen experts (T, k) with weights (T, k), to what will be computed."""
    tokens = hidden_states.reshape(-1, hidden_states.shape[-1])
    weights = tokens.new_zeros(tokens.shape[0], count).scatter(1, top_k_index, top_k_weights.to(tokens.dtype))
    made: torch.Tensor = torch.onnx.ops.symbolic(
        f"{_MARK}::Experts",
        [tokens, weights],
        {"module": name, "k": top_k_index.shape[-1]},
        dtype=tokens.dtype,
        shape=tokens.shape,
        version=1,
    )
    return made.reshape(hidden_states.shape)


def fill_experts(
    model: ModelProto,
    forms: dict[str, ExpertForm],
    plain: Callable[[str], torch.Tensor],
    values: Values | None,
    *,
    accuracy_level: int,
) -> ModelProto:
    """Write the marks of a traced graph of these experts, in place: as QMoE where `values` has codes of them,
    else as MoE with the weights that `plain` gives by a parameter's name.

    Raises:
        CompressError: the codes have a form that QMoE does not take.
    """
    editor = Editor(model)
    filler = _Filler(editor, forms, plain, values, accuracy_level)
    for node in editor.nodes:
        if node.domain == _MARK:
            editor.replace(node, filler.layer(node))
    left = [entry for entry in model.opset_import if entry.domain != _MARK]
    del model.opset_import[:]
    model.opset_import.extend(left)
    return editor.finish()


class _Filler:
    """Writes the experts of one layer after the other."""

    def __init__(
        self,
        editor: Editor,
        forms: dict[str, ExpertForm],
        plain: Callable[[str], torch.Tensor],
        values: Values | None,
        accuracy_level: int,
    ) -> None:
        self._editor, self._forms, self._plain, self._values = editor, forms, plain, values
        self._reader = None if values is None else BankReader(values.checkpoint)
        self._accuracy_level = accuracy_level

    def layer(self, mark: NodeProto) -> list[NodeProto]:
        """What takes the place of a mark."""
        said = attributes(mark)
        module = said["module"].decode()
        form = self._forms[module]
        chosen = {"k": said["k"], **form.gate.attributes}
        gate_up, down = f"{module}.gate_up_proj", f"{module}.down_proj"
        biases = self._biases(module, form) if form.biased else ("", "")
        paired = not form.interleaved
        banks = None if self._values is None else read_banks(self._values, gate_up, down, paired=paired)
        if banks is None:
            weights = self._weights(module, form)
            return self._moe(mark, [weights[0], biases[0], weights[1], biases[1]], chosen)
        stored = [self._stored(bank, hint) for bank, hint in zip(banks, (gate_up, down), strict=True)]
        x, weights = mark.input
        width = {"expert_weight_bits": banks[0].bits, "block_size": banks[0].block_size}
        node = helper.make_node(
            "QMoE",
            qmoe_inputs(x, weights, stored, biases, weights),
            mark.output,
            name=f"{module}/QMoE",
            domain=MICROSOFT,
            accuracy_level=self._accuracy_level,
            normalize_routing_weights=0,
            **chosen,
            **width,
        )
        return [node]

    def _weights(self, module: str, form: ExpertForm) -> tuple[str, str]:
        gate_up, down = f"{module}.gate_up_proj", f"{module}.down_proj"
        add, plain = self._editor.add, self._plain
        return (
            add(form.gate_up(plain(gate_up).detach()).numpy(), f"{gate_up}.weight"),
            add(form.down(plain(down).detach()).numpy(), f"{down}.weight"),
        )

    def _biases(self, module: str, form: ExpertForm) -> tuple[str, str]:
        gate_up, down = f"{module}.gate_up_proj_bias", f"{module}.down_proj_bias"
        add, plain = self._editor.add, self._plain
        paired = form.in_turn(plain(gate_up).detach()).float().numpy()
        return add(paired, gate_up), add(plain(down).detach().float().numpy(), down)

    def _stored(self, bank: Bank, hint: str) -> tuple[str, str, str]:
        """The names of codes, scales and zero points ("" where all are in the middle)."""
        reader, add = self._reader, self._editor.add
        assert reader is not None
        scales = store_scale(self._editor, reader.scales(bank), f"{hint}.scales")
        zeros = "" if reader.is_centred(bank) else add(reader.zeros(bank), f"{hint}.qzeros")
        return add(reader.weights(bank), f"{hint}.qweight"), scales, zeros

    def _moe(self, mark: NodeProto, stored: list[str], chosen: dict[str, Any]) -> list[NodeProto]:
        """The softmax of the weights' logarithms, times their sum, is the weights."""
        editor, (x, weights), y = self._editor, mark.input, mark.output[0]
        above, scores, mean, total = (editor.fresh(f"{y}_{name}") for name in ("max", "log", "mean", "sum"))
        least = editor.add(torch.tensor(_LEAST).numpy(), f"{y}_least")
        axes = editor.add(torch.tensor([-1]).numpy(), f"{y}_axes")
        inputs = [x, scores, *stored]
        return [
            helper.make_node("Max", [weights, least], [above]),
            helper.make_node("Log", [above], [scores]),
            helper.make_node("MoE", inputs, [mean], domain=MICROSOFT, normalize_routing_weights=0, **chosen),
            helper.make_node("ReduceSum", [weights, axes], [total], keepdims=1),
            helper.make_node("Mul", [mean, total], [y]),
        ]
