from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from node.delivery.answers import Answered
from node.delivery.stow import StowSender, understood
from node.store.destinations import WebDestination
from node.store.errors import ConfigurationError

PATH = Path("one.dcm")
STORED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}
WARNED = {"00081199": {"vr": "SQ", "Value": [{"00081196": {"vr": "US", "Value": [0xB000]}}]}}
FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA900]}}]}}


@pytest.mark.parametrize(
    ("code", "payload", "status", "retryable"),
    [
        (200, STORED, 0, False),
        (202, WARNED, 0xB000, False),
        (200, FAILED, 0xA900, False),
        (409, FAILED, 0xA900, False),
        (200, {}, None, True),
        (200, [], None, True),
        (200, "not json", None, True),
        (400, {}, None, False),
        (401, {}, None, True),
        (404, {}, None, True),
        (413, {}, None, False),
        (500, {}, None, True),
        (503, {}, None, True),
    ],
)
def test_only_what_the_archive_says_of_the_object_counts(code: int, payload: object, status: int | None, retryable: bool) -> None:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()

    said = understood(PATH, code, body)

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
    file.write_bytes(b"DICM" * 700_000)
    token.write_text("s3cret\n")

    (said,), (request,) = sent(
        WebDestination(name="web", url="https://archive/dicom-web/", token_file=token), file, httpx.Response(200, json=STORED)
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
    (tmp_path / "a.dcm").write_bytes(b"x")

    (said,), _ = sent(WebDestination(name="web", url="http://archive"), tmp_path / "a.dcm", httpx.ConnectError("refused"))

    assert (said.status, said.retryable) == (None, True)


def test_a_token_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token_file"):
        sent(WebDestination(name="web", url="http://a", token_file=tmp_path / "none"), tmp_path / "a", httpx.Response(200))
