from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from node.dispatch.judge import Judge
from node.query.asker import TRIES, Asker
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.errors import Retryable
from node.store.peers import Archive
from node.store.settings import Settings
from node.store.sources import Source
from tests.story import QUIET_S, STUDY, Story

SERIES = f"{STUDY}.1"


class Scene:
    """A study of a source whose archive is asked, and what the archive says."""

    def __init__(self, settings: Settings) -> None:
        self.clock = FakeClock()
        self.catalog = open_catalog(settings, self.clock)
        self.story = Story(self.catalog, self.clock, settings)
        self.judge = Judge(self.catalog.worklist, self.catalog.signals, settings, self.clock)
        self.asker = Asker(settings, self.judge, self.catalog.worklist, self.catalog.signals, clock=self.clock, ask=self.ask)
        self.has: dict[str, frozenset[str]] = {}
        self.away = False
        self.meanwhile = 0
        self.asked: list[Sequence[str] | None] = []

    def ask(self, archive: Archive, _calling: str, study_uid: str, series: Sequence[str] | None) -> Mapping[str, frozenset[str]]:
        assert (archive.name, study_uid) == ("vna", STUDY)
        self.asked.append(series)
        if self.meanwhile:
            self.story.arrive(self.meanwhile)
        if self.away:
            raise Retryable("it cannot be reached")
        return self.has

    def complete(self) -> list[str]:
        """One look of the dispatcher, of the asker, and again of the dispatcher; evidence of what is complete."""
        self.judge.due()
        self.asker.look()
        return [due.evidence for due in self.judge.due()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    vna = Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=104)
    return Settings(data=tmp_path, archives=(vna,), sources=(Source(ae_title="SCANNER", archive="vna"),))


@pytest.fixture
def scene(settings: Settings) -> Iterator[Scene]:
    made = Scene(settings)
    yield made
    made.catalog.close()


def images(*numbers: int) -> frozenset[str]:
    return frozenset(f"{SERIES}.{number}" for number in numbers)


def test_it_is_asked_once_the_study_is_quiet_and_of_the_series_that_are_here(scene: Scene) -> None:
    scene.story.arrive(1)
    assert scene.complete() == []
    assert scene.asked == []
    scene.clock.advance(QUIET_S)
    scene.has = {SERIES: images(1)}
    (evidence,) = scene.complete()
    assert "archive vna names 1 instance, all here" in evidence
    assert scene.asked == [[SERIES]]


def test_what_it_has_more_is_waited_for_and_it_is_asked_anew(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.clock.advance(QUIET_S)
    scene.has = {SERIES: images(1, 2)}
    assert scene.complete() == []
    assert scene.complete() == []
    assert len(scene.asked) == 1, "nothing has changed"
    assert "1 of them not here" in scene.story.study().evidence
    scene.clock.advance(60)
    scene.story.arrive(2)
    scene.clock.advance(QUIET_S)
    assert len(scene.complete()) == 1
    assert len(scene.asked) == 2


def test_an_answer_that_an_image_overtook_does_not_count(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.clock.advance(QUIET_S)
    scene.has = {SERIES: images(1)}
    scene.meanwhile = 2
    assert scene.complete() == []
    assert scene.catalog.signals.about(STUDY) == []


def test_one_that_gives_no_answer_holds_up_no_study_for_long(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.clock.advance(QUIET_S)
    scene.away = True
    for number in range(1, TRIES):
        assert scene.complete() == []
        assert scene.complete() == [], "it waits between tries"
        assert len(scene.asked) == number
        scene.clock.advance(2.0**number)
    (evidence,) = scene.complete()
    assert "archive vna gave no answer, so that nobody confirms it" in evidence
