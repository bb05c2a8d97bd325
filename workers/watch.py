"""A worker that no longer hears the queue ends, and starts itself anew in its place.

Consumers on Redis have more than once gone deaf after a reconnect (Celery's issues 8030, 8091, 8384, 10205): connected, idle,
with messages waiting. Whatever the cause, this is what it looks like from outside, and this is what ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from node.store.log import get_logger

DEAF_AFTER_S: Final = 30.0
"""Seconds that messages may wait before an idle worker."""

log = get_logger(__name__)


class QueueWatch:
    """Watches one worker from a thread.

    Parameters
    ----------
    waiting
        How many messages wait; raises where the queue does not answer, which is no deafness.
    busy
        Whether the worker works on a job.
    taken
        How many messages the worker has taken so far.
    ended
        Called once, when the worker is deaf.
    deaf_after_s
        Seconds of messages waiting before an idle worker that count as deafness.
    """

    def __init__(
        self,
        *,
        waiting: Callable[[], int],
        busy: Callable[[], bool],
        taken: Callable[[], int],
        ended: Callable[[], None],
        deaf_after_s: float = DEAF_AFTER_S,
    ) -> None:
        self._waiting = waiting
        self._busy = busy
        self._taken = taken
        self._ended = ended
        self._deaf_after_s = deaf_after_s
        self._seen = -1
        self._since = time.monotonic()

    def look(self, now: float) -> bool:
        """Whether the worker is deaf at `now` (seconds of a monotonic clock)."""
        taken = self._taken()
        if taken != self._seen or self._busy() or not self._messages_wait():
            self._seen, self._since = taken, now
            return False
        return now - self._since >= self._deaf_after_s

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set or the worker is deaf."""
        while not stop.wait(self._deaf_after_s / 6):
            if self.look(time.monotonic()):
                log.error("worker deaf", waited_s=self._deaf_after_s)
                self._ended()
                return

    def _messages_wait(self) -> bool:
        try:
            return self._waiting() > 0
        except ConnectionError:
            return False
