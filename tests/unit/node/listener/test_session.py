"""What the listener answers, to the letter: by a scripted peer that may break any rule."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import command_set, upper_layer
from node.command_set import AFFECTED_SOP_INSTANCE_UID, ERROR_COMMENT, MESSAGE_ID_RESPONDED_TO, STATUS
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.store import spool
from node.store.part10 import read_head
from node.store.reserve import Reserve
from node.upper_layer import Context
from tests.unit.node.listener.conftest import Start
from tests.unit.node.listener.encoded import CT, DEFLATED, EXPLICIT, IMPLICIT, contributing, encode, image

VERIFICATION = "1.2.840.10008.1.1"
CONTEXTS = (Context(CT, (EXPLICIT,)), Context(VERIFICATION, (IMPLICIT,)), Context(CT, (DEFLATED,)))


def stored_files(listener: Listener) -> list[Path]:
    return sorted((listener.spool.root / "in").rglob("*.dcm"))


def temporaries(listener: Listener) -> list[Path]:
    return list((listener.spool.root / "tmp").rglob("*.part"))


def eventually(condition: object, within_s: float = 15.0) -> bool:
    assert callable(condition)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def requestor(listener: Listener) -> Iterator[Requestor]:
    with Requestor(listener.port, CONTEXTS) as made:
        made.associate()
        yield made


def store(
    requestor: Requestor, content: bytes, uid: str = "1.2.3.4.1", sop_class: str = CT, context_id: int = 1
) -> command_set.Command:
    requestor.command(context_id, command_set.store_request(7, sop_class, uid))
    half = len(content) // 4 * 2
    requestor.data(context_id, content[:half], last=False)
    requestor.data(context_id, content[half:], last=True)
    return requestor.response()


def test_stores_bytes_as_received_under_a_head_of_our_own(listener: Listener, requestor: Requestor, intake: MemoryIntake) -> None:
    content = encode(image())
    response = store(requestor, content)
    assert response.number(STATUS) == 0
    assert response.field == command_set.C_STORE_RSP
    assert response.number(MESSAGE_ID_RESPONDED_TO) == 7
    assert response.text(AFFECTED_SOP_INSTANCE_UID) == "1.2.3.4.1"
    [path] = stored_files(listener)
    assert path.relative_to(listener.spool.root).as_posix() == "in/1.2.3/1.2.3.4/1.2.3.4.1.dcm"
    with path.open("rb") as file:
        head = read_head(file)
        assert file.read() == content
    assert (head.source_ae, head.receiving_ae, head.transfer_syntax_uid) == ("SCRIPT", "OVERREAD", EXPLICIT)
    assert eventually(lambda: intake.arrivals)
    [arrival] = intake.arrivals.values()
    assert (arrival.calling_ae, arrival.study_uid, arrival.modality, arrival.own_result) == ("SCRIPT", "1.2.3", "CT", False)
    assert arrival.size_bytes == path.stat().st_size
    assert arrival.association_id in intake.open_associations


@pytest.mark.parametrize("name", ["Yamada^Tarou=山田^太郎", "Hong^Gildong=洪^吉洞=홍^길동"])
def test_names_of_any_script_stay_byte_for_byte(listener: Listener, requestor: Requestor, name: str) -> None:
    made = image()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName = name
    content = encode(made)
    assert name.encode() in content
    assert store(requestor, content).number(STATUS) == 0
    assert stored_files(listener)[0].read_bytes().endswith(content)


def test_an_object_without_pixels_is_stored(listener: Listener, requestor: Requestor) -> None:
    assert store(requestor, encode(image(pixels=b""))).number(STATUS) == 0
    assert len(stored_files(listener)) == 1


def test_a_deflated_data_set_stays_deflated(listener: Listener, requestor: Requestor) -> None:
    content = encode(image(), DEFLATED)
    assert store(requestor, content, context_id=5).number(STATUS) == 0
    assert stored_files(listener)[0].read_bytes().endswith(content)


def without(keyword: str) -> bytes:
    made = image()
    delattr(made, keyword)
    return encode(made)


BAD = {
    "not DICOM": (b"\x89PNG\r\n\x1a\n" + bytes(range(200)), "1.2.3.4.1", CT, 0xC000),
    "nothing": (b"", "1.2.3.4.1", CT, 0xC000),
    "truncated in its pixels": (encode(image())[:-20], "1.2.3.4.1", CT, 0xC000),
    "truncated deflated": (encode(image(), DEFLATED)[:-9], "1.2.3.4.1", CT, 0xC000),
    "another instance than announced": (encode(image()), "1.2.3.4.9", CT, 0xA900),
    "another class than announced": (encode(image()), "1.2.3.4.1", "1.2.840.10008.5.1.4.1.1.4", 0xA900),
    "no study": (without("StudyInstanceUID"), "1.2.3.4.1", CT, 0xA900),
    "no series": (without("SeriesInstanceUID"), "1.2.3.4.1", CT, 0xA900),
    "a way out in the command": (encode(image()), "../../../etc/x", CT, 0x0117),
    "an absolute path in the command": (encode(image()), "/etc/x", CT, 0x0117),
    "no SOP instance in the command": (encode(image()), "", CT, 0x0117),
    "a SOP class that is no UID": (encode(image()), "1.2.3.4.1", "CT", 0x0122),
    "the file meta information of its file": (
        b"\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0" + encode(image()),
        "1.2.3.4.1",
        CT,
        0xC000,
    ),
    "a whole file": (bytes(128) + b"DICM" + encode(image()), "1.2.3.4.1", CT, 0xC000),
    "an element longer than the data set": (encode(image()).replace(b"CS\2\0CT", b"CS\2\xf0CT"), "1.2.3.4.1", CT, 0xC000),
    "verification as a SOP class": (encode(image()), "1.2.3.4.1", VERIFICATION, 0x0122),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_kept_is_refused_alone(listener: Listener, requestor: Requestor, intake: MemoryIntake, case: str) -> None:
    content, uid, sop_class, expected = BAD[case]
    response = store(requestor, content, uid, sop_class, context_id=5 if "deflated" in case else 1)
    assert response.number(STATUS) == expected
    assert 0 < len(response.text(ERROR_COMMENT)) <= 64
    assert stored_files(listener) == []
    assert temporaries(listener) == []
    assert store(requestor, encode(image(2)), "1.2.3.4.2").number(STATUS) == 0, "the next on the same association does not suffer"
    assert eventually(lambda: intake.arrivals)
    assert eventually(lambda: intake.tallies)
    assert [kind for kind, _ in intake.tallies] == ["object refused"]
    assert "Doe" not in str(intake.tallies)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("uid", ["../../../../tmp/x", "1.2/3", "1..2", ".", "1" * 65])
def test_a_way_out_in_the_data_set_makes_no_file(
    listener: Listener, requestor: Requestor, tmp_path: Path, keyword: str, uid: str
) -> None:
    made = image()
    content = encode(made)
    old = made[keyword].value.encode()
    padded, new = old + b"\0" * (len(old) % 2), uid.encode() + b"\0" * (len(uid) % 2)
    head = {"StudyInstanceUID": b"\x20\x00\x0d\x00UI", "SeriesInstanceUID": b"\x20\x00\x0e\x00UI"}[keyword]
    before = head + struct.pack("<H", len(padded)) + padded
    assert before in content
    content = content.replace(before, head + struct.pack("<H", len(new)) + new)
    assert store(requestor, content).number(STATUS) == 0xC000
    assert list(tmp_path.rglob("*.dcm")) == []
    assert temporaries(listener) == []


def test_a_full_disk_is_said(start: Start, intake: MemoryIntake) -> None:
    listener = start()
    free = 200_000_000
    listener.spool.reserve = Reserve(listener.spool.root, 100_000_000, lambda _folder: free)
    with Requestor(listener.port, CONTEXTS) as requestor:
        requestor.associate()
        assert store(requestor, encode(image())).number(STATUS) == 0
        free = 99_000_000
        assert eventually(lambda: not listener.spool.has_room())
        assert store(requestor, encode(image(2)), "1.2.3.4.2").number(STATUS) == 0xA700
        free = 101_000_000
        assert eventually(listener.spool.has_room)
        assert store(requestor, encode(image(2)), "1.2.3.4.2").number(STATUS) == 0, "intake goes on by itself"
    assert len(stored_files(listener)) == 2
    assert temporaries(listener) == []
    assert eventually(lambda: any(kind == "disk full" for kind, *_ in intake.tallies))


def test_nobody_is_let_in_to_a_full_disk_but_for_an_echo(start: Start, intake: MemoryIntake) -> None:
    listener = start()
    free = 99_000_000
    listener.spool.reserve = Reserve(listener.spool.root, 100_000_000, lambda _folder: free)
    with Requestor(listener.port) as requestor:
        contexts = upper_layer.number_contexts(CONTEXTS)
        requestor.send(upper_layer.associate_request("SCRIPT", "OVERREAD", contexts, 16384))
        assert requestor.receive() == (upper_layer.A_ASSOCIATE_RJ, bytes((0, 2, 3, 2))), "transient, local limit exceeded"
    with Requestor(listener.port, (Context(VERIFICATION, (IMPLICIT,)),)) as requestor:
        requestor.associate()
    assert eventually(lambda: any("make room there" in detail for _, detail in intake.tallies))
    free = 101_000_000
    assert eventually(listener.spool.has_room)
    with Requestor(listener.port, CONTEXTS) as requestor:
        requestor.associate()


def test_the_same_again_is_success_and_nothing_new(listener: Listener, requestor: Requestor, intake: MemoryIntake) -> None:
    content = encode(image())
    assert store(requestor, content).number(STATUS) == 0
    with Requestor(listener.port, CONTEXTS, calling_ae="OTHER", called_ae="ALIAS") as other:
        other.associate()
        assert store(other, content).number(STATUS) == 0
    assert len(stored_files(listener)) == 1
    assert eventually(lambda: len(intake.batches) == 2)
    assert len(intake.arrivals) == 1
    assert intake.events == []


def test_other_content_under_the_same_uid_is_the_next_version(
    listener: Listener, requestor: Requestor, intake: MemoryIntake
) -> None:
    contents = [encode(image(pixels=bytes([value]) * 64)) for value in (1, 2, 3, 2)]
    assert [store(requestor, content).number(STATUS) for content in contents] == [0, 0, 0, 0]
    assert [path.name for path in stored_files(listener)] == ["1.2.3.4.1.dcm", "1.2.3.4.1.v2.dcm", "1.2.3.4.1.v3.dcm"]
    assert eventually(lambda: len(intake.arrivals) == 3)
    assert [arrival.version for arrival in intake.arrivals.values()] == [1, 2, 3]
    assert eventually(lambda: len(intake.events) == 2)
    assert {(kind, study) for kind, _, study in intake.events} == {("new version", "1.2.3")}


def test_the_same_content_in_another_syntax_is_another_version(listener: Listener, requestor: Requestor) -> None:
    assert store(requestor, encode(image())).number(STATUS) == 0
    assert store(requestor, encode(image(), DEFLATED), context_id=5).number(STATUS) == 0
    assert len(stored_files(listener)) == 2


def test_objects_whose_data_set_names_no_sop_are_taken_at_the_word_of_the_command(
    listener: Listener, requestor: Requestor
) -> None:
    made = image()
    made.SOPInstanceUID = made.SOPClassUID = ""
    assert store(requestor, encode(made), "1.9.9").number(STATUS) == 0
    assert [path.name for path in stored_files(listener)] == ["1.9.9.dcm"]


@pytest.mark.parametrize("manufacturer", ["Overread", "OVERREAD ", "overread"])
@pytest.mark.parametrize("place", ["equipment", "contributing"])
def test_our_own_results_are_known_by_their_equipment(
    requestor: Requestor, intake: MemoryIntake, manufacturer: str, place: str
) -> None:
    made = image()
    if place == "equipment":
        made.Manufacturer = manufacturer
    else:
        made.ContributingEquipmentSequence = contributing(manufacturer)
    assert store(requestor, encode(made)).number(STATUS) == 0
    assert eventually(lambda: intake.arrivals)
    assert [arrival.own_result for arrival in intake.arrivals.values()] == [True]


def test_our_own_results_are_known_by_their_uid(requestor: Requestor, intake: MemoryIntake) -> None:
    intake.made.add("1.2.3.4.1")
    assert store(requestor, encode(image())).number(STATUS) == 0
    assert eventually(lambda: intake.arrivals)
    assert [arrival.own_result for arrival in intake.arrivals.values()] == [True]


def test_the_catalog_hears_of_the_association_before_and_after_its_images(requestor: Requestor, intake: MemoryIntake) -> None:
    for number in range(1, 6):
        assert store(requestor, encode(image(number)), f"1.2.3.4.{number}").number(STATUS) == 0
    requestor.send(upper_layer.RELEASE_REQUEST)
    assert requestor.receive()[0] == upper_layer.A_RELEASE_RP
    requestor.socket.close()
    assert eventually(lambda: intake.ended)
    assert [what for what, _ in intake.log] == ["started", "opened", *["arrived"] * 5, "closed"]
    assert list(intake.ended.values()) == ["released"]


def test_an_association_that_only_echoes_is_none_of_the_catalogs_business(requestor: Requestor, intake: MemoryIntake) -> None:
    requestor.command(3, command_set.echo_request(5, VERIFICATION))
    response = requestor.response()
    assert (response.number(STATUS), response.field, response.number(MESSAGE_ID_RESPONDED_TO)) == (0, command_set.C_ECHO_RSP, 5)
    requestor.send(upper_layer.RELEASE_REQUEST)
    assert requestor.receive()[0] == upper_layer.A_RELEASE_RP
    assert [what for what, _ in intake.log] == ["started"]


def test_other_services_are_answered_and_their_data_sets_passed_over(requestor: Requestor, listener: Listener) -> None:
    find = command_set.encode({0x00000002: CT, 0x00000100: 0x0020, 0x00000110: 3, 0x00000700: 0, 0x00000800: 1})
    requestor.command(1, find)
    requestor.data(1, encode(image()), last=True)
    response = requestor.response()
    assert (response.number(STATUS), response.field) == (0x0211, 0x8020)
    assert store(requestor, encode(image())).number(STATUS) == 0


def test_a_store_without_a_data_set_is_refused(requestor: Requestor, listener: Listener) -> None:
    command = command_set.encode({0x00000002: CT, 0x00000100: 1, 0x00000110: 3, 0x00000800: 0x0101, 0x00001000: "1.2.3.4.1"})
    requestor.command(1, command)
    assert requestor.response().number(STATUS) == 0xC000
    assert stored_files(listener) == []


def test_a_command_in_pieces_is_put_together(requestor: Requestor, listener: Listener) -> None:
    command = command_set.store_request(7, CT, "1.2.3.4.1")
    requestor.command(1, command[:20], upper_layer.COMMAND)
    requestor.command(1, command[20:])
    requestor.data(1, encode(image()), last=True)
    assert requestor.response().number(STATUS) == 0


def test_group_lengths_are_not_relied_on(requestor: Requestor, listener: Listener) -> None:
    """Those of command and data set (PS3.5 section 7.2) are wrong in what some devices send; the elements say how long they are."""
    command = command_set.store_request(7, CT, "1.2.3.4.1")
    requestor.command(1, command[:8] + struct.pack("<L", 9999) + command[12:])
    content = b"\x08\0\0\0UL\4\0" + struct.pack("<L", 1) + encode(image())
    requestor.data(1, content, last=True)
    response = requestor.response()
    assert (response.number(STATUS), response.number(MESSAGE_ID_RESPONDED_TO)) == (0, 7)
    assert stored_files(listener)[0].read_bytes().endswith(content)


def test_several_values_in_one_pdu(requestor: Requestor, listener: Listener) -> None:
    values = b""
    for control, fragment in (
        (3, command_set.store_request(7, CT, "1.2.3.4.1")),
        (0, encode(image())[:50]),
        (2, encode(image())[50:]),
    ):
        values += struct.pack(">LBB", len(fragment) + 2, 1, control) + fragment
    requestor.send(struct.pack(">BBL", upper_layer.P_DATA_TF, 0, len(values)) + values)
    assert requestor.response().number(STATUS) == 0


RESPONSE = command_set.encode({0x00000100: 0x8001, 0x00000120: 1, 0x00000800: 0x0101, 0x00000900: 0})
STORE = command_set.store_request(7, CT, "1.2.3.4.1")
TWO_IDS = command_set.encode({**command_set.decode(STORE).elements, command_set.MESSAGE_ID: b"\7\0\x08\0"})
FAULTS = {
    "an unknown PDU": struct.pack(">BBL", 0x2A, 0, 4) + b"abcd",
    "a second request": struct.pack(">BBL", 1, 0, 4) + b"abcd",
    "a PDU of 3 GB": struct.pack(">BBL", 4, 0, 3_000_000_000),
    "a data set without command": upper_layer.data_header(1, 2, 4) + b"abcd",
    "a context that was not accepted": upper_layer.data_header(99, 3, 4) + b"abcd",
    "a command that is none": upper_layer.data_header(1, 3, 9) + b"\0\0\0\0\xff\0\0\0x",
    "a value longer than its PDU": struct.pack(">BBLLBB", 4, 0, 6, 100, 1, 3),
    "a data set in another context": upper_layer.data_header(1, 3, len(STORE))
    + STORE
    + upper_layer.data_header(3, 2, 4)
    + b"abcd",
    "two numbers to answer to": upper_layer.data_header(1, 3, len(TWO_IDS)) + TWO_IDS,
    "a response": upper_layer.data_header(3, 3, len(RESPONSE)) + RESPONSE,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_breaking_the_protocol_is_answered_with_an_abort(requestor: Requestor, listener: Listener, fault: str) -> None:
    requestor.send(FAULTS[fault])
    kind, _ = requestor.receive()
    assert kind == upper_layer.A_ABORT
    assert requestor.receive() == (0, b"")
    assert eventually(lambda: listener.open_connections == 0)


@pytest.mark.parametrize("how", ["abort", "close", "reset"])
def test_an_object_that_is_broken_off_is_not_kept(
    listener: Listener, requestor: Requestor, intake: MemoryIntake, how: str
) -> None:
    assert store(requestor, encode(image())).number(STATUS) == 0
    content = encode(image(2))
    requestor.command(1, command_set.store_request(8, CT, "1.2.3.4.2"))
    requestor.data(1, content[:100], last=False)
    if how == "abort":
        requestor.send(upper_layer.ABORT)
    elif how == "reset":
        requestor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    requestor.socket.close()
    assert eventually(lambda: intake.ended)
    assert list(intake.ended.values()) == ["aborted" if how == "abort" else "lost"]
    assert [path.name for path in stored_files(listener)] == ["1.2.3.4.1.dcm"], "what was acknowledged stays"
    assert temporaries(listener) == []
    assert [kind for kind, _, _ in intake.events] == ["broken off"]
    assert eventually(lambda: listener.open_connections == 0)


@pytest.mark.parametrize(
    ("call", "number"), [("write", errno.ENOSPC), ("write", errno.EIO), ("fdatasync", errno.EIO), ("link", errno.ENOSPC)]
)
def test_a_disk_that_fails_is_never_answered_with_success(
    listener: Listener, requestor: Requestor, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    real = getattr(os, call)

    def failing(*arguments: object) -> object:
        if ".part" in str(Path(f"/proc/self/fd/{arguments[0]}").readlink() if isinstance(arguments[0], int) else arguments[0]):
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(spool.os, call, failing)
    assert store(requestor, encode(image())).number(STATUS) == 0xA700
    assert stored_files(listener) == []
    assert temporaries(listener) == []
    monkeypatch.undo()
    assert store(requestor, encode(image())).number(STATUS) == 0, "when there is room again, the same association goes on"
