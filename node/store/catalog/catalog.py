"""The catalog: who sent what, what was decided, what was made, where it went. Opened here, used through its ports."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

from node.store.catalog.breakers import SqlBreakers
from node.store.catalog.commitments import SqlCommitments
from node.store.catalog.deliveries import Wish
from node.store.catalog.desk import SqlJobDesk
from node.store.catalog.engine import Database, sqlite_url
from node.store.catalog.fetches import SqlFetches
from node.store.catalog.intake import SqlIntakeLog
from node.store.catalog.migrate import migrate
from node.store.catalog.outbox import SqlOutbox
from node.store.catalog.proofs import SqlProofs
from node.store.catalog.removals import SqlRemovals
from node.store.catalog.signals import SqlSignals
from node.store.catalog.tables import installation
from node.store.catalog.views import SqlViews
from node.store.catalog.worklist import SqlWorklist
from node.store.clock import Clock, SystemClock
from node.store.destinations import ArchiveDestination
from node.store.errors import ConfigurationError
from node.store.settings import Settings

LONGEST_REQUEUE_S: Final = 30.0
"""Seconds after which a job that was enqueued and is still due counts as lost by the queue; a lease, where that is shorter."""


class Catalog:
    """The ports over one database. Threads may share it; a process that forks opens its own.

    Parameters
    ----------
    database
        At the newest schema.
    settings
        Sources, destinations and limits are read.
    clock
        Where moments come from.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self.installation = _installation(database)
        """UUID of this installation, made when its catalog was."""
        spool = settings.spool.resolve()
        wishes = {one.name: Wish(frozenset(one.wanted), one.urgent, one.naming.key) for one in settings.destinations}
        attempts = settings.limits.job_attempts
        self.intake = SqlIntakeLog(database, clock)
        self.worklist = SqlWorklist(
            database,
            clock,
            wishes=wishes,
            job_attempts=attempts,
            requeue_after_s=min(LONGEST_REQUEUE_S, settings.limits.lease_s),
        )
        self.desk = SqlJobDesk(database, clock, spool=spool, installation=self.installation, wishes=wishes, job_attempts=attempts)
        proven = [one.name for one in settings.destinations if isinstance(one, ArchiveDestination) and one.proves]
        instead = {one.name: one.replaced for one in settings.destinations}
        self.outbox = SqlOutbox(database, clock, spool=spool, proven=proven, instead=instead, wishes=wishes)
        self.proofs = SqlProofs(database, clock)
        self.breakers = SqlBreakers(database, clock)
        self.removals = SqlRemovals(database, clock)
        self.views = SqlViews(database)
        self.signals = SqlSignals(database, clock)
        self.commitments = SqlCommitments(database, clock)
        self.fetches = SqlFetches(database, clock)

    def close(self) -> None:
        """Give all connections back."""
        self._database.close()


def open_catalog(settings: Settings, clock: Clock | None = None) -> Catalog:
    """Open the catalog of a data folder, or of ``catalog_url``, making or migrating it where need be.

    Raises
    ------
    ConfigurationError
        Where it cannot be reached or was written by a later version.
    """
    if settings.catalog_url is None:
        make_private(settings.data)
    database = Database(settings.catalog_url or sqlite_url(settings.data.resolve()))
    try:
        migrate(database)
        return Catalog(database, settings, clock or SystemClock())
    except sa.exc.DBAPIError as fault:
        database.close()
        where = "catalog_url" if settings.catalog_url else f"the catalog in {settings.data}"
        raise ConfigurationError(f"{where} cannot be opened: {type(fault.orig).__name__}: {fault.orig}") from fault


def make_private(folder: Path) -> None:
    """Make a folder that only its owner enters: patient data will be in it.

    Raises
    ------
    ConfigurationError
        Where it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigurationError(f"folder {folder} cannot be made: {fault.strerror}") from fault


def _installation(database: Database) -> str:
    found: str | None
    with database.read() as connection:
        found = connection.execute(sa.select(installation.c.uuid)).scalar_one_or_none()
    if found is None:
        with database.write() as connection:
            connection.execute(database.insert_new(installation).values(id=1, uuid=str(uuid4())))
            found = connection.execute(sa.select(installation.c.uuid)).scalar_one()
    return found
