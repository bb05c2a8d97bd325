from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from node.store.catalog.outbox import _whole_jobs
from node.store.catalog.tables import deliveries, jobs, result_objects
from node.store.records import OutboxItem
from node.store.settings import Settings
from node.store.states import DeliveryState
from tests.story import LEASE_S, STUDY, Story, chosen, results


@pytest.fixture
def filled(story: Story) -> Story:
    """Two jobs, of three and two objects, for the destination pacs."""
    story.arrive(1)
    story.revise(chosen("a", "pacs"), chosen("b", "pacs"))
    first, second = story.catalog.worklist.due_jobs(10)
    story.catalog.desk.publish(story.claim(first), results("seg", "measurements", "report", of="1"))
    story.catalog.desk.publish(story.claim(second, "w2"), results("seg", "report", of="2"))
    return story


def claim(story: Story, limit: int = 10, deliverer: str = "d1") -> list[OutboxItem]:
    return list(story.catalog.outbox.claim("pacs", deliverer, LEASE_S, limit))


def test_objects_of_one_job_come_together_oldest_first(filled: Story, settings: Settings) -> None:
    items = claim(filled, limit=1)
    assert [item.result.kind for item in items] == ["seg", "measurements", "report"]
    assert items[0].path == str(settings.spool.resolve() / "results/1/seg.dcm")
    assert (items[0].study_uid, items[0].attempt, items[0].fence) == (STUDY, 1, 1)
    assert [item.result.sop_instance_uid for item in claim(filled)] == ["2.25.2.1", "2.25.2.2"]
    assert claim(filled) == []


@pytest.mark.parametrize(("limit", "count"), [(1, 3), (3, 3), (4, 3), (5, 5), (9, 5)])
def test_a_limit_parts_no_job(filled: Story, limit: int, count: int) -> None:
    assert len(claim(filled, limit)) == count


def test_what_was_tried_less_comes_first_so_that_what_breaks_a_destination_is_in_nobodys_way(filled: Story) -> None:
    (breaks, *_) = claim(filled, limit=1)
    filled.catalog.outbox.retry(breaks, "PACS aborted the association", filled.clock.now())
    assert [item.result.sop_instance_uid for item in claim(filled, limit=1)] == ["2.25.2.1", "2.25.2.2"]
    filled.clock.advance(LEASE_S + 1)
    assert [(item.result.sop_instance_uid, item.attempt) for item in claim(filled, limit=100)] == [
        ("2.25.1.1", 2),
        ("2.25.1.2", 2),
        ("2.25.1.3", 2),
        ("2.25.2.1", 2),
        ("2.25.2.2", 2),
    ]


def test_of_a_long_queue_only_the_first_jobs_are_read(filled: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a destination that was down for days must not keep the catalog from intake."""
    pile_up(filled, 1000)
    read: list[int] = []

    def whole_jobs(first: Sequence[int], rows: Sequence[sa.Row[Any]], limit: int) -> list[sa.Row[Any]]:
        read.append(len(rows))
        return _whole_jobs(first, rows, limit)

    monkeypatch.setattr("node.store.catalog.outbox._whole_jobs", whole_jobs)
    items = claim(filled, limit=4)
    assert [item.result.sop_instance_uid for item in items] == ["2.25.1.1", "2.25.1.2", "2.25.1.3"]
    assert read == [7], "three objects of the first job, two of the second, one of each of the next two"


def pile_up(story: Story, count: int) -> None:
    """Make so many copies of the first job, each of one object that is due."""
    with story.catalog.outbox._database.write() as connection:
        for table, changes in (
            (jobs, lambda number: {"run": number}),
            (result_objects, lambda number: {"job_id": number, "sop_instance_uid": f"2.25.9.{number}"}),
            (deliveries, lambda number: {"job_id": number, "object_id": number}),
        ):
            first = connection.execute(sa.select(table).order_by(table.c.id).limit(1)).one()._asdict()
            copies = [first | {"id": number} | changes(number) for number in range(1000, 1000 + count)]
            connection.execute(sa.insert(table), copies)


def test_another_destination_has_nothing(filled: Story) -> None:
    assert filled.catalog.outbox.claim("viewer", "d1", LEASE_S, 10) == ()


def test_two_deliverers_never_own_one_delivery(filled: Story) -> None:
    with ThreadPoolExecutor(4) as pool:
        owned = [item.delivery_id for items in pool.map(lambda who: claim(filled, 3, f"d{who}"), range(4)) for item in items]
    assert len(owned) == len(set(owned)) == 5


def test_what_was_stored_is_done(filled: Story) -> None:
    for item in claim(filled):
        assert filled.catalog.outbox.stored(item, 0)
        assert not filled.catalog.outbox.stored(item, 0)
    assert {one.state for one in filled.study().deliveries} == {DeliveryState.SENT}
    assert filled.catalog.outbox.waiting() == {}
    assert filled.kinds().count("delivered") == 5


def test_a_retry_waits_until_its_moment(filled: Story) -> None:
    items = claim(filled)
    at = filled.clock.now() + timedelta(seconds=5)
    for item in items:
        assert filled.catalog.outbox.retry(item, "connection refused", at)
    assert claim(filled) == []
    assert filled.study().deliveries[0].next_at == at
    assert filled.study().deliveries[0].reason == "connection refused"
    filled.clock.advance(5)
    assert [item.attempt for item in claim(filled)] == [2] * 5


def test_a_deliverer_that_slept_through_its_lease_decides_nothing(filled: Story) -> None:
    slept = claim(filled)
    filled.clock.advance(LEASE_S + 1)
    again = claim(filled, deliverer="d2")
    assert len(again) == 5
    assert not filled.catalog.outbox.stored(slept[0], 0)
    assert not filled.catalog.outbox.fail(slept[0], "no")
    assert not filled.catalog.outbox.retry(slept[0], "no", filled.clock.now())
    filled.catalog.outbox.heartbeat(slept, 1000)
    filled.clock.advance(LEASE_S + 1)
    assert len(claim(filled, deliverer="d3")) == 5, "the heartbeat of a lost lease prolongs nobody's"


def test_a_heartbeat_keeps_deliveries(filled: Story) -> None:
    items = claim(filled)
    filled.clock.advance(LEASE_S - 1)
    filled.catalog.outbox.heartbeat(items, LEASE_S)
    filled.clock.advance(LEASE_S - 1)
    assert claim(filled) == []
    assert filled.catalog.outbox.stored(items[0], 0xB000)


def test_failed_deliveries_may_be_sent_again(filled: Story) -> None:
    items = claim(filled)
    for item in items[:2]:
        filled.catalog.outbox.fail(item, "the destination accepts no SEG: add its SOP class there")
    for item in items[2:]:
        filled.catalog.outbox.stored(item, 0)
    assert filled.catalog.outbox.send_again("1.9.9") == 0
    assert filled.catalog.outbox.send_again(STUDY) == 2
    again = claim(filled)
    assert [item.delivery_id for item in again] == [item.delivery_id for item in items[:2]]
    assert again[0].fence == 2


def test_what_waits_is_counted_by_destination(filled: Story) -> None:
    assert filled.catalog.outbox.waiting() == {"pacs": 5}
    item = claim(filled)[0]
    filled.catalog.outbox.stored(item, 0)
    assert filled.catalog.outbox.waiting() == {"pacs": 4}


def test_paths_are_absolute(filled: Story) -> None:
    assert all(Path(item.path).is_absolute() for item in claim(filled))
