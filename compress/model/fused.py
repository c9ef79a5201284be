"""Parameters that a checkpoint holds in parts, such as experts one by one, put together.

transformers' own rules say which tensors a parameter is made of, in which order, and how: the same as when
it loads the checkpoint.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Parts:
    """What of a checkpoint, whose tensors are called `names`, each parameter of `module` is made of.

    Tensors called `NAME.0`, `NAME.1` ... are the slices of a tensor `NAME` that the checkpoint had.

    Attributes:
        sources: the tensors by parameter, in their order.
    """

    def __init__(self, module: Any, names: Iterable[str]) -> None:
        """Find all of them.

        Raises:
            CompressError: some parameter is made of none.
        """
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightConverter, WeightRenaming

        self._module = module
        rules = get_model_conversion_mapping(module)
        self._renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        self._converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
        self._patterns: dict[str, str | None] = {}
        self._sliced: set[str] = set()
        self.sources: dict[str, list[str]] = {}
        known = module.state_dict()
        for name in sorted(names, key=_natural):
            self._add(name, known)
        for parameter, _ in module.named_parameters():
            if parameter not in self.sources:
                message = f"the checkpoint stores no tensor for '{parameter}', expected one"
                raise CompressError("weights-missing", message, hint="save it again")

    def _add(self, name: str, known: dict[str, torch.Tensor]) -> None:
        slice_of = re.fullmatch(r"(.+)\.\d+", name)
        whole = slice_of[1] if slice_of else name
        target, pattern = self._target(whole, known)
        if target not in known:
            return
        self._patterns[target] = pattern
        self.sources.setdefault(target, []).append(name)
        if slice_of:
            self._sliced.add(target)

    def _target(self, name: str, known: dict[str, torch.Tensor]) -> tuple[str, str | None]:
        from transformers.core_model_loading import rename_source_key

        prefix = self._module.base_model_prefix
        target, pattern = rename_source_key(name, self._renamings, self._converters, prefix, known)
        return (name, None) if target not in known and name in known else (target, pattern)

    def made(self, parameter: str, value: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """The parameter of the tensors that `value` gives by name."""
        names, pattern = self.sources[parameter], self._patterns[parameter]
        if parameter in self._sliced:
            return torch.stack([value(name) for name in names])
        if pattern is None:
            return value(names[0])
        converter = deepcopy(next(one for one in self._converters if pattern in one.source_patterns))
        for name in names:
            _, own = self._target(name, {parameter: torch.empty(0)})
            converter.add_tensor(parameter, name, own or pattern, value(name))
        config = self._module.config
        made: torch.Tensor = converter.convert(parameter, model=self._module, config=config)[parameter]
        return made


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `experts.10` behind `experts.9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]
