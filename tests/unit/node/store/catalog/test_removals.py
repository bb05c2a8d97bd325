"""What the catalog says may go, and what it keeps of what went."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from node.store.catalog.reasons import REASONS
from node.store.records import Removable, Removal, Removed
from node.store.states import StudyState
from tests.story import LEASE_S, QUIET_S, STUDY, Story, chosen, results


def delivered(story: Story, study: str = STUDY) -> None:
    story.arrive(1, study=study)
    story.arrive(2, study=study)
    story.clock.advance(QUIET_S)
    (due,) = [due for due in story.complete() if due.study_uid == study]
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen("ct-tissue", "pacs"))])
    (job,) = story.catalog.worklist.due_jobs(10)
    assert story.catalog.desk.publish(story.claim(job), results("seg", of=str(job)))
    for item in story.catalog.outbox.claim("pacs", "d", LEASE_S, 10):
        assert story.catalog.outbox.stored(item, 0)


def removable(story: Story, what: Removed = Removed.ORIGINALS, limit: int = 10) -> list[Removable]:
    return list(story.catalog.removals.removable(what, *ages(story), limit))


def ages(story: Story) -> tuple[datetime, datetime]:
    return story.clock.now() - timedelta(days=1), story.clock.now() - timedelta(days=30)


def begin(story: Story, one: Removable) -> Removal | None:
    return story.catalog.removals.begin(one, "age", *ages(story))


def test_delivered_studies_may_go_the_oldest_first(story: Story) -> None:
    for study in ("1.2.1", "1.2.2", "1.2.3"):
        delivered(story, study)
        story.clock.advance(3600)
    story.clock.advance(86400 - 3600 * 2)
    assert [one.study_uid for one in removable(story)] == ["1.2.1", "1.2.2"]
    assert [one.study_uid for one in removable(story, limit=1)] == ["1.2.1"]
    assert [one.study_uid for one in removable(story, Removed.RESULTS)] == ["1.2.1", "1.2.2"]
    (first,) = removable(story, limit=1)
    assert len(first.files) == 2
    assert first.size_bytes == 1024


def test_what_was_begun_is_gone_for_everybody_and_what_was_finished_may_come_again(story: Story) -> None:
    delivered(story)
    story.clock.advance(2 * 86400)
    (one,) = removable(story)
    removal = begin(story, one)
    assert removal
    assert removable(story) == []
    assert begin(story, one) is None, "once only"
    assert [found.removable.files for found in story.catalog.removals.unfinished()] == [one.files]
    assert story.catalog.intake.known_paths(STUDY) >= {file.path for file in one.files.values()}, (
        "the start-up scan takes none for new"
    )
    story.catalog.removals.finish(removal)
    story.catalog.removals.finish(removal)
    assert story.catalog.removals.unfinished() == []
    assert story.kinds().count("originals removed") == 1
    assert story.study().originals_removed_at == story.clock.now()
    assert not story.catalog.intake.known_paths(STUDY) & {file.path for file in one.files.values()}
    story.arrive(1)
    assert story.study().state == StudyState.RECEIVING
    assert story.study().instances == 2
    kept = story.catalog.views.kept()
    assert (kept.removed_studies, kept.removed_files, kept.removed_bytes) == (1, 2, 1024)
    assert kept.oldest_at == story.clock.now()


def test_an_instance_that_comes_again_in_the_middle_is_a_new_row_if_its_file_is_new(story: Story) -> None:
    delivered(story)
    story.clock.advance(2 * 86400)
    (one,) = removable(story)
    removal = begin(story, one)
    assert removal
    story.arrive(1, fresh=False)
    assert story.study().state == StudyState.FINISHED, "the same bytes, compared before they went"
    story.arrive(1)
    assert story.study().state == StudyState.RECEIVING
    (left,) = story.catalog.removals.unfinished()
    assert len(left.removable.files) == 1, "the place of the other one is taken"
    story.catalog.removals.finish(removal)
    assert story.arrival(1).path in story.catalog.intake.known_paths(STUDY)


def test_results_that_are_gone_are_not_sent_to_new_destinations(story: Story) -> None:
    delivered(story)
    story.clock.advance(2 * 86400)
    (one,) = removable(story, Removed.RESULTS)
    removal = begin(story, one)
    assert removal
    story.catalog.removals.finish(removal)
    assert story.study().results_removed_at == story.clock.now()
    story.arrive(1, series=2)
    story.clock.advance(QUIET_S)
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen("ct-tissue", "pacs", "viewer"), series=1)])
    assert [delivery.destination for delivery in story.study().deliveries] == ["pacs"]
    assert story.catalog.intake.own_results(["2.25.1.1"]) == {"2.25.1.1"}, "they are still known when they come back"


@pytest.mark.parametrize("what", list(Removed))
def test_every_reason_is_worded(what: Removed) -> None:
    said = [reason.says for reason in REASONS[what]]
    assert len(set(said)) == len(said) >= 6
