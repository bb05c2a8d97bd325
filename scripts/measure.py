"""Start-up times, memory of each process, and the time from the last image's answer to the results at the destination."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from node.association import echo
from node.demo.cases import FILM
from node.demo.stage import Stage, cache_folder
from node.page.plain import study_in_full
from node.store.catalog.catalog import open_catalog
from node.store.download import fetch
from node.store.errors import OverreadError
from node.store.peers import Peer
from node.store_scu import StoreScu

OVERREAD = [sys.executable, "-P", "-m", "node.cli"]
QUIET_S = 2.0


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument(
        "--shared", type=Path, default=os.environ.get("OVERREAD_SHARED") or None, help="folder with data/dicom/mr_t1_head.tar.xz"
    )
    given = words.parse_args()
    say("machine", f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; a fixed loop took {spread(noise)}")
    say("overread --help", spread(lambda: timed([*OVERREAD, "--help"]), given.repeats) + "   (goal 0.5 s)")
    with tempfile.TemporaryDirectory(prefix="overread-measure-") as name:
        folder = Path(name)
        say("overread studies", spread(lambda: timed([*OVERREAD, "studies", "--json"], OVERREAD_DATA=str(folder)), given.repeats))
        say("serve, until a C-ECHO is answered", spread(lambda: serve_to_echo(folder), given.repeats) + "   (goal 5 s)")
        measure_node(folder, given.repeats, given.shared)


def say(what: str, figure: str) -> None:
    print(f"{what:<52} {figure}", flush=True)


def spread(measure: Callable[[], float], repeats: int = 5) -> str:
    """Median, and the least and greatest of some repeats."""
    times = sorted(measure() for _ in range(repeats))
    return f"{statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f}, n = {repeats})"


def noise() -> float:
    """Seconds for work that is always the same: how steady this machine is now."""
    begun = time.perf_counter()
    sum(number * number for number in range(2_000_000))
    return time.perf_counter() - begun


def timed(command: list[str], **environment: str) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - begun


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_to_echo(folder: Path) -> float:
    """Seconds from the command to the first answered C-ECHO, on a data folder that is new."""
    port, data = free_port(), Path(tempfile.mkdtemp(dir=folder))
    words = ["serve", "--data", str(data), "--host", "127.0.0.1", "--port", str(port), "--http", f"127.0.0.1:{free_port()}"]
    begun = time.perf_counter()
    with ended(
        subprocess.Popen([*OVERREAD, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    ):
        while True:
            try:
                echo(Peer(ae_title="OVERREAD", host="127.0.0.1", port=port), "MEASURE", 1.0)
                return time.perf_counter() - begun
            except OverreadError:
                if time.perf_counter() - begun > 60:
                    raise
                time.sleep(0.02)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def measure_node(folder: Path, repeats: int, shared: Path | None) -> None:
    with Stage(folder, QUIET_S) as stage:
        time.sleep(5)
        memory("idle")
        film = fetch(FILM.source, FILM.sha256, cache_folder())
        say("way of the radiograph, first one", f"{way([film], stage, folder):.1f} s   (goal 15 s)")
        say("way of the radiograph, later ones", spread(lambda: way([film], stage, folder), repeats))
        if shared is None:
            say("way of the 384-slice T1 head", "not measured: needs --shared")
        else:
            head = unpacked(shared / "data/dicom/mr_t1_head.tar.xz", folder)
            say(f"way of the {len(head)}-slice T1 head, first one", f"{way(head, stage, folder):.1f} s   (goal 60 s)")
            say(f"way of the {len(head)}-slice T1 head, later ones", spread(lambda: way(head, stage, folder), min(repeats, 3)))
        memory("after the studies")


def unpacked(archive: Path, folder: Path) -> list[Path]:
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "head", filter="data")
    return sorted(path for path in (folder / "head").rglob("*") if path.is_file())


def way(paths: list[Path], stage: Stage, folder: Path) -> float:
    """Seconds from the last image's answer to the last result in the archive, less the quiet period; the study is a new one."""
    copies, study_uid = renamed(paths, Path(tempfile.mkdtemp(dir=folder)))
    refused = [verdict for verdict in StoreScu(stage.peer, "MEASURE").send(copies) if not verdict.stored]
    answered = time.time()
    if refused:
        raise SystemExit(f"not stored: {refused[0].reason}")
    catalog = open_catalog(stage.settings)
    try:
        while True:
            stage.check()
            view = catalog.views.study(study_uid)
            study = study_in_full(view) if view else None
            if study and study["state"] == "finished" and all(one["state"] in {"sent", "failed"} for one in study["deliveries"]):
                break
            time.sleep(0.05)
    finally:
        catalog.close()
    if not study["deliveries"]:
        raise SystemExit(
            f"no results: {[job['reason'] for job in study['jobs']]} {[one['reason'] for one in study['decisions']]}"
        )
    uids = {one["sop_instance_uid"] for one in study["deliveries"]}
    last = max(datetime.fromisoformat(one.at).timestamp() for one in stage.stores() if one.sop_instance_uid in uids)
    return last - answered - QUIET_S


def renamed(paths: list[Path], folder: Path) -> tuple[list[Path], str]:
    """Copies of a study's files as another study."""
    study_uid, series = generate_uid(), {}
    copies = []
    for number, path in enumerate(paths):
        one = dcmread(path)
        one.StudyInstanceUID = study_uid
        one.SeriesInstanceUID = series.setdefault(one.SeriesInstanceUID, generate_uid())
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        copies.append(folder / f"{number}.dcm")
        one.save_as(copies[-1])
    return copies, study_uid


def memory(when: str) -> None:
    """Resident and proportional memory of each process that we started, MB."""
    for pid in children(os.getpid()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            torch = "libtorch" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        kilobytes = {name: int(value) for name, value in re.findall(r"^(Rss|Pss): +(\d+) kB", rollup, re.MULTILINE)}
        name = next(
            (word for word in ("serve", "listen", "dispatch", "page", "work", "queue") if f" {word} " in f"{command} "),
            command[:30],
        )
        figure = f"{kilobytes['Rss'] / 1024:.0f} MB resident, {kilobytes['Pss'] / 1024:.0f} MB proportional"
        say(f"memory {when}: {name}", figure + (" (with torch)" if torch else "   (goal 250 MB)"))


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *children(int(child))]
    return found


if __name__ == "__main__":
    main()
