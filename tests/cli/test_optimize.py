"""`kopt optimize` with nothing replaced: a win, Ctrl-C, kill -9, resumption, the library, the Python API."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from cli_harness import CPP, KOPT, MODEL, kopt, leftovers, start

from kopt.settings import Settings
from kopt.store import RunStatus, Store

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]


def store_of(home) -> Store:
    return Store(Settings(home=home["KOPT_HOME"]).database_url)


def wait_for(what, process, seconds=120.0):
    """Poll until ``what()`` is true while the process lives."""
    until = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def evaluated(home) -> int:
    with store_of(home) as store:
        runs = store.runs()
        return sum(e.kind == "candidate.evaluated" for e in store.events(runs[0].id)) if runs else 0


def proposed(home) -> int:
    with store_of(home) as store:
        runs = store.runs()
        return sum(e.kind == "candidate.proposed" for e in store.events(runs[0].id)) if runs else 0


POOLING = """
import torch
batch = 4
class Model(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.max_pool2d(x, 3, 2, 1)
def get_inputs():
    return [torch.randn(batch, 16, 64, 64)]
"""


def test_from_problem_to_kernel(problem, home):
    """Max pooling: the margin over both baselines is several times what a busy machine's noise is."""
    problem.write_text(POOLING)
    done = kopt(
        "optimize", problem, "--budget-evaluations", "3", "--name", "mine", "--json", env=home, timeout=280
    )
    document = json.loads(done.stdout)
    assert {"run", "problem", "best", "kernel", "evaluated", "seconds"} <= set(document)
    assert 1 <= document["evaluated"] <= 3
    assert done.returncode == (0 if document["won"] else 1), done.stderr
    assert (document["kernel"] is not None) == document["won"]
    shown = json.loads(kopt("runs", "show", document["run"], "--json", env=home).stdout)
    assert shown["run"]["status"] == "finished" and shown["events"][-1]["kind"] == "run.finished"
    assert document["run"] in kopt("runs", "list", env=home).stdout
    assert "#include" in kopt("runs", "show", document["run"], "--source", "1", env=home).stdout
    if not document["won"]:
        pytest.skip(f"this machine is too busy to prove a win: {document['reason']}")
    low = [s["low"] for s in document["best"]["speedup"].values() if s]
    assert min(low) > 1 and document["best"]["verdict"] == "correct"
    assert "yes" in kopt("library", "list", env=home).stdout
    assert "4, 16, 64, 64" in kopt("library", "show", "mine", env=home).stdout
    assert kopt("why", "mine", "4x16x64x64", env=home).returncode == 0
    verified = json.loads(kopt("library", "verify", "mine", "--json", env=home).stdout)
    assert verified["evaluation"]["candidate"] == document["best"]["candidate"]
    other = kopt("why", "mine", "4x16x64x65", env=home)
    assert other.returncode == 1 and "was not verified" in other.stdout
    code = (
        "import torch; from kopt.kernels import load\n"
        "f = load('mine'); x = torch.randn(4, 16, 64, 64)\n"
        "assert torch.equal(f(x), torch.max_pool2d(x, 3, 2, 1)) and f.last_reason is None, f.last_reason\n"
        "assert f(x[:1]).shape == (1, 16, 32, 32) and 'not verified' in f.last_reason"
    )
    import os

    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **home}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    again = kopt("optimize", problem, "--set", "batch=2", "--name", "mine", env=home)
    assert again.returncode == 2 and "another problem" in again.stderr


def test_ctrl_c_then_resume(problem, home):
    problem.write_text(MODEL.replace("randn(rows, columns)", "randn(rows, columns, dtype=torch.float64)"))
    process = start("optimize", problem, "--budget-seconds", "600", env=home)
    wait_for(lambda: proposed(home) > evaluated(home) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=90)
    assert process.returncode == 130 and leftovers() == []
    with store_of(home) as store:
        record = store.runs()[0]
        before = {(e.candidate, e.effort): e.created_at for e in store.evaluations(record.id)}
        assert record.status is RunStatus.INTERRUPTED and before
    assert f"kopt runs resume {record.id}" in error and "Traceback" not in error
    done = kopt(
        "runs",
        "resume",
        record.id[:4],
        "--budget-evaluations",
        str(len(before) + 1),
        "--json",
        env=home,
        timeout=280,
    )
    assert done.returncode in (0, 1), done.stderr
    notes = json.loads(done.stdout)["notes"]
    assert any("no Triton kernel" in note for note in notes), "what was left out is told beside what was made"
    with store_of(home) as store:
        after = {(e.candidate, e.effort): e.created_at for e in store.evaluations(record.id)}
        assert before.items() <= after.items() and len(after) <= len(before) + 1
        assert store.run(record.id).status is RunStatus.FINISHED
    finished = kopt("runs", "resume", record.id, env=home)
    assert finished.returncode == 2 and "larger budget" in finished.stderr


