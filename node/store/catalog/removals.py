"""Retention's side of the catalog. Rows of instances and result objects stay for ever; what goes is the files.

A removal has two transactions. The first counts the files as gone, so that nobody plans on reading them, and the second, when
they are gone, frees their places: the same instance may then come again, as a row of its own. A process that dies between
leaves an unfinished removal, which the next one finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.progress import insert, lock_study, record
from node.store.catalog.reasons import Ages, nothing_keeps
from node.store.catalog.tables import instances, jobs, removals, result_objects, studies
from node.store.clock import Clock
from node.store.records import Removable, RemovableFile, Removal, Removed

GONE = "removed/"
"""Paths of rows whose files are gone begin so: nothing in the spool does."""


class SqlRemovals:
    """`node.store.ports.Removals` on the catalog's database.

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

    def removable(self, what: Removed, settled_before: datetime, failed_before: datetime, limit: int) -> Sequence[Removable]:
        """Studies of which no reason keeps these files, oldest first."""
        ages = Ages(settled_before, failed_before)
        there = (
            studies.c.originals_removed_at.is_(None)
            if what is Removed.ORIGINALS
            else studies.c.id.in_(_with_results())  # few: those that are here
        )
        begun = sa.select(removals.c.id).where(
            removals.c.study_id == studies.c.id, removals.c.what == what.value, removals.c.ended_at.is_(None)
        )
        oldest = (
            sa.select(studies.c.id, studies.c.uid)
            .where(there, ~begun.exists(), studies.c.last_arrival_at <= settled_before, nothing_keeps(what, ages))
            .order_by(studies.c.last_arrival_at, studies.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                Removable(row.id, row.uid, what, _files(connection, what, row.id)) for row in connection.execute(oldest).all()
            ]

    def begin(self, removable: Removable, why: str, settled_before: datetime, failed_before: datetime) -> Removal | None:
        """Count these files as gone from now on; None where something has come to need one of them, or others came."""
        what, study_id = removable.what, removable.study_id
        still = sa.select(studies.c.id).where(studies.c.id == study_id, nothing_keeps(what, Ages(settled_before, failed_before)))
        with self._database.write() as connection:
            lock_study(connection, study_id)
            if connection.execute(still).first() is None or _files(connection, what, study_id).keys() != removable.files.keys():
                return None
            row = {
                "study_id": study_id,
                "what": what.value,
                "why": why,
                "started_at": self._clock.now(),
                "objects": len(removable.files),
                "size_bytes": removable.size_bytes,
            }
            removal_id = insert(connection, removals, row)
            table = instances if what is Removed.ORIGINALS else result_objects
            for row_id, file in removable.files.items():
                taken = {"removal_id": removal_id} | ({"sha256": file.sha256} if what is Removed.ORIGINALS else {})
                connection.execute(sa.update(table).where(table.c.id == row_id).values(taken))
        return Removal(removal_id, removable)

    def finish(self, removal: Removal) -> None:
        """All its files are gone: write that down, and make their places free for the same instances to come again."""
        now = self._clock.now()
        removable = removal.removable
        with self._database.write() as connection:
            study = lock_study(connection, removable.study_id)
            ended = sa.update(removals).where(removals.c.id == removal.removal_id, removals.c.ended_at.is_(None))
            if connection.execute(ended.values(ended_at=now)).rowcount != 1:
                return
            if removable.what is Removed.ORIGINALS:
                free_places(connection, removal.removal_id)
                if not _files(connection, removable.what, study.id):
                    gone = sa.update(studies).where(studies.c.id == study.id)
                    connection.execute(gone.values(originals_removed_at=now))
            detail = f"{len(removable.files)} files, {removable.size_bytes / 1e6:.1f} MB"
            record(connection, now, f"{removable.what} removed", detail, study.uid)

    def unfinished(self) -> Sequence[Removal]:
        """Removals that a process which died has left half done."""
        begun = (
            sa.select(removals, studies.c.uid)
            .join(studies, removals.c.study_id == studies.c.id)
            .where(removals.c.ended_at.is_(None))
            .order_by(removals.c.id)
        )
        with self._database.read() as connection:
            return [
                Removal(row.id, Removable(row.study_id, row.uid, Removed(row.what), _files_of(connection, row)))
                for row in connection.execute(begun).all()
            ]


def free_places(connection: sa.Connection, removal_id: int, paths: Sequence[str] | None = None) -> None:
    """Give the rows of a removal (those of these paths) a path that no file ever has."""
    taken = sa.select(instances.c.id).where(instances.c.removal_id == removal_id, instances.c.path.not_like(f"{GONE}%"))
    if paths is not None:
        taken = taken.where(instances.c.path.in_(paths))
    for row_id in connection.execute(taken).scalars().all():
        connection.execute(sa.update(instances).where(instances.c.id == row_id).values(path=f"{GONE}{row_id}"))


def _with_results() -> sa.Select[tuple[int]]:
    return sa.select(jobs.c.study_id).join(result_objects, result_objects.c.job_id == jobs.c.id).where(_is_here(result_objects))


def _is_here(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.removal_id.is_(None)


def _files(connection: sa.Connection, what: Removed, study_id: int) -> dict[int, RemovableFile]:
    """Files of a study that are here, by the id of their row."""
    if what is Removed.ORIGINALS:
        found = sa.select(instances).where(instances.c.study_id == study_id, _is_here(instances))
    else:
        of_study = result_objects.join(jobs, result_objects.c.job_id == jobs.c.id)
        found = sa.select(result_objects).select_from(of_study).where(jobs.c.study_id == study_id, _is_here(result_objects))
    return {row.id: RemovableFile(row.path, row.size_bytes) for row in connection.execute(found)}


def _files_of(connection: sa.Connection, removal: sa.Row[Any]) -> dict[int, RemovableFile]:
    """Files of an unfinished removal whose places were not taken by new ones yet."""
    table = instances if removal.what == Removed.ORIGINALS else result_objects
    of_removal = sa.select(table).where(table.c.removal_id == removal.id, table.c.path.not_like(f"{GONE}%"))
    return {row.id: RemovableFile(row.path, row.size_bytes, row.sha256 or "") for row in connection.execute(of_removal)}
