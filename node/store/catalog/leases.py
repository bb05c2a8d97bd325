"""Leases of requests to commit, fetches, deliveries and jobs: what can be claimed, what a claim changes, whether it holds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.states import State


def claimable(table: sa.Table, now: datetime, *, due: Collection[State], leased: Collection[State]) -> sa.ColumnElement[bool]:
    """Rows that are due by now, and those whose lease has run out."""
    expired = sa.and_(table.c.state.in_(leased), table.c.lease_until < now)
    return sa.or_(sa.and_(table.c.state.in_(due), table.c.due_at <= now), expired)


def any_waits(database: Database, waiting: sa.Select[Any]) -> bool:
    """Whether there is such a row: asked again and again, for a writer's turn is taken only where there is work."""
    with database.read() as connection:
        return connection.execute(waiting.limit(1)).first() is not None


def leased_until(row: sa.Row[Any], now: datetime, lease_s: float) -> dict[str, Any]:
    """What a claim changes in every row: whoever owned it before has another fence."""
    return {"attempt": row.attempt + 1, "fence": row.fence + 1, "lease_until": now + timedelta(seconds=lease_s)}


def held(connection: sa.Connection, table: sa.Table, row_id: int, fence: int, leased: Collection[State]) -> sa.Row[Any] | None:
    """The row of a claim that still holds, kept by this transaction; None where somebody else owns it by now, or nobody."""
    mine = sa.select(table).where(table.c.id == row_id, table.c.fence == fence)
    row = connection.execute(mine.with_for_update()).one_or_none()
    return row if row is not None and row.state in leased else None
