"""Which result object goes where: the rows of the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.progress import record
from node.store.catalog.tables import deliveries, jobs, studies
from node.store.naming import OWN, closest
from node.store.profiles import MESSAGES, taken
from node.store.states import DeliveryState
from node.store.urgency import raised, urgent


@dataclass(frozen=True, slots=True)
class Wish:
    """What a destination is sent, and what of it first.

    Parameters
    ----------
    kinds
        Of result object, as the catalog has them.
    urgent
        Patterns of findings (`node.store.urgency`).
    naming
        Key of how its series are named (`node.store.naming`).
    """

    kinds: frozenset[str]
    urgent: tuple[str, ...] = ()
    naming: str = ""


def add_deliveries(
    connection: sa.Connection,
    now: datetime,
    *,
    study_id: int,
    job_id: int,
    objects: Sequence[sa.Row[Any]],
    destinations: Sequence[str],
    wishes: Mapping[str, Wish],
) -> int:
    """Write one delivery for each object and each destination that gets its kind and has none of it yet; return how many.

    Parameters
    ----------
    objects
        Rows of `node.store.catalog.tables.result_objects`.
    wishes
        By name of a destination. One that is missing here gets all objects; they wait until it is configured, and
        `overread check` says so.
    """
    made_kinds = {made.kind for made in objects}
    namings = {kind: {made.naming for made in objects if made.kind == kind} for kind in made_kinds}
    made_objects = frozenset(kind for kind in made_kinds if kind.partition(".")[0] not in MESSAGES)
    takes = {name: taken(wish.kinds, made_kinds) for name, wish in wishes.items()}
    known = sa.select(deliveries.c.object_id, deliveries.c.destination).where(deliveries.c.job_id == job_id)
    there = {(row.object_id, row.destination) for row in connection.execute(known)}
    first = _urgent(connection, job_id, destinations, wishes)
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
            "urgent": bool(first.get(destination)),
            "created_at": now,
            "due_at": now,
        }
        for destination in dict.fromkeys(destinations)
        for made in objects
        if (made.id, destination) not in there
        and made.kind in takes.get(destination, made_objects)
        and made.naming == closest(wishes[destination].naming if destination in wishes else OWN.key, namings[made.kind])
    ]
    if rows:
        connection.execute(sa.insert(deliveries), rows)
        uid = connection.execute(sa.select(studies.c.uid).where(studies.c.id == study_id)).scalar_one()
        for destination in dict.fromkeys(row["destination"] for row in rows if row["urgent"]):
            record(connection, now, "urgent", f"{', '.join(first[destination])}: first to {destination}", uid)
    return len(rows)


def _urgent(
    connection: sa.Connection, job_id: int, destinations: Sequence[str], wishes: Mapping[str, Wish]
) -> dict[str, list[str]]:
    """By destination: the names of the job's findings that are urgent there."""
    patterns = {name: wishes[name].urgent for name in destinations if name in wishes and wishes[name].urgent}
    if not patterns:
        return {}
    job = connection.execute(sa.select(jobs.c.model, jobs.c.summary).where(jobs.c.id == job_id)).one()
    found = raised(job.summary)
    return {name: [found[key] for key in urgent(listed, job.model, found)] for name, listed in patterns.items()}
