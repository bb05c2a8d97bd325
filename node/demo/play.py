"""The demonstration itself: send, wait, compare, keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.demo.cases import Case, Received, Study, faults
from node.demo.collect import keep_results, received_objects, study_uid
from node.demo.stage import Stage
from node.page.plain import study_in_full
from node.store.catalog.catalog import open_catalog
from node.store.ports import Views
from node.store_scu import StoreScu

CALLING_AE: Final = "DEMO"
STALLED_S: Final = 600.0
"""Seconds without any change of a study after which it counts as stuck."""

POLL_S: Final = 0.3

Tell = Callable[[Case, str, float], None]
"""Called with a case, what happens to it now, and the share of its way that is behind it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a case came to.

    Parameters
    ----------
    study
        As ``overread study UID --json`` prints it.
    faults
        Why the stated outcome was not reached; empty where it was.
    files
        Results that were kept.
    took_s
        From the last image's answer to the last result in the archive (or to the refusal), seconds.
    """

    case: Case
    study: Study
    received: tuple[Received, ...]
    faults: tuple[str, ...]
    files: tuple[Path, ...]
    took_s: float


def play(cases: Sequence[Case], stage: Stage, out: Path, tell: Tell) -> list[Played]:
    """Send all studies, wait until each has ended, and keep what came back.

    Raises
    ------
    OverreadError
        Where the node ends meanwhile.
    """
    catalog = open_catalog(stage.settings)
    try:
        watches = [Watch(case, _send(case, stage, tell), catalog.views, tell) for case in cases]
        while sum(watch.look() for watch in watches) < len(watches):  # all look, not only up to the first that waits
            stage.check()
            time.sleep(POLL_S)
        return [watch.end(stage, out) for watch in watches]
    finally:
        catalog.close()


def _send(case: Case, stage: Stage, tell: Tell) -> list[str]:
    """Send one study; what was not stored, in words."""
    problems = []
    for number, verdict in enumerate(StoreScu(stage.peer, CALLING_AE).send(case.paths), 1):
        if not verdict.stored:
            problems.append(f"{verdict.path.name} was not stored: {verdict.reason}")
        tell(case, f"sent {number} of {len(case.paths)}", 0.2 * number / len(case.paths))
    return problems


class Watch:
    """Follows one study from its last image's answer to its end.

    Parameters
    ----------
    case
        What was sent.
    problems
        What went wrong so far, in words.
    views
        Of the node's catalog.
    """

    def __init__(self, case: Case, problems: list[str], views: Views, tell: Tell) -> None:
        self._case = case
        self._problems = problems
        self._views = views
        self._tell = tell
        self._begun = self._changed = time.monotonic()
        self._took_s: float | None = None
        self._study: Study = {
            "study_uid": study_uid(case),
            "state": "unknown",
            "jobs": [],
            "deliveries": [],
            "decisions": [],
            "events": [],
        }

    def look(self) -> bool:
        """See what became of the study; True once it has ended, or stands still for too long."""
        if self._took_s is not None:
            return True
        now = time.monotonic()
        view = self._views.study(self._study["study_uid"])
        study = study_in_full(view) if view else self._study
        if study != self._study:
            self._study, self._changed = study, now
            self._tell(self._case, *_progress(study))
        if now - self._changed > STALLED_S:
            self._problems.append(f"nothing happened to it for {STALLED_S:.0f} s")
        if self._problems or _ended(study):
            self._took_s = now - self._begun
        return self._took_s is not None

    def end(self, stage: Stage, out: Path) -> Played:
        """Keep what came back, and compare it with the stated outcome."""
        received = received_objects(self._study, stage.archive_folder)
        files = keep_results(self._study, received, out)
        found = (*self._problems, *faults(self._case, self._study, received))
        self._tell(self._case, "[red]not as stated[/]" if found else "[green]as stated[/]", 1.0)
        return Played(self._case, self._study, tuple(received), found, tuple(files), self._took_s or 0.0)


def _ended(study: Study) -> bool:
    return study["state"] == "finished" and all(one["state"] in {"sent", "failed"} for one in study["deliveries"])


def _progress(study: Study) -> tuple[str, float]:
    """What happens to a study now, and how much of its way is behind it."""
    if study["state"] == "receiving":
        return "waiting for more images", 0.25
    running = [job["model"] for job in study["jobs"] if job["state"] == "running"]
    if running:
        return f"read by {', '.join(running)}", 0.5
    if study["state"] == "reading":
        return "waiting for a worker", 0.35
    deliveries = study["deliveries"]
    sent = sum(one["state"] == "sent" for one in deliveries)
    return f"{sent} of {len(deliveries)} results delivered", 0.8 + 0.2 * sent / max(len(deliveries), 1)
