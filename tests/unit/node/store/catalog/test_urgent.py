"""What a destination calls urgent goes to it first, and to no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.store.destinations import Destination
from node.store.records import OutboxItem
from node.store.settings import Settings
from tests.story import LEASE_S, Story, chosen, results


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def to(name: str, **changes: object) -> Destination:
        return Destination.model_validate({"name": name, "ae_title": "PACS", "host": "h", "port": 104, **changes})

    first = {"urgent": ("cxr/pneumothorax",), "kinds": ("seg", "report"), "instead": {"seg": "capture"}}
    return Settings(data=tmp_path / "data", destinations=(to("pacs", **first), to("plain")))


def read(story: Story, study: str, *raised: str, model: str = "cxr") -> None:
    """A study of which a model reports what was raised."""
    story.arrive(1, study=study)
    story.revise(chosen(model, "pacs", "plain"))
    (job,) = story.catalog.worklist.due_jobs(10)
    findings = [
        {"key": key, "name": key.capitalize(), "probability": 0.9, "verdict": "present", "raised": key in raised}
        for key in ("pneumonia", "pneumothorax")
    ]
    made = results("seg", "report", "capture", of=study.rpartition(".")[2])
    story.catalog.desk.publish(story.claim(job), replace(made, summary={"findings": findings}))


def claim(story: Story, destination: str = "pacs", limit: int = 100) -> list[tuple[str, str, bool]]:
    """Study, kind and urgency of what is claimed, which is then taken by the destination."""
    items = story.catalog.outbox.claim(destination, "d1", LEASE_S, limit)
    for item in items:
        story.catalog.outbox.stored(item, 0)
    return [(item.study_uid, item.result.kind, item.urgent) for item in items]


def test_urgent_results_are_claimed_first_and_alone(story: Story) -> None:
    read(story, "1.1")
    read(story, "1.2", "pneumothorax")
    read(story, "1.3", "pneumonia")
    read(story, "1.4", "pneumothorax", model="other")
    assert story.catalog.outbox.urgent_waits("pacs")
    assert claim(story) == [("1.2", "seg", True), ("1.2", "report", True)]
    assert not story.catalog.outbox.urgent_waits("pacs")
    assert [study for study, _, urgent in claim(story) if not urgent] == ["1.1", "1.1", "1.3", "1.3", "1.4", "1.4"]


def test_only_where_it_is_urgent(story: Story) -> None:
    read(story, "1.1")
    read(story, "1.2", "pneumothorax")
    assert not story.catalog.outbox.urgent_waits("plain")
    assert [(study, urgent) for study, _, urgent in claim(story, "plain")] == [("1.1", False)] * 2 + [("1.2", False)] * 2


def test_a_person_sees_what_is_urgent_and_why(story: Story) -> None:
    read(story, "1.2", "pneumothorax", "pneumonia")
    view = story.study("1.2")
    assert {(one.destination, one.urgent) for one in view.deliveries} == {("pacs", True), ("plain", False)}
    assert [detail for _, kind, detail in view.events if kind == "urgent"] == ["Pneumothorax: first to pacs"]


def test_what_goes_in_place_of_a_refused_kind_is_as_urgent(story: Story) -> None:
    read(story, "1.1")
    read(story, "1.2", "pneumothorax")
    seg, report = story.catalog.outbox.claim("pacs", "d1", LEASE_S, 100)
    story.catalog.outbox.stored(report, 0)
    story.catalog.outbox.fail(seg, "0122: it does not take this SOP class", refused=True)
    assert claim(story) == [("1.2", "capture", True)]


def test_what_was_put_back_was_not_tried(story: Story) -> None:
    read(story, "1.1")

    def claimed() -> OutboxItem:
        return story.catalog.outbox.claim("pacs", "d1", LEASE_S, 100)[0]

    for _ in range(3):
        item = claimed()
        assert item.attempt == 1
        assert story.catalog.outbox.put_back(item, "something urgent goes first")
    assert not story.catalog.outbox.put_back(item, "an old claim"), "its fence is another by now"
    assert story.study("1.1").deliveries[0].reason == "something urgent goes first"


def test_where_one_job_is_tried_an_urgent_one_that_was_tried_is_not_in_the_way(story: Story) -> None:
    read(story, "1.1", "pneumothorax")
    read(story, "1.2")
    assert [study for study, _, _ in claim_and_retry(story, limit=1)] == ["1.1", "1.1"]
    assert [study for study, _, _ in claim_and_retry(story, limit=1)] == ["1.2", "1.2"]
    assert [study for study, _, _ in claim(story)] == ["1.1", "1.1"], "once all are sent, what is urgent is first again"


def claim_and_retry(story: Story, limit: int) -> list[tuple[str, str, bool]]:
    items = story.catalog.outbox.claim("pacs", "d1", LEASE_S, limit)
    for item in items:
        story.catalog.outbox.retry(item, "it does not answer", story.clock.now())
    return [(item.study_uid, item.result.kind, item.urgent) for item in items]
