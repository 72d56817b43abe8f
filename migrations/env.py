"""Run migrations on the connection that `guardian.adapters.sql.schema` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from guardian.adapters.sql.tables import SQLModel

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
