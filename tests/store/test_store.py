"""The store: migrations, leases, fencing, what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import sqlalchemy as sa

from kopt.store import LeaseLost, RunBusy, RunNotFound, RunStatus, Store, StoreError
from kopt.store import engine as engine_module
from kopt.store.schema import metadata
from kopt.words import (
    Candidate,
    Evaluation,
    Language,
    Problem,
    Speedup,
    StageName,
    StageRecord,
    Style,
    Verdict,
)

PROBLEM = Problem(name="toy", format="model", sources={"toy.py": "x = 1\n"}, entry="toy.py")
CANDIDATE = Candidate(
    sources={"k.cpp": "// k"},
    language=Language.CPP,
    entry="k.cpp::run",
    style=Style.DESTINATION,
    notes={"tile": 4},
)


def evaluation(candidate: Candidate = CANDIDATE, ratio: float = 2.0) -> Evaluation:
    return Evaluation(
        problem="toy",
        problem_digest=PROBLEM.digest,
        candidate=candidate.digest,
        verdict=Verdict.CORRECT,
        reason="correct",
        stages=(StageRecord(name=StageName.BUILD, passed=True, seconds=0.5),),
        speedup={"eager": Speedup(ratio=ratio, low=ratio - 0.1, high=float("inf")), "compile": None},
        sandbox={},
        environment={},
    )


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'kopt.db'}"


def new_run(store: Store) -> str:
    return store.create_run(PROBLEM, strategy="offline", budget={"seconds": 10.0}, options={})


def test_everything_comes_back(url):
    with Store(url) as store:
        run = new_run(store)
        with store.lease(run) as lease:
            store.set_status(lease, RunStatus.RUNNING)
            assert store.save_candidate(lease, CANDIDATE, "quick") == 1
            assert store.save_candidate(lease, CANDIDATE, "full") == 1
            store.save_evaluation(lease, evaluation(), "quick", spent={"seconds": 3.0, "evaluations": 1})
            assert store.run(run).status is RunStatus.RUNNING
    with Store(url) as store:
        record = store.run(run[:5])
        assert record.status is RunStatus.STOPPED and record.spent == {"seconds": 3.0, "evaluations": 1}
        assert store.problem(record.problem_digest) == PROBLEM
        (made,) = store.evaluations(run)
        assert made.evaluation == evaluation() and made.effort == "quick" and made.notes == {"tile": 4}
        assert store.candidate(run, CANDIDATE.digest) == CANDIDATE
        events = store.events(run)
        assert [e.sequence for e in events] == [1, 2, 3, 4]
        assert [e.kind for e in events][1:] == [
            "candidate.proposed",
            "candidate.proposed",
            "candidate.evaluated",
        ]
        assert store.events(run, after=3)[0].payload["gain"]["ratio"] == 2.0


def test_migrations_make_the_schema_and_head_is_the_newest(url):
    with Store(url) as store:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        with store.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option(
        "script_location", str(engine_module.Path(engine_module.__file__).parent / "migrations")
    )
    assert ScriptDirectory.from_config(config).get_current_head() == engine_module.HEAD


def test_a_newer_database_is_refused_in_one_line(url):
    with Store(url) as store, store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer kopt") as caught:
        Store(url)
    assert "\n" not in str(caught.value)


def test_unusable_urls(tmp_path):
    for bad in ("nonsense", "sqlite:////proc/kopt.db"):
        with pytest.raises(StoreError, match="KOPT_"):
            Store(bad)


def test_run_names(url):
    with Store(url) as store:
        for name in ("", "zz", "%"):
            with pytest.raises(RunNotFound):
                store.run(name)


def test_two_processes_cannot_hold_a_run(url):
    with Store(url) as store:
        run = new_run(store)
        with store.lease(run), pytest.raises(RunBusy, match=str(os.getpid())):
            store.lease(run)
        store.lease(run).close()


def test_a_lost_lease_cannot_write(url):
    with Store(url) as store:
        run = new_run(store)
        lease = store.lease(run)
        with store.engine.begin() as connection:  # as if this process had been asleep past its lease
            connection.execute(sa.text("UPDATE runs SET lease_until = 0"))
        with store.lease(run) as other:
            with pytest.raises(LeaseLost):
                store.append(lease, "late", {})
            store.append(other, "timely", {})
        assert [e.kind for e in store.events(run)] == ["timely"]
        lease.close()


def test_killed_process_leaves_whole_history_and_a_free_run(url):
    program = textwrap.dedent(
        """
        import sys
        from kopt.store import Store, RunStatus
        from kopt.words import *
        store = Store(sys.argv[1])
        problem = Problem(name="toy", format="model", sources={"toy.py": "x = 1"}, entry="toy.py")
        run = store.create_run(problem, strategy="offline", budget={}, options={})
        lease = store.lease(run)
        store.set_status(lease, RunStatus.RUNNING)
        print(run, flush=True)
        n = 0
        while True:
            n += 1
            store.append(lease, "tick", {"n": n})
            print(n, flush=True)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    run = child.stdout.readline().strip()
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in child.stdout.read().split()]
    child.wait()
    with Store(url) as store:
        assert store.run(run).status is RunStatus.STOPPED
        ticks = [e.payload["n"] for e in store.events(run) if e.kind == "tick"]
        assert ticks == list(range(1, len(ticks) + 1)) and len(ticks) >= max(acknowledged)
        store.lease(run).close()  # taken over at once, without waiting for the lease to expire


def test_concurrent_opening_migrates_once(url):
    program = "import sys; from kopt.store import Store; Store(sys.argv[1]).runs()"
    children = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]


def test_lint_cache_and_removal(url):
    with Store(url) as store:
        assert store.lint(PROBLEM.digest, "1") is None
        store.save_lint(PROBLEM.digest, "1", {"usable": True})
        store.save_lint(PROBLEM.digest, "1", {"usable": False})
        assert store.lint(PROBLEM.digest, "1") == {"usable": False}
        assert store.lint(PROBLEM.digest, "2") is None
        run = new_run(store)
        with store.lease(run) as lease:
            store.save_candidate(lease, CANDIDATE, "quick")
            with pytest.raises(RunBusy):
                store.remove_run(run)
        store.remove_run(run)
        assert store.runs() == []
