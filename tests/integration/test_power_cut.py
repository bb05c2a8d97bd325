"""The first promise on a model of the disk that forgets: whenever the power goes, what was acknowledged is there, and whole.

The system calls of a listener that receives from dcmtk's senders are recorded and replayed; at every point of the recording the
disk is cut, and what was not synced is gone, wholly or by chance. A node is started on what remains.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import struct
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from node import command_set, upper_layer
from node.command_set import AFFECTED_SOP_INSTANCE_UID, C_STORE_RSP, STATUS
from node.listener.rescan import rescan
from node.store.catalog.catalog import open_catalog
from node.store.journal import Entry, entries, is_debris, serves
from node.store.leftovers import clean
from node.store.peers import Peer
from node.store.settings import Settings
from node.store.spool import Spool
from tests.integration.disk_model import STRACE, Call, Disk, lay_out, steps
from tests.integration.test_durability import listening
from tests.unit.node.listener.encoded import EXPLICIT, image, write

STORESCU = "/usr/bin/storescu"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.promise,
    pytest.mark.peer,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path(STRACE[0]).exists(), reason="needs the Debian package strace"),
    pytest.mark.skipif(not Path(STORESCU).exists(), reason="needs the Debian package dcmtk"),
]

STUDIES = ("1.2.3", "1.2.4")
IMAGES = 6
LATER = range(11, 15)
"""Images of the last round, when there is a journal and it is empty."""
PIXELS = {"1.2.3": 40_000, "1.2.4": 5_000}
"""Bytes an image; those of the second study are small enough for the journal."""

Sent = dict[str, list[bytes]]
"""Pixels under each SOP Instance UID, in the order in which they were sent."""


def pixels(study: str, number: int, version: int) -> bytes:
    """Unmistakable, and random, so that a part is never taken for another."""
    return random.Random(f"{study} {number} {version}").randbytes(PIXELS[study])


def make(folder: Path, study: str, version: int, numbers: Sequence[int]) -> list[Path]:
    folder.mkdir()
    return [write(folder, image(number, study=study, pixels=pixels(study, number, version)), EXPLICIT) for number in numbers]


def sender(peer: Peer, files: Sequence[Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([STORESCU, "-nh", "-aet", "MODALITY", peer.host, str(peer.port), *map(str, files)])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Sent]:
    """Two senders at once; the same again, others under the same UIDs, new ones: trace, root of the disk, what was sent."""
    tmp_path = tmp_path_factory.mktemp("recorded")
    trace, data = tmp_path / "trace", tmp_path / "disk" / "data"
    data.parent.mkdir()
    sent: Sent = defaultdict(list)
    every = range(1, IMAGES + 1)
    rounds = [(1, every), (1, (2, 3)), (2, (3, 4)), (1, LATER)]
    batches = [
        [(study, version, make(tmp_path / f"{turn}-{study}", study, version, numbers)) for study in STUDIES]
        for turn, (version, numbers) in enumerate(rounds)
    ]
    with listening(data, *STRACE, "-o", str(trace)) as (process, peer):
        for turn, batch in enumerate(batches):
            if turn == len(rounds) - 1 and serves(data):
                wait_until_void(data)
            senders = [sender(peer, files) for _, _, files in batch]
            assert [one.wait(60) for one in senders] == [0, 0]
            for study, version, files in batch:
                for path in files:
                    sent[path.stem].append(pixels(study, int(path.stem.rsplit(".", 1)[1]), version))
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    return trace, data.parent, sent


def wait_until_void(data: Path) -> None:
    """Wait until no journal holds anything, so that the recording has such a moment in its middle."""
    until = time.monotonic() + 30
    while any(held for held in parts(data)):
        assert time.monotonic() < until
        time.sleep(0.1)


def parts(data: Path) -> Iterator[list[Entry]]:
    """Entries of each part of a journal."""
    found = list(data.glob("spool/tmp/*/journal-*"))
    assert found, "nothing went to a journal"
    return (list(entries(path.read_bytes())) for path in found)


def successes(call: Call) -> Iterator[str]:
    """SOP Instance UIDs whose C-STORE this call answers with success."""
    if call.name not in ("sendto", "sendmsg") or not call.path(0).startswith("TCP:"):
        return
    content = memoryview(call.content())
    while len(content) >= 6:
        kind, _, length = struct.unpack_from(">BBL", content)
        if kind == upper_layer.P_DATA_TF:
            for _, control, fragment in upper_layer.data_values(content[6 : 6 + length]):
                if control & upper_layer.COMMAND:
                    answer = command_set.decode(bytes(fragment))
                    if answer.field == C_STORE_RSP and answer.number(STATUS) == 0:
                        yield answer.text(AFFECTED_SOP_INSTANCE_UID)
        content = content[6 + length :]


def kept(left: dict[str, bytes | None]) -> dict[str, list[bytes]]:
    """Content of the instances in the spool after a start, by SOP Instance UID: what a journal holds takes its place."""
    there = {path.removeprefix("data/spool/"): content for path, content in left.items() if content is not None}
    held = sorted(entry for path, part in left.items() if "/journal-" in path and part is not None for entry in entries(part))
    for _, first, content in held:
        for number in itertools.count(1):
            name = first if number == 1 else first.replace(".dcm", f".v{number}.dcm")
            if name not in there or is_debris(there[name], content):
                there[name] = content
            if there[name] == content:
                break
    found: dict[str, list[bytes]] = defaultdict(list)
    for path, content in there.items():
        match = re.fullmatch(r"in/[0-9.]+/[0-9.]+/([0-9.]+?)(?:\.v[0-9]+)?\.dcm", path)
        if match:
            found[match[1]].append(content)
    return found


def missing(acknowledged: Counter[str], sent: Sent, left: dict[str, bytes | None]) -> list[str]:
    there = kept(left)
    return [
        uid
        for uid, count in acknowledged.items()
        if not all(any(one.endswith(wanted) for one in there[uid]) for wanted in sent[uid][:count])
    ]


def broken(sent: Sent, left: dict[str, bytes | None]) -> list[str]:
    """What a restart would take for an instance, and is none."""
    return [
        uid
        for uid, contents in kept(left).items()
        if not all(any(one.endswith(whole) for whole in sent[uid]) for one in contents)
    ]


def test_whenever_the_power_goes_what_was_acknowledged_is_there_and_whole(
    tmp_path: Path, recorded: tuple[Path, Path, Sent]
) -> None:
    trace, root, sent = recorded
    disk = Disk(root)
    acknowledged: Counter[str] = Counter()
    cuts = journalled = 0
    chance = random.Random(1)
    for place, (when, call) in enumerate(steps(trace)):
        if when == "begin":
            new = Counter(successes(call))
            acknowledged += new
            if new:  # the answer is on its way: cut right here
                cuts += 1
                for left in (disk.after_power_cut(), disk.after_power_cut(names_survive=True), disk.after_power_cut(chance)):
                    assert missing(acknowledged, sent, left) == []
                    assert broken(sent, left) == []
                if cuts in (1, IMAGES, 2 * IMAGES, 2 * IMAGES + 4, 2 * IMAGES + 12):
                    restart_on(disk.after_power_cut(), tmp_path / f"cut-{cuts}", acknowledged, sent)
                    restart_on(disk.after_power_cut(chance), tmp_path / f"torn-{cuts}", acknowledged, sent)
        journalled += when == "begin" and call.name == "pwritev2"
        disk.apply(when, call)
        if place % 20 == 0:
            left = disk.after_power_cut(chance)
            assert missing(acknowledged, sent, left) == []
            assert broken(sent, left) == []
    assert missing(acknowledged, sent, disk.after_power_cut()) == []
    assert sum(acknowledged.values()) == len(STUDIES) * (IMAGES + 4 + len(LATER))
    assert disk.syncs > len(STUDIES) * IMAGES
    assert journalled >= len(LATER) or not serves(root)
    real = {str(path.relative_to(root)): path.read_bytes() for path in (root / "data" / "spool" / "in").rglob("*.dcm")}
    assert {path: content for path, content in disk.files().items() if path.startswith("data/spool/in")} == real, (
        "the model is the disk"
    )
    assert len(real) == len(STUDIES) * (IMAGES + 2 + len(LATER))


def restart_on(left: dict[str, bytes | None], folder: Path, acknowledged: Counter[str], sent: Sent) -> None:
    """Do what a node does at its start, on what remains; every acknowledged instance is known then, and whole."""
    lay_out(left, folder)
    settings = Settings(data=folder / "data")
    catalog = open_catalog(settings)
    try:
        spool = Spool(settings.spool)
        clean(spool)
        rescan(spool, catalog.intake)
        known = set(itertools.chain.from_iterable(catalog.intake.known_paths(study) for study in STUDIES))
        contents: dict[str, bytes | None] = {f"data/spool/{path}": spool.absolute(path).read_bytes() for path in known}
        assert missing(acknowledged, sent, contents) == []
        assert broken(sent, contents) == []
        events = [kind for study in STUDIES for view in [catalog.views.study(study)] if view for _, kind, _ in view.events]
        assert "unreadable" not in events
    finally:
        catalog.close()


@pytest.mark.parametrize("forgotten", ["fdatasync", "fsync", "syncfs"])
def test_the_model_sees_a_sync_that_is_left_out(recorded: tuple[Path, Path, Sent], forgotten: str) -> None:
    """Were one of the syncs not made, the test above would fail."""
    trace, root, sent = recorded
    if forgotten == "syncfs" and not serves(root):
        pytest.skip("the file system or the kernel has no journal: see node.store.journal.serves")
    disk = Disk(root)
    acknowledged: Counter[str] = Counter()
    lost: list[str] = []
    for when, call in steps(trace):
        if when == "begin":
            new = Counter(successes(call))
            acknowledged += new
            if new:
                lost += missing(acknowledged, sent, disk.after_power_cut())
        if call.name != forgotten:
            disk.apply(when, call)
    assert lost + missing(acknowledged, sent, disk.after_power_cut())
