"""Speed-ups found: every problem in ``bench/problems`` through ``kopt optimize``, as a user would run it.

Each gets under two minutes of wall time, build and baselines included. The gain is against the better of eager and
``torch.compile``, from the judge's own final evaluation. A loser counts with what its best correct candidate reached,
below one or not; as 1.0 only where there is no correct candidate at all.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import RESULTS, write

PROBLEMS = sorted((Path(__file__).parent / "problems").glob("*.py"))
SECONDS = 75
LIMIT = 120.0
NEED = {"faster": 11, "over_better": 1.4, "over_eager": 2.0}


def optimise(path: Path, home: str) -> dict[str, Any]:
    """One problem in a fresh home: nothing is known beforehand, not even the baselines."""
    start = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("kopt"), "optimize", path, "--json", "--budget-seconds", str(SECONDS)],
        env={**os.environ, "KOPT_HOME": home}, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - start
    row: dict[str, Any] = {"problem": path.stem, "seconds": round(seconds, 1), "exit": done.returncode}
    if done.returncode not in (0, 1):
        return {**row, "error": done.stderr.strip().splitlines()[-1:], "over_better": 1.0, "over_eager": 1.0}
    answer = json.loads(done.stdout)
    best = answer["best"]
    row["evaluated"] = answer["evaluated"]
    if not best:
        return {
            **row,
            "faster": False,
            "over_better": 1.0,
            "over_eager": 1.0,
            "why": answer.get("reason", ""),
        }
    timed = {name: s for name, s in best["speedup"].items() if s}
    better = min(timed.values(), key=lambda s: s["ratio"])
    won = answer["kernel"] is not None
    return {
        **row,
        "faster": won,
        "over_better": better["ratio"],
        "over_eager": timed["eager"]["ratio"],
        "speedup": timed,
        "roofline_percent": (best["roofline"] or {}).get("percent"),
        "limit": (best["roofline"] or {}).get("limit"),
        "candidate": best["candidate"],
        "milliseconds": {name: round(t["median"] * 1e3, 4) for name, t in best["timing"].items()},
    }


def geometric_mean(values: list[float]) -> float:
    """Of positive ratios."""
    return math.exp(sum(map(math.log, values)) / len(values))


def table(rows: list[dict[str, Any]], summary: dict[str, Any]) -> str:
    """The result as Markdown, winners and losers."""

    def cell(s: dict[str, float] | None) -> str:
        return f"{s['ratio']:.2f} [{s['low']:.2f}, {s['high']:.2f}]" if s else "-"

    lines = [
        "| problem | over eager | over torch.compile | roofline | candidates | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        speedup = row.get("speedup", {})
        percent = f"{row['roofline_percent']:.0f} % ({row['limit']})" if row.get("roofline_percent") else "-"
        mark = "" if row.get("faster") else " (no gain)"
        lines.append(
            f"| {row['problem']}{mark} | {cell(speedup.get('eager'))} | {cell(speedup.get('compile'))} | {percent} "
            f"| {row.get('evaluated', 0)} | {row['seconds']:.0f} |"
        )
    return (
        f"""# Speed-ups found

Ratios above 1 are faster than the baseline; 95 % intervals. Written by `python -m bench speedups`; the environment is
in `speedups.json`.

{summary["faster"]} of {summary["problems"]} beat the better baseline. Geometric mean over all, losers included:
{summary["over_better"]:.2f} against the better of eager and torch.compile, {summary["over_eager"]:.2f} against eager.

"""
        + "\n".join(lines)
        + "\n"
    )


def run() -> bool:
    """Measure, write, and say whether the figures were reached."""
    rows = []
    only = os.environ.get("BENCH_ONLY", "").split(",") if os.environ.get("BENCH_ONLY") else None
    for path in PROBLEMS:
        if only and path.stem not in only:
            continue
        with tempfile.TemporaryDirectory() as home:
            rows.append(optimise(path, home))
        print(json.dumps(rows[-1]), flush=True)
    summary = {
        "problems": len(rows),
        "faster": sum(bool(row.get("faster")) for row in rows),
        "over_better": geometric_mean([row["over_better"] for row in rows]),
        "over_eager": geometric_mean([row["over_eager"] for row in rows]),
        "slowest_seconds": max(row["seconds"] for row in rows),
        "needed": NEED,
    }
    if only is None:
        write("speedups", {"summary": summary, "rows": rows})
        (RESULTS / "speedups.md").write_text(table(rows, summary))
    print(json.dumps(summary))
    return (
        summary["faster"] >= NEED["faster"]
        and summary["over_better"] >= NEED["over_better"]
        and summary["over_eager"] >= NEED["over_eager"]
        and summary["slowest_seconds"] <= LIMIT
    )
