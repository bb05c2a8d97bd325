"""Exactly one result set, whatever dies: with a real queue, real workers, and an analysis that is a double."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from node.store.broker import redis_url
from node.store.catalog.catalog import open_catalog
from node.store.destinations import Destination
from node.store.settings import Limits, Settings
from node.store.states import JobState
from tests.integration.node_parts import Parts, children, kill_all, signal_all, until

LEASE_S = 2.0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = Settings(
        data=tmp_path / "data",
        quiet_s=0.05,
        destinations=(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
        limits=Limits(lease_s=LEASE_S),
    )
    catalog = open_catalog(settings)
    made = Parts(settings, catalog, tmp_path)
    made.start_queue()
    yield made
    made.close()
    catalog.close()


def one_result(parts: Parts, uid: str = "1.2.3") -> None:
    """The study has one published job with one object, which is there, and one delivery of it."""
    view = parts.catalog.views.study(uid)
    assert view is not None
    (job,) = view.jobs
    assert job.state == JobState.PUBLISHED
    (made,) = job.objects
    assert (parts.settings.spool / made.path).stat().st_size == made.size_bytes
    assert [delivery.sop_instance_uid for delivery in view.deliveries] == [made.sop_instance_uid]
    assert [kind for _, kind, _ in view.events].count("published") == 1


def test_each_way_that_a_job_may_end(parts: Parts) -> None:
    models = {"quick": "published", "refusing": "refused", "broken": "failed", "buggy": "failed", "deadly-once": "published"}
    for number, model in enumerate(models):
        parts.study(model, f"1.2.{number}")
    parts.start_worker()
    parts.turn_until(lambda: all(parts.finished(f"1.2.{number}") for number in range(len(models))))
    jobs = {view.jobs[0].model: view.jobs[0] for view in parts.catalog.views.studies()}
    assert {model: job.state.value for model, job in jobs.items()} == models
    assert jobs["refusing"].reason == "no frame of reference"
    assert jobs["broken"].reason == "the model has changed since"
    assert jobs["buggy"].reason.startswith("the model broke on this stack: ValueError")
    assert "Yamada" not in jobs["buggy"].reason
    assert "Yamada" not in parts.log("worker")
    assert jobs["deadly-once"].attempt == 2


def test_a_job_that_may_succeed_later_waits(parts: Parts) -> None:
    parts.study("later")
    parts.start_worker()
    parts.turn_until(parts.begun)
    until(lambda: "retry" in [kind for _, kind, _ in parts.catalog.views.study("1.2.3").events])  # type: ignore[union-attr]
    job = parts.catalog.views.study("1.2.3").jobs[0]  # type: ignore[union-attr]
    assert (job.state, job.reason) == (JobState.DUE, "the weights cannot be fetched")


def test_what_the_queue_lost_is_sent_again(parts: Parts) -> None:
    parts.study("quick")
    client = redis.Redis.from_url(redis_url(parts.settings))
    parts.turn_until(lambda: client.llen("overread") == 1)
    client.flushall()
    client.close()
    parts.start_worker()
    parts.turn_until(parts.finished)
    one_result(parts)
    assert len(parts.begun()) == 1


def test_a_message_that_comes_twice_is_read_once(parts: Parts) -> None:
    parts.study("quick")
    client = redis.Redis.from_url(redis_url(parts.settings))
    parts.turn_until(lambda: client.llen("overread") == 1)
    (message,) = client.lrange("overread", 0, 0)
    client.lpush("overread", message, message)
    parts.start_worker()
    parts.turn_until(lambda: parts.finished() and client.llen("overread") == 0)
    client.close()
    one_result(parts)
    assert len(parts.begun()) == 1


def test_a_message_that_is_none_of_ours_is_dropped(parts: Parts) -> None:
    parts.study("quick")
    client = redis.Redis.from_url(redis_url(parts.settings))
    parts.turn_until(lambda: client.llen("overread") == 1)
    (message,) = client.lrange("overread", 0, 0)
    other_task = message.replace(b'"task": "overread.analyse"', b'"task": "os.system"')
    other_body = json.loads(message)
    other_body["body"] = base64.b64encode(b'[[], {"message": {"version": 99}}, {}]').decode()
    assert other_task != message
    client.rpush("overread", other_task, json.dumps(other_body))
    client.close()
    parts.start_worker()
    parts.turn_until(parts.finished)
    one_result(parts)
    assert "message dropped" in parts.log("worker")


def test_a_killed_worker_in_mid_job(parts: Parts) -> None:
    parts.study("slow-once")
    first = parts.start_worker()
    parts.turn_until(parts.begun)
    kill_all(first)
    parts.start_worker()
    parts.turn_until(parts.finished)
    one_result(parts)
    assert [line.split()[1] for line in parts.begun()] == ["1", "2"]


def test_the_child_of_a_killed_worker_dies_with_it(parts: Parts) -> None:
    parts.study("slow-once")
    first = parts.start_worker()
    parts.turn_until(parts.begun)
    (child,) = children(first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), 60)


def test_a_killed_child_is_replaced_and_its_job_done_without_waiting_for_the_lease(parts: Parts) -> None:
    parts.study("slow-once")
    worker = parts.start_worker()
    parts.turn_until(parts.begun)
    (child,) = children(worker)
    os.kill(child, signal.SIGKILL)
    parts.turn_until(parts.finished)
    one_result(parts)
    assert worker.poll() is None


def test_a_job_that_kills_every_worker_ends_as_failed(parts: Parts) -> None:
    parts.study("deadly")
    parts.start_worker()
    parts.turn_until(parts.finished)
    job = parts.catalog.views.study("1.2.3").jobs[0]  # type: ignore[union-attr]
    assert (job.state, job.reason) == (JobState.FAILED, "the worker died 3 times on this stack")
    assert len(parts.begun()) == 3


def test_a_worker_stopped_past_its_lease_and_woken_publishes_nothing(parts: Parts) -> None:
    parts.study("slow")
    first = parts.start_worker()
    parts.turn_until(parts.begun)
    signal_all(first, signal.SIGSTOP)
    parts.start_worker()
    parts.turn_until(parts.finished)
    one_result(parts)
    published = parts.catalog.views.study("1.2.3")
    signal_all(first, signal.SIGCONT)
    until(lambda: "answer=lost" in parts.log("worker").replace("\x1b[0m", "").replace("\x1b[35m", ""), 60, "the late answer")
    assert parts.catalog.views.study("1.2.3") == published


def test_a_queue_that_is_killed_and_started_again(parts: Parts) -> None:
    parts.study("quick", "1.2.1")
    worker = parts.start_worker()
    parts.turn_until(lambda: parts.finished("1.2.1"))
    client = redis.Redis.from_url(redis_url(parts.settings))
    pid = client.info("server")["process_id"]
    client.close()
    os.kill(pid, signal.SIGKILL)
    parts.study("quick", "1.2.2")
    parts.dispatcher().plan()
    assert parts.dispatcher().enqueue() == 0
    parts.start_queue()
    parts.turn_until(lambda: parts.finished("1.2.2"), 180)  # at once, or when one that has gone deaf has started itself anew
    one_result(parts, "1.2.2")
    assert worker.poll() is None, "the worker came back to the queue by itself"


def test_a_worker_that_goes_deaf_starts_itself_anew_in_its_place(parts: Parts) -> None:
    (parts.journal.parent / "deaf-once").touch()
    worker = parts.start_worker()
    until((parts.journal.parent / "was-deaf").exists)
    parts.study("quick")
    parts.turn_until(parts.finished)
    one_result(parts)
    assert worker.poll() is None, "it is the same process, with a new life"
    assert "worker deaf" in parts.log("worker")
    worker.terminate()
    assert worker.wait(60) == 0, "and ends when it is told to"


def test_everything_killed_at_once(parts: Parts) -> None:
    parts.study("slow-once")
    first = parts.start_worker()
    parts.turn_until(parts.begun)
    client = redis.Redis.from_url(redis_url(parts.settings))
    pid = client.info("server")["process_id"]
    client.close()
    os.kill(pid, signal.SIGKILL)
    kill_all(first)
    parts.start_queue()
    parts.start_worker()
    parts.turn_until(parts.finished)
    one_result(parts)


def test_sigterm_ends_the_job_at_hand_first(parts: Parts) -> None:
    parts.study("slow")
    worker = parts.start_worker()
    parts.turn_until(parts.begun)
    worker.terminate()
    assert worker.wait(60) == 0
    one_result(parts)
