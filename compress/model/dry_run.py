"""Run a module without its weights, to see before a run whether it takes what its processor makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from compress.model.inputs import on_own_inputs
from compress.model.quiet import quiet_transformers
from compress.model.structure.hollow import hollow_module

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def refuse_unrunnable(
    module: torch.nn.Module, sample: Mapping[str, torch.Tensor], *, folder: Path, task: str
) -> None:
    """Refuse a module that does not run on its inputs.

    The forward costs no arithmetic on the meta device. Models that ask for values fail there, so that only a
    failure of the hollow module, whose weights are numbers, counts.

    Args:
        module: the part that runs for the task, on the meta device.
        sample: inputs as the tokenizer or processor makes them: ids (B, T) int64, or pixels or sound float32.
        folder: the checkpoint.
        task: its task.

    Raises:
        CompressError: it fails, as where a processor's image size is not the model's.
    """
    if _runs_on_meta(module, sample):
        return
    hollow = hollow_module(folder, task)
    with on_own_inputs(hollow, sample), quiet_transformers(), torch.inference_mode():
        hollow(**sample, return_dict=True)


def _runs_on_meta(module: Any, sample: Mapping[str, torch.Tensor]) -> bool:
    feeds = {name: tensor.to("meta") for name, tensor in sample.items()}
    training = module.training
    try:
        with quiet_transformers(), torch.no_grad():
            module.eval()(**feeds, return_dict=True)
    except Exception:  # models raise anything where they ask the meta device for values
        return False
    finally:
        module.train(training)
    return True
