"""Our reader of association requests and pynetdicom's say the same, to the byte of the answer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import AllStoragePresentationContexts, build_context

from node.listener import request
from node.listener.negotiation import Negotiated, negotiate, negotiate_by_pynetdicom
from node.store.errors import NotUnderstood
from node.upper_layer import MOST_CONTEXTS, Context, associate_request, number_contexts

CLASSES = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
SYNTAXES = [str(syntax) for syntax in ALL_TRANSFER_SYNTAXES]
OTHERS = [
    "1.2.840.10008.1.1",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.1.20.1",
    "1.2.840.10008.3.1.2.3.3",
    "1.2.826.0.1.9.9",
]
TITLES = st.from_regex(r"\A[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?\Z")
CONTEXTS = st.lists(
    st.builds(
        Context, st.sampled_from([*CLASSES, *OTHERS]), st.lists(st.sampled_from(SYNTAXES), min_size=1, max_size=6).map(tuple)
    ),
    min_size=1,
    max_size=MOST_CONTEXTS,
)


def by(reader: object, pdu: bytes) -> Negotiated | None:
    assert callable(reader)
    try:
        found = reader(pdu)
    except NotUnderstood:
        return None
    assert isinstance(found, Negotiated)
    return found


@settings(max_examples=150, deadline=None)
@given(TITLES, TITLES, CONTEXTS, st.sampled_from([0, 4096, 16384, 131072, 0xFFFFFFFF]))
def test_plain_requests_are_read_here_and_answered_alike(
    calling: str, called: str, contexts: list[Context], longest: int
) -> None:
    pdu = associate_request(calling, called, number_contexts(contexts), longest)
    assert request.decode(pdu) is not None
    assert negotiate(pdu) == negotiate_by_pynetdicom(pdu)


PLAIN = associate_request(
    "CALLING", "CALLED", number_contexts([Context(CLASSES[0], tuple(SYNTAXES[:3])), Context(OTHERS[0], (SYNTAXES[0],))]), 16384
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=600, deadline=None)
@given(st.data())
def test_broken_requests_are_read_alike(data: st.DataObject) -> None:
    pdu = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, len(pdu) - 1), st.integers(min(74, len(pdu) - 1), len(pdu) - 1)))
        match data.draw(st.sampled_from(["change", "drop", "double", "cut"])):
            case "change":
                pdu[place] = data.draw(
                    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 0x10, 0x20, 0x30, 0x40, 0x50, 0x51]))
                )
            case "drop":
                del pdu[place]
            case "double":
                pdu.insert(place, pdu[place])
            case "cut":
                del pdu[max(place, 10) :]
    if data.draw(st.booleans()):  # most faults lie deeper than a wrong length
        pdu[2:6] = (len(pdu) - 6).to_bytes(4, "big")
    assert by(negotiate, bytes(pdu)) == by(negotiate_by_pynetdicom, bytes(pdu))


def test_what_pynetdicom_itself_sends() -> None:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    contexts = [build_context(uid, SYNTAXES) for uid in CLASSES[:128]]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16382
    implementation.implementation_class_uid = AE().implementation_class_uid
    primitive.user_information = [longest, implementation]
    pdu = A_ASSOCIATE_RQ(primitive).encode()
    assert request.decode(pdu) is not None
    assert negotiate(pdu) == negotiate_by_pynetdicom(pdu)


@pytest.mark.parametrize(
    "item", [b"\x54\x00\x00\x0b\x00\x07" + b"1.2.3.4" + b"\x01\x01", b"\x53\x00\x00\x04\x00\x01\x00\x01", b"\x99\x00\x00\x00"]
)
def test_what_is_not_plain_is_left_to_pynetdicom(item: bytes) -> None:
    pdu = bytearray(PLAIN)
    at = pdu.rindex(b"\x51\x00\x00\x04") - 2
    pdu[at : at + 2] = (int.from_bytes(pdu[at : at + 2], "big") + len(item)).to_bytes(2, "big")
    pdu += item
    pdu[2:6] = (len(pdu) - 6).to_bytes(4, "big")
    assert request.decode(bytes(pdu)) is None
    assert by(negotiate, bytes(pdu)) == by(negotiate_by_pynetdicom, bytes(pdu))


def test_the_largest_request_is_read_in_a_fraction_of_the_time() -> None:
    contexts = [Context(uid, tuple(SYNTAXES)) for uid in CLASSES[:128]]
    pdu = associate_request("CALLING", "CALLED", number_contexts(contexts), 16384)

    def least_s(reader: object) -> float:
        times = []
        for _ in range(5):
            begun = time.thread_time()
            by(reader, pdu)
            times.append(time.thread_time() - begun)
        return min(times)

    assert least_s(negotiate) < least_s(negotiate_by_pynetdicom) / 3
