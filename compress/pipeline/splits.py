"""The parts of the user's data, and what steps calibrate on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from compress.core.artifact import Artifact, ArtifactKind
from compress.core.errors import CompressError, Inconclusive
from compress.core.profile import ModelKind
from compress.data.general import breadth, general_rows
from compress.data.split import split_in_three
from compress.data.unlabelled import load_unlabelled, mixed, without_texts
from compress.measure.catalogue import choose_metric
from compress.pipeline.data import data_notes, label_options, read_items
from compress.pipeline.parts import refuse_too_few, sizes, test_items
from compress.pipeline.predict import kept_tokens
from compress.pipeline.steps import heals, learns
from compress.runtime.conversations import ConversationWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.data.items import Items
    from compress.data.unlabelled import Unlabelled
    from compress.measure.metric import Metric
    from compress.pipeline.plan import Plan

_MODALITY = {ModelKind.VISION: "image", ModelKind.CONVNET: "image", ModelKind.AUDIO: "audio"}


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The user's data in disjoint parts: candidates are made with the first, chosen on the second, and the
    third is looked at once, for what the report says and the gate decides. Where no candidate learns from
    the first, the second is the same.
    """

    items: Items
    calibration: Items
    choice: Items
    test: Items
    metric: Metric
    unlabelled: Unlabelled | None = None
    """What steps calibrate on, too, where the user gave something for it."""
    general: tuple[Mapping[str, Any], ...] = ()
    """Shipped text that steps calibrate on beside it, where there is too little to heal on."""

    @property
    def share(self) -> float:
        """The size of the choice part over that of the test part."""
        return len(self.choice) / len(self.test)

    def told(self) -> str:
        """The sizes of the parts, in words."""
        if self.calibration is self.choice:
            return f"{len(self.choice)} + {len(self.test)} items"
        parts = (len(self.calibration), len(self.choice), len(self.test))
        return "{:,} items to learn from + {:,} to choose on + {:,} to test on".format(*parts)

    def calibration_rows(self, task: str) -> list[dict[str, Any]]:
        """Return the rows that steps calibrate on."""
        return [dict(row) for row in (*self.own_rows(task), *self.general)]

    def own_rows(self, task: str) -> list[Mapping[str, Any]]:
        """Return the user's rows to calibrate on: what was given for it, and the part of the data that
        neither chooses nor tests. Without either, the rows that choose calibrate.
        """
        given = [] if self.unlabelled is None else list(self.unlabelled.rows)
        if given and self.calibration is self.choice:
            return given
        return mixed(given, self._labelled_rows(task))

    def _labelled_rows(self, task: str) -> list[Mapping[str, Any]]:
        """Embedders of pairs see each text by itself, without those that judged rows hold, too."""
        if task != "feature-extraction":
            return list(self.calibration.rows)
        rows = _single_texts(self.calibration.rows)
        if self.calibration is self.choice:
            return rows
        return without_texts(rows, _single_texts([*self.choice.rows, *self.test.rows])) or rows


