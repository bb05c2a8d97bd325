"""Which result object goes where: the rows of the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.tables import deliveries
from node.store.profiles import MESSAGES, taken
from node.store.states import DeliveryState


def add_deliveries(
    connection: sa.Connection,
    now: datetime,
    *,
    study_id: int,
    job_id: int,
    objects: Sequence[sa.Row[Any]],
    destinations: Sequence[str],
    kinds: Mapping[str, frozenset[str]],
) -> int:
    """Write one delivery for each object and each destination that gets its kind and has none of it yet; return how many.

    Parameters
    ----------
    objects
        Rows of `node.store.catalog.tables.result_objects`.
    kinds
        By name of a destination: the kinds that it gets. A destination that is missing here gets all objects; they wait until it
        is configured, and `overread check` says so.
    """
    made_kinds = {made.kind for made in objects}
    made_objects = frozenset(kind for kind in made_kinds if kind.partition(".")[0] not in MESSAGES)
    takes = {name: taken(wanted, made_kinds) for name, wanted in kinds.items()}
    known = sa.select(deliveries.c.object_id, deliveries.c.destination).where(deliveries.c.job_id == job_id)
    there = {(row.object_id, row.destination) for row in connection.execute(known)}
    rows = [
        {
            "study_id": study_id,
            "job_id": job_id,
            "object_id": made.id,
            "destination": destination,
            "state": DeliveryState.DUE,
            "attempt": 0,
            "fence": 0,
            "reason": "",
            "created_at": now,
            "due_at": now,
        }
        for destination in dict.fromkeys(destinations)
        for made in objects
        if (made.id, destination) not in there and made.kind in takes.get(destination, made_objects)
    ]
    if rows:
        connection.execute(sa.insert(deliveries), rows)
    return len(rows)
