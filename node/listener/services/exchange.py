"""One DIMSE-N request and its response, as a service sees them: decoded, and free of the association's affairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.command_set import AFFECTED_SOP_INSTANCE_UID, REQUESTED_SOP_INSTANCE_UID, Command
from node.data_set import read_data_set
from node.listener.incoming import Sender
from node.store.attributes import text
from node.store.errors import NotUnderstood
from node.store.spool import check_uid
from node.uids import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN

LONGEST_DATA_SET: Final = 4 << 20
"""Bytes of a data set that a service takes; a step of 10,000 images needs about two million."""
UNCOMPRESSED: Final = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
"""Transfer syntaxes that services speak, the preferred one first."""

SUCCESS: Final = 0x0000
INVALID_ATTRIBUTE_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
INVALID_INSTANCE: Final = 0x0117
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_VALUE: Final = 0x0121
NO_SUCH_ACTION: Final = 0x0123
NOT_AUTHORISED: Final = 0x0124
RESOURCE_LIMITATION: Final = 0x0213
"""Statuses of PS3.7 annex C."""


class Declined(NotUnderstood):
    """A request that is answered with a failure status; the message is its Error Comment and holds no patient data."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request and its data set."""

    command: Command
    sop_class_uid: str
    data_set: Dataset
    sender: Sender

    def new_instance(self) -> tuple[str, dict[int, bytes | str | int]]:
        """UID of the instance that an N-CREATE makes, and what the response says of it: one of ours where none is named.

        Raises
        ------
        Declined
            Where what it names is no UID.
        """
        uid = _uid(self.command.text(AFFECTED_SOP_INSTANCE_UID))
        if uid:
            return uid, {}
        uid = str(generate_uid(prefix=None))
        return uid, {AFFECTED_SOP_INSTANCE_UID: uid}

    def requested_instance(self) -> str:
        """Requested SOP Instance UID; raises `Declined` where it is no UID."""
        return _uid(self.command.text(REQUESTED_SOP_INSTANCE_UID))


@dataclass(frozen=True, slots=True)
class Reply:
    """The response: its status, and elements of the command set beside it."""

    status: int = SUCCESS
    comment: str = ""
    elements: Mapping[int, bytes | str | int] = field(default_factory=dict)


def decoded(content: bytes, transfer_syntax_uid: str) -> Dataset:
    """The data set of a request.

    Raises
    ------
    Declined
        Where it cannot be decoded.
    """
    try:
        return read_data_set(content, transfer_syntax_uid)
    except NotUnderstood as broken:
        raise Declined(PROCESSING_FAILURE, str(broken)) from broken


def uid_of(dataset: Dataset, keyword: str) -> str:
    """A UID of a data set.

    Raises
    ------
    Declined
        Where it is missing, or none.
    """
    value = text(dataset, keyword)
    if not value:
        raise Declined(MISSING_VALUE if keyword in dataset else MISSING_ATTRIBUTE, f"{keyword} is missing")
    return _uid(value, INVALID_ATTRIBUTE_VALUE)


def _uid(value: str, status: int = INVALID_INSTANCE) -> str:
    try:
        return check_uid(value) if value else ""
    except NotUnderstood as none:
        raise Declined(status, "what should be a UID is none") from none
