from __future__ import annotations

import threading

from node.listener.open_associations import Full, InProcess


def test_both_limits_hold_and_places_come_back() -> None:
    counts = InProcess()
    assert counts.enter("a", 3, 2) is None
    assert counts.enter("a", 3, 2) is None
    assert counts.enter("a", 3, 2) is Full.SOURCE
    assert counts.enter("b", 3, 2) is None
    assert counts.enter("b", 3, 2) is Full.TOTAL
    counts.leave("a")
    assert counts.enter("b", 3, 2) is None
    assert counts.enter("c", 4, None) is None


def test_many_at_once_never_exceed_the_limit() -> None:
    counts = InProcess()
    entered: list[bool] = []
    threads = [
        threading.Thread(target=lambda: entered.extend(counts.enter("a", 100, 30) is None for _ in range(20))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(entered), sum(entered)) == (160, 30)
