"""What a process of ours owes the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int | None = None, signal_number: int = signal.SIGTERM) -> None:
    """Have the kernel send `signal_number` to this process when its parent dies; on Linux, elsewhere nothing happens.

    Parameters
    ----------
    parent
        Process id of the parent that is meant; where it is gone already, the signal is sent at once. None: whoever it is now.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal_number)
