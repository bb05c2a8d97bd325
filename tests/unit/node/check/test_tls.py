from __future__ import annotations

from pathlib import Path

import pytest

from node.check.tls import check_tls
from node.check.verdict import Level
from node.doubles.intake import MemoryIntake
from node.listener.listener import Listener
from node.store.settings import Limits, Settings
from tests.certificates import Authority, Files
from tests.integration.node_under_test import free_port


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def settings(files: Files, tmp_path: Path, **more: object) -> Settings:
    tls = {"port": free_port(), "certificate": files.certificate, "key": files.key, **more}
    return Settings.model_validate(
        {"data": tmp_path, "host": "127.0.0.1", "port": 0, "tls": tls, "limits": Limits(disk_reserve_mb=0)}
    )


def test_without_tls_there_is_nothing_to_say() -> None:
    assert list(check_tls(Settings())) == []


def test_a_good_certificate_says_for_whom_and_how_long(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("ai.hospital.example", "127.0.0.1")
    certificate, port = check_tls(settings(files, tmp_path))
    assert certificate.level is Level.OK
    assert "ai.hospital.example, 127.0.0.1" in certificate.says
    assert port.says == "free for DICOM over TLS"


def test_one_that_ends_soon_is_worth_a_note(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = check_tls(settings(authority.issue("localhost", file="soon", valid_days=5), tmp_path))
    assert certificate.level is Level.NOTE
    assert "renew it" in certificate.to_do


def test_one_that_has_expired_is_a_fault(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = check_tls(settings(authority.issue("localhost", file="old", valid_days=-1), tmp_path))
    assert certificate.level is Level.FAULT
    assert certificate.says.startswith("has expired on 20")


def test_a_key_that_others_can_read_is_worth_a_note(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("localhost", file="open")
    files.key.chmod(0o644)
    key, *_ = check_tls(settings(files, tmp_path))
    assert (key.level, key.subject) == (Level.NOTE, str(files.key))
    assert key.to_do == f"chmod 600 {files.key}"


@pytest.mark.parametrize(("days", "level"), [(90, Level.OK), (5, Level.NOTE), (-1, Level.FAULT)])
def test_what_destinations_are_shown_is_looked_at_too(authority: Authority, days: int, level: Level) -> None:
    own = authority.issue("ai.hospital.example", file=f"own{days}", valid_days=days)
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "pacs", "port": 104, "tls": True, "ca": authority.ca}
    shown = {"certificate": own.certificate, "key": own.key}
    [found] = check_tls(Settings.model_validate({"destinations": [{**pacs, **shown}]}))
    assert found.level is level, found.says


def test_a_key_of_another_is_a_fault(authority: Authority, tmp_path: Path) -> None:
    mixed = Files(authority.issue("localhost", file="a").certificate, authority.issue("localhost", file="b").key)
    [wrong] = check_tls(settings(mixed, tmp_path))
    assert wrong.level is Level.FAULT
    assert "is not that of certificate" in wrong.says


def test_who_has_the_port_is_known_by_the_certificate(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("localhost", file="mine")
    served = settings(files, tmp_path)
    intake = MemoryIntake()
    listener = Listener(served, intake)
    listener.start()
    try:
        _, mine = check_tls(served)
        assert (mine.level, mine.says) == (Level.OK, "this certificate is shown there: this node runs")
        assert served.tls
        others = authority.issue("localhost", file="theirs")
        _, other = check_tls(settings(others, tmp_path, port=served.tls.port))
        assert other.level is Level.FAULT
        _, unasked = check_tls(settings(files, tmp_path, port=served.tls.port, client_ca=authority.ca))
        assert unasked.level is Level.OK
        assert not intake.tallies, "looking is no event"
    finally:
        listener.stop(drain_s=0)
