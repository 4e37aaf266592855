"""The tables, as SQLAlchemy Core: types that mean the same on SQLite and PostgreSQL.

Times are seconds since the epoch. The migrations in ``migrations/versions`` create the same tables; a test
compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

problems = sa.Table(
    "problems",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

lints = sa.Table(
    "lints",
    metadata,
    sa.Column("problem_digest", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(40), primary_key=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("problem_digest", sa.String(64), sa.ForeignKey("problems.digest"), nullable=False),
    sa.Column("strategy", sa.String(60), nullable=False),
    sa.Column("budget", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("best", sa.String(64)),
    sa.Column("kernel", sa.String(100)),
    sa.Column("spent", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("next_sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.String(200)),
    sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
)
sa.Index("ix_runs_created_at", runs.c.created_at)

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("language", sa.String(20), nullable=False),
    sa.Column("proposer", sa.String(100), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("candidate_digest", sa.String(64), primary_key=True),
    sa.Column("effort", sa.String(20), primary_key=True),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("ratio", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
)
