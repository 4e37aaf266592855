"""The bound: what memory and arithmetic allow here, measured once by a kernel run through the same path.

Bound seconds are the larger of ``bytes_required / bandwidth`` and ``flops / peak``. A problem that mostly
reads is held against the bandwidth of reading, any other against that of copying or of a triad, whichever is
higher.

**Too good is not believed.** After a full round up to one last-level cache of output may still wait to be
written, so the time that memory allows ``n`` calls is ``(n * bytes - cache) / bandwidth``. A candidate below
``TOO_GOOD`` of that, whose baselines are not as fast themselves, is ``tampered``. Operations are counted in
the reference, and good algorithms need fewer (Winograd's convolution up to four times), so a quarter of them
counts here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kopt.sandbox import Role, Sandbox, SharedBuffer
from kopt.sandbox.buffers import memory_file
from kopt.sandbox.errors import RunnerError
from kopt.settings import Settings
from kopt.verifiers.baselines import environment_digest
from kopt.verifiers.clock import last_level_cache
from kopt.verifiers.contestant import Failure
from kopt.verifiers.layout import Layout
from kopt.verifiers.sampling import Measured
from kopt.words import (
    Candidate,
    Language,
    Roofline,
    Style,
    TensorSpec,
    Verdict,
    Workload,
    WorkloadSpec,
    digest_of,
    to_json,
)

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator
    from kopt.verifiers.workbench import Workbench

TOO_GOOD = 0.85
_SOURCE = Path(__file__).with_name("peaks.cpp")
_MODES = ("copy", "triad", "read", "arithmetic")
_ROUNDS = 10


@dataclass(frozen=True)
class Peaks:
    """Bytes per second of copying, triad and reading; floating-point operations per second of all threads."""

    copy: float
    triad: float
    read: float
    flops: float

    @classmethod
    def of(cls, sandbox: Sandbox, settings: Settings, environment: Mapping[str, Any]) -> Peaks | None:
        """From the cache under ``settings.home``, else measured; None where the kernel cannot be built."""
        path = _kept(settings, environment)
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            peaks = measure(sandbox)
            if peaks is not None:
                peaks.save(path)
            return peaks

    @classmethod
    def again(
        cls, sandbox: Sandbox, settings: Settings, environment: Mapping[str, Any], old: Peaks | None
    ) -> Peaks:
        """Measure once more, keep the higher figures and the file."""
        found = [peaks for peaks in (old, measure(sandbox)) if peaks is not None]
        names = ("copy", "triad", "read", "flops")
        best = cls(**{name: max(getattr(peaks, name) for peaks in found) for name in names})
        best.save(_kept(settings, environment))
        return best

    def save(self, path: Path) -> None:
        """Write the cache file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(path)

    def bandwidth(self, reads: float) -> float:
        """The bandwidth that binds when this share of the bytes is read."""
        return max(self.read, self.copy, self.triad) if reads > 0.9 else max(self.copy, self.triad)


def _kept(settings: Settings, environment: Mapping[str, Any]) -> Path:
    key = digest_of([environment_digest(environment), _SOURCE.read_text()])[:32]
    return settings.home / "peaks" / f"{key}.json"


def _calibration() -> Candidate:
    return Candidate(
        sources={"peaks.cpp": _SOURCE.read_text()},
        language=Language.CPP,
        entry="peaks.cpp::run",
        style=Style.DESTINATION,
        proposer="kopt",
    )


