"""Which presentation contexts the listener accepts, and in which transfer syntax (PS3.8 section 7.1.1, PS3.4 section B.4).

Everything that can be stored is accepted, private and unknown SOP classes too, in every transfer syntax: storing does not
depend on decoding. The PDUs are read and written by pynetdicom.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.listener import request
from node.listener.request import Request
from node.listener.services.exchange import UNCOMPRESSED
from node.listener.services.table import SERVED
from node.store.errors import NotUnderstood
from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.uids import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    MEDIA_DIRECTORY,
    VERIFICATION,
)
from node.upper_layer import A_ASSOCIATE_AC as A_ASSOCIATE_AC_TYPE
from node.upper_layer import APPLICATION_CONTEXT

ACCEPTED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

LONGEST_PDU: Final = 131072
"""Bytes in one P-DATA-TF that we ask peers not to exceed."""

_PROTOCOL: Final = 0x0001
"""The bit of the protocol version that says this one; others are not looked at (PS3.8 section 9.3.2)."""

_BROKEN: Final = (
    AssertionError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    struct.error,
)
"""What pynetdicom raises on requests that are not well formed."""

_PREFERRED: Final = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
_CONVERTIBLE: Final = frozenset({*_PREFERRED, EXPLICIT_BIG_ENDIAN, DEFLATED_LITTLE_ENDIAN})
"""Syntaxes that every sender converts among without loss."""


class Unsupported(StrEnum):
    """What of a request makes an association impossible (PS3.8 section 9.3.2)."""

    PROTOCOL_VERSION = "protocol version"
    APPLICATION_CONTEXT = "application context"


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context that messages may use."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Negotiated:
    """An association request, answered.

    Parameters
    ----------
    contexts
        The accepted ones by id.
    answer
        The A-ASSOCIATE-AC PDU.
    longest_pdu
        Bytes that the peer takes in one P-DATA-TF; 0: any.
    refused
        Abstract syntax and result of each context that was not accepted (PS3.8 section 9.3.3.2).
    unsupported
        What of the request cannot be agreed to: the association must be rejected.
    """

    calling_ae: str
    called_ae: str
    contexts: Mapping[int, AcceptedContext]
    answer: bytes
    longest_pdu: int
    refused: tuple[tuple[str, int], ...] = ()
    unsupported: Unsupported | None = None

    @property
    def echo_only(self) -> bool:
        """Whether nothing but Verification was proposed."""
        return not self.refused and {context.sop_class_uid for context in self.contexts.values()} == {VERIFICATION}


@functools.lru_cache(maxsize=1024)
def is_storage(sop_class_uid: str) -> bool:
    """Whether objects of that class can be stored: the Storage service class, and whatever nobody knows as something else."""
    service = uid_to_service_class(sop_class_uid)
    if service is not ServiceClass:
        return service is StorageServiceClass
    uid = UID(sop_class_uid)
    unknown = uid.name == sop_class_uid
    return unknown or (uid.type == "SOP Class" and "Storage" in uid.name and sop_class_uid != MEDIA_DIRECTORY)


def choose_transfer_syntax(proposed: Sequence[str]) -> str:
    """Choose among the transfer syntaxes of one context.

    A sender that names a compressed one first most likely holds that, and many cannot convert it. Otherwise explicit little
    endian is taken if offered, because it keeps the value representation of private elements, then implicit.
    """
    if proposed[0] in _CONVERTIBLE:
        for syntax in _PREFERRED:
            if syntax in proposed:
                return syntax
    return proposed[0]


def negotiate(pdu: bytes) -> Negotiated:
    """Read an A-ASSOCIATE-RQ PDU and answer it.

    Raises
    ------
    NotUnderstood
        Where it is not well formed.
    """
    plain = request.decode(pdu)
    return negotiate_by_pynetdicom(pdu) if plain is None else _negotiate_plain(plain)


def _negotiate_plain(plain: Request) -> Negotiated:
    accepted: dict[int, AcceptedContext] = {}
    refused: list[tuple[str, int]] = []
    items = [_item(0x10, APPLICATION_CONTEXT.encode())]
    for proposal in plain.proposals:
        result, syntax = _judge(proposal.sop_class_uid, proposal.transfer_syntax_uids)
        items.append(_item(0x21, bytes((proposal.context_id, 0, result, 0)) + _item(0x40, syntax.encode())))
        if result == ACCEPTED:
            accepted[proposal.context_id] = AcceptedContext(proposal.sop_class_uid, syntax)
        else:
            refused.append((proposal.sop_class_uid, result))
    titles = plain.called_ae.encode().ljust(16) + plain.calling_ae.encode().ljust(16)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + b"".join(items) + _OURS
    answer = struct.pack(">BBL", A_ASSOCIATE_AC_TYPE, 0, len(body)) + body
    return Negotiated(plain.calling_ae, plain.called_ae, accepted, answer, plain.longest_pdu, tuple(refused))


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


_OURS: Final = _item(
    0x50,
    _item(0x51, struct.pack(">L", LONGEST_PDU))
    + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode()),
)
"""The user information item of an A-ASSOCIATE-AC (PS3.8 annex D)."""


@functools.lru_cache(maxsize=4096)
def _judge(sop_class_uid: str, syntaxes: tuple[str, ...]) -> tuple[int, str]:
    """Result of a proposed context, and its transfer syntax: the one that was accepted, or one that says nothing."""
    if sop_class_uid in SERVED:
        syntaxes = tuple(syntax for syntax in UNCOMPRESSED if syntax in syntaxes)
    syntax = choose_transfer_syntax(syntaxes) if syntaxes else IMPLICIT_LITTLE_ENDIAN
    if sop_class_uid not in {VERIFICATION, *SERVED} and not is_storage(sop_class_uid):
        return ABSTRACT_SYNTAX_NOT_SUPPORTED, syntax
    return ACCEPTED if syntaxes else TRANSFER_SYNTAXES_NOT_SUPPORTED, syntax


def negotiate_by_pynetdicom(pdu: bytes) -> Negotiated:
    """Like `negotiate`, for every request; pynetdicom reads it and writes the answer."""
    asked = A_ASSOCIATE_RQ()
    try:
        asked.decode(pdu)
        primitive = asked.to_primitive()
        proposed = primitive.presentation_context_definition_list
        calling_ae, called_ae = (title.strip(" \0") for title in (primitive.calling_ae_title, primitive.called_ae_title))
        longest_pdu = primitive.maximum_length_received or 0
        unsupported = _unsupported(asked.protocol_version, str(primitive.application_context_name or ""))
        results = [_result(context) for context in proposed]
    except _BROKEN as broken:
        raise NotUnderstood("the association request is not well formed") from broken
    accepted = {
        result.context_id: AcceptedContext(str(result.abstract_syntax), str(result.transfer_syntax[0]))
        for result in results
        if result.result == ACCEPTED
    }
    refused = tuple((str(result.abstract_syntax or ""), result.result) for result in results if result.result != ACCEPTED)
    return Negotiated(calling_ae, called_ae, accepted, _answer(primitive, results), longest_pdu, refused, unsupported)


def _unsupported(protocol_version: int, application_context: str) -> Unsupported | None:
    if not protocol_version & _PROTOCOL:
        return Unsupported.PROTOCOL_VERSION
    return None if application_context == APPLICATION_CONTEXT else Unsupported.APPLICATION_CONTEXT


def _result(proposed: Any) -> Any:
    result = PresentationContext()
    result.context_id = proposed.context_id
    result.abstract_syntax = proposed.abstract_syntax
    syntaxes = tuple(str(syntax) for syntax in proposed.transfer_syntax)
    result.result, syntax = _judge(str(proposed.abstract_syntax or ""), syntaxes)
    result.transfer_syntax = [UID(syntax)]
    return result


def _roles(request: Any) -> list[Any]:
    """Roles as proposed, for services: who reports a commitment is the SCP though it requests (PS3.7 section D.3.3.4)."""
    return [
        item
        for item in request.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and str(item.sop_class_uid) in SERVED
    ]


def _answer(request: Any, results: list[Any]) -> bytes:
    answer = A_ASSOCIATE()
    answer.application_context_name = APPLICATION_CONTEXT
    answer.calling_ae_title = request.calling_ae_title
    answer.called_ae_title = request.called_ae_title
    answer.result = 0
    answer.result_source = 1
    answer.presentation_context_definition_results_list = results
    longest = MaximumLengthNotification()
    longest.maximum_length_received = LONGEST_PDU
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    answer.user_information = [longest, implementation, version, *_roles(request)]
    return bytes(A_ASSOCIATE_AC(answer).encode())
