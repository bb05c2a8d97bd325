"""What may be said of an exception where no patient data may be."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

from node.store.errors import OverreadError

_ROOT: Final = Path(__file__).resolve().parents[2]
_OURS: Final = frozenset({"node", "workers", "models"})


def tell(fault: BaseException) -> str:
    """Say what went wrong, for logs, events and reasons.

    The messages of our own errors are written to be read. Those of libraries quote values, names of patients among them: of these
    the kind is said, and where in our code it came from.
    """
    if isinstance(fault, OverreadError):
        return str(fault)
    places = [place for frame in traceback.extract_tb(fault.__traceback__) if (place := _place(frame))]
    return type(fault).__name__ + (f" at {places[-1]}" if places else "")


def _place(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename)
    if not path.is_relative_to(_ROOT):
        return ""
    inside = path.relative_to(_ROOT)
    return f"{inside}:{frame.lineno}" if inside.parts[0] in _OURS else ""
