"""The host parses nothing dangerous: everything that reads bytes from a sandbox, under atheris and hypothesis.

Each target of :mod:`bench.fuzz_targets` gets its share of a million inputs from atheris (coverage guided, from seeds),
in a process that dies of an exception nobody declared, of 1 GiB of memory, or of ten seconds on one input. Then
hypothesis gives every target that reads JSON values shaped like messages, under tracemalloc.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bench.fuzz_targets import CLAIM, ERROR, FOUND, KERNELS, OPERATORS, RECORD, SPEC, TARGETS
from bench.record import write

INPUTS = 1_000_000
SHAPED = 300  # slow under tracemalloc
SHAPED_TARGETS = (
    "reply",
    "events",
    "greeting",
    "build",
    "claim",
    "cache",
    "localised",
    "kernels",
    "operators",
)
SEED = 20261121
MOST_BYTES = 64 << 20
_LAST = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+).*rss: (\d+)Mb", re.M)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)
WORDS = sorted(
    {
        *ERROR,
        *SPEC,
        *CLAIM,
        *RECORD,
        *FOUND,
        *KERNELS,
        *OPERATORS,
        "found",
        "result",
        "error",
        "event",
        "id",
        "status",
        "layers",
        "failed",
    }
)
MESSAGE = st.dictionaries(st.sampled_from(WORDS) | st.text(), JSON, max_size=8)


def guided(name: str, runs: int) -> dict[str, Any]:
    """One target under atheris."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(TARGETS[name].seeds):
            Path(folder, f"seed{number}").write_bytes(one)
        command = [sys.executable, "-m", "bench.fuzz_child", name, str(runs), str(SEED), folder]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        found = [path.read_bytes().hex()[:400] for path in Path(folder).glob("found-*")]
    last = _LAST.search(done.stderr)
    row: dict[str, Any] = {"target": name, "seconds": round(time.monotonic() - start, 1), "findings": found}
    if last is None or done.returncode:
        return {**row, "inputs": 0, "failed": done.stderr[-2000:]}
    inputs, coverage, features, memory = map(int, last.groups())
    return {**row, "inputs": inputs, "edges": coverage, "features": features, "resident_mib": memory}


def shaped(name: str) -> dict[str, Any]:
    """One target with values shaped like messages."""
    count, slowest = 0, 0.0

    @seed(SEED)
    @settings(max_examples=SHAPED, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(MESSAGE)
    def check(value: dict[str, Any]) -> None:
        nonlocal count, slowest
        data = json.dumps(value).encode()
        began = time.monotonic()
        TARGETS[name].call(data)
        slowest = max(slowest, time.monotonic() - began)
        count += 1

    TARGETS[name].call(b"{}")  # what is imported with the first call is not memory that an input takes
    start = time.monotonic()
    tracemalloc.start()
    check()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    row = {"target": name, "inputs": count, "seconds": round(time.monotonic() - start, 1)}
    return {**row, "slowest_seconds": round(slowest, 3), "peak_mib": round(peak / 2**20, 1)}


def run() -> bool:
    """Fuzz, write, and say whether nothing was found in a million inputs."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        first = list(pool.map(lambda name: guided(name, int(INPUTS * TARGETS[name].share * 1.01)), TARGETS))
    for row in first:
        print(json.dumps(row), flush=True)
    second = [shaped(name) for name in SHAPED_TARGETS]
    total = sum(row["inputs"] for row in (*first, *second))
    findings = sum(len(row["findings"]) + ("failed" in row) for row in first)
    result = {"inputs": total, "findings": findings, "seed": SEED, "atheris": first, "hypothesis": second}
    write("fuzz", result)
    print(json.dumps({"inputs": total, "findings": findings}))
    return total >= INPUTS and findings == 0 and all(row["peak_mib"] < MOST_BYTES >> 20 for row in second)
