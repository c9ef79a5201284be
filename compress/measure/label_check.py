"""Whether the mapping of labels is right, by the predictions of the model that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from compress.core.errors import CompressError
from compress.core.visible import visible
from compress.stats.estimate import upper_bound

if TYPE_CHECKING:
    from compress.data.labels import LabelMap
    from compress.measure.metric import Metric, Records
    from compress.stats.chance import Lift

CONVINCING = 0.5
"""The accuracy from which on another order of the labels is believed."""
_SHOWN = 12


def chance_note(metric: Metric, lift: Lift) -> str | None:
    """Say that a model is not above chance, or that too few items tell; None where it is above."""
    if lift.verdict == "above":
        return None
    if lift.verdict == "unknown":
        return f"{_facts(metric, lift)}; too few items to tell whether the model is above chance"
    return f"{_facts(metric, lift)}: is the label map right?"


def refuse_chance(metric: Metric, lift: Lift) -> None:
    """Refuse labels on which a model is at chance or below.

    Raises:
        CompressError: Its interval says so.
    """
    if lift.verdict in ("at", "below"):
        message = f"{_facts(metric, lift)}: is the label map right?"
        hint = "check the labels' column, map them with --label-map LABEL=CLASS,..., or pass --allow-chance"
        raise CompressError("label-chance", message, hint=hint)


def _facts(metric: Metric, lift: Lift) -> str:
    items = len(lift.above.influence)
    figures = f"{metric.name} on {items} items, chance is {lift.chance:.2f}"
    return f"the model scores {lift.score:.2f} on these labels ({figures})"


def refuse_doubtful(label_map: LabelMap | None, records: Records, lift: Lift) -> None:
    """Refuse a mapping that the model's predictions contradict, or a guess that they do not confirm.

    They contradict it where another order of the labels is better by its interval, and right on half of
    the items at least. They confirm it where no order is, and the model is above chance.

    Args:
        label_map: How written labels became classes.
        records: `label` and `predicted` (n,) of the uncompressed model.
        lift: How far it is above chance.

    Raises:
        CompressError: They contradict it, or it is a guess and they do not confirm it.
    """
    if label_map is None or label_map.exact or "predicted" not in records:
        return
    better = better_order(records["label"], records["predicted"])
    if better is not None:
        raise _contradicted(label_map, better, lift)
    if label_map.guess and lift.verdict != "above":
        names = visible(", ".join(list(label_map.classes)[:_SHOWN]))
        message = (
            f"which classes the labels {names} are is a guess ({label_map.basis}), and the model's own "
            f"predictions do not confirm it: it scores {lift.score:.2f}, chance is {lift.chance:.2f}"
        )
        raise CompressError("label-ambiguous", message, hint="say it: --label-map LABEL=CLASS,...")


def better_order(labels: np.ndarray, predicted: np.ndarray) -> dict[int, int] | None:
    """Find the classes that labels are by the predictions, where these are far better than those in use.

    Args:
        labels: int (n,), by the mapping in use.
        predicted: int (n,).

    Returns:
        The class of each label in use; None where no other order is far better.
    """
    size = int(max(labels.max(), predicted.max())) + 1
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    order = np.asarray(linear_sum_assignment(-counts)[1])
    right = (order[labels] == predicted).astype(np.float64)
    gain = right - (labels == predicted)
    least = -float(upper_bound(np.array(-gain.mean()), gain.mean() - gain, unit=1.0))
    if right.mean() < CONVINCING or least <= 0:
        return None
    return dict(enumerate(order.tolist()))


def _contradicted(label_map: LabelMap, order: dict[int, int], lift: Lift) -> CompressError:
    pairs = [f"{visible(name)}={order.get(number, number)}" for name, number in label_map.classes.items()]
    message = (
        f"the label map ({label_map.basis}) is not what the model's own predictions say: it scores "
        f"{lift.score:.2f} so, and far more with the classes in another order"
    )
    more = ",..." if len(pairs) > _SHOWN else ""
    hint = f"if that order is right, pass --label-map '{','.join(pairs[:_SHOWN])}{more}'"
    return CompressError("label-ambiguous", message, hint=hint)
