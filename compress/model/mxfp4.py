"""A checkpoint whose experts are in MXFP4, as GPT-OSS is published, to one in bfloat16, which holds the same
values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from compress.core.cached import Momentary, take
from compress.core.errors import CompressError
from compress.core.paths import folder_digest
from compress.model.safety import read_json, write_shard_index
from compress.model.sidecars import copy_sidecars
from compress.model.tensors import StoredTensors
from compress.numerics.mxfp4 import BLOCK, dequantize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCKS, _SCALES = "_blocks", "_scales"


def is_mxfp4(config: dict[str, Any]) -> bool:
    """Whether a `config.json` is of a checkpoint that is read here."""
    quantization = config.get("quantization_config") or {}
    return config.get("model_type") == "gpt_oss" and quantization.get("quant_method") == "mxfp4"


def mxfp4_folder(folder: Path, *, cache: Path, note: Callable[[str], None]) -> Path:
    """Write the checkpoint in `folder` in bfloat16 below `cache`, once, one tensor at a time.

    Raises:
        CompressError: a file is damaged, or codes lack their scales, or these do not fit.
    """
    target = cache / "mxfp4" / folder_digest(folder)[:24]

    def make(beside: Path, lock: int) -> None:
        note(
            Momentary(
                "writing its experts in bfloat16 instead of MXFP4: the same values, four times the size"
            )
        )
        _write(folder, beside)

    take(target, make, name="checkpoint in bfloat16", note=note).keep()
    return target


def _write(folder: Path, target: Path) -> None:
    places: dict[str, str] = {}
    for number, tensors in enumerate(_parts(StoredTensors(folder))):
        file = f"part-{number:05}.safetensors"
        save_file(tensors, target / file, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, file)
    write_shard_index(target, places)
    copy_sidecars(folder, target, text=True)
    config = read_json(folder / "config.json", code="config-missing")
    del config["quantization_config"]
    (target / "config.json").write_text(json.dumps(config, indent=2), encoding="utf8")


def _parts(stored: StoredTensors) -> Iterator[dict[str, torch.Tensor]]:
    """What each new file holds: plain tensors as they lie in a file, experts one tensor each."""
    packed = sorted(name.removesuffix(_BLOCKS) for name in stored.files if name.endswith(_BLOCKS))
    used = {name + part for name in packed for part in (_BLOCKS, _SCALES)}
    for path in dict.fromkeys(stored.files.values()):
        plain = [name for name, place in stored.files.items() if place == path and name not in used]
        if plain:
            yield {name: stored.tensor(name) for name in plain}
    for name in packed:
        yield {name: _experts(name, stored.tensor(name + _BLOCKS), stored.tensor(name + _SCALES))}


def _experts(name: str, blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """bfloat16 (E, K, N), as transformers holds them, of codes (E, N, K/32, 16) and scales (E, N, K/32)."""
    if blocks.ndim != 4 or blocks.shape[-1] != BLOCK // 2 or blocks.shape[:-1] != scales.shape:
        message = f"'{name}' has codes {tuple(blocks.shape)} and scales {tuple(scales.shape)}"
        raise CompressError("weights-invalid", message, hint="download it again")
    experts, rows, groups = scales.shape
    made = torch.empty(experts, groups * BLOCK, rows, dtype=torch.bfloat16)
    for expert in range(experts):
        values = dequantize(blocks[expert].numpy(), scales[expert].numpy())
        made[expert] = torch.from_numpy(values).T
    return made
