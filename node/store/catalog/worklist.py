"""The dispatcher's side of the catalog: complete studies become revisions, revisions become jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from node.store.catalog.deliveries import Wish
from node.store.catalog.engine import Database
from node.store.catalog.fetches import fetched_as_prior_of
from node.store.catalog.progress import expire_lease, lock_job
from node.store.catalog.revision import RevisionWriter
from node.store.catalog.tables import associations, instances, jobs, removals, studies
from node.store.clock import Clock
from node.store.companions import COMPANIONS
from node.store.records import Arrival, DueStudy, StackPlan, StoredInstance
from node.store.signals import Arrived, Receiving
from node.store.states import JobState, StudyState


class SqlWorklist:
    """`node.store.ports.Worklist` on the catalog's database.

    Parameters
    ----------
    database
        The catalog's.
    clock
        Where moments come from.
    wishes
        By name of a destination: what it is sent.
    job_attempts
        How many workers may give no answer on a job before it ends as failed.
    requeue_after_s
        Seconds after which a job that was enqueued and is still due counts as lost by the queue.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        wishes: Mapping[str, Wish],
        job_attempts: int,
        requeue_after_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wishes = wishes
        self._job_attempts = job_attempts
        self._requeue_after = timedelta(seconds=requeue_after_s)

    def receiving(self) -> Sequence[Receiving]:
        """Studies in state receiving, quiet ones first."""
        sent_over = (
            sa.select(instances.c.study_id, sa.func.count(associations.c.association_id.distinct()).label("open"))
            .join(associations, associations.c.association_id == instances.c.association_id)
            .where(instances.c.own_result.is_(False), associations.c.closed_at.is_(None), *_no_companions())
            .group_by(instances.c.study_id)
            .subquery()
        )
        rows = (
            sa.select(studies, sa.func.coalesce(sent_over.c.open, 0).label("open"), fetched_as_prior_of().label("prior_of"))
            .outerjoin(sent_over, sent_over.c.study_id == studies.c.id)
            .where(studies.c.state == StudyState.RECEIVING)
            .order_by(studies.c.last_arrival_at)
        )
        with self._database.read() as connection:
            return [
                Receiving(
                    study_id=row.id,
                    study_uid=row.uid,
                    calling_ae=row.calling_ae,
                    arrivals=row.arrivals,
                    since=row.receiving_since or row.first_arrival_at,
                    last_arrival_at=row.last_arrival_at,
                    open_associations=row.open,
                    evidence=row.evidence,
                    prior_of=row.prior_of or "",
                )
                for row in connection.execute(rows)
            ]

    def arrived(self, study_id: int) -> Arrived:
        """What is here of a study."""
        images = sa.and_(instances.c.study_id == study_id, instances.c.own_result.is_(False))
        uids = sa.select(instances.c.series_uid, instances.c.sop_instance_uid).where(images)
        ends = (
            sa.select(associations.c.how, associations.c.association_id)
            .join(instances, associations.c.association_id == instances.c.association_id)
            .where(images, associations.c.closed_at.is_not(None))
            .distinct()
        )
        series: defaultdict[str, set[str]] = defaultdict(set)
        with self._database.read() as connection:
            for row in connection.execute(uids):
                series[row.series_uid].add(row.sop_instance_uid)
            how = Counter(row.how for row in connection.execute(ends))
        return Arrived({uid: frozenset(found) for uid, found in series.items()}, dict(how))

    def waits(self, study: Receiving, evidence: str) -> None:
        """Keep what a study waits for, where no image came since."""
        same = sa.and_(
            studies.c.id == study.study_id, studies.c.arrivals == study.arrivals, studies.c.state == StudyState.RECEIVING
        )
        with self._database.write() as connection:
            connection.execute(sa.update(studies).where(same).values(evidence=evidence))

    def instances(self, study_id: int) -> Sequence[StoredInstance]:
        """The newest version of each instance that is not a result of our own; of those that were removed, the row alone."""
        received = (
            sa.select(instances, studies.c.uid.label("study_uid"), removals.c.started_at.label("removed_at"))
            .join(studies, instances.c.study_id == studies.c.id)
            .outerjoin(removals, instances.c.removal_id == removals.c.id)
            .where(instances.c.study_id == study_id, instances.c.own_result.is_(False))
            .order_by(instances.c.removal_id.is_(None), instances.c.version, instances.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(received).all()
        # What is here comes after what was removed, and later versions after earlier ones: the last one counts.
        newest = {(row.series_uid, row.sop_instance_uid): row for row in rows}
        return [_stored(row) for row in sorted(newest.values(), key=lambda row: row.id)]

    def open_revision(self, due: DueStudy, stacks: Sequence[StackPlan]) -> int:
        """Write revision, stacks, decisions and jobs in one transaction; return its number, 0 where an image came since."""
        with self._database.write() as connection:
            return RevisionWriter(connection, self._clock.now(), self._wishes).write(due, stacks)

    def due_jobs(self, limit: int) -> Sequence[int]:
        """Ids of jobs that wait for a worker, never enqueued ones first, then by priority and age; marks them as enqueued now."""
        now = self._clock.now()
        self._expire_leases(now)
        waiting = (
            sa.select(jobs.c.id)
            .where(
                jobs.c.state == JobState.DUE,
                jobs.c.due_at <= now,
                sa.or_(jobs.c.enqueued_at.is_(None), jobs.c.enqueued_at <= now - self._requeue_after),
            )
            .order_by(jobs.c.enqueued_at.is_not(None), jobs.c.priority.desc(), jobs.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:  # asked several times a second: a writer's turn only where there is work
            if limit < 1 or not connection.execute(waiting).first():
                return ()
        with self._database.write() as connection:
            ids = connection.execute(waiting.with_for_update(skip_locked=True)).scalars().all()
            connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids)).values(enqueued_at=now))
        return ids

    def _expire_leases(self, now: datetime) -> None:
        expired = sa.select(jobs.c.id).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < now)
        with self._database.read() as connection:
            ids = connection.execute(expired).scalars().all()
        for job_id in ids:
            with self._database.write() as connection:
                found = lock_job(connection, job_id)
                if found and found[1].state == JobState.RUNNING and found[1].lease_until < now:
                    expire_lease(connection, *found, now, self._job_attempts)


def _no_companions() -> list[sa.ColumnElement[bool]]:
    """Conditions on rows of instances: an association that only sends what accompanies images holds no study."""
    return [
        instances.c.sop_class_uid.not_like(f"{beginning}%") if beginning.endswith(".") else instances.c.sop_class_uid != beginning
        for beginning in COMPANIONS
    ]


def _stored(row: sa.Row[Any]) -> StoredInstance:
    arrival = Arrival(
        study_uid=row.study_uid,
        series_uid=row.series_uid,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        modality=row.modality,
        path=row.path,
        version=row.version,
        size_bytes=row.size_bytes,
        calling_ae=row.calling_ae,
        called_ae=row.called_ae,
        received_at=row.received_at,
        own_result=row.own_result,
        association_id=row.association_id,
    )
    return StoredInstance(row.id, arrival, row.removed_at)
