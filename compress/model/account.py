"""Account for every weight: which tensors of a checkpoint a module takes, and which weights they leave empty.

Names alone decide, so that a plan can tell before any weight is read. transformers' own rules rename a
checkpoint's tensors, tie weights and list what older versions stored and no version reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.model.empty import build_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_RECOMPUTED = (
    r"(^|\.)(rotary_emb|rotary_embeddings?|rotary_pos_emb)\.inv_freq$",
    r"(^|\.)position_ids$",
    r"(^|\.)embeddings\.token_type_ids$",
    r"(^|\.)(attn|attention|self_attn|self_attention)\.(masked_)?bias$",
    r"(^|\.)(causal_mask|attn_mask|cos_cached|sin_cached|_float_tensor)$",
    r"(^|\.)(relative_position_index|relative_coords_table|attention_bias_idxs)$",
)
"""Buffers that older versions of transformers stored and that modules compute: frequencies and numbers of
positions, causal masks (of GPT-2's kind), windows' relative places (Swin's), fairseq's record of a dtype. A
module that has a weight of such a name takes it, so that it never comes to this list."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """How a checkpoint's tensors and a module's weights correspond."""

    targets: Mapping[str, str]
    """The weight that each tensor goes to; several tensors may be fused into one weight."""
    converted: frozenset[str]
    """Weights that transformers computes from tensors (stacked, split, transposed) instead of copying one."""
    missing: tuple[str, ...]
    """Weights that no tensor fills, neither directly nor by being tied."""
    unused: tuple[str, ...]
    """Tensors that the module has no weight for and that are not known to be recomputed."""


def take_account(module: Any, names: Iterable[str]) -> Account:
    """Compare a checkpoint's tensor names with a transformers module, which may be on the meta device."""
    names = list(names)
    destinations = _destinations(module, names)
    converted = frozenset(weight for _, made in destinations.values() for weight in made)
    filled = _with_tied(module, converted.union(target for target, _ in destinations.values()))
    obsolete = _pattern([*_RECOMPUTED, *(getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ())])
    missing = [name for name in module.state_dict() if name not in filled]
    return Account(
        targets={name: target for name, (target, _) in destinations.items()},
        converted=converted,
        missing=needed_weights(module, missing),
        unused=tuple(name for name in names if name not in destinations and not obsolete.search(name)),
    )


def needed_weights(module: Any, names: Iterable[str]) -> tuple[str, ...]:
    """Select the weights that a module does not compute itself where a checkpoint lacks them.

    transformers' patterns name them as in the class with a head, whose names of the body have a prefix.
    """
    computed = _pattern(getattr(module, "_keys_to_ignore_on_load_missing", None) or ())
    prefix = f"{module.base_model_prefix}."
    return tuple(name for name in names if not computed.search(name) and not computed.search(prefix + name))


def map_tensors(module: Any, names: Iterable[str]) -> dict[str, str]:
    """Map each tensor of a checkpoint to the module's weight or buffer that it is loaded into.

    Args:
        module: a transformers module.
        names: the checkpoint's names of its tensors.

    Returns:
        The weight's name by the tensor's; tensors that go nowhere are left out.
    """
    return {name: target for name, (target, _) in _destinations(module, names).items()}


def _destinations(module: Any, names: Iterable[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Map each tensor to its weight, with all weights that its conversion makes (none: it is copied)."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    rules = get_model_conversion_mapping(module)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    outcomes = {pattern: rule.target_patterns for rule in converters for pattern in rule.source_patterns}
    known = module.state_dict()
    destinations = {}
    for name in names:
        target, pattern = rename_source_key(name, renamings, converters, module.base_model_prefix, known)
        if target not in known and name in known:
            target, pattern = name, None
        if target in known:
            destinations[name] = target, _made(target, outcomes.get(pattern, ()))
    return destinations


def _made(target: str, patterns: Sequence[str]) -> tuple[str, ...]:
    """Name the weights that a conversion makes, of which transformers names the first alone."""
    return tuple(target.replace(patterns[0], pattern) for pattern in patterns)


def known_elsewhere(module: Any, names: Iterable[str]) -> set[str]:
    """Select the tensors that another transformers class takes from the same configuration.

    Heads of pre-training (`cls.seq_relationship`) and poolers are such; a layer beyond
    `num_hidden_layers` is not, since no class of this configuration has it.
    """
    unexplained = list(names)
    explained: set[str] = set()
    for kind in _sibling_classes(module):
        if len(explained) == len(unexplained):
            break
        try:
            sibling = build_empty(kind, module.config)
        except CompressError:  # a class that this configuration does not fit explains no tensor
            continue
        explained |= set(map_tensors(sibling, unexplained))
    return explained


def _sibling_classes(module: Any) -> Iterator[Any]:
    """Give the classes that transformers' tables list for the same `model_type`, each once."""
    import transformers
    from transformers.models.auto import modeling_auto

    seen = {type(module).__name__}
    for table, mapping in sorted(vars(modeling_auto).items()):
        if not (table.startswith("MODEL_") and table.endswith("_MAPPING_NAMES")):
            continue
        listed = mapping.get(module.config.model_type) or ()
        for name in [listed] if isinstance(listed, str) else listed:
            if name not in seen and hasattr(transformers, name):
                seen.add(name)
                yield getattr(transformers, name)


def _with_tied(module: Any, filled: frozenset[str]) -> frozenset[str]:
    """Add the weights that are tied to a filled one; transformers ties in both directions."""
    groups: dict[str, set[str]] = {}
    for target, source in (getattr(module, "all_tied_weights_keys", None) or {}).items():
        groups.setdefault(source, {source}).add(target)
    shared = [group for group in groups.values() if group & filled]
    return filled.union(*shared)


def _pattern(patterns: Iterable[str]) -> re.Pattern[str]:
    """Join regular expressions; no expressions match nothing."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)")
