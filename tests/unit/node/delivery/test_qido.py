"""What a web archive finds of what it was sent; Orthanc's own answers are in tests/integration/test_proof.py."""

from __future__ import annotations

import httpx
import pytest

from node.delivery.qido import missing_of_web
from node.store.destinations import WebDestination
from node.store.errors import OverreadError, Permanent, Retryable

WEB = WebDestination(name="web", url="http://archive/dicom-web", find=True)
ASKED = ("1.2", "1.2.3", "1.2.3.4")


def found(*uids: object) -> httpx.Response:
    return httpx.Response(200, json=[{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids])


def missing(*answers: httpx.Response | Exception) -> tuple[set[str], list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = answers[min(len(requests), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return missing_of_web(WEB, [ASKED], httpx.MockTransport(handle)), requests


def test_one_instance_of_its_series_is_asked_for_by_its_uid() -> None:
    absent, (request,) = missing(found("1.2.3.4"))
    assert absent == set()
    assert str(request.url) == "http://archive/dicom-web/studies/1.2/series/1.2.3/instances?SOPInstanceUID=1.2.3.4"
    assert request.headers["accept"] == "application/dicom+json"


@pytest.mark.parametrize(
    "answer",
    [
        found(),
        httpx.Response(204),
        found("1.2.3.5"),
        found(None),
        httpx.Response(200, json=[{}, 7, {"00080018": {"vr": "UI"}}, {"00080018": "1.2.3.4"}]),
    ],
)
def test_only_an_answer_that_names_it_finds_it(answer: httpx.Response) -> None:
    assert missing(answer)[0] == {"1.2.3.4"}


def test_a_series_that_is_unknown_is_told_from_a_service_that_is_not_there() -> None:
    absent, requests = missing(httpx.Response(404), httpx.Response(200, json=[]))
    assert (absent, len(requests)) == ({"1.2.3.4"}, 2)
    with pytest.raises(Retryable, match="no DICOMweb service"):
        missing(httpx.Response(404), httpx.Response(404))


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (httpx.Response(401), Retryable, "credentials"),
        (httpx.Response(403), Retryable, "right to"),
        (httpx.Response(302), Retryable, "HTTP 302"),
        (httpx.Response(503), Retryable, "HTTP 503: it failed"),
        (httpx.Response(400), Permanent, "HTTP 400"),
        (httpx.Response(501), Permanent, "does not offer queries"),
        (httpx.Response(200, text="<html>"), Retryable, "no DICOM JSON"),
        (httpx.Response(200, json={"00080018": {"Value": ["1.2.3.4"]}}), Retryable, "no DICOM JSON"),
        (httpx.ConnectError("refused"), Retryable, "did not answer"),
    ],
)
def test_one_that_does_not_answer_says_nothing_of_the_object(
    answer: httpx.Response | Exception, error: type[OverreadError], said: str
) -> None:
    with pytest.raises(error, match=said):
        missing(answer)
