"""What keeps files is asked of every old study, once a minute: by indexes."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from node.store.catalog.reasons import REASONS, Ages
from node.store.catalog.tables import studies
from node.store.records import Removed

AGES = Ages(datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 2, 4, tzinfo=UTC))
CASES = [(what, reason) for what, reasons in REASONS.items() for reason in reasons]


@pytest.mark.parametrize(("what", "reason"), CASES, ids=lambda case: getattr(case, "says", case))
def test_no_reason_reads_a_table_from_end_to_end(empty_catalog: Path, what: Removed, reason) -> None:  # type: ignore[no-untyped-def]
    del what
    asked = sa.select(studies.c.id).where(studies.c.id == 1, sa.not_(reason.holds(AGES)))
    sql = str(asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with sqlite3.connect(empty_catalog) as database:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert not [step for step in plan if step.startswith("SCAN ") and step != "SCAN CONSTANT ROW"], plan
