"""Delivery into a folder, e.g. one that another program watches or that a share is mounted on."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydicom import dcmread

from node.delivery.answers import DUPLICATE, Answered
from node.recoding import as_wanted
from node.store.attributes import quietly
from node.store.errors import NotUnderstood
from node.store.spool import check_uid
from node.store.syntaxes import AS_MADE, Syntax


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
        with quietly():
            header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
            study_uid, instance_uid = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        check_uid(study_uid)
        check_uid(instance_uid)
        target = self._folder / study_uid / f"{instance_uid}.dcm"
        target.parent.mkdir(exist_ok=True)
        hidden = target.parent / f".{uuid.uuid4()}.part"
        try:
            with as_wanted(path, self._syntaxes) as (source, _, note), hidden.open("xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            return replace(_placed(hidden, target, path), note=note)
        finally:
            with contextlib.suppress(OSError):
                hidden.unlink(missing_ok=True)


def _placed(hidden: Path, target: Path, path: Path) -> Answered:
    """Give the copy its name, unless that is taken."""
    if target.exists():
        if filecmp.cmp(hidden, target, shallow=False):
            return Answered(path, DUPLICATE, "it is there already")
        return Answered(path, None, "another file of that name is there: move it away, then send again", heard=True)
    hidden.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Answered(path, 0, "stored")
