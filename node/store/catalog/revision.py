"""How a plan becomes a revision: stacks, decisions and jobs, in one transaction of the caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.deliveries import Wish, add_deliveries
from node.store.catalog.progress import change_job, finish_if_read, insert, lock_study, record
from node.store.catalog.tables import decisions, jobs, result_objects, revisions, stack_instances, stacks, studies
from node.store.records import Decision, DueStudy, Outcome, StackPlan
from node.store.states import ENDED_JOBS, JobEvent, JobState, StudyEvent, StudyState, step

Key = tuple[str, str, str]
"""Stack key, model and fingerprint: one thing to read."""


class RevisionWriter:
    """Writes one revision.

    Parameters
    ----------
    connection
        A writing transaction.
    now
        The moment of the revision and of its jobs.
    wishes
        By name of a destination: what it is sent.
    """

    def __init__(self, connection: sa.Connection, now: datetime, wishes: Mapping[str, Wish]) -> None:
        self._connection = connection
        self._now = now
        self._wishes = wishes
        self._jobs: dict[Key, int] = {}  # of this revision
        self._kept: dict[Key, sa.Row[Any] | None] = {}

    def write(self, due: DueStudy, plans: Sequence[StackPlan]) -> int:
        """Return the revision's number; 0, with nothing written, where the study has changed since it was planned.

        Where nothing that was or would be read has changed, the newest revision stands, with what is now known of the rest.
        """
        study = lock_study(self._connection, due.study_id)
        if study.state != StudyState.RECEIVING or study.arrivals != due.arrivals:
            return 0
        self._kept = self._kept_jobs(study.id, plans)
        if study.revision and self._stands(study, plans):
            return self._amend(study, due, plans)
        number: int = study.revision + 1
        row = {"study_id": study.id, "number": number, "opened_at": self._now, "evidence": due.evidence}
        revision_id = insert(self._connection, revisions, row | {"incomplete": due.incomplete})
        for position, plan in enumerate(plans):
            self._write_stack(study, number, revision_id, position, plan)
        self._supersede_others(study, number)
        changed = {"state": step(study.state, StudyEvent.COMPLETED), "revision": number, "evidence": due.evidence}
        self._connection.execute(sa.update(studies).where(studies.c.id == study.id).values(changed))
        detail = f"revision {number}: {due.evidence}; {len(plans)} stacks, {len(set(self._jobs.values()))} jobs"
        record(self._connection, self._now, "incomplete" if due.incomplete else "complete", detail, study.uid)
        finish_if_read(self._connection, study.id, self._now)
        return number

    def _stands(self, study: sa.Row[Any], plans: Sequence[StackPlan]) -> bool:
        """Whether the newest revision read just what is to be read now, apart from what was removed here since."""
        if None in self._kept.values():
            return False
        was_read = (
            sa.select(decisions.c.job_id, stacks.c.series_uid)
            .join(stacks, decisions.c.stack_id == stacks.c.id)
            .join(revisions, stacks.c.revision_id == revisions.c.id)
            .where(revisions.c.study_id == study.id, revisions.c.number == study.revision, decisions.c.job_id.is_not(None))
        )
        kept = {job.id for job in self._kept.values() if job is not None}
        removed = {plan.series_uid for plan in plans if plan.stands}
        return all(row.job_id in kept or row.series_uid in removed for row in self._connection.execute(was_read))

    def _amend(self, study: sa.Row[Any], due: DueStudy, plans: Sequence[StackPlan]) -> int:
        """Leave the newest revision as it is, but for stacks that nobody reads, and decisions that settings have changed."""
        newest = sa.select(revisions.c.id).where(revisions.c.study_id == study.id, revisions.c.number == study.revision)
        revision_id: int = self._connection.execute(newest).scalar_one()
        left = list(self._connection.execute(sa.select(stacks).where(stacks.c.revision_id == revision_id)).all())
        for position, plan in enumerate(plans):
            found = _same_stack(plan, left)
            if found is None:
                self._write_stack(study, study.revision, revision_id, position, plan)
                continue
            left.remove(found)
            one = sa.update(stacks).where(stacks.c.id == found.id)
            self._connection.execute(one.values(position=position, key=plan.key))
            self._connection.execute(sa.delete(decisions).where(decisions.c.stack_id == found.id))
            self._write_decisions(study, study.revision, found.id, plan)
        removed = {plan.series_uid for plan in plans if plan.stands}
        self._forget([stack.id for stack in left if stack.series_uid not in removed])
        self._connection.execute(sa.update(revisions).where(revisions.c.id == revision_id).values(incomplete=due.incomplete))
        changed = {"state": step(study.state, StudyEvent.COMPLETED), "evidence": due.evidence}
        self._connection.execute(sa.update(studies).where(studies.c.id == study.id).values(changed))
        detail = f"nothing that is read has changed, revision {study.revision} stands: {due.evidence}"
        record(self._connection, self._now, "unchanged", detail, study.uid)
        finish_if_read(self._connection, study.id, self._now)
        return int(study.revision)

    def _forget(self, stack_ids: Sequence[int]) -> None:
        """Remove stacks that nobody has read and that are others now."""
        for stack_id in stack_ids:
            self._connection.execute(sa.delete(decisions).where(decisions.c.stack_id == stack_id))
            self._connection.execute(sa.delete(stack_instances).where(stack_instances.c.stack_id == stack_id))
            self._connection.execute(sa.delete(stacks).where(stacks.c.id == stack_id))

    def _write_stack(self, study: sa.Row[Any], number: int, revision_id: int, position: int, plan: StackPlan) -> None:
        row = {
            "revision_id": revision_id,
            "position": position,
            "key": plan.key,
            "series_uid": plan.series_uid,
            "description": plan.description,
            "digest": plan.digest,
            "slices": len(plan.instance_ids),
            "facts": plan.facts,
        }
        stack_id = insert(self._connection, stacks, row)
        if plan.instance_ids:
            slices = [
                {"stack_id": stack_id, "position": place, "instance_id": one} for place, one in enumerate(plan.instance_ids)
            ]
            self._connection.execute(sa.insert(stack_instances), slices)
        self._write_decisions(study, number, stack_id, plan)

    def _write_decisions(self, study: sa.Row[Any], number: int, stack_id: int, plan: StackPlan) -> None:
        for decision in plan.decisions:
            job_id = self._job(study, number, stack_id, plan, decision) if decision.outcome is Outcome.CHOSEN else None
            self._write_decision(stack_id, decision, job_id)

    def _write_decision(self, stack_id: int, decision: Decision, job_id: int | None) -> None:
        row = {
            "stack_id": stack_id,
            "model": decision.model,
            "outcome": decision.outcome.value,
            "reason": decision.reason,
            "route": decision.route,
            "fingerprint": decision.fingerprint,
            "destinations": list(decision.destinations),
            "job_id": job_id,
        }
        self._connection.execute(sa.insert(decisions).values(row))

    def _job(self, study: sa.Row[Any], number: int, stack_id: int, plan: StackPlan, decision: Decision) -> int:
        """The job that carries a decision out: an earlier one where nothing that it read has changed, else a new one."""
        key = (plan.key, decision.model, decision.fingerprint)
        if key in self._jobs:  # a second route chose the same model
            return self._jobs[key]
        kept = self._kept.get(key)
        if kept is None:
            self._jobs[key] = self._new_job(study.id, number, stack_id, plan, decision)
        else:
            self._jobs[key] = kept.id
            if kept.state == JobState.PUBLISHED:
                self._deliver_again(study.id, kept.id, decision)
        return self._jobs[key]

    def _new_job(self, study_id: int, number: int, stack_id: int, plan: StackPlan, decision: Decision) -> int:
        row = {
            "study_id": study_id,
            "stack_id": stack_id,
            "stack_key": plan.key,
            "series_uid": plan.series_uid,
            "digest": plan.digest,
            "model": decision.model,
            "fingerprint": decision.fingerprint,
            "revision": number,
            "run": 1,
            "state": JobState.DUE,
            "reason": "",
            "code": "",
            "priority": 0,
            "attempt": 0,
            "deaths": 0,
            "fence": 0,
            "created_at": self._now,
            "due_at": self._now,
            "summary": {},
        }
        return insert(self._connection, jobs, row)

    def _kept_jobs(self, study_id: int, plans: Sequence[StackPlan]) -> dict[Key, sa.Row[Any] | None]:
        """For each thing to read the earlier job that has read, or will read, just that; None where there is none."""
        kept: dict[Key, sa.Row[Any] | None] = {}
        for plan in plans:
            for decision in plan.decisions:
                key = (plan.key, decision.model, decision.fingerprint)
                if decision.outcome is Outcome.CHOSEN and key not in kept:
                    taken = [job.id for job in kept.values() if job is not None]
                    kept[key] = self._kept_job(study_id, plan, decision, taken)
        return kept

    def _kept_job(self, study_id: int, plan: StackPlan, decision: Decision, taken: list[int]) -> sa.Row[Any] | None:
        same = (
            sa.select(jobs)
            .where(
                jobs.c.study_id == study_id,
                jobs.c.series_uid == plan.series_uid,
                jobs.c.digest == plan.digest,
                jobs.c.model == decision.model,
                jobs.c.fingerprint == decision.fingerprint,
                jobs.c.state.not_in([JobState.FAILED, JobState.SUPERSEDED]),
                jobs.c.id.not_in(taken),  # two stacks of one series with equal pixels are two results
            )
            .order_by(jobs.c.stack_key != plan.key, jobs.c.id.desc())
        )
        return self._connection.execute(same).first()

    def _deliver_again(self, study_id: int, job_id: int, decision: Decision) -> None:
        """A kept job's results go also to destinations that a route has named since; those that have them keep them."""
        here = sa.select(result_objects).where(result_objects.c.job_id == job_id, result_objects.c.removal_id.is_(None))
        objects = self._connection.execute(here).all()  # what retention removed cannot be sent any more
        add_deliveries(
            self._connection,
            self._now,
            study_id=study_id,
            job_id=job_id,
            objects=objects,
            destinations=decision.destinations,
            wishes=self._wishes,
        )

    def _supersede_others(self, study: sa.Row[Any], number: int) -> None:
        others = sa.select(jobs).where(
            jobs.c.study_id == study.id, jobs.c.state.not_in(sorted(ENDED_JOBS)), jobs.c.id.not_in(self._jobs.values())
        )
        for job in self._connection.execute(others.with_for_update()).all():
            reason = f"revision {number} of the study reads its images anew"
            change_job(self._connection, job, JobEvent.SUPERSEDE, self._now, reason=reason)
            record(self._connection, self._now, "superseded", f"{job.model} on {job.stack_key}: {reason}", study.uid)


def _same_stack(plan: StackPlan, among: Sequence[sa.Row[Any]]) -> sa.Row[Any] | None:
    """The row that holds the same images as a plan, under the same key where there are several."""
    same = [row for row in among if row.series_uid == plan.series_uid and row.digest == plan.digest]
    return min(same, key=lambda row: row.key != plan.key, default=None)
