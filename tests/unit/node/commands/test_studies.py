"""``overread studies`` and ``overread study`` over a real catalog."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.commands.studies import studies, study
from node.store.catalog.catalog import open_catalog
from node.store.errors import OverreadError
from node.store.records import Arrival
from node.store.settings import Settings

AT = datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    catalog = open_catalog(Settings(data=tmp_path))
    for number, uid in enumerate(("1.2.3.77", "1.2.3.88")):
        catalog.intake.arrived(
            [
                Arrival(
                    study_uid=uid,
                    series_uid=f"{uid}.1",
                    sop_instance_uid=f"{uid}.1.1",
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    modality="CT",
                    path=f"in/{uid}/1.dcm",
                    version=1,
                    size_bytes=1000,
                    calling_ae="SCANNER",
                    called_ae="OVERREAD",
                    received_at=AT.replace(minute=number),
                    own_result=False,
                )
            ]
        )
    catalog.close()
    return tmp_path


def test_list_newest_first(data: Path) -> None:
    said = CliRunner().invoke(studies, ["--data", str(data), "--json"])
    assert said.exit_code == 0, said.output
    listed = json.loads(said.stdout)
    assert [one["study_uid"] for one in listed] == ["1.2.3.88", "1.2.3.77"]
    assert {one["state"] for one in listed} == {"receiving"}
    assert listed[0]["modalities"] == ["CT"]
    table = CliRunner().invoke(studies, ["--data", str(data)], env={"COLUMNS": "160"})
    assert "1.2.3.77" in table.stdout
    assert "receiving" in table.stdout


def test_list_may_be_short(data: Path) -> None:
    said = CliRunner().invoke(studies, ["--data", str(data), "--json", "--limit", "1"])
    assert len(json.loads(said.stdout)) == 1


def test_one_study_by_uid_and_by_its_end(data: Path) -> None:
    for name in ("1.2.3.77", ".77"):
        said = CliRunner().invoke(study, [name, "--data", str(data), "--json"])
        assert json.loads(said.stdout)["study_uid"] == "1.2.3.77"
    table = CliRunner().invoke(study, ["1.2.3.77", "--data", str(data)], env={"COLUMNS": "160"})
    assert "not complete yet" in table.stdout


def test_unknown_or_ambiguous_study_is_an_error(data: Path) -> None:
    for name in ("9.9.9", "1.2.3", ""):
        said = CliRunner().invoke(study, [name, "--data", str(data), "--json"])
        assert isinstance(said.exception, OverreadError)
        assert "overread studies" in str(said.exception)


def test_a_named_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    said = CliRunner().invoke(studies, ["--data", str(tmp_path / "typo")])
    assert isinstance(said.exception, OverreadError)
    assert not (tmp_path / "typo").exists()


def test_send_again_says_how_many(data: Path) -> None:
    said = CliRunner().invoke(study, ["1.2.3.77", "--data", str(data), "--send-again"], env={"COLUMNS": "160"})
    assert "0 failed deliveries are due again" in said.stdout


def test_neither_torch_nor_pydicom_is_paid_for(data: Path) -> None:
    script = (
        "import sys\n"
        "from node.cli import app\n"
        f"try: app(['studies', '--data', {str(data)!r}, '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pydicom', 'pynetdicom', 'celery', 'fastapi', 'numpy', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1.2.3.77" in done.stdout
