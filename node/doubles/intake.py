"""An in-memory stand-in for the catalog's intake port."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from node.store.records import Arrival, Association


class MemoryIntake:
    """Keeps what it is told, by path; an `IntakeLog`.

    Attributes
    ----------
    arrivals
        Known instances by path.
    made
        UIDs of results of our own.
    open_associations
        By id; `ended` says how the others ended.
    tallies
        How often each event came that may come often, by kind and detail.
    log
        What was called, in order: ``("opened", id)``, ``("arrived", path)``, ``("closed", id)``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.arrivals: dict[str, Arrival] = {}
        self.open_associations: dict[str, Association] = {}
        self.ended: dict[str, str] = {}
        self.events: list[tuple[str, str, str | None]] = []
        self.made: set[str] = set()
        self.tallies: Counter[tuple[str, str]] = Counter()
        self.log: list[tuple[str, str]] = []
        self.batches: list[int] = []

    def listener_started(self, listener_id: str) -> None:
        with self._lock:
            self.log.append(("started", listener_id))
            self.open_associations.clear()

    def association_opened(self, association: Association) -> None:
        with self._lock:
            self.log.append(("opened", association.association_id))
            self.open_associations[association.association_id] = association

    def association_closed(self, association_id: str, how: str) -> None:
        with self._lock:
            self.log.append(("closed", association_id))
            self.open_associations.pop(association_id, None)
            self.ended[association_id] = how

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        with self._lock:
            self.batches.append(len(arrivals))
            for arrival in arrivals:
                self.log.append(("arrived", arrival.path))
                self.arrivals.setdefault(arrival.path, arrival)

    def event(self, kind: str, detail: str, study_uid: str | None = None) -> None:
        with self._lock:
            self.events.append((kind, detail, study_uid))

    def tally(self, kind: str, detail: str, count: int) -> None:
        with self._lock:
            self.tallies[kind, detail] += count

    def known_paths(self, study_uid: str) -> frozenset[str]:
        with self._lock:
            return frozenset(path for path, arrival in self.arrivals.items() if arrival.study_uid == study_uid)

    def own_results(self, sop_instance_uids: Sequence[str]) -> frozenset[str]:
        with self._lock:
            return frozenset(self.made & set(sop_instance_uids))
