from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import cli
from node.store.errors import ConfigurationError

ISSUE = {"serve", "demo", "send", "run", "studies", "study", "models", "train", "evaluate", "check"}


def overread(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "node.cli", *words], capture_output=True, text=True, check=False)


def test_every_command_is_listed_and_help_pays_for_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from node.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pydicom', 'pynetdicom', 'celery', 'fastapi', 'numpy', 'sqlalchemy', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.strip(" │").split(" ")[0] for line in done.stdout.splitlines()}
    assert listed >= ISSUE


def test_version() -> None:
    assert overread("--version").stdout.startswith("overread 0.")


def test_error_of_ours_is_one_line_and_status_2(tmp_path: object) -> None:
    done = overread("studies", "--data", f"{tmp_path}/none")
    assert done.returncode == 2
    assert done.stderr.startswith(f"overread: there is no data folder {tmp_path}/none: name the one")
    assert not (Path(str(tmp_path)) / "none").exists()


def test_of_a_fault_the_places_are_shown_and_not_the_message() -> None:
    script = "from node import cli\ndef app(): int('Yamada^Tarou')\ncli.app = app\ncli.main()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "node/cli.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("overread: a fault in Overread")
    assert "ValueError" in done.stderr
    assert "Yamada" not in done.stderr


def test_unknown_command_is_an_error() -> None:
    done = overread("stduies")
    assert done.returncode == 2
    assert done.stderr == "overread: there is no command stduies: did you mean studies?\n"


def test_command_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_commands", lambda: {"broken": EntryPoint("broken", "no.such.module:app", cli.GROUP)})
    said = CliRunner().invoke(cli.app, ["broken"])
    assert isinstance(said.exception, ConfigurationError)
    assert "command broken cannot be loaded" in str(said.exception)
