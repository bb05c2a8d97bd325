from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom import Dataset

from tests.unit.workers.encode.samples import identity
from workers.encode.equipment import clip, local_time

AT = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        ("+0900", "20260103083000+0900"),
        ("-0330", "20260102200000-0330"),
        ("", "20260102233000+0000"),
        ("+99:9", "20260102233000+0000"),
        ("+AB00", "20260102233000+0000"),
        ("+9900", "20260102233000+0000"),
    ],
)
def test_the_time_is_in_the_zone_of_the_source_where_it_states_a_legal_one(offset: str, said: str) -> None:
    target = Dataset()
    target.TimezoneOffsetFromUTC = offset
    assert local_time(target, identity(created_at=AT)).strftime("%Y%m%d%H%M%S%z") == said


def test_long_texts_are_clipped_and_backslashes_go() -> None:
    assert clip("a\\b  c") == "a/b c"
    assert len(clip("word " * 40)) <= 64
    assert clip("word " * 40).endswith("...")
