"""The campaign itself: it sees a success where there is one, and attacks on the moment of the answer fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kopt.errors import UsageError
from kopt.settings import Settings
from kopt.verifiers import Evaluator
from kopt.verifiers.clock import Stretch
from kopt.verifiers.glance import Glance
from kopt.verifiers.layout import Layout
from kopt.verifiers.measure import scattered
from kopt.verifiers.redteam import attacks, load_attack, problem_of, run
from kopt.verifiers.redteam.campaign import judge
from kopt.verifiers.redteam.canaries import Canaries
from kopt.verifiers.ring import Ring
from kopt.words import TensorSpec, Verdict

HEADER = """# number: -
# source: this test
# tries: honest work that calls itself an attack
# problem: silu
# expect: wrong
# naive: passes
"""

HANGING = ["g_hang", "g_memory_bomb"]
# These wait for the judge's patience, or fill gigabytes; what may be correct is timed, which takes longer as well.
SLOW = [
    *HANGING,
    "g_disk_fill",
    "g_endless_build",
    "g_fork_bomb",
    "g_log_flood",
    "g_thread_bomb",
    "g_uninterruptible",
]
# What the back ends answer for themselves: mounts, users, network, what siblings share.
IN_A_CONTAINER = ["g_namespaces", "g_network_unix", "g_read_files", "g_setuid_programs", "g_sibling_scratch"]


def stopped(evaluator: Evaluator, canaries: Canaries, name: str) -> None:
    outcome = judge(evaluator, next(a for a in attacks() if a.name == name), canaries)
    assert not outcome.succeeded, outcome.stopped_by
    assert outcome.expected, (outcome.verdict, outcome.stopped_by)


@pytest.fixture(scope="module")
def canaries(settings: Settings) -> Iterator[Canaries]:
    with Canaries(settings) as planted:
        yield planted


@pytest.fixture(scope="module")
def silu(settings: Settings, uncompiled: Callable[[Evaluator], Evaluator]) -> Iterator[Evaluator]:
    with uncompiled(Evaluator(problem_of("silu"), settings=settings)) as evaluator:
        yield evaluator


def test_an_honest_answer_counts_as_success(silu: Evaluator, canaries: Canaries, tmp_path: Path) -> None:
    path = tmp_path / "a_honest.py"
    path.write_text(f"{HEADER}def run(x):\n    return x * x.sigmoid()\n")
    outcome = judge(silu, load_attack(path), canaries)
    assert outcome.succeeded
    assert outcome.verdict is Verdict.CORRECT


# What takes less than two seconds once an evaluator is open; `kopt redteam` and `python -m bench redteam` run all.
CHEAP = [
    *("a_forged_answer", "a_replaced_round", "b_part_when_timed", "c_kill_judge"),
    *(a.name for a in attacks("G") if a.name not in SLOW and Verdict.CORRECT not in a.expected),
]


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize("name", CHEAP)
def test_stopped(silu: Evaluator, canaries: Canaries, name: str) -> None:
    stopped(silu, canaries, name)


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize("name", HANGING)
def test_stopped_by_a_short_patience(silu: Evaluator, canaries: Canaries, name: str) -> None:
    usual = silu.settings
    silu.settings = usual.model_copy(update={"call_seconds": 2.0})
    try:
        stopped(silu, canaries, name)
    finally:
        silu.settings = usual


@pytest.mark.needs("docker")
def test_stopped_in_docker(docker: None, settings: Settings, canaries: Canaries) -> None:
    with Evaluator(problem_of("silu"), sandbox="docker", settings=settings) as evaluator:
        for name in IN_A_CONTAINER:
            stopped(evaluator, canaries, name)


def test_never_without_a_sandbox() -> None:
    with pytest.raises(UsageError, match="never run"):
        run([], sandbox="none")


def test_malformed_attack_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a_nothing.py"
    path.write_text("# number: 1\ndef run(x):\n    return x\n")
    with pytest.raises(UsageError, match="lacks source, tries"):
        load_attack(path)


def test_every_entry_of_the_catalogue_is_tried_or_excused() -> None:
    tried = {number for attack in attacks() for number in attack.numbers}
    assert set(range(1, 54)) - tried == {8, 53}  # CUDA graphs and what else only a GPU has


def test_attacks_are_small_files() -> None:
    assert [a.name for a in attacks() if len(a.path.read_text().splitlines()) > 40] == []


def test_command_reports_as_json(settings: Settings) -> None:
    command = [sys.executable, "-m", "kopt", "redteam", "--json"]
    chosen = ["--attack", "c_leave_at_import", "--attack", "b_cache_by_pointer"]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["tried"] == 2
    assert report["succeeded"] == []
    assert {a["verdict"] for a in report["attacks"]} == {"crashed", "wrong"}
    assert "1/2" in done.stderr


def test_command_lists_and_runs_nothing() -> None:
    command = [sys.executable, "-m", "kopt", "redteam", "--list", "--family", "G"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    listed = json.loads(done.stdout)["attacks"]
    assert [row["attack"] for row in listed] == [a.name for a in attacks("G")]
    assert all(row["family"] == "G" and row["entries"] and row["tries"] for row in listed)
    wide = {**os.environ, "COLUMNS": "300"}
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, env=wide).stdout.splitlines()
    assert len(shown) == len(listed) + 1
    assert any("g_setuid_programs" in line and " 50 " in line for line in shown)


def test_command_refuses_what_it_does_not_know() -> None:
    command = [sys.executable, "-m", "kopt", "redteam"]
    done = subprocess.run([*command, "--family", "Z"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no family Z" in done.stderr


def ring() -> Ring:
    spec = TensorSpec(name="y", shape=(1000,), dtype="float32", strides=(1,))
    return Ring(Layout.of([("input", (spec,)), ("output", (spec,))], 4))


def test_glance_sees_what_changes_after_the_answer() -> None:
    made = ring()
    made.poison(slice(0, 4))
    glance = Glance(made, Stretch(1, 2))
    glance.take()
    assert not glance.changed()
    place = made.layout.role("output")[0]
    made.slot(2)[place.offset + 3600 : place.offset + 4000] = 0  # a twentieth of two slots
    assert glance.changed()
    made.close()


def test_samples_meet_a_small_part_anywhere() -> None:
    for start in (0, 123_456, 970_000):
        indices = scattered(1_000_000, 1 << 17, 1)
        assert indices.shape[1] == 1 << 17
        assert 0 <= indices.min() <= indices.max() < 1_000_000
        assert np.any((indices >= start) & (indices < start + 30_000))
    assert scattered(100, 1000, 3).shape == (3, 100)
