from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from node.dispatch.dispatcher import FIRST_WAIT_S, MOST_WAITING, PLAN_ATTEMPTS, Dispatcher
from node.dispatch.judge import Judge
from node.dispatch.queue import QueueDown
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.errors import NotUnderstood
from node.store.messages import AnalyseMessage
from node.store.records import StackPlan, StoredInstance
from node.store.settings import Settings
from node.store.states import StudyState
from tests.story import QUIET_S, STUDY, Story, chosen, results


class Messages:
    """A queue that keeps what it is sent, or is down."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.waiting = 0
        self.down = False

    def send(self, message: AnalyseMessage) -> None:
        self.sent.append(message.job_id)

    def length(self) -> int:
        if self.down:
            raise QueueDown("the queue does not answer")
        return self.waiting


class Plans:
    """A planner that chooses one model for each image, and breaks where it is told to."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.broken_study = ""
        self.calls = 0

    def __call__(self, instances: Sequence[StoredInstance]) -> tuple[StackPlan, ...]:
        self.calls += 1
        if self.fault and (not self.broken_study or instances[0].arrival.study_uid == self.broken_study):
            raise self.fault
        return tuple(
            StackPlan(
                f"s#{one.instance_id}", one.arrival.series_uid, "", (one.instance_id,), f"{one.instance_id:064}", {}, (chosen(),)
            )
            for one in instances
        )


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    clock = FakeClock()
    catalog = open_catalog(Settings(data=tmp_path), clock)
    yield Story(catalog, clock)
    catalog.close()


@pytest.fixture
def queue() -> Messages:
    return Messages()


@pytest.fixture
def planner() -> Plans:
    return Plans()


@pytest.fixture
def dispatcher(story: Story, queue: Messages, planner: Plans) -> Dispatcher:
    catalog = story.catalog
    judge = Judge(catalog.worklist, catalog.signals, story.settings, story.clock)
    return Dispatcher(catalog.worklist, catalog.intake, planner, queue, judge=judge, clock=story.clock, poll_s=0.01)


def test_a_complete_study_becomes_jobs_and_messages(story: Story, queue: Messages, dispatcher: Dispatcher) -> None:
    story.catalog.intake.arrived([story.arrival(1), story.arrival(2)])
    assert dispatcher.plan() == 0
    story.clock.advance(QUIET_S)
    assert dispatcher.plan() == 1
    assert dispatcher.plan() == 0
    assert dispatcher.enqueue() == 2
    assert queue.sent == [1, 2]
    assert dispatcher.enqueue() == 0


def test_a_queue_that_is_down_loses_nothing(story: Story, queue: Messages, dispatcher: Dispatcher) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    dispatcher.plan()
    queue.down = True
    assert dispatcher.enqueue() == 0
    queue.down = False
    assert dispatcher.enqueue() == 1


def test_the_queue_is_kept_short(story: Story, queue: Messages, dispatcher: Dispatcher) -> None:
    story.catalog.intake.arrived([story.arrival(image) for image in range(MOST_WAITING + 5)])
    story.clock.advance(QUIET_S)
    dispatcher.plan()
    assert dispatcher.enqueue() == MOST_WAITING
    queue.waiting = MOST_WAITING
    story.clock.advance(1000)
    assert dispatcher.enqueue() == 0
    queue.waiting = MOST_WAITING - 2
    assert dispatcher.enqueue() == 2
    assert queue.sent[-2:] == [MOST_WAITING + 1, MOST_WAITING + 2], "what was never sent goes before what may be lost"


def test_a_study_that_breaks_the_planner_stops_no_other(story: Story, planner: Plans, dispatcher: Dispatcher) -> None:
    planner.fault, planner.broken_study = KeyError("Yamada^Tarou"), "1.1"
    story.arrive(1, study="1.1")
    story.arrive(1, study="1.2")
    story.clock.advance(QUIET_S)
    assert dispatcher.plan() == 1
    assert story.study("1.2").state == StudyState.READING
    assert story.study("1.1").state == StudyState.RECEIVING
    (event,) = story.study("1.1").events
    assert event[1] == "not planned"
    assert "KeyError" in event[2]
    assert "Yamada" not in event[2]


def test_a_study_that_cannot_be_planned_ends_with_the_reason(story: Story, planner: Plans, dispatcher: Dispatcher) -> None:
    planner.fault = NotUnderstood("image 3 ends before its pixel data")
    story.arrive(1)
    story.clock.advance(QUIET_S)
    for attempt in range(1, PLAN_ATTEMPTS):
        assert dispatcher.plan() == 0
        assert planner.calls == attempt
        assert dispatcher.plan() == 0
        assert planner.calls == attempt, "not before its wait is over"
        story.clock.advance(FIRST_WAIT_S * 2 ** (attempt - 1))
    assert dispatcher.plan() == 1
    assert story.study().state == StudyState.FINISHED
    assert story.study().decisions[0].decision.reason == (
        "the study could not be sorted into stacks: image 3 ends before its pixel data"
    )


def test_a_study_that_is_planned_at_the_second_try_is_read(story: Story, planner: Plans, dispatcher: Dispatcher) -> None:
    planner.fault = NotUnderstood("no")
    story.arrive(1)
    story.clock.advance(QUIET_S)
    dispatcher.plan()
    planner.fault = None
    story.clock.advance(FIRST_WAIT_S)
    assert dispatcher.plan() == 1
    assert story.study().state == StudyState.READING


def test_a_new_image_gives_a_study_its_tries_back(story: Story, planner: Plans, dispatcher: Dispatcher) -> None:
    planner.fault = NotUnderstood("no")
    story.arrive(1)
    for image in range(2, 2 + PLAN_ATTEMPTS + 2):
        story.clock.advance(QUIET_S)
        dispatcher.plan()
        story.arrive(image)
    assert story.study().state == StudyState.RECEIVING


def test_it_runs_until_told_to_stop(story: Story, queue: Messages, dispatcher: Dispatcher) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=dispatcher.run, args=(stop,))
    thread.start()
    try:
        story.arrive(1, study=STUDY)
        story.clock.advance(QUIET_S)
        for _ in range(500):
            if queue.sent:
                break
            stop.wait(0.01)
    finally:
        stop.set()
        thread.join(5)
    assert queue.sent == [1]
    assert not thread.is_alive()


def test_what_an_incomplete_study_lacks_is_told_to_the_models_and_read_anew_without(
    story: Story, queue: Messages, dispatcher: Dispatcher
) -> None:
    catalog = story.catalog
    story.arrive(1)
    story.open_association("a1")
    story.arrive(1, series=2, association_id="a1")
    story.clock.advance(story.settings.longest_wait_s)
    assert dispatcher.plan() == 1
    first = dispatcher.enqueue()
    claims = [story.claim(job_id) for job_id in queue.sent]
    assert {claim.facts["notes"][0][:27] for claim in claims} == {"The study may be incomplete"}
    for claim in claims:
        assert catalog.desk.publish(claim, results("seg", of=str(claim.job_id)))
    story.arrive(2, series=2, association_id="a1")
    catalog.intake.association_closed("a1", "released")
    story.clock.advance(QUIET_S)
    assert dispatcher.plan() == 1
    assert dispatcher.enqueue() == first + 1, "the marked ones too"
    assert all("notes" not in story.claim(job_id).facts for job_id in queue.sent[first:])
