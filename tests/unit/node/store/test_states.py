from __future__ import annotations

from itertools import product

import pytest

from node.store.states import (
    ENDED_JOBS,
    CommitmentEvent,
    CommitmentState,
    DeliveryEvent,
    DeliveryState,
    Event,
    FetchEvent,
    FetchState,
    IllegalTransition,
    JobEvent,
    JobState,
    ProofEvent,
    ProofState,
    State,
    StudyEvent,
    StudyState,
    step,
)

STATES: list[State] = [*StudyState, *JobState, *DeliveryState, *ProofState, *CommitmentState, *FetchState]
EVENTS: list[Event] = [*StudyEvent, *JobEvent, *DeliveryEvent, *ProofEvent, *CommitmentEvent, *FetchEvent]

# Written out a second time on purpose: a change of the table must be meant twice.
ALLOWED = {
    "StudyState": {
        "receiving": {"image arrived": "receiving", "completed": "reading"},
        "reading": {"image arrived": "receiving", "read": "finished"},
        "finished": {"image arrived": "receiving"},
    },
    "JobState": {
        "due": {"claim": "running", "fail": "failed", "supersede": "superseded"},
        "running": {
            "lease expired": "due",
            "publish": "published",
            "refuse": "refused",
            "retry": "due",
            "fail": "failed",
            "supersede": "superseded",
        },
    },
    "DeliveryState": {
        "due": {"claim": "sending"},
        "sending": {"lease expired": "due", "stored": "sent", "retry": "due", "fail": "failed", "hold": "held"},
        "sent": {"send again": "due"},
        "failed": {"send again": "due"},
        "held": {"send again": "due"},
    },
    "ProofState": {
        "due": {"claim": "asking"},
        "asking": {"lease expired": "due", "retry": "due", "prove": "proven", "fail": "unproven"},
    },
    "CommitmentState": {
        "open": {"claim": "deciding"},
        "deciding": {"lease expired": "open", "retry": "open", "decide": "decided"},
        "decided": {"claim": "reporting"},
        "reporting": {"lease expired": "decided", "retry": "decided", "report": "reported", "fail": "failed"},
        "reported": {"ask again": "decided"},
        "failed": {"ask again": "decided"},
    },
    "FetchState": {
        "due": {"claim": "fetching"},
        "fetching": {"lease expired": "due", "retry": "due", "done": "done", "fail": "failed"},
    },
}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)), ids=lambda term: f"{type(term).__name__}.{term.name}")
def test_the_whole_cross_product(state: State, event: Event) -> None:
    of_one_kind = type(state).__name__.removesuffix("State") == type(event).__name__.removesuffix("Event")
    expected = ALLOWED[type(state).__name__].get(state.value, {}).get(event.value) if of_one_kind else None
    if expected is None:
        with pytest.raises(IllegalTransition, match=state.value):
            step(state, event)
    else:
        following = step(state, event)
        assert following == expected
        assert type(following) is type(state)


@pytest.mark.parametrize("state", sorted(ENDED_JOBS))
def test_an_ended_job_stays_ended(state: JobState) -> None:
    for event in JobEvent:
        with pytest.raises(IllegalTransition):
            step(state, event)
