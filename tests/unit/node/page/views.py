"""A catalog with a few studies in memory, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from node.page.standing import Circuit, Standing
from node.store.commitment import CommitmentView
from node.store.events import NodeEvent
from node.store.records import (
    Decision,
    DecisionView,
    DeliveryView,
    JobView,
    KeptView,
    Outcome,
    QueueView,
    ResultObject,
    StudyView,
)
from node.store.signals import SignalKind, SignalView
from node.store.states import CommitmentState, DeliveryState, JobState, StudyState
from tests.unit.node.delivery.outbox import MemoryBreakers

AT = datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)


def a_result(kind: str = "seg", number: int = 1) -> ResultObject:
    return ResultObject(
        kind, "1.2.840.10008.5.1.4.1.1.66.4", f"2.25.{number}", "2.25.99", "1.2.840.10008.1.2.1", "r/x.dcm", "ab" * 32, 12345
    )


def a_job(state: JobState = JobState.PUBLISHED, *, reason: str = "", number: int = 1, **summary: list[object]) -> JobView:
    objects = (a_result(),) if state is JobState.PUBLISHED else ()
    return JobView(number, "cxr-pneumonia", "1.2.3.4#1", "1.2.3.4", state, reason, 1, 1, dict(summary), objects)


FINDING = {"name": "Pneumonia", "probability": 0.9312, "verdict": "present"}
LUNG = {"name": "Right lung", "quantity": "volume", "value": 2310.4, "unit": "ml"}


def a_request(state: CommitmentState = CommitmentState.REPORTED, **parts: object) -> CommitmentView:
    values: dict[str, object] = {
        "at": AT,
        "requestor": "CT_1",
        "transaction_uid": "1.9.9",
        "policy": "archive:vna",
        "state": state,
        "named": 2,
        "committed": 2,
        "failed": 0,
        "attempt": 1,
        "reason": "",
        "next_at": None,
    }
    return CommitmentView(**(values | parts))  # type: ignore[arg-type]


def a_study(uid: str = "1.2.3", state: StudyState = StudyState.FINISHED, **parts: object) -> StudyView:
    values: dict[str, object] = {
        "study_uid": uid,
        "state": state,
        "revision": 1,
        "instances": 2,
        "series": 1,
        "modalities": ("CR",),
        "calling_ae": "MODALITY",
        "first_arrival_at": AT,
        "last_arrival_at": AT + timedelta(seconds=3),
        "evidence": "quiet for 10 s, no association open",
        "jobs": (a_job(findings=[FINDING], measurements=[LUNG], notes=["left lung cut off at the edge"]),),
        "deliveries": (
            DeliveryView(1, 1, "pacs", "seg", "2.25.1", DeliveryState.SENT, 1, "0000: stored", None),
            DeliveryView(2, 1, "pacs", "report", "2.25.2", DeliveryState.FAILED, 3, "A900: no", None),
            DeliveryView(3, 1, "viewer", "seg", "2.25.1", DeliveryState.DUE, 2, "refused", AT + timedelta(minutes=1)),
        ),
        "decisions": (
            DecisionView(
                1,
                "1.2.3.4#1",
                "1.2.3.4",
                "PA <chest>",
                1,
                Decision("cxr-pneumonia", Outcome.CHOSEN, "reads chest radiographs", fingerprint="f", destinations=("pacs",)),
            ),
            DecisionView(
                1, "1.2.3.4#1", "1.2.3.4", "PA <chest>", 1, Decision("ct-tissue", Outcome.NOT_CHOSEN, "reads CT, this is CR")
            ),
        ),
        "events": ((AT, "complete", "quiet for 10 s"),),
        "commitments": (a_request(),),
        "signals": (SignalView(SignalKind.MPPS, "CT_1", "COMPLETED", AT, 2, 2),),
    }
    return StudyView(**(values | parts))  # type: ignore[arg-type]


AN_EVENT = NodeEvent(AT, AT + timedelta(minutes=5), "association rejected", "no source lists <MR_1>: add it", 17)

A_STANDING = Standing("pacs", "PACS@h:104", Circuit.CLOSED, None, QueueView())


class MemoryCatalog:
    def __init__(self, *studies: StudyView, broken: bool = False) -> None:
        self.held = studies
        self.broken = broken
        self.events: tuple[NodeEvent, ...] = ()
        self.breakers = MemoryBreakers()

    @property
    def views(self) -> MemoryCatalog:
        return self

    @property
    def outbox(self) -> MemoryCatalog:
        return self

    def studies(self, limit: int = 100, offset: int = 0) -> Sequence[StudyView]:
        return self.held[offset : offset + limit]

    def study(self, study_uid: str) -> StudyView | None:
        return next((view for view in self.held if view.study_uid == study_uid), None)

    def counts(self) -> dict[str, dict[str, int]]:
        if self.broken:
            raise OSError("disk I/O error")
        return {
            "studies": {"finished": len(self.held)},
            "jobs": {"published": 1, "refused": 2},
            "deliveries": {"failed": 1},
            "commitments": {"open": 3, "reported": 4},
        }

    def commitments(self, limit: int = 100) -> Sequence[CommitmentView]:
        return [one for study in self.held for one in study.commitments][:limit]

    def asked(self) -> dict[tuple[str, bool], int]:
        return {("vna", False): 2, ("vna", True): 5}

    def said(self) -> dict[str, int]:
        return {"mpps": 7, "availability": 0}

    def kept(self) -> KeptView:
        return KeptView(2, 412, 3_210_000_000, AT, AT)

    def node_events(self, since: datetime, limit: int = 100) -> Sequence[NodeEvent]:
        return self.events[:limit]

    def rejected(self) -> dict[str, int]:
        return {"association rejected": sum(event.count for event in self.events), "context rejected": 0}

    def queues(self) -> dict[str, QueueView]:
        return {
            "pacs": QueueView(waiting=3, oldest_at=AT, unproven_yet=5, unproven=2),
            "gone": QueueView(waiting=1, oldest_at=AT),
        }

    def waiting(self) -> dict[str, int]:
        return {"pacs": 3, "gone": 1}
