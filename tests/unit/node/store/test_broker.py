from __future__ import annotations

from pathlib import Path

import pytest

from node.store.broker import LONGEST_JOB_S, broker_url, celery_options, redis_url, socket_path
from node.store.settings import Settings


@pytest.mark.parametrize(
    ("url", "for_redis", "for_celery"),
    [
        ("redis://h:6379/1", "redis://h:6379/1", "redis://h:6379/1"),
        ("valkey://h:6379", "redis://h:6379", "redis://h:6379"),
        ("valkeys://h:6379", "rediss://h:6379", "rediss://h:6379"),
        ("unix:///run/v.sock", "unix:///run/v.sock", "redis+socket:///run/v.sock"),
        ("redis+socket:///run/v.sock", "unix:///run/v.sock", "redis+socket:///run/v.sock"),
    ],
)
def test_both_clients_find_one_queue(url: str, for_redis: str, for_celery: str) -> None:
    settings = Settings(queue_url=url)
    assert redis_url(settings) == for_redis
    assert broker_url(settings) == for_celery


def test_without_a_url_it_is_the_data_folders_own() -> None:
    settings = Settings(data=Path("/srv/overread"))
    assert redis_url(settings) == "unix:///srv/overread/queue/valkey.sock"
    assert broker_url(settings) == "redis+socket:///srv/overread/queue/valkey.sock"
    assert socket_path(Path("/srv/../srv/overread")) == socket_path(settings.data)


def test_a_message_comes_back_only_long_after_its_job_must_have_ended() -> None:
    options = celery_options(Settings())
    assert options["broker_transport_options"]["visibility_timeout"] > LONGEST_JOB_S
    assert options["task_time_limit"] == LONGEST_JOB_S
    assert options["accept_content"] == ["json"]
