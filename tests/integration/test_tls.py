"""dcmtk over TLS: its senders to our listener, our sender and C-ECHO to its receiver, both with certificates on both sides."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.association import AssociationLost, echo
from node.check.peers import check_destinations
from node.check.verdict import Level
from node.listener.listener import Listener
from node.store.catalog.catalog import open_catalog
from node.store.destinations import Destination
from node.store.settings import Limits, Settings, Tls
from node.store_scu import StoreScu
from tests.certificates import Authority, Files
from tests.integration.node_under_test import free_port
from tests.unit.node.listener.encoded import EXPLICIT, image, write

STORESCU = "/usr/bin/storescu"
STORESCP = "/usr/bin/storescp"
ECHOSCU = "/usr/bin/echoscu"

pytestmark = [pytest.mark.peer, pytest.mark.skipif(not Path(STORESCU).exists(), reason="needs the Debian package dcmtk")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def node(authority: Authority) -> Files:
    return authority.issue("localhost", "127.0.0.1", file="node")


@pytest.fixture(scope="module")
def modality(authority: Authority) -> Files:
    return authority.issue("localhost", file="modality")


@pytest.fixture
def listener(tmp_path: Path, authority: Authority, node: Files) -> Iterator[Listener]:
    tls = Tls(port=0, certificate=node.certificate, key=node.key, client_ca=authority.ca)
    settings = Settings(data=tmp_path / "data", host="127.0.0.1", port=0, tls=tls, limits=Limits(disk_reserve_mb=0))
    catalog = open_catalog(settings)
    listening = Listener(settings, catalog.intake)
    listening.start()
    yield listening
    listening.stop(drain_s=1)
    catalog.close()


def run(program: str, port: int, own: Files, ca: Path, *more: str, profile: str = "+py") -> subprocess.CompletedProcess[str]:
    trust = ["+tls", str(own.key), str(own.certificate), "+cf", str(ca), profile]
    command = [program, *trust, "-aet", "MODALITY", "-aec", "OVERREAD", "localhost", str(port), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_sends_over_every_profile_that_is_not_retired(
    listener: Listener, authority: Authority, modality: Files, tmp_path: Path, profile: str
) -> None:
    path = write(tmp_path, image(pixels=bytes(400_000)), EXPLICIT)
    sent = run(STORESCU, listener.tls_port, modality, authority.ca, "-v", str(path), profile=profile)
    assert sent.returncode == 0, sent.stderr
    assert "Received Store Response (Success)" in sent.stdout + sent.stderr
    assert len(list((listener.spool.root / "in").rglob("*.dcm"))) == 1


def test_dcmtk_with_a_certificate_of_somebody_else_gets_no_association(
    listener: Listener, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "elsewhere").issue("localhost")
    sent = run(ECHOSCU, listener.tls_port, stranger, authority.ca)
    assert sent.returncode != 0


@pytest.fixture
def receiver(tmp_path: Path, authority: Authority, node: Files) -> Iterator[tuple[int, Path]]:
    """dcmtk's storescp that demands certificates; its port and folder."""
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    trust = ["+tls", str(node.key), str(node.certificate), "+cf", str(authority.ca)]
    with subprocess.Popen(
        [STORESCP, *trust, "-rc", "-od", str(folder), "--fork", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, folder
        process.terminate()


def test_results_reach_dcmtk_over_tls(receiver: tuple[int, Path], authority: Authority, modality: Files, tmp_path: Path) -> None:
    port, folder = receiver
    destination = Destination(
        name="pacs",
        ae_title="PACS",
        host="127.0.0.1",
        port=port,
        tls=True,
        ca=authority.ca,
        certificate=modality.certificate,
        key=modality.key,
    )
    [found] = check_destinations(Settings(destinations=(destination,)))
    assert found.level is Level.OK, found.says
    verdicts = list(StoreScu(destination, "OVERREAD").send([write(tmp_path, image(number), EXPLICIT) for number in (1, 2, 3)]))
    assert [verdict.status for verdict in verdicts] == [0, 0, 0], verdicts
    assert len(list(folder.iterdir())) == 3


def test_dcmtk_that_demands_a_certificate_is_understood(receiver: tuple[int, Path], authority: Authority) -> None:
    port, _ = receiver
    bare = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, tls=True, ca=authority.ca)
    with pytest.raises(AssociationLost, match="certificate"):
        echo(bare, "OVERREAD")
