"""How it stands with each destination: its circuit breaker, the queue behind it, and what it has proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.page.health import PageCatalog
from node.store.records import Broken, QueueView
from node.store.settings import Settings


class Circuit(StrEnum):
    """Whether results are sent."""

    CLOSED = "closed"  # they are, as they come
    OPEN = "open"  # it is down: all wait until its next try
    HALF_OPEN = "half-open"  # it is down, and those of one job find out whether it still is
    NOBODYS = "not configured"  # what waits, waits for it to be


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one destination.

    Parameters
    ----------
    address
        Where it is; empty where it is not configured.
    broken
        Since when it is down, why, and when it is tried next; None where it is not.
    """

    name: str
    address: str
    circuit: Circuit
    broken: Broken | None
    queue: QueueView


def standings(catalog: PageCatalog, settings: Settings, now: datetime) -> Sequence[Standing]:
    """Those of the settings in their order, then others for which something waits or that somebody has to look at."""
    queues, down = catalog.views.queues(), catalog.breakers.all()
    known = {one.name: str(one) for one in settings.destinations}
    others = [name for name, queue in queues.items() if name not in known and (queue.waiting or queue.failed or queue.held)]
    return [
        Standing(
            name,
            known.get(name, ""),
            _circuit(down.get(name), now) if name in known else Circuit.NOBODYS,
            down.get(name) if name in known else None,
            queues.get(name, QueueView()),
        )
        for name in (*known, *sorted(others))
    ]


def _circuit(broken: Broken | None, now: datetime) -> Circuit:
    if broken is None:
        return Circuit.CLOSED
    return Circuit.OPEN if now < broken.next_at else Circuit.HALF_OPEN
