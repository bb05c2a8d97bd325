"""Events that are counted: what was turned away, and how often."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("times", sa.Integer(), server_default="1", nullable=False))
    op.add_column("events", sa.Column("last_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_events_kind_at", "events", ["kind", "at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_events_kind_at", table_name="events")
    op.drop_column("events", "last_at")
    op.drop_column("events", "times")
