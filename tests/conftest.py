"""What every test may ask for."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog


class _Output:
    """Standard output as it is when something is written; one that is closed takes nothing.

    structlog's own default holds on to the output of the test in which a logger was made, and raises once that test has ended:
    in a listener's thread, which may end later.
    """

    def write(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with contextlib.suppress(ValueError):
            sys.stdout.flush()


@pytest.fixture(scope="session", autouse=True)
def _log_to_the_test_that_runs() -> None:
    stream: Any = _Output()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=stream))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of labelled images and real DICOM that developers have and users do not."""
    given = os.environ.get("OVERREAD_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the labelled data folder: set OVERREAD_SHARED")
    return folder
