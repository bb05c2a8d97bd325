"""Asks archives whether all of a study is here, and keeps what they say as a signal about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from node.query.find import instances_of
from node.store.clock import Clock, SystemClock
from node.store.errors import ConfigurationError, OverreadError
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Signals, Worklist
from node.store.settings import Settings
from node.store.signals import ANSWERED, NO_ANSWER, Receiving, SignalKind

log = get_logger(__name__)

TRIES: Final = 3
"""After so many the study is not held up any more: its evidence says that the archive gave no answer."""
_FIRST_WAIT_S: Final = 2.0


class Question(Protocol):
    """`node.dispatch.judge.Question`."""

    @property
    def study(self) -> Receiving: ...

    @property
    def archive(self) -> str: ...

    @property
    def whole(self) -> bool: ...


class Judge(Protocol):
    """Which studies wait for an archive's word: `node.dispatch.judge.Judge`."""

    def questions(self) -> Sequence[Question]: ...


@dataclass(frozen=True, slots=True)
class _Tried:
    arrivals: int
    tries: int
    next_at: datetime


class Asker:
    """Asks until told to stop.

    Parameters
    ----------
    judge
        Says which studies wait for an archive's word.
    worklist, signals
        Ports of the catalog.
    """

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        worklist: Worklist,
        signals: Signals,
        *,
        clock: Clock | None = None,
        ask: Callable[..., Mapping[str, frozenset[str]]] = instances_of,
        poll_s: float = 0.25,
    ) -> None:
        self._settings = settings
        self._judge = judge
        self._worklist = worklist
        self._signals = signals
        self._clock = clock or SystemClock()
        self._ask = ask
        self._poll_s = poll_s
        self._tried: dict[int, _Tried] = {}

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set."""
        while not stop.wait(self._poll_s):
            try:
                self.look()
            except Exception as fault:  # noqa: BLE001 - a catalog that does not answer must not end the questions
                log.error("asking archives interrupted", reason=tell(fault))

    def look(self) -> None:
        """Ask about each study that waits and is due."""
        questions = self._judge.questions()
        waiting = {question.study.study_id for question in questions}
        self._tried = {study_id: tried for study_id, tried in self._tried.items() if study_id in waiting}
        for question in questions:
            tried = self._tried.get(question.study.study_id)
            if tried and tried.arrivals != question.study.arrivals:
                tried = None
            if tried is None or tried.next_at <= self._clock.now():
                self._answer(question, tried.tries if tried else 0)

    def _answer(self, question: Question, tries: int) -> None:
        study, name = question.study, question.archive
        here = self._worklist.arrived(study.study_id).series
        try:
            archive = self._settings.archive(name)
            if archive is None:
                raise ConfigurationError(f"no archive {name} is configured")
            # a PACS often routes only some series: asked about are those that began to arrive
            has = self._ask(archive, self._settings.ae_title, study.study_uid, None if question.whole else sorted(here))
        except OverreadError as fault:
            self._no_answer(question, tries + 1, str(fault))
            return
        if self._worklist.arrived(study.study_id).series == here:  # what came meanwhile is asked about anew
            self._tried.pop(study.study_id, None)
            self._signals.say(SignalKind.ARCHIVE, name, name, ANSWERED, {study.study_uid: has})

    def _no_answer(self, question: Question, tries: int, reason: str) -> None:
        study, name = question.study, question.archive
        log.warning("archive gave no answer", archive=name, study_uid=study.study_uid, attempt=tries, reason=reason)
        wait = timedelta(seconds=_FIRST_WAIT_S * 2 ** (tries - 1))
        self._tried[study.study_id] = _Tried(study.arrivals, tries, self._clock.now() + wait)
        if tries >= TRIES:
            self._signals.say(SignalKind.ARCHIVE, name, name, NO_ANSWER, {study.study_uid: {}})
