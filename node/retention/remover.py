"""One removal from its beginning to its end, and the end of one that a process has left half done.

The catalog goes first: from then on nobody plans on reading the files, and the start-up scan does not take one that is still
there for new. Then the files go, then the catalog frees their places. Between any two steps the process may die; whoever comes
next goes on. One process removes at a time, and nothing else in Overread removes from the spool.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from node.listener.rescan import rescan
from node.retention.files import content_hash, unlink
from node.store.log import get_logger
from node.store.ports import IntakeLog, Removals
from node.store.records import Removable, Removal, Removed
from node.store.spool import Spool

log = get_logger(__name__)


class Remover:
    """Removes what the catalog says may go.

    Parameters
    ----------
    spool
        Where the files are.
    removals, intake
        Ports of the catalog.
    """

    def __init__(self, spool: Spool, removals: Removals, intake: IntakeLog) -> None:
        self._spool = spool
        self._removals = removals
        self._intake = intake

    def remove(self, removable: Removable, why: str, settled_before: datetime, failed_before: datetime) -> bool:
        """Remove the files of a study, unless something has come to need them; whether they went.

        Raises
        ------
        OSError
            Where the disk does not let them go; the removal stays unfinished then.
        """
        if removable.what is Removed.ORIGINALS:
            removable = self._hashed(removable)
        removal = self._removals.begin(removable, why, settled_before, failed_before)
        if removal is None:
            return False
        unlink(self._spool.absolute(file.path) for file in removable.files.values())
        self._end(removal, why)
        return True

    def go_on(self) -> int:
        """Finish what a process that died has left half done; return how many removals.

        Raises
        ------
        OSError
            Where the disk does not let the files go.
        """
        unfinished = self._removals.unfinished()
        for removal in unfinished:
            again = self._came_again(removal)
            files = removal.removable.files.values()
            unlink(self._spool.absolute(file.path) for file in files if file.path not in again)
            self._end(removal, "an earlier process had begun")
            if again:  # and the listener may have died before it wrote them down
                rescan(self._spool, self._intake)
        return len(unfinished)

    def _end(self, removal: Removal, why: str) -> None:
        self._removals.finish(removal)
        removable = removal.removable
        log.info(
            f"{removable.what} removed",
            study_uid=removable.study_uid,
            files=len(removable.files),
            size_bytes=removable.size_bytes,
            why=why,
        )

    def _hashed(self, removable: Removable) -> Removable:
        files = {
            row_id: replace(file, sha256=content_hash(self._spool.absolute(file.path)))
            for row_id, file in removable.files.items()
        }
        return replace(removable, files=files)

    def _came_again(self, removal: Removal) -> frozenset[str]:
        """Paths of instances that came with other bytes while the removal was half done."""
        if removal.removable.what is not Removed.ORIGINALS:
            return frozenset()
        there = {file: content_hash(self._spool.absolute(file.path)) for file in removal.removable.files.values()}
        return frozenset(file.path for file, found in there.items() if found and found != file.sha256)
