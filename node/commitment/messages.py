"""The data sets of storage commitment (PS3.4 sections J.3.2.1.1 and J.3.3.1.1), written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from node.data_set import write_data_set
from node.store.attributes import text, values
from node.store.commitment import COMMITTED, Failure, Outcome, Reference
from node.store.errors import NotUnderstood
from node.store.spool import check_uid

SOP_CLASS: Final = "1.2.840.10008.1.20.1"
SOP_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known instance that all requests and reports are of."""
REQUEST_COMMITMENT: Final = 1
"""Action Type ID."""
ALL_COMMITTED: Final = 1
FAILURES_EXIST: Final = 2
"""Event Type IDs."""


def write_request(transaction_uid: str, references: Sequence[Reference], transfer_syntax_uid: str) -> bytes:
    """Action Information of a request."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = [_item(one) for one in references]
    return write_data_set(dataset, transfer_syntax_uid)


def read_request(dataset: Dataset) -> tuple[str, tuple[Reference, ...]]:
    """Transaction UID and references of a request.

    Raises
    ------
    NotUnderstood
        Where either is missing or not well formed.
    """
    transaction_uid = _transaction(dataset)
    references = tuple(dict.fromkeys(_reference(item) for item in values(dataset, "ReferencedSOPSequence")))
    if not references:
        raise NotUnderstood("ReferencedSOPSequence is missing or empty")
    return transaction_uid, references


def write_report(
    transaction_uid: str, references: Sequence[Reference], outcome: Outcome, transfer_syntax_uid: str
) -> tuple[int, bytes]:
    """Event Type ID and Event Information of a report; a reference without an outcome counts as a processing failure."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    reasons = [(one, outcome.get(one.sop_instance_uid, int(Failure.PROCESSING_FAILURE))) for one in references]
    good = [_item(one) for one, reason in reasons if reason == COMMITTED]
    bad = []
    for one, reason in reasons:
        if reason != COMMITTED:
            item = _item(one)
            item.FailureReason = reason
            bad.append(item)
    if good:
        dataset.ReferencedSOPSequence = good
    if bad:
        dataset.FailedSOPSequence = bad
    return FAILURES_EXIST if bad else ALL_COMMITTED, write_data_set(dataset, transfer_syntax_uid)


def read_report(dataset: Dataset) -> tuple[str, dict[str, int]]:
    """Transaction UID and outcome of a report; what is named as failed counts as failed, whatever else is said of it.

    Raises
    ------
    NotUnderstood
        Where it is not well formed.
    """
    outcome = {_reference(item).sop_instance_uid: COMMITTED for item in values(dataset, "ReferencedSOPSequence")}
    for item in values(dataset, "FailedSOPSequence"):
        reason = text(item, "FailureReason")
        known = reason.isdigit() and int(reason) != COMMITTED
        outcome[_reference(item).sop_instance_uid] = int(reason) if known else int(Failure.PROCESSING_FAILURE)
    return _transaction(dataset), outcome


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _reference(item: object) -> Reference:
    if not isinstance(item, Dataset):
        raise NotUnderstood("a reference is none")
    uids = (text(item, "ReferencedSOPClassUID"), text(item, "ReferencedSOPInstanceUID"))
    return Reference(check_uid(uids[0]), check_uid(uids[1]))


def _transaction(dataset: Dataset) -> str:
    uid = text(dataset, "TransactionUID")
    if not uid:
        raise NotUnderstood("TransactionUID is missing")
    return check_uid(uid)
