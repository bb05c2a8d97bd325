"""Proves that destinations keep what they were sent: a success that a C-STORE was answered with is only a word.

A destination with ``commit`` is asked to commit its objects (PS3.4 annex J), one with ``find`` is searched for each by its UID,
by C-FIND or QIDO-RS; with both, for what it has committed. For days and over restarts: all that counts is in the catalog.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydicom.uid import generate_uid

from node.association import AssociationRejected
from node.commitment.ask import REPORT_WAIT_S, ask_and_keep, overdue
from node.delivery.waits import Waits, jitter
from node.query.find import missing_of
from node.store.clock import Clock, SystemClock
from node.store.commitment import COMMITTED, Outcome
from node.store.destinations import ArchiveDestination, Destination
from node.store.errors import ConfigurationError, NotUnderstood, OverreadError, Permanent
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Commitments, Proofs
from node.store.proof import ProofTask
from node.store.settings import Settings

log = get_logger(__name__)

BATCH: Final = 100
"""Objects asked about at once."""
_PASSING: Final = (AssociationRejected, ConfigurationError, NotUnderstood)
"""Permanent for one try, and put right by a person, here or there, without anything sent again."""
_UNREPORTED: Final = (
    "asked to commit it, the destination has not reported yet: see that it knows this node's AE title, host and port"
)


class Prover:
    """Asks the destinations that shall prove what they keep, one thread a destination, until told to stop.

    Parameters
    ----------
    settings
        Destinations and limits.
    proofs, commitments
        Ports of the catalog.
    poll_s
        Seconds between two looks at proofs of which none is due.
    """

    def __init__(
        self, settings: Settings, proofs: Proofs, commitments: Commitments, *, clock: Clock | None = None, poll_s: float = 1.0
    ) -> None:
        self._settings = settings
        self._proofs = proofs
        self._commitments = commitments
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._waits = Waits.of(settings.limits)

    def run(self, stop: threading.Event) -> None:
        """Prove until `stop` is set; what is on the wire then is left to its lease."""
        proving = [one for one in self._settings.destinations if isinstance(one, ArchiveDestination) and one.proves]
        threads = [
            threading.Thread(target=self._serve, args=(one, stop), name=f"prover-{one.name}", daemon=True) for one in proving
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(REPORT_WAIT_S)

    def prove(self, destination: ArchiveDestination) -> int:
        """Ask about what is due now; return how many objects that was."""
        tasks = self._proofs.claim(destination.name, self._settings.limits.lease_s, BATCH)
        if isinstance(destination, Destination) and destination.commit:
            open_ = [task for task in tasks if not task.committed]
            for uid in sorted({task.asked_uid for task in open_}):
                self._commit(destination, uid, [task for task in open_ if task.asked_uid == uid])
        else:
            open_ = []
        if sought := [task for task in tasks if task not in open_]:
            self._seek(destination, sought)
        return len(tasks)

    def _serve(self, destination: ArchiveDestination, stop: threading.Event) -> None:
        with structlog.contextvars.bound_contextvars(destination=destination.name):
            while not stop.is_set():
                try:
                    asked = self.prove(destination)
                except Exception as fault:  # noqa: BLE001 - whatever one of them does to us, leases bring the proofs back
                    log.error("proof interrupted", reason=tell(fault))
                    asked = 0
                if not asked:
                    stop.wait(self._poll_s)

    def _commit(self, destination: Destination, uid: str, tasks: Sequence[ProofTask]) -> None:
        """Look at what came of a request, or make one."""
        asked = self._commitments.asked(uid) if uid else None
        if asked is not None and asked.outcome is not None:
            self._settle(destination, tasks, asked.outcome)
        elif asked is not None and not overdue(asked, self._clock.now(), _first(tasks) or asked.asked_at):
            self._later(tasks, _UNREPORTED)
        else:
            self._ask(destination, tasks)

    def _ask(self, destination: Destination, tasks: Sequence[ProofTask]) -> None:
        transaction_uid = str(generate_uid(prefix=None))
        self._proofs.ask(tasks, transaction_uid)
        references = [task.reference for task in tasks]
        try:
            outcome = ask_and_keep(self._commitments, destination, self._settings.ae_title, transaction_uid, references)
        except OverreadError as fault:
            self._proofs.ask(tasks, "")  # that it was heard is not known: the next look asks anew
            self._unasked(tasks, fault)
            return
        self._proofs.accepted(tasks)
        if outcome is None:
            self._later(tasks, _UNREPORTED)
            return
        self._settle(destination, tasks, outcome)

    def _settle(self, destination: Destination, tasks: Sequence[ProofTask], outcome: Outcome) -> None:
        """Take the destination's word; what it does not commit yet is asked for again a while."""
        for task in tasks:
            failure = outcome.get(task.reference.sop_instance_uid)
            if failure == COMMITTED:
                self._proofs.committed(task, ends=not destination.find)
                continue
            said = "the report does not name it" if failure is None else f"failure reason {failure:04X}"
            self._proofs.ask([task], "")
            self._absent(task, f"the destination did not commit it ({said}): see why there, then send it again")

    def _seek(self, destination: ArchiveDestination, tasks: Sequence[ProofTask]) -> None:
        wanted = [(task.study_uid, task.series_uid, task.reference.sop_instance_uid) for task in tasks]
        try:
            missing = self._missing(destination, wanted)
        except OverreadError as fault:
            self._unasked(tasks, fault)
            return
        self._proofs.accepted(tasks)
        for task in tasks:
            if task.reference.sop_instance_uid in missing:
                self._absent(task, "the destination does not find it: see why there, then send it again")
            else:
                self._proofs.found(task)

    def _missing(self, destination: ArchiveDestination, wanted: Sequence[tuple[str, str, str]]) -> set[str]:
        if isinstance(destination, Destination):
            return missing_of(destination, self._settings.ae_title, wanted)
        from node.delivery.qido import missing_of_web

        return missing_of_web(destination, wanted)

    def _absent(self, task: ProofTask, reason: str) -> None:
        """It has it not, or not yet: ask again until it has had its time since it first took the question.

        Not since the object was sent: a destination that was down in between, or this node, had no time at all.
        """
        now = self._clock.now()
        waited_s = (now - task.accepted_at).total_seconds() if task.accepted_at else 0.0
        left_s = self._settings.limits.commitment_wait_s - waited_s
        if left_s <= 0:
            self._end([task], reason)
            return
        wait_s = min(self._waits.plain(task.attempt) * jitter(), left_s)  # the last look is at the end
        self._proofs.retry(task, reason, now + timedelta(seconds=wait_s))

    def _unasked(self, tasks: Sequence[ProofTask], fault: OverreadError) -> None:
        """It could not be asked: that may pass, unless it said that it does not do this at all."""
        if isinstance(fault, Permanent) and not isinstance(fault, _PASSING):
            self._end(tasks, str(fault))
        else:
            self._later(tasks, str(fault))

    def _later(self, tasks: Sequence[ProofTask], reason: str) -> None:
        """Look again after a wait, as often as a delivery is tried."""
        factor, now = jitter(), self._clock.now()
        for task in tasks:
            wait_s = self._waits.after(task.attempt, factor)
            if wait_s is None:
                self._end([task], f"given up after {task.attempt} tries; the last one: {reason}")
            else:
                self._proofs.retry(task, reason, now + timedelta(seconds=wait_s))

    def _end(self, tasks: Sequence[ProofTask], reason: str) -> None:
        for task in tasks:
            log.warning("not proven", study_uid=task.study_uid, reason=reason)
            self._proofs.fail(task, reason)


def _first(tasks: Sequence[ProofTask]) -> datetime | None:
    """When the first of them was first asked about."""
    return min((task.accepted_at for task in tasks if task.accepted_at), default=None)
