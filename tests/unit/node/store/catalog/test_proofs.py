"""Proofs as rows: begun by a delivery, owned by a lease, ended by what the destination says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from node.store.destinations import Destination
from node.store.proof import ProofTask
from node.store.records import QueueView
from node.store.settings import Settings
from node.store.states import DeliveryState
from tests.story import LEASE_S, STUDY, Story, chosen, results


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    pacs = Destination(name="pacs", ae_title="PACS", host="h", port=104, commit=True)
    return Settings(data=tmp_path / "data", destinations=(pacs, Destination(name="plain", ae_title="P", host="h", port=105)))


@pytest.fixture
def sent(story: Story) -> Story:
    """Two objects, stored by the destination pacs, which proves, and by plain, which does not."""
    story.arrive(1)
    story.revise(chosen("a", "pacs", "plain"))
    (job,) = story.catalog.worklist.due_jobs(10)
    story.catalog.desk.publish(story.claim(job), results("seg", "report", of="1"))
    deliver(story, "pacs")
    deliver(story, "plain")
    return story


def deliver(story: Story, destination: str) -> None:
    for item in story.catalog.outbox.claim(destination, "d1", LEASE_S, 10):
        assert story.catalog.outbox.stored(item, 0)


def claim(story: Story, limit: int = 10) -> list[ProofTask]:
    return list(story.catalog.proofs.claim("pacs", LEASE_S, limit))


def proofs(story: Story) -> list[str]:
    return [one.proof for one in story.study().deliveries if one.destination == "pacs"]


def test_what_was_stored_is_to_be_proven_where_the_destination_shall(sent: Story) -> None:
    assert sent.catalog.views.queues() == {"pacs": QueueView(unproven_yet=2), "plain": QueueView()}
    assert proofs(sent) == ["not proven yet", "not proven yet"]
    assert {one.proof for one in sent.study().deliveries if one.destination == "plain"} == {""}
    first, second = claim(sent)
    assert (first.study_uid, first.reference.sop_instance_uid, first.attempt) == (STUDY, "2.25.1.1", 1)
    assert second.reference.sop_instance_uid == "2.25.1.2"
    assert claim(sent) == [], "owned"


def test_committed_and_found(sent: Story) -> None:
    first, second = claim(sent)
    assert sent.catalog.proofs.committed(first, ends=True)
    assert sent.catalog.proofs.committed(second, ends=False)
    assert proofs(sent) == ["committed", "committed"]
    (again,) = claim(sent)
    assert again.committed
    assert not sent.catalog.proofs.found(second), "its lease is another's"
    assert sent.catalog.proofs.found(again)
    assert proofs(sent) == ["committed", "found"]
    assert sent.catalog.views.queues()["pacs"] == QueueView()
    assert [kind for kind in sent.kinds() if kind in {"committed", "found"}] == ["committed", "committed", "found"]


def test_a_lease_that_ran_out_is_anothers(sent: Story) -> None:
    (lost,) = claim(sent, 1)
    sent.clock.advance(LEASE_S + 1)
    (taken, _) = claim(sent)
    assert (taken.proof_id, taken.fence) == (lost.proof_id, lost.fence + 1)
    assert not sent.catalog.proofs.fail(lost, "late")
    assert sent.catalog.proofs.retry(taken, "it has not reported yet", sent.clock.now() + timedelta(seconds=60))
    assert sent.study().deliveries[0].proof_reason == "it has not reported yet"


def test_a_report_wakes_what_waits_for_it(sent: Story) -> None:
    tasks = claim(sent)
    sent.catalog.commitments.asking("2.25.77", "destination:pacs")
    sent.catalog.proofs.ask(tasks, "2.25.77")
    for task in tasks:
        sent.catalog.proofs.retry(task, "it has not reported yet", sent.clock.now() + timedelta(hours=1))
    assert claim(sent) == []
    sent.catalog.commitments.answered("2.25.77", {})
    assert [task.asked_uid for task in claim(sent)] == ["2.25.77", "2.25.77"]


def test_what_is_not_kept_there_can_be_sent_again_and_is_proven_anew(sent: Story) -> None:
    first, second = claim(sent)
    sent.catalog.proofs.committed(first, ends=True)
    sent.catalog.proofs.fail(second, "it is not found there")
    assert proofs(sent) == ["committed", "not proven"]
    assert sent.catalog.outbox.send_again(STUDY) == 1
    states = [one.state for one in sent.study().deliveries if one.destination == "pacs"]
    assert states == [DeliveryState.SENT, DeliveryState.DUE]
    deliver(sent, "pacs")
    assert proofs(sent) == ["committed", "not proven yet"]


def test_its_time_counts_from_when_a_question_was_first_taken_and_anew_for_the_next(sent: Story) -> None:
    first, second = claim(sent)
    assert (first.accepted_at, second.accepted_at) == (None, None)
    sent.catalog.proofs.accepted([first])
    at = sent.clock.now()
    for task in (first, second):
        sent.catalog.proofs.retry(task, "not there yet", at)
    sent.clock.advance(100)
    first, second = claim(sent)
    sent.catalog.proofs.accepted([first, second])
    for task in (first, second):
        sent.catalog.proofs.retry(task, "not there yet", at)
    first, second = claim(sent)
    assert (first.accepted_at, second.accepted_at) == (at, sent.clock.now())
    sent.catalog.proofs.committed(first, ends=False)
    (again,) = claim(sent)
    assert again.accepted_at is None, "whether it is there is another question"
