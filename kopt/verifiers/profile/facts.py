"""What is known when the bottleneck is named; every fact may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kopt.verifiers.profile.activity import Activity
from kopt.words import Bottleneck, GpuKernel, HotLoop, OperatorTime, Profile, Roofline


@dataclass
class Facts:
    """See :class:`kopt.words.Profile` for what each is.

    ``own`` are the operators the profiled program itself calls: calls and bytes of one call. Kernels in C++ have
    none. ``dispatch`` is what calling any operator takes. ``vector_bytes`` is the widest register the machine has.
    ``dtypes`` are those of all tensors, where a GPU's machine code was read.
    """

    workload: str = ""
    seconds: float | None = None
    empty_seconds: float | None = None
    cores: float | None = None
    threads: int = 1
    vector_bytes: int = 16
    bytes_required: int = 0
    flops: float = 0.0
    roofline: Roofline | None = None
    loops: tuple[HotLoop, ...] = ()
    operators: tuple[OperatorTime, ...] = ()
    own: tuple[tuple[int, int], ...] = ()
    dispatch: float = 0.0
    kernels: tuple[GpuKernel, ...] = ()
    dtypes: frozenset[str] = frozenset()
    counters: Mapping[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def hot(self) -> HotLoop | None:
        """The hottest loop."""
        return self.loops[0] if self.loops else None

    def take(self, activity: Activity) -> None:
        """What watching a process has shown."""
        self.seconds, self.cores, self.counters = activity.seconds, activity.cores, activity.counters
        if activity.why_no_counters:
            self.notes.append(activity.why_no_counters)

    def profile(self, bottleneck: Bottleneck) -> Profile:
        """All of it with what it ends in."""
        return Profile(
            bottleneck=bottleneck,
            workload=self.workload,
            seconds=self.seconds,
            empty_seconds=self.empty_seconds,
            cores=self.cores,
            threads=self.threads,
            bytes_required=self.bytes_required,
            flops=self.flops,
            roofline=self.roofline,
            loops=self.loops,
            operators=self.operators,
            kernels=self.kernels,
            counters=dict(self.counters),
            notes=tuple(dict.fromkeys(self.notes)),
        )
