"""The start-up scan: tells the catalog what the spool holds and it does not know."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from node.listener import walk
from node.listener.incoming import arrival_of
from node.listener.ledger import recognised
from node.listener.source import OpenFile
from node.store import part10
from node.store.errors import NotUnderstood, OverreadError
from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.records import Arrival
from node.store.spool import Spool, SpooledInstance

log = get_logger(__name__)

_BATCH: Final = 200


def rescan(spool: Spool, intake: IntakeLog, stop: Callable[[], bool] = lambda: False) -> int:
    """Hand every instance of the spool that the catalog does not know to `intake`; return how many these were.

    A file that cannot be read is left where it is and reported as an event; the others do not suffer.
    """
    found = 0
    for study_uid, instances in itertools.groupby(spool.scan(), key=lambda instance: instance.study_uid):
        known = intake.known_paths(study_uid)
        for batch in _batches([instance for instance in instances if instance.path not in known]):
            if stop():
                return found
            arrivals = [arrival for arrival in (_read(spool, intake, instance) for instance in batch) if arrival]
            intake.arrived(recognised(arrivals, intake))
            found += len(arrivals)
    return found


def scan_at_start(spool: Spool, intake: IntakeLog, stop: Callable[[], bool]) -> None:
    """`rescan`, with a word to the log: how much it found, or that it failed."""
    try:
        found = rescan(spool, intake, stop)
    except OverreadError as fault:
        log.warning("the start-up scan of the spool failed: restart to try again", fault=str(fault))
        return
    if found:
        log.info("the spool held instances that the catalog did not know", instances=found)


def _batches(instances: list[SpooledInstance]) -> list[list[SpooledInstance]]:
    return [instances[start : start + _BATCH] for start in range(0, len(instances), _BATCH)]


def _read(spool: Spool, intake: IntakeLog, instance: SpooledInstance) -> Arrival | None:
    try:
        return read_arrival(spool, instance)
    except NotUnderstood as fault:
        log.warning("a file of the spool is not what was received", path=instance.path, fault=str(fault))
        intake.event("unreadable", f"{instance.path} cannot be read back: {fault}", instance.study_uid)
        return None


def read_arrival(spool: Spool, instance: SpooledInstance) -> Arrival:
    """Rebuild the arrival of an instance from its file alone.

    Raises
    ------
    NotUnderstood
        Where the file cannot be read, or is not the instance that its place says.
    """
    try:
        with spool.absolute(instance.path).open("rb") as file:
            head = part10.read_head(file)
            outline = walk.outline(OpenFile(file.fileno()), head.offset, head.transfer_syntax_uid)
            information = os.fstat(file.fileno())
    except OSError as fault:
        raise NotUnderstood(f"the disk does not give it: {fault.strerror}") from fault
    if outline.study_uid != instance.study_uid:
        raise NotUnderstood("it lies in the folder of another study")
    received_at = datetime.fromtimestamp(information.st_mtime, UTC)
    return arrival_of(
        head,
        outline,
        instance.path,
        version=instance.version,
        size_bytes=information.st_size,
        received_at=received_at,
        association_id=None,
    )
