"""Whether rows hold right answers, and why not where a user may think that they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.data.values import MAY_LACK_ANSWER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.data.table import Table

_ANSWERS = {
    "token-classification": "tags",
    "question-answering": "answers",
    "question-answer": "answers",
    "automatic-speech-recognition": "transcript",
    "fill-mask": None,
    "text-generation": None,
}
"""The canonical column of the right answers, where it is not `label`; None where the text is the answer."""
_INSTEAD = "so that fidelity to the original is judged"


def is_labelled(rows: Sequence[Mapping[str, Any]], task: str) -> bool:
    """Tell whether every row holds the answer of the task, or some hold one and the others have none."""
    answer = _ANSWERS.get(task, "label") or "label"
    if task == "feature-extraction" and "text_pair" not in rows[0]:
        return False
    if rows[0].get(MAY_LACK_ANSWER):
        return True
    return all(row.get(answer) is not None and row.get(answer) != [] for row in rows)


def notes_on_answers(
    rows: Sequence[Mapping[str, Any]], task: str, table: Table, columns: Mapping[str, str]
) -> list[str]:
    """Say why the data's answers are not used, or what is special about them.

    Args:
        rows: The rows in canonical columns.
        task: The task.
        table: The rows as they were written.
        columns: The columns that were chosen, by canonical name.

    Returns:
        Lines for the user, none where there is nothing to say.
    """
    answer = _ANSWERS.get(task, "label")
    if answer is None:
        return []
    if rows[0].get(MAY_LACK_ANSWER):
        without = sum(not row["answers"] for row in rows)
        return [f"{without} of {len(rows)} questions have no answer: a model that says so is right"]
    if is_labelled(rows, task):
        return []
    if answer in columns:
        held = "no answer" if answer == "answers" else "no label (nothing or -1)"
        return [f"column '{columns[answer]}' holds {held} in any row, {_INSTEAD}"]
    if task == "feature-extraction" and "text_pair" not in columns:
        return [f"labels judge an encoder of pairs alone, and there is one text a row, {_INSTEAD}"]
    listed = ", ".join(table.names[:6])
    return [
        f"no column of right answers was found among {listed}, {_INSTEAD}; --column {answer}=COLUMN names it"
    ]
