"""OHIF, the means to drive it, and where both are kept: pinned, checked, fetched once into ``.viewer/`` of the checkout."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = Path(__file__).resolve().parents[3] / ".viewer"
OHIF: Final = "@ohif/app@3.13.2"
OHIF_SHA512: Final = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""As the registry's ``dist.integrity`` has it. Its package ships a built viewer; what it was built from is not fetched."""

DICOMWEB_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
FETCH_S: Final = 400
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Path of a Chromium; the test is skipped without one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium (Debian package chromium)")
    return found


def node_js() -> str:
    """Path of Node.js of version 18 or later that npm comes with; the test is skipped without them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs Node.js and npm (Debian packages nodejs, npm)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 18:
        pytest.skip(f"needs Node.js 18 or later, this is {version}")
    return node


def installed() -> Path:
    """Folder with ``dist`` (OHIF) and ``node_modules`` (playwright-core); fetched where they are not there yet.

    The test is skipped where npm cannot fetch them; bytes that are not the pinned ones fail it.
    """
    CACHE.mkdir(exist_ok=True)
    with _alone(CACHE / "lock"):
        pinned = hashlib.sha256((HERE / "package-lock.json").read_bytes() + OHIF_SHA512.encode()).hexdigest()[:16]
        folder = CACHE / pinned
        if not folder.is_dir():
            making = CACHE / f"making-{os.getpid()}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            try:
                _fetch(making)
                making.rename(folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return folder


def _fetch(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    _npm(folder, "ci", "--ignore-scripts", "--no-fund", "--no-audit")
    _npm(folder, "pack", OHIF)
    [archive] = folder.glob("ohif-app-*.tgz")
    sha512 = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert sha512 == OHIF_SHA512, f"what npm fetched as {OHIF} is not what was tested: SHA-512 {sha512}"
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data", members=[one for one in packed if one.name.startswith("package/dist/")])
    (folder / "package" / "dist").rename(folder / "dist")
    archive.unlink()


def _npm(folder: Path, *words: str) -> None:
    try:
        done = subprocess.run(
            ["npm", *words, "--silent"], cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm {words[0]} took more than {FETCH_S} s: no way to the registry?")
    if done.returncode:
        pytest.skip(f"npm {words[0]} did not fetch the viewer: {done.stderr.strip()[-300:] or done.returncode}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other test run fetches."""
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
