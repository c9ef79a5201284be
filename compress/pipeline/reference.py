"""Which of several models the others are compared with, where no labels say what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.pipeline.subjects import Subject


def reference_of(subjects: Sequence[Subject], *, labelled: bool) -> Subject:
    """Choose the reference of a comparison.

    Without labels accuracy is agreement with the reference, so this has to be the model as it was before
    it was compressed: the source of the others, else another uncompressed model, else the largest.

    Args:
        subjects: the models, in the order in which they were named.
        labelled: whether the data says what is right; then the first is the reference.

    Returns:
        One of the subjects.
    """
    if labelled:
        return subjects[0]
    whole = [subject for subject in subjects if not subject.compressed]
    sources = {subject.source for subject in subjects if subject.compressed}
    candidates = [subject for subject in whole if subject.source in sources] or whole
    if candidates:
        return next((subject for subject in candidates if subject.runtime == "torch"), candidates[0])
    return max(subjects, key=lambda subject: subject.size_bytes)
