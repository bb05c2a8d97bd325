"""Answers over HTTP that are longer, slower or odder than any service's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from node.delivery.answers import Answered
from node.delivery.web import LARGEST, Reply, exchange, refused, send_each


def client(answer: httpx.Response) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda request: answer))


@pytest.mark.parametrize(("longest_s", "piece"), [(600.0, b" " * 65536), (-1.0, b"{}")])
def test_an_answer_without_end_is_left(longest_s: float, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.delivery.web.LONGEST_S", longest_s)
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += len(piece)
            yield piece

    def post(one: httpx.Client, path: Path) -> Answered:
        exchange(one, "POST", "http://archive")
        raise AssertionError("it came to an end")

    (said,) = send_each(client(httpx.Response(200, content=body())), [Path("a")], "archive", post)
    assert (said.status, said.retryable, said.heard) == (None, True, False)
    assert "Endless" in said.reason
    assert taken <= LARGEST + 65536


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
    ],
)
def test_when_it_wants_to_be_tried_again(value: str, seconds: float | None) -> None:
    reply = exchange(client(httpx.Response(503, headers={"Retry-After": value.encode()})), "POST", "http://archive")
    said = refused(Path("a"), reply, "archive", {})
    assert (said.status, said.retryable) == (None, True)
    assert said.again_after_s == (None if seconds is None else seconds)


@pytest.mark.parametrize(
    ("code", "heard"),
    [(400, True), (409, True), (422, True), (302, False), (401, False), (404, False), (429, False), (500, False)],
)
def test_one_that_says_something_of_the_object_is_not_down(code: int, heard: bool) -> None:
    assert refused(Path("a"), Reply(code, b""), "archive", {}).heard is heard


@pytest.mark.parametrize(("from_now_s", "seconds"), [(86400, 86400), (-86400, 0)])
def test_it_may_say_when_by_a_date(from_now_s: int, seconds: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=from_now_s), usegmt=True)
    reply = exchange(client(httpx.Response(503, headers={"Retry-After": date})), "POST", "http://archive")
    assert reply.again_after_s == pytest.approx(seconds, abs=3600)
