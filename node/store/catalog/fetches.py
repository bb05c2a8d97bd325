"""What is to be fetched from archives, leased like deliveries; and which studies are here as priors only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.leases import any_waits, claimable, held, leased_until
from node.store.catalog.progress import lock_study, record
from node.store.catalog.tables import fetches, instances, priors, studies
from node.store.clock import Clock
from node.store.records import FetchTask, Wanted
from node.store.states import FetchEvent, FetchState, StudyEvent, StudyState, step

_DUE: Final = (FetchState.DUE,)
_LEASED: Final = (FetchState.FETCHING,)
_KINDS: Final = {FetchEvent.DONE: "fetched", FetchEvent.FAIL: "not fetched"}


class SqlFetches:
    """`node.store.ports.Fetches` on the catalog's database.

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

    def want(self, study_uid: str, what: Wanted, archive: str, most: int = 0) -> None:
        """Wish for the rest of a study or for its priors; a wish that was made before is not made again."""
        now = self._clock.now()
        row = {
            "study_uid": study_uid,
            "what": what.value,
            "archive": archive,
            "most": most,
            "state": FetchState.DUE,
            "attempt": 0,
            "fence": 0,
            "reason": "",
            "created_at": now,
            "due_at": now,
        }
        with self._database.write() as connection:
            connection.execute(self._database.insert_new(fetches).values(row))

    def claim(self, lease_s: float) -> FetchTask | None:
        """Own a fetch that is due."""
        now = self._clock.now()
        free = claimable(fetches, now, due=_DUE, leased=_LEASED)
        waiting = sa.select(fetches).where(free).order_by(fetches.c.due_at).limit(1)
        if not any_waits(self._database, waiting):
            return None
        with self._database.write() as connection:
            row = connection.execute(waiting.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            state = step(row.state, FetchEvent.LEASE_EXPIRED) if row.state in _LEASED else row.state
            owned = {"state": step(state, FetchEvent.CLAIM), **leased_until(row, now, lease_s)}
            connection.execute(sa.update(fetches).where(fetches.c.id == row.id).values(owned))
            return FetchTask(row.id, row.fence + 1, row.study_uid, Wanted(row.what), row.archive, row.most, row.attempt + 1)

    def done(self, task: FetchTask, said: str) -> bool:
        """It ended, and this came of it."""
        return self._end(task, FetchEvent.DONE, said, ended_at=self._clock.now())

    def retry(self, task: FetchTask, reason: str, at: datetime) -> bool:
        """Try again then."""
        return self._end(task, FetchEvent.RETRY, reason, due_at=at)

    def fail(self, task: FetchTask, reason: str) -> bool:
        """Give it up."""
        return self._end(task, FetchEvent.FAIL, reason, ended_at=self._clock.now())

    def _end(self, task: FetchTask, event: FetchEvent, reason: str, **values: Any) -> bool:
        with self._database.write() as connection:
            row = held(connection, fetches, task.fetch_id, task.fence, _LEASED)
            if row is None:
                return False
            values |= {"state": step(row.state, event), "reason": reason, "lease_until": None}
            connection.execute(sa.update(fetches).where(fetches.c.id == row.id).values(values))
            if event in _KINDS:
                detail = f"{row.what} from {row.archive}: {reason}"
                record(connection, self._clock.now(), _KINDS[event], detail, row.study_uid)
                ended = sa.update(priors).where(priors.c.of_study_uid == row.study_uid, priors.c.until.is_(None))
                connection.execute(ended.values(until=self._clock.now()))
        return True

    def mark_prior(self, study_uid: str, of_study_uid: str) -> bool:
        """Say, before it is fetched, that a study is a prior, and not read for its own sake; False where it is here already.

        One of which a fetch that broke off has brought some is still to be fetched.
        """
        with self._database.write() as connection:
            here = connection.execute(sa.select(studies.c.id).where(studies.c.uid == study_uid)).first()
            begun = sa.select(priors.c.id).where(priors.c.study_uid == study_uid, priors.c.until.is_(None))
            if here is not None and connection.execute(begun).first() is None:
                return False
            row = {"study_uid": study_uid, "of_study_uid": of_study_uid}
            connection.execute(self._database.insert_new(priors).values(row))
        return True

    def fetched_prior(self, study_uid: str) -> None:
        """Say that the fetch of a prior has ended: what comes from now on is read."""
        open_ones = sa.update(priors).where(priors.c.study_uid == study_uid, priors.c.until.is_(None))
        with self._database.write() as connection:
            connection.execute(open_ones.values(until=self._clock.now()))

    def read_after_all(self, study_uid: str) -> bool:
        """Have a study read that was fetched as a prior; False where it was not."""
        with self._database.write() as connection:
            marked = connection.execute(sa.delete(priors).where(priors.c.study_uid == study_uid)).rowcount
            study_id = connection.execute(sa.select(studies.c.id).where(studies.c.uid == study_uid)).scalar_one_or_none()
            if not marked or study_id is None:
                return bool(marked)
            study = lock_study(connection, study_id)
            if study.state != StudyState.RECEIVING:
                again = {"state": step(study.state, StudyEvent.IMAGE_ARRIVED), "receiving_since": self._clock.now()}
                connection.execute(sa.update(studies).where(studies.c.id == study.id).values(again))
            record(connection, self._clock.now(), "read after all", "it was fetched as a prior", study_uid)
        return True

    def any_image(self, study_uid: str) -> str | None:
        """Path, relative to the spool's root, of one image of a study; None where none is here."""
        one = (
            sa.select(instances.c.path)
            .join(studies, instances.c.study_id == studies.c.id)
            .where(studies.c.uid == study_uid, instances.c.own_result.is_(False), instances.c.removal_id.is_(None))
            .limit(1)
        )
        found: str | None
        with self._database.read() as connection:
            found = connection.execute(one).scalar_one_or_none()
        return found


def fetched_as_prior_of() -> sa.ScalarSelect[Any]:
    """Of a row of `studies`: which study all that is here of it was fetched as a prior of; null for others."""
    only = sa.or_(priors.c.until.is_(None), priors.c.until >= studies.c.last_arrival_at)
    return (
        sa.select(sa.func.min(priors.c.of_study_uid))
        .where(priors.c.study_uid == studies.c.uid, only)
        .correlate(studies)
        .scalar_subquery()
    )
