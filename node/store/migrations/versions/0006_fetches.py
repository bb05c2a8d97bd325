"""Studies that are fetched from archives, and which of them are priors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fetches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("archive", sa.String(length=128), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetches")),
        sa.UniqueConstraint("study_uid", "what", "archive", name=op.f("uq_fetches_study_uid_what_archive")),
    )
    op.create_index("ix_fetches_state_due_at", "fetches", ["state", "due_at"], unique=False)
    op.create_table(
        "priors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("of_study_uid", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_priors")),
        sa.UniqueConstraint("study_uid", "of_study_uid", name=op.f("uq_priors_study_uid_of_study_uid")),
    )
    op.create_index(op.f("ix_priors_study_uid"), "priors", ["study_uid"], unique=False)


def downgrade() -> None:
    op.drop_table("priors")
    op.drop_table("fetches")
