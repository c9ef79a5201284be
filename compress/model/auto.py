"""What transformers makes of the files in a folder, without running code of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.foreign import translated
from compress.model.quiet import quiet_transformers

if TYPE_CHECKING:
    from pathlib import Path


def auto_config(folder: Path) -> Any:
    """Read `config.json` as transformers does.

    Raises:
        CompressError: transformers does not know the kind of model, or cannot read a value.
    """
    from transformers import AutoConfig

    message = f"transformers cannot read {folder / 'config.json'}"
    with translated("model-unloadable", message, hint="check config.json"), quiet_transformers():
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