def test_kill_9_loses_only_the_call_in_flight(problem, home):
    process = start("optimize", problem, "--budget-seconds", "600", env=home)
    wait_for(lambda: proposed(home) > evaluated(home) >= 1, process)
    with store_of(home) as store:
        record = store.runs()[0]
        assert record.status is RunStatus.RUNNING
    busy = kopt_while_running("runs", "resume", record.id, env=home)
    assert busy.returncode == 2 and str(process.pid) in busy.stderr
    process.kill()
    process.communicate()
    assert leftovers(20.0) == []
    with store_of(home) as store:
        assert store.run(record.id).status is RunStatus.STOPPED
        before = {(e.candidate, e.effort): e.created_at for e in store.evaluations(record.id)}
    budget = str(len(before) + 1)
    done = kopt("runs", "resume", record.id, "--budget-evaluations", budget, "--json", env=home, timeout=280)
    assert done.returncode in (0, 1), done.stderr
    assert "recalled" in done.stderr
    with store_of(home) as store:
        after = {(e.candidate, e.effort): e.created_at for e in store.evaluations(record.id)}
        assert before.items() <= after.items()


def kopt_while_running(*args, **options):
    """Like :func:`kopt`, while another one is meant to be running."""
    process = start(*args, **options)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def test_what_cannot_be_helped_is_said(problem, home):
    problem.write_text(MODEL.replace("torch.relu(x) * 2.0 + 1.0", "torch.linalg.inv(x)"))
    done = kopt("optimize", problem, "--budget-seconds", "60", "--allow-weak", env=home)
    assert done.returncode == 1, done.stderr
    assert "no faster kernel" in done.stdout and "nothing to try: aten.linalg_inv" in done.stdout


def test_the_live_panel_shows_what_it_should(problem, home, tmp_path):
    """On a terminal: best, stage, tried, budget left; checked on what `script`'s terminal received."""
    import os
    import pty
    import select

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [KOPT, "optimize", problem, "--budget-evaluations", "2", "--budget-seconds", "200"],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, **home, "COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color"},
    )
    os.close(follower)
    seen = b""
    while process.poll() is None or select.select([leader], [], [], 0)[0]:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                seen += os.read(leader, 65536)
            except OSError:
                break
    os.close(leader)
    text = seen.decode(errors="replace")
    assert process.wait() in (0, 1), text
    for word in (
        "now",
        "best",
        "tried",
        "budget",
        "of 2 evaluations left",
        "of 200 seconds left",
        "kopt runs show",
    ):
        assert word in text, text
    assert "Traceback" not in text


def test_a_kernels_own_tunables_are_searched_and_the_best_is_admitted(problem, home, tmp_path):
    kernel = tmp_path / "kernel.cpp"
    spin = "#define ROUNDS 40  // tune: 1, 40, 80\n"
    loop = "for (volatile int r = 0; r < ROUNDS * 500; r = r + 1) {}\n  const int64_t n"
    kernel.write_text(spin + CPP.replace("const int64_t n", loop))
    done = kopt("optimize", problem, "--candidate", kernel, "--budget-evaluations", 6, "--json", env=home)
    document = json.loads(done.stdout)
    assert document["evaluated"] == 3, done.stderr
    assert document["best"]["verdict"] == "correct" and "rounds=1" in done.stderr
    kernel.write_text(CPP)
    done = kopt("optimize", problem, "--candidate", kernel, env=home)
    assert done.returncode == 2 and "declares no tunables" in done.stderr
    done = kopt("optimize", problem, "--strategy", "tune", env=home)
    assert done.returncode == 2 and "--candidate FILE" in done.stderr
