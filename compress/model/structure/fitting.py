"""The configuration that makes a changed module's shapes, where there is one.

Which keys of a configuration say how deep or wide a model is differs by architecture. They are found by
trial: a key that holds the old number is set to the new one, the module is built without weights, and what
it would need is compared with what is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.model.empty import build_empty
from compress.model.structure.stack import linears
from compress.model.structure.widths import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    Values = dict[str, Any]
    Path = tuple[str, ...]

_DEPTH = re.compile(r"layer|depth|block")
_WIDTH = re.compile(r"inner|intermediate|ffn|ff|hidden|mlp")
_HEADS = re.compile(r"head(?!.*(dim|size))")


def depth_config(whole: torch.nn.Module, config: Any, *, keep: Sequence[int], depth: int) -> Any:
    """The configuration of `whole`, from which all blocks but `keep` of `depth` were taken.

    Lists with an entry for each layer lose the same entries.

    Raises:
        CompressError: no number in the configuration makes a module with the tensors of `whole`.
    """
    wanted = whole.state_dict().keys()
    for path, value in _leaves(config.to_dict()):
        if value == depth and _DEPTH.search(path[-1]):
            values = _shortened(config.to_dict(), keep, depth)
            candidate = _made(whole, config, _with(values, {path: len(keep)}))
            if candidate is not None and candidate[1].state_dict().keys() == wanted:
                return candidate[0]
    message = f"{type(config).__name__} cannot describe {type(whole).__name__} with the blocks {list(keep)}"
    hint = "keep the first block: it may hold what the others share"
    raise CompressError("structure-unsupported", message, hint=hint)


def ffn_config(whole: torch.nn.Module, config: Any, *, old: int, new: int) -> Any:
    """The configuration with feed-forward layers `new` wide and not `old`; `config` itself where no key
    of it says so.
    """
    edits = [{path: new} for path, value in _leaves(config.to_dict()) if value == old]
    unset = [path for path, value in _leaves(config.to_dict()) if value is None]
    edits += [{path: new} for path in unset if _WIDTH.search(path[-1])]
    return _best(whole, config, edits)


def heads_config(whole: torch.nn.Module, config: Any, *, old: int, new: int) -> Any:
    """The configuration with `new` of `old` groups of heads, and the width of a head spelled out;
    `config` itself where it cannot be said.
    """
    leaves = dict(_leaves(config.to_dict()))
    counts = {
        path: value // old * new
        for path, value in leaves.items()
        if type(value) is int and value >= old and value % old == 0 and _HEADS.search(path[-1])
    }
    edits = [counts, *({path: value} for path, value in counts.items())]
    heads, hidden = getattr(config, "num_attention_heads", None), getattr(config, "hidden_size", None)
    if isinstance(heads, int) and isinstance(hidden, int):
        edits.append({**counts, ("head_dim",): hidden // heads})
    fitted = _best(whole, config, edits)
    # Anything less than a fit in all layers means that the width of a head changed with their number.
    return config if _differing(build_empty(type(whole), fitted), whole) else fitted


def _best(whole: torch.nn.Module, config: Any, edits: Sequence[dict[Path, Any]]) -> Any:
    best, least = config, _differing(build_empty(type(whole), config), whole)
    for edit in edits:
        candidate = _made(whole, config, _with(config.to_dict(), edit))
        left = least if candidate is None else _differing(candidate[1], whole)
        if candidate is not None and left < least:
            best, least = candidate[0], left
    return best


def _differing(built: torch.nn.Module, whole: torch.nn.Module) -> int:
    """How many dense layers are of another shape; more than there are, where anything else is."""
    ours, theirs = whole.state_dict(), built.state_dict()
    dense = {f"{name}.{part}" for name in linears(whole) for part in ("weight", "bias")}
    if ours.keys() != theirs.keys():
        return len(ours) + 1
    if any(ours[name].shape != theirs[name].shape for name in ours.keys() - dense):
        return len(ours) + 1
    return len(differences(built, whole).linears)


def _made(whole: torch.nn.Module, config: Any, values: Values) -> tuple[Any, torch.nn.Module] | None:
    """The configuration of these values and its module; None where they contradict each other."""
    try:
        made = type(config).from_dict(values)
        return made, build_empty(type(whole), made)
    except Exception:  # a trial: configurations raise whatever they check
        return None


def _leaves(values: Values, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        elif value is None or type(value) is int:
            yield (*path, name), value


def _with(values: Values, edit: dict[Path, Any]) -> Values:
    for path, value in edit.items():
        inner = values
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
    return values


def _shortened(values: Values, keep: Sequence[int], depth: int) -> Values:
    short: Values = {}
    for name, value in values.items():
        if isinstance(value, dict):
            short[name] = _shortened(value, keep, depth)
        elif isinstance(value, list) and len(value) == depth and _DEPTH.search(name):
            short[name] = [value[index] for index in keep]
        else:
            short[name] = value
    return short
