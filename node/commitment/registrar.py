"""Decides requests to commit and brings the reports, for days and over restarts: all that counts is in the catalog.

A report lets a scanner delete. So an instance is committed only once the archive that the settings name has itself committed it,
or, where this node is the archive, once its file is in the spool and on record.
"""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydicom.uid import generate_uid

from node.commitment.ask import ASK_AGAIN_S, REPORT_WAIT_S, ask_and_keep, overdue
from node.commitment.report import bring_report
from node.delivery.waits import Waits, jitter
from node.store.clock import Clock, SystemClock
from node.store.commitment import ARCHIVE, COMMITTED, NODE, CommitmentTask, Failure
from node.store.errors import OverreadError
from node.store.faults import tell
from node.store.log import get_logger
from node.store.peers import Archive
from node.store.ports import Commitments
from node.store.settings import Settings
from node.store.states import CommitmentState

log = get_logger(__name__)

THREADS: Final = 4
"""Threads, so that a peer that is down does not hold up the others."""
LEDGER_LAG_S: Final = 30.0
"""Seconds for which an instance that is not on record may still be on its way there."""
_LOOK_AGAIN_S: Final = 2.0
_PASSING: Final = frozenset({Failure.PROCESSING_FAILURE, Failure.NO_SUCH_INSTANCE, Failure.RESOURCE_LIMITATION})
"""Failures of an archive that may pass: what it has not yet may be on its way."""


class Registrar:
    """Works on requests to commit until told to stop.

    Parameters
    ----------
    settings
        Archives, whose reports go where, limits and the spool's place.
    commitments
        Port of the catalog.
    """

    def __init__(self, settings: Settings, commitments: Commitments, *, clock: Clock | None = None, poll_s: float = 1.0) -> None:
        self._settings = settings
        self._commitments = commitments
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._name = f"registrar-{uuid.uuid4()}"
        self._waits = Waits.of(settings.limits)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is on the wire then is left to its lease."""
        threads = [
            threading.Thread(target=self._serve, args=(stop,), name=f"registrar-{number}", daemon=True)
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(REPORT_WAIT_S)

    def work(self) -> bool:
        """Do one thing that is due; False where there is none."""
        task = self._commitments.claim(self._name, self._settings.limits.lease_s)
        if task is None:
            return False
        if task.state is CommitmentState.REPORTING:
            self._report(task)
        elif task.policy == NODE:
            self._decide_here(task)
        else:
            self._decide_by_archive(task)
        return True

    def _serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                worked = self.work()
            except Exception as fault:  # noqa: BLE001 - whatever one request does to us, leases bring it back and the others go on
                log.error("commitment interrupted", reason=tell(fault))
                worked = False
            if not worked:
                stop.wait(self._poll_s)

    def _decide_here(self, task: CommitmentTask) -> None:
        here = self._commitments.here([one.sop_instance_uid for one in task.references])
        outcome = {}
        for one in task.references:
            kept = [(sop_class, path) for sop_class, path in here.get(one.sop_instance_uid, ()) if self._is_file(path)]
            if not kept:
                outcome[one.sop_instance_uid] = int(Failure.NO_SUCH_INSTANCE)
            elif one.sop_class_uid not in {sop_class for sop_class, _ in kept}:
                outcome[one.sop_instance_uid] = int(Failure.CLASS_CONFLICT)
            else:
                outcome[one.sop_instance_uid] = COMMITTED
        missing = int(Failure.NO_SUCH_INSTANCE) in outcome.values()
        if missing and self._clock.now() < task.created_at + timedelta(seconds=LEDGER_LAG_S):
            self._again(task, "not all of it is on record yet", _LOOK_AGAIN_S)
        elif not self._commitments.decide(task, outcome, keep=True):
            self._again(task, "some of it was removed meanwhile", _LOOK_AGAIN_S)

    def _is_file(self, path: str) -> bool:
        return Path(self._settings.spool, path).is_file()

    def _decide_by_archive(self, task: CommitmentTask) -> None:
        """Ask the archive, or look at what it has said."""
        archive = self._settings.archive(task.policy.removeprefix(ARCHIVE))
        asked = self._commitments.asked(task.asked_uid) if task.asked_uid else None
        if asked is not None and asked.outcome is not None:
            self._settle(task, dict(asked.outcome))
            return
        if archive is None:
            self._later(task, f"no archive {task.policy.removeprefix(ARCHIVE)} is configured")
            return
        if asked is not None and not overdue(asked, self._clock.now(), task.created_at):
            self._again(task, f"{archive.name} has not reported yet", min(ASK_AGAIN_S / 10, self._waits.plain(task.attempt)))
            return
        self._ask(task, archive)

    def _ask(self, task: CommitmentTask, archive: Archive) -> None:
        transaction_uid = str(generate_uid(prefix=None))
        self._commitments.ask(task, transaction_uid)
        try:
            outcome = ask_and_keep(self._commitments, archive, self._settings.ae_title, transaction_uid, task.references)
        except OverreadError as fault:
            self._commitments.ask(task, "")  # that it was heard is not known: the next look asks anew
            self._later(task, str(fault))
            return
        if outcome is None:
            self._again(task, f"{archive.name} has not reported yet", self._waits.plain(task.attempt))
            return
        self._settle(task, dict(outcome))

    def _settle(self, task: CommitmentTask, said: dict[str, int]) -> None:
        """Decide by what the archive said; ask it again where its failures may pass."""
        outcome = {one.sop_instance_uid: int(Failure.PROCESSING_FAILURE) for one in task.references}
        outcome.update({uid: failure for uid, failure in said.items() if uid in outcome})
        failed = set(outcome.values()) - {COMMITTED}
        waited_s = (self._clock.now() - task.created_at).total_seconds()
        wait_s = self._waits.plain(task.attempt)
        if failed and failed <= _PASSING and waited_s + wait_s < self._settings.limits.commitment_wait_s:
            self._commitments.ask(task, "")
            self._again(task, "the archive has not all of it yet", wait_s)
            return
        self._commitments.decide(task, outcome, keep=False)

    def _report(self, task: CommitmentTask) -> None:
        peer = self._settings.peer_of(task.requestor)
        if peer is None:
            self._later(task, f"where {task.requestor} takes reports is not configured: set report_to in its [[sources]]")
            return
        try:
            bring_report(peer, task.called_ae, task)
        except OverreadError as fault:
            self._later(task, str(fault))
            return
        self._commitments.reported(task)
        log.info("commitment reported", requestor=task.requestor, transaction_uid=task.transaction_uid)

    def _later(self, task: CommitmentTask, reason: str) -> None:
        """Try again with growing waits, until the days for it are over."""
        wait_s = self._waits.after(task.attempt, jitter())
        log.warning(
            "commitment not yet", transaction_uid=task.transaction_uid, requestor=task.requestor, reason=reason, again_in_s=wait_s
        )
        if wait_s is not None:
            self._again(task, reason, wait_s)
        elif task.state is CommitmentState.REPORTING:
            self._commitments.fail(task, f"given up after {task.attempt} tries; the last one: {reason}")
        else:
            self._commitments.decide(
                task, {one.sop_instance_uid: int(Failure.PROCESSING_FAILURE) for one in task.references}, keep=False
            )

    def _again(self, task: CommitmentTask, reason: str, wait_s: float) -> None:
        self._commitments.retry(task, reason, self._clock.now() + timedelta(seconds=wait_s))
