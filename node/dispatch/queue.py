"""The sending side of the queue."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from node.store.broker import QUEUE, celery_options, redis_url
from node.store.errors import Retryable
from node.store.messages import ANALYSE, AnalyseMessage
from node.store.settings import Settings


class QueueDown(Retryable):
    """The queue does not answer."""


class JobQueue:
    """Sends wake-up calls for jobs, by the task's name only.

    Parameters
    ----------
    settings
        Where the queue is.
    """

    def __init__(self, settings: Settings) -> None:
        self._app = Celery("overread", set_as_current=False)
        self._app.conf.update(celery_options(settings))
        self._client = redis.Redis.from_url(redis_url(settings), socket_timeout=5, socket_connect_timeout=5)

    def send(self, message: AnalyseMessage) -> None:
        """Wake a worker for one job.

        Raises
        ------
        QueueDown
            Where the queue does not answer; the catalog still knows the job.
        """
        try:
            self._app.send_task(ANALYSE, kwargs={"message": message.encode()}, queue=QUEUE, retry=False)
        except (OperationalError, redis.RedisError) as fault:
            raise QueueDown(f"the queue does not answer ({type(fault).__name__})") from fault

    def length(self) -> int:
        """How many messages no worker has taken yet.

        Raises
        ------
        QueueDown
            Where the queue does not answer.
        """
        try:
            waiting: int = self._client.llen(QUEUE)
        except redis.RedisError as fault:
            raise QueueDown(f"the queue does not answer ({type(fault).__name__})") from fault
        return waiting

    def close(self) -> None:
        """Give all connections back."""
        self._client.close()
        self._app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
