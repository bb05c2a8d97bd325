from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from node.store.catalog.catalog import Catalog
from node.store.clock import FakeClock
from node.store.states import StudyState
from tests.story import QUIET_S, STUDY, Story, chosen, results


def test_a_new_image_sets_its_study_to_receiving(story: Story) -> None:
    story.arrive(1)
    view = story.study()
    assert view.state == StudyState.RECEIVING
    assert (view.instances, view.series, view.modalities, view.calling_ae) == (1, 1, ("CT",), "SCANNER")


def test_what_is_known_by_path_is_left_as_it_is(story: Story) -> None:
    story.arrive(1)
    first = story.study().last_arrival_at
    story.clock.advance(5)
    story.arrive(1)
    assert story.study().instances == 1
    assert story.study().last_arrival_at == first, "a known image does not extend its study"


def test_one_batch_may_name_a_path_twice(story: Story) -> None:
    story.catalog.intake.arrived([story.arrival(1), story.arrival(1)])
    assert story.study().instances == 1


def test_an_image_that_was_received_earlier_but_recorded_later_still_counts_as_new(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.arrive(2, received_at=due.last_arrival_at - timedelta(seconds=1))
    assert story.study().last_arrival_at == due.last_arrival_at
    assert story.catalog.worklist.open_revision(due, []) == 0


def test_a_late_image_reopens_a_finished_study(story: Story) -> None:
    job = story.reading()
    story.catalog.desk.publish(story.claim(job), results())
    assert story.study().state == StudyState.FINISHED
    story.arrive(3)
    assert story.study().state == StudyState.RECEIVING
    assert "late images" in story.kinds()


def test_results_of_our_own_neither_extend_nor_reopen(story: Story) -> None:
    story.arrive(1)
    before = story.study()
    story.clock.advance(5)
    story.arrive(9, own_result=True, series=7)
    assert story.study() == before
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due)])
    assert story.study().state == StudyState.FINISHED
    story.arrive(10, own_result=True, series=7)
    assert story.study().state == StudyState.FINISHED


def test_a_study_of_results_alone_is_never_due(story: Story) -> None:
    story.arrive(9, own_result=True)
    story.clock.advance(1000)
    assert story.complete() == []
    story.arrive(1)
    assert story.study().state == StudyState.RECEIVING


def test_known_paths_are_those_of_one_study(story: Story) -> None:
    story.arrive(1)
    story.arrive(2, study="1.2.3")
    assert story.catalog.intake.known_paths(STUDY) == {story.arrival(1).path}
    assert story.catalog.intake.known_paths("1.9") == frozenset()


def test_only_published_objects_are_own_results(story: Story) -> None:
    assert story.catalog.intake.own_results(["2.25.1.1"]) == frozenset()
    job = story.reading()
    story.catalog.desk.publish(story.claim(job), results("seg"))
    assert story.catalog.intake.own_results(["2.25.1.1", "2.25.1.2"]) == {"2.25.1.1"}


def test_a_code_string_that_is_too_long_does_not_lose_the_image(story: Story) -> None:
    story.arrive(1, modality="X" * 200)
    assert story.study().modalities == ("X" * 16,)


def test_events_without_a_study_are_kept(story: Story) -> None:
    story.catalog.intake.event("rejected", "too many associations")
    story.arrive(1)
    story.catalog.intake.event("refused image", "no room", STUDY)
    assert story.study().events[-1][1:] == ("refused image", "no room")


def test_many_threads_may_write_at_once(story: Story) -> None:
    def send(series: int) -> None:
        for image in range(10):
            story.arrive(image, series=series)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, range(6)))
    assert story.study().instances == 60
    assert story.study().series == 6


def test_a_batch_of_many_studies_is_one_call(story: Story) -> None:
    story.catalog.intake.arrived([story.arrival(image, study=f"1.2.{image % 5}") for image in range(1200)])
    assert sum(view.instances for view in story.catalog.views.studies()) == 1200


def test_nothing_arrived_is_nothing_written(story: Story) -> None:
    story.catalog.intake.arrived([])
    assert story.catalog.views.studies() == []


def test_a_job_that_reads_a_reopened_study_may_still_publish(story: Story) -> None:
    job = story.reading(chosen())
    claim = story.claim(job)
    story.arrive(3)
    assert story.catalog.desk.publish(claim, results("seg"))
    assert story.study().state == StudyState.RECEIVING


def test_the_same_event_within_an_hour_is_counted(catalog: Catalog, clock: FakeClock) -> None:
    began = clock.now()
    catalog.intake.tally("association rejected", "CT_9 is not listed", 1)
    clock.advance(1800)
    catalog.intake.tally("association rejected", "CT_9 is not listed", 40)
    catalog.intake.tally("association rejected", "MR_9 is not listed", 1)
    catalog.intake.event("association rejected", "CT_9 is not listed", "1.2.3")
    clock.advance(1801)
    catalog.intake.tally("association rejected", "CT_9 is not listed", 2)
    found = [(event.first_at, event.last_at, event.detail, event.count) for event in catalog.views.node_events(began)]
    later = began + timedelta(seconds=3601)
    half = began + timedelta(seconds=1800)
    assert found == [
        (later, later, "CT_9 is not listed", 2),
        (half, half, "MR_9 is not listed", 1),
        (began, half, "CT_9 is not listed", 41),
    ]
    assert [event.count for event in catalog.views.node_events(half + timedelta(seconds=1))] == [2]
    assert catalog.views.rejected() == {
        "association rejected": 44,
        "context rejected": 0,
        "connection refused": 0,
        "association aborted": 0,
        "object refused": 0,
    }
