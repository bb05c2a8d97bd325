from __future__ import annotations

from node.store.records import QueueView
from tests.story import LEASE_S, STUDY, Story, chosen, results


def test_studies_are_listed_newest_first_and_in_pages(story: Story) -> None:
    for number in range(5):
        story.arrive(1, study=f"1.2.{number}")
        story.clock.advance(1)
    assert [view.study_uid for view in story.catalog.views.studies(limit=2)] == ["1.2.4", "1.2.3"]
    assert [view.study_uid for view in story.catalog.views.studies(limit=2, offset=4)] == ["1.2.0"]


def test_a_list_has_jobs_and_deliveries_but_no_decisions(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs"))
    story.catalog.desk.publish(story.claim(job), results("seg"))
    (view,) = story.catalog.views.studies()
    assert len(view.jobs) == len(view.deliveries) == 1
    assert view.decisions == view.events == ()
    assert len(story.study().decisions) == 1


def test_a_study_that_is_not_known_is_none(story: Story) -> None:
    assert story.catalog.views.study("1.2.3") is None


def test_counts_name_every_state(story: Story) -> None:
    story.reading()
    counts = story.catalog.views.counts()
    assert counts["studies"] == {"receiving": 0, "reading": 1, "finished": 0}
    assert counts["jobs"]["due"] == 1
    assert counts["deliveries"] == {"due": 0, "sending": 0, "sent": 0, "failed": 0, "held": 0}


def test_moments_have_a_time_zone(story: Story) -> None:
    story.arrive(1)
    view = story.study(STUDY)
    assert view.first_arrival_at == story.clock.now()
    assert view.first_arrival_at.utcoffset() is not None


def test_what_is_behind_each_destination(story: Story) -> None:
    job = story.reading(chosen("a", "pacs", "viewer"))
    story.catalog.desk.publish(story.claim(job), results("seg", "measurements", "report", of="1"))
    since = story.clock.now()
    story.clock.advance(60)
    sent, failed, held = story.catalog.outbox.claim("pacs", "d1", LEASE_S, 10)
    story.catalog.outbox.stored(sent, 0)
    story.catalog.outbox.fail(failed, "A900")
    story.catalog.outbox.hold(held, "another Patient ID")
    assert story.catalog.views.queues() == {
        "pacs": QueueView(failed=1, held=1),
        "viewer": QueueView(waiting=1, oldest_at=since),
    }
