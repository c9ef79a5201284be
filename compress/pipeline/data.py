"""The user's data as one model reads it: its columns, its classes, its conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.items import load_items
from compress.data.label_map import read_label_map
from compress.data.labels import class_ids
from compress.runtime.conversations import ConversationWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.settings import Settings
    from compress.data.items import Items


def read_items(
    settings: Settings, *, task: str, modality: str | None, config: Mapping[str, Any], folder: Path
) -> Items:
    """Read what the settings name for a model with this `config`, whose chat template is in `folder`.

    Raises:
        CompressError: The data is missing, empty or does not fit the task, or labels cannot be mapped.
    """
    return load_items(
        settings.data,
        task=task,
        modality=modality,
        columns=columns_of(settings.column),
        offline=settings.offline,
        limit=settings.limit,
        write_chat=ConversationWriter(folder),
        **label_options(settings, config),
    )


def label_options(settings: Settings, config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what tells which classes of a model with this `config` the labels are."""
    return {
        "labels": class_ids(config),
        "problem": config.get("problem_type"),
        "label_map": read_label_map(settings.label_map),
    }


def data_notes(items: Items) -> list[str]:
    """Say how the data was read, as far as a user should know it."""
    return [*items.notes, *([items.label_map.describe()] if items.label_map else [])]


def columns_of(given: Sequence[str]) -> dict[str, str]:
    """`["label=sentiment"]` as a mapping.

    Raises:
        CompressError: one has no `=`.
    """
    for pair in given:
        if "=" not in pair:
            message = f"'{pair}' names no column"
            raise CompressError("column-invalid", message, hint="write --column label=sentiment")
    return dict(pair.split("=", 1) for pair in given)
