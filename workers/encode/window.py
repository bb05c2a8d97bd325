"""The window that a source asks to be shown with (PS3.3 section C.11.2.1.2)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset


def stated_window(source: Dataset) -> tuple[float, float] | None:
    """The first window of the source, None where it states none that can be used."""
    try:
        centre, width = (float(np.ravel(source[keyword].value)[0]) for keyword in ("WindowCenter", "WindowWidth"))
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return (centre, width) if np.isfinite([centre, width]).all() and width >= 1 else None
