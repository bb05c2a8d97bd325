from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from node.dispatch import premises
from node.dispatch.premises import accepts, free_port, lock_data_folder, settle
from node.store.destinations import Destination
from node.store.errors import ConfigurationError
from node.store.settings import Settings, load_settings


def test_a_data_folder_has_one_node(tmp_path: Path) -> None:
    taken = f"in use by another overread serve .process {os.getpid()}.: stop it"
    with lock_data_folder(tmp_path / "data"), pytest.raises(ConfigurationError, match=taken):
        lock_data_folder(tmp_path / "data")
    lock_data_folder(tmp_path / "data").close()


def test_a_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with lock_data_folder(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "data" / "run").stat().st_mode) == 0o700


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        lock_data_folder(tmp_path / "file" / "data")


def test_a_taken_port_is_named_with_the_flag_that_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(premises, "_FREE_WITHIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert accepts("127.0.0.1", port)
        assert accepts("0.0.0.0", port)
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} is in use: .* --port"):
            free_port("127.0.0.1", port, "--port")
    assert free_port("127.0.0.1", port, "--port") == port
    assert not accepts("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        free_port("203.0.113.1", 0, "--http")


def test_parts_are_told_absolute_folders_and_a_definite_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "run").mkdir(parents=True)
    there = Destination(name="pacs", ae_title="PACS", host="h", port=104)
    settings = Settings(data=Path("data"), host="127.0.0.1", port=0, http="127.0.0.1:0", mirror=Path("m"), destinations=(there,))
    settled, told = settle(settings)
    assert settled.data == tmp_path / "data"
    assert settled.mirror == tmp_path / "m"
    assert settled.port > 0
    assert not settled.http.endswith(":0")
    assert load_settings(told, environment={}) == settled
    assert stat.S_IMODE(told.stat().st_mode) == 0o600
    assert json.loads(told.read_text())["destinations"][0]["name"] == "pacs"


@pytest.mark.parametrize("http", ["8042", "127.0.0.1:http"])
def test_an_address_of_the_page_that_is_none_is_named(tmp_path: Path, http: str) -> None:
    with pytest.raises(ConfigurationError, match="is not HOST:PORT"):
        settle(Settings(data=tmp_path, http=http))


def test_files_for_tls_are_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "run").mkdir(parents=True)
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "pacs", "port": 104, "tls": True, "ca": "ca.pem"}
    tls = {"port": 0, "certificate": "node.pem", "key": "node.key", "only": True}
    values = {"data": "data", "host": "127.0.0.1", "http": "127.0.0.1:0", "tls": tls, "destinations": [pacs]}
    settled, told = settle(Settings.model_validate(values))
    assert settled.tls
    assert (settled.tls.certificate, settled.tls.key) == (tmp_path / "node.pem", tmp_path / "node.key")
    assert settled.tls.port == settled.sure_port > 0
    assert settled.destinations[0].ca == tmp_path / "ca.pem"
    assert load_settings(told, environment={}) == settled
