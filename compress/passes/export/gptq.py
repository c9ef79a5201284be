"""A quantized checkpoint in the layout of AutoGPTQ, which GPTQModel, transformers and vLLM load.

For a linear layer of K inputs and N outputs in G groups: `qweight` int32 (K * bits / 32, N) and `qzeros`
int32 (G, N * bits / 32) are codes as `numerics.words` packs them; `scales` fp16 (G, N); `g_idx` int32 (K,)
the group of each input. Everything else is fp16, the embedding and the head with their rounded values.
Matrices with other bits than most are listed by name under `dynamic` in the configuration, as GPTQModel
writes them; so are those of the blocks that stayed as they were, and the others then under
`modules_in_block_to_quantize`, transformers' key. Without either GPTQModel refuses what it takes for missing,
and transformers goes on with matrices of nothing.

Where all matrices are symmetric their zeros are stored less one, as AutoGPTQ did (`checkpoint_format`
"gptq"); else as they are ("gptq_v2"). Why: less one, a zero at the lowest code has no place, and GPTQModel
takes what is not symmetric of the first version from itself alone. GPTQModel reads both, for transformers
too; vLLM does since its pull request 26092 (October 2025), and before took the second for the first.

Groups are static, so `g_idx` is in order and `desc_act` false. Readers that want K to be a multiple of the
group (vLLM's Marlin kernels) refuse a last group that is short; GPTQModel's `TorchLinear` reads it.

Read by GPTQModel 7.6.0 with torch 2.13 and transformers 5.24, on a processor: `TorchLinear` has the same fp16
values in 2, 3, 4 and 8 bits, symmetric and not (`tests/model/test_gptqmodel.py`). The kernels that it chooses
itself there for 4 bits fail on groups of 16 and short ones, and take all zeros of rows for 8, silently: ask
for `BACKEND.GPTQ_TORCH` then. It names parts of Phi-3, Mixtral and GPT-NeoX in its own way and does not find
theirs; transformers reads the first and the last, but no mixed bits, experts or GPT-2. By its source, vLLM
looks `dynamic` up by its fused layers (`qkv_proj`), so it finds no rule for their parts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file

from compress.core.artifact import GPTQ_FOLDER, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.model.dequantize import original_orientation
from compress.model.quantized import QuantizedCheckpoint
from compress.model.safety import SINGLE, read_json, write_shard_index
from compress.model.sidecars import copy_sidecars
from compress.numerics.words import pack_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from compress.core.artifact import Advance, Artifact, Context
    from compress.model.quantized import Layout, QuantizedMatrix

ACCEPTS = ArtifactKind.QUANTIZED
PRODUCES = ArtifactKind.QUANTIZED
STREAMS = True

FOLDER = GPTQ_FOLDER
"""Where the layout is written, beside what it was made from."""

_FIRST, _SECOND = "gptq", "gptq_v2"
"""Versions of the layout."""

_SIZES = (-1, 16, 32, 64, 128, 256, 512, 1024)
"""Columns of a group that GPTQModel's kernels take; -1: rows."""

Tensors = dict[str, torch.Tensor]


class Config(Frozen):
    """How large a file may grow."""

    shard_bytes: int = 2_000_000_000


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
    """Write `checkpoint/`.

    Raises:
        CompressError: the matrices of the blocks differ in groups, or hold what the layout cannot.
    """
    source = QuantizedCheckpoint(artifact.folder)
    packed = {name: one for name, one in source.layouts.items() if name not in source.tables}
    setting = _setting(packed, source.left)
    less = 1 if setting["checkpoint_format"] == _FIRST else 0
    folder = context.folder / FOLDER
    folder.mkdir()
    parts = (
        pack_matrix(name, source.matrix(name), less=less) if name in packed else _plain(source, name)
        for name in [*source.layouts, *source.others]
    )
    with context.progress.track("Packing", len(source.layouts) + len(source.others)) as advance:
        _write(_counted(parts, advance), folder, config.shard_bytes)
    copy_sidecars(artifact.folder, folder, text=True)
    _configure(folder, setting)
    return artifact.at(context.folder)


def _setting(layouts: Mapping[str, Layout], left: list[str]) -> dict[str, Any]:
    """What readers must know of matrices that are quantized, and of those that were `left` as they are."""
    if not layouts:
        raise CompressError("nothing-to-export", "no matrix is quantized", hint="quantize.gptq goes before")
    setting = _common(layouts)
    if left:
        setting["dynamic"] = setting.get("dynamic", {}) | {_rule("-", name): {} for name in left}
        setting["modules_in_block_to_quantize"] = [[_layer(name) for name in layouts]]
    return setting


def _common(layouts: Mapping[str, Layout]) -> dict[str, Any]:
    """The setting of most matrices, and under `dynamic` (GPTQModel's key) that of the others, by layers."""
    size = _group_size(layouts)
    kinds = {name: (one.bits, one.symmetric) for name, one in layouts.items()}
    ((bits, symmetric), _), *others = Counter(kinds.values()).most_common()
    setting: dict[str, Any] = {"bits": bits, "group_size": size, "sym": symmetric}
    setting["checkpoint_format"] = _FIRST if all(own for _, own in kinds.values()) else _SECOND
    if others:
        setting["dynamic"] = {
            _rule("+", name): {"bits": own, "group_size": size, "sym": centred}
            for name, (own, centred) in kinds.items()
            if (own, centred) != (bits, symmetric)
        }
    return setting


