"""One method against each bottleneck, as an optimiser is told it."""

from __future__ import annotations

from kopt.words import BottleneckName

METHODS: dict[BottleneckName, str] = {
    BottleneckName.LAUNCH_OVERHEAD: "do less per call: no parallel region for little work, no allocation, one kernel",
    BottleneckName.MEMORY_BANDWIDTH: "move fewer bytes: one pass, no temporaries, streaming stores for what is not "
    "read again",
    BottleneckName.ARITHMETIC: "compute less: another algorithm, common subexpressions, cheaper approximations within "
    "the allowed error",
    BottleneckName.PARALLELISM: "share the work evenly among all threads, along the outermost axis that is long enough",
    BottleneckName.MEMORY_TRAFFIC: "fuse the operators, so that intermediate results stay in registers",
    BottleneckName.CALL_IN_LOOP: "replace the call by arithmetic on vectors, a polynomial after range reduction for "
    "instance, written inline",
    BottleneckName.GATHER: "reorder the loop or the data so that neighbouring lanes read neighbouring addresses",
    BottleneckName.CACHE_MISSES_BY_STRIDE: "interchange loops or work in tiles, so that whole cache lines are used "
    "while they are there",
    BottleneckName.REGISTER_SPILLS: "keep fewer values alive: smaller tiles, less unrolling",
    BottleneckName.NOT_VECTORISED: "make the inner loop vectorise: several independent accumulators or intrinsics, no "
    "aliasing, no early exit",
    BottleneckName.DIVISION: "divide once outside of the loop and multiply by the reciprocal inside",
    BottleneckName.OCCUPANCY: "use less of what holds occupancy down: registers or shared memory a block",
    BottleneckName.DOUBLE_PRECISION: "compute in float32: literals with f, float32 functions, sums in two floats where "
    "one is not enough",
    BottleneckName.NO_TENSOR_CORES: "multiply tiles with tensor cores (tl.dot, mma), accumulating in float32",
    BottleneckName.NARROW_ACCESS: "let each thread move 16 bytes at once: vector types or more consecutive elements a "
    "thread, aligned",
    BottleneckName.NONE_FOUND: "keep the structure and try tile sizes, unrolling and prefetching",
}
