"""Destinations that are down, as rows: none for one that is not."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.progress import record
from node.store.catalog.tables import breakers
from node.store.clock import Clock
from node.store.records import Broken


class SqlBreakers:
    """`node.store.ports.Breakers` on the catalog's database.

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

    def open(self, destination: str, broken: Broken) -> None:
        """It is down; the first time is an event."""
        values = {
            "since": broken.since,
            "failures": broken.failures,
            "next_at": broken.next_at,
            "reason": broken.reason,
        }
        mine = breakers.c.destination == destination
        with self._database.write() as connection:
            if connection.execute(sa.update(breakers).where(mine).values(values)).rowcount == 0:
                connection.execute(sa.insert(breakers).values(destination=destination, **values))
                said = f"{destination}: {broken.reason}; results wait for it"
                record(connection, self._clock.now(), "destination down", said, None)

    def close(self, destination: str) -> None:
        """It answers again."""
        with self._database.write() as connection:
            if connection.execute(sa.delete(breakers).where(breakers.c.destination == destination)).rowcount:
                record(connection, self._clock.now(), "destination back", destination, None)

    def all(self) -> Mapping[str, Broken]:
        """Destinations that are down, by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(breakers).order_by(breakers.c.destination)).all()
        return {row.destination: Broken(row.since, row.failures, row.next_at, row.reason) for row in rows}
