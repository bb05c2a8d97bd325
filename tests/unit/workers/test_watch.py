from __future__ import annotations

import threading
from dataclasses import dataclass

from workers.watch import QueueWatch


@dataclass
class Worker:
    waiting_now: int = 0
    busy_now: bool = False
    taken_now: int = 0
    ends: int = 0
    queue_down: bool = False

    def waiting(self) -> int:
        if self.queue_down:
            raise ConnectionError
        return self.waiting_now

    def ended(self) -> None:
        self.ends += 1

    def watch(self, deaf_after_s: float = 30) -> QueueWatch:
        return QueueWatch(
            waiting=self.waiting,
            busy=lambda: self.busy_now,
            taken=lambda: self.taken_now,
            ended=self.ended,
            deaf_after_s=deaf_after_s,
        )


def test_an_idle_worker_before_waiting_messages_is_deaf_after_a_while() -> None:
    worker = Worker(waiting_now=1)
    watch = worker.watch()
    assert [watch.look(now) for now in (0, 10, 29, 30)] == [False, False, False, True]


def test_a_worker_that_takes_messages_hears() -> None:
    worker = Worker(waiting_now=5)
    watch = worker.watch()
    for now in range(0, 300, 20):
        worker.taken_now += 1
        assert not watch.look(now)


def test_a_busy_worker_an_empty_queue_and_a_queue_that_is_down_are_no_deafness() -> None:
    for worker in (Worker(waiting_now=5, busy_now=True), Worker(), Worker(waiting_now=5, queue_down=True)):
        watch = worker.watch()
        assert not any(watch.look(now) for now in range(0, 300, 20))


def test_the_time_counts_from_the_last_sign_of_hearing() -> None:
    worker = Worker(waiting_now=1)
    watch = worker.watch()
    watch.look(0)
    watch.look(20)
    worker.waiting_now = 0
    watch.look(25)
    worker.waiting_now = 1
    assert not watch.look(50)
    assert watch.look(55)


def test_a_deaf_worker_is_ended_once() -> None:
    worker = Worker(waiting_now=1)
    worker.watch(deaf_after_s=0.06).run(threading.Event())
    assert worker.ends == 1


def test_the_watch_stops_when_told_to() -> None:
    worker, stop = Worker(waiting_now=1), threading.Event()
    stop.set()
    worker.watch(deaf_after_s=0.06).run(stop)
    assert worker.ends == 0
