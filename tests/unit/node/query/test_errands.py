from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.dispatch.dispatcher import Dispatcher
from node.dispatch.judge import Judge
from node.dispatch.wishes import Wishes
from node.query import errands
from node.query.errands import LEASE_S, Errands, Subject, choose_priors
from node.query.fetch import Fetched
from node.query.matches import Match
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.errors import Permanent, Retryable
from node.store.peers import Archive
from node.store.records import Wanted
from node.store.settings import Route, Settings
from node.store.states import StudyState
from tests.story import QUIET_S, STUDY, Story
from tests.unit.node.dispatch.test_dispatcher import Messages, Plans

VNA = Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=104)
PRIOR = "1.9.9"


def match(uid: str, date: str, *modalities: str, birth_date: str = "19500101") -> Match:
    return Match(uid, date, frozenset(modalities or ("CT",)), "4711", birth_date)


def test_priors_are_the_newest_earlier_ones_of_the_modality() -> None:
    subject = Subject("4711", "19500101", "20260301", "CT")
    matches = [
        match("1.1", "20200101"),
        match("1.2", "20250101"),
        match("1.3", "20240101", "MR"),
        match("1.4", "20230101", "MR", "CT"),
        match("1.5", "20260301"),
        match("1.6", ""),
        match(STUDY, "20190101"),
    ]
    assert [one.study_uid for one in choose_priors(subject, STUDY, matches, 2)] == ["1.2", "1.4"]
    assert choose_priors(subject, STUDY, matches, 0) == []


class Scene:
    """A node with a route that fetches; what the archive does is scripted."""

    def __init__(self, settings: Settings) -> None:
        self.clock = FakeClock()
        self.catalog = open_catalog(settings, self.clock)
        self.story = Story(self.catalog, self.clock, settings)
        judge = Judge(self.catalog.worklist, self.catalog.signals, settings, self.clock)
        wishes = Wishes(settings, self.catalog.fetches)
        self.planner = Plans()
        self.queue = Messages()
        self.dispatcher = Dispatcher(
            self.catalog.worklist, self.catalog.intake, self.planner, self.queue, judge=judge, clock=self.clock, wish=wishes
        )
        self.errands = Errands(settings, self.catalog.fetches, self.fetch, clock=self.clock)
        self.fetched: list[str] = []
        self.sends = 2
        self.away = False

    def fetch(self, archive: Archive, study_uid: str) -> Fetched:
        self.fetched.append(study_uid)
        if self.away:
            raise Retryable("it cannot be reached")
        for image in range(1, self.sends + 1):
            self.story.arrive(image, study=study_uid, calling_ae="VNA")
        return Fetched(study_uid, archive.name, 2, 0, None, self.sends)

    def read(self) -> None:
        self.clock.advance(QUIET_S)
        self.dispatcher.plan()


@pytest.fixture
def catalog_url() -> str | None:
    """SQLite; `tests.integration.test_catalog_postgres` says otherwise."""
    return None


