"""What is said about studies beside their images, as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.progress import insert
from node.store.catalog.tables import instances, signal_instances, signals, studies
from node.store.clock import Clock
from node.store.signals import Series, Signal, SignalKind, SignalView


class SqlSignals:
    """`node.store.ports.Signals` on the catalog's database.

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

    def say(self, kind: SignalKind, uid: str, source: str, status: str, by_study: Mapping[str | None, Series]) -> None:
        """Keep a message; one of the same kind and UID about the same study takes the place of the earlier."""
        now = self._clock.now()
        with self._database.write() as connection:
            for study_uid, series in by_study.items():
                _write(connection, study_uid, Signal(kind, uid, source, status, now, series))

    def status(self, kind: SignalKind, uid: str) -> str | None:
        """The status of a message; None where it was never received."""
        found: str | None
        with self._database.read() as connection:
            found = connection.execute(
                sa.select(signals.c.status).where(signals.c.kind == kind, signals.c.uid == uid).limit(1)
            ).scalar_one_or_none()
        return found

    def change(self, kind: SignalKind, uid: str, status: str, series: Series | None) -> None:
        """Give a message, about whatever studies it is, another status, and other instances where `series` is not None."""
        now = self._clock.now()
        with self._database.write() as connection:
            rows = connection.execute(sa.select(signals).where(signals.c.kind == kind, signals.c.uid == uid)).all()
            for row in rows:
                connection.execute(sa.update(signals).where(signals.c.id == row.id).values(status=status, at=now))
                if series is not None:
                    _name(connection, row.id, series)

    def about(self, study_uid: str) -> Sequence[Signal]:
        """All that was said about a study, oldest first."""
        with self._database.read() as connection:
            return signals_of(connection, study_uid)

    def newest(self) -> datetime | None:
        """When anything was last said about any study."""
        found: datetime | None
        with self._database.read() as connection:
            found = connection.execute(sa.select(sa.func.max(signals.c.at))).scalar_one()
        return found


def signals_of(connection: sa.Connection, study_uid: str) -> list[Signal]:
    """Signals that name a study, and those without a study that name an instance of it."""
    ours = (
        sa.select(signal_instances.c.signal_id)
        .join(instances, instances.c.sop_instance_uid == signal_instances.c.sop_instance_uid)
        .join(studies, studies.c.id == instances.c.study_id)
        .where(studies.c.uid == study_uid)
    )
    about = sa.or_(signals.c.study_uid == study_uid, sa.and_(signals.c.study_uid.is_(None), signals.c.id.in_(ours)))
    rows = connection.execute(sa.select(signals).where(about).order_by(signals.c.id)).all()
    named: defaultdict[int, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    columns = sa.select(signal_instances.c.signal_id, signal_instances.c.series_uid, signal_instances.c.sop_instance_uid)
    for one in connection.execute(columns.where(signal_instances.c.signal_id.in_([row.id for row in rows]))):
        named[one.signal_id][one.series_uid].add(one.sop_instance_uid)
    return [_signal(row, {uid: frozenset(found) for uid, found in named[row.id].items()}) for row in rows]


def signal_views(connection: sa.Connection, study_uid: str, here: Iterable[str]) -> tuple[SignalView, ...]:
    """The same for a person; `here` are the SOP Instance UIDs of the study."""
    arrived = frozenset(here)
    views = []
    for signal in signals_of(connection, study_uid):
        named = frozenset[str]().union(*signal.series.values())
        views.append(SignalView(signal.kind, signal.source, signal.status, signal.at, len(named), len(named & arrived)))
    return tuple(views)


def signals_by_kind(connection: sa.Connection) -> dict[str, int]:
    """How many messages there are of each kind."""
    counted = sa.select(signals.c.kind, sa.func.count()).group_by(signals.c.kind)
    found = {row[0]: int(row[1]) for row in connection.execute(counted)}
    return {kind.value: found.get(kind, 0) for kind in SignalKind}


def _write(connection: sa.Connection, study_uid: str | None, signal: Signal) -> None:
    same = sa.and_(
        signals.c.uid == signal.uid,
        signals.c.kind == signal.kind,
        signals.c.study_uid.is_(None) if study_uid is None else signals.c.study_uid == study_uid,
    )
    row = {"source": signal.source, "status": signal.status, "at": signal.at}
    found = connection.execute(sa.select(signals.c.id).where(same)).scalar_one_or_none()
    if found is None:
        new = {"study_uid": study_uid, "kind": signal.kind, "uid": signal.uid, **row}
        found = insert(connection, signals, new)
    else:
        connection.execute(sa.update(signals).where(signals.c.id == found).values(row))
    _name(connection, found, signal.series)


def _name(connection: sa.Connection, signal_id: Any, series: Series) -> None:
    connection.execute(sa.delete(signal_instances).where(signal_instances.c.signal_id == signal_id))
    rows = [
        {"signal_id": signal_id, "series_uid": uid, "sop_instance_uid": one}
        for uid, named in series.items()
        for one in sorted(named)
    ]
    if rows:
        connection.execute(sa.insert(signal_instances), rows)


def _signal(row: sa.Row[Any], series: Series) -> Signal:
    return Signal(row.kind, row.uid, row.source, row.status, row.at, series)
