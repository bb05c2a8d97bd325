"""Fetching a study from an archive: what it has, what it sent, what arrived, compared by UID."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.query.find import holding_of
from node.query.retrieve import Counts, Getter, move
from node.store.errors import Permanent, Retryable
from node.store.log import get_logger
from node.store.peers import Archive
from node.store.ports import Commitments, IntakeLog
from node.store.settings import Settings
from node.store.spool import Spool

log = get_logger(__name__)

_ARRIVAL_S: Final = 30.0
"""Seconds after the archive's last word in which the last row comes into the catalog."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a fetch.

    Parameters
    ----------
    named
        Instances that the archive has of the study.
    before
        How many of them were here before.
    counts
        Sub-operations; None where nothing had to be sent.
    arrived
        How many of them are here now.
    """

    study_uid: str
    archive: str
    named: int
    before: int
    counts: Counts | None
    arrived: int

    @property
    def whole(self) -> bool:
        """Whether all that the archive has is here."""
        return self.arrived == self.named

    def __str__(self) -> str:
        said = f"{self.archive} has {self.named} instances of {self.study_uid}, {self.before} were here"
        if self.counts is not None:
            said += f"; it sent {self.counts.completed + self.counts.warning}, {self.counts.failed} failed"
        return said + ("; all are here now" if self.whole else f"; {self.named - self.arrived} are still not here")


class Fetcher:
    """Fetches studies.

    Parameters
    ----------
    settings
        Archives, our AE title, the spool.
    intake, records
        Ports of the catalog.
    """

    def __init__(self, settings: Settings, intake: IntakeLog, records: Commitments) -> None:
        self._settings = settings
        self._intake = intake
        self._records = records

    def fetch(self, archive: Archive, study_uid: str, *, sleep: Callable[[float], None] = time.sleep) -> Fetched:
        """Let the archive send what is not here.

        Raises
        ------
        OverreadError
            Where it cannot be asked, has no such study, or sends nothing; the message says what to change.
        """
        holding = holding_of(archive, self._settings.ae_title, study_uid)
        named = frozenset[str]().union(*holding.series.values())
        if not named:
            raise Permanent(f"{archive.name} ({archive}) has no instances of study {study_uid}")
        before = self._here(named)
        if before == len(named):
            return Fetched(study_uid, archive.name, len(named), before, None, before)
        counts = self._transfer(archive, study_uid, holding.sop_classes)
        arrived = self._here(named)
        until = time.monotonic() + _ARRIVAL_S
        while arrived < len(named) and arrived < before + counts.completed + counts.warning and time.monotonic() < until:
            sleep(0.1)
            arrived = self._here(named)
        fetched = Fetched(study_uid, archive.name, len(named), before, counts, arrived)
        log.info("fetched", study_uid=study_uid, archive=archive.name, named=len(named), arrived=arrived, failed=counts.failed)
        self._intake.event("fetched" if fetched.whole else "fetched in part", str(fetched), study_uid)
        if arrived == before:
            raise Retryable(f"{fetched}: is the listener running, and does the archive know its host and port?")
        return fetched

    def _transfer(self, archive: Archive, study_uid: str, sop_classes: frozenset[str]) -> Counts:
        if archive.retrieve == "move":
            return move(archive, self._settings.ae_title, archive.calling_ae or self._settings.ae_title, study_uid)
        spool = Spool(self._settings.spool, self._settings.limits.disk_reserve_mb)
        return Getter(spool, self._intake).get(archive, self._settings.ae_title, study_uid, sop_classes)

    def _here(self, named: frozenset[str]) -> int:
        return len(self._records.here(sorted(named)))
