from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.commands import check as command
from node.store.destinations import Destination
from node.store.settings import Settings, dump_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "overread.toml"
    path.write_text(f'data = "{tmp_path / "data"}"\nhost = "127.0.0.1"\nport = {free()}\nhttp = "127.0.0.1:{free()}"\n')
    return path


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_wrong_key_is_a_fault_that_names_the_right_one(config: Path) -> None:
    config.write_text('ae_titel = "X"\n')
    said = CliRunner().invoke(command.app, ["--config", str(config), "--json"])
    assert said.exit_code == 1
    (fault,) = json.loads(said.stdout)
    assert fault["level"] == "fault"
    assert "ae_title" in fault["says"]


def test_all_well_without_destination_exits_0(config: Path) -> None:
    said = CliRunner().invoke(command.app, ["--config", str(config), "--json"])
    found = json.loads(said.stdout)
    assert said.exit_code == 0, [one for one in found if one["level"] == "fault"]
    assert {one["part"] for one in found} >= {
        "configuration",
        "destination",
        "decoder",
        "weights",
        "disk",
        "catalog",
        "queue",
        "port",
        "sources",
        "page",
    }


def test_without_a_configuration_the_node_that_runs_in_the_data_folder_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    away = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=free())
    settings = Settings(data=tmp_path, host="127.0.0.1", port=free(), http=f"127.0.0.1:{free()}", destinations=(away,))
    dump_settings(settings, tmp_path / "run" / "settings.json")
    said = CliRunner().invoke(command.app, ["--data", str(tmp_path), "--json"])
    assert said.exit_code == 1
    (fault,) = [one for one in json.loads(said.stdout) if one["level"] == "fault"]
    assert fault["subject"].startswith("pacs (PACS@127.0.0.1:")


def test_decoders_that_are_there_take_one_row(config: Path) -> None:
    said = CliRunner().invoke(command.app, ["--config", str(config)], env={"COLUMNS": "200"})
    assert said.stdout.count("decoder ") <= 3
    assert "12 transfer syntaxes" in said.stdout


def test_destination_that_is_away_exits_1_and_says_what_to_do(config: Path) -> None:
    with config.open("a") as file:
        file.write(f'[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {free()}\n')
    said = CliRunner().invoke(command.app, ["--config", str(config)], env={"COLUMNS": "200"})
    assert said.exit_code == 1
    assert "cannot be reached" in said.stdout
    assert "1 fault" in said.stdout
