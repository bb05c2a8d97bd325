"""The room that is kept free on a disk: looked at now and then, and reckoned with between."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.store.log import get_logger

log = get_logger(__name__)

_LOOK_S: Final = 0.25
"""Seconds for which a look holds."""
_LOOK_BYTES: Final = 32_000_000
"""Bytes written by us after which it holds no longer."""


class Reserve:
    """Says whether there is room for more; threads may share it, and each process looks for itself.

    Nothing new is begun when less than the reserve is free. What was begun may use half of the reserve: the other half is for
    the catalog, the queue and what was promised already.

    Parameters
    ----------
    folder
        Where room is needed.
    reserve_bytes
        0: there is always room; the disk says when there is none.
    free_bytes
        How much is free for this user.
    """

    def __init__(self, folder: Path, reserve_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._folder = folder
        self._reserve = reserve_bytes
        self.megabytes = reserve_bytes // 1_000_000
        self._free_bytes = free_bytes or _free_bytes
        self._lock = threading.Lock()
        self._until = 0.0
        self._budget = 0
        self._free = 0
        self._short = False

    def has_room(self) -> bool:
        """Whether something new may begin.

        Raises
        ------
        OSError
            Where the disk does not say.
        """
        return not self._reserve or self._free_now() >= self._reserve

    def spend(self, count: int) -> bool:
        """Reckon with `count` bytes that were written; False where what was begun must be given up.

        Raises
        ------
        OSError
            Where the disk does not say.
        """
        if not self._reserve:
            return True
        self._budget -= count  # two threads may lose one of their counts: the next look comes soon
        self._free -= count
        return self._free_now() >= self._reserve // 2

    def _free_now(self) -> int:
        if self._budget <= 0 or time.monotonic() >= self._until:
            with self._lock:
                self._free = self._free_bytes(self._folder)
                self._budget = _LOOK_BYTES
                self._until = time.monotonic() + _LOOK_S
                self._say(short=self._free < self._reserve)
        return self._free

    def _say(self, *, short: bool) -> None:
        if short != self._short:
            self._short = short
            if short:
                log.warning("the disk is short of room: nothing more is accepted", reserve_mb=self.megabytes)
            else:
                log.info("the disk has room again: images are accepted", reserve_mb=self.megabytes)


def _free_bytes(folder: Path) -> int:
    while not folder.exists():  # the spool of a node that has received nothing yet
        folder = folder.parent
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize
