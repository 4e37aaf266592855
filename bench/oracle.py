"""The oracle: which wrong answers pass, over every problem shipped and benchmarked.

``kopt lint`` of each problem tries its mutants with the judge's own verification. Killed mutants are the oracle's
strength; each survivor is named, with the reason the lint gives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.record import write
from kopt.problems import suite_problems


def lint(problem: Path, home: str) -> dict[str, Any]:
    """The lint's report of one problem."""
    done = subprocess.run(
        [Path(sys.executable).with_name("kopt"), "lint", problem, "--json"],
        env={**os.environ, "KOPT_HOME": home}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        return {"problem": problem.stem, "exit": done.returncode, "error": done.stderr.strip()}
    report = json.loads(done.stdout)
    mutants = report["mutants"]
    return {
        "problem": problem.stem,
        "exit": done.returncode,
        "tried": len(mutants),
        "killed": sum(not m["passed"] for m in mutants),
        "survivors": [{"name": m["name"], "why": m.get("why", "")} for m in mutants if m["passed"]],
        "mutants": [m["name"] for m in mutants],
    }


def run() -> bool:
    """Lint everything and write who survived."""
    problems = sorted((Path(__file__).parent / "problems").glob("*.py"))
    problems += [Path(p) for p in suite_problems().values()]
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for problem in problems:
            rows.append(lint(problem, home))
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "mutants"}), flush=True)
    tried, killed = sum(r.get("tried", 0) for r in rows), sum(r.get("killed", 0) for r in rows)
    write("oracle", {"tried": tried, "killed": killed, "rows": rows})
    print(f"{killed} of {tried} mutants killed")
    return all(r["exit"] in (0, 1) for r in rows)
