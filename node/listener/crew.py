"""The listener as several processes: some that receive, one that writes the catalog, and their parent that holds them together.

All receivers accept from one listening socket, which they inherit: connections wait in one queue, which no process takes along
when it ends (with SO_REUSEPORT each has its own). Association limits are counted in memory that they share. Should one die, the
others drain and the crew ends, to be started again as a whole: what was acknowledged is in the spool, and the scan at the start
tells the catalog.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, NoReturn

from node.listener import clerk, doorway
from node.listener.clerk import RemoteIntake
from node.listener.doorway import Doors
from node.listener.listener import Listener, Place
from node.listener.rescan import scan_at_start
from node.listener.secure import ServerTls
from node.listener.services.table import Services
from node.listener.shared_associations import SharedAssociations
from node.store import leftovers
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.faults import tell
from node.store.log import get_logger
from node.store.process import die_with_parent
from node.store.settings import Settings
from node.store.spool import Spool

log = get_logger(__name__)

_MOST: Final = 4
"""Receivers at most, where the settings name no number: each takes memory of its own."""
_GRACE_S: Final = 25.0
"""Seconds beyond the time for draining before a process of the crew is killed."""
_POLL_S: Final = 0.1


def processes(settings: Settings) -> int:
    """How many processes receive: as many as set, else one a processor, at most four."""
    return settings.limits.receivers or min(_MOST, len(os.sched_getaffinity(0)))


class Crew:
    """Parent of the processes; it has one thread, so that it may fork.

    Parameters
    ----------
    settings
        As for `node.listener.listener.Listener`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.doors = Doors()
        self._receivers: set[int] = set()
        self._clerk = 0
        self._died = False

    def start(self) -> None:
        """Open the catalog, clean the spool, bind, fork; returns after a C-ECHO of our own was answered.

        Raises
        ------
        ConfigurationError
            Where the catalog or the address cannot be used.
        Retryable
            Where nothing answers.
        """
        settings = self._settings
        catalog = open_catalog(settings)
        removed = leftovers.clean(Spool(settings.spool))
        if removed:
            log.info("removed files of writers that died", files=removed)
        if settings.tls:
            ServerTls(settings.tls)  # files that cannot be used are told now, and not by each receiver
        self.doors = Doors.open(settings)
        listener_id = doorway.listener_id(settings.data, self.doors)
        catalog.intake.listener_started(listener_id)
        catalog.close()  # connections do not outlive a fork; each process makes its own
        count = processes(settings)
        counts = SharedAssociations(settings.limits.associations, count)
        lines = [socket.socketpair() for _ in range(count)]
        gc.collect()
        gc.freeze()  # what was imported stays: it need not be looked through again, nor copied for it
        self._clerk = self._fork(lambda: self._keep_books(catalog, lines))
        for number in range(count):
            place = Place(self.doors, listener_id, counts, number)
            self._receivers.add(self._fork(functools.partial(self._receive, catalog, lines, place)))
        for ours, theirs in lines:
            ours.close()
            theirs.close()
        doorway.check_that_it_answers(settings, self.doors)
        log.info("listening", host=settings.host, ae_title=settings.ae_title, receivers=count, **self.doors.ports)

    def tend(self) -> bool:
        """Look after the processes; False where one has died."""
        self._bury()
        return not self._died

    def stop(self) -> None:
        """Accept no more, let the receivers drain, then the clerk write the rest."""
        self.doors.shut()
        self._signal(signal.SIGTERM)
        until = time.monotonic() + self._settings.limits.drain_s + _GRACE_S
        while (self._receivers or self._clerk) and time.monotonic() < until:
            self._bury()
            time.sleep(_POLL_S / 5)
        self._signal(signal.SIGKILL)
        if self._clerk:
            os.kill(self._clerk, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._receivers:
            os.kill(process, number)  # not reaped yet, so it is nobody else's

    def _bury(self) -> None:
        while self._receivers or self._clerk:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            self._died = True
            if status:
                log.error("a process of the listener died", status=os.waitstatus_to_exitcode(status))
            if process == self._clerk:
                self._clerk = 0
            self._receivers.discard(process)

    def _fork(self, work: Callable[[], None]) -> int:
        parent = os.getpid()
        process = os.fork()
        if not process:
            _work(work, parent)
        return process

    def _keep_books(self, catalog: Catalog, lines: list[tuple[socket.socket, socket.socket]]) -> None:
        """The clerk: ends when every receiver has, whatever signals come."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self.doors.close()
        for _, theirs in lines:
            theirs.close()
        stopping = threading.Event()
        what = (Spool(self._settings.spool), catalog.intake, stopping.is_set)
        scan = threading.Thread(target=scan_at_start, args=what, name="rescan", daemon=True)
        scan.start()
        clerk.serve([ours for ours, _ in lines], catalog.intake)
        stopping.set()
        scan.join(_GRACE_S)
        catalog.close()

    def _receive(self, catalog: Catalog, lines: list[tuple[socket.socket, socket.socket]], place: Place) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        die_with_parent(os.getppid())
        for line, (ours, theirs) in enumerate(lines):
            ours.close()
            if line != place.number:
                theirs.close()
        listener = Listener(
            self._settings,
            RemoteIntake(lines[place.number][1]),
            Services(catalog.signals, catalog.commitments, self._settings),
            place,
        )
        try:
            listener.start()
            while not stopping.wait(0.5):
                pass  # in pieces: a signal that the kernel gives to another thread is handled only when this one wakes
        finally:
            listener.stop()
            catalog.close()


def _work(work: Callable[[], None], parent: int) -> NoReturn:
    """Do a child's work, and end it there: nothing of its parent's may be unwound in it."""
    status = 1
    try:
        if os.getppid() == parent:
            work()
            status = 0
    except Exception as fault:  # noqa: BLE001 - the last place where it can be told
        log.error("a process of the listener failed", fault=tell(fault))
    finally:
        os._exit(status)


def run(settings: Settings, stopping: Callable[[], bool], ready: Callable[[Doors], None]) -> bool:
    """Run a crew until `stopping` says so; False where one of its processes died, and the others have drained for that.

    Parameters
    ----------
    ready
        Called with what it listens on when it answers.
    """
    crew = Crew(settings)
    try:
        crew.start()
        ready(crew.doors)
        while crew.tend():
            if stopping():
                return True
            time.sleep(_POLL_S)
        return stopping()  # they may have been asked to end as we were
    finally:
        crew.stop()
