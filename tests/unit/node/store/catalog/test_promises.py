"""Whatever workers, clocks and late images do: one result set for each thing to read, and no study is forgotten."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.records import Claim
from node.store.settings import Settings
from node.store.states import ENDED_JOBS, StudyState
from tests.story import LEASE_S, QUIET_S, STUDY, Story, chosen, results

WORKERS = st.sampled_from(["w1", "w2", "w3"])
SECONDS = st.sampled_from([1.0, QUIET_S, LEASE_S / 2, LEASE_S + 1, 200.0])


class ReadingMachine(RuleBasedStateMachine):
    """One study, three workers that may sleep, die, answer late, or be asked twice."""

    template: Path

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="overread-machine-"))
        shutil.copy(self.template, self.folder)
        there = Destination(name="pacs", ae_title="PACS", host="h", port=1)
        self.story = Story(open_catalog(Settings(data=self.folder, destinations=(there,)), clock := FakeClock()), clock)
        self.clock = clock
        self.images = 0
        self.claims: list[Claim] = []
        self.published: Counter[int] = Counter()
        self.arrive()

    def teardown(self) -> None:
        if hasattr(self, "story"):
            self.an_honest_worker_ends_it()
            self.story.catalog.close()
            shutil.rmtree(self.folder)

    @rule()
    def arrive(self) -> None:
        self.images += 1
        self.story.arrive(self.images)

    @rule()
    def own_result_comes_back(self) -> None:
        before = self.story.study()
        self.story.arrive(1000 + self.images, own_result=True, series=9)
        assert self.story.study() == before

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def dispatch(self) -> None:
        for due in self.story.complete():
            plan = self.story.plan(due, chosen("ct-tissue", "pacs"))
            assert self.story.catalog.worklist.open_revision(due, [plan]) > 0
            assert self.story.catalog.worklist.open_revision(due, [plan]) == 0

    @rule()
    def sweep(self) -> None:
        self.story.catalog.worklist.due_jobs(10)

    @rule(worker=WORKERS)
    def claim(self, worker: str) -> None:
        for job in self.story.study().jobs:
            claim = self.story.catalog.desk.claim(job.job_id, worker, LEASE_S)
            if claim:
                self.claims.append(claim)

    @rule(how=st.sampled_from(["sleeps", "dies"]))
    def a_worker_is_replaced(self, how: str) -> None:
        """It sleeps through its lease and another one takes over, or its process dies and the next one of its name asks."""
        self.clock.advance(QUIET_S)
        self.dispatch()
        self.claim("w1")
        if how == "sleeps":
            self.clock.advance(LEASE_S + 1)
        self.claim("w2" if how == "sleeps" else "w1")

    @rule(which=st.integers(0, 3), how=st.sampled_from(["publish", "refuse", "fail", "retry", "heartbeat"]))
    def answer(self, which: int, how: str) -> None:
        if not self.claims:
            return
        claim = self.claims[-1 - which % len(self.claims)]
        newest = max(one.fence for one in self.claims if one.job_id == claim.job_id)
        held = self.give(claim, how)
        assert not (held and claim.fence < newest), "a claim that was given to another one decides nothing"
        if held and how == "publish":
            self.published[claim.job_id] += 1

    def give(self, claim: Claim, how: str) -> bool:
        desk = self.story.catalog.desk
        match how:
            case "publish":
                return desk.publish(claim, results("seg", "report", of=str(claim.job_id)))
            case "refuse":
                return desk.refuse(claim, "no", "no")
            case "fail":
                return desk.fail(claim, "no", None)
            case "retry":
                return desk.fail(claim, "no", 30)
            case _:
                return desk.heartbeat(claim, LEASE_S)

    @invariant()
    def each_job_publishes_at_most_once(self) -> None:
        if hasattr(self, "story"):
            view = self.story.study()
            assert all(count == 1 for count in self.published.values())
            assert {job.job_id for job in view.jobs if job.objects} == set(self.published)
            assert len(view.deliveries) == len({one.sop_instance_uid for one in view.deliveries}) == 2 * len(self.published)

    @invariant()
    def a_finished_study_waits_for_nothing_and_a_reading_one_for_something(self) -> None:
        if hasattr(self, "story"):
            view = self.story.study()
            open_jobs = [job for job in view.jobs if job.state not in ENDED_JOBS]
            assert len(open_jobs) <= 1
            if view.state != StudyState.RECEIVING:
                assert bool(open_jobs) == (view.state == StudyState.READING)

    def an_honest_worker_ends_it(self) -> None:
        """Nothing is forgotten: from wherever the study stands, an honest worker brings it to its end."""
        for _ in range(10):
            self.clock.advance(1000)
            self.dispatch()
            for job_id in self.story.catalog.worklist.due_jobs(10):
                claim = self.story.catalog.desk.claim(job_id, "honest", LEASE_S)
                if claim:
                    assert self.story.catalog.desk.publish(claim, results("seg", "report", of=str(job_id)))
        view = self.story.study(STUDY)
        assert view.state == StudyState.FINISHED
        assert view.instances == self.images


@pytest.mark.usefixtures("empty_catalog")
def test_one_result_set_and_nothing_forgotten(empty_catalog: Path) -> None:
    machine = type("Machine", (ReadingMachine,), {"template": empty_catalog})
    limits = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=limits)
