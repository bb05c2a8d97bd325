"""The table from faults to statuses, row by row."""

from __future__ import annotations

import pytest

from node.listener.status import STATUS, IdentityMismatch, InvalidInstanceUid, NotStorage, status_of
from node.store.errors import NotUnderstood, OverreadError, Permanent, Retryable, StorageFull
from node.store.spool import StorageFailed


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (StorageFull("x"), 0xA700),
        (StorageFailed("x"), 0xA700),
        (InvalidInstanceUid("x"), 0x0117),
        (NotStorage("x"), 0x0122),
        (IdentityMismatch("x"), 0xA900),
        (NotUnderstood("x"), 0xC000),
        (Permanent("x"), 0x0110),
        (Retryable("x"), 0x0110),
    ],
)
def test_status(fault: OverreadError, status: int) -> None:
    assert status_of(fault) == status


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    for place, (kind, _) in enumerate(STATUS):
        assert not any(issubclass(kind, earlier) for earlier, _ in STATUS[:place])


def test_no_fault_is_success() -> None:
    assert all(status & 0xF000 in (0x0000, 0xA000, 0xC000) and status for _, status in STATUS)
