from __future__ import annotations

import threading
from collections import Counter

import pytest

from node.listener import rejections
from node.listener.rejections import MOST, Rejections
from node.store.events import Rejection


class Book:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, int]] = []

    def __call__(self, kind: str, detail: str, count: int) -> None:
        self.calls.append((kind, detail, count))


def test_the_first_is_told_at_once_and_the_rest_counted(capfd: pytest.CaptureFixture[str]) -> None:
    book = Book()
    noted = Rejections(book, flush_s=3600)
    for _ in range(1000):
        noted.note(Rejection.ASSOCIATION, "MR_1 is not listed")
    assert book.calls == [("association rejected", "MR_1 is not listed", 1)]
    noted.flush()
    assert book.calls[1:] == [("association rejected", "MR_1 is not listed", 999)]
    said = capfd.readouterr()
    assert (said.out + said.err).count("MR_1") == 2
    noted.flush()
    assert len(book.calls) == 2


def test_counts_are_written_without_anybody_asking() -> None:
    written = threading.Event()
    calls: list[int] = []

    def tally(kind: str, detail: str, count: int) -> None:
        calls.append(count)
        if sum(calls) == 3:
            written.set()

    noted = Rejections(tally, flush_s=0.05)
    for _ in range(3):
        noted.note(Rejection.ASSOCIATION, "again")
    assert written.wait(20)


def test_a_peer_that_makes_up_titles_fills_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    book = Book()
    noted = Rejections(book, flush_s=3600)
    for number in range(5 * MOST):
        noted.note(Rejection.ASSOCIATION, f"X{number} is not listed")
    noted.flush()
    by_detail = Counter[str]()
    for _, detail, count in book.calls:
        by_detail[detail] += count
    assert len(by_detail) == MOST + 1
    assert sum(by_detail.values()) == 5 * MOST
    assert len(capfd.readouterr().err.splitlines()) + 1 <= MOST + 3


def test_it_is_news_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    noted = Rejections(book, flush_s=3600)
    noted.note(Rejection.CONTEXT, "worklist")
    monkeypatch.setattr(rejections, "WITHIN_S", 0.0)
    noted.note(Rejection.CONTEXT, "worklist")
    assert [count for _, _, count in book.calls] == [1, 1]


def test_what_a_title_holds_breaks_no_line() -> None:
    book = Book()
    Rejections(book).note(Rejection.ASSOCIATION, "evil\n\x1b[2Jtitle")
    assert book.calls[0][1] == "evil??[2Jtitle"
