"""The heartbeat of deliveries that are being sent."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Outbox
from node.store.records import OutboxItem

log = get_logger(__name__)


class Pulse:
    """Prolongs the leases of `items` three times a lease, from entering to leaving.

    Parameters
    ----------
    outbox
        Where the leases are.
    items
        What is being sent; `drop` takes away what is settled.
    lease_s
        Length of the lease, seconds.
    """

    def __init__(self, outbox: Outbox, items: Sequence[OutboxItem], lease_s: float) -> None:
        self._outbox = outbox
        self._items = {item.delivery_id: item for item in items}
        self._lease_s = lease_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="courier-pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def drop(self, item: OutboxItem) -> None:
        """Stop prolonging one lease: its delivery is settled."""
        with self._lock:
            self._items.pop(item.delivery_id, None)

    def _beat(self) -> None:
        while not self._over.wait(self._lease_s / 3):
            with self._lock:
                items = tuple(self._items.values())
            if not items:
                continue
            try:
                self._outbox.heartbeat(items, self._lease_s)
            except Exception as fault:  # noqa: BLE001
                # At worst the object is sent twice, with the same bytes; to stop here would make that certain.
                log.error("leases of deliveries not prolonged", reason=tell(fault))
