"""What is known of a problem's baselines on this machine, kept between processes.

Kept under ``settings.home / "baselines"``, by problem and environment: the median seconds of each
implementation per workload, so that a quick evaluation times against the better one only, and Inductor's
artefacts, so that ``torch.compile`` is warm in a new process.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopt.settings import Settings
from kopt.verifiers.workbench import CompileCache
from kopt.words import Problem, digest_of

NAMES = ("eager", "compile")


def environment_digest(environment: Mapping[str, Any]) -> str:
    """Identity of everything timings depend on."""
    return digest_of(environment)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)


class Baselines:
    """Medians by workload and implementation; None for one that this machine cannot run."""

    def __init__(self, problem: Problem, environment: Mapping[str, Any], settings: Settings) -> None:
        key = digest_of([problem.digest, environment_digest(environment)])[:32]
        self._directory = settings.home / "baselines" / key
        self._path = self._directory / "baselines.json"
        self.medians: dict[str, dict[str, float | None]] = self._read()
        self.notes: dict[str, str] = {}

    def _read(self) -> dict[str, dict[str, float | None]]:
        try:
            found = json.loads(self._path.read_text())
            return {
                str(workload): {n: None if times[n] is None else float(times[n]) for n in NAMES}
                for workload, times in found["medians"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def known(self, workload: str) -> bool:
        """Whether this workload was measured before, here."""
        return workload in self.medians

    def record(self, workload: str, medians: Mapping[str, float | None], notes: Mapping[str, str]) -> None:
        """Keep what was measured last."""
        self.medians[workload] = {name: medians.get(name) for name in NAMES}
        self.notes |= notes
        _write(self._path, json.dumps({"medians": self.medians, "notes": self.notes}, indent=1).encode())

    def combined(self) -> dict[str, float]:
        """Seconds per call of each implementation: the geometric mean over workloads."""
        result = {}
        for name in NAMES:
            times = [t for workload in self.medians.values() if (t := workload[name]) is not None]
            if times and len(times) == len(self.medians):
                result[name] = math.exp(sum(map(math.log, times)) / len(times))
        return result

    def better(self) -> str:
        """The implementation that is faster over all known workloads together."""
        times = self.combined()
        return min(times, key=lambda name: times[name])

    def compile_cache(self, workload: str) -> CompileCache:
        """Where one workload's compiler cache is kept."""
        path = self._directory / f"{digest_of(workload)[:16]}.inductor"

        def load() -> bytes:
            try:
                return path.read_bytes()
            except OSError:
                return b""

        return CompileCache(load, lambda data: _write(path, data))
