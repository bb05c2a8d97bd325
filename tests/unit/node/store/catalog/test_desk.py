from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from node.store.settings import Settings
from node.store.states import JobState, StudyState
from tests.story import LEASE_S, STUDY, Story, chosen, results


def test_a_claim_tells_the_worker_all_that_it_needs(story: Story, settings: Settings) -> None:
    claim = story.claim(story.reading())
    assert (claim.study_uid, claim.stack_key, claim.model) == (STUDY, f"{STUDY}.1#1", "ct-tissue")
    assert (claim.revision, claim.run, claim.attempt, claim.fence) == (1, 1, 1, 1)
    assert claim.facts == {"slices": 2}
    assert claim.installation == story.catalog.installation
    assert [Path(path).relative_to(settings.spool.resolve()) for path in claim.instance_paths] == [
        Path(story.arrival(image).path) for image in (1, 2)
    ]


def test_only_one_of_many_workers_gets_a_job(story: Story) -> None:
    job = story.reading()
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda worker: story.catalog.desk.claim(job, f"w{worker}", LEASE_S), range(8)))
    assert len([claim for claim in claims if claim]) == 1


def test_a_job_that_does_not_exist_is_not_claimed(story: Story) -> None:
    assert story.catalog.desk.claim(99, "w1", LEASE_S) is None


