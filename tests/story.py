"""Tell a catalog what happens to a study, in few words."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from node.dispatch.judge import Judge
from node.store.catalog.catalog import Catalog
from node.store.clock import FakeClock
from node.store.records import (
    Arrival,
    Association,
    Claim,
    Decision,
    DueStudy,
    Outcome,
    ResultObject,
    ResultSet,
    StackPlan,
    StoredInstance,
)
from node.store.settings import Settings

STUDY = "1.2.826.0.1.3680043.8.498.1"
QUIET_S = 10.0
LEASE_S = 60.0
CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
PLAIN = "1.2.840.10008.1.2.1"


def chosen(model: str = "ct-tissue", *destinations: str, fingerprint: str = "f" * 64) -> Decision:
    return Decision(model, Outcome.CHOSEN, "reads axial CT", fingerprint=fingerprint, destinations=destinations)


def results(*kinds: str, of: str = "1") -> ResultSet:
    """A result set of one object for each kind."""
    objects = tuple(
        ResultObject(kind, SEG, f"2.25.{of}.{place}", f"2.25.{of}", PLAIN, f"results/{of}/{kind}.dcm", "0" * 64, 7)
        for place, kind in enumerate(kinds, start=1)
    )
    return ResultSet(objects, {"notes": [of]})


class Story:
    """One catalog and the clock that it reads."""

    def __init__(self, catalog: Catalog, clock: FakeClock, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(quiet_s=QUIET_S)
        self.catalog = catalog
        self.clock = clock

    def arrival(self, image: int = 1, *, study: str = STUDY, series: int = 1, **changes: object) -> Arrival:
        version = int(str(changes.get("version", 1)))
        uid = f"{study}.{series}.{image}"
        suffix = "" if version == 1 else f".v{version}"
        made = Arrival(
            study_uid=study,
            series_uid=f"{study}.{series}",
            sop_instance_uid=uid,
            sop_class_uid=CT,
            transfer_syntax_uid=PLAIN,
            modality="CT",
            path=f"in/{study}/{series}/{uid}{suffix}.dcm",
            version=version,
            size_bytes=512,
            calling_ae="SCANNER",
            called_ae="OVERREAD",
            received_at=self.clock.now(),
            own_result=False,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def arrive(self, image: int = 1, *, study: str = STUDY, series: int = 1, **changes: object) -> None:
        self.catalog.intake.arrived([self.arrival(image, study=study, series=series, **changes)])

    def open_association(self, name: str = "a1", listener: str = "l1") -> None:
        self.catalog.intake.association_opened(Association(name, listener, "SCANNER", "OVERREAD", "10.0.0.9", self.clock.now()))

    def complete(self) -> list[DueStudy]:
        return list(Judge(self.catalog.worklist, self.catalog.signals, self.settings, self.clock).due())

    def plan(self, due: DueStudy, *decisions: Decision, series: int | None = None, key: str | None = None) -> StackPlan:
        """One stack of all images (of a series)."""
        uid = f"{due.study_uid}.{series}" if series else None
        there: list[StoredInstance] = [
            one for one in self.catalog.worklist.instances(due.study_id) if uid in {None, one.arrival.series_uid}
        ]
        digest = hashlib.sha256("".join(one.arrival.path for one in there).encode()).hexdigest()
        series_uid = there[0].arrival.series_uid if there else ""
        return StackPlan(
            key or f"{series_uid}#1",
            series_uid,
            "Abdomen",
            tuple(one.instance_id for one in there),
            digest,
            {"slices": len(there)},
            decisions,
        )

    def reading(self, *decisions: Decision) -> int:
        """Images 1 and 2 arrived, the quiet period passed, the plan is written; the job that came of it."""
        self.arrive(1)
        self.arrive(2)
        self.revise(*(decisions or (chosen(),)))
        (job_id,) = self.catalog.worklist.due_jobs(10)
        return job_id

    def revise(self, *decisions: Decision) -> int:
        self.clock.advance(QUIET_S)
        (due,) = self.complete()
        return self.catalog.worklist.open_revision(due, [self.plan(due, *decisions)])

    def claim(self, job_id: int, worker: str = "w1") -> Claim:
        claim = self.catalog.desk.claim(job_id, worker, LEASE_S)
        assert claim is not None
        return claim

    def study(self, study: str = STUDY):  # type: ignore[no-untyped-def]
        view = self.catalog.views.study(study)
        assert view is not None
        return view

    def job_state(self, job_id: int) -> str:
        return next(job.state for job in self.study().jobs if job.job_id == job_id)

    def kinds(self) -> list[str]:
        """Kinds of the study's events, oldest first."""
        return [kind for _, kind, _ in self.study().events]
