from __future__ import annotations

from node.store.signals import COMPLETED, IN_PROGRESS, SignalKind
from tests.story import QUIET_S, STUDY, Story, chosen


def named(story: Story, *images: int, series: int = 1) -> dict[str, frozenset[str]]:
    return {f"{STUDY}.{series}": frozenset(f"{STUDY}.{series}.{image}" for image in images)}


def test_a_step_that_is_told_before_the_first_image_holds_the_study(story: Story) -> None:
    signals = story.catalog.signals
    signals.say(SignalKind.MPPS, "1.9", "SCANNER", IN_PROGRESS, {STUDY: {}})
    story.arrive(1)
    story.clock.advance(QUIET_S)
    assert story.complete() == []
    assert story.study().evidence.startswith("waits: procedure step of SCANNER is in progress")
    signals.change(SignalKind.MPPS, "1.9", COMPLETED, named(story, 1, 2))
    assert story.complete() == []
    story.arrive(2)
    (due,) = story.complete()
    assert due.evidence == "procedure step of SCANNER (completed) names 2 instances, all here", "no quiet period is waited for"


def test_a_request_to_commit_finds_its_study_by_its_instances(story: Story) -> None:
    story.arrive(1)
    story.arrive(1, study="1.2.3")
    story.catalog.signals.say(
        SignalKind.COMMITMENT, "1.7", "SCANNER", "", {None: {"": frozenset({f"{STUDY}.1.1", f"{STUDY}.1.2"})}}
    )
    story.clock.advance(QUIET_S)
    assert [due.study_uid for due in story.complete()] == ["1.2.3"]
    (signal,) = story.study().signals
    assert (signal.kind, signal.named, signal.arrived) == (SignalKind.COMMITMENT, 2, 1)
    story.arrive(2)
    story.clock.advance(QUIET_S)
    assert STUDY in [due.study_uid for due in story.complete()]


def test_a_message_that_comes_again_takes_the_place_of_the_first(story: Story) -> None:
    signals = story.catalog.signals
    signals.say(SignalKind.AVAILABILITY, "1.8", "PACS", "", {STUDY: named(story, 1, 2, 3)})
    story.clock.advance(1)
    signals.say(SignalKind.AVAILABILITY, "1.8", "PACS", "", {STUDY: named(story, 1)})
    (signal,) = signals.about(STUDY)
    assert signal.series == named(story, 1)
    assert signal.at == signals.newest() == story.clock.now()


def test_a_change_without_instances_leaves_those_that_were_named(story: Story) -> None:
    signals = story.catalog.signals
    signals.say(SignalKind.MPPS, "1.9", "SCANNER", IN_PROGRESS, {STUDY: named(story, 1), "1.2.3": {}})
    signals.change(SignalKind.MPPS, "1.9", COMPLETED, None)
    assert signals.status(SignalKind.MPPS, "1.9") == COMPLETED
    assert signals.status(SignalKind.MPPS, "1.10") is None
    (signal,) = signals.about(STUDY)
    assert signal.series == named(story, 1)
    (other,) = signals.about("1.2.3")
    assert other.status == COMPLETED


def test_what_is_read_as_it_stands_is_marked_until_the_rest_comes(story: Story) -> None:
    story.arrive(1)
    story.catalog.signals.say(SignalKind.AVAILABILITY, "1.8", "PACS", "", {STUDY: named(story, 1, 2)})
    story.clock.advance(story.settings.longest_wait_s)
    (due,) = story.complete()
    assert due.incomplete
    assert "Incomplete: 1 of the 2 images" in due.notes[f"{STUDY}.1"][0]
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen())])
    view = story.study()
    assert view.incomplete
    assert view.evidence.startswith("incomplete, read as it stands")
    assert "incomplete" in story.kinds()
    story.arrive(2)
    assert story.study().evidence == "", "what was said of the first revision does not hold for the next"
    (due,) = story.complete()
    story.catalog.worklist.open_revision(due, [story.plan(due, chosen())])
    assert not story.study().incomplete


def test_the_longest_wait_counts_anew_for_each_revision(story: Story) -> None:
    story.arrive(1)
    story.revise(chosen())
    story.clock.advance(2 * story.settings.longest_wait_s)
    story.open_association("a1")
    story.arrive(2, association_id="a1")
    story.clock.advance(story.settings.longest_wait_s - 1)
    assert story.complete() == []
    story.clock.advance(1)
    (due,) = story.complete()
    assert due.incomplete


def test_what_was_said_is_counted_by_kind(story: Story) -> None:
    signals = story.catalog.signals
    signals.say(SignalKind.MPPS, "1.9", "SCANNER", IN_PROGRESS, {STUDY: {}})
    signals.say(SignalKind.MPPS, "1.9", "SCANNER", COMPLETED, {STUDY: {}})
    signals.say(SignalKind.MPPS, "1.10", "SCANNER", IN_PROGRESS, {STUDY: {}})
    assert story.catalog.views.said() == {"mpps": 2, "availability": 0, "commitment": 0, "archive": 0}
