"""An outbox in memory that keeps the port's promises, for tests of the courier; the catalog's own has its own tests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from node.store.clock import Clock, SystemClock
from node.store.records import Broken, OutboxItem, ResultObject
from node.store.states import DeliveryEvent, DeliveryState, step


@dataclass
class Row:
    item: OutboxItem
    state: DeliveryState
    due_at: datetime
    lease_until: datetime | None = None
    reasons: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


class MemoryBreakers:
    """Keeps what is down in memory, and when it came and went."""

    def __init__(self) -> None:
        self.down: dict[str, Broken] = {}
        self.story: list[str] = []

    def open(self, destination: str, broken: Broken) -> None:
        if destination not in self.down:
            self.story.append(f"{destination} down")
        self.down[destination] = broken

    def close(self, destination: str) -> None:
        del self.down[destination]
        self.story.append(f"{destination} back")

    def all(self) -> dict[str, Broken]:
        return dict(self.down)


class MemoryOutbox:
    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.rows: dict[int, Row] = {}
        self.beats = 0
        self.breakers = MemoryBreakers()
        self.refused: list[int] = []
        self._lock = threading.Lock()

    @property
    def outbox(self) -> MemoryOutbox:
        return self

    def put(self, path: Path, destination: str = "pacs", sop_uid: str = "", kind: str = "seg", sop_class: str = "1.2") -> int:
        number = len(self.rows) + 1
        made = ResultObject(kind, sop_class, sop_uid or f"2.25.{number}", "2.25.9", "1.2.840.10008.1.2.1", path.name, "", 1)
        item = OutboxItem(number, 0, destination, "1.2.3", made, str(path), 0)
        self.rows[number] = Row(item, DeliveryState.DUE, self.clock.now())
        return number

    def state(self, number: int) -> DeliveryState:
        return self.rows[number].state

    def claim(self, destination: str, deliverer: str, lease_s: float, limit: int) -> list[OutboxItem]:
        now = self.clock.now()
        claimed = []
        with self._lock:
            for number, row in sorted(self.rows.items(), key=lambda one: not one[1].item.urgent):
                if row.state is DeliveryState.SENDING and row.lease_until and row.lease_until <= now:
                    row.state = step(row.state, DeliveryEvent.LEASE_EXPIRED)
                if row.item.destination != destination or row.state is not DeliveryState.DUE or row.due_at > now:
                    continue
                if len(claimed) == limit:
                    break
                row.state = step(row.state, DeliveryEvent.CLAIM)
                row.item = replace(row.item, fence=row.item.fence + 1, attempt=row.item.attempt + 1)
                row.lease_until = now + timedelta(seconds=lease_s)
                claimed.append(self.rows[number].item)
        return claimed

    def heartbeat(self, items: list[OutboxItem], lease_s: float) -> None:
        self.beats += 1
        for item in items:
            self.rows[item.delivery_id].lease_until = self.clock.now() + timedelta(seconds=lease_s)

    def _settle(self, item: OutboxItem, event: DeliveryEvent, reason: str) -> bool:
        with self._lock:
            row = self.rows[item.delivery_id]
            if row.item.fence != item.fence or row.state is not DeliveryState.SENDING:
                return False
            row.state = step(row.state, event)
            row.reasons.append(reason)
            return True

    def stored(self, item: OutboxItem, status: int, note: str = "") -> bool:
        self.rows[item.delivery_id].statuses.append(status)
        return self._settle(item, DeliveryEvent.STORED, f"{status:04X}")

    def put_back(self, item: OutboxItem, reason: str) -> bool:
        kept = self.retry(item, reason, self.clock.now())
        row = self.rows[item.delivery_id]
        row.item = replace(row.item, attempt=item.attempt - 1)
        return kept

    def urgent_waits(self, destination: str) -> bool:
        now = self.clock.now()
        rows = [row for row in self.rows.values() if row.item.destination == destination and row.item.urgent]
        return any(row.state is DeliveryState.DUE and row.due_at <= now for row in rows)

    def retry(self, item: OutboxItem, reason: str, at: datetime) -> bool:
        self.rows[item.delivery_id].due_at = at
        return self._settle(item, DeliveryEvent.RETRY, reason)

    def fail(self, item: OutboxItem, reason: str, *, refused: bool = False) -> bool:
        if refused:
            self.refused.append(item.delivery_id)
        return self._settle(item, DeliveryEvent.FAIL, reason)

    def hold(self, item: OutboxItem, reason: str) -> bool:
        return self._settle(item, DeliveryEvent.HOLD, reason)

    def waiting(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.rows.values():
            if row.state in {DeliveryState.DUE, DeliveryState.SENDING}:
                found[row.item.destination] = found.get(row.item.destination, 0) + 1
        return found

    def send_again(self, study_uid: str, *, release: bool = False) -> int:
        failed = [row for row in self.rows.values() if row.item.study_uid == study_uid and row.state is DeliveryState.FAILED]
        for row in failed:
            row.state = step(row.state, DeliveryEvent.SEND_AGAIN)
        return len(failed)
