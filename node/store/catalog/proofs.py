"""Proofs that destinations keep what they were sent, as rows; leased like deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.leases import any_waits, claimable, held, leased_until
from node.store.catalog.progress import record
from node.store.catalog.tables import deliveries, proofs, result_objects, studies
from node.store.clock import Clock
from node.store.commitment import Reference
from node.store.proof import ProofTask
from node.store.states import ProofEvent, ProofState, step

_DUE: Final = (ProofState.DUE,)
_LEASED: Final = (ProofState.ASKING,)


class SqlProofs:
    """`node.store.ports.Proofs` on the catalog's database.

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

    def claim(self, destination: str, lease_s: float, limit: int) -> Sequence[ProofTask]:
        """Own proofs that are due, of objects that were sent to one destination, oldest first."""
        now = self._clock.now()
        free = claimable(proofs, now, due=_DUE, leased=_LEASED)
        waiting = sa.select(proofs).where(proofs.c.destination == destination, free).order_by(proofs.c.id).limit(limit)
        if not any_waits(self._database, waiting):
            return ()
        with self._database.write() as connection:
            rows = connection.execute(waiting.with_for_update(skip_locked=True)).all()
            for row in rows:
                state = step(row.state, ProofEvent.LEASE_EXPIRED) if row.state in _LEASED else row.state
                owned = {"state": step(state, ProofEvent.CLAIM), **leased_until(row, now, lease_s)}
                connection.execute(sa.update(proofs).where(proofs.c.id == row.id).values(owned))
            return _tasks(connection, [row.id for row in rows])

    def ask(self, tasks: Sequence[ProofTask], transaction_uid: str) -> None:
        """Let the report on one request of ours prove these; none where it is empty."""
        with self._database.write() as connection:
            mine = proofs.c.id.in_([task.proof_id for task in tasks])
            connection.execute(sa.update(proofs).where(mine).values(asked_uid=transaction_uid))

    def accepted(self, tasks: Sequence[ProofTask]) -> None:
        """The destination took the question: what it has not yet it may have a while from now; from the first time it did."""
        first = sa.and_(proofs.c.id.in_([task.proof_id for task in tasks]), proofs.c.accepted_at.is_(None))
        with self._database.write() as connection:
            connection.execute(sa.update(proofs).where(first).values(accepted_at=self._clock.now()))

    def committed(self, task: ProofTask, *, ends: bool) -> bool:
        """The destination has committed it; with `ends` no more is asked, else it is looked for at once."""
        now = self._clock.now()
        event = ProofEvent.PROVE if ends else ProofEvent.RETRY
        return self._change(task, event, "committed", "", committed_at=now, asked_uid="", attempt=0, due_at=now, accepted_at=None)

    def found(self, task: ProofTask) -> bool:
        """It was found there."""
        return self._change(task, ProofEvent.PROVE, "found", "", found_at=self._clock.now())

    def retry(self, task: ProofTask, reason: str, at: datetime) -> bool:
        """Ask, or look, again then."""
        return self._change(task, ProofEvent.RETRY, "", reason, due_at=at)

    def fail(self, task: ProofTask, reason: str) -> bool:
        """It is not there, or nobody says so."""
        return self._change(task, ProofEvent.FAIL, "not proven", reason)

    def _change(self, task: ProofTask, event: ProofEvent, kind: str, reason: str, **values: Any) -> bool:
        """Compare the fence, and take the proof one step on; `kind` of the event that a person reads, none where empty."""
        now = self._clock.now()
        with self._database.write() as connection:
            row = held(connection, proofs, task.proof_id, task.fence, _LEASED)
            if row is None:
                return False
            state = step(row.state, event)
            values |= {"state": state, "reason": reason, "lease_until": None}
            if state not in _DUE:
                values["ended_at"] = now
            connection.execute(sa.update(proofs).where(proofs.c.id == row.id).values(values))
            if kind:
                detail = f"{_kind(connection, row.delivery_id)} at {row.destination}" + (f": {reason}" if reason else "")
                record(connection, now, kind, detail, task.study_uid)
        return True


def begin_proof(connection: sa.Connection, now: datetime, delivery: sa.Row[Any]) -> None:
    """Have it proven that a destination keeps what it was sent just now; what was proven of an earlier sending is void."""
    connection.execute(sa.delete(proofs).where(proofs.c.delivery_id == delivery.id))
    row = {
        "delivery_id": delivery.id,
        "destination": delivery.destination,
        "state": ProofState.DUE,
        "asked_uid": "",
        "attempt": 0,
        "fence": 0,
        "reason": "",
        "created_at": now,
        "due_at": now,
    }
    connection.execute(sa.insert(proofs).values(row))


def _kind(connection: sa.Connection, delivery_id: int) -> str:
    of = sa.select(result_objects.c.kind).join(deliveries, deliveries.c.object_id == result_objects.c.id)
    return str(connection.execute(of.where(deliveries.c.id == delivery_id)).scalar_one())


def _tasks(connection: sa.Connection, ids: Sequence[int]) -> list[ProofTask]:
    owned = (
        sa.select(
            proofs,
            studies.c.uid.label("study_uid"),
            result_objects.c.series_uid,
            result_objects.c.sop_class_uid,
            result_objects.c.sop_instance_uid,
        )
        .join(deliveries, proofs.c.delivery_id == deliveries.c.id)
        .join(studies, deliveries.c.study_id == studies.c.id)
        .join(result_objects, deliveries.c.object_id == result_objects.c.id)
        .where(proofs.c.id.in_(ids))
        .order_by(proofs.c.id)
    )
    return [
        ProofTask(
            proof_id=row.id,
            fence=row.fence,
            study_uid=row.study_uid,
            series_uid=row.series_uid,
            reference=Reference(row.sop_class_uid, row.sop_instance_uid),
            asked_uid=row.asked_uid,
            committed=row.committed_at is not None,
            attempt=row.attempt,
            accepted_at=row.accepted_at,
        )
        for row in connection.execute(owned)
    ]
