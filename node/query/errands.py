"""Fetches what routes wish for: the rest of a study, and its priors. Leased rows, tried again with growing waits.

Priors are marked before they are fetched: they are stored, and not read by themselves. No model reads priors today, so that no
job waits for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from node.delivery.waits import Waits, jitter
from node.query.fetch import Fetched
from node.query.matches import Match, studies_with
from node.store.attributes import BROKEN, quietly, text
from node.store.clock import Clock, SystemClock
from node.store.errors import OverreadError, Permanent, Retryable
from node.store.faults import tell
from node.store.log import get_logger
from node.store.peers import Archive
from node.store.ports import Fetches
from node.store.records import FetchTask, Wanted
from node.store.settings import Settings

log = get_logger(__name__)

LEASE_S: Final = 3600.0
"""Seconds that a fetch may take; a large study from tape takes long."""
_KEYWORDS: Final = ("PatientID", "PatientBirthDate", "StudyDate", "Modality")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose priors are wanted. Patient data: for comparison only."""

    patient_id: str
    birth_date: str
    date: str
    modality: str


class Errands:
    """Fetches until told to stop.

    Parameters
    ----------
    settings
        Archives, limits and the spool's place.
    fetches
        Port of the catalog.
    fetch
        Fetches one study: `node.query.fetch.Fetcher.fetch`.
    """

    def __init__(
        self,
        settings: Settings,
        fetches: Fetches,
        fetch: Callable[[Archive, str], Fetched],
        *,
        clock: Clock | None = None,
        poll_s: float = 1.0,
    ) -> None:
        self._settings = settings
        self._fetches = fetches
        self._fetch = fetch
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._waits = Waits.of(settings.limits)

    def run(self, stop: threading.Event) -> None:
        """Fetch until `stop` is set. What is on the wire then is left to its lease, for it may take an hour."""
        thread = threading.Thread(target=self._serve, args=(stop,), name="fetch", daemon=True)
        thread.start()
        stop.wait()
        thread.join(self._settings.limits.drain_s)

    def work(self) -> bool:
        """Do one fetch that is due; False where there is none."""
        task = self._fetches.claim(LEASE_S)
        if task is None:
            return False
        archive = self._settings.archive(task.archive)
        try:
            if archive is None:
                raise Permanent(f"no archive {task.archive} is configured")
            said = str(self._whole(archive, task.study_uid)) if task.what is Wanted.STUDY else self._priors(task, archive)
        except OverreadError as fault:
            self._later(task, str(fault), final=isinstance(fault, Permanent))
        else:
            self._fetches.done(task, said)
        return True

    def _serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                worked = self.work()
            except Exception as fault:  # noqa: BLE001 - whatever one study does to us, its lease brings it back and the others go on
                log.error("fetch interrupted", reason=tell(fault))
                worked = False
            if not worked:
                stop.wait(self._poll_s)

    def _priors(self, task: FetchTask, archive: Archive) -> str:
        subject = self._subject(task.study_uid)
        matches = studies_with(archive, self._settings.ae_title, {"PatientID": subject.patient_id})
        if any(match.birth_date != subject.birth_date for match in matches):
            raise Permanent(f"{archive.name} has another birth date under this Patient ID: nothing was fetched")
        said = []
        for match in choose_priors(subject, task.study_uid, matches, task.most):
            if not self._fetches.mark_prior(match.study_uid, task.study_uid):
                said.append(f"{match.study_uid} is here")
                continue
            fetched = self._whole(archive, match.study_uid)
            self._fetches.fetched_prior(match.study_uid)
            said.append(f"{match.study_uid} ({fetched.arrived} of {fetched.named} instances)")
        return ", ".join(said) or f"{archive.name} has none"

    def _whole(self, archive: Archive, study_uid: str) -> Fetched:
        fetched = self._fetch(archive, study_uid)
        if not fetched.whole:
            raise Retryable(str(fetched))
        return fetched

    def _subject(self, study_uid: str) -> Subject:
        """Read from one of the study's images whose it is."""
        path = self._fetches.any_image(study_uid)
        if path is None:
            raise Permanent("the study's images are not here any more")
        try:
            with quietly():
                header = dcmread(Path(self._settings.spool, path), stop_before_pixels=True, specific_tags=list(_KEYWORDS))
                values = [text(header, keyword) for keyword in _KEYWORDS]
        except (*BROKEN, OSError, InvalidDicomError) as broken:
            raise Permanent("the study's images cannot be read") from broken
        if not all(values):
            raise Permanent("priors are looked for by Patient ID, birth date, study date and modality, and the study lacks one")
        return Subject(*values)

    def _later(self, task: FetchTask, reason: str, *, final: bool) -> None:
        wait_s = None if final else self._waits.after(task.attempt, jitter())
        log.warning(
            "not fetched", study_uid=task.study_uid, what=task.what, archive=task.archive, reason=reason, again_in_s=wait_s
        )
        if wait_s is None:
            self._fetches.fail(task, reason)
        else:
            self._fetches.retry(task, reason, self._clock.now() + timedelta(seconds=wait_s))


def choose_priors(subject: Subject, study_uid: str, matches: Sequence[Match], most: int) -> list[Match]:
    """The newest earlier studies with the subject's modality."""
    earlier = [
        match
        for match in matches
        if match.study_uid != study_uid and match.date and match.date < subject.date and subject.modality in match.modalities
    ]
    return sorted(earlier, key=lambda match: (match.date, match.study_uid), reverse=True)[:most]
