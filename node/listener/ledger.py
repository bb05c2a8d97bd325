"""Writes what the listener has to tell the catalog, in order, behind the answers to the senders.

The promise to a sender rests on the spool alone; a row that is lost with the process is found again by the start-up scan.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.records import Arrival, Association

log = get_logger(__name__)

BATCH: Final = 500
GATHER_S: Final = 0.5
"""Seconds to gather arrivals before one transaction writes them."""
_LONGEST_WAIT_S: Final = 5.0
_TRIES: Final = 4
"""After so many, what is written is suspected, and not the catalog."""


def recognised(arrivals: Sequence[Arrival], intake: IntakeLog) -> list[Arrival]:
    """The same arrivals; those whose UIDs this installation gave out are marked as its own results."""
    own = intake.own_results([arrival.sop_instance_uid for arrival in arrivals if not arrival.own_result])
    return [dataclasses.replace(arrival, own_result=True) if arrival.sop_instance_uid in own else arrival for arrival in arrivals]


_Entry = Arrival | Callable[[], None]


class Ledger:
    """A queue with one writing thread. All methods may be called from any thread, and do not wait for the catalog."""

    def __init__(self, intake: IntakeLog) -> None:
        self._intake = intake
        self._entries: deque[_Entry] = deque()
        self._wake = threading.Event()
        self._idle = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def opened(self, association: Association) -> None:
        self._put(lambda: self._intake.association_opened(association))

    def closed(self, association_id: str, how: str) -> None:
        """Written after every arrival of that association."""
        self._put(lambda: self._intake.association_closed(association_id, how))

    def event(self, kind: str, detail: str, study_uid: str | None = None) -> None:
        self._put(lambda: self._intake.event(kind, detail, study_uid))

    def tally(self, kind: str, detail: str, count: int) -> None:
        self._put(lambda: self._intake.tally(kind, detail, count))

    def arrived(self, arrival: Arrival) -> None:
        """Written within a second, and before the end of its association is; as far as the catalog can."""
        self._put(arrival)

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was said so far is written; False where that took too long."""
        done = threading.Event()
        self._put(done.set)
        return done.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Write what is left, then end the thread; False where the catalog did not take it in time."""
        if not self._thread.is_alive():
            return not self._entries
        written = self.flush(timeout_s)
        self._stopping.set()
        self._put(lambda: None)
        self._thread.join(timeout_s)
        return written

    def _run(self) -> None:
        while not self._stopping.is_set():
            arrivals, then = self._gather()
            if arrivals and not self._persist(lambda: self._arrived(arrivals)):  # noqa: B023 - called before the next round
                for arrival in arrivals:
                    if not self._persist(lambda: self._arrived([arrival])):  # noqa: B023 - called before the next round
                        log.error("the catalog does not take an instance; the next start tries again", path=arrival.path)
            if then is not None:
                self._persist(then)

    def _arrived(self, arrivals: list[Arrival]) -> None:
        self._intake.arrived(recognised(arrivals, self._intake))

    def _put(self, entry: _Entry) -> None:
        """An arrival wakes the writing thread only when that has nothing to do: it is about to look in a moment anyhow."""
        self._entries.append(entry)
        if self._idle or not isinstance(entry, Arrival):
            self._wake.set()

    def _gather(self) -> tuple[list[Arrival], Callable[[], None] | None]:
        """The next arrivals, and what comes after them."""
        self._idle = True
        if not self._entries:
            self._wake.wait(_LONGEST_WAIT_S)
        self._idle = False
        self._wake.clear()
        if len(self._entries) < BATCH and all(isinstance(entry, Arrival) for entry in tuple(self._entries)):
            self._wake.wait(GATHER_S)
        arrivals: list[Arrival] = []
        while self._entries and len(arrivals) < BATCH:
            entry = self._entries.popleft()
            if not isinstance(entry, Arrival):
                return arrivals, entry
            arrivals.append(entry)
        return arrivals, None

    def _persist(self, write: Callable[[], None]) -> bool:
        """Write, again and again with growing waits, for order matters and the catalog may be away for a while.

        False where the catalog takes other things but not this one: nothing that waits behind it may suffer.
        """
        wait_s = 0.1
        for attempt in itertools.count(1):
            try:
                write()
            except Exception as fault:  # noqa: BLE001 - whatever a catalog raises, the thread must live and the rows must not go
                log.warning("the catalog did not take what arrived", fault=type(fault).__name__, waiting=len(self._entries))
                if attempt % _TRIES == 0 and self._takes_others():
                    return False
                if self._stopping.wait(wait_s):
                    break
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                break
        return True

    def _takes_others(self) -> bool:
        try:
            self._intake.event("not taken", "what arrived was refused by the catalog, though it takes this: look at the log")
        except Exception:  # noqa: BLE001 - as above
            return False
        return True
