"""Architectures that are known not to become ONNX graphs, so that nobody waits for an export to fail.

Each was tried with small weights under torch 2.13 and transformers 5; other architectures are simply tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MISSING = {
    "canine": "it joins characters in groups, whose number torch's exporter cannot keep open",
    "cpmant": "it puts a prompt of its own before the text, whose length torch's exporter then fixes",
    "funnel": "it pools the text between blocks, and torch's exporter fixes the length of the text",
    "longformer": "it parts the text into windows, whose number torch's exporter cannot keep open",
    "mamba": "its recurrence walks over the tokens in Python, and torch's exporter fixes their number",
    "mamba2": "its recurrence is cut into chunks, whose number torch's exporter cannot keep open",
    "nystromformer": "it takes texts of whole multiples of num_landmarks tokens alone, not of any length",
    "rwkv": "its recurrence walks over the tokens in Python, and torch's exporter fixes their number",
    "xlnet": "its relative positions use an operator on numbers that ONNX export does not have",
}


_BATCHES = {
    "pixtral": "it joins the patches of all pictures, whose number torch's exporter then fixes",
}

_RANDOM = {"vit_mae": "it hides a random part of each picture"}


def refuse_untraceable(config: Mapping[str, Any]) -> None:
    """Refuse a `config.json` of an architecture that cannot be exported.

    Raises:
        CompressError: what is missing, by the architecture's name.
    """
    kind = str(config.get("model_type", ""))
    if kind in _MISSING:
        message = f"'{kind}' models cannot be exported to ONNX with texts of any length: {_MISSING[kind]}"
        hint = "choose a model of another architecture (bert, modernbert, llama and most others export)"
        raise CompressError("architecture-untraceable", message, hint=hint)
    if kind in _BATCHES:
        message = f"'{kind}' models cannot be exported to ONNX for any number of items: {_BATCHES[kind]}"
        hint = "choose a model of another architecture (vit, siglip, dinov2 and most others export)"
        raise CompressError("architecture-untraceable", message, hint=hint)
    if kind in _RANDOM:
        message = f"'{kind}' models answer differently each time: {_RANDOM[kind]}"
        hint = "give the model that was fine-tuned from it"
        raise CompressError("outputs-random", message, hint=hint)


def refuse_grouped_experts(module: Any) -> None:
    """Refuse a mixture of experts that is no language model: `grouped_mm` has no counterpart in ONNX.

    Language models are exported with a cache, where experts have operators of their own.

    Raises:
        CompressError: the name of the module and of its experts.
    """
    # transformers marks classes whose experts it multiplies by groups with what its kernels have to know.
    grouped = (
        part for part in module.modules() if hasattr(part, "is_transposed") and hasattr(part, "has_gate")
    )
    experts = next(grouped, None)
    if experts is not None:
        message = f"{type(module).__name__} multiplies its experts ({type(experts).__name__}) by grouped_mm"
        hint = "ONNX export has no grouped_mm; such models are supported under --task text-generation alone"
        raise CompressError("architecture-untraceable", message, hint=hint)
