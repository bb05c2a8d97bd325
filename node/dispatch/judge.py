"""Which studies are complete: looks at those that arrive, asks `node.studies.complete` where something may have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from node.store.clock import Clock
from node.store.ports import Signals, Worklist
from node.store.records import DueStudy
from node.store.settings import Settings
from node.store.signals import Receiving
from node.store.sources import Source, first_said
from node.studies.complete import Patience, Verdict, judge

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that was not complete when it was last looked at, and what was known then."""

    known: tuple[int, int, datetime, datetime | None]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """A study that an archive is to be asked about; `whole`: about series that are not here, too."""

    study: Receiving
    archive: str
    whole: bool


class Judge:
    """Keeps the verdicts on studies that wait, so that a look at them costs nothing while nothing happens.

    Parameters
    ----------
    worklist, signals
        Ports of the catalog.
    settings
        What is waited for, by source.
    clock
        Where moments come from.
    """

    def __init__(self, worklist: Worklist, signals: Signals, settings: Settings, clock: Clock) -> None:
        self._worklist = worklist
        self._signals = signals
        self._settings = settings
        self._clock = clock
        self._waiting: dict[int, Waiting] = {}
        self._questions: dict[int, Question] = {}

    def questions(self) -> Sequence[Question]:
        """What archives are to be asked, by the last look; may be called from another thread."""
        return tuple(self._questions.values())

    def due(self) -> Sequence[DueStudy]:
        """Studies that are complete now, and those that are read as they stand."""
        receiving = self._worklist.receiving()
        self._waiting = {one.study_id: self._waiting[one.study_id] for one in receiving if one.study_id in self._waiting}
        questions: dict[int, Question] = {}
        try:
            return self._due(receiving, questions)
        finally:
            self._questions = questions

    def _due(self, receiving: Sequence[Receiving], questions: dict[int, Question]) -> Sequence[DueStudy]:
        if not receiving:
            return ()
        now, newest, due = self._clock.now(), self._signals.newest(), []
        for study in receiving:
            known = (study.arrivals, study.open_associations, study.last_arrival_at, newest)
            before = self._waiting.get(study.study_id)
            if before and before.known == known and before.verdict.until and now < before.verdict.until:
                if study.study_id in self._questions:
                    questions[study.study_id] = self._questions[study.study_id]
                continue
            patience = patience_with(self._settings, study.calling_ae)
            said = self._signals.about(study.study_uid) if newest else ()
            verdict = judge(now, study, self._worklist.arrived(study.study_id), said, patience)
            if verdict.complete:
                due.append(_due(study, verdict))
                continue
            self._waiting[study.study_id] = Waiting(known, verdict)
            if verdict.ask:
                questions[study.study_id] = Question(study, verdict.ask, patience.whole_studies)
            if verdict.evidence != study.evidence and (said or study.evidence):
                self._worklist.waits(study, verdict.evidence)
        return due


def patience_with(settings: Settings, calling_ae: str) -> Patience:
    """What is waited for with studies of a calling AE title: what the first source says that fits, else the top level."""

    def said(of: Callable[[Source], T | None], otherwise: T) -> T:
        found = first_said(settings.sources, calling_ae, of)
        return otherwise if found is None else found

    return Patience(
        quiet_s=said(lambda source: source.quiet_s, settings.quiet_s),
        longest_wait_s=said(lambda source: source.longest_wait_s, settings.longest_wait_s),
        whole_studies=said(lambda source: source.whole_studies or None, False),
        archive=said(lambda source: source.archive, ""),
    )


def _due(study: Receiving, verdict: Verdict) -> DueStudy:
    return DueStudy(
        study.study_id,
        study.study_uid,
        study.last_arrival_at,
        verdict.evidence,
        study.arrivals,
        incomplete=verdict.incomplete,
        notes=verdict.notes,
        prior_of=study.prior_of,
    )
