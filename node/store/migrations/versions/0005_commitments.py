"""Requests to commit instances: those made to us, and those that we make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("requestor", sa.String(length=16), nullable=False),
        sa.Column("called_ae", sa.String(length=16), nullable=False),
        sa.Column("policy", sa.String(length=140), nullable=False),
        sa.Column("association_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("registrar", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_uid", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
    )
    op.create_index(op.f("ix_commitments_transaction_uid"), "commitments", ["transaction_uid"], unique=False)
    op.create_index(op.f("ix_commitments_association_id"), "commitments", ["association_id"], unique=False)
    op.create_index("ix_commitments_state_due_at", "commitments", ["state", "due_at"], unique=False)
    op.create_table(
        "commitment_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("failure", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitments.id"], name=op.f("fk_commitment_items_commitment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_items")),
    )
    op.create_index(op.f("ix_commitment_items_commitment_id"), "commitment_items", ["commitment_id"], unique=False)
    op.create_index(op.f("ix_commitment_items_sop_instance_uid"), "commitment_items", ["sop_instance_uid"], unique=False)
    op.create_table(
        "asked_commitments",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.String(length=128), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("transaction_uid", name=op.f("pk_asked_commitments")),
    )


def downgrade() -> None:
    for name in ("asked_commitments", "commitment_items", "commitments"):
        op.drop_table(name)
