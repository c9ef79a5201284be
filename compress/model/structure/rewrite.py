"""A changed module as a checkpoint again, read back and compared."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compress.core.errors import InternalError
from compress.model.empty import build_empty
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from compress.model.parts import running_part
from compress.model.quiet import quiet_transformers
from compress.model.structure.outputs import answer
from compress.model.structure.widths import Widths, differences, write_widths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

_TOLERANCE = 1e-3
"""Largest difference of answers, as a share of their largest value, of a module and itself read again."""


def save_changed(whole: torch.nn.Module, config: Any, source: Path, target: Path, *, task: str) -> Widths:
    """Write `whole` with `config` into `target`, read it again and compare. `source` has its tokenizer or
    processor. Returns the widths that the configuration does not tell, which lie in `widths.json`.

    Raises:
        InternalError: what is read from `target` answers otherwise than `whole` does.
    """
    widths = differences(build_empty(type(whole), config), whole)
    with _configured(whole, config), quiet_transformers():
        whole.save_pretrained(target)
    write_widths(widths, target, replaces=source)
    _compare(running_part(whole, task), load_module(target, task), source)
    return widths


@contextmanager
def _configured(whole: torch.nn.Module, config: Any) -> Iterator[None]:
    before = whole.config
    whole.config = config
    try:
        yield
    finally:
        whole.config = before


def _compare(module: torch.nn.Module, again: torch.nn.Module, source: Path) -> None:
    sample = inputs_of(module, source).sample(batch=2, length=16, seed=0)
    for one in (module, again):
        if hasattr(one, "set_attn_implementation"):
            one.set_attn_implementation("eager")
    expected, found = answer(module, sample).values, answer(again, sample).values
    apart = (expected - found).abs().max().item() / max(expected.abs().max().item(), 1e-9)
    if not apart <= _TOLERANCE:
        message = (
            f"the pruned model reads back otherwise than it was written ({apart:.2g} of its range apart)"
        )
        raise InternalError("prune-mismatch", message, hint="leave this step out, and report the model")
