"""When a delivery is tried again: waits that double, with jitter, and an end."""

from __future__ import annotations

import random
from dataclasses import dataclass

from node.store.settings import Limits

JITTER = 0.2
"""Waits are longer or shorter by up to this share, so that nodes that found a destination down do not all come back together."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Waits between the tries of one delivery.

    Only the number of tries is needed, and that is in the catalog: the schedule survives restarts, and the time that
    the node itself was off does not count towards giving up.

    Parameters
    ----------
    first_s
        Seconds before the second try; doubled each time.
    longest_s
        No wait is longer than this.
    give_up_s
        After waits of this many seconds together there is no further try.
    """

    first_s: float
    longest_s: float
    give_up_s: float

    @classmethod
    def of(cls, limits: Limits) -> Waits:
        return cls(limits.delivery_first_wait_s, limits.delivery_longest_wait_s, limits.delivery_give_up_s)

    def plain(self, attempt: int) -> float:
        """Seconds to wait after try number `attempt` (from 1), without jitter."""
        # 2.0 ** 1024 overflows; long before that the longest wait has been reached.
        return min(self.first_s * 2.0 ** min(attempt - 1, 60), self.longest_s)

    def after(self, attempt: int, jitter: float = 1.0) -> float | None:
        """Seconds to wait after try number `attempt`, `jitter` times the plain wait; None: give up."""
        waited = 0.0
        for earlier in range(1, attempt):
            waited += self.plain(earlier)
            if waited >= self.give_up_s:
                return None
        return self.plain(attempt) * jitter


def jitter() -> float:
    """A factor around 1; one for all that failed together, so that the objects of a job stay together."""
    return random.uniform(1 - JITTER, 1 + JITTER)
