"""Runs migrations on the connection that the catalogue hands over."""

from alembic import context

from services.ingest.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
