"""The deliverers' side of the catalog: result objects on their way to destinations, leased like jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from node.store.catalog.deliveries import Wish, add_deliveries
from node.store.catalog.engine import Database
from node.store.catalog.leases import any_waits, claimable, held, leased_until
from node.store.catalog.progress import record
from node.store.catalog.proofs import begin_proof
from node.store.catalog.results import object_columns, result_object
from node.store.catalog.tables import deliveries, proofs, result_objects, studies
from node.store.clock import Clock
from node.store.profiles import taken
from node.store.records import OutboxItem
from node.store.states import DeliveryEvent, DeliveryState, ProofState, step

_DUE: Final = (DeliveryState.DUE,)
_LEASED: Final = (DeliveryState.SENDING,)
_TOLD: Final = {DeliveryState.SENT: "delivered", DeliveryState.HELD: "delivery held"}
"""Kinds of the events that a person reads."""


class SqlOutbox:
    """`node.store.ports.Outbox` on the catalog's database.

    Parameters
    ----------
    database
        The catalog's.
    clock
        Where moments come from.
    spool
        Root of the spool, absolute.
    proven
        Names of destinations that shall prove that they keep what they are sent.
    instead
        By name of a destination: what it gets in place of a kind that it refuses.
    wishes
        By name of a destination: what is sent to it first.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        spool: Path,
        proven: Collection[str] = (),
        instead: Mapping[str, Mapping[str, str]] | None = None,
        wishes: Mapping[str, Wish] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._spool = spool
        self._proven = frozenset(proven)
        self._instead = instead or {}
        self._wishes = wishes or {}

    def claim(self, destination: str, deliverer: str, lease_s: float, limit: int) -> Sequence[OutboxItem]:
        """Own deliveries to one destination that are due now, objects of one job together.

        Urgent ones are claimed first and alone; else what was tried less comes first, so that an object that breaks a destination
        is not in the way of the others. The objects of a job are never parted: `limit` is exceeded where the first job alone has
        more.
        """
        now = self._clock.now()
        free = self._free(destination, now)
        urgent = sa.func.max(sa.cast(deliveries.c.urgent, sa.Integer))
        tries = sa.func.max(deliveries.c.attempt)
        # of what is down, one job is asked for at a time: there what is urgent goes first only while it was never tried
        goes_first = urgent if limit > 1 else sa.case((tries == 0, urgent), else_=0)
        first_jobs = (
            sa.select(deliveries.c.job_id, urgent)
            .where(free)
            .group_by(deliveries.c.job_id)
            .order_by(goes_first.desc(), tries, deliveries.c.job_id)
            .limit(limit)
        )
        with self._database.read() as connection:  # however many wait, the writer's turn is taken for a few
            found = connection.execute(first_jobs).all()
        jobs = [job_id for job_id, is_urgent in found if is_urgent == found[0][1]]
        if not jobs:
            return ()
        of_jobs = sa.select(deliveries).where(free, deliveries.c.job_id.in_(jobs)).order_by(deliveries.c.id).with_for_update()
        with self._database.write() as connection:
            chosen = _whole_jobs(jobs, connection.execute(of_jobs).all(), limit)
            for row in chosen:
                state = row.state if row.state == DeliveryState.DUE else step(row.state, DeliveryEvent.LEASE_EXPIRED)
                owned = {"state": step(state, DeliveryEvent.CLAIM), "deliverer": deliverer, **leased_until(row, now, lease_s)}
                connection.execute(sa.update(deliveries).where(deliveries.c.id == row.id).values(owned))
            return self._items(connection, [row.id for row in chosen])

    def urgent_waits(self, destination: str) -> bool:
        """Whether something urgent is due for a destination."""
        due = sa.select(deliveries.c.id).where(self._free(destination, self._clock.now()), deliveries.c.urgent)
        return any_waits(self._database, due)

    def _free(self, destination: str, now: datetime) -> sa.ColumnElement[bool]:
        """What may be claimed for a destination."""
        return sa.and_(deliveries.c.destination == destination, claimable(deliveries, now, due=_DUE, leased=_LEASED))

    def heartbeat(self, items: Sequence[OutboxItem], lease_s: float) -> None:
        """Prolong the leases that still hold."""
        now = self._clock.now()
        with self._database.write() as connection:
            for item in items:
                still_ours = sa.update(deliveries).where(
                    deliveries.c.id == item.delivery_id,
                    deliveries.c.fence == item.fence,
                    deliveries.c.state == DeliveryState.SENDING,
                    deliveries.c.lease_until >= now,
                )
                connection.execute(still_ours.values(lease_until=now + timedelta(seconds=lease_s)))

    def stored(self, item: OutboxItem, status: int, note: str = "") -> bool:
        """The peer answered success or a warning for it; the note says how it was sent, where a person should know."""
        return self._end(item, DeliveryEvent.STORED, f"stored {note}" if note else "", status=status)

    def retry(self, item: OutboxItem, reason: str, at: datetime) -> bool:
        """Send it again at a later moment; False where somebody else owns it now."""
        return self._end(item, DeliveryEvent.RETRY, reason, due_at=at)

    def put_back(self, item: OutboxItem, reason: str) -> bool:
        """Leave it due as if it had never been claimed, for it was not tried; False where somebody else owns it now."""
        return self._end(item, DeliveryEvent.RETRY, reason, due_at=self._clock.now(), attempt=item.attempt - 1)

    def fail(self, item: OutboxItem, reason: str, *, refused: bool = False) -> bool:
        """Give it up; False where somebody else owns it now. Where it was refused for good, what goes in its place is due."""
        other = self._instead.get(item.destination, {}).get(item.result.kind) if refused else None
        return self._end(item, DeliveryEvent.FAIL, reason, other)

    def hold(self, item: OutboxItem, reason: str) -> bool:
        """Keep it back until a person has looked; False where somebody else owns it now."""
        return self._end(item, DeliveryEvent.HOLD, reason)

    def waiting(self) -> dict[str, int]:
        """How many deliveries wait, by destination."""
        counted = (
            sa.select(deliveries.c.destination, sa.func.count())
            .where(deliveries.c.state.in_([DeliveryState.DUE, DeliveryState.SENDING]))
            .group_by(deliveries.c.destination)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}

    def send_again(self, study_uid: str, *, release: bool = False) -> int:
        """Make deliveries of a study due again that failed, were held or that the destination does not keep; returns how many.

        With `release` only those that were held, and whatever the destination calls the patient.
        """
        now = self._clock.now()
        unproven = sa.select(proofs.c.delivery_id).where(proofs.c.state == ProofState.UNPROVEN)
        lost = sa.and_(deliveries.c.state == DeliveryState.SENT, deliveries.c.id.in_(unproven))
        over, held_back = deliveries.c.state == DeliveryState.FAILED, deliveries.c.state == DeliveryState.HELD
        failed = (
            sa.select(deliveries)
            .join(studies, deliveries.c.study_id == studies.c.id)
            .where(studies.c.uid == study_uid, held_back if release else sa.or_(over, held_back, lost))
            .with_for_update(of=deliveries)
        )
        with self._database.write() as connection:
            rows = connection.execute(failed).all()
            for row in rows:
                # The time that a delivery may take before it is given up counts anew from here.
                state = step(row.state, DeliveryEvent.SEND_AGAIN)
                again = {"state": state, "due_at": now, "created_at": now, "ended_at": None, "attempt": 0}
                again |= {"released": True} if release else {}
                connection.execute(sa.update(deliveries).where(deliveries.c.id == row.id).values(again))
            if rows:
                record(connection, now, "released" if release else "send again", f"{len(rows)} deliveries", study_uid)
        return len(rows)

    def _end(self, item: OutboxItem, event: DeliveryEvent, reason: str, other: str | None = None, **values: Any) -> bool:
        """Compare the fence, and take the delivery one step on; objects of kind `other` are due in its place."""
        now = self._clock.now()
        with self._database.write() as connection:
            row = held(connection, deliveries, item.delivery_id, item.fence, _LEASED)
            if row is None:
                return False
            state = step(row.state, event)
            values.update(state=state, reason=reason, deliverer=None, lease_until=None)
            if state != DeliveryState.DUE:
                values["ended_at"] = now
                detail = f"{item.result.kind} to {item.destination}" + (f": {reason}" if reason else "")
                kind = _TOLD.get(state, "not delivered")
                record(connection, now, kind, detail, item.study_uid)
            connection.execute(sa.update(deliveries).where(deliveries.c.id == row.id).values(values))
            if other is not None and (sent := self._send_instead(connection, now, row, other)):
                record(connection, now, "sent instead", f"{sent} to {row.destination}, for {item.result.kind}", item.study_uid)
            if state == DeliveryState.SENT and row.destination in self._proven:
                begin_proof(connection, now, row)
        return True

    def _send_instead(self, connection: sa.Connection, now: datetime, refused: sa.Row[Any], kind: str) -> str:
        """Make objects of another kind of the same job due for the destination; what it had none of yet, "" for nothing."""
        made = connection.execute(sa.select(result_objects).where(result_objects.c.job_id == refused.job_id)).all()
        (chosen,) = taken({kind}, {one.kind for one in made})
        added = add_deliveries(
            connection,
            now,
            study_id=refused.study_id,
            job_id=refused.job_id,
            objects=[one for one in made if one.kind == chosen],
            destinations=(refused.destination,),
            wishes={refused.destination: replace(self._wishes[refused.destination], kinds=frozenset({chosen}))},
        )
        return chosen if added else ""

    def _items(self, connection: sa.Connection, ids: list[int]) -> list[OutboxItem]:
        owned = (
            sa.select(deliveries, studies.c.uid.label("study_uid"), *object_columns())
            .join(studies, deliveries.c.study_id == studies.c.id)
            .join(result_objects, deliveries.c.object_id == result_objects.c.id)
            .where(deliveries.c.id.in_(ids))
        )
        rows = {row.id: row for row in connection.execute(owned)}
        return [
            OutboxItem(
                delivery_id=row.id,
                fence=row.fence,
                destination=row.destination,
                study_uid=row.study_uid,
                result=result_object(row),
                path=str(self._spool / row.object_path),
                attempt=row.attempt,
                released=row.released,
                job_id=row.job_id,
                urgent=row.urgent,
            )
            for row in map(rows.__getitem__, ids)
        ]


def _whole_jobs(jobs: Sequence[int], rows: Sequence[sa.Row[Any]], limit: int) -> list[sa.Row[Any]]:
    """The rows of the first jobs, up to `limit`, without parting those of one job; the first job always."""
    chosen: list[sa.Row[Any]] = []
    for job_id in jobs:
        together = [row for row in rows if row.job_id == job_id]
        if chosen and len(chosen) + len(together) > limit:
            break
        chosen += together
    return chosen
