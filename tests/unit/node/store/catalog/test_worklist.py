from __future__ import annotations

from node.store.records import Decision, Outcome
from node.store.states import JobState, StudyState
from tests.story import LEASE_S, QUIET_S, STUDY, Story, chosen, results


def test_a_study_is_complete_after_its_quiet_period(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S - 1)
    assert story.complete() == []
    story.clock.advance(1)
    (due,) = story.complete()
    assert due.study_uid == STUDY
    assert due.evidence == "no new image for 10 s from SCANNER"


def test_every_image_begins_the_quiet_period_anew(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S - 1)
    story.arrive(2)
    story.clock.advance(QUIET_S - 1)
    assert story.complete() == []


def test_an_open_association_that_sent_images_holds_its_study(story: Story) -> None:
    story.open_association("a1")
    story.arrive(1, association_id="a1")
    story.clock.advance(1000)
    assert story.complete() == []
    story.catalog.intake.association_closed("a1", "aborted")
    (due,) = story.complete()
    assert due.evidence.endswith("associations that sent it: 1 aborted")


def test_an_open_association_that_sent_nothing_of_it_does_not(story: Story) -> None:
    story.open_association("a1")
    story.arrive(1, association_id="a2")
    story.arrive(2, study="1.2.3", association_id="a1")
    story.clock.advance(QUIET_S)
    assert [due.study_uid for due in story.complete()] == [STUDY]


def test_a_listener_that_starts_closes_what_an_earlier_one_left_open(story: Story) -> None:
    story.open_association("a1", listener="here:11112/dead")
    story.open_association("a2", listener="here:11112/new")
    story.arrive(1, association_id="a1")
    story.arrive(1, study="1.2.3", association_id="a2")
    story.catalog.intake.listener_started("here:11112/new")
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    assert due.evidence.endswith("1 lost")


def test_a_listener_that_starts_leaves_those_of_other_listeners_open(story: Story) -> None:
    for number, listener in enumerate(("there:11112/old", "here:11113/old", "her_:11112/old", "of a version without places"), 1):
        story.open_association(f"a{number}", listener=listener)
        story.arrive(1, study=f"1.2.{number}", association_id=f"a{number}")
    story.catalog.intake.listener_started("here:11112/new")
    story.clock.advance(QUIET_S)
    assert [due.study_uid for due in story.complete()] == ["1.2.4"]


def test_sources_have_quiet_periods_of_their_own(story: Story) -> None:
    story.arrive(1, study="1.1", calling_ae="FAST")
    story.arrive(1, study="1.2", calling_ae="SCANNER")
    story.arrive(1, study="1.3", calling_ae="SLOW")
    story.clock.advance(2)
    assert [due.study_uid for due in story.complete()] == ["1.1"]
    story.clock.advance(8)
    assert [due.study_uid for due in story.complete()] == ["1.1", "1.2"]
    story.clock.advance(110)
    assert [due.study_uid for due in story.complete()] == ["1.1", "1.2", "1.3"]


def test_instances_are_the_newest_versions_without_own_results(story: Story) -> None:
    story.arrive(1)
    story.arrive(2)
    story.arrive(1, version=2)
    story.arrive(3, own_result=True)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    versions = {(one.arrival.sop_instance_uid[-1], one.arrival.version) for one in story.catalog.worklist.instances(due.study_id)}
    assert versions == {("1", 2), ("2", 1)}
    assert story.study().instances == 2


def test_an_arrival_comes_back_as_it_was_written(story: Story) -> None:
    story.arrive(1, association_id="a1")
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    (stored,) = story.catalog.worklist.instances(due.study_id)
    story.clock.advance(-QUIET_S)
    assert stored.arrival == story.arrival(1, association_id="a1")


def test_a_revision_is_not_opened_where_an_image_has_arrived_since(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    plan = story.plan(due, chosen())
    story.arrive(2)
    assert story.catalog.worklist.open_revision(due, [plan]) == 0
    assert story.study().revision == 0
    assert story.catalog.worklist.due_jobs(10) == ()


def test_a_revision_is_opened_once(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    plan = story.plan(due, chosen())
    assert story.catalog.worklist.open_revision(due, [plan]) == 1
    assert story.catalog.worklist.open_revision(due, [plan]) == 0
    assert story.complete() == []


def test_a_revision_without_a_chosen_model_ends_at_once_with_its_reasons(story: Story) -> None:
    story.arrive(1)
    story.revise(Decision("brain-mr", Outcome.NOT_CHOSEN, "reads MR, this is CT"))
    view = story.study()
    assert view.state == StudyState.FINISHED
    assert view.jobs == ()
    assert [one.decision.reason for one in view.decisions] == ["reads MR, this is CT"]
    assert view.decisions[0].slices == 1


def test_a_study_that_cannot_be_split_ends_with_the_reason(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [])
    assert story.study().state == StudyState.FINISHED


def test_due_jobs_are_handed_out_once_and_again_after_a_while(story: Story) -> None:
    job = story.reading()
    assert story.catalog.worklist.due_jobs(10) == ()
    story.clock.advance(29)
    assert story.catalog.worklist.due_jobs(10) == ()
    story.clock.advance(1)
    assert list(story.catalog.worklist.due_jobs(10)) == [job]


def test_due_jobs_that_were_never_enqueued_come_first(story: Story) -> None:
    old = story.reading()
    story.clock.advance(40)
    story.arrive(1, study="1.2.3")
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen("a"), chosen("b"))])
    assert list(story.catalog.worklist.due_jobs(2)) == [old + 1, old + 2]
    assert list(story.catalog.worklist.due_jobs(2)) == [old]


