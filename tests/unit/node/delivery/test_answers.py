from __future__ import annotations

import pytest

from node.delivery.answers import ANSWERS, Disposal, judge


def test_rows_do_not_overlap() -> None:
    taken: set[int] = set()
    for first, last, _, _ in ANSWERS:
        row = set(range(first, last + 1))
        assert row
        assert not taken & row
        taken |= row


@pytest.mark.parametrize(
    ("status", "disposal"),
    [
        (0x0000, Disposal.STORED),
        (0xB000, Disposal.STORED),
        (0xB006, Disposal.STORED),
        (0xB007, Disposal.STORED),
        (0x0107, Disposal.STORED),
        (0x0111, Disposal.STORED),
        (0x0110, Disposal.RETRY),
        (0xA700, Disposal.RETRY),
        (0xA702, Disposal.RETRY),
        (0xA900, Disposal.FAIL),
        (0xC000, Disposal.FAIL),
        (0xC123, Disposal.FAIL),
        (0x0122, Disposal.FAIL),
        (0x0124, Disposal.FAIL),
        (0xFE00, Disposal.RETRY),
        (0xDEAD, Disposal.RETRY),
    ],
)
def test_status_decides(status: int, disposal: Disposal) -> None:
    found, meaning = judge(status)
    assert found is disposal
    assert meaning.startswith(f"{status:04X}: ")


def test_every_status_has_one_disposal_and_only_known_ones_store() -> None:
    stored = [status for status in range(0x10000) if judge(status)[0] is Disposal.STORED]
    assert stored == [0x0000, 0x0001, 0x0107, 0x0111, 0x0116, *range(0xB000, 0xC000)]
