"""The processor's file beside a model of images or sound, whichever of its names and ages it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.runtime.files import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def processor_settings(folder: Path, *, part: str, known: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The processor's kind without `ImageProcessor` or `FeatureExtractor` (`ViT`, `Wav2Vec2`), and its
    settings.

    `part` is where a joint processor_config.json nests them (`image_processor`, `feature_extractor`);
    `known` gives the kind by `model_type`, for files of 2021 that do not name it.

    Raises:
        CompressError: there is no processor's file, or it names no kind.
    """
    settings = read_settings(folder / "preprocessor_config.json")
    settings = settings or read_settings(folder / "processor_config.json").get(part) or {}
    if not settings:
        hint = "save it with AutoProcessor.from_pretrained(MODEL).save_pretrained(FOLDER)"
        raise CompressError("processor-missing", f"{folder} has no preprocessor_config.json", hint=hint)
    written = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    if written:
        return re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", written), settings
    model_type = str(read_settings(folder / "config.json").get("model_type"))
    if model_type not in known:
        message = f"{folder} does not say which processor its model '{model_type}' has"
        raise CompressError("processor-unsupported", message, hint="save the processor with transformers 5")
    return known[model_type], settings


def unsupported(kind: str, known: Mapping[str, Any]) -> CompressError:
    """The error for a processor whose steps are not written here."""
    message = f"no support for the processor '{kind}'"
    return CompressError("processor-unsupported", message, hint=f"supported: {', '.join(sorted(known))}")
