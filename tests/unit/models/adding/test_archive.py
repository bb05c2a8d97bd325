"""A model in a ZIP archive: taken as its folder would be; what is hostile or damaged is refused, and nothing lies anywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from models.adding import archive as unpacking
from models.adding.add import add_model
from models.adding.draft import Wishes
from node.store.errors import ConfigurationError
from tests.research import RESEARCH
from tests.unit.models.adding.folders import network_folder


@pytest.mark.parametrize("within", [True, False])
def test_a_model_is_taken_from_an_archive(within: bool, tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    made = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path if within else folder, "mine" if within else None))
    path = made.rename(tmp_path / "MINE.ZIP") if within else made
    added = add_model(path, tmp_path / "shelf", Wishes()).manifest
    assert added.folder == tmp_path / "shelf" / "mine"
    assert [one.name for one in (tmp_path / "shelf").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "mine/..\\..\\elsewhere"])
def test_a_file_that_would_lie_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as made:
        made.writestr(name, "all your files")
    refused(tmp_path / "mine.zip", "which would lie elsewhere")


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("mine/net.safetensors")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    refused(tmp_path / "mine.zip", "which would lie elsewhere")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    whole = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", folder)).read_bytes()
    (tmp_path / "mine.zip").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "mine.zip", "cannot be unpacked")
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 255
    (tmp_path / "mine.zip").write_bytes(turned)
    refused(tmp_path / "mine.zip", "cannot be unpacked")


def test_one_that_the_disk_does_not_hold_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", network_folder(tmp_path / "mine")))
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1000))
    refused(path, "make room first")


def refused(path: Path, reason: str) -> None:
    shelf = path.parent / "shelf"
    with pytest.raises(ConfigurationError, match=reason):
        add_model(path, shelf, Wishes())
    assert list(shelf.iterdir()) == []
    assert not (path.parent / "elsewhere").exists()


def test_models_for_research_are_downloads_of_their_own(tmp_path: Path) -> None:
    for folder in ("once", "again"):
        script = RESEARCH.parents[1] / "scripts" / "pack_research.py"
        subprocess.run([sys.executable, script, "--out", tmp_path / folder], check=True, capture_output=True)
    packed = sorted((tmp_path / "once").iterdir())
    assert len(packed) == len(list(RESEARCH.glob("*/model.toml"))) > 1
    for path in packed:
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
        added = add_model(path, tmp_path / "shelf", Wishes()).manifest
        assert added.research_only
        beside = {one.name for one in (RESEARCH / added.name).iterdir()}
        assert {one.name for one in added.folder.iterdir()} == beside > {"LICENSE.md", "MODEL_CARD.md"}
