"""Reading and writing runs.

Every write to a run goes through :meth:`Store._fenced`: one transaction that first advances the run's
sequence under the writer's fence. So events are numbered without gaps, and what belongs together (a candidate
and the event that announces it) is there wholly or not at all.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from kopt.store import schema
from kopt.store.engine import open_engine
from kopt.store.errors import LeaseLost, RunBusy, RunNotFound
from kopt.store.lease import LEASE_SECONDS, Lease, is_gone, this_process
from kopt.store.records import Event, RunRecord, RunStatus, StoredEvaluation
from kopt.words import Candidate, Evaluation, Problem, from_json, to_json


class Store:
    """The database behind runs. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open and, where needed, create or migrate the database at the SQLAlchemy ``url``.

        Raises:
            StoreError: it cannot be opened.
        """
        self.engine = open_engine(url)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self.engine.connect().execution_options(kopt_reading=True) as connection:
            yield connection

    def _insert_new(self, connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
        """Insert unless the primary key exists; tell whether a row was added."""
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
        return connection.execute(statement).rowcount == 1

    # Problems and their lint

    def save_problem(self, problem: Problem) -> None:
        """Remember a problem, once per digest."""
        with self.engine.begin() as connection:
            self._insert_new(
                connection,
                schema.problems,
                digest=problem.digest,
                name=problem.name[:200],
                document=to_json(problem),
                created_at=time.time(),
            )

    def problem(self, digest: str) -> Problem:
        """The problem with that digest, as it was when first seen.

        Raises:
            RunNotFound: it is not in the store.
        """
        with self._read() as connection:
            query = sa.select(schema.problems.c.document).where(schema.problems.c.digest == digest)
            document = connection.execute(query).scalar()
        if document is None:
            raise RunNotFound(f"no problem with digest {digest} in {self.engine.url}")
        return from_json(Problem, document)

    def lint(self, problem: str, version: str) -> Mapping[str, Any] | None:
        """The cached lint report of a problem digest, made by that version of the lint."""
        table = schema.lints
        with self._read() as connection:
            query = sa.select(table.c.document).where(
                table.c.problem_digest == problem, table.c.version == version
            )
            document: Mapping[str, Any] | None = connection.execute(query).scalar()
        return document

    def save_lint(self, problem: str, version: str, report: Mapping[str, Any]) -> None:
        """Cache a lint report; an older one of the same version is replaced."""
        table = schema.lints
        with self.engine.begin() as connection:
            connection.execute(
                sa.delete(table).where(table.c.problem_digest == problem, table.c.version == version)
            )
            self._insert_new(
                connection,
                table,
                problem_digest=problem,
                version=version,
                document=to_json(report),
                created_at=time.time(),
            )

    # Runs

    def create_run(
        self,
        problem: Problem,
        *,
        strategy: str,
        budget: Mapping[str, float | None],
        options: Mapping[str, Any],
    ) -> str:
        """Create a run and return its id."""
        self.save_problem(problem)
        run, now = secrets.token_hex(4), time.time()
        with self.engine.begin() as connection:
            connection.execute(
                sa.insert(schema.runs).values(
                    id=run,
                    problem_digest=problem.digest,
                    strategy=strategy,
                    budget=to_json(budget),
                    options=to_json(options),
                    status=RunStatus.INTERRUPTED.value,
                    spent={},
                    created_at=now,
                    updated_at=now,
                )
            )
        return run

    def runs(self, limit: int = 50) -> list[RunRecord]:
        """The newest runs first."""
        with self._read() as connection:
            query = self._select_runs().order_by(schema.runs.c.created_at.desc()).limit(limit)
            return [_run_record(row) for row in connection.execute(query).mappings()]

    def run(self, name: str) -> RunRecord:
        """The run whose id is, or uniquely begins with, ``name``.

        Raises:
            RunNotFound: none or several.
        """
        with self._read() as connection:
            query = self._select_runs().where(schema.runs.c.id.startswith(name, autoescape=True)).limit(3)
            rows = connection.execute(query).mappings().all()
        if not name or not rows:
            raise RunNotFound(f"no run {name!r}; `kopt runs list` shows those there are")
        if len(rows) > 1:
            raise RunNotFound(f"several runs begin with {name!r}; give more of the id")
        return _run_record(rows[0])

    @staticmethod
    def _select_runs() -> sa.Select[Any]:
        return sa.select(schema.runs, schema.problems.c.name.label("problem")).join(
            schema.problems, schema.problems.c.digest == schema.runs.c.problem_digest
        )

    def remove_run(self, run: str) -> None:
        """Delete a run with everything recorded for it.

        Raises:
            RunBusy: a live process works on it.
        """
        with self.lease(run), self.engine.begin() as connection:
            for table in (schema.events, schema.evaluations, schema.candidates):
                connection.execute(sa.delete(table).where(table.c.run_id == run))
            connection.execute(sa.delete(schema.runs).where(schema.runs.c.id == run))

    def lease(self, run: str) -> Lease:
        """Take the run for this process.

        Raises:
            RunBusy: a live process holds it.
            RunNotFound: there is no such run.
        """
        table, owner = schema.runs, this_process()
        with self.engine.begin() as connection:
            row = connection.execute(
                sa.select(table.c.owner, table.c.lease_until, table.c.fence)
                .where(table.c.id == run)
                .with_for_update()
            ).first()
            if row is None:
                raise RunNotFound(f"no run {run!r}; `kopt runs list` shows those there are")
            if row.owner is not None and not is_gone(row.owner, row.lease_until):
                pid = row.owner.split(" ")[1]
                raise RunBusy(
                    f"run {run} is being worked on by process {pid}; stop that one first, or wait for it"
                )
            fence = row.fence + 1
            connection.execute(
                sa.update(table)
                .where(table.c.id == run)
                .values(owner=owner, fence=fence, lease_until=time.time() + LEASE_SECONDS)
            )
        return Lease(run, fence, self._renew, self._release)

    def _renew(self, lease: Lease) -> bool:
        return self._update_lease(lease, lease_until=time.time() + LEASE_SECONDS)

    def _release(self, lease: Lease) -> None:
        self._update_lease(lease, owner=None, lease_until=0.0)

    def _update_lease(self, lease: Lease, **values: Any) -> bool:
        table = schema.runs
        with self.engine.begin() as connection:
            statement = sa.update(table).where(table.c.id == lease.run, table.c.fence == lease.fence)
            return connection.execute(statement.values(**values)).rowcount == 1

    # Writing under a lease

    @contextlib.contextmanager
    def _fenced(
        self, lease: Lease, kind: str, payload: Mapping[str, Any], **run: Any
    ) -> Iterator[sa.Connection]:
        """One transaction that appends an event, updates the run and whatever the caller adds.

        Raises:
            LeaseLost: another process took the run over.
        """
        table, now = schema.runs, time.time()
        with self.engine.begin() as connection:
            sequence = connection.execute(
                sa.update(table)
                .where(table.c.id == lease.run, table.c.fence == lease.fence)
                .values(next_sequence=table.c.next_sequence + 1, updated_at=now, **run)
                .returning(table.c.next_sequence)
            ).scalar()
            if sequence is None:
                lease.lost = True
                raise LeaseLost(f"run {lease.run} was taken over by another process; this one stops")
            connection.execute(
                sa.insert(schema.events).values(
                    run_id=lease.run, sequence=sequence, at=now, kind=kind, payload=to_json(payload)
                )
            )
            yield connection

    def append(self, lease: Lease, kind: str, payload: Mapping[str, Any]) -> None:
        """Append an event to the run's history."""
        with self._fenced(lease, kind, payload):
            pass

    def set_status(
        self,
        lease: Lease,
        status: RunStatus,
        *,
        reason: str = "",
        best: str | None = None,
        kernel: str | None = None,
        spent: Mapping[str, float] | None = None,
    ) -> None:
        """Change how the run stands, with an event ``run.<status>`` that says the same."""
        values: dict[str, Any] = {"status": status.value, "reason": reason, "best": best, "kernel": kernel}
        payload = dict(values)
        if spent is not None:
            values["spent"] = payload["spent"] = to_json(spent)
        with self._fenced(lease, f"run.{status.value}", payload, **values):
            pass

    def set_budget(self, lease: Lease, budget: Mapping[str, float | None]) -> None:
        """Give the run another budget, as ``kopt runs resume --budget-seconds`` does."""
        with self._fenced(lease, "run.budget", budget, budget=to_json(budget)):
            pass

    def save_spending(self, lease: Lease, spent: Mapping[str, float]) -> None:
        """Record what the run has spent so far, when something else than an evaluation was paid for."""
        with self._fenced(lease, "run.spent", {"spent": spent}, spent=to_json(spent)):
            pass

    def save_candidate(self, lease: Lease, candidate: Candidate, effort: str) -> int:
        """Record that a candidate is about to be evaluated; return its number in the run, from 1."""
        table, digest = schema.candidates, candidate.digest
        payload = {"candidate": digest, "effort": effort, "proposer": candidate.proposer}
        with self._fenced(lease, "candidate.proposed", payload) as connection:
            known = sa.select(table.c.number).where(table.c.run_id == lease.run, table.c.digest == digest)
            number = connection.execute(known).scalar()
            if number is None:
                last = sa.select(sa.func.max(table.c.number)).where(table.c.run_id == lease.run)
                number = (connection.execute(last).scalar() or 0) + 1
                connection.execute(
                    sa.insert(table).values(
                        run_id=lease.run,
                        digest=digest,
                        number=number,
                        language=candidate.language.value,
                        proposer=candidate.proposer[:100],
                        document=to_json(candidate),
                        created_at=time.time(),
                    )
                )
        return int(number)

    def save_evaluation(
        self, lease: Lease, evaluation: Evaluation, effort: str, *, spent: Mapping[str, float]
    ) -> None:
        """Record an evaluation together with what the run has spent so far."""
        gain = evaluation.gain
        payload = {
            "candidate": evaluation.candidate,
            "effort": effort,
            "verdict": evaluation.verdict,
            "reason": evaluation.reason,
            "gain": gain,
            "spent": spent,
        }
        with self._fenced(lease, "candidate.evaluated", payload, spent=to_json(spent)) as connection:
            self._insert_new(
                connection,
                schema.evaluations,
                run_id=lease.run,
                candidate_digest=evaluation.candidate,
                effort=effort,
                verdict=evaluation.verdict.value,
                ratio=gain.ratio if gain else None,
                seconds=evaluation.seconds,
                document=to_json(evaluation),
                created_at=time.time(),
            )

    # Reading a run

    def evaluations(self, run: str) -> list[StoredEvaluation]:
        """A run's evaluations in the order they were made."""
        made, proposed = schema.evaluations, schema.candidates
        query = (
            sa.select(made, proposed.c.number, proposed.c.proposer, proposed.c.document.label("candidate"))
            .join(
                proposed,
                sa.and_(proposed.c.run_id == made.c.run_id, proposed.c.digest == made.c.candidate_digest),
            )
            .where(made.c.run_id == run)
            .order_by(made.c.created_at)
        )
        with self._read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            StoredEvaluation(
                candidate=row["candidate_digest"],
                number=row["number"],
                proposer=row["proposer"],
                effort=row["effort"],
                evaluation=from_json(Evaluation, row["document"]),
                notes=row["candidate"].get("notes", {}),
                created_at=row["created_at"],
            )
            for row in rows
        ]

    def candidate(self, run: str, digest: str) -> Candidate:
        """One of a run's candidates.

        Raises:
            RunNotFound: the run has none with that digest.
        """
        table = schema.candidates
        with self._read() as connection:
            query = sa.select(table.c.document).where(table.c.run_id == run, table.c.digest == digest)
            document = connection.execute(query).scalar()
        if document is None:
            raise RunNotFound(f"run {run} has no candidate {digest[:12]}")
        return from_json(Candidate, document)

    def numbered(self, run: str, number: int) -> str | None:
        """The digest of a run's candidate by its number, or None."""
        table = schema.candidates
        with self._read() as connection:
            query = sa.select(table.c.digest).where(table.c.run_id == run, table.c.number == number)
            digest: str | None = connection.execute(query).scalar()
        return digest

    def events(self, run: str, after: int = 0) -> list[Event]:
        """A run's events with a sequence above ``after``."""
        table = schema.events
        query = (
            sa.select(table).where(table.c.run_id == run, table.c.sequence > after).order_by(table.c.sequence)
        )
        with self._read() as connection:
            rows = connection.execute(query).mappings().all()
        return [Event(sequence=r["sequence"], at=r["at"], kind=r["kind"], payload=r["payload"]) for r in rows]


def _run_record(row: sa.RowMapping) -> RunRecord:
    status = RunStatus(row["status"])
    if status is RunStatus.RUNNING and (row["owner"] is None or is_gone(row["owner"], row["lease_until"])):
        status = RunStatus.STOPPED
    return RunRecord(
        id=row["id"],
        problem_digest=row["problem_digest"],
        problem=row["problem"],
        strategy=row["strategy"],
        budget=row["budget"],
        options=row["options"],
        status=status,
        reason=row["reason"],
        best=row["best"],
        kernel=row["kernel"],
        spent=row["spent"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        owner=row["owner"],
    )
