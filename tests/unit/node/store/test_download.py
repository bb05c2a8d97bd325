from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tenacity
import trustme

from node.store import download
from node.store.download import cached_path, fetch, sha256_of
from node.store.errors import ConfigurationError, DownloadFailed, HashMismatch

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"https://localhost:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        first = self.server.asked.count(self.path) == 1
        if self.path == "/missing.bin" or (self.path == "/weak.bin" and first):
            self.send_error(404 if self.path == "/missing.bin" else 503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        cut = self.path == "/short.bin" or (self.path == "/once-short.bin" and first)
        self.wfile.write(CONTENT[: 100 if cut else None])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    running = Server()
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _seconds: None)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A mirror that holds a wheel, as pip names it."""
    folder = tmp_path / "mirror" / "some.host" / "packages"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "Some_Thing-1.0.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("data/models/model.pt", CONTENT)
        wheel.writestr("Some_Thing-1.0.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: Some-Thing\nVersion: 1.0.2\n")
        wheel.writestr("Some_Thing-1.0.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("Some_Thing-1.0.2.dist-info/RECORD", "")
    return tmp_path / "mirror"


def test_fetches_once_and_then_answers_from_the_cache(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    first = fetch(f"{server.address}/a.bin", SHA256, cache, progress=lambda *now: seen.append(now))
    second = fetch(f"{server.address}/a.bin", SHA256, cache)

    assert first == second == cached_path(f"{server.address}/a.bin", SHA256, cache)
    assert first.read_bytes() == CONTENT
    assert server.asked == ["/a.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_wrong_file_is_named_with_both_hashes_and_not_kept(server: Server, cache: Path) -> None:
    with pytest.raises(HashMismatch, match=rf"{SHA256}.*{OTHER}"):
        fetch(f"{server.address}/a.bin", OTHER, cache)

    assert not [path for path in cache.rglob("*") if path.is_file()]
    assert server.asked == ["/a.bin"]


@pytest.mark.parametrize("name", ["weak.bin", "once-short.bin"])
def test_tries_again_after_a_passing_fault(server: Server, cache: Path, name: str) -> None:
    assert fetch(f"{server.address}/{name}", SHA256, cache).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_gives_up_on_a_file_that_is_always_cut_short(server: Server, cache: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"cut short after 100 of 7000 bytes.*mirror"):
        fetch(f"{server.address}/short.bin", SHA256, cache)

    assert len(server.asked) == download.TRIES


def test_does_not_repeat_what_is_not_there(server: Server, cache: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        fetch(f"{server.address}/missing.bin", SHA256, cache)

    assert len(server.asked) == 1


def test_says_what_to_do_when_nobody_answers(cache: Path) -> None:
    with pytest.raises(DownloadFailed, match="check the network"):
        fetch("https://localhost:9/a.bin", SHA256, cache)


def test_fetches_a_damaged_cache_file_anew(server: Server, cache: Path) -> None:
    path = fetch(f"{server.address}/a.bin", SHA256, cache)
    path.write_bytes(b"damaged")

    assert fetch(f"{server.address}/a.bin", SHA256, cache).read_bytes() == CONTENT


def test_many_at_once_get_the_same_whole_file(server: Server, cache: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda _n: fetch(f"{server.address}/a.bin", SHA256, cache), range(12)))

    assert {sha256_of(path) for path in paths} == {SHA256}
    assert [path.name for path in paths[0].parent.iterdir()] == ["a.bin"]


def test_a_mirror_stands_in_for_the_network(tmp_path: Path, cache: Path) -> None:
    copy = tmp_path / "mirror" / "example.org" / "some" / "a.bin"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)

    path = fetch("https://example.org/some/a.bin", SHA256, cache, tmp_path / "mirror", allow_network=False)

    assert path.read_bytes() == CONTENT


def test_a_mirror_is_not_left_through_dots(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret").write_bytes(CONTENT)

    with pytest.raises(DownloadFailed, match="switched off"):
        fetch("https://example.org/../../secret", SHA256, cache, tmp_path / "mirror", allow_network=False)


def test_takes_a_file_out_of_a_mirrored_wheel(wheels: Path, cache: Path) -> None:
    path = fetch("pypi:some-thing==1.0.2#data/models/model.pt", SHA256, cache, wheels, allow_network=False)

    assert path.name == "model.pt"
    assert path.read_bytes() == CONTENT


def test_names_the_file_that_a_wheel_does_not_hold(wheels: Path, cache: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no data/other\.pt"):
        fetch("pypi:some-thing==1.0.2#data/other.pt", SHA256, cache, wheels, allow_network=False)


def test_a_damaged_wheel_is_a_failed_download(wheels: Path, cache: Path) -> None:
    wheel = next(wheels.rglob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:200])

    with pytest.raises(DownloadFailed, match="damaged"):
        fetch("pypi:some-thing==1.0.2#data/models/model.pt", SHA256, cache, wheels, allow_network=False)


def test_pip_downloads_as_it_is_configured(wheels: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(next(wheels.rglob("*.whl")).parent))

    assert fetch("pypi:some-thing==1.0.2#data/models/model.pt", SHA256, cache).read_bytes() == CONTENT


def test_says_what_to_do_when_pip_finds_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(DownloadFailed, match="python -m pip download"):
        fetch("pypi:some-thing==1.0.2#data/models/model.pt", SHA256, cache)


def test_offline_says_what_to_do(cache: Path) -> None:
    with pytest.raises(DownloadFailed, match="mirror folder"):
        fetch("https://example.org/a.bin", SHA256, cache, allow_network=False)


@pytest.mark.parametrize(
    "source", ["http://example.org/a", "file:///etc/passwd", "https://example.org/", "pypi:x#y", "pypi:x==1", "pypi:-r==1#a", "a"]
)
def test_knows_two_forms_of_source_only(source: str, cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither"):
        fetch(source, SHA256, cache)


def test_wants_a_whole_hash(cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="64 hexadecimal"):
        fetch("https://example.org/a.bin", "abc", cache)


def test_costs_nothing_to_import() -> None:
    code = "import sys, node.store.download; sys.exit('torch' in sys.modules or 'pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
