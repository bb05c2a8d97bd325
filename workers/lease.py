"""Keep a claim alive while its job is worked on."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import JobDesk
from node.store.records import Claim

BEATS_PER_LEASE: Final = 3
"""Two heartbeats may be missed before a lease runs out."""

log = get_logger(__name__)


class Lease:
    """Prolongs a claim's lease from a thread of its own, from ``with`` to the end of its block.

    Parameters
    ----------
    desk
        Where the claim was made.
    claim
        What to keep.
    lease_s
        How long each heartbeat keeps it, seconds.
    """

    def __init__(self, desk: JobDesk, claim: Claim, lease_s: float) -> None:
        self._desk = desk
        self._claim = claim
        self._lease_s = lease_s
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{claim.job_id}", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether a heartbeat was told that somebody else owns the job now."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_s / BEATS_PER_LEASE):
            try:
                held = self._desk.heartbeat(self._claim, self._lease_s)
            except Exception as fault:  # noqa: BLE001 - the next beat may reach the catalog again; publishing compares the fence
                log.warning("heartbeat not written", job_id=self._claim.job_id, reason=tell(fault))
                continue
            if not held:
                log.warning("lease lost", job_id=self._claim.job_id)
                self._lost.set()
                return
