"""Which contexts are accepted, in which syntax; pynetdicom writes the requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import AllStoragePresentationContexts

from node.listener.negotiation import choose_transfer_syntax, is_storage, negotiate
from node.store.errors import NotUnderstood
from node.upper_layer import Context, associate_request, decode_accept, number_contexts
from tests.unit.node.listener.encoded import BIG_ENDIAN, CT, DEFLATED, EXPLICIT, IMPLICIT, JPEG2000

VERIFICATION = "1.2.840.10008.1.1"
PRIVATE_SYNTAX = "1.2.840.113619.5.2"


def ask(*contexts: Context) -> dict[int, tuple[int, str]]:
    """What a peer reads in the answer: result and transfer syntax by context id."""
    negotiated = negotiate(associate_request("CALLING", "CALLED", number_contexts(contexts), 16384))
    assert (negotiated.calling_ae, negotiated.called_ae, negotiated.longest_pdu) == ("CALLING", "CALLED", 16384)
    accepted = decode_accept(negotiated.answer[6:])
    assert accepted.longest_pdu == 131072
    results = dict(accepted.contexts)
    assert {number for number, (result, _) in results.items() if result == 0} == set(negotiated.contexts)
    return results


def test_every_storage_class_in_every_syntax() -> None:
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    for start in range(0, len(classes), 128):
        part = classes[start : start + 128]
        results = ask(
            *(
                Context(sop_class, (str(syntax),))
                for sop_class, syntax in zip(part, list(ALL_TRANSFER_SYNTAXES) * 9, strict=False)
            )
        )
        assert {result for result, _ in results.values()} == {0}
    for syntax in ALL_TRANSFER_SYNTAXES:
        assert ask(Context(CT, (str(syntax),))) == {1: (0, str(syntax))}


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.826.0.1.3680043.9.7433.1.1",
        "1.3.12.2.1107.5.9.1",
        "1.2.840.113619.4.27",
        "1.2.840.10008.5.1.4.1.1.6",
        "1.2.840.10008.5.1.4.99.1",
    ],
    ids=["private", "Siemens CSA", "GE", "retired", "of a later edition"],
)
def test_private_retired_and_unknown_classes_are_stored(sop_class: str) -> None:
    assert ask(Context(sop_class, (EXPLICIT,)), Context(sop_class, (PRIVATE_SYNTAX,))) == {
        1: (0, EXPLICIT),
        3: (0, PRIVATE_SYNTAX),
    }


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query, FIND
        "1.2.840.10008.5.1.4.1.2.2.2",  # MOVE
        "1.2.840.10008.3.1.2.3.4",  # MPPS Retrieve
        "1.2.840.10008.5.1.4.31",  # Modality Worklist
        "1.2.840.10008.1.3.10",  # DICOMDIR
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol Storage: of no patient and no study
    ],
)
def test_other_services_are_refused_and_cost_the_others_nothing(sop_class: str) -> None:
    assert not is_storage(sop_class)
    results = ask(Context(sop_class, (IMPLICIT,)), Context(CT, (IMPLICIT,)), Context(VERIFICATION, (IMPLICIT,)))
    assert {number: result for number, (result, _) in results.items()} == {1: 3, 3: 0, 5: 0}


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ([IMPLICIT, EXPLICIT], EXPLICIT),
        ([BIG_ENDIAN, DEFLATED, IMPLICIT], IMPLICIT),
        ([DEFLATED, BIG_ENDIAN], DEFLATED),
        ([IMPLICIT, EXPLICIT, JPEG2000], EXPLICIT),
        ([JPEG2000, EXPLICIT, IMPLICIT], JPEG2000),
        ([PRIVATE_SYNTAX, IMPLICIT], PRIVATE_SYNTAX),
    ],
)
def test_one_syntax_of_several(proposed: list[str], chosen: str) -> None:
    assert choose_transfer_syntax(proposed) == chosen
    assert ask(Context(CT, tuple(proposed))) == {1: (0, chosen)}


def test_a_context_without_transfer_syntax_is_refused_alone() -> None:
    results = ask(Context(CT, ()), Context(CT, (EXPLICIT,)))
    assert {number: result for number, (result, _) in results.items()} == {1: 4, 3: 0}


@pytest.mark.filterwarnings("ignore:(Invalid value|The value length)")
@given(st.binary(max_size=300))
def test_any_bytes_end_in_an_answer_or_a_reason(body: bytes) -> None:
    pdu = b"\x01\x00" + len(body).to_bytes(4, "big") + body
    try:
        answer = negotiate(pdu).answer
    except NotUnderstood:
        return
    assert answer[0] == 2


@pytest.mark.filterwarnings("ignore:(Invalid value|The value length)")  # of pydicom; the listener's process logs it, redacted
@given(st.integers(6, 200), st.integers(0, 255))
def test_a_damaged_request_ends_in_an_answer_or_a_reason(position: int, value: int) -> None:
    pdu = bytearray(
        associate_request("CALLING", "CALLED", number_contexts([Context(CT, (EXPLICIT,)), Context(VERIFICATION, (IMPLICIT,))]), 0)
    )
    pdu[position % len(pdu)] = value
    try:
        answer = negotiate(bytes(pdu)).answer
    except NotUnderstood:
        return
    assert answer[0] == 2
