"""What an evaluation's profile says: one named bottleneck, and the facts it was named from."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from kopt.words.roofline import Roofline


class BottleneckName(enum.StrEnum):
    """What keeps a candidate, or a reference, from being faster. docs/profile.md says when each is named."""

    LAUNCH_OVERHEAD = "launch_overhead"
    MEMORY_BANDWIDTH = "memory_bandwidth"
    ARITHMETIC = "arithmetic"
    PARALLELISM = "parallelism"
    MEMORY_TRAFFIC = "memory_traffic"
    CALL_IN_LOOP = "call_in_loop"
    GATHER = "gather"
    CACHE_MISSES_BY_STRIDE = "cache_misses_by_stride"
    REGISTER_SPILLS = "register_spills"
    NOT_VECTORISED = "not_vectorised"
    DIVISION = "division"
    DOUBLE_PRECISION = "double_precision"
    NO_TENSOR_CORES = "no_tensor_cores"
    OCCUPANCY = "occupancy"
    NARROW_ACCESS = "narrow_access"
    NONE_FOUND = "none_found"


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """Exactly one, with one to three lines of evidence."""

    name: BottleneckName
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HotLoop:
    """An innermost loop of the candidate's own, as its disassembly shows it.

    Counts are of instructions in one pass through the loop. ``vector_bytes`` is the width of the widest vector
    register its data moves through, 0 when there is none; ``packed`` and ``scalar`` count arithmetic in floating point,
    ``memory`` accesses other than to the stack, ``strided`` those that step further than they read, ``indirect``
    those at an address that was itself loaded. ``cycles`` is a rough estimate and ``division_cycles`` the part of
    divisions and square roots. ``lines`` are first and last line of ``file`` it was compiled from.
    """

    function: str
    file: str
    lines: tuple[int, int]
    depth: int
    instructions: int
    vector_bytes: int = 0
    packed: int = 0
    scalar: int = 0
    memory: int = 0
    strided: int = 0
    indirect: int = 0
    gathers: int = 0
    streaming: int = 0
    divisions: int = 0
    spills: int = 0
    cycles: float = 0.0
    division_cycles: float = 0.0
    calls: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    assembly: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """``file:first-last``."""
        first, last = self.lines
        return f"{self.file}:{first}" + (f"-{last}" if last > first else "")


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """One operator of the reference: calls, bytes, flops and seconds in one call of it, by its runner's own clock."""

    name: str
    calls: int
    bytes: int
    flops: float
    seconds: float
    share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GpuLoop:
    """The innermost loop of a GPU kernel that does most, as its machine code shows it; a kernel without loops is one.

    Counts are of instructions in one pass of a thread. ``loads`` and ``stores`` go to global memory, together
    ``load_bytes`` and ``store_bytes`` a pass; ``shared`` to shared memory, ``local`` to a thread's own, which lies in
    device memory. ``tensor`` are products of matrices, ``single``, ``double`` and ``special`` (exponentials,
    reciprocals, roots) arithmetic in floating point, half precision counted as single. ``depth`` is 0 where there is
    no loop. ``lines`` are first and last line of ``file``, empty and 0 where these are not known.
    """

    file: str
    lines: tuple[int, int]
    depth: int
    instructions: int
    loads: int = 0
    load_bytes: int = 0
    stores: int = 0
    store_bytes: int = 0
    shared: int = 0
    local: int = 0
    tensor: int = 0
    single: int = 0
    double: int = 0
    special: int = 0
    barriers: int = 0
    assembly: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """``file:first-last``."""
        first, last = self.lines
        return f"{self.file}:{first}" + (f"-{last}" if last > first else "")


@dataclass(frozen=True, kw_only=True)
class GpuKernel:
    """What a build ahead of time says of one GPU kernel.

    ``occupancy`` is the share of a multiprocessor's warps that can be resident, by the architecture's published
    limits; ``limit`` names what holds it down. ``threads`` is the block's size, None where the host code decides it:
    then the occupancy is the best that any size allows.
    """

    name: str
    target: str
    registers: int
    spill_bytes: int
    shared_bytes: int
    threads: int | None = None
    occupancy: float | None = None
    limit: str = ""
    loop: GpuLoop | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Facts about where time goes, and the one bottleneck they end in. Advice: no verdict and no time rests on it.

    ``seconds`` is a call's time in the profile's own process; ``empty_seconds`` that of a kernel that does nothing on
    the same arguments; ``cores`` how many threads shared the work evenly. ``loops`` are hottest first. ``operators``
    are the reference's. ``counters`` are the processor's, a call each; empty where the machine has none.
    """

    bottleneck: Bottleneck
    workload: str = ""
    seconds: float | None = None
    empty_seconds: float | None = None
    cores: float | None = None
    threads: int = 1
    bytes_required: int = 0
    flops: float = 0.0
    roofline: Roofline | None = None
    loops: tuple[HotLoop, ...] = ()
    operators: tuple[OperatorTime, ...] = ()
    kernels: tuple[GpuKernel, ...] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