def measure(sandbox: Sandbox) -> Peaks | None:
    """Run the calibration kernel: the best of several rounds in each mode."""
    candidate = _calibration()
    built = sandbox.builder.build(candidate)
    if not built.ok or built.artifact is None:
        return None
    elements = max(16 << 20, 2 * last_level_cache() // 4) // 16384 * 16384
    mode = TensorSpec(name="mode", shape=(1,), dtype="int64", strides=(1,))
    x = TensorSpec(name="x", shape=(elements,), dtype="float32", strides=(1,))
    y = TensorSpec(name="y", shape=(elements,), dtype="float32", strides=(1,))
    spec = WorkloadSpec(workload=Workload(name="peaks", index=0), arguments=(mode, x), state=(), outputs=(y,))
    layout = Layout.of([("input", (mode, x)), ("output", (y,))], 2)
    ring = SharedBuffer(layout.size, "peaks")
    try:
        return _run(sandbox, candidate, built.artifact, spec, layout, ring)
    except RunnerError:
        return None
    finally:
        ring.close()


def _run(
    sandbox: Sandbox,
    candidate: Candidate,
    artifact: bytes,
    spec: WorkloadSpec,
    layout: Layout,
    ring: SharedBuffer,
) -> Peaks:
    rows = ring.array.reshape(layout.slots, layout.stride)
    places = {p.spec.name: p for p in layout.places}
    rows[:, places["x"].offset : places["x"].offset + places["x"].nbytes].view("f4")[...] = 1.0
    size = places["x"].nbytes
    best: dict[str, float] = {}
    millions = 0.0
    with memory_file(artifact, "artifact") as fd, sandbox.spawn(Role.CANDIDATE) as runner:
        body = {
            "language": candidate.language.value,
            "sources": dict(candidate.sources),
            "entry": candidate.entry,
            "style": candidate.style.value,
            "spec": to_json(spec),
        }
        runner.request("load_candidate", body, fds=[fd])
        runner.request("attach", {"ring": layout.to_json()}, fds=[ring.fd])
        empty = min(runner.round(0, 0) for _ in range(20))
        for number, name in enumerate(_MODES):
            offset = places["mode"].offset
            rows[:, offset : offset + 8].view("i8")[...] = number
            seconds = [runner.round(k % 2, 1) - empty for k in range(_ROUNDS)]
            best[name] = min(seconds[2:])
        offset = places["y"].offset
        millions = float(rows[1, offset + 4 : offset + 8].view(np.float32)[0])
    return Peaks(
        copy=2 * size / best["copy"],
        triad=1.5 * size / best["triad"],
        read=size / best["read"],
        flops=millions * 1e6 / best["arithmetic"],
    )


def roofline(peaks: Peaks, spec: WorkloadSpec, output_bytes: int, seconds: float) -> Roofline | None:
    """How near the bound a time per call comes; None when nothing is known to be required."""
    reads = 1.0 - output_bytes / max(1, spec.bytes_required)
    bandwidth = peaks.bandwidth(reads)
    by_memory = spec.bytes_required / bandwidth
    by_arithmetic = spec.flops / peaks.flops
    least = max(by_memory, by_arithmetic)
    if least <= 0 or seconds <= 0:
        return None
    return Roofline(
        percent=100.0 * least / seconds,
        bound_seconds=least,
        limit="memory" if by_memory >= by_arithmetic else "arithmetic",
        bandwidth=bandwidth,
        flops=peaks.flops,
    )


def allowed_seconds(peaks: Peaks, spec: WorkloadSpec, output_bytes: int, calls: int, cache: int) -> float:
    """The least seconds per call that are believed."""
    reads = 1.0 - output_bytes / max(1, spec.bytes_required)
    waiting = min(cache, calls * output_bytes)
    by_memory = (calls * spec.bytes_required - waiting) / calls / peaks.bandwidth(reads)
    return TOO_GOOD * max(by_memory, spec.flops / 4 / peaks.flops)


def judge(evaluator: Evaluator, bench: Workbench, measured: Measured) -> Roofline | None:
    """The roofline of a measured candidate.

    Raises:
        Failure: ``tampered``: faster than the machine allows, and the baselines are not.
    """
    peaks = evaluator.peaks
    if peaks is None:
        return None
    spec = bench.spec
    output_bytes = sum(p.nbytes for p in bench.layout.role("output"))
    calls = max(1, bench.layout.slots * 3 // 4)
    seconds = measured.timing["candidate"].median

    def least(of: Peaks) -> float:
        return allowed_seconds(of, spec, output_bytes, calls, last_level_cache())

    fastest = min(t.median for name, t in measured.timing.items() if name != "candidate")
    if seconds < least(peaks) <= fastest:
        peaks = evaluator.measure_peaks_again()  # they may have been measured while the machine was busy
        if seconds < least(peaks):
            raise Failure(
                Verdict.TAMPERED,
                f"too good: {seconds * 1e6:.1f} us per call, where moving or computing what is required "
                f"takes {least(peaks) * 1e6:.1f} us here: show how, or do all the work",
            )
    found = roofline(peaks, spec, output_bytes, seconds)
    if found is not None and found.percent > 100.0:  # the peaks were measured in a slow moment
        found = roofline(evaluator.measure_peaks_again(), spec, output_bytes, seconds)
    return found
