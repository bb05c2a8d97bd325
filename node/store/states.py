"""The states of a study, a job, a delivery, its proof, a request to commit and a fetch, and the one table by which they change.

Nothing else in Overread decides what may follow what: every writer asks `step`, and the tests walk the whole cross
product of states and events.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from node.store.errors import Permanent


class StudyState(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"  # images still arrive, or the quiet period has not passed
    READING = "reading"  # complete; its jobs are being worked on
    FINISHED = "finished"  # every job of its newest revision has ended


class JobState(StrEnum):
    """Where one model on one stack of one revision stands."""

    DUE = "due"
    RUNNING = "running"
    PUBLISHED = "published"
    REFUSED = "refused"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # a later revision reads this stack anew before this job had published


class DeliveryState(StrEnum):
    """Where one result object stands on its way to one destination."""

    DUE = "due"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"  # refused for good, or given up
    HELD = "held"  # the destination knows the study as somebody else's: a person must look


class ProofState(StrEnum):
    """Where the proof that a destination keeps what it was sent stands."""

    DUE = "due"
    ASKING = "asking"
    PROVEN = "proven"
    UNPROVEN = "unproven"  # the destination says that it has it not, or does not say


class CommitmentState(StrEnum):
    """Where a request to commit instances stands (PS3.4 annex J)."""

    OPEN = "open"  # some instances are undecided
    DECIDING = "deciding"
    DECIDED = "decided"  # the report is due
    REPORTING = "reporting"
    REPORTED = "reported"
    FAILED = "failed"  # the report could not be brought


class FetchState(StrEnum):
    """Where a wish for studies of an archive stands."""

    DUE = "due"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"


class StudyEvent(StrEnum):
    IMAGE_ARRIVED = "image arrived"
    COMPLETED = "completed"
    READ = "read"


class JobEvent(StrEnum):
    CLAIM = "claim"
    LEASE_EXPIRED = "lease expired"
    PUBLISH = "publish"
    REFUSE = "refuse"
    RETRY = "retry"
    FAIL = "fail"
    SUPERSEDE = "supersede"


class DeliveryEvent(StrEnum):
    CLAIM = "claim"
    LEASE_EXPIRED = "lease expired"
    STORED = "stored"
    RETRY = "retry"
    FAIL = "fail"
    HOLD = "hold"
    SEND_AGAIN = "send again"


class ProofEvent(StrEnum):
    CLAIM = "claim"
    LEASE_EXPIRED = "lease expired"
    RETRY = "retry"
    PROVE = "prove"
    FAIL = "fail"


class CommitmentEvent(StrEnum):
    CLAIM = "claim"
    LEASE_EXPIRED = "lease expired"
    DECIDE = "decide"
    RETRY = "retry"
    REPORT = "report"
    FAIL = "fail"
    ASK_AGAIN = "ask again"  # the requestor repeats itself


class FetchEvent(StrEnum):
    CLAIM = "claim"
    LEASE_EXPIRED = "lease expired"
    DONE = "done"
    RETRY = "retry"
    FAIL = "fail"


State = StudyState | JobState | DeliveryState | ProofState | CommitmentState | FetchState
Event = StudyEvent | JobEvent | DeliveryEvent | ProofEvent | CommitmentEvent | FetchEvent

_Key = tuple[type[State], State, type[Event], Event]


def _key(state: State, event: Event) -> _Key:
    """Terms are equal to their text, so that a job's ``due`` equals a delivery's: their types tell them apart."""
    return type(state), state, type(event), event


_ROWS: tuple[tuple[State, Event, State], ...] = (
    (StudyState.RECEIVING, StudyEvent.IMAGE_ARRIVED, StudyState.RECEIVING),
    (StudyState.READING, StudyEvent.IMAGE_ARRIVED, StudyState.RECEIVING),
    (StudyState.FINISHED, StudyEvent.IMAGE_ARRIVED, StudyState.RECEIVING),
    (StudyState.RECEIVING, StudyEvent.COMPLETED, StudyState.READING),
    (StudyState.READING, StudyEvent.READ, StudyState.FINISHED),
    (JobState.DUE, JobEvent.CLAIM, JobState.RUNNING),
    (JobState.RUNNING, JobEvent.LEASE_EXPIRED, JobState.DUE),
    (JobState.RUNNING, JobEvent.PUBLISH, JobState.PUBLISHED),
    (JobState.RUNNING, JobEvent.REFUSE, JobState.REFUSED),
    (JobState.RUNNING, JobEvent.RETRY, JobState.DUE),
    (JobState.RUNNING, JobEvent.FAIL, JobState.FAILED),
    (JobState.DUE, JobEvent.FAIL, JobState.FAILED),
    (JobState.DUE, JobEvent.SUPERSEDE, JobState.SUPERSEDED),
    (JobState.RUNNING, JobEvent.SUPERSEDE, JobState.SUPERSEDED),
    (DeliveryState.DUE, DeliveryEvent.CLAIM, DeliveryState.SENDING),
    (DeliveryState.SENDING, DeliveryEvent.LEASE_EXPIRED, DeliveryState.DUE),
    (DeliveryState.SENDING, DeliveryEvent.STORED, DeliveryState.SENT),
    (DeliveryState.SENDING, DeliveryEvent.RETRY, DeliveryState.DUE),
    (DeliveryState.SENDING, DeliveryEvent.FAIL, DeliveryState.FAILED),
    (DeliveryState.SENDING, DeliveryEvent.HOLD, DeliveryState.HELD),
    (DeliveryState.FAILED, DeliveryEvent.SEND_AGAIN, DeliveryState.DUE),
    (DeliveryState.HELD, DeliveryEvent.SEND_AGAIN, DeliveryState.DUE),
    (DeliveryState.SENT, DeliveryEvent.SEND_AGAIN, DeliveryState.DUE),
    (ProofState.DUE, ProofEvent.CLAIM, ProofState.ASKING),
    (ProofState.ASKING, ProofEvent.LEASE_EXPIRED, ProofState.DUE),
    (ProofState.ASKING, ProofEvent.RETRY, ProofState.DUE),
    (ProofState.ASKING, ProofEvent.PROVE, ProofState.PROVEN),
    (ProofState.ASKING, ProofEvent.FAIL, ProofState.UNPROVEN),
    (CommitmentState.OPEN, CommitmentEvent.CLAIM, CommitmentState.DECIDING),
    (CommitmentState.DECIDING, CommitmentEvent.LEASE_EXPIRED, CommitmentState.OPEN),
    (CommitmentState.DECIDING, CommitmentEvent.RETRY, CommitmentState.OPEN),
    (CommitmentState.DECIDING, CommitmentEvent.DECIDE, CommitmentState.DECIDED),
    (CommitmentState.DECIDED, CommitmentEvent.CLAIM, CommitmentState.REPORTING),
    (CommitmentState.REPORTING, CommitmentEvent.LEASE_EXPIRED, CommitmentState.DECIDED),
    (CommitmentState.REPORTING, CommitmentEvent.RETRY, CommitmentState.DECIDED),
    (CommitmentState.REPORTING, CommitmentEvent.REPORT, CommitmentState.REPORTED),
    (CommitmentState.REPORTING, CommitmentEvent.FAIL, CommitmentState.FAILED),
    (CommitmentState.REPORTED, CommitmentEvent.ASK_AGAIN, CommitmentState.DECIDED),
    (CommitmentState.FAILED, CommitmentEvent.ASK_AGAIN, CommitmentState.DECIDED),
    (FetchState.DUE, FetchEvent.CLAIM, FetchState.FETCHING),
    (FetchState.FETCHING, FetchEvent.LEASE_EXPIRED, FetchState.DUE),
    (FetchState.FETCHING, FetchEvent.RETRY, FetchState.DUE),
    (FetchState.FETCHING, FetchEvent.DONE, FetchState.DONE),
    (FetchState.FETCHING, FetchEvent.FAIL, FetchState.FAILED),
)

TRANSITIONS: dict[_Key, State] = {_key(state, event): following for state, event, following in _ROWS}

ENDED_JOBS = frozenset({JobState.PUBLISHED, JobState.REFUSED, JobState.FAILED, JobState.SUPERSEDED})


class IllegalTransition(Permanent):
    """An event that cannot happen in this state: a defect of ours, never of the input."""


S = TypeVar("S", StudyState, JobState, DeliveryState, ProofState, CommitmentState, FetchState)


def step(state: S, event: Event) -> S:
    """Return the state that follows `state` when `event` happens.

    Raises
    ------
    IllegalTransition
        Where the table has no such row.
    """
    try:
        following = TRANSITIONS[_key(state, event)]
    except KeyError as missing:
        raise IllegalTransition(f"{type(state).__name__} {state} does not allow {event}") from missing
    return type(state)(following)
