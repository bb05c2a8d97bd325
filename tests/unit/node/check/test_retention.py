from __future__ import annotations

from datetime import UTC, datetime

from node.check.retention import say_retention
from node.store.records import KeptView
from node.store.settings import Retention

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_says_its_rules_and_what_they_came_to() -> None:
    says = say_retention(
        Retention(originals_days=30, keep_free_mb=9000, results_days=365), KeptView(2, 9, 5_000_000_000, AT, AT)
    ).says
    assert says == (
        "images of delivered studies go after 30 days; the oldest go below 9000 MB free; delivered results go after 365 days. "
        "Removed so far: 9 files of 2 studies, 5.0 GB; the oldest images here are of 2026-03-04"
    )


def test_says_that_it_is_off() -> None:
    assert say_retention(Retention(), KeptView(0, 0, 0, None, None)).says.startswith("nothing is removed: see [retention]")
