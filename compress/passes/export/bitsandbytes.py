"""A checkpoint whose linear layers are LLM.int8 or NF4, as transformers loads it with bitsandbytes.

Dettmers et al. 2022, LLM.int8() (arXiv:2208.07339), and 2023, QLoRA's NF4 (arXiv:2305.14314). Both round
without calibration; `quantize.gptq` loses less at the same size. What is written is for PyTorch: the model
itself goes on unchanged, and the new checkpoint stands beside it in `bitsandbytes/`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

import torch

from compress.core.artifact import BITSANDBYTES_FOLDER, ArtifactKind
from compress.core.config import Frozen
from compress.core.distribution import install_extra
from compress.core.errors import CompressError
from compress.model.load import refuse_not_finite
from compress.model.quiet import quiet_transformers
from compress.model.safety import read_json
from compress.model.sidecars import copy_sidecars
from compress.model.tasks import model_class

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT
LIBRARY = "bitsandbytes"

FOLDER = BITSANDBYTES_FOLDER


class Config(Frozen):
    """`bits` 8 is LLM.int8, 4 is NF4 with its scales quantized once more."""

    bits: Literal[4, 8] = 8
    outlier_threshold: float = 6.0
    """Of LLM.int8: input features that exceed it are computed in 16 bits."""
    skip: tuple[str, ...] = ()
    """Names of modules that stay as they are, beside the head."""


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return False


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Write `bitsandbytes/`, and read it back.

    Raises:
        CompressError: bitsandbytes is not installed, or the model has no linear layer that it takes.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CompressError(
            "extra-missing",
            "export.bitsandbytes needs bitsandbytes",
            hint=install_extra("bitsandbytes"),
        )
    refuse_not_finite(artifact.folder)
    folder = context.folder / FOLDER
    kind = model_class(artifact.task, read_json(artifact.folder / "config.json", code="config-missing"))
    with context.progress.track("Rounding with bitsandbytes"), quiet_transformers():
        module = _loaded(kind, artifact.folder, quantization_config=_settings(config), dtype=torch.float16)
        _refuse_untouched(module)
        module.save_pretrained(folder)  # before any forward: on processors bitsandbytes repacks in one
    copy_sidecars(artifact.folder, folder, text=True, skip=["config.json"])
    with quiet_transformers():
        _refuse_untouched(_loaded(kind, folder))
    return artifact.at(context.folder)


def _settings(config: Config) -> Any:
    from transformers import BitsAndBytesConfig

    skipped = list(config.skip) or None
    if config.bits == 8:
        return BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=config.outlier_threshold, llm_int8_skip_modules=skipped
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float16,
        llm_int8_skip_modules=skipped,
    )


def _loaded(kind: Any, folder: Path, **settings: Any) -> Any:
    return kind.from_pretrained(
        folder,
        device_map="cpu",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        **settings,
    ).eval()


def _refuse_untouched(module: torch.nn.Module) -> None:
    """Raises CompressError where no layer became one of bitsandbytes'."""
    if not any(type(one).__module__.startswith("bitsandbytes") for one in module.modules()):
        message = "the model has no linear layer that bitsandbytes takes"
        raise CompressError("nothing-to-quantize", message, hint="leave export.bitsandbytes out")
