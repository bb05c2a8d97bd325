"""Waiting for what another thread or process does, instead of hoping that it has."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Whether it holds before so many seconds are over."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
