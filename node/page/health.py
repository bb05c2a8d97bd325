"""Whether the node can do its work: asked by load balancers and supervisors, and by the engineer on call."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Protocol

from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Breakers, Outbox, Views
from node.store.settings import Settings

log = get_logger(__name__)


class PageCatalog(Protocol):
    """A catalog, as far as the page needs it."""

    @property
    def views(self) -> Views: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def breakers(self) -> Breakers: ...


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is.

    Parameters
    ----------
    faults
        By part (``catalog``, ``spool``, ``disk``): what is wrong. Empty: all is well.
    """

    faults: dict[str, str]

    @property
    def ok(self) -> bool:
        return not self.faults


def look_after(catalog: PageCatalog, settings: Settings) -> Health:
    """Ask the catalog something, and see whether the spool can be written."""
    faults = {}
    try:
        catalog.views.counts()
    except Exception as fault:  # noqa: BLE001 - whatever it raises, this is the place that says so
        log.error("catalog does not answer", reason=tell(fault))
        faults["catalog"] = "does not answer"
    folder = settings.spool if settings.spool.exists() else settings.data
    if not os.access(folder, os.W_OK | os.X_OK):
        faults["spool"] = "cannot be written"
    elif shutil.disk_usage(folder).free < settings.limits.disk_reserve_mb * 1_000_000:
        faults["disk"] = f"less than {settings.limits.disk_reserve_mb} MB free: associations are rejected, images refused"
    return Health(faults)
