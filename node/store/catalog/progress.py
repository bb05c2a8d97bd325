"""What several ports write alike: rows with their ids, events, and the end of jobs and of the studies that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.tables import decisions, events, jobs, revisions, stacks, studies
from node.store.states import ENDED_JOBS, JobEvent, JobState, StudyEvent, StudyState, step


def insert(connection: sa.Connection, table: sa.Table, row: Mapping[str, object]) -> int:
    """Write a row; returns its id."""
    key = connection.execute(sa.insert(table).values(dict(row))).inserted_primary_key
    if key is None:
        raise RuntimeError(f"{table.name}: no primary key came back")
    return int(key[0])


def record(connection: sa.Connection, at: datetime, kind: str, detail: str, study_uid: str | None) -> None:
    """Keep an event."""
    connection.execute(sa.insert(events).values(at=at, kind=kind, detail=detail, study_uid=study_uid))


def lock_study(connection: sa.Connection, study_id: int) -> sa.Row[Any]:
    """The study's row, held by this transaction; always taken before rows of its jobs."""
    return connection.execute(sa.select(studies).where(studies.c.id == study_id).with_for_update()).one()


def lock_job(connection: sa.Connection, job_id: int) -> tuple[sa.Row[Any], sa.Row[Any]] | None:
    """``(study, job)``, both held by this transaction; None where there is no such job."""
    study_id = connection.execute(sa.select(jobs.c.study_id).where(jobs.c.id == job_id)).scalar_one_or_none()
    if study_id is None:
        return None
    study = lock_study(connection, study_id)
    return study, connection.execute(sa.select(jobs).where(jobs.c.id == job_id).with_for_update()).one()


def change_job(connection: sa.Connection, job: sa.Row[Any], event: JobEvent, at: datetime, **values: Any) -> JobState:
    """Take a job one step on; where that ends it, the lease goes and `ended_at` comes."""
    state: JobState = step(job.state, event)
    if state != JobState.RUNNING:
        values.update(worker=None, lease_until=None)
    if state in ENDED_JOBS:
        values["ended_at"] = at
    connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(state=state, **values))
    return state


def expire_lease(connection: sa.Connection, study: sa.Row[Any], job: sa.Row[Any], at: datetime, attempts: int) -> JobState:
    """Take a job from a worker that gave no answer: to another one, or, after `attempts` such workers, to its end."""
    deaths = job.deaths + 1
    if deaths < attempts:
        record(
            connection,
            at,
            "lease expired",
            f"{job.model} on {job.stack_key}: its worker gave no answer, another one gets it",
            study.uid,
        )
        return change_job(connection, job, JobEvent.LEASE_EXPIRED, at, deaths=deaths, due_at=at, enqueued_at=None)
    reason = f"the worker died {deaths} times on this stack" if deaths > 1 else "the worker died on this stack"
    state = change_job(connection, job, JobEvent.FAIL, at, deaths=deaths, reason=reason)
    record(connection, at, "failed", f"{job.model} on {job.stack_key}: {reason}", study.uid)
    finish_if_read(connection, study.id, at)
    return state


def finish_if_read(connection: sa.Connection, study_id: int, at: datetime) -> None:
    """End a study that is being read and whose newest revision has no job left to wait for."""
    study = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
    if study.state != StudyState.READING:
        return
    left = (
        sa.select(sa.func.count())
        .select_from(
            decisions.join(stacks, decisions.c.stack_id == stacks.c.id)
            .join(revisions, stacks.c.revision_id == revisions.c.id)
            .join(jobs, decisions.c.job_id == jobs.c.id)
        )
        .where(revisions.c.study_id == study_id, revisions.c.number == study.revision, jobs.c.state.not_in(sorted(ENDED_JOBS)))
    )
    if connection.execute(left).scalar_one():
        return
    connection.execute(sa.update(studies).where(studies.c.id == study_id).values(state=step(study.state, StudyEvent.READ)))
    record(connection, at, "finished", f"revision {study.revision} is read", study.uid)
