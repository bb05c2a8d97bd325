from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from node.delivery.answers import Answered
from node.delivery.stow import StowSender, understood
from node.delivery.web import Reply
from node.store.destinations import WebDestination
from node.store.errors import ConfigurationError
from tests.integration.test_delivery import made

PATH = Path("one.dcm")
UID = "2.25.47111"
OURS = {"00081155": {"vr": "UI", "Value": [UID]}}
OTHER = {"00081155": {"vr": "UI", "Value": ["2.25.8"]}}


def listed(sequence: str, *items: dict[str, object]) -> dict[str, object]:
    return {sequence: {"vr": "SQ", "Value": list(items)}}


def number(tag: str, value: object) -> dict[str, object]:
    return {tag: {"vr": "US", "Value": [value]}}


def stored(*items: dict[str, object]) -> dict[str, object]:
    return listed("00081199", *items)


def failed(*items: dict[str, object]) -> dict[str, object]:
    return listed("00081198", *items)


def reason(value: object) -> dict[str, object]:
    return number("00081197", value)


def warning(value: object) -> dict[str, object]:
    return number("00081196", value)


@pytest.mark.parametrize(
    ("code", "payload", "status", "retryable"),
    [
        (200, stored(OURS), 0, False),
        (200, stored(OTHER, OURS), 0, False),
        (200, [stored(OURS)], 0, False),
        (202, stored(OURS | warning(0xB000)), 0xB000, False),
        (202, stored(OURS | warning(0xA900)), 0, False),
        (200, stored(OTHER), None, True),
        (200, stored({}), None, True),
        (200, stored("no item"), None, True),  # type: ignore[arg-type]
        (200, failed(OURS | reason(0xA900)), 0xA900, False),
        (202, failed(OURS | reason(0xA900)), 0xA900, False),
        (202, failed(OURS | reason(0xA700)), 0xA700, False),
        (202, failed(OURS | reason(0x0111)), 0x0111, False),
        (202, failed(reason(0xA900)), 0xA900, False),
        (202, stored(OURS) | failed(OTHER | reason(0xA900)), 0, False),
        (202, stored(OTHER) | failed(OURS | reason(0xC000)), 0xC000, False),
        (202, stored(OURS) | failed(OURS | reason(0xC000)), 0xC000, False),
        (200, failed(OURS), None, True),
        (202, failed(OURS | reason(0)), None, True),
        (202, failed(OURS | reason(0xB000)), None, True),
        (202, failed(OURS | reason("A900")), None, True),
        (409, failed(OURS | reason(0xA900)), 0xA900, False),
        (409, failed(OURS), None, False),
        (409, {}, None, False),
        (200, {}, None, True),
        (200, [], None, True),
        (200, "not json", None, True),
        (302, {}, None, True),
        (400, {}, None, False),
        (401, {}, None, True),
        (404, {}, None, True),
        (413, {}, None, False),
        (500, {}, None, True),
        (503, stored(OURS), None, True),
    ],
)
def test_only_what_the_archive_says_of_the_object_counts(code: int, payload: object, status: int | None, retryable: bool) -> None:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()

    said = understood(PATH, UID, Reply(code, body))

    assert (said.status, said.retryable) == (status, retryable)
    assert str(code) in said.reason


def sent(
    destination: WebDestination, file: Path, answer: httpx.Response | Exception
) -> tuple[list[Answered], list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return list(StowSender(destination, httpx.MockTransport(handle)).send([file])), asked


def test_an_object_is_one_part_of_a_multipart_body_of_stated_length(tmp_path: Path) -> None:
    file, token = tmp_path / "a.dcm", tmp_path / "token"
    made(file, 1)
    with file.open("ab") as end:
        end.write(b"\xfc\xff\xfc\xffOB\0\0" + (2_800_000).to_bytes(4, "little") + bytes(2_800_000))  # more than one block
    token.write_text("s3cret\n")

    (said,), (request,) = sent(
        WebDestination(name="web", url="https://archive/dicom-web/", token_file=token),
        file,
        httpx.Response(200, json=stored(OURS)),
    )

    assert said.status == 0
    assert str(request.url) == "https://archive/dicom-web/studies"
    assert request.headers["authorization"] == "Bearer s3cret"
    assert int(request.headers["content-length"]) == len(request.content)
    boundary = request.headers["content-type"].split("boundary=")[1].encode()
    head, part, tail = request.content.split(b"--" + boundary)
    assert (head, tail) == (b"", b"--\r\n")
    assert part == b"\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"


def test_an_archive_that_is_down_is_tried_again(tmp_path: Path) -> None:
    made(tmp_path / "a.dcm", 1)

    (said,), _ = sent(WebDestination(name="web", url="http://archive"), tmp_path / "a.dcm", httpx.ConnectError("refused"))

    assert (said.status, said.retryable) == (None, True)


def test_a_token_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token_file"):
        sent(WebDestination(name="web", url="http://a", token_file=tmp_path / "none"), tmp_path / "a", httpx.Response(200))


def test_a_file_that_is_none_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")

    (said,), asked = sent(WebDestination(name="web", url="http://archive"), tmp_path / "a.dcm", httpx.Response(200))

    assert (said.status, said.retryable, said.heard, asked) == (None, False, False, [])


def test_a_file_that_went_while_it_was_sent_costs_the_others_nothing(tmp_path: Path) -> None:
    made(tmp_path / "b.dcm", 1)
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json=stored(OURS)) if request.read() else None)

    gone, there = StowSender(WebDestination(name="web", url="http://archive"), answer).send(
        [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    )

    assert (gone.status, gone.retryable) == (None, True)
    assert "cannot be read" in gone.reason
    assert there.status == 0


@pytest.mark.parametrize("url", ["http://exa mple/", "http://[::1", "http://\x00/", "http://" + "a" * 70 + ".example"])
def test_an_address_that_is_none_ends_nothing(tmp_path: Path, url: str) -> None:
    made(tmp_path / "a.dcm", 1)
    (said,) = StowSender(WebDestination(name="web", url=url)).send([tmp_path / "a.dcm"])
    assert (said.status, said.retryable) == (None, True)


def test_a_token_that_is_no_text_says_so(tmp_path: Path) -> None:
    for token in (b"\xff\xfe", "s\u00e9cret".encode()):
        (tmp_path / "token").write_bytes(token)
        with pytest.raises(ConfigurationError, match="token_file"):
            sent(WebDestination(name="web", url="http://a", token_file=tmp_path / "token"), tmp_path / "a", httpx.Response(200))
