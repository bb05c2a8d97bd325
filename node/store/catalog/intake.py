"""The listener's side of the catalog: associations and what arrived over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.progress import lock_study, record
from node.store.catalog.removals import free_places
from node.store.catalog.tables import associations, events, instances, removals, result_objects, studies
from node.store.clock import Clock
from node.store.companions import is_companion
from node.store.records import Arrival, Association
from node.store.states import StudyEvent, StudyState, step

_BATCH: Final = 500
"""Paths compared in one statement; SQLite and PostgreSQL both bound the number of parameters."""

_SAME: Final = timedelta(hours=1)
"""Within it, the same event of no study is one event that is counted."""


class SqlIntakeLog:
    """`node.store.ports.IntakeLog` on the catalog's database.

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

    def listener_started(self, listener_id: str) -> None:
        """Close what the predecessor of this listener left open: what comes before the slash of its id is the same.

        Ids of versions that had none are closed too.
        """
        place = listener_id.partition("/")[0]
        predecessor = sa.or_(
            associations.c.listener_id.startswith(f"{place}/", autoescape=True), ~associations.c.listener_id.contains("/")
        )
        left = sa.update(associations).where(
            associations.c.closed_at.is_(None), associations.c.listener_id != listener_id, predecessor
        )
        with self._database.write() as connection:
            connection.execute(left.values(closed_at=self._clock.now(), how="lost"))

    def association_opened(self, association: Association) -> None:
        row = {
            "association_id": association.association_id,
            "listener_id": association.listener_id,
            "calling_ae": association.calling_ae,
            "called_ae": association.called_ae,
            "peer_host": association.peer_host,
            "opened_at": association.opened_at,
        }
        with self._database.write() as connection:
            connection.execute(self._database.insert_new(associations).values(row))

    def association_closed(self, association_id: str, how: str) -> None:
        """End an association; `how` is ``released``, ``aborted`` or ``lost``."""
        one = sa.update(associations).where(associations.c.association_id == association_id, associations.c.closed_at.is_(None))
        with self._database.write() as connection:
            connection.execute(one.values(closed_at=self._clock.now(), how=how))

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Record instances that are in the spool, in one transaction; those already known by path are left as they are."""
        if not arrivals:
            return
        # By study, in one order for all listeners, so that no two of them wait for each other's rows.
        ordered = sorted(arrivals, key=lambda arrival: arrival.study_uid)
        with self._database.write() as connection:
            for study_uid, group in groupby(ordered, key=lambda arrival: arrival.study_uid):
                self._study_arrived(connection, study_uid, list({arrival.path: arrival for arrival in group}.values()))

    def event(self, kind: str, detail: str, study_uid: str | None = None) -> None:
        """Keep something that a person should see; `detail` holds no patient data."""
        with self._database.write() as connection:
            record(connection, self._clock.now(), kind, detail, study_uid)

    def tally(self, kind: str, detail: str, count: int) -> None:
        """Keep an event of no study that may come often: the same again within an hour adds to its count."""
        now = self._clock.now()
        same = sa.select(sa.func.max(events.c.id)).where(
            events.c.study_uid.is_(None), events.c.kind == kind, events.c.at > now - _SAME, events.c.detail == detail
        )
        with self._database.write() as connection:
            found = connection.execute(same).scalar()
            if found is None:
                connection.execute(sa.insert(events).values(at=now, kind=kind, detail=detail, times=count, last_at=now))
            else:
                again = sa.update(events).where(events.c.id == found)
                connection.execute(again.values(times=events.c.times + count, last_at=now))

    def known_paths(self, study_uid: str) -> frozenset[str]:
        """Paths of the instances on record for a study; for the start-up scan."""
        paths = sa.select(instances.c.path).join(studies, instances.c.study_id == studies.c.id).where(studies.c.uid == study_uid)
        with self._database.read() as connection:
            return frozenset(connection.execute(paths).scalars())

    def own_results(self, sop_instance_uids: Sequence[str]) -> frozenset[str]:
        """Which of these this installation made."""
        made: set[str] = set()
        with self._database.read() as connection:
            for start in range(0, len(sop_instance_uids), _BATCH):
                some = result_objects.c.sop_instance_uid.in_(sop_instance_uids[start : start + _BATCH])
                made.update(connection.execute(sa.select(result_objects.c.sop_instance_uid).where(some)).scalars())
        return frozenset(made)

    def _study_arrived(self, connection: sa.Connection, study_uid: str, arrivals: list[Arrival]) -> None:
        images = [arrival for arrival in arrivals if _extends(arrival)]
        others = [arrival for arrival in arrivals if not arrival.own_result]
        first = min(arrival.received_at for arrival in images or arrivals)
        row = {
            "uid": study_uid,
            "state": StudyState.RECEIVING if others else StudyState.FINISHED,  # results alone are nothing to read
            "revision": 0,
            "calling_ae": (images or arrivals)[0].calling_ae,
            "first_arrival_at": first,
            "last_arrival_at": first,
            "arrivals": 0,
            "evidence": "",
            "receiving_since": self._clock.now(),
        }
        connection.execute(self._database.insert_new(studies).values(row))
        study_id = connection.execute(sa.select(studies.c.id).where(studies.c.uid == study_uid)).scalar_one()
        study = lock_study(connection, study_id)
        new = self._new(connection, study, arrivals)
        if not new:
            return
        connection.execute(sa.insert(instances), [_row(study_id, arrival) for arrival in new])
        if study.originals_removed_at is not None:
            connection.execute(sa.update(studies).where(studies.c.id == study_id).values(originals_removed_at=None))
        new_images = [arrival for arrival in new if _extends(arrival)]
        if not new_images:
            beside = sum(not arrival.own_result for arrival in new)
            if beside and study.state != StudyState.RECEIVING:
                detail = f"{beside} objects that accompany images came, such as reports and presentation states: the study stands"
                record(connection, self._clock.now(), "beside", detail, study_uid)
            return
        latest = max(new_images, key=lambda arrival: arrival.received_at)
        if study.state != StudyState.RECEIVING:
            detail = f"{len(new_images)} images arrived after the study was taken as complete"
            record(connection, self._clock.now(), "late images", detail, study_uid)
        changed = {
            "state": step(study.state, StudyEvent.IMAGE_ARRIVED),
            "calling_ae": latest.calling_ae,
            "last_arrival_at": max(latest.received_at, study.last_arrival_at),
            "arrivals": study.arrivals + len(new_images),
        }
        if study.state != StudyState.RECEIVING or not study.arrivals:
            changed |= {"receiving_since": self._clock.now(), "evidence": ""}
        connection.execute(sa.update(studies).where(studies.c.id == study_id).values(changed))

    def _new(self, connection: sa.Connection, study: sa.Row[Any], arrivals: list[Arrival]) -> list[Arrival]:
        """Those that are not known. Where the row under a path is of a file that retention removes, a fresh file is a new one."""
        known: dict[str, int | None] = {}
        paths = [arrival.path for arrival in arrivals]
        for start in range(0, len(paths), _BATCH):
            some = sa.select(instances.c.path, instances.c.removal_id).where(instances.c.path.in_(paths[start : start + _BATCH]))
            known.update({row.path: row.removal_id for row in connection.execute(some)})
        again = {arrival.path for arrival in arrivals if arrival.fresh and known.get(arrival.path) is not None}
        for removal_id in {known[path] for path in again}:
            if removal_id is not None:
                free_places(connection, removal_id, sorted(again))
        gone = _gone(connection, study)
        new = [
            arrival
            for arrival in arrivals
            if arrival.path in again
            # the same bytes were there when it came, and may have been removed before this is written
            or (arrival.path not in known and (arrival.fresh or arrival.sop_instance_uid not in gone))
        ]
        came_again = sum(arrival.sop_instance_uid in gone for arrival in new)
        if came_again:
            detail = f"{came_again} images came again after retention had removed them"
            record(connection, self._clock.now(), "came again", detail, study.uid)
        return new


def _extends(arrival: Arrival) -> bool:
    """Whether a study that gets it is to be read (again), and more of it waited for."""
    return not (arrival.own_result or is_companion(arrival.sop_class_uid))


def _gone(connection: sa.Connection, study: sa.Row[Any]) -> frozenset[str]:
    """SOP Instance UIDs of which a file was removed; asked for only where the study says that there may be some."""
    removed = sa.select(instances.c.sop_instance_uid).where(instances.c.study_id == study.id, instances.c.removal_id.is_not(None))
    any_removal = sa.select(removals.c.id).where(removals.c.study_id == study.id).limit(1)
    if connection.execute(any_removal).first() is None:
        return frozenset()
    return frozenset(connection.execute(removed).scalars())


def _row(study_id: int, arrival: Arrival) -> dict[str, object]:
    return {
        "study_id": study_id,
        "series_uid": arrival.series_uid,
        "sop_instance_uid": arrival.sop_instance_uid,
        "sop_class_uid": arrival.sop_class_uid,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "modality": arrival.modality[:16],  # a code string has at most 16 characters (PS3.5 section 6.2); a peer may send more
        "path": arrival.path,
        "version": arrival.version,
        "size_bytes": arrival.size_bytes,
        "calling_ae": arrival.calling_ae,
        "called_ae": arrival.called_ae,
        "received_at": arrival.received_at,
        "own_result": arrival.own_result,
        "association_id": arrival.association_id,
    }