def _single_texts(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The texts of pairs as rows of their own, the first ones before the second ones."""
    firsts = [
        {name: value for name, value in row.items() if name not in ("text_pair", "label")} for row in rows
    ]
    return [*firsts, *({"text": row["text_pair"]} for row in rows if "text_pair" in row)]


def kept_by_recipe(plan: Plan, *, note: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """By recipe, what its own vocabulary leaves of each tensor. Data is read where it is named, so that what
    `run` would refuse of it is refused here, and where a recipe cuts a vocabulary.

    Raises:
        CompressError: the data is missing or does not fit, or the vocabulary cannot be cut.
    """
    cutting = [one for one in plan.recipes if any(step.name == "prune.vocabulary" for step in one.steps)]
    if not cutting and plan.settings.values.data is None:
        return {}
    rows, model = prepare_items(plan, note=note).calibration_rows(plan.model.task), plan.model
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=model.folder, task=model.task)
    return {one.name: kept_tokens(one, source, rows) for one in cutting}


def prepare_items(plan: Plan, *, note: Callable[[str], None]) -> Splits:
    """Read the data, say which columns were taken, and split it.

    Raises:
        CompressError: the data is missing, empty or does not fit the task; the metric is unknown.
    """
    values = plan.settings.values
    items = read_items(
        values,
        task=plan.model.task,
        modality=_MODALITY.get(plan.model.kind, "text"),
        config=plan.model.config,
        folder=plan.model.folder,
    )
    metric = choose_metric(
        plan.model.task, labelled=items.labelled, name=values.metric, config=plan.model.config
    )
    splits = _parted(plan, items, metric)
    named = ", ".join(f"{name} = {column}" for name, column in items.columns.items())
    note(f"data: {items.source} ({named}), {splits.told()}, {metric.name}")
    for line in data_notes(items):
        note(line)
    if splits.calibration is not splits.choice:
        needed = test_items(metric, plan.max_drop)
        note(f"a budget of {plan.max_drop.text} needs about {needed:,} items to test on")
    _check_sizes(plan, splits, note=note)
    splits = replace(splits, unlabelled=_unlabelled(plan, splits, note=note))
    return replace(splits, general=_general(plan, splits, note=note))


def _parted(plan: Plan, items: Items, metric: Metric) -> Splits:
    values = plan.settings.values
    part = sizes(
        len(items),
        needed=test_items(metric, plan.max_drop),
        learns=any(learns(recipe) for recipe in plan.recipes),
        given=bool(values.calibration),
    )
    calibration, choice, test = split_in_three(items, learn=part.learn, choice=part.choice, seed=values.seed)
    return Splits(items=items, calibration=calibration, choice=choice, test=test, metric=metric)


def _check_sizes(plan: Plan, splits: Splits, *, note: Callable[[str], None]) -> None:
    """Say that no candidate can pass on so few items; an error where the user set the budget.

    Raises:
        Inconclusive: as it says.
    """
    total = len(splits.items)
    try:
        refuse_too_few(len(splits.test), total=total, metric=splits.metric, budget=plan.max_drop)
    except Inconclusive as error:
        if "max_drop" in plan.budgets.set_by_user:
            raise
        note(f"{error.message}; {error.hint}")


def _general(plan: Plan, splits: Splits, *, note: Callable[[str], None]) -> tuple[Mapping[str, Any], ...]:
    """Shipped text to heal on beside the user's, where that is too little or too narrow; says so."""
    task = plan.model.task
    texts = _MODALITY.get(plan.model.kind, "text") == "text"
    if not texts or not any(heals(recipe) for recipe in plan.recipes):
        return ()
    rows = splits.own_rows(task)
    faults = breadth(rows).faults
    if not faults:
        return ()
    general = () if splits.items.licence else tuple(general_rows(rows, task=task))
    mixed = f"; {len(general)} shipped passages are mixed in" if general else ""
    note(f"text to heal on: {len(rows):,} rows; {'; '.join(faults)}{mixed}; --calibration FILE gives more")
    return general


def _unlabelled(plan: Plan, splits: Splits, *, note: Callable[[str], None]) -> Unlabelled | None:
    """What was given to calibrate on, without what is judged.

    Raises:
        CompressError: it is missing or unreadable, or all of it is judged.
    """
    values = plan.settings.values
    if not values.calibration:
        return None
    found = load_unlabelled(
        values.calibration,
        task=plan.model.task,
        modality=_MODALITY.get(plan.model.kind, "text"),
        **label_options(values, plan.model.config),
        write_chat=ConversationWriter(plan.model.folder),
        pairs="text_pair" in splits.items.columns and plan.model.task != "feature-extraction",
        offline=values.offline,
        seed=values.seed,
    ).without(_judged_rows(plan, splits))
    judged = f"; {found.left_out:,} rows that the result is judged on left out" if found.left_out else ""
    note(f"calibration: {', '.join(found.sources)}{judged}")
    if not found.rows:
        message = "everything given with --calibration is judged on: it is in --data, too"
        raise CompressError("data-empty", message, hint="give other text")
    return found


def _judged_rows(plan: Plan, splits: Splits) -> list[Mapping[str, Any]]:
    """The rows that nothing may be learned from, the texts of an embedder's pairs by themselves."""
    learning = any(learns(recipe) for recipe in plan.recipes)
    rows = [*splits.test.rows, *(splits.choice.rows if learning else ())]
    return _single_texts(rows) if plan.model.task == "feature-extraction" else rows
