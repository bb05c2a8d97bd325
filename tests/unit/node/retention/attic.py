"""Studies that were received, read and delivered, with their files."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

from pydicom.dataset import Dataset

from node.listener.rescan import read_arrival, rescan
from node.retention.keeper import Keeper
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.clock import FakeClock
from node.store.records import Arrival, OutboxItem, ResultObject, ResultSet, StackPlan
from node.store.settings import Settings
from node.store.spool import Kept, Spool, SpoolConflict, SpooledInstance, instance_path
from tests.story import LEASE_S, PLAIN, SEG, Story, chosen
from tests.unit.node.listener.encoded import file_bytes, image

STUDY = "1.2.3"


class Attic:
    def __init__(self, settings: Settings, clock: FakeClock) -> None:
        self.settings = settings
        self.clock = clock
        self.catalog: Catalog = open_catalog(settings, clock)
        self.spool = Spool(settings.spool)
        self.free_mb = 1_000_000

    @property
    def story(self) -> Story:
        return Story(self.catalog, self.clock)

    def restart(self) -> None:
        """What a node does at its start: the catalog is opened anew, the spool is scanned."""
        self.catalog.close()
        self.catalog = open_catalog(self.settings, self.clock)
        self.spool = Spool(self.settings.spool)
        rescan(self.spool, self.catalog.intake)

    def receive(self, number: int = 1, *, study: str = STUDY, told: bool = True, **changes: object) -> Arrival:
        """As the listener does: into the spool under the first version that fits, then told to the catalog."""
        dataset = image(number, study=study)
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        path, version, kept = self._keep(dataset, study, number)
        found = read_arrival(self.spool, SpooledInstance(path, study, version))
        arrival = _at(found, self.clock, fresh=kept is Kept.STORED)
        if told:
            self.catalog.intake.arrived([arrival])
        return arrival

    def _keep(self, dataset: Dataset, study: str, number: int) -> tuple[str, int, Kept]:
        for version in range(1, 10):
            path = instance_path(study, f"{study}.4", f"{study}.4.{number}", version)
            try:
                return path, version, self.spool.keep(path, file_bytes(dataset))
            except SpoolConflict:
                continue
        raise AssertionError("too many versions")

    def read(self, *destinations: str, study: str = STUDY, kinds: tuple[str, ...] = ("seg",)) -> int:
        """The study is complete, a job reads it, its results are in the spool and published; returns the job."""
        self.plan(*destinations, study=study)
        (job_id,) = self.catalog.worklist.due_jobs(10)
        claim = self.catalog.desk.claim(job_id, "w", LEASE_S)
        assert claim
        objects = tuple(self._result(study, job_id, place, kind) for place, kind in enumerate(kinds))
        assert self.catalog.desk.publish(claim, ResultSet(objects, {}))
        return job_id

    def plan(self, *destinations: str, study: str = STUDY, plans: list[StackPlan] | None = None) -> int:
        self.clock.advance(60)
        (due,) = [due for due in self.story.complete() if due.study_uid == study]
        return self.catalog.worklist.open_revision(
            due, plans if plans is not None else [self.story.plan(due, chosen("ct-tissue", *destinations))]
        )

    def _result(self, study: str, job_id: int, place: int, kind: str) -> ResultObject:
        path = f"results/{study}/{job_id}.1/{kind}.dcm"
        self.spool.keep(path, b"x" * 5000)
        return ResultObject(kind, SEG, f"2.25.{job_id}.{place}", f"2.25.{job_id}", PLAIN, path, "0" * 64, 5000)

    def claimed(self) -> list[OutboxItem]:
        return list(self.catalog.outbox.claim("pacs", "d", LEASE_S, 100))

    def deliver(self) -> None:
        for item in self.claimed():
            assert self.catalog.outbox.stored(item, 0)

    def delivered_study(self, study: str = STUDY, images: int = 3) -> None:
        for number in range(1, images + 1):
            self.receive(number, study=study)
        self.read("pacs", study=study)
        self.deliver()

    def keeper(self, settings: Settings | None = None) -> Keeper:
        return Keeper(
            settings or self.settings, self.catalog, self.clock, free_bytes=lambda _folder: int(self.free_mb * 1_000_000)
        )

    def sweep(self) -> int:
        return self.keeper().sweep(threading.Event())

    def days_pass(self, days: float) -> None:
        self.clock.advance(days * 86400)

    def files(self, part: str = "in") -> list[str]:
        root = self.spool.root
        return sorted(str(path.relative_to(root)) for path in (root / part).rglob("*.dcm"))

    def absolute(self, path: str) -> Path:
        return self.spool.absolute(path)


def _at(arrival: Arrival, clock: FakeClock, *, fresh: bool) -> Arrival:
    return dataclasses.replace(arrival, received_at=clock.now(), fresh=fresh)
