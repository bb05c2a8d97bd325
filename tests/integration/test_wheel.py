"""What a hospital installs is the wheel: it holds what the checkout holds, and nothing of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(source)], check=True)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"the wheel cannot be built here (no registry?): {made.stderr[-300:]}")
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run overread from the wheel, away from the checkout."""
    return subprocess.run(
        [sys.executable, "-c", "from node.cli import main; main()", *words],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "OVERREAD_DATA": str(installed.parent / "data")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tests_are_not_in_the_wheel(installed: Path) -> None:
    assert not (installed / "tests").exists()
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"node", "workers", "models"}


def test_every_tracked_file_of_the_packages_is_in_the_wheel(installed: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "node", "workers", "models"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split()
    committed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "node", "workers", "models"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    kept = [name for name in tracked if name in committed and not name.startswith("models/research/")]
    assert [name for name in kept if not (installed / name).is_file()] == []


def test_models_whose_licence_allows_research_only_are_not_in_the_wheel(installed: Path) -> None:
    assert (installed / "models" / "library" / "cxr-lungs").is_dir()
    assert not (installed / "models" / "research").exists()
    assert not list(installed.rglob("skin-7*"))


def test_the_command_line_and_the_catalog_work_from_the_wheel(installed: Path) -> None:
    listed = run(installed, "models", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "ct-tissue" in listed.stdout
    studies = run(installed, "studies", "--json")
    assert studies.returncode == 0, studies.stderr


def test_texts_and_letters_of_other_languages_are_in_the_wheel(installed: Path) -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "from workers.encode import language; print(language.__file__, language.speech('de').say('Right lung'))",
        ],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    assert said.strip() == f"{installed / 'workers/encode/language.py'} Rechte Lunge"
    assert (installed / "workers/encode/fonts/DejaVuSans-Latin.ttf").is_file()
