"""The one task, as a worker's child runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from node.store.errors import OverreadError
from node.store.faults import tell
from node.store.log import get_logger
from node.store.messages import AnalyseMessage, DecodeError
from node.store.settings import Settings
from workers.job import Workshop, answer

OpenWorkshop = Callable[[Settings], Workshop]
"""Opens what answering needs; called in the worker's child, never before the fork."""

log = get_logger(__name__)


def open_workshop(settings: Settings) -> Workshop:
    """The workshop of a real worker: catalog, spool and models. Imports torch."""
    import torch  # noqa: F401 - here, while nobody waits, rather than in the first job

    from node.store.catalog.catalog import open_catalog
    from node.store.leftovers import wait_until_clean
    from node.store.spool import Spool
    from workers.analysis import Analyst

    spool = Spool(settings.spool)
    wait_until_clean(spool)
    analyst = Analyst(settings)
    return Workshop(open_catalog(settings).desk, lambda claim: analyst.analyse(claim, spool))


class AnalyseTask:
    """Decodes a message and answers it; holds the workshop of its process.

    Parameters
    ----------
    settings
        The worker's.
    worker
        Name of the worker process, unique to it.
    opens
        Opens the workshop.
    """

    def __init__(self, settings: Settings, worker: str, opens: OpenWorkshop) -> None:
        self._settings = settings
        self._worker = worker
        self._opens = opens
        self._opening = threading.Lock()
        self._shop: Workshop | None = None

    def __call__(self, message: object = None) -> str:
        """Answer one message; what it holds was written by `AnalyseMessage.encode`, or is dropped with a word."""
        try:
            decoded = AnalyseMessage.decode(message)
        except DecodeError as fault:
            log.error("message dropped", reason=str(fault))
            return "dropped"
        return answer(decoded, self._workshop(), self._worker, self._settings.limits.lease_s).value

    def warm(self) -> None:
        """Open the workshop before the first job comes."""
        try:
            self._workshop()
        except (OverreadError, ImportError) as fault:
            log.error("worker not ready", reason=tell(fault))

    def _workshop(self) -> Workshop:
        with self._opening:
            if self._shop is None:
                self._shop = self._opens(self._settings)
            return self._shop
