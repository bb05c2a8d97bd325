"""The workers' side of the catalog: leases with fencing tokens, and publishing by compare-and-set on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.store.catalog.deliveries import Wish, add_deliveries
from node.store.catalog.engine import Database
from node.store.catalog.leases import leased_until
from node.store.catalog.progress import change_job, expire_lease, finish_if_read, lock_job, record
from node.store.catalog.tables import decisions, instances, jobs, result_objects, revisions, stack_instances, stacks
from node.store.clock import Clock
from node.store.records import Claim, ResultObject, ResultSet, Superseded, SupersededObject
from node.store.states import JobEvent, JobState

Rows = tuple[sa.Row[Any], sa.Row[Any]]
"""``(study, job)``, both locked."""


class SqlJobDesk:
    """`node.store.ports.JobDesk` on the catalog's database.

    Parameters
    ----------
    database
        The catalog's.
    clock
        Where moments come from.
    spool
        Root of the spool, absolute.
    installation
        UUID of this installation.
    wishes
        By name of a destination: what it is sent.
    job_attempts
        How many workers may give no answer on a job before it ends as failed.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        spool: Path,
        installation: str,
        wishes: Mapping[str, Wish],
        job_attempts: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._spool = spool
        self._installation = installation
        self._wishes = wishes
        self._job_attempts = job_attempts

    def claim(self, job_id: int, worker: str, lease_s: float) -> Claim | None:
        """Own a due job until `lease_s` from now; None where it is not due any more.

        A worker does one job at a time. So where the job is still running under the name of the very `worker` that asks, the
        process that ran it is dead, and its lease need not run out first.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            found = lock_job(connection, job_id)
            if found is None:
                return None
            study, job = found
            state = job.state
            if state == JobState.RUNNING and (job.lease_until < now or job.worker == worker):
                state = expire_lease(connection, study, job, now, self._job_attempts)
            elif state == JobState.DUE and job.due_at > now:
                return None
            if state != JobState.DUE:
                return None
            study, job = lock_job(connection, job_id) or found
            owned = leased_until(job, now, lease_s)
            change_job(connection, job, JobEvent.CLAIM, now, worker=worker, reason="", **owned)
            record(connection, now, "reading", f"{job.model} on {job.stack_key}, attempt {job.attempt + 1}", study.uid)
            return self._claimed(connection, study, job)

    def heartbeat(self, claim: Claim, lease_s: float) -> bool:
        """Prolong the lease; False where it was lost."""
        now = self._clock.now()
        held = sa.update(jobs).where(
            jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.state == JobState.RUNNING, jobs.c.lease_until >= now
        )
        with self._database.write() as connection:
            return connection.execute(held.values(lease_until=now + timedelta(seconds=lease_s))).rowcount == 1

    def publish(self, claim: Claim, results: ResultSet) -> bool:
        """Publish by compare-and-set on the fence and write one delivery per object and destination; False where it was lost."""
        now = self._clock.now()
        with self._database.write() as connection:
            held = self._held(connection, claim, now)
            if held is None:
                return False
            study, job = held
            change_job(connection, job, JobEvent.PUBLISH, now, summary=results.summary, reason="")
            if results.objects:
                connection.execute(sa.insert(result_objects), [_row(job.id, made) for made in results.objects])
            objects = connection.execute(sa.select(result_objects).where(result_objects.c.job_id == job.id)).all()
            destinations = _destinations(connection, job.id)
            count = add_deliveries(
                connection, now, study_id=study.id, job_id=job.id, objects=objects, destinations=destinations, wishes=self._wishes
            )
            detail = f"{job.model} on {job.stack_key}: {len(objects)} objects, {count} deliveries"
            record(connection, now, "published", detail, study.uid)
            finish_if_read(connection, study.id, now)
        return True

    def refuse(self, claim: Claim, reason: str, code: str) -> bool:
        """End the job as refused."""
        return self._end(claim, JobEvent.REFUSE, "refused", reason, code)

    def fail(self, claim: Claim, reason: str, retry_in_s: float | None) -> bool:
        """End the job as failed, or, with `retry_in_s`, make it due again then."""
        if retry_in_s is None:
            return self._end(claim, JobEvent.FAIL, "failed", reason, "")
        now = self._clock.now()
        with self._database.write() as connection:
            held = self._held(connection, claim, now)
            if held is None:
                return False
            study, job = held
            due_at = now + timedelta(seconds=retry_in_s)
            change_job(connection, job, JobEvent.RETRY, now, reason=reason, due_at=due_at, enqueued_at=None)
            record(connection, now, "retry", f"{job.model} on {job.stack_key}: {reason}", study.uid)
        return True

    def _end(self, claim: Claim, event: JobEvent, kind: str, reason: str, code: str) -> bool:
        now = self._clock.now()
        with self._database.write() as connection:
            held = self._held(connection, claim, now)
            if held is None:
                return False
            study, job = held
            change_job(connection, job, event, now, reason=reason, code=code)
            record(connection, now, kind, f"{job.model} on {job.stack_key}: {reason}", study.uid)
            finish_if_read(connection, study.id, now)
        return True

    @staticmethod
    def _held(connection: sa.Connection, claim: Claim, now: datetime) -> Rows | None:
        """The rows of a claim that still holds: same fence, still running, lease not over."""
        found = lock_job(connection, claim.job_id)
        if found is None or found[1].fence != claim.fence or found[1].state != JobState.RUNNING or found[1].lease_until < now:
            return None
        return found

    def _claimed(self, connection: sa.Connection, study: sa.Row[Any], job: sa.Row[Any]) -> Claim:
        facts = connection.execute(sa.select(stacks.c.facts).where(stacks.c.id == job.stack_id)).scalar_one()
        slices = (
            sa.select(instances.c.path)
            .join(stack_instances, stack_instances.c.instance_id == instances.c.id)
            .where(stack_instances.c.stack_id == job.stack_id)
            .order_by(stack_instances.c.position)
        )
        return Claim(
            job_id=job.id,
            fence=job.fence + 1,
            study_uid=study.uid,
            series_uid=job.series_uid,
            stack_key=job.stack_key,
            facts=facts,
            model=job.model,
            fingerprint=job.fingerprint,
            instance_paths=tuple(str(self._spool / path) for path in connection.execute(slices).scalars()),
            revision=job.revision,
            run=job.run,
            attempt=job.attempt + 1,
            created_at=job.created_at,
            installation=self._installation,
            superseded=_superseded(connection, job),
        )


def _superseded(connection: sa.Connection, job: sa.Row[Any]) -> Superseded | None:
    """The newest results of the same model for the same stack that were published before this job's."""
    earlier = (
        sa.select(jobs)
        .where(
            jobs.c.study_id == job.study_id,
            jobs.c.stack_key == job.stack_key,
            jobs.c.model == job.model,
            jobs.c.state == JobState.PUBLISHED,
            sa.or_(jobs.c.revision < job.revision, sa.and_(jobs.c.revision == job.revision, jobs.c.run < job.run)),
        )
        .order_by(jobs.c.revision.desc(), jobs.c.run.desc(), jobs.c.id.desc())
        .limit(1)
    )
    found = connection.execute(earlier).one_or_none()
    if found is None:
        return None
    named = (
        result_objects.c.kind,
        result_objects.c.sop_class_uid,
        result_objects.c.sop_instance_uid,
        result_objects.c.series_uid,
        result_objects.c.naming,
    )
    rows = connection.execute(sa.select(*named).where(result_objects.c.job_id == found.id).order_by(result_objects.c.id)).all()
    return Superseded(found.revision, found.run, found.fingerprint, tuple(SupersededObject(*row) for row in rows))


def _destinations(connection: sa.Connection, job_id: int) -> Sequence[str]:
    """Where a job's results go: what the newest revision that chose it says."""
    chosen = (
        sa.select(decisions.c.destinations, revisions.c.number)
        .join(stacks, decisions.c.stack_id == stacks.c.id)
        .join(revisions, stacks.c.revision_id == revisions.c.id)
        .where(decisions.c.job_id == job_id)
        .order_by(revisions.c.number.desc(), decisions.c.id)
    )
    rows = connection.execute(chosen).all()
    return [name for row in rows if row.number == rows[0].number for name in row.destinations]


def _row(job_id: int, made: ResultObject) -> dict[str, object]:
    return {
        "job_id": job_id,
        "kind": made.kind,
        "sop_class_uid": made.sop_class_uid,
        "sop_instance_uid": made.sop_instance_uid,
        "series_uid": made.series_uid,
        "transfer_syntax_uid": made.transfer_syntax_uid,
        "path": made.path,
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "naming": made.naming,
    }
