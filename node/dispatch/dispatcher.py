"""Complete studies into jobs, due jobs into wake-up calls; and again what the queue lost."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from node.store.clock import Clock
from node.store.errors import Retryable
from node.store.faults import tell
from node.store.log import get_logger
from node.store.messages import AnalyseMessage
from node.store.ports import IntakeLog, Worklist
from node.store.records import Decision, DueStudy, Outcome, StackPlan, StoredInstance

MOST_WAITING: Final = 32
"""Messages that wait in the queue at most. The rest wait in the catalog, where priority still counts and nothing piles up."""

PLAN_ATTEMPTS: Final = 3
"""How often a study that cannot be split into stacks is tried before it ends with the reason."""

FIRST_WAIT_S: Final = 2.0
"""Seconds before the second try; doubled each time."""

log = get_logger(__name__)


class Planner(Protocol):
    """Splits the images of a study into stacks and decides what is read."""

    def __call__(self, instances: Sequence[StoredInstance]) -> tuple[StackPlan, ...]: ...


class Complete(Protocol):
    """Says which studies are complete: `node.dispatch.judge.Judge`."""

    def due(self) -> Sequence[DueStudy]: ...


class Queue(Protocol):
    """Where wake-up calls are sent to."""

    def send(self, message: AnalyseMessage) -> None: ...

    def length(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A study that could not be planned so far."""

    arrivals: int
    attempts: int
    next_at: datetime


class Dispatcher:
    """The loop between catalog and queue.

    Parameters
    ----------
    worklist, events
        Ports of the catalog.
    planner
        Splits studies and decides.
    queue
        Takes the wake-up calls.
    judge
        Says which studies are complete, and why.
    wish
        Told, before a revision is written, of a study and its plan: what routes want fetched.
    clock
        Where moments come from.
    poll_s
        Seconds between two looks at the catalog.
    """

    def __init__(
        self,
        worklist: Worklist,
        events: IntakeLog,
        planner: Planner,
        queue: Queue,
        *,
        judge: Complete,
        clock: Clock,
        wish: Callable[[str, Sequence[StackPlan]], None] | None = None,
        poll_s: float = 0.25,
    ) -> None:
        self._worklist = worklist
        self._events = events
        self._planner = planner
        self._queue = queue
        self._judge = judge
        self._wish = wish
        self._clock = clock
        self._poll_s = poll_s
        self._trouble: dict[int, _Trouble] = {}
        self._queue_answers = True

    def run(self, stop: threading.Event) -> None:
        """Plan and enqueue until `stop` is set."""
        while not stop.is_set():
            self.plan()
            self.enqueue()
            stop.wait(self._poll_s)

    def plan(self) -> int:
        """Write a revision for each complete study; return how many were written."""
        written = 0
        due_studies = self._judge.due()
        self._trouble = {due.study_id: self._trouble[due.study_id] for due in due_studies if due.study_id in self._trouble}
        for due in due_studies:
            trouble = self._trouble.get(due.study_id)
            if trouble and trouble.arrivals == due.arrivals and trouble.next_at > self._clock.now():
                continue
            stacks = self._planned(due)
            if stacks is not None:
                if self._wish is not None:
                    self._wish(due.study_uid, stacks)
                revision = self._worklist.open_revision(due, stacks)
                written += revision > 0
                log.info("study complete", study_uid=due.study_uid, revision=revision, stacks=len(stacks), evidence=due.evidence)
        return written

    def enqueue(self) -> int:
        """Send wake-up calls for due jobs, as many as the queue has room for; return how many."""
        try:
            room = MOST_WAITING - self._queue.length()
            job_ids = self._worklist.due_jobs(room) if room > 0 else ()
            for job_id in job_ids:
                self._queue.send(AnalyseMessage(job_id))
        except Retryable as fault:
            if self._queue_answers:
                log.warning("queue down", reason=str(fault))
            self._queue_answers = False
            return 0
        if not self._queue_answers:
            log.info("queue back")
        self._queue_answers = True
        return len(job_ids)

    def _planned(self, due: DueStudy) -> Sequence[StackPlan] | None:
        """The study's stacks; None where it is to be tried again; a plan that says why where it is given up."""
        try:
            stacks = self._planner(self._worklist.instances(due.study_id))
        except Exception as fault:  # noqa: BLE001 - whatever one study's images do to the planner, the other studies go on
            return self._in_trouble(due, fault)
        self._trouble.pop(due.study_id, None)
        return [_unread(plan, due) if due.prior_of else _noted(plan, due) for plan in stacks]

    def _in_trouble(self, due: DueStudy, fault: Exception) -> Sequence[StackPlan] | None:
        reason = tell(fault)
        before = self._trouble.get(due.study_id)
        attempts = before.attempts + 1 if before and before.arrivals == due.arrivals else 1
        log.error("study not planned", study_uid=due.study_uid, attempt=attempts, reason=reason)
        self._events.event("not planned", f"attempt {attempts}: {reason}", due.study_uid)
        if attempts >= PLAN_ATTEMPTS:
            self._trouble.pop(due.study_id, None)
            refusal = Decision(model="", outcome=Outcome.REFUSED, reason=f"the study could not be sorted into stacks: {reason}")
            return [StackPlan(f"{due.study_uid}#0", "", "", (), "", {}, (refusal,))]
        wait = timedelta(seconds=FIRST_WAIT_S * 2 ** (attempts - 1))
        self._trouble[due.study_id] = _Trouble(due.arrivals, attempts, self._clock.now() + wait)
        return None


def _noted(plan: StackPlan, due: DueStudy) -> StackPlan:
    """A plan whose results say what the study lacks. Its digest changes, so that a revision that need not say it is read anew."""
    notes = (*due.notes.get("", ()), *due.notes.get(plan.series_uid, ()))
    if not notes:
        return plan
    facts = {**plan.facts, "notes": [*notes, *plan.facts.get("notes", ())]}
    digest = hashlib.sha256("\0".join((plan.digest, *notes)).encode()).hexdigest() if plan.digest else ""
    return replace(plan, facts=facts, digest=digest)


def _unread(plan: StackPlan, due: DueStudy) -> StackPlan:
    """The plan of a prior: whoever would have read it does not."""
    reason = f"fetched as a prior of study {due.prior_of}: stored, and not read by itself"
    decisions = tuple(
        replace(one, outcome=Outcome.NOT_CHOSEN, reason=reason, fingerprint="", destinations=())
        if one.outcome is Outcome.CHOSEN
        else one
        for one in plan.decisions
    )
    return replace(plan, decisions=decisions)
