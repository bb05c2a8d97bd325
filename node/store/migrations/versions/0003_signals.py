"""What is said about studies beside their images; revisions that were read as they stood."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("receiving_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("revisions", sa.Column("incomplete", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f("ix_instances_sop_instance_uid"), "instances", ["sop_instance_uid"], unique=False)
    op.create_table(
        "signals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("uid", "kind", "study_uid", name=op.f("uq_signals_uid_kind_study_uid")),
    )
    op.create_index(op.f("ix_signals_study_uid"), "signals", ["study_uid"], unique=False)
    op.create_index(op.f("ix_signals_at"), "signals", ["at"], unique=False)
    op.create_table(
        "signal_instances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("signal_id", sa.Integer(), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_signal_instances_signal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal_instances")),
    )
    op.create_index(op.f("ix_signal_instances_signal_id"), "signal_instances", ["signal_id"], unique=False)
    op.create_index(op.f("ix_signal_instances_sop_instance_uid"), "signal_instances", ["sop_instance_uid"], unique=False)


def downgrade() -> None:
    op.drop_table("signal_instances")
    op.drop_table("signals")
    op.drop_index(op.f("ix_instances_sop_instance_uid"), "instances")
    op.drop_column("revisions", "incomplete")
    op.drop_column("studies", "receiving_since")
