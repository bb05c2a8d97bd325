"""Sends associations one after the other, and prints the memory of the listener's processes as it goes.

Ends with status 1 where resident memory at the end is more than 5 % above that after the first thousand associations.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from pathlib import Path

import psutil
from bench_receivers import RECEIVERS, running
from pydicom.uid import generate_uid

from node import command_set, upper_layer
from node.doubles.peer import Requestor
from node.upper_layer import Context

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
FIRST = 1000
PATIENCE_S = 600.0
"""Nothing here is about time; a machine with other work may stop for a while."""


def main() -> None:
    associations = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    instances = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory(prefix="overread-soak-") as name:
        folder = Path(name) / "received"
        with running(next(one for one in RECEIVERS if one.name == "overread"), folder) as receiving:
            family = [psutil.Process(one.pid) for one in psutil.process_iter() if str(folder) in " ".join(one.cmdline())]
            begun, after_first = time.monotonic(), 0.0
            for number in range(1, associations + 1):
                associate(receiving.port, instances)
                if number in (100, FIRST) or number % max(FIRST, associations // 10) == 0:
                    each = [one.memory_info().rss / 1e6 for one in family]
                    resident = sum(each)
                    after_first = resident if number == FIRST else after_first
                    rate = number * instances / (time.monotonic() - begun)
                    descriptors = sum(one.num_fds() for one in family)
                    threads = sum(one.num_threads() for one in family)
                    by_process = ", ".join(f"{one:.1f}" for one in each)
                    print(
                        f"{number} associations, {number * instances} instances: {resident:.1f} MB resident ({by_process}),"
                        f" {descriptors} descriptors, {threads} threads, {rate:.0f} instances/s",
                        flush=True,
                    )
            time.sleep(2)
            resident = sum(one.memory_info().rss for one in family) / 1e6
            change = 100 * (resident / after_first - 1) if after_first else 0.0
            print(f"at the end {resident:.1f} MB resident, {change:+.1f} % of what it was after the first {FIRST}")
            sys.exit(change > 5)


def associate(port: int, instances: int) -> None:
    study, series = generate_uid(), generate_uid()
    with Requestor(port, (Context(CT, (EXPLICIT,)),), timeout_s=PATIENCE_S) as requestor:
        requestor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        requestor.associate()
        for number in range(1, instances + 1):
            uid = generate_uid()
            requestor.command(1, command_set.store_request(number, CT, uid))
            requestor.data(1, image(uid, study, series), last=True)
            if requestor.response().number(command_set.STATUS) != 0:
                raise SystemExit("an instance was refused")
        requestor.send(upper_layer.RELEASE_REQUEST)
        requestor.receive()


def image(uid: str, study: str, series: str) -> bytes:
    """A small data set in Explicit VR Little Endian, its elements in order of their tags."""
    elements = [
        (0x0008, 0x0016, b"UI", CT.encode()),
        (0x0008, 0x0018, b"UI", uid.encode()),
        (0x0008, 0x0060, b"CS", b"CT"),
        (0x0020, 0x000D, b"UI", study.encode()),
        (0x0020, 0x000E, b"UI", series.encode()),
    ]
    encoded = b""
    for group, element, vr, value in elements:
        padded = value + b"\0" * (len(value) % 2)
        encoded += group.to_bytes(2, "little") + element.to_bytes(2, "little") + vr + len(padded).to_bytes(2, "little") + padded
    pixels = bytes(1024)
    return encoded + b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels


if __name__ == "__main__":
    main()
