"""One circuit breaker a destination: where it is down, one association in a while finds that out, not one for every result."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from node.delivery.waits import Waits, jitter
from node.store.clock import Clock
from node.store.log import get_logger
from node.store.ports import Breakers
from node.store.records import Broken

log = get_logger(__name__)

OPENS_AFTER: Final = 3
"""Tries in a row that came to nothing, after which the rest waits."""


class Breaker:
    """Holds back what waits for a destination that is down, and lets the results of one job try it again.

    Parameters
    ----------
    destination
        Its name.
    breakers
        Keeps it: it outlives this process.
    waits
        Between two tries of a destination that is down: as between those of one delivery.
    """

    def __init__(self, destination: str, breakers: Breakers, waits: Waits, clock: Clock) -> None:
        self._destination = destination
        self._breakers = breakers
        self._waits = waits
        self._clock = clock
        self._broken: Broken | None = breakers.all().get(destination)
        self._failures = self._broken.failures if self._broken else 0

    @property
    def holds(self) -> bool:
        """Whether nothing is to be sent now."""
        return self._broken is not None and self._clock.now() < self._broken.next_at

    @property
    def probes(self) -> bool:
        """Whether it is down as far as is known, so that a little is sent to find out."""
        return self._broken is not None

    def answered(self) -> None:
        """It took an association and answered."""
        self._failures = 0
        if self._broken is not None:
            log.info("destination back", destination=self._destination)
            self._breakers.close(self._destination)
            self._broken = None

    def failed(self, reason: str) -> None:
        """A try came to nothing; none of the objects was answered."""
        self._failures += 1
        if self._failures < OPENS_AFTER:
            return
        now = self._clock.now()
        # a wait as long as those of deliveries that were tried as often; the first one after it opened is the shortest
        wait_s = self._waits.plain(self._failures - OPENS_AFTER + 1) * jitter()
        since = self._broken.since if self._broken else now
        if self._broken is None:
            log.warning("destination down", destination=self._destination, reason=reason)
        self._broken = Broken(since, self._failures, now + timedelta(seconds=wait_s), reason)
        self._breakers.open(self._destination, self._broken)
