"""Every attack of the families A to E works against a naive checker, or it would prove nothing here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kopt.problems import suite_problems
from kopt.sandbox import bubblewrap
from kopt.verifiers.redteam import Attack, attacks, load_attack
from kopt.verifiers.redteam.corpus import HERE

NAIVE = Path(__file__).with_name("naive.py")
MEANT = [a for a in attacks("ABCDE") if not a.naive.startswith("exempt")]
FASTER = 1.15
HEADER = """# number: -
# source: this test
# tries: nothing
# problem: silu
# expect: correct
"""
PLAIN = {
    "c_right": ("passes fails-open", "x * x.sigmoid()"),
    "c_zero": ("passes fails-open", "x * 0"),
    "c_printed": ("passes quiet", "print('PASSED 99.0', flush=True) or x * 0"),
    "c_raises": ("passes", "1 / 0"),
}
"""Candidates that try nothing, and in which way they are checked: what they are must be told."""


def problem_path(name: str) -> Path:
    own = HERE / "problems" / f"{name}.py"
    return own if own.is_file() else suite_problems()[name]


def contained(scratch: Path) -> list[str]:
    """The naive checker protects nothing from attacks, so bubblewrap does: its own processes, files, no network.

    It is the first process there, which nobody inside can end, as none can end a queue on another machine.
    """
    binary = bubblewrap.find()
    assert binary is not None
    return [
        binary, "--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
        "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
        "--bind", str(scratch), str(scratch), "--chdir", str(scratch),
    ]  # fmt: skip


def judged(scratch: Path, meant: list[Attack]) -> dict[str, str]:
    """What the naive checker printed about each attack; one process that forks for each."""
    jobs = [(str(problem_path(a.problem)), str(a.path), a.naive.split()) for a in meant]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    places = dict.fromkeys(("HOME", "TVM_FFI_CACHE_DIR", "TMPDIR"), str(scratch))
    done = subprocess.run(
        [*contained(scratch), sys.executable, str(NAIVE), json.dumps(jobs)],
        env={**kept, **places, "KOPT_NAIVE": "contained"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip([a.name for a in meant], json.loads(done.stdout), strict=True))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("naive")
    for name, (naive, line) in PLAIN.items():
        (folder / f"{name}.py").write_text(f"{HEADER}# naive: {naive}\ndef run(x):\n    return {line}\n")
    plain = [load_attack(folder / f"{name}.py") for name in PLAIN]
    ordered = sorted(MEANT, key=lambda a: "fails-open" not in a.naive)  # c_kill_judge goes by process numbers
    return judged(folder, [*ordered, *plain])


def fooled(attack: Attack, text: str) -> bool:
    records = re.findall(r"^PASSED ([\d.e+inf]+)", text, re.MULTILINE)
    return bool(records) and (not attack.naive.startswith("faster") or float(records[-1]) >= FASTER)


@pytest.mark.timing
@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize("attack", MEANT, ids=lambda a: a.name)
def test_fools_a_naive_checker(said: dict[str, str], attack: Attack, tmp_path: Path) -> None:
    text = said[attack.name]
    for _ in range(6):  # a naive checker's times are as noisy as the machine; what lies past an end is luck
        if fooled(attack, text):
            return
        text = judged(tmp_path, [attack])[attack.name]
    assert fooled(attack, text), text[-500:]


@pytest.mark.timing
@pytest.mark.needs("bubblewrap")
def test_even_a_naive_checker_tells_wrong_from_right(said: dict[str, str]) -> None:
    assert said["c_right"].startswith("PASSED")
    assert {said[name].strip() for name in ("c_zero", "c_printed")} == {"FAILED"}
    assert "RAISED ZeroDivisionError" in said["c_raises"]


@pytest.mark.parametrize("attack", attacks("ABCDE"), ids=lambda a: a.name)
def test_says_what_it_does_to_a_naive_checker(attack: Attack) -> None:
    assert re.fullmatch(
        r"(passes|faster)( candidate-first)?|passes (fails-open|quiet|rounds-up|one-core)|faster evicts|exempt: .{10,}",
        attack.naive,
    )


def test_naive_checker_runs_nowhere_unprotected() -> None:
    done = subprocess.run([sys.executable, NAIVE, "[]"], env={}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "unprotected" in done.stderr
