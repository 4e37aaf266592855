"""One target under atheris, in a process of its own: ``python -m bench.fuzz_child TARGET RUNS SEED FOLDER``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["kopt"], enable_loader_override=False):
    from bench import fuzz_targets


def main() -> None:
    """Never returns: libFuzzer ends the process, with a status other than 0 for a finding."""
    name, runs, seed, folder = sys.argv[1:]
    options = [f"-runs={runs}", f"-seed={seed}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=2048"]
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={folder}/found-", folder], fuzz_targets.TARGETS[name].call
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
