"""What one candidate costs, and what the same costs the way public harnesses do it, side by side in one run.

* warm: a candidate in an evaluator that is already open, built before: everything but building and measuring;
* build: C++ sources nobody has built (a different constant each time);
* command: a whole ``kopt evaluate`` in a new process, its baselines known;
* public: fresh process, torch import, ``load_inline``, allclose, a timing loop; nothing of it is sandboxed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import write
from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate

HERE = Path(__file__).parent
PROBLEM = HERE / "material" / "small_silu.py"
KERNEL = HERE / "material" / "small_silu.cpp"
# As users have it: Python may keep what it compiled.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
NEED = {"warm_ms": 200.0, "build_s": 3.0, "command_s": 8.0, "ratio": 8.0}


def variant(number: int) -> Candidate:
    """The same kernel as nobody has built it yet."""
    plain = read_candidate(KERNEL)
    sources = {name: f"// variant {number} {time.time_ns()}\n{text}" for name, text in plain.sources.items()}
    return Candidate(sources=sources, language=plain.language, entry=plain.entry, style=plain.style)


def inside(home: Path) -> dict[str, Any]:
    """Warm candidates and builds, in one open evaluator."""
    warm, builds, parts = [], [], []
    with Evaluator(load(PROBLEM), settings=Settings(home=home)) as evaluator:
        evaluator.evaluate(read_candidate(KERNEL), effort=Effort.QUICK)
        for number in range(8):
            found = evaluator.evaluate(variant(number), effort=Effort.QUICK)
            assert found.correct, found.reason
            seconds = {stage.name.value: stage.seconds for stage in found.stages}
            builds.append(seconds["build"])
            warm.append(found.seconds - seconds["build"] - seconds["measure"])
            parts.append({name: round(s * 1e3, 1) for name, s in seconds.items()})
    return {
        "warm_ms": statistics.median(warm) * 1e3,
        "warm_ms_all": [round(w * 1e3, 1) for w in warm],
        "build_s": statistics.median(builds),
        "build_s_all": [round(b, 2) for b in builds],
        "stages_ms": parts,
    }


def command(home: Path, kernel: Path) -> float:
    """Seconds of one ``kopt evaluate`` in a new process."""
    start = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("kopt"), "evaluate", PROBLEM, kernel, "--json"],
        env={**ENVIRONMENT, "KOPT_HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - start
    assert json.loads(done.stdout)["verdict"] == "correct", done.stdout + done.stderr
    return seconds


def public() -> dict[str, float]:
    """Seconds of the public way, by its parts."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, HERE / "public_way.py", folder], capture_output=True, text=True, check=True,
            env={**ENVIRONMENT, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        return {"total": time.monotonic() - start, **json.loads(done.stdout.splitlines()[-1])}


def run() -> bool:
    """Measure all four in turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        figures = inside(home)
        command(home, KERNEL)  # the first learns the baselines
        commands, publics = [], []
        for number in range(3):
            kernel = home / f"kernel{number}.cpp"
            kernel.write_text(f"// {time.time_ns()}\n{KERNEL.read_text()}")
            commands.append(command(home, kernel))
            publics.append(public())
    total = statistics.median(p["total"] for p in publics)
    per_candidate = figures["warm_ms"] / 1e3 + figures["build_s"]
    figures |= {
        "command_s": statistics.median(commands),
        "command_s_all": commands,
        "public_s": total,
        "public_all": publics,
        "ratio": total / per_candidate,
        "ratio_meaning": "the public way's seconds over kopt's warm seconds plus build, per new candidate, "
        "both without measuring against baselines",
        "ratio_of_commands": total / statistics.median(commands),
        "needed": NEED,
    }
    write("cost", figures)
    print(json.dumps({k: v for k, v in figures.items() if not isinstance(v, list)}, indent=1))
    return (
        figures["warm_ms"] <= NEED["warm_ms"]
        and figures["build_s"] <= NEED["build_s"]
        and figures["command_s"] <= NEED["command_s"]
        and figures["ratio"] >= NEED["ratio"]
    )
