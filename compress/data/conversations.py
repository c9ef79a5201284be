"""Columns of conversations: lists of turns as chat models are trained on, written as text by a template."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.several import literal
from compress.data.table import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.data.table import Table

    Turn = Mapping[str, Any]
    """One turn: `role` and `content`."""
    WriteChat = Callable[[Sequence[Turn]], str]
    """Writes turns as the text that a model was trained on."""

_NAMES = ("messages", "conversations", "conversation", "chat", "dialogue", "dialog", "turns")
_KEYS = (("role", "content"), ("from", "value"))
"""Of a turn: as OpenAI's files have them, and as ShareGPT's."""
_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function": "tool",
    "observation": "tool",
}
_LOOK = 20


def conversation_column(table: Table, given: str | None) -> str | None:
    """Find the column of conversations that is to be read as text.

    Args:
        table: The rows as they were written.
        given: The column that the user named, if any.

    Returns:
        Its name; None where text is in another column, or no column holds conversations.
    """
    if given is not None:
        return given if _holds_turns(table, given) else None
    if "text" in table.names:
        return None
    known = {name.strip().lower(): name for name in (*table.nested, *table.names)}
    names = [known[name] for name in _NAMES if name in known]
    return next((name for name in names if _holds_turns(table, name)), None)


def with_text(table: Table, column: str, write: WriteChat) -> Table:
    """Replace the turns of each conversation by its text.

    Raises:
        CompressError: A cell is no conversation, or the model has no template for them.
    """
    try:
        rows = tuple(
            {**row, column: write(_turns(value_of(row, column), place, column))}
            for row, place in zip(table.rows, table.places, strict=True)
        )
    except CompressError as error:
        if error.code != "chat-unsupported":
            raise
        message = f"column '{column}' holds conversations, and they cannot be written: {error.message}"
        hint = "give text instead, or a chat template beside the tokenizer (chat_template.jinja)"
        raise CompressError("chat-unsupported", message, hint=hint) from None
    origin = {**table.origin, column: f"{column} (conversations, by the model's chat template)"}
    return replace(table, rows=rows, origin=origin)


def _holds_turns(table: Table, column: str) -> bool:
    lists = [_list(value_of(row, column)) for row in table.rows[:_LOOK]]
    return bool(lists) and all(isinstance(turns, list) and turns and _keys(turns[0]) for turns in lists)


def _list(value: Any) -> Any:
    return literal(value) if isinstance(value, str) and value.lstrip().startswith("[") else value


def _keys(turn: Any) -> tuple[str, str] | None:
    """Find what a turn calls its role and its content."""
    if not isinstance(turn, dict):
        return None
    return next((keys for keys in _KEYS if all(key in turn for key in keys)), None)


def _turns(value: Any, place: str, column: str) -> list[dict[str, Any]]:
    turns = _list(value)
    if not isinstance(turns, list) or not turns:
        raise _no_turns(place, column)
    return [_turn(turn, place, column) for turn in turns]


def _turn(turn: Any, place: str, column: str) -> dict[str, Any]:
    keys = _keys(turn)
    if keys is None:
        raise _no_turns(place, column)
    role, content = str(turn[keys[0]]), turn[keys[1]]
    if isinstance(content, list):  # parts, as models of several modalities have them
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    others = {key: value for key, value in turn.items() if key not in keys and value is not None}
    # Templates are given JSON's types alone; Parquet has others, such as times.
    others = json.loads(json.dumps(others, default=str))
    return {**others, "role": _ROLES.get(role, role), "content": "" if content is None else str(content)}


def _no_turns(place: str, column: str) -> CompressError:
    message = f"{place}: column '{column}' holds no conversation, expected a list of turns"
    return CompressError("row-invalid", message, hint='write [{"role": "user", "content": "..."}, ...]')
