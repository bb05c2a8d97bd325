"""What retention removes: files go, rows stay and say when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_removals_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removals")),
    )
    op.create_index(op.f("ix_removals_study_id"), "removals", ["study_id"], unique=False)
    op.create_index(op.f("ix_removals_ended_at"), "removals", ["ended_at"], unique=False)
    op.add_column("studies", sa.Column("originals_removed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_studies_originals_removed_at_last_arrival_at", "studies", ["originals_removed_at", "last_arrival_at"], unique=False
    )
    op.add_column("instances", sa.Column("removal_id", sa.Integer(), nullable=True))
    op.add_column("instances", sa.Column("sha256", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_instances_removal_id"), "instances", ["removal_id"], unique=False)
    op.add_column("result_objects", sa.Column("removal_id", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_result_objects_removal_id"), "result_objects", ["removal_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_result_objects_removal_id"), "result_objects")
    op.drop_column("result_objects", "removal_id")
    op.drop_index(op.f("ix_instances_removal_id"), "instances")
    op.drop_column("instances", "sha256")
    op.drop_column("instances", "removal_id")
    op.drop_index("ix_studies_originals_removed_at_last_arrival_at", "studies")
    op.drop_column("studies", "originals_removed_at")
    op.drop_table("removals")
