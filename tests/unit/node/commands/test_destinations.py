"""``overread destinations`` over a real catalog, and as tables."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from node.commands.destinations import app
from node.commands.tables import show_destinations
from node.page.standing import Circuit, Standing, standings
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination, FolderDestination
from node.store.errors import OverreadError
from node.store.records import Broken, QueueView
from node.store.settings import Settings, dump_settings
from tests.story import LEASE_S, STUDY, Story, chosen, results

AT = datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)
DOWN = Broken(AT, 5, AT + timedelta(minutes=20), "PACS@h:104 cannot be reached [Connection refused]")
PACS = Destination(name="pacs", ae_title="PACS", host="h", port=104, commit=True)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Three objects for pacs, which is down, and for others that it does not know any more; one of them nobody took."""
    settings = Settings(data=tmp_path, destinations=(PACS, FolderDestination(name="share", folder=Path("/share"))))
    clock = FakeClock(AT - timedelta(hours=1))
    one = Story(open_catalog(settings, clock), clock, settings)
    one.arrive(1)
    one.revise(chosen("a", "pacs", "gone", "refused", "fine"))
    (job,) = one.catalog.worklist.due_jobs(10)
    one.catalog.desk.publish(one.claim(job), results("seg", "measurements", "report", of="1"))
    for destination in ("refused", "fine"):
        for item in one.catalog.outbox.claim(destination, "d1", LEASE_S, 10):
            assert one.catalog.outbox.fail(item, "A900") if destination == "refused" else one.catalog.outbox.stored(item, 0)
    one.catalog.breakers.open("pacs", DOWN)
    yield one
    one.catalog.close()


def printed(*found: Standing) -> str:
    console = Console(file=io.StringIO(), width=160)
    show_destinations(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_what_waits_failed_is_held_and_proven_is_counted(story: Story) -> None:
    waits_since = story.clock.now()
    assert story.catalog.views.queues()["pacs"] == QueueView(waiting=3, oldest_at=waits_since)
    sent, failed, held = story.catalog.outbox.claim("pacs", "d1", LEASE_S, 10)
    assert story.catalog.views.queues()["pacs"].waiting == 3, "on the wire is not there"
    story.catalog.outbox.stored(sent, 0)
    story.catalog.outbox.fail(failed, "A900")
    story.catalog.outbox.hold(held, "another Patient ID")
    assert story.catalog.views.queues()["pacs"] == QueueView(failed=1, held=1, unproven_yet=1)
    (proof,) = story.catalog.proofs.claim("pacs", LEASE_S, 10)
    story.catalog.proofs.fail(proof, "not there")
    assert story.catalog.views.queues()["pacs"] == QueueView(failed=1, held=1, unproven=1)
    story.catalog.outbox.send_again(STUDY)
    assert story.catalog.views.queues()["pacs"] == QueueView(waiting=3, oldest_at=story.clock.now()), "proven anew"


def test_a_circuit_is_open_until_the_next_try_is_due(story: Story) -> None:
    def circuits(now: datetime) -> dict[str, Circuit]:
        return {one.name: one.circuit for one in standings(story.catalog, story.settings, now)}  # type: ignore[arg-type]

    others = {"share": Circuit.CLOSED, "gone": Circuit.NOBODYS, "refused": Circuit.NOBODYS}
    assert circuits(AT) == {"pacs": Circuit.OPEN, **others}, "nobody asks about one that is gone and has all"
    assert circuits(DOWN.next_at) == {"pacs": Circuit.HALF_OPEN, **others}
    story.catalog.breakers.close("pacs")
    assert circuits(AT) == {"pacs": Circuit.CLOSED, **others}


def test_as_a_table() -> None:
    text = printed(
        Standing("pacs", "PACS@h:104", Circuit.OPEN, DOWN, QueueView(waiting=3, oldest_at=AT, failed=1, held=2)),
        Standing("vna", "VNA@h:105", Circuit.HALF_OPEN, DOWN, QueueView(unproven_yet=4, unproven=5)),
        Standing("share", "/share", Circuit.CLOSED, None, QueueView()),
        Standing("gone", "", Circuit.NOBODYS, None, QueueView(waiting=1, oldest_at=AT)),
    )
    for part in (
        "PACS@h:104",
        "open",
        f"since {AT.astimezone():%Y-%m-%d %H:%M:%S}, again at {DOWN.next_at.astimezone():%Y-%m-%d %H:%M:%S}",
        "cannot be reached [Connection refused]",
        f"3 waiting, since {AT.astimezone():%Y-%m-%d %H:%M:%S}",
        "1 failed",
        "2 held",
        "half-open",
        ", due at",
        "4 not proven yet",
        "5 not proven",
        "closed",
        "nothing waits",
        "not configured",
        "overread study UID",
    ):
        assert part in text
    assert "overread study UID" not in printed(Standing("share", "/share", Circuit.CLOSED, None, QueueView()))
    assert "No destination is configured" in printed()


def test_of_the_node_as_it_was_served(story: Story, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    dump_settings(story.settings, tmp_path / "run/settings.json")
    said = CliRunner().invoke(app, ["--data", str(tmp_path), "--json"])
    assert said.exit_code == 0, said.output
    pacs, share, gone, refused = json.loads(said.stdout)
    assert (pacs["name"], pacs["address"], pacs["waiting"], pacs["reason"]) == ("pacs", "PACS@h:104", 3, DOWN.reason)
    assert pacs["circuit"] == "half-open", "that moment has passed"
    assert datetime.fromisoformat(pacs["down_since"]) == AT
    assert (share["name"], share["circuit"], share["next_at"], share["oldest_at"]) == ("share", "closed", None, None)
    assert (gone["name"], gone["circuit"], gone["waiting"]) == ("gone", "not configured", 3)
    assert (refused["name"], refused["failed"], refused["waiting"]) == ("refused", 3, 0)
    table = CliRunner().invoke(app, ["--data", str(tmp_path)], env={"COLUMNS": "160"})
    assert "PACS@h:104" in table.stdout


def test_a_named_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["--data", str(tmp_path / "typo")])
    assert isinstance(said.exception, OverreadError)
    assert not (tmp_path / "typo").exists()


def test_neither_torch_nor_pydicom_is_paid_for(story: Story, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from node.commands.destinations import app\n"
        f"try: app(['--data', {str(tmp_path)!r}, '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pydicom', 'pynetdicom', 'celery', 'fastapi', 'numpy', 'scipy', 'httpx'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"gone"' in done.stdout
