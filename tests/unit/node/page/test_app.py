from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from node.page.app import COOKIE, create_app
from node.page.metrics import render
from node.page.server import bind
from node.store.destinations import Destination
from node.store.events import NodeEvent
from node.store.records import StudyView
from node.store.settings import Limits, Settings
from node.store.states import CommitmentState, JobState, StudyState
from tests.certificates import Authority
from tests.unit.node.page.views import AN_EVENT, MemoryCatalog, a_job, a_request, a_study

TOKEN = "a-token-of-forty-three-characters-or-about-so"


@contextlib.contextmanager
def served(catalog: MemoryCatalog, settings: Settings) -> Iterator[httpx.Client]:
    with bind("127.0.0.1:0") as listening:
        config = uvicorn.Config(create_app(catalog, settings, TOKEN), access_log=False, log_config=None, lifespan="off")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        host, port = listening.getsockname()
        with httpx.Client(base_url=f"http://{host}:{port}", follow_redirects=True) as one:
            yield one
        server.should_exit = True
        thread.join(10)


class Client:
    """Builds the page over some studies and asks it; every test gets one."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self.stack = folder, stack

    def __call__(
        self, *studies: StudyView, broken: bool = False, reserve_mb: int = 0, token: str = "", events: tuple[NodeEvent, ...] = ()
    ) -> httpx.Client:
        settings = Settings(
            data=self.folder,
            destinations=(Destination(name="pacs", ae_title="PACS", host="10.0.0.5", port=104),),
            limits=Limits(disk_reserve_mb=reserve_mb),
        )
        catalog = MemoryCatalog(*studies, broken=broken)
        catalog.events = events
        one = self.stack.enter_context(served(catalog, settings))
        if token:
            one.headers["Authorization"] = f"Bearer {token}"
        return one


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Client]:
    with contextlib.ExitStack() as stack:
        yield Client(tmp_path, stack)


@pytest.mark.parametrize("path", ["/", "/studies/1.2.3", "/?token=wrong", "/studies/9.9", "/events"])
def test_closed_without_the_token(page: Client, path: str) -> None:
    answer = page(a_study()).get(path)
    assert answer.status_code == 401
    assert "1.2.3" not in answer.text
    assert "page-token" in answer.text


def test_a_wrong_cookie_or_bearer_does_not_open(page: Client) -> None:
    one = page(a_study())
    assert one.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert one.get("/", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert one.get("/", headers={"Cookie": f"{COOKIE}=wrong"}).status_code == 401


def test_token_in_the_address_becomes_a_cookie(page: Client) -> None:
    one = page(a_study())
    answer = one.get(f"/studies/1.2.3?token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/studies/1.2.3"
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert one.get("/").status_code == 200


def test_bearer_opens(page: Client) -> None:
    answer = page(a_study()).get("/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_list_shows_state_answers_and_deliveries(page: Client) -> None:
    refused = a_study("1.2.4", jobs=(a_job(JobState.REFUSED, reason="has lost its Frame of Reference UID"),))
    text = page(a_study(), refused, token=TOKEN).get("/").text
    for part in (
        "1.2.3",
        "Pneumonia: present (93 %)",
        "pacs 1 of 2 sent, 1 failed",
        "has lost its Frame of Reference UID",
        "1.2.4",
    ):
        assert part in text
    assert '<span class="state refused">refused</span>' in text
    assert 'http-equiv="refresh"' not in text


def test_list_gives_the_reason_where_nothing_was_read(page: Client) -> None:
    assert "not chosen: reads CT, this is CR" in page(a_study(jobs=(), deliveries=()), token=TOKEN).get("/").text


def test_list_refreshes_while_something_moves(page: Client) -> None:
    assert 'http-equiv="refresh"' in page(a_study(state=StudyState.READING), token=TOKEN).get("/").text


def test_list_goes_on_to_older_studies(page: Client) -> None:
    one = page(*(a_study(f"1.2.{number}") for number in range(60)), token=TOKEN)
    assert "/?start=50" in one.get("/").text
    second = one.get("/?start=50").text
    assert "1.2.59" in second
    assert 'href="/?start=0"' in second


def test_empty_list_says_how_to_send(page: Client) -> None:
    assert "overread send" in page(token=TOKEN).get("/").text


def test_study_shows_everything_and_escapes_what_others_wrote(page: Client) -> None:
    text = page(a_study(), token=TOKEN).get("/studies/1.2.3").text
    for part in (
        "quiet for 10 s",
        "reads CT, this is CR",
        "PA &lt;chest&gt;",
        "93 %",
        "2310",
        "left lung cut off at the edge",
        "A900: no",
        "again at",
    ):
        assert part in text
    assert "PA <chest>" not in text


def test_unknown_study(page: Client) -> None:
    assert page(token=TOKEN).get("/studies/1.9").status_code == 404


def test_health_is_open_and_names_the_fault(page: Client) -> None:
    assert page().get("/healthz").json() == {"ok": True, "faults": {}}
    broken = page(broken=True).get("/healthz")
    assert broken.status_code == 503
    assert broken.json() == {"ok": False, "faults": {"catalog": "does not answer"}}
    full = page(reserve_mb=10**9).get("/healthz")
    assert full.status_code == 503
    assert "disk" in full.json()["faults"]


def test_metrics_count_by_state_and_hold_no_uid(page: Client) -> None:
    text = page(a_study("1.2.840.99")).get("/metrics").text
    assert 'overread_studies{state="finished"} 1.0' in text
    assert 'overread_studies{state="receiving"} 0.0' in text
    assert 'overread_jobs{state="refused"} 2.0' in text
    assert 'overread_outbox{destination="pacs"} 3.0' in text
    assert 'overread_outbox{destination="gone"} 1.0' in text
    assert 'overread_proofs{destination="pacs",proof="not proven yet"} 5.0' in text
    assert 'overread_proofs{destination="pacs",proof="not proven"} 2.0' in text
    assert "overread_disk_free_bytes" in text
    assert "overread_removed_files_total 412.0" in text
    assert "overread_oldest_original_seconds" in text
    assert "process_resident_memory_bytes" in text
    assert "1.2.840" not in text


@pytest.mark.parametrize("path", ["/", "/events"])
def test_who_was_turned_away_is_shown(page: Client, path: str) -> None:
    shown = page(a_study(), token=TOKEN, events=(AN_EVENT,)).get(path).text
    assert "association rejected" in shown
    assert "no source lists &lt;MR_1&gt;: add it" in shown
    assert '<td class="number">17</td>' in shown
    assert "association rejected" not in page(a_study(), token=TOKEN).get(path).text


def test_rejections_are_counted_in_the_metrics(page: Client) -> None:
    text = page(events=(AN_EVENT,)).get("/metrics").text
    assert 'overread_rejections_total{kind="association rejected"} 17.0' in text
    assert "MR_1" not in text


def test_a_disk_without_room_is_said_on_the_page(page: Client) -> None:
    text = page(reserve_mb=10**9, token=TOKEN).get("/").text
    assert "MB free: associations are rejected, images refused" in text
    assert "images refused" not in page(token=TOKEN).get("/").text


def test_what_was_said_and_asked_is_in_the_metrics(page: Client) -> None:
    text = page().get("/metrics").text
    for line in (
        'overread_commitments{state="open"} 3.0',
        'overread_commitments{state="failed"} 0.0',
        'overread_signals{kind="mpps"} 7.0',
        'overread_asked_commitments{archive="vna",reported="false"} 2.0',
        'overread_asked_commitments{archive="vna",reported="true"} 5.0',
    ):
        assert line in text


def test_requests_to_commit_that_wait_are_seen_at_once_and_all_of_them_on_their_page(page: Client) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    waiting = a_request(CommitmentState.OPEN, committed=0, reason="<vna> has not reported yet", next_at=soon)
    failed = a_request(CommitmentState.FAILED, at=datetime.now(UTC), requestor="CT_7", reason="given up after 9 tries")
    long_ago = a_request(CommitmentState.FAILED, requestor="CT_8", reason="given up")
    reported = a_request(requestor="CT_9")
    one = page(a_study(commitments=(waiting, failed, long_ago, reported)), token=TOKEN)
    brief, full = one.get("/").text, one.get("/commitments").text
    for text in (brief, full):
        assert "&lt;vna&gt; has not reported yet" in text
        assert "vna decides; not decided" in text
        assert "CT_7" in text
    assert "CT_8" not in brief
    assert "CT_9" not in brief
    assert "CT_8" in full
    assert "vna decides; 2 of 2 committed" in full
    assert "Nobody has asked yet" in page(token=TOKEN).get("/commitments").text
    assert page().get("/commitments").status_code == 401


def test_a_study_shows_its_evidence(page: Client) -> None:
    text = page(a_study(incomplete=True, evidence="incomplete, 2 of 3 images"), token=TOKEN).get("/studies/1.2.3").text
    for part in ("incomplete, 2 of 3 images", "Signals", "mpps", "COMPLETED", "Storage commitment", "2 of 2 committed"):
        assert part in text


def test_the_metrics_say_when_certificates_end(tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("ai.example", valid_days=30)
    tls = {"certificate": own.certificate, "key": own.key}
    gone = {"name": "pacs", "ae_title": "A", "host": "h", "port": 1, "tls": True, "certificate": "gone.pem", "key": "gone.key"}
    values = {"data": tmp_path, "tls": tls, "destinations": [gone]}
    text = render(MemoryCatalog(), Settings.model_validate(values)).decode()  # type: ignore[arg-type]
    [line] = [one for one in text.splitlines() if one.startswith("overread_certificate_expires_seconds{")]
    name, value = line.split(" ")
    assert name.endswith('{to="node"}')
    assert abs(float(value) - time.time() - 30 * 86400) < 600


def test_nothing_else_is_served(page: Client) -> None:
    one = page(token=TOKEN)
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert one.get(path).status_code == 404
    assert "text/css" in one.get("/style.css").headers["content-type"]
