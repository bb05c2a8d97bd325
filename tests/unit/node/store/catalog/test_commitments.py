from __future__ import annotations

from datetime import timedelta

from node.store.commitment import NODE, CommitmentTask, Reference
from node.store.states import CommitmentState
from tests.story import CT, LEASE_S, STUDY, Story

IMAGE = Reference(CT, f"{STUDY}.1.1")


def ask(story: Story, *references: Reference, transaction: str = "1.9", association: str = "a1") -> None:
    story.catalog.commitments.request(
        transaction,
        requestor="CT_1",
        called_ae="OVERREAD",
        policy=NODE,
        association_id=association,
        references=references or (IMAGE,),
    )


def claimed(story: Story) -> CommitmentTask:
    task = story.catalog.commitments.claim("c1", LEASE_S)
    assert task is not None
    return task


def test_a_request_is_decided_once_and_reported_once(story: Story) -> None:
    commitments = story.catalog.commitments
    story.arrive(1)
    ask(story)
    task = claimed(story)
    assert (task.state, task.references, task.outcome) == (CommitmentState.DECIDING, (IMAGE,), {})
    assert commitments.claim("c2", LEASE_S) is None
    assert commitments.decide(task, {IMAGE.sop_instance_uid: 0}, keep=True)
    assert not commitments.decide(task, {IMAGE.sop_instance_uid: 0}, keep=True)
    report = claimed(story)
    assert (report.state, report.outcome, report.attempt) == (CommitmentState.REPORTING, {IMAGE.sop_instance_uid: 0}, 1)
    assert commitments.reported(report)
    assert not commitments.reported(report)
    assert commitments.claim("c1", LEASE_S) is None


def test_who_slept_through_its_lease_decides_nothing(story: Story) -> None:
    commitments = story.catalog.commitments
    ask(story)
    slept = claimed(story)
    story.clock.advance(LEASE_S + 1)
    task = claimed(story)
    assert task.fence > slept.fence
    assert not commitments.decide(slept, {IMAGE.sop_instance_uid: 0}, keep=False)
    assert not commitments.retry(slept, "", story.clock.now())
    assert commitments.retry(task, "later", story.clock.now() + timedelta(seconds=5))
    assert commitments.claim("c1", LEASE_S) is None
    story.clock.advance(5)
    assert claimed(story).attempt == 3


def test_what_is_not_on_record_any_more_is_not_kept(story: Story) -> None:
    ask(story)
    assert not story.catalog.commitments.decide(claimed(story), {IMAGE.sop_instance_uid: 0}, keep=True)


def test_a_report_waits_for_its_association_and_is_tried_there_once(story: Story) -> None:
    commitments = story.catalog.commitments
    story.open_association("a1")
    ask(story)
    assert commitments.unreported("a1")
    commitments.decide(claimed(story), {IMAGE.sop_instance_uid: 0x0112}, keep=True)
    assert commitments.claim("c1", LEASE_S) is None, "it may go over the association of the request"
    over = commitments.claim_over("a1", "a1", LEASE_S)
    assert over is not None
    assert commitments.claim_over("a1", "a1", LEASE_S) is None
    story.clock.advance(LEASE_S + 1)
    assert commitments.claim_over("a1", "a1", LEASE_S) is None, "not answered there"
    assert claimed(story).commitment_id == over.commitment_id


def test_a_report_goes_by_itself_once_its_association_has_ended(story: Story) -> None:
    commitments = story.catalog.commitments
    story.open_association("a1")
    ask(story)
    commitments.decide(claimed(story), {IMAGE.sop_instance_uid: 0x0112}, keep=True)
    story.catalog.intake.association_closed("a1", "released")
    assert claimed(story).state is CommitmentState.REPORTING


def test_an_answer_of_an_archive_wakes_who_waits_for_it(story: Story) -> None:
    commitments = story.catalog.commitments
    ask(story)
    task = claimed(story)
    commitments.asking("1.7", "vna")
    commitments.ask(task, "1.7")
    commitments.retry(task, "not yet", story.clock.now() + timedelta(hours=1))
    assert commitments.claim("c1", LEASE_S) is None
    assert not commitments.answered("1.8", {})
    assert commitments.answered("1.7", {IMAGE.sop_instance_uid: 0})
    assert claimed(story).asked_uid == "1.7"
    asked = commitments.asked("1.7")
    assert asked is not None
    assert (asked.archive, asked.outcome) == ("vna", {IMAGE.sop_instance_uid: 0})


def test_a_person_sees_what_waits_first_and_what_became_of_the_rest(story: Story) -> None:
    commitments, views = story.catalog.commitments, story.catalog.views
    story.arrive(1)
    other = Reference(CT, f"{STUDY}.1.2")
    ask(story, IMAGE, other, transaction="1.1")
    task = claimed(story)
    assert commitments.decide(task, {IMAGE.sop_instance_uid: 0, other.sop_instance_uid: 0x0112}, keep=False)
    assert commitments.reported(claimed(story))
    ask(story, other, transaction="1.2")
    waits = claimed(story)
    assert commitments.retry(waits, "vna has not reported yet", story.clock.now() + timedelta(seconds=5))
    ask(story, IMAGE, transaction="1.3")
    assert commitments.decide(claimed(story), {IMAGE.sop_instance_uid: 0}, keep=False)
    assert commitments.fail(claimed(story), "given up")
    seen = [(one.transaction_uid, one.state, one.named, one.committed, one.failed, one.reason) for one in views.commitments()]
    assert seen == [
        ("1.2", CommitmentState.OPEN, 1, 0, 0, "vna has not reported yet"),
        ("1.3", CommitmentState.FAILED, 1, 1, 0, "given up"),
        ("1.1", CommitmentState.REPORTED, 2, 1, 1, ""),
    ]
    assert [one.next_at is None for one in views.commitments()] == [False, True, True]
    assert [one.transaction_uid for one in story.study().commitments] == ["1.3", "1.1"], "those that name an image of it"
    assert views.counts()["commitments"]["failed"] == 1
    assert [one.transaction_uid for one in views.commitments(limit=1)] == ["1.2"]


def test_what_archives_were_asked_is_counted(story: Story) -> None:
    commitments = story.catalog.commitments
    for number in range(3):
        commitments.asking(f"1.8.{number}", "vna")
    commitments.asking("1.8.9", "other")
    assert commitments.answered("1.8.0", {IMAGE.sop_instance_uid: 0})
    assert story.catalog.views.asked() == {("vna", False): 2, ("vna", True): 1, ("other", False): 1}
