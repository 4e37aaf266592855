"""The fuzz targets themselves: each takes its seeds, and these with bytes changed, without an exception."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("imports", "localised", "disassembled", "kernels", "sanitized", "compared", "operators")
PROGRAM = """
import random, sys
from bench.fuzz_targets import TARGETS
choose = random.Random(7)
assert abs(sum(target.share for target in TARGETS.values()) - 1) < 1e-9
for name in sys.argv[1:]:
    for seed in TARGETS[name].seeds:
        for number in range(200):
            data = bytearray(seed)
            for _ in range(number and choose.randint(1, 4)):
                at = choose.randrange(len(data) + 1)
                data[at : at + choose.randint(0, 4)] = choose.randbytes(choose.randint(0, 4))
            try:
                TARGETS[name].call(bytes(data))
            except Exception as error:
                raise SystemExit(f"{name}: {bytes(data)!r}: {error!r}")
    print(name)
"""


def test_new_bytes_raise_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *NAMES], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == list(NAMES)
