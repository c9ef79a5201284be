"""Check, before any weight is read, that a checkpoint is the model its files say it is.

Whatever a run would refuse about the model itself is refused here, from config.json, tensor headers and the
files of the tokenizer or processor; what a task leaves out on purpose is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError
from compress.model.account import take_account
from compress.model.complete import refuse_incomplete, refuse_misshapen, refuse_unknown
from compress.model.dry_run import refuse_unrunnable
from compress.model.inputs import inputs_of
from compress.model.load import empty_whole
from compress.model.outputs import refuse_outputs
from compress.model.parts import module_names, running_part
from compress.model.traceable import refuse_grouped_experts

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.model.resolve import Model


def check_identity(model: Model, *, note: Callable[[str], None]) -> None:
    """Refuse a checkpoint that is not whole, or of which the task runs a part that nobody asked for.

    Args:
        model: the checkpoint, its task and the headers of its tensors.
        note: told which modules are left out.

    Raises:
        CompressError: a weight is missing, of another shape or unknown, or half of the model would be lost.
    """
    task, tensors = model.task, model.tensors
    module = empty_whole(model.folder, task)
    account = take_account(module, tensors)
    refuse_misshapen(module, account, tensors)
    refuse_incomplete(module, task, account.missing)
    refuse_unknown(module, account.unused, body_alone=model.body_alone)
    idle = _idle_weights(module, task)
    if idle and not model.body_alone:
        message = f"{type(module).__name__} has an encoder and a decoder, which is not supported yet"
        hint = "pass --task feature-extraction to compress its encoder alone"
        raise CompressError("task-unsupported", message, hint=hint)
    part = running_part(module, task)
    if task != "text-generation":
        sample = inputs_of(part, model.folder).sample(batch=1, length=16, seed=0)
        refuse_outputs(part, task)
        refuse_grouped_experts(part)
    else:
        _refuse_reading_ahead(module)
        sample = {"input_ids": torch.zeros(1, 16, dtype=torch.int64)}
    refuse_unrunnable(part, sample, folder=model.folder, task=task)
    if left_out := {name: tensors[name].elements for name in account.unused} | idle:
        note(f"left out, as {task} does not use it: {module_names(left_out)}")


def _refuse_reading_ahead(module: Any) -> None:
    """Refuse a model that attends to what follows a token: it cannot write a text token by token.

    Raises:
        CompressError: its attention is bidirectional.
    """
    if getattr(module.config.get_text_config(), "use_bidirectional_attention", None) is True:
        message = f"{type(module).__name__} attends to the tokens that follow (use_bidirectional_attention)"
        hint = "pass --task feature-extraction if it embeds texts, or set it to false in config.json"
        raise CompressError("task-unsupported", message, hint=hint)


def _idle_weights(module: Any, task: str) -> dict[str, int]:
    """Count the elements of each weight that is not in the part that runs for a task."""
    running = {id(weight) for weight in running_part(module, task).parameters()}
    weights = module.named_parameters()
    return {name: weight.numel() for name, weight in weights if id(weight) not in running}
