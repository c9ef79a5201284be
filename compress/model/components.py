"""Which part of a model a tensor belongs to, by the name that transformers' modules give it."""

from __future__ import annotations

import re

_NORM = re.compile(r"(^|_)(layer_?norm|layrnorm|norm|ln|normalization|batch_?norm|bn)(_|\d|$)|norm\d*$")
_ATTENTION = re.compile(r"attn|attention")
_FFN = re.compile(
    r"^(mlp|ffn|ffn_output|feed_forward|intermediate|densereludense|experts?|fc1|fc2|c_fc|pwconv\d|ff)$"
    r"|^(gate|up|down|gate_up)_proj$"
)
_HEAD = re.compile(
    r"^(lm_head|qa_outputs|score|cls|pooler|head|heads|projector|logits|(pre_)?classifier|"
    r"(text|visual|audio)_projection|.*_head)$"
)
_EMBEDDING = re.compile(r"embed|^(wte|wpe|shared|cls_token|mask_token|distillation_token)$")


def component_of(name: str) -> str:
    """`embedding`, `attention`, `ffn`, `head` or `other` (norms, convolutions) for a tensor's name.

    Example: `encoder.layer.3.output.dense.weight` is of the `ffn`.
    """
    parts = [part.lower() for part in name.split(".")]
    module = next((part for part in reversed(parts[:-1]) if not part.isdigit()), "")
    if _NORM.search(module):
        return "other"
    for component, pattern in (("attention", _ATTENTION), ("ffn", _FFN), ("head", _HEAD)):
        if any(pattern.search(part) for part in parts):
            return component
    if any(_EMBEDDING.search(part) for part in parts):
        return "embedding"
    # BERT's second feed-forward matrix: `layer.3.output.dense`, beside `layer.3.attention.output.dense`.
    inside = len(parts) > 3 and parts[-3:-1] == ["output", "dense"] and parts[-4].isdigit()
    return "ffn" if inside else "other"
