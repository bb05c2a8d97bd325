"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of labelled images and real DICOM that developers have and users do not."""
    given = os.environ.get("OVERREAD_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the labelled data folder: set OVERREAD_SHARED")
    return folder
