"""Influences by leaving each item out: what closed forms are compared with."""

from __future__ import annotations

import numpy as np


def influences(statistic, *columns):
    """(n - 1) * (all items - all but one), centred: the influence to within terms of order 1 / n."""
    count = len(columns[0])
    whole = statistic(*columns)
    left = [statistic(*(np.delete(column, item) for column in columns)) for item in range(count)]
    values = (count - 1) * (whole - np.array(left))
    return values - values.mean()


def close(closed_form, statistic, *columns, tolerance):
    """Whether a closed form is the jackknife's, relative to its spread."""
    other = influences(statistic, *columns)
    return float(np.abs(closed_form - other).max()) <= tolerance * float(other.std())
