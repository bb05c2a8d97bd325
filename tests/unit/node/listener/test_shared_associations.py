"""Counts hold over processes, and their limits."""

from __future__ import annotations

import os
import threading

from node.listener.open_associations import Full
from node.listener.shared_associations import SharedAssociations


def in_child(work: object) -> int:
    """Exit status of a forked process that does `work`."""
    assert callable(work)
    process = os.fork()
    if not process:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_what_one_process_enters_counts_in_the_others() -> None:
    counts = SharedAssociations(3, 2)
    assert in_child(lambda: 0 if counts.enter("a", 3, None) is None else 1) == 0
    assert counts.enter("a", 3, 1) is Full.SOURCE
    assert counts.enter("b", 3, 1) is None
    assert in_child(lambda: 0 if counts.enter("c", 3, None) is None else 1) == 0
    assert counts.enter("d", 3, None) is Full.TOTAL
    counts.leave("c")
    counts.leave("nobody")
    assert counts.enter("d", 3, None) is None
    assert counts.enter("a", 4, None) is Full.TOTAL


def test_threads_and_processes_never_pass_the_limit() -> None:
    counts = SharedAssociations(20, 2)
    entered: list[bool] = []

    def enter_many() -> int:
        own = [counts.enter("source", 20, None) is None for _ in range(12)]
        entered.extend(own)
        return sum(own)

    process = os.fork()
    if not process:
        os._exit(enter_many())
    threads = [threading.Thread(target=enter_many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    theirs = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert sum(entered) + theirs == 20


def test_the_process_with_more_connections_is_the_heavier() -> None:
    counts = SharedAssociations(1, 2)
    assert not counts.is_heavier(0)
    assert in_child(lambda: counts.set_load(1, 2) or 0) == 0
    assert (counts.is_heavier(0), counts.is_heavier(1)) == (False, True)
