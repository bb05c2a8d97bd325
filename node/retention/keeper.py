"""The loop that makes room: what a process left half done, then by age, then by need of room, at intervals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from node.retention.files import remove_empty_folders
from node.retention.remover import Remover
from node.store.clock import Clock
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import IntakeLog, Removals
from node.store.records import Removed
from node.store.settings import Settings
from node.store.spool import Spool

log = get_logger(__name__)

EVERY_S: Final = 60.0
_TIDY_EVERY: Final = timedelta(hours=1)
_AT_ONCE: Final = 20
"""Studies asked of the catalog at once."""
LOCK: Final = "retention.lock"


class KeeperCatalog(Protocol):
    """A catalog, as far as retention needs it."""

    @property
    def removals(self) -> Removals: ...

    @property
    def intake(self) -> IntakeLog: ...


class Keeper:
    """Keeps the spool within what the settings allow.

    Parameters
    ----------
    settings
        ``retention`` and the spool's place.
    catalog
        Says what may go.
    clock
        Where moments come from.
    free_bytes
        How much room there is for files at a place.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: KeeperCatalog,
        clock: Clock,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._retention = settings.retention
        self._root = settings.spool
        self._removals = catalog.removals
        self._remover = Remover(Spool(settings.spool), catalog.removals, catalog.intake)
        self._clock = clock
        self._free_bytes = free_bytes
        self._short = False
        self._tidied_at: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Sweep until `stop` is set. A fault is said and the next sweep tries again: nothing else of the node depends on it."""
        while not stop.is_set():
            try:
                self.sweep(stop)
            except Exception as fault:  # noqa: BLE001 - whatever a disk or a catalog raises while it is away
                log.error("retention stopped short", reason=tell(fault))
            stop.wait(EVERY_S)

    def sweep(self, stop: threading.Event) -> int:
        """Remove what may go; return of how many studies. Does nothing where another process is at it."""
        if not self._root.is_dir():
            return 0
        with _alone(self._root / LOCK) as alone:
            if not alone:
                return 0
            removed = self._remover.go_on()
            if self._retention.originals_days is not None:
                removed += self._by_age(Removed.ORIGINALS, self._retention.originals_days, stop)
            if self._retention.results_days is not None:
                removed += self._by_age(Removed.RESULTS, self._retention.results_days, stop)
            if self._retention.keep_free_mb is not None:
                removed += self._for_room(self._retention.keep_free_mb * 1_000_000, stop)
            self._tidy()
        return removed

    def _by_age(self, what: Removed, days: float, stop: threading.Event) -> int:
        removed = 0
        while not stop.is_set():
            gone = self._oldest(what, timedelta(days=days), f"older than {days:g} days", stop)
            removed += gone
            if not gone:
                break
        return removed

    def _for_room(self, wanted_bytes: int, stop: threading.Event) -> int:
        removed = 0
        settled = timedelta(hours=self._retention.room_after_hours)
        while not stop.is_set() and self._free_bytes(self._root) < wanted_bytes:
            gone = self._oldest(Removed.ORIGINALS, settled, "room", stop, until_free=wanted_bytes)
            removed += gone
            if not gone:
                self._say_short(short=True)
                return removed
        self._say_short(short=False)
        return removed

    def _oldest(self, what: Removed, age: timedelta, why: str, stop: threading.Event, until_free: int | None = None) -> int:
        """Remove up to a handful of studies that are of that age at least, the oldest first; return how many went."""
        now = self._clock.now()
        settled_before = now - age
        failed_before = now - max(age, timedelta(days=self._retention.failed_days))
        removed = 0
        for removable in self._removals.removable(what, settled_before, failed_before, _AT_ONCE):
            if stop.is_set() or (until_free is not None and self._free_bytes(self._root) >= until_free):
                break
            removed += self._remover.remove(removable, "room" if until_free else "age", settled_before, failed_before)
        if removed:
            log.info("retention", what=what.value, studies=removed, why=why)
        return removed

    def _tidy(self) -> None:
        now = self._clock.now()
        if self._tidied_at is None or now - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = now
            remove_empty_folders(self._root, now.timestamp())

    def _say_short(self, *, short: bool) -> None:
        if short and not self._short:
            log.warning("less room than retention.keep_free_mb, and no study may go: see the disk, or make it larger")
        self._short = short


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether no other process removes from this spool; held until the end."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