def _group_size(layouts: Mapping[str, Layout]) -> int:
    """Of all matrices; -1: a row."""
    sizes = {one.group_size for one in layouts.values() if one.groups > 1}
    size = min(sizes, default=-1)
    narrow = size < 0 or all(one.shape[1] <= size for one in layouts.values() if one.groups == 1)
    if len(sizes) > 1 or not narrow:
        message = f"matrices have groups of {sorted(sizes)} columns"
        raise _unholdable(message, hint="this layout needs one group size for all")
    if size not in _SIZES:
        raise _unholdable(f"groups of {size} columns", hint=f"GPTQModel reads groups of {_SIZES[1:]} columns")
    return size


def _rule(sign: str, name: str) -> str:
    """What matches the layer of a weight alone: `+` with a setting of its own, `-` not quantized."""
    return f"{sign}:^{re.escape(_layer(name))}$"


def _layer(name: str) -> str:
    return name.removesuffix(".weight")


def _plain(source: QuantizedCheckpoint, name: str) -> Tensors:
    if name not in source.layouts:
        return {name: _half(name, source.tensor(name))}
    return {name: _half(name, original_orientation(source.matrix(name)))}


def pack_matrix(name: str, matrix: QuantizedMatrix, *, less: int) -> Tensors:
    """The four tensors of the matrix of a weight `name` (`...q_proj.weight`), its zeros `less` 1 or 0.

    Raises:
        CompressError: the layout cannot hold its sizes, scales, or name.
    """
    layout = matrix.layout
    rows, columns = layout.shape
    if not name.endswith(".weight"):
        raise _unholdable(f"'{name}' is a slice of a tensor, no layer", hint="experts of this kind: use ONNX")
    if rows * layout.bits % 32 or columns * layout.bits % 32:
        message = f"'{name}' is {rows} x {columns}: {layout.bits}-bit codes do not fill 32-bit words"
        raise _unholdable(message, hint="exclude it")
    zeros = matrix.zeros.numpy() - np.uint8(less)
    stem = name.removesuffix("weight")
    return {
        f"{stem}qweight": torch.from_numpy(pack_words(matrix.codes.numpy().T, bits=layout.bits)),
        f"{stem}qzeros": torch.from_numpy(pack_words(zeros, bits=layout.bits).T.copy()),
        f"{stem}scales": _half(name, matrix.scales.T),
        f"{stem}g_idx": torch.arange(columns, dtype=torch.int32) // layout.group_size,
    }


def _half(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """fp16, as kernels of this layout compute; what is no number (or an integer) stays.

    Raises:
        CompressError: a finite number is out of fp16's range.
    """
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise _unholdable(f"'{name}' holds numbers out of fp16's range", hint="this model needs bfloat16")
    return half.contiguous()


def _unholdable(message: str, *, hint: str) -> CompressError:
    return CompressError("gptq-layout", message, hint=hint)


def _counted(parts: Iterable[Tensors], advance: Advance) -> Iterator[Tensors]:
    for part in parts:
        yield part
        advance()


def _write(parts: Iterable[Tensors], folder: Path, limit: int) -> None:
    """One file, or several of `limit` bytes and their index."""
    files: list[list[str]] = []
    held: Tensors = {}
    for part in parts:
        if held and _bytes(held) + _bytes(part) > limit:
            files.append(_save(held, folder, len(files)))
            held = {}
        held |= part
    files.append(_save(held, folder, len(files)))
    _name(files, folder)


def _bytes(tensors: Tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _save(tensors: Tensors, folder: Path, number: int) -> list[str]:
    save_file(tensors, folder / f"{number}.part", metadata={"format": "pt"})
    return list(tensors)


def _name(files: list[list[str]], folder: Path) -> None:
    if len(files) == 1:
        (folder / "0.part").rename(folder / SINGLE)
        return
    places: dict[str, str] = {}
    for number, names in enumerate(files):
        name = f"model-{number + 1:05}-of-{len(files):05}.safetensors"
        (folder / f"{number}.part").rename(folder / name)
        places |= dict.fromkeys(names, name)
    write_shard_index(folder, places)


def _configure(folder: Path, setting: dict[str, Any]) -> None:
    """`quantization_config` where transformers and vLLM look, `quantize_config.json` where AutoGPTQ does."""
    written = {
        **setting,
        "quant_method": "gptq",
        "desc_act": False,
        "static_groups": True,
        "true_sequential": False,
        "damp_percent": 0.01,
        "lm_head": False,
    }
    config = read_json(folder / "config.json", code="config-missing")
    config = {**config, "dtype": "float16", "torch_dtype": "float16", "quantization_config": written}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf8")
    other = {**written, "model_name_or_path": None, "model_file_base_name": "model"}
    (folder / "quantize_config.json").write_text(json.dumps(other, indent=2), encoding="utf8")