@pytest.fixture
def scene(tmp_path: Path, catalog_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    # the planner of these tests names the route "default"
    route = Route(name="default", archive="vna", priors=1, fetch=True)
    made = Scene(Settings(data=tmp_path, catalog_url=catalog_url, archives=(VNA,), routes=(route,)))
    monkeypatch.setattr(errands, "studies_with", lambda *_: [match(PRIOR, "20250101"), match(STUDY, "20260301")])
    monkeypatch.setattr(Errands, "_subject", lambda *_: Subject("4711", "19500101", "20260301", "CT"))
    yield made
    made.catalog.close()


def test_a_route_has_the_study_and_its_prior_fetched_once_and_the_prior_is_not_read(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.read()
    assert scene.errands.work()
    assert scene.errands.work()
    assert not scene.errands.work()
    assert scene.fetched == [STUDY, PRIOR]
    scene.read()
    assert scene.story.study().revision == 2, "what was fetched of the study itself is read"
    prior = scene.story.study(PRIOR)
    assert (prior.state, prior.jobs) == (StudyState.FINISHED, ())
    assert {one.decision.reason for one in prior.decisions} == {
        f"fetched as a prior of study {STUDY}: stored, and not read by itself"
    }
    assert not scene.errands.work(), "nothing is wished for twice, nor by a prior"
    assert "fetched" in scene.story.kinds()


def test_what_comes_of_a_prior_later_is_read(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.read()
    assert scene.errands.work()
    assert scene.errands.work()
    scene.read()
    scene.story.arrive(9, study=PRIOR)
    scene.read()
    assert len(scene.story.study(PRIOR).jobs) == 3


def test_a_prior_is_read_after_all_when_somebody_asks_for_it(scene: Scene) -> None:
    scene.story.arrive(1)
    scene.read()
    assert scene.errands.work()
    assert scene.errands.work()
    scene.read()
    assert not scene.catalog.fetches.read_after_all(STUDY)
    assert scene.catalog.fetches.read_after_all(PRIOR)
    scene.read()
    assert len(scene.story.study(PRIOR).jobs) == 2


def test_a_study_that_is_here_is_not_made_a_prior(scene: Scene) -> None:
    scene.story.arrive(1, study=PRIOR)
    scene.read()
    scene.story.arrive(1)
    scene.read()
    while scene.errands.work():
        pass
    assert scene.fetched.count(PRIOR) == 1, "for its own sake, and not as a prior"
    assert len(scene.story.study(PRIOR).jobs) >= 1


def test_what_broke_off_is_fetched_on_and_still_a_prior(scene: Scene) -> None:
    scene.catalog.fetches.want(STUDY, Wanted.PRIORS, "vna", 1)
    scene.sends = 1
    assert scene.errands.work()
    scene.clock.advance(3600)
    scene.dispatcher.plan()
    assert scene.story.study(PRIOR).jobs == ()
    scene.sends = 2
    assert scene.errands.work()
    scene.read()
    assert scene.story.study(PRIOR).jobs == ()
    assert not scene.errands.work()


def test_an_archive_that_is_away_is_tried_again_and_given_up_in_the_end(scene: Scene) -> None:
    scene.catalog.fetches.want(STUDY, Wanted.STUDY, "vna")
    scene.story.arrive(1)
    scene.away = True
    assert scene.errands.work()
    assert not scene.errands.work(), "it waits"
    tries = 1
    for _ in range(1000):
        scene.clock.advance(2 * 3600)
        if not scene.errands.work():
            break
        tries += 1
    assert 50 < tries < 1000
    assert "not fetched" in scene.story.kinds()


@pytest.mark.parametrize("wrong", ["birth date", "archive"])
def test_what_is_not_safe_is_not_fetched(scene: Scene, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    scene.story.arrive(1)
    scene.catalog.fetches.want(STUDY, Wanted.PRIORS, "vna" if wrong == "birth date" else "gone", 1)
    monkeypatch.setattr(errands, "studies_with", lambda *_: [match(PRIOR, "20250101", birth_date="19600101")])
    assert scene.errands.work()
    assert scene.fetched == []
    detail = next(detail for _, kind, detail in scene.story.study().events if kind == "not fetched")
    assert wrong in detail


def test_who_slept_through_its_lease_ends_nothing(scene: Scene) -> None:
    fetches = scene.catalog.fetches
    fetches.want(STUDY, Wanted.STUDY, "vna")
    slept = fetches.claim(LEASE_S)
    assert slept is not None
    assert fetches.claim(LEASE_S) is None
    scene.clock.advance(LEASE_S + 1)
    task = fetches.claim(LEASE_S)
    assert task is not None
    assert not fetches.done(slept, "")
    assert fetches.done(task, "")
    assert fetches.claim(LEASE_S) is None


def test_a_route_that_fetches_names_an_archive_that_there_is() -> None:
    with pytest.raises(ValueError, match="names no archive"):
        Route(name="r", priors=1)
    with pytest.raises(ValueError, match="did you mean vna"):
        Settings(archives=(VNA,), routes=(Route(name="r", archive="vn", fetch=True),))
    assert issubclass(Permanent, Exception)
