from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.errors import DownloadFailed, HashMismatch, Refused
from node.store.messages import AnalyseMessage
from node.store.records import Claim, ResultSet
from node.store.settings import Settings
from node.store.states import JobState
from tests.story import LEASE_S, Story, results
from workers.job import FIRST_WAIT_S, LONGEST_WAIT_S, MOST_ATTEMPTS, Answer, Workshop, answer, wait_s
from workers.lease import Lease


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    clock = FakeClock()
    catalog = open_catalog(Settings(data=tmp_path), clock)
    yield Story(catalog, clock)
    catalog.close()


def ask(story: Story, job: int, analyse: Callable[[Claim], ResultSet], worker: str = "w1") -> Answer:
    return answer(AnalyseMessage(job), Workshop(story.catalog.desk, analyse), worker, LEASE_S)


def raising(fault: BaseException) -> Callable[[Claim], ResultSet]:
    def analyse(claim: Claim) -> ResultSet:
        raise fault

    return analyse


def test_results_are_published(story: Story) -> None:
    job = story.reading()
    seen: list[Claim] = []
    assert ask(story, job, lambda claim: seen.append(claim) or results("seg")) == Answer.PUBLISHED
    assert seen[0].model == "ct-tissue"
    assert story.job_state(job) == JobState.PUBLISHED
    assert ask(story, job, raising(AssertionError("a job that has ended is not read again"))) == Answer.NOT_DUE


@pytest.mark.parametrize(
    ("fault", "given", "state", "reason"),
    [
        (Refused("no pixel spacing", "no-spacing"), Answer.REFUSED, JobState.REFUSED, "no pixel spacing"),
        (HashMismatch("weights.pt is not its manifest's"), Answer.FAILED, JobState.FAILED, "weights.pt is not its manifest's"),
        (DownloadFailed("the mirror does not answer"), Answer.RETRY, JobState.DUE, "the mirror does not answer"),
        (MemoryError(), Answer.RETRY, JobState.DUE, "there was not enough memory"),
    ],
    ids=lambda value: str(value) if isinstance(value, Answer) else "",
)
def test_each_fault_ends_the_job_as_its_family_says(
    story: Story, fault: Exception, given: Answer, state: JobState, reason: str
) -> None:
    job = story.reading()
    assert ask(story, job, raising(fault)) == given
    assert story.job_state(job) == state
    assert story.study().jobs[0].reason == reason


def test_a_fault_of_a_library_is_told_without_what_it_quotes(story: Story) -> None:
    job = story.reading()
    assert ask(story, job, raising(ValueError("invalid literal: 'Yamada^Tarou'"))) == Answer.FAILED
    reason = story.study().jobs[0].reason
    assert "ValueError at workers/job.py:" in reason
    assert "Yamada" not in reason


def test_a_job_that_never_succeeds_is_given_up(story: Story) -> None:
    job = story.reading()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        given = ask(story, job, raising(DownloadFailed("no")))
        assert given == (Answer.RETRY if attempt < MOST_ATTEMPTS else Answer.FAILED)
        story.clock.advance(LONGEST_WAIT_S)
    assert story.study().jobs[0].reason == f"no (tried {MOST_ATTEMPTS} times)"


def test_waits_grow_to_a_limit() -> None:
    assert [wait_s(attempt) for attempt in (1, 2, 3)] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert wait_s(50) == LONGEST_WAIT_S


@pytest.mark.parametrize("late", [results("seg"), Refused("no", "no"), DownloadFailed("no"), ValueError("no")], ids=type)
def test_a_late_answer_changes_nothing(story: Story, late: ResultSet | Exception) -> None:
    job = story.reading()

    def sleep_through_the_lease(claim: Claim) -> ResultSet:
        story.clock.advance(LEASE_S + 1)
        assert story.claim(job, "w2").fence == 2
        if isinstance(late, Exception):
            raise late
        return late

    assert ask(story, job, sleep_through_the_lease) == Answer.LOST
    assert story.job_state(job) == JobState.RUNNING


class CountingDesk:
    """A desk of which only the heartbeat is there."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.beats = 0
        self.enough = threading.Event()

    def heartbeat(self, claim: Claim, lease_s: float) -> bool:
        self.beats += 1
        given = self.answers.pop(0)
        if not self.answers:
            self.enough.set()
        if isinstance(given, Exception):
            raise given
        return given


def test_a_lease_beats_on_though_the_catalog_was_away(story: Story) -> None:
    claim = story.claim(story.reading())
    desk = CountingDesk(True, OSError("gone"), True, *[True] * 500)
    with Lease(desk, claim, 0.03) as lease:  # type: ignore[arg-type]
        while desk.beats < 5:
            threading.Event().wait(0.01)
        assert not lease.lost
    beats = desk.beats
    threading.Event().wait(0.05)
    assert desk.beats == beats, "nobody beats after the end of the block"


def test_a_lost_lease_is_no_longer_beaten(story: Story) -> None:
    claim = story.claim(story.reading())
    desk = CountingDesk(True, False)
    with Lease(desk, claim, 0.03) as lease:  # type: ignore[arg-type]
        assert desk.enough.wait(5)
        threading.Event().wait(0.1)
        assert lease.lost
    assert desk.beats == 2
