"""The window that a source asks to be shown with (PS3.3 section C.11.2.1.2), and one for a source that asks for none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset


def stated_window(source: Dataset) -> tuple[float, float] | None:
    """The first window of the source, None where it states none that can be used."""
    try:
        centre, width = (float(np.ravel(source[keyword].value)[0]) for keyword in ("WindowCenter", "WindowWidth"))
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return (centre, width) if np.isfinite([centre, width]).all() and width >= 1 else None


def spread_window(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Centre and width of a window that shows all values but the lowest and highest half per cent; at least 1 wide."""
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    return (low + high) / 2, max(high - low, 1.0)
