"""What alembic runs: the revisions, over the connection that it was given."""

from __future__ import annotations

from alembic import context

from node.store.catalog.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
