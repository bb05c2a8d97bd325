from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle

from node.delivery.answers import Answered
from node.delivery.fhir import FhirSender, ask, understood
from node.delivery.web import Reply
from node.store.destinations import FhirDestination
from tests.unit.workers.encode.test_fhir import message


class Server(ThreadingHTTPServer):
    """A FHIR server as far as a transaction of conditional creates goes; what it is sent it reads with a parser that is not ours."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.resources: dict[str, Any] = {}
        self.refusals: list[int] = []
        self.said: list[dict[str, str]] = []
        self.forgets_one = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/fhir"

    def take(self, content: bytes) -> list[str]:
        statuses = []
        for entry in Bundle.model_validate_json(content).entry:
            there = entry.request.ifNoneExist in self.resources
            self.resources.setdefault(entry.request.ifNoneExist, entry.resource)
            statuses.append("200 OK" if there else "201 Created")
        return statuses[1:] if self.forgets_one else statuses


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.append(dict(self.headers))
        if self.server.refusals:
            self._answer(self.server.refusals.pop(0), {"resourceType": "OperationOutcome"})
            return
        statuses = self.server.take(content)
        entries = [{"response": {"status": status}} for status in statuses]
        self._answer(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

    def do_GET(self) -> None:
        known = self.path == "/fhir/metadata"
        self._answer(200 if known else 404, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(message())
    return path


def sent(server: Server, path: Path, **more: Any) -> Answered:
    (said,) = FhirSender(FhirDestination(name="fhir", fhir=server.url, **more)).send([path])
    return said


def test_what_is_sent_twice_is_there_once(file: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n", encoding="utf-8")
    with serving() as server:
        first, count = sent(server, file, token_file=token), len(server.resources)
        again = sent(server, file, token_file=token)

        assert (first.status, again.status) == (0, 0)
        assert count == len(server.resources) == len(json.loads(file.read_bytes())["entry"])
        assert server.said[0]["Authorization"] == "Bearer secret"
        assert server.said[0]["Content-Type"].startswith("application/fhir+json")
        assert [one.status for one in server.resources.values()] == ["preliminary"] * count


@pytest.mark.parametrize(
    ("code", "retryable"), [(400, False), (422, False), (412, False), (429, True), (500, True), (503, True), (401, True)]
)
def test_a_refusal_is_final_or_passing_by_its_code(code: int, retryable: bool, file: Path) -> None:
    with serving() as server:
        server.refusals = [code]
        refused = sent(server, file)

        assert (refused.status, refused.retryable) == (None, retryable)
        assert str(code) in refused.reason
        assert sent(server, file).status == 0


def test_a_success_that_does_not_name_every_resource_counts_as_nothing(file: Path) -> None:
    with serving() as server:
        server.forgets_one = True
        said = sent(server, file)

    assert (said.status, said.retryable) == (None, True)
    for body in (b"", b"[]", b"{}", b'{"type":"transaction-response","entry":[{"response":{"status":"404"}}]}'):
        assert understood(file, Reply(200, body), 1).status is None


def test_a_server_that_is_down_is_tried_again(file: Path) -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    (said,) = FhirSender(FhirDestination(name="f", fhir="http://fhir"), httpx.MockTransport(down)).send([file])
    assert (said.status, said.retryable) == (None, True)


def test_a_server_is_asked_what_it_is_capable_of() -> None:
    with serving() as server:
        assert ask(FhirDestination(name="f", fhir=server.url), 30) == ""
        assert "404" in ask(FhirDestination(name="f", fhir=f"{server.url}/elsewhere"), 30)
    assert "does not answer" in ask(FhirDestination(name="f", fhir=server.url), 5)
