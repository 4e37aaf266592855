"""``python -m bench [NAME ...]``: run all benchmarks, or those named."""

from __future__ import annotations

import importlib
import sys

NAMES = [
    "clock",
    "same",
    "cost",
    "oracle",
    "mutants",
    "honest",
    "isolation",
    "fuzz",
    "redteam",
    "speedups",
    "search",
    "throughput",
]


def main() -> int:
    """Run them one after another; exit 1 if one misses its figure."""
    names = sys.argv[1:] or NAMES
    if {"-h", "--help"} & set(names):
        print(f"{__doc__}\nThere are: {', '.join(NAMES)}. Each writes bench/results/NAME.json.")
        return 0
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    missed = [name for name in names if not importlib.import_module(f"bench.{name}").run()]
    if missed:
        print(f"missed their figures: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
