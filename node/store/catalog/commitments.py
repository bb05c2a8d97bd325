"""Requests to commit, those made to us and those that we make, as rows; leased like deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.leases import any_waits, claimable, held, leased_until
from node.store.catalog.progress import insert, record
from node.store.catalog.tables import (
    asked_commitments,
    associations,
    commitment_items,
    commitments,
    instances,
    proofs,
    studies,
)
from node.store.clock import Clock
from node.store.commitment import COMMITTED, Asked, CommitmentTask, Failure, Outcome, Reference
from node.store.states import CommitmentEvent, CommitmentState, ProofState, step

_BATCH: Final = 500
_LEASED: Final = (CommitmentState.DECIDING, CommitmentState.REPORTING)
_REPORTS: Final = (CommitmentState.DECIDED, CommitmentState.REPORTING)
_DUE: Final = (CommitmentState.OPEN, CommitmentState.DECIDED)


class SqlCommitments:
    """`node.store.ports.Commitments` on the catalog's database.

    Parameters
    ----------
    database
        The catalog's.
    clock
        Where moments come from.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def request(
        self,
        transaction_uid: str,
        *,
        requestor: str,
        called_ae: str,
        policy: str,
        association_id: str,
        references: Sequence[Reference],
    ) -> None:
        """Keep a request; the same one again is reported again, another one of the same UID fails as a duplicate."""
        now = self._clock.now()
        same = sa.select(commitments).where(
            commitments.c.transaction_uid == transaction_uid,
            commitments.c.requestor == requestor,
            commitments.c.duplicate.is_(False),
        )
        row = {
            "transaction_uid": transaction_uid,
            "requestor": requestor,
            "called_ae": called_ae,
            "policy": policy,
            "association_id": association_id,
            "state": CommitmentState.OPEN,
            "duplicate": False,
            "attempt": 0,
            "fence": 0,
            "reason": "",
            "asked_uid": "",
            "created_at": now,
            "due_at": now,
        }
        with self._database.write() as connection:
            before = connection.execute(same.with_for_update()).first()
            if before is not None and set(_references(connection, before.id)) == set(references):
                self._again(connection, before, association_id, now)
                return
            failure = None
            if before is not None:
                row |= {"state": CommitmentState.DECIDED, "duplicate": True}
                failure = int(Failure.DUPLICATE_TRANSACTION)
            commitment_id = insert(connection, commitments, row)
            rows = [
                {
                    "commitment_id": commitment_id,
                    "sop_class_uid": one.sop_class_uid,
                    "sop_instance_uid": one.sop_instance_uid,
                    "failure": failure,
                }
                for one in dict.fromkeys(references)
            ]
            connection.execute(sa.insert(commitment_items), rows)
            record(connection, now, "commitment", f"{requestor} asks to commit {len(rows)} instances ({policy})", None)

    @staticmethod
    def _again(connection: sa.Connection, before: sa.Row[Any], association_id: str, now: datetime) -> None:
        changed: dict[str, Any] = {"association_id": association_id}
        if before.state in {CommitmentState.REPORTED, CommitmentState.FAILED}:
            changed |= {"state": step(before.state, CommitmentEvent.ASK_AGAIN), "due_at": now, "attempt": 0, "ended_at": None}
        connection.execute(sa.update(commitments).where(commitments.c.id == before.id).values(changed))

    def claim(self, registrar: str, lease_s: float) -> CommitmentTask | None:
        """Own a request that is to be decided, or to be reported over an association of ours.

        The latter where the one that it came over has ended, or did not bring the report.
        """
        open_now = sa.select(associations.c.association_id).where(associations.c.closed_at.is_(None))
        over = sa.or_(commitments.c.association_id.not_in(open_now), commitments.c.attempt > 0)
        free = sa.or_(commitments.c.state.not_in(_REPORTS), over)
        return self._claim(registrar, lease_s, free)

    def claim_over(self, association_id: str, registrar: str, lease_s: float) -> CommitmentTask | None:
        """Own a report that may go over the association that its request came over."""
        mine = sa.and_(
            commitments.c.association_id == association_id,
            commitments.c.state == CommitmentState.DECIDED,
            commitments.c.attempt == 0,  # once: a peer that did not answer there is called
        )
        return self._claim(registrar, lease_s, mine)

    def unreported(self, association_id: str) -> bool:
        """Whether a request that came over an association waits for its report."""
        ended = (CommitmentState.REPORTED, CommitmentState.FAILED)
        mine = sa.select(commitments.c.id).where(
            commitments.c.association_id == association_id, commitments.c.state.not_in(ended)
        )
        with self._database.read() as connection:
            return connection.execute(mine.limit(1)).first() is not None

    def _claim(self, registrar: str, lease_s: float, which: sa.ColumnElement[bool]) -> CommitmentTask | None:
        now = self._clock.now()
        free = claimable(commitments, now, due=_DUE, leased=_LEASED)
        waiting = sa.select(commitments).where(free, which).order_by(commitments.c.due_at).limit(1)
        if not any_waits(self._database, waiting):
            return None
        with self._database.write() as connection:
            row = connection.execute(waiting.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            state = step(row.state, CommitmentEvent.LEASE_EXPIRED) if row.state in _LEASED else row.state
            owned = {"state": step(state, CommitmentEvent.CLAIM), "registrar": registrar, **leased_until(row, now, lease_s)}
            connection.execute(sa.update(commitments).where(commitments.c.id == row.id).values(owned))
            return _task(connection, row.id)

    def ask(self, task: CommitmentTask, transaction_uid: str) -> None:
        """Let the report on a request of ours decide a task; that of none where it is empty."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(commitments).where(commitments.c.id == task.commitment_id).values(asked_uid=transaction_uid)
            )

    def asking(self, transaction_uid: str, archive: str) -> None:
        """Keep, before it is sent, a request of ours to an archive."""
        row = {"transaction_uid": transaction_uid, "archive": archive, "asked_at": self._clock.now()}
        with self._database.write() as connection:
            connection.execute(sa.insert(asked_commitments).values(row))

    def answered(self, transaction_uid: str, outcome: Outcome) -> bool:
        """Keep an archive's report; False where we never asked."""
        one = sa.update(asked_commitments).where(asked_commitments.c.transaction_uid == transaction_uid)
        with self._database.write() as connection:
            kept = connection.execute(one.values(answered_at=self._clock.now(), outcome=dict(outcome)))
            # whoever waits for it need not wait until its next look
            mine = sa.and_(commitments.c.asked_uid == transaction_uid, commitments.c.state == CommitmentState.OPEN)
            connection.execute(sa.update(commitments).where(mine).values(due_at=self._clock.now()))
            sent = sa.and_(proofs.c.asked_uid == transaction_uid, proofs.c.state == ProofState.DUE)
            connection.execute(sa.update(proofs).where(sent).values(due_at=self._clock.now()))
            return kept.rowcount == 1

    def asked(self, transaction_uid: str) -> Asked | None:
        """A request of ours, and what came of it."""
        one = sa.select(asked_commitments).where(asked_commitments.c.transaction_uid == transaction_uid)
        with self._database.read() as connection:
            row = connection.execute(one).one_or_none()
        return Asked(row.transaction_uid, row.archive, row.asked_at, row.outcome) if row else None

    def here(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """SOP class and path, relative to the spool's root, of what is here of these instances."""
        found: dict[str, list[tuple[str, str]]] = {}
        columns = sa.select(instances.c.sop_instance_uid, instances.c.sop_class_uid, instances.c.path)
        with self._database.read() as connection:
            for start in range(0, len(sop_instance_uids), _BATCH):
                some = columns.where(
                    instances.c.sop_instance_uid.in_(sop_instance_uids[start : start + _BATCH]), instances.c.removal_id.is_(None)
                )
                for row in connection.execute(some):
                    found.setdefault(row.sop_instance_uid, []).append((row.sop_class_uid, row.path))
        return found

    def decide(self, task: CommitmentTask, outcome: Outcome, *, keep: bool) -> bool:
        """Keep the decision, whose report is due at once; with `keep`, committed instances must still be on record.

        False where the task belongs to somebody else by now, or an instance was removed meanwhile.
        """
        now = self._clock.now()
        good = [uid for uid, failure in outcome.items() if failure == COMMITTED]
        with self._database.write() as connection:
            row = _held(connection, task)
            if row is None or (keep and not _on_record(connection, good)):
                return False
            for uid, failure in outcome.items():
                item = sa.and_(commitment_items.c.commitment_id == row.id, commitment_items.c.sop_instance_uid == uid)
                connection.execute(sa.update(commitment_items).where(item).values(failure=failure))
            self._change(connection, row, CommitmentEvent.DECIDE, reason="", due_at=now, attempt=0)
            detail = f"for {task.requestor}: {len(good)} of {len(outcome)} instances committed ({task.policy})"
            record(connection, now, "commitment decided", detail, None)
        return True

    def reported(self, task: CommitmentTask) -> bool:
        """The requestor took the report."""
        return self._end(task, CommitmentEvent.REPORT, "")

    def retry(self, task: CommitmentTask, reason: str, at: datetime) -> bool:
        """Look at it, or bring it, again then."""
        with self._database.write() as connection:
            row = _held(connection, task)
            if row is not None:
                self._change(connection, row, CommitmentEvent.RETRY, reason=reason, due_at=at)
        return row is not None

    def fail(self, task: CommitmentTask, reason: str) -> bool:
        """Give up bringing the report."""
        return self._end(task, CommitmentEvent.FAIL, reason)

    def _end(self, task: CommitmentTask, event: CommitmentEvent, reason: str) -> bool:
        now = self._clock.now()
        with self._database.write() as connection:
            row = _held(connection, task)
            if row is None:
                return False
            self._change(connection, row, event, reason=reason, ended_at=now)
            kind = "commitment reported" if event is CommitmentEvent.REPORT else "commitment not reported"
            record(connection, now, kind, f"to {task.requestor}" + (f": {reason}" if reason else ""), None)
        return True

    @staticmethod
    def _change(connection: sa.Connection, row: sa.Row[Any], event: CommitmentEvent, **values: Any) -> None:
        values |= {"state": step(row.state, event), "registrar": None, "lease_until": None}
        connection.execute(sa.update(commitments).where(commitments.c.id == row.id).values(values))


def _held(connection: sa.Connection, task: CommitmentTask) -> sa.Row[Any] | None:
    """The row of a task whose fence still holds."""
    return held(connection, commitments, task.commitment_id, task.fence, _LEASED)


def _on_record(connection: sa.Connection, uids: Sequence[str]) -> bool:
    """Whether all are here and not about to be removed; their studies are held, so that no removal begins meanwhile."""
    there: set[str] = set()
    for start in range(0, len(uids), _BATCH):
        named = instances.c.sop_instance_uid.in_(uids[start : start + _BATCH])
        owners = sa.select(studies.c.id).where(studies.c.id.in_(sa.select(instances.c.study_id).where(named)))
        connection.execute(owners.order_by(studies.c.id).with_for_update()).all()
        some = sa.select(instances.c.sop_instance_uid).where(named, instances.c.removal_id.is_(None))
        there.update(connection.execute(some).scalars())
    return there == set(uids)


def _references(connection: sa.Connection, commitment_id: int) -> list[Reference]:
    named = sa.select(commitment_items).where(commitment_items.c.commitment_id == commitment_id).order_by(commitment_items.c.id)
    return [Reference(row.sop_class_uid, row.sop_instance_uid) for row in connection.execute(named)]


def _task(connection: sa.Connection, commitment_id: int) -> CommitmentTask:
    row = connection.execute(sa.select(commitments).where(commitments.c.id == commitment_id)).one()
    decided = sa.select(commitment_items.c.sop_instance_uid, commitment_items.c.failure).where(
        commitment_items.c.commitment_id == commitment_id, commitment_items.c.failure.is_not(None)
    )
    return CommitmentTask(
        commitment_id=row.id,
        fence=row.fence,
        state=row.state,
        transaction_uid=row.transaction_uid,
        requestor=row.requestor,
        called_ae=row.called_ae,
        policy=row.policy,
        references=tuple(_references(connection, row.id)),
        outcome={one.sop_instance_uid: one.failure for one in connection.execute(decided)},
        attempt=row.attempt,
        created_at=row.created_at,
        asked_uid=row.asked_uid,
    )