def test_a_limit_of_none_asks_for_nothing(story: Story) -> None:
    story.arrive(1)
    story.revise(chosen())
    assert story.catalog.worklist.due_jobs(0) == ()
    assert len(story.catalog.worklist.due_jobs(1)) == 1


def test_a_late_image_that_changes_what_was_read_makes_a_new_job(story: Story) -> None:
    first = story.reading()
    story.catalog.desk.publish(story.claim(first), results("seg"))
    story.arrive(3)
    assert story.revise(chosen()) == 2
    (second,) = story.catalog.worklist.due_jobs(10)
    assert second != first
    assert story.claim(second).revision == 2
    assert story.job_state(first) == JobState.PUBLISHED


def test_a_late_image_elsewhere_keeps_the_published_job(story: Story) -> None:
    first = story.reading()
    story.catalog.desk.publish(story.claim(first), results("seg"))
    story.arrive(1, series=2)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    plans = [story.plan(due, chosen(), series=1), story.plan(due, Decision("", Outcome.REFUSED, "a localizer"), series=2)]
    assert story.catalog.worklist.open_revision(due, plans) == 1
    assert [job.job_id for job in story.study().jobs] == [first]
    assert [one.decision.reason for one in story.study().decisions] == ["reads axial CT", "a localizer"]
    assert story.study().state == StudyState.FINISHED


def test_a_running_job_of_an_unchanged_stack_is_waited_for(story: Story) -> None:
    first = story.reading()
    claim = story.claim(first)
    story.arrive(1, series=2)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen(), series=1), story.plan(due, series=2)])
    assert story.study().state == StudyState.READING
    assert story.catalog.desk.publish(claim, results("seg"))
    assert story.study().state == StudyState.FINISHED


def test_an_earlier_job_that_has_not_ended_is_superseded(story: Story) -> None:
    first = story.reading()
    claim = story.claim(first)
    story.arrive(3)
    story.revise(chosen())
    assert story.job_state(first) == JobState.SUPERSEDED
    assert not story.catalog.desk.heartbeat(claim, LEASE_S)
    assert not story.catalog.desk.publish(claim, results("seg"))
    assert not story.catalog.desk.refuse(claim, "too late", "late")
    assert not story.catalog.desk.fail(claim, "too late", None)
    assert "superseded" in story.kinds()


def test_a_job_whose_stack_is_gone_is_superseded_too(story: Story) -> None:
    first = story.reading()
    story.arrive(3)
    story.revise(Decision("ct-tissue", Outcome.REFUSED, "a slice is missing"))
    assert story.job_state(first) == JobState.SUPERSEDED
    assert story.study().state == StudyState.FINISHED


def test_another_fingerprint_reads_anew(story: Story) -> None:
    first = story.reading(chosen(fingerprint="a" * 64))
    story.catalog.desk.publish(story.claim(first), results("seg"))
    story.arrive(1, version=2, own_result=False, path="in/other.dcm")
    story.revise(chosen(fingerprint="b" * 64))
    assert len(story.study().jobs) == 2


def test_a_failed_job_is_tried_again_with_the_next_revision(story: Story) -> None:
    first = story.reading()
    story.catalog.desk.fail(story.claim(first), "broken", None)
    story.arrive(1, series=2)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen(), series=1)])
    (second,) = story.catalog.worklist.due_jobs(10)
    assert second != first


def test_two_stacks_with_equal_pixels_are_two_jobs(story: Story) -> None:
    story.arrive(1)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    plans = [story.plan(due, chosen(), key="s#1"), story.plan(due, chosen(), key="s#2")]
    story.catalog.worklist.open_revision(due, plans)
    assert len(story.catalog.worklist.due_jobs(10)) == 2


def test_two_routes_that_choose_one_model_share_a_job_and_deliver_to_both(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs"), chosen("ct-tissue", "viewer"))
    story.catalog.desk.publish(story.claim(job), results("seg"))
    assert [one.destination for one in story.study().deliveries] == ["pacs", "viewer"]


def test_a_kept_job_is_delivered_to_a_destination_that_a_route_names_since(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs"))
    story.catalog.desk.publish(story.claim(job), results("seg", "report"))
    story.arrive(1, series=2)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen("ct-tissue", "pacs", "viewer"), series=1)])
    assert [(one.destination, one.kind) for one in story.study().deliveries] == [
        ("pacs", "seg"),
        ("pacs", "report"),
        ("viewer", "seg"),
    ]
