"""C-STORE receivers side by side: dcmtk's storescu sends the same to each in turn; medians, as a table and as JSON.

Each run has an empty receiver and begins with nothing left to write on the machine. CPU and memory are those of the receiver's
process tree. What was received is removed only when all is measured: for a minute and more ext4 without a journal gives no inode
away again whose file was removed, looks at each of them whenever a file is made, and so slows down whoever comes next.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_objects import CASES, Case, make
from bench_receivers import RECEIVERS, Receiver, running

STORESCU = "/usr/bin/storescu"
_HUGE = 1 << 30
"""Bytes of an object above which a run is removed at once: the disk has no room for all of them."""


FIGURES = ("mb_s", "objects_s", "cpu_s_per_gb", "idle_mb", "peak_mb")


@dataclass(frozen=True, slots=True)
class Run:
    """One receiver taking one case once."""

    receiver: str
    case: str
    seconds: float
    mb_s: float
    objects_s: float
    cpu_s_per_gb: float
    idle_mb: float
    peak_mb: float
    noise_s: float


def main() -> None:
    given = _words().parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="overread-bench-", dir=given.folder) as name:
        folder = Path(name)
        numbers = itertools.count(1)
        for case in (case for case in CASES if case.name in given.cases):
            sent = make(case, folder / "sent")
            for repeat in range(given.repeats if case.name != "huge" else min(given.repeats, 3)):
                for receiver in (receiver for receiver in RECEIVERS if receiver.name in given.receivers):
                    runs.append(measure(receiver, case, sent, folder / f"received-{next(numbers)}"))
                    print(f"  {case.name} {repeat + 1} {receiver.name}: {runs[-1].mb_s:.0f} MB/s", file=sys.stderr, flush=True)
            print(table(case, [run for run in runs if run.case == case.name]), flush=True)
    if given.json:
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()}
        given.json.write_text(json.dumps({"machine": machine, "runs": [asdict(run) for run in runs]}, indent=1))


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="scripts/bench-intake", description=__doc__)
    names, cases = [receiver.name for receiver in RECEIVERS], [case.name for case in CASES]
    words.add_argument("--receivers", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    words.add_argument(
        "--cases",
        nargs="+",
        choices=cases,
        default=[case for case in cases if case != "huge"],
        metavar="NAME",
        help=", ".join(cases) + "; huge takes 4 GB of disk and is left out unless named",
    )
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary folder by default")
    words.add_argument("--json", type=Path, help="where each run is written to")
    return words


def measure(receiver: Receiver, case: Case, sent: list[Path], folder: Path) -> Run:
    """Send a case to a receiver that has nothing yet."""
    with running(receiver, folder) as receiving:
        os.sync()
        noise = fixed_loop_s()
        idle = receiving.memory_mb()
        receiving.watch()
        cpu, begun = receiving.cpu_s(), time.perf_counter()
        send(receiving.port, sent)
        seconds = time.perf_counter() - begun
        peak = receiving.peak_mb()
        time.sleep(0.3)  # what is done behind the answer counts too
        cpu = receiving.cpu_s() - cpu
    received = count(folder, case)
    if received < case.total:
        raise SystemExit(f"{receiver.name} kept {received} of {case.total} objects")
    if case.size_bytes > _HUGE:
        shutil.rmtree(folder)  # one file a run: too few to slow down the next
    gigabytes = case.total * case.size_bytes / 1e9
    return Run(
        receiver=receiver.name,
        case=case.name,
        seconds=seconds,
        mb_s=1000 * gigabytes / seconds,
        objects_s=case.total / seconds,
        cpu_s_per_gb=cpu / gigabytes,
        idle_mb=idle,
        peak_mb=peak,
        noise_s=noise,
    )


def send(port: int, folders: list[Path]) -> None:
    """One storescu a folder, all at once; each must succeed."""
    words = [STORESCU, "--scan-directories", "--propose-little", "-aec", "ANY-SCP", "127.0.0.1", str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    senders = [subprocess.Popen([*words, str(folder)], env=environment, stderr=subprocess.PIPE) for folder in folders]
    for sender in senders:
        _, said = sender.communicate()
        if sender.returncode or b"E:" in said:
            raise SystemExit(f"storescu failed: {said[-500:].decode(errors='replace')}")


def count(folder: Path, case: Case) -> int:
    """How many files of the size of an object there are."""
    return sum(
        1 for path in folder.rglob("*") if path.is_file() and _size(path) in range(case.size_bytes, case.size_bytes + 3000)
    )


def _size(path: Path) -> int:
    return path.stat().st_size


def fixed_loop_s() -> float:
    """Seconds for work that is always the same: how steady this machine is."""
    begun = time.perf_counter()
    sum(number * number for number in range(1_000_000))
    return time.perf_counter() - begun


def table(case: Case, runs: list[Run]) -> str:
    """Medians of a case, a row a receiver, in Markdown."""
    noise = sorted(run.noise_s for run in runs)
    lines = [
        "",
        f"{case.name}: {case.associations} associations, {case.objects} objects of {case.size_bytes} pixel bytes each; load"
        f" {os.getloadavg()[0]:.1f}; a fixed loop took {noise[len(noise) // 2]:.3f} s ({noise[0]:.3f} to {noise[-1]:.3f})",
        "",
        "| receiver | MB/s | (least, most) | objects/s | CPU s/GB | memory MB, idle | peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(run.receiver for run in runs):
        own = [run for run in runs if run.receiver == name]
        speeds = sorted(run.mb_s for run in own)
        middle = {key: statistics.median(getattr(run, key) for run in own) for key in FIGURES}
        lines.append(
            f"| {name} | {middle['mb_s']:.1f} | {speeds[0]:.1f}, {speeds[-1]:.1f} | {middle['objects_s']:.0f} |"
            f" {middle['cpu_s_per_gb']:.2f} | {middle['idle_mb']:.0f} | {middle['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
