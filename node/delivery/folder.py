"""Delivery into a folder, e.g. one that another program watches or that a share is mounted on."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from node.delivery.answers import DUPLICATE, Answered
from node.recoding import as_wanted
from node.store.attributes import BROKEN, quietly
from node.store.errors import NotUnderstood
from node.store.spool import check_uid
from node.store.sync import sync
from node.store.syntaxes import AS_MADE, Syntax

_CUT_OFF_S: Final = 3600.0
"""Seconds without a byte more after which a half-written copy is nobody's any more."""
_NO_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What file systems of shares answer that know no sync of a folder."""


class FolderSender:
    """Copies files to ``<Study Instance UID>/<SOP Instance UID>.dcm`` below a folder.

    A file appears whole or not at all. One that is there already with the same bytes counts as stored; one with other bytes is
    left as it is.

    Parameters
    ----------
    folder
        It must be there: a share that is not mounted is not filled with results that nobody sees.
    syntaxes
        Transfer syntaxes, what is preferred first; an object is written in the first that it has a form in.
    """

    def __init__(self, folder: Path, syntaxes: Sequence[Syntax] = AS_MADE) -> None:
        self._folder = folder
        self._syntaxes = syntaxes

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        """Copy files; one answer for each."""
        for path in paths:
            if not self._folder.is_dir():
                yield Answered(path, None, f"the folder {self._folder} is not there: mount or make it", retryable=True)
                continue
            try:
                yield self._copy(path)
            except NotUnderstood as broken:
                yield Answered(path, None, str(broken))
            except OSError as fault:
                yield Answered(path, None, f"the folder {self._folder} did not take it: {fault.strerror}", retryable=True)

    def _copy(self, path: Path) -> Answered:
        study_uid, instance_uid = _uids(path)
        study = self._folder / study_uid
        study.mkdir(exist_ok=True)
        _clear(study, instance_uid)
        hidden = study / f".{instance_uid}.{uuid.uuid4()}.part"
        try:
            with as_wanted(path, self._syntaxes) as (source, _, note), hidden.open("xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            answer = _placed(hidden, study / f"{instance_uid}.dcm", path)
        finally:
            with contextlib.suppress(OSError):
                hidden.unlink(missing_ok=True)
        if answer.status is not None:  # it is there: also when the disk has to remember it without power
            _sync(study)
            _sync(self._folder)
        return replace(answer, note=note)


def _uids(path: Path) -> tuple[str, str]:
    """Study and SOP Instance UID of a file, fit for names.

    Raises
    ------
    NotUnderstood
        Where it has none.
    """
    try:
        with quietly():
            header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
            return check_uid(str(header.StudyInstanceUID)), check_uid(str(header.SOPInstanceUID))
    except (InvalidDicomError, EOFError, *BROKEN) as broken:
        raise NotUnderstood("the result file is broken here: it names no study or no SOP instance") from broken


def _clear(study: Path, instance_uid: str) -> None:
    """Remove what a copy that was cut off long ago, by a power cut for example, has left half written."""
    for left in study.glob(f".{instance_uid}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _CUT_OFF_S:
                left.unlink()


def _placed(hidden: Path, target: Path, path: Path) -> Answered:
    """Give the copy its name, unless that is taken."""
    if not target.exists():
        hidden.replace(target)
        return Answered(path, 0, "stored")
    if filecmp.cmp(hidden, target, shallow=False):
        return Answered(path, DUPLICATE, "it is there already")
    return Answered(path, None, "another file of that name is there: move it away, then send again", heard=True)


def _sync(folder: Path) -> None:
    """Have the names in a folder on stable storage, where its file system can do that."""
    try:
        sync(folder)
    except OSError as fault:
        if fault.errno not in _NO_SYNC:
            raise