def test_a_published_job_ends_its_study_and_fills_the_outbox(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs", "viewer"))
    assert story.study().state == StudyState.READING
    assert story.catalog.desk.publish(story.claim(job), results("seg", "measurements"))
    view = story.study()
    assert view.state == StudyState.FINISHED
    assert [(one.destination, one.kind) for one in view.deliveries] == [
        ("pacs", "seg"),
        ("pacs", "measurements"),
        ("viewer", "seg"),
    ]
    assert view.jobs[0].summary == {"notes": ["1"]}
    assert [one.kind for one in view.jobs[0].objects] == ["seg", "measurements"]
    assert story.kinds() == ["complete", "reading", "published", "finished"]


def test_a_claim_publishes_once(story: Story) -> None:
    claim = story.claim(story.reading(chosen("ct-tissue", "pacs")))
    assert story.catalog.desk.publish(claim, results("seg"))
    assert not story.catalog.desk.publish(claim, results("seg"))
    assert len(story.study().deliveries) == 1


def test_a_study_waits_for_all_its_jobs(story: Story) -> None:
    story.arrive(1)
    story.revise(chosen("a"), chosen("b"))
    first, second = story.catalog.worklist.due_jobs(10)
    story.catalog.desk.refuse(story.claim(first), "no frame of reference", "no-frame-of-reference")
    assert story.study().state == StudyState.READING
    story.catalog.desk.fail(story.claim(second), "broken", None)
    assert story.study().state == StudyState.FINISHED
    assert [job.reason for job in story.study().jobs] == ["no frame of reference", "broken"]


def test_a_heartbeat_keeps_the_lease(story: Story) -> None:
    claim = story.claim(story.reading())
    for _ in range(5):
        story.clock.advance(LEASE_S - 1)
        assert story.catalog.desk.heartbeat(claim, LEASE_S)
    assert story.catalog.worklist.due_jobs(10) == ()
    assert story.catalog.desk.publish(claim, results())


def test_a_worker_that_slept_through_its_lease_publishes_nothing(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs"))
    slept = story.claim(job)
    story.clock.advance(LEASE_S + 1)
    assert not story.catalog.desk.heartbeat(slept, LEASE_S)
    assert not story.catalog.desk.publish(slept, results("seg"))
    assert list(story.catalog.worklist.due_jobs(10)) == [job]
    second = story.claim(job, "w2")
    assert (second.fence, second.attempt) == (2, 2)
    assert not story.catalog.desk.publish(slept, results("seg"))
    assert story.catalog.desk.publish(second, results("seg"))
    assert not story.catalog.desk.publish(slept, results("seg"))
    assert len(story.study().deliveries) == 1
    assert "lease expired" in story.kinds()


def test_an_expired_lease_may_be_claimed_before_the_sweep(story: Story) -> None:
    job = story.reading()
    story.claim(job)
    assert story.catalog.desk.claim(job, "w2", LEASE_S) is None
    story.clock.advance(LEASE_S + 1)
    assert story.claim(job, "w2").attempt == 2


def test_a_worker_that_asks_for_its_own_running_job_has_lost_the_process_that_ran_it(story: Story) -> None:
    job = story.reading()
    dead = story.claim(job, "w1")
    assert story.claim(job, "w1").attempt == 2
    assert not story.catalog.desk.publish(dead, results())


def test_a_job_that_breaks_its_workers_ends_as_failed(story: Story) -> None:
    job = story.reading()
    for worker in ("w1", "w2", "w3"):
        story.claim(job, worker)
        story.clock.advance(LEASE_S + 1)
    assert story.catalog.worklist.due_jobs(10) == ()
    assert story.study().jobs[0].state == JobState.FAILED
    assert story.study().jobs[0].reason == "the worker died 3 times on this stack"
    assert story.study().state == StudyState.FINISHED


def test_a_claim_may_be_what_finds_the_last_death(story: Story) -> None:
    job = story.reading()
    for worker in ("w1", "w2", "w3"):
        story.claim(job, worker)
        story.clock.advance(LEASE_S + 1)
    assert story.catalog.desk.claim(job, "w4", LEASE_S) is None
    assert story.job_state(job) == JobState.FAILED


def test_a_retry_waits_its_time_and_is_no_death(story: Story) -> None:
    job = story.reading()
    for attempt in range(1, 6):
        claim = story.claim(job)
        assert claim.attempt == attempt
        assert story.catalog.desk.fail(claim, "the weights cannot be fetched", 30)
        assert story.catalog.desk.claim(job, "w1", LEASE_S) is None
        assert story.catalog.worklist.due_jobs(10) == ()
        assert story.study().jobs[0].reason == "the weights cannot be fetched"
        story.clock.advance(30)
        assert list(story.catalog.worklist.due_jobs(10)) == [job]
    assert story.study().state == StudyState.READING


def test_the_moment_of_the_job_does_not_change_with_its_attempts(story: Story) -> None:
    job = story.reading()
    first = story.claim(job)
    story.clock.advance(LEASE_S + 1)
    assert story.claim(job, "w2").created_at == first.created_at


def test_a_claim_names_the_results_that_it_replaces(story: Story) -> None:
    first = story.claim(story.reading(chosen("ct-tissue", "pacs")))
    assert first.superseded is None
    story.catalog.desk.publish(first, results("seg", "report"))
    story.arrive(3)
    story.revise(chosen("ct-tissue", "pacs"), chosen("brain-mr", "pacs"))
    claims = {claim.model: claim for claim in map(story.claim, story.catalog.worklist.due_jobs(10))}

    old = claims["ct-tissue"].superseded
    assert old is not None
    assert (old.revision, old.run, old.fingerprint) == (1, 1, "f" * 64)
    assert [(one.kind, one.sop_instance_uid, one.series_uid) for one in old.objects] == [
        ("seg", "2.25.1.1", "2.25.1"),
        ("report", "2.25.1.2", "2.25.1"),
    ]
    assert claims["brain-mr"].superseded is None, "another model's results stand"


def test_only_the_newest_published_results_are_replaced(story: Story) -> None:
    for number in (1, 2, 3):
        story.arrive(number)
        story.revise(chosen("ct-tissue", "pacs"))
        (job,) = story.catalog.worklist.due_jobs(10)
        claim = story.claim(job)
        if number == 2:
            story.catalog.desk.refuse(claim, "cut off", "cut-off")
        else:
            story.catalog.desk.publish(claim, results("seg", of=str(number)))
    assert claim.superseded is not None
    assert claim.superseded.revision == 1
    assert [one.sop_instance_uid for one in claim.superseded.objects] == ["2.25.1.1"]


def test_messages_and_other_languages_go_only_to_who_is_set_up_for_them(story: Story) -> None:
    job = story.reading(chosen("ct-tissue", "pacs", "not set up yet"))
    assert story.catalog.desk.publish(story.claim(job), results("seg", "report", "report.de", "hl7", "fhir.de"))
    assert [(one.destination, one.kind) for one in story.study().deliveries] == [
        ("pacs", "seg"),
        ("pacs", "report"),
        ("not set up yet", "seg"),
        ("not set up yet", "report"),
        ("not set up yet", "report.de"),
    ]
