"""Labels that a model's own predictions confirm, before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.allowance import allows_all
from compress.measure.label_check import chance_note, refuse_chance, refuse_doubtful
from compress.pipeline.contenders import RESULT
from compress.pipeline.data import data_notes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.data.labels import LabelMap
    from compress.measure.metric import Metric, Records
    from compress.pipeline.judge import Judge


def check_baseline(judge: Judge) -> list[str]:
    """Refuse labels on which the uncompressed model is at chance, and mappings that it contradicts.

    It is judged on the part that candidates are chosen on. Where the budget lets all be lost no label
    decides anything, and being at chance is only said; being below it tells of a wrong map all the same.

    Returns:
        What to say of the data and of its labels.

    Raises:
        CompressError: It is at chance by its interval, or a guess at its classes is not confirmed.
    """
    splits, plan = judge.splits, judge.plan
    metric, notes = splits.metric, data_notes(splits.items)
    if metric.lift is None:
        return notes
    records = judge.scores({RESULT: (judge.base.graph, plan.base.runtime)}, splits.choice, "check the labels")
    found = records[RESULT].records
    lift = metric.lift(found)
    if not plan.settings.values.allow_chance:
        refuse_doubtful(splits.items.label_map, found, lift)
        if lift.verdict == "below" or not allows_all(plan.max_drop):
            refuse_chance(metric, lift)
    line = chance_note(metric, lift)
    if line is None:
        return notes
    judge.progress.note(line)
    return [*notes, line]


def check_models(
    metric: Metric, maps: Mapping[str, LabelMap | None], records: Mapping[str, Records]
) -> list[str]:
    """Say which models are at chance, and refuse a mapping of labels that one of them contradicts.

    Args:
        metric: What they are judged by.
        maps: How labels became classes, by the model's name.
        records: The records of those that were judged, by name.

    Returns:
        A line for each model that is not above chance.

    Raises:
        CompressError: Another order of the labels is far better, or a guess is not confirmed.
    """
    lines = []
    for name, own in records.items():
        if metric.lift is not None:
            lift = metric.lift(own)
            refuse_doubtful(maps[name], own, lift)
            lines += [f"{name}: {line}" for line in [chance_note(metric, lift)] if line]
    return lines
