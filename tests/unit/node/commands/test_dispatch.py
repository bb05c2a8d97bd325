from __future__ import annotations

import threading

import pytest

from node.commands.dispatch import run_together


def test_loops_run_until_told_to_stop() -> None:
    stop, ended = threading.Event(), []

    def loop(stop: threading.Event) -> None:
        stop.wait()
        ended.append(1)

    threading.Timer(0.05, stop.set).start()
    run_together([loop, loop], stop)
    assert ended == [1, 1]


def test_where_one_breaks_the_others_end_and_the_process_with_them() -> None:
    stop, ended = threading.Event(), []

    def breaking(stop: threading.Event) -> None:
        raise LookupError("broken")

    def steady(stop: threading.Event) -> None:
        stop.wait()
        ended.append(1)

    with pytest.raises(LookupError, match="broken"):
        run_together([breaking, steady], stop)
    assert ended == [1]
