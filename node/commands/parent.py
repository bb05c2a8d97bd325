"""A part that a supervisor started must not outlive it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_LOOK_S = 0.5


def watch_parent(on_death: Callable[[], None]) -> None:
    """Call `on_death` once, on a thread of its own, within a second after the process that started this one is gone.

    Does nothing for a process that init or a container's first process started: these have no supervisor of ours.
    """
    parent = os.getppid()
    if parent <= 1:
        return

    def look() -> None:
        waiting = threading.Event()
        while os.getppid() == parent:
            waiting.wait(_LOOK_S)
        on_death()

    threading.Thread(target=look, name="parent-watch", daemon=True).start()
