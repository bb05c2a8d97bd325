"""Whatever is killed, every acknowledged study has exactly one result set, and a repeat is byte-identical."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from node.store_scu import StoreScu
from tests.integration.node_under_test import OVERREAD, Node, running_node, wait_for
from tests.integration.phantom import Phantom, ct_phantom

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(280)]


def assert_exactly_one_result_set(node: Node, study: dict[str, Any]) -> None:
    published = [job for job in study["jobs"] if job["state"] == "published"]
    assert len(published) == 1, study["jobs"]
    delivered = [delivery["sop_instance_uid"] for delivery in study["deliveries"]]
    assert len(delivered) == len(set(delivered)) == len(published[0]["objects"])
    hashes: dict[str, set[str]] = defaultdict(set)
    for line in node.archive.log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["study_uid"] == study["study_uid"]:
            hashes[entry["sop_instance_uid"]].add(entry["sha256"])
    assert set(hashes) == set(delivered)
    assert all(len(different) == 1 for different in hashes.values()), "a repeat was not byte-identical"


def big(folder: Path) -> Phantom:
    """A phantom whose reading takes seconds, so that there is a middle to kill it in."""
    return ct_phantom(folder, slices=60, size=256)


def running(node: Node, uid: str) -> bool:
    study = node.study(uid)
    return bool(study) and any(job["state"] == "running" for job in study["jobs"])


def test_worker_killed_in_mid_job(tmp_path: Path) -> None:
    phantom = big(tmp_path / "ct")
    with running_node(tmp_path, lease_s=4) as node:
        node.send(phantom.paths)
        wait_for(lambda: running(node, phantom.study_uid), 60, "the job runs")
        assert node.signal("work", signal.SIGKILL)
        study = node.finished(phantom.study_uid, timeout_s=120)
        assert_exactly_one_result_set(node, study)
        assert max(job["attempt"] for job in study["jobs"]) >= 2


def test_listener_killed_in_mid_transfer(tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct", slices=40, size=512)
    with running_node(tmp_path, quiet_s=3) as node:
        verdicts: list[Any] = []
        some, go_on = threading.Event(), threading.Event()

        def send() -> None:
            for verdict in StoreScu(node.peer, "MODALITY").send(phantom.paths):
                verdicts.append(verdict)
                if len(verdicts) == 10:
                    some.set()
                    go_on.wait(60)

        sender = threading.Thread(target=send)
        sender.start()
        assert some.wait(60)
        listening = node.processes("listen")
        assert listening
        go_on.set()  # thirty images are left: the listener dies within one of the next
        time.sleep(0.01)
        for process in listening:
            process.kill()
        sender.join(60)
        acknowledged = {verdict.sop_instance_uid for verdict in verdicts if verdict.stored}
        assert acknowledged
        assert len(acknowledged) < len(phantom.paths), "the listener was killed too late to show anything"
        wait_for(node.accepts, 30, "the listener is back")
        again = node.send(phantom.paths)
        assert all(verdict.stored for verdict in again)
        study = node.finished(phantom.study_uid, timeout_s=120)
        assert study["instances"] == len(phantom.paths)
        newest = [job for job in study["jobs"] if job["revision"] == study["revision"] and job["state"] == "published"]
        assert len(newest) == 1


def test_everything_killed_at_once(tmp_path: Path) -> None:
    phantom = big(tmp_path / "ct")
    with running_node(tmp_path, lease_s=4) as node:
        node.send(phantom.paths)
        wait_for(lambda: running(node, phantom.study_uid), 60, "the job runs")
        node.kill_everything()
        node.start()
        study = node.finished(phantom.study_uid, timeout_s=120)
        assert study["instances"] == len(phantom.paths)
        assert_exactly_one_result_set(node, study)


def test_everything_killed_right_after_the_answer(tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct")
    with running_node(tmp_path, quiet_s=2) as node:
        assert all(verdict.stored for verdict in node.send(phantom.paths))
        node.kill_everything()
        node.start()
        study = node.finished(phantom.study_uid, timeout_s=120)
        assert study["instances"] == len(phantom.paths)
        assert_exactly_one_result_set(node, study)


def test_worker_that_slept_through_its_lease_publishes_nothing(tmp_path: Path) -> None:
    phantom = big(tmp_path / "ct")
    with running_node(tmp_path, lease_s=4) as node:
        node.send(phantom.paths)
        wait_for(lambda: running(node, phantom.study_uid), 60, "the job runs")
        stopped = node.processes("work")
        assert node.signal("work", signal.SIGSTOP)
        with (tmp_path / "second-worker.log").open("wb") as log:
            second = subprocess.Popen(
                [*OVERREAD, "work", "--config", str(node.folder / "data" / "run" / "settings.json")], stdout=log, stderr=log
            )
        try:
            node.finished(phantom.study_uid, timeout_s=120)
            assert all(process.status() == "stopped" for process in stopped)
            node.signal("work", signal.SIGCONT)
            wait_for(
                lambda: "answer=lost" in re.sub(r"\x1b\[\d+m", "", (node.folder / "serve.log").read_text(errors="replace")),
                60,
                "the woken worker finds that its lease is gone",
            )
            assert_exactly_one_result_set(node, node.finished(phantom.study_uid))
        finally:
            second.terminate()
            second.wait(30)
