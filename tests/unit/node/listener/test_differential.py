"""What the listener takes for a message is what pynetdicom takes for one, however it is cut, mixed, broken off or mutilated.

``scripts/fuzz-intake`` sends as many mutilated streams as wanted; here are as many as a quick test may take.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from node import command_set, upper_layer
from node.command_set import AFFECTED_SOP_INSTANCE_UID, MESSAGE_ID_RESPONDED_TO, STATUS, Command
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.store.part10 import read_head
from node.store.settings import Limits, Settings
from tests.unit.node.listener import streams
from tests.unit.node.listener.encoded import CT, DEFLATED, EXPLICIT, encode, image
from tests.unit.node.listener.test_session import CONTEXTS, eventually

STREAMS = int(os.environ.get("OVERREAD_FUZZ_STREAMS", "0"))
FIRST_STREAM = int(os.environ.get("OVERREAD_FUZZ_FIRST", "0"))
PATIENCE_S = 600.0
"""Nothing here is about time, and the machine that runs 100,000 streams may stop for a while."""
MR_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture(scope="module")
def synced_by_nobody() -> Iterator[None]:
    """Durability has tests of its own; here the disk would only take the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, synced_by_nobody: None) -> Iterator[Listener]:
    data = tmp_path_factory.mktemp("differential") / "data"
    limits = Limits(disk_reserve_mb=0, associations=200, idle_s=PATIENCE_S, negotiation_s=PATIENCE_S)
    listener = Listener(Settings(data=data, host="127.0.0.1", port=0, limits=limits), MemoryIntake())
    listener.start()
    yield listener
    listener.stop(drain_s=0.5)


@dataclass
class Outcome:
    """What a stream led to."""

    responses: list[Command] = field(default_factory=list)
    ended_by: int = 0
    """Type of the PDU that ended it; 0 where the connection was closed without."""


def play(listener: Listener, stream: bytes, cuts: list[int] | None = None, how: str = "shut") -> Outcome:
    """Send a stream on a new association, and read until the listener ends it."""
    outcome = Outcome()
    with Requestor(listener.port, CONTEXTS, timeout_s=PATIENCE_S) as requestor:
        requestor.associate()
        requestor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it may have been aborted by then
            for piece in streams.cut(stream, cuts or []):
                requestor.send(piece)
            if how == "reset":
                requestor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return outcome
            if how == "abort":
                requestor.send(upper_layer.ABORT)
            requestor.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while True:
                kind, body = requestor.receive()
                if kind != upper_layer.P_DATA_TF:
                    outcome.ended_by = kind
                    return outcome
                fragments = [bytes(fragment) for _, _, fragment in upper_layer.data_values(memoryview(body))]
                outcome.responses.append(command_set.decode(b"".join(fragments)))
    return outcome


def stored(listener: Listener) -> dict[str, bytes]:
    """Data set by SOP Instance UID, of all that is in the spool, which is emptied."""
    found = {}
    for path in (listener.spool.root / "in").rglob("*.dcm"):
        with path.open("rb") as file:
            uid = read_head(file).sop_instance_uid
            found[uid if ".v" not in path.name else f"{uid} {path.name}"] = file.read()
        path.unlink()
    return found


def temporaries(listener: Listener) -> list[Path]:
    return list((listener.spool.root / "tmp").rglob("*.part"))


def quiet(listener: Listener) -> bool:
    return eventually(lambda: listener.open_connections == 0)


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["store", "store", "deflated", "echo", "find"]),
        st.lists(st.integers(0, 200), max_size=5),
        st.lists(st.integers(0, 900), max_size=6),
        st.integers(0, 3000),
    ),
    min_size=1,
    max_size=5,
)


def message(number: int, kind: str, length: int) -> tuple[int, bytes, bytes | None]:
    """Context, command and data set."""
    if kind == "echo":
        return 3, command_set.echo_request(number, "1.2.840.10008.1.1"), None
    if kind == "find":
        elements: dict[int, bytes | str | int] = {0x00000002: MR_FIND, 0x00000100: 0x0020, 0x00000110: number, 0x00000700: 0}
        return 1, command_set.encode({**elements, 0x00000800: 1}), b"\x08\x00\x52\x00CS\x06\x00STUDY "
    made = image(number, pixels=bytes([number]) * (2 * length))
    content = encode(made, DEFLATED if kind == "deflated" else EXPLICIT)
    return 5 if kind == "deflated" else 1, command_set.store_request(number, CT, f"1.2.3.4.{number}"), content


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(MESSAGES, st.lists(st.integers(1, 6), max_size=30), st.lists(st.integers(0, 4000), max_size=12))
def test_messages_are_those_that_pynetdicom_reads(
    target: Listener, messages: list[tuple[str, list[int], list[int], int]], together: list[int], cuts: list[int]
) -> None:
    values = []
    for number, (kind, command_cuts, data_cuts, length) in enumerate(messages, 1):
        context_id, command, data_set = message(number, kind, length)
        values += streams.values_of(context_id, command, data_set, (command_cuts, data_cuts))
    stream, counts = b"", iter(together)
    while values:
        count = next(counts, 1)
        stream += streams.pdu(values[:count])
        values = values[count:]
    told, _ = streams.read_by_pynetdicom(stream)
    assert len(told) == len(messages)

    outcome = play(target, stream + upper_layer.RELEASE_REQUEST, cuts)
    assert outcome.ended_by == upper_layer.A_RELEASE_RP
    answered = [(one.field, one.number(MESSAGE_ID_RESPONDED_TO), one.number(STATUS)) for one in outcome.responses]
    assert answered == [(0x8000 | one.field, one.message_id, 0x0211 if one.field == 0x0020 else 0) for one in told]
    assert stored(target) == {one.sop_instance_uid: one.data_set for one in told if one.field == command_set.C_STORE_RQ}
    assert temporaries(target) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["shut", "abort", "reset"]))
