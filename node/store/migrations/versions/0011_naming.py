"""Result objects of the same kind whose series are named as their destination says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("result_objects", sa.Column("naming", sa.String(8), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("result_objects", "naming")
