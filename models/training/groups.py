"""Groups of a labelled folder's rows whose figures are given apart: a mean may hide whom a model fails."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.training.tables import Row

COLUMNS: Final = ("view", "source", "licence", "density", "sex", "site")
"""Columns of ``index.csv`` each value of which makes a group."""

AGE: Final = "age"
"""Column of years."""

_AGES: Final = (0, 18, 40, 60, 75, 200)
"""First year of each group of ages."""

LEAST: Final = 5
"""Rows of the smallest group that findings are measured on."""

Chosen = NDArray[np.bool_]


def groups_of(rows: Sequence[Row], least: int = LEAST) -> dict[str, Chosen]:
    """Which rows belong to each group, e.g. ``view=PA`` or ``age=40 to 59``; a column that makes one group only makes none.

    Parameters
    ----------
    least
        Groups of fewer rows are left out.
    """
    found: dict[str, Chosen] = {}
    for column in COLUMNS:
        values = np.asarray([row.get(column) or "" for row in rows])
        names = sorted(set(values.tolist()) - {""})
        found |= {f"{column}={name}": values == name for name in names if len(names) > 1}
    years = np.asarray([_years(row) for row in rows])
    for first, beyond in pairwise(_AGES):
        inside = (years >= first) & (years < beyond)
        if 0 < inside.sum() < len(rows):
            words = f"under {beyond}" if not first else f"{first} and over" if beyond == _AGES[-1] else f"{first} to {beyond - 1}"
            found[f"{AGE}={words}"] = inside
    return {name: chosen for name, chosen in found.items() if chosen.sum() >= least}


def _years(row: Row) -> float:
    try:
        return float(row.get(AGE) or "nan")
    except ValueError:
        return float("nan")