@example(seed=3, share=0.3671875, how="abort")
@example(seed=1, share=0.6328125, how="abort")
def test_what_is_broken_off_anywhere_is_not_kept(target: Listener, seed: int, share: float, how: str) -> None:
    chance = random.Random(seed)
    whole = streams.store_stream(objects(3), chance)
    part = whole[: int(len(whole) * share)]
    outcome = play(target, part, [len(part) // 2], how)
    assert quiet(target)
    told = {one.sop_instance_uid: one.data_set for one in streams.read_by_pynetdicom(part)[0]}
    # where a fragment was underway, the first bytes of an abort are the fragment's, and may make it whole
    sent = part + upper_layer.ABORT if how == "abort" else part
    filled = {one.sop_instance_uid: one.data_set for one in streams.read_by_pynetdicom(sent)[0]}
    kept = stored(target)
    assert kept.items() <= filled.items()
    if how != "reset":
        assert told.items() <= kept.items()
        assert len(told) <= len(outcome.responses) <= len(filled)
    assert temporaries(target) == []


@pytest.mark.parametrize("longest", [4096, 16384, 65536, 262144, 524288])
@pytest.mark.parametrize("size", [2, 4094, 131072, 700_002])
def test_any_length_of_pdu(target: Listener, longest: int, size: int) -> None:
    content = encode(image(pixels=os.urandom(size)))
    step = longest - 6
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    stream = streams.pdu([(1, 3, command_set.store_request(1, CT, "1.2.3.4.1"))])
    stream += b"".join(streams.pdu([(1, 2 if at == len(pieces) - 1 else 0, piece)]) for at, piece in enumerate(pieces))
    outcome = play(target, stream + upper_layer.RELEASE_REQUEST)
    assert [one.number(STATUS) for one in outcome.responses] == [0]
    assert stored(target) == {"1.2.3.4.1": content}


def objects(count: int) -> list[tuple[int, str, str, bytes]]:
    return [
        (5 if number == 2 else 1, CT, f"1.2.3.4.{number}", encode(image(number), DEFLATED if number == 2 else EXPLICIT))
        for number in range(1, count + 1)
    ]


def check_fuzzed(target: Listener, seed: int) -> None:
    """No stream, whatever was done to it, is answered with a success that pynetdicom does not read as a whole message."""
    chance = random.Random(seed)
    stream = streams.mutated(streams.store_stream(objects(2), chance) + upper_layer.RELEASE_REQUEST, chance)
    outcome = play(target, stream)
    told, stopped_by = streams.read_by_pynetdicom(stream)
    data_sets = {one.data_set for one in told}
    succeeded = [
        one.text(AFFECTED_SOP_INSTANCE_UID)
        for one in outcome.responses
        if one.number(STATUS) == 0 and one.field == command_set.C_STORE_RSP
    ]
    kept = stored(target)
    kept_uids = {name.split(" ")[0] for name in kept}
    # pynetdicom reads no further than a command that it does not know, or that does not say whether a data set follows
    if not stopped_by.startswith("KeyError") and "CommandDataSetType" not in stopped_by:
        assert set(kept.values()) <= data_sets, f"seed {seed}: kept what pynetdicom does not read as a data set"
    assert set(succeeded) <= kept_uids, f"seed {seed}: success for what is not kept"


def left_behind(target: Listener) -> tuple[int, int, int]:
    """Threads, descriptors and unfinished files when nothing is open."""
    assert quiet(target)
    gc.collect()
    return threading.active_count(), psutil.Process().num_fds(), len(temporaries(target))


def fuzz(target: Listener, first: int, count: int) -> None:
    check_fuzzed(target, first)
    before = left_behind(target)
    for seed in range(first + 1, first + count):
        check_fuzzed(target, seed)
    after = left_behind(target)
    assert after[0] <= before[0] + 1, "threads stay behind"
    assert after[1] <= before[1] + 3, "descriptors stay behind"
    assert after[2] == 0, "files stay behind"


def test_mutilated_streams(target: Listener) -> None:
    fuzz(target, 0, 400)


@pytest.mark.parametrize("seed", [1_026_563, 1_028_002])
def test_streams_that_were_once_taken_for_whole(target: Listener, seed: int) -> None:
    """1,026,563: a command whose Message ID is two numbers. 1,028,002: a data set that begins like the head of a file."""
    check_fuzzed(target, seed)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_mutilated_streams(target: Listener, capfd: pytest.CaptureFixture[str]) -> None:
    """As many as ``OVERREAD_FUZZ_STREAMS`` says; memory, too, stays where it was after the first thousand."""
    count = STREAMS or 20_000
    process = psutil.Process()
    fuzz(target, 1_000_000 + FIRST_STREAM, min(count, 1000))
    begun = process.memory_info().rss
    for first in range(FIRST_STREAM + 1000, FIRST_STREAM + count, 1000):
        fuzz(target, 1_000_000 + first, 1000)
        with capfd.disabled():
            print(f"{first + 1000} streams, {process.memory_info().rss / 1e6:.0f} MB", flush=True)  # noqa: T201
    assert process.memory_info().rss < begun * 1.1
