"""Plans for everything that is pointwise work, reductions and broadcasts: one fused C++ function per graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kopt.agents.offline import nest as nests
from kopt.agents.offline import width
from kopt.agents.offline.arrangement import Arrangement, arrange
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.emission import Writer
from kopt.agents.offline.expr import literal
from kopt.agents.offline.gpu import fused as gpu
from kopt.agents.offline.graph import Graph, Unsupported
from kopt.agents.offline.lower import Lowered, lower
from kopt.agents.offline.nest import Nest, count
from kopt.agents.offline.plan import in_triton
from kopt.agents.offline.prelude import C_TYPES
from kopt.agents.offline.schedules import keepable, write
from kopt.agents.offline.staging import stages
from kopt.agents.offline.sweep import SET, sweep_text
from kopt.words import Candidate, Tunable

_ELEMENT = {
    "float64": 8,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "bool": 1,
    "uint8": 1,
    "int8": 1,
}
STREAM_BYTES = 1 << 20
"""Outputs from this size are stored past the caches by default."""

_THREADS = """
constexpr int THREADS = 256;
static inline int threads() { return omp_get_max_threads() < THREADS ? omp_get_max_threads() : THREADS; }
"""

_MEANINGS = {
    "UNROLL": "registers per round of a sweep",
    "NT": "1: outputs bypass the caches",
    "GRAIN": "elements per task",
    "CHUNK": "elements per piece of a row that is walked in pieces",
    "BLOCK": "columns per tile",
    "PREFETCH": "1: fetch the next row while this one is computed",
    **width.MEANING,
}


@dataclass
class Piece:
    """Generated statements with everything they need at file scope."""

    lines: list[str]
    functions: str
    helpers: set[str]
    kinds: list[str]
    tunables: list[Tunable]
    includes: list[str]
    keeps: bool = False


def recognise(graph: Graph) -> FusedPlan | None:
    """A plan when the whole graph lowers to pointwise work and reductions.

    Raises:
        Unsupported: an operation has no lowering, or the loops do not fit together.
    """
    return FusedPlan(graph, lower(graph))


class FusedPlan:
    """One graph as fused loops."""

    def __init__(self, graph: Graph, lowered: Lowered, cores: int | None = None) -> None:
        self.graph = graph
        self.cores = cores or os.cpu_count() or 1
        self.lowered = lowered
        piece = generate(lowered, self.cores)
        self.kinds = piece.kinds
        self.title = f"fused {' then '.join(self.kinds)}"
        self.reason = "every input is read from memory once and no intermediate tensor is written"
        self._pieces = [piece]
        if piece.keeps:
            again = generate(lowered, self.cores, keep=False)
            self._pieces.append(again)

    def candidates(self) -> Iterator[Candidate]:
        """C++ kernels (expensive values kept from pass to pass, or computed again), then the Triton kernel.

        Raises:
            Unsupported: after the C++ kernels, where there can be no Triton kernel.
        """
        for piece in self._pieces:
            yield self._candidate(piece)
        yield in_triton(gpu.candidate, self)

    def _candidate(self, piece: Piece) -> Candidate:
        source = cpp_file(
            self.graph,
            title=self.title,
            comment=self.lowered.mathematics(),
            functions=piece.functions,
            body=piece.lines,
            helpers=piece.helpers,
            tunables=piece.tunables,
            includes=piece.includes,
            meanings=_MEANINGS,
        )
        how = ", costly values kept for the next pass" if piece.keeps else ""
        notes = {"plan": self.title + how, "schedule": self.kinds, "why": self.reason}
        return cpp_candidate(source, tunables=piece.tunables, notes=notes)


def generate(lowered: Lowered, cores: int, *, keep: bool = True) -> Piece:
    """The loops of a lowered graph, in as many stages as they need."""
    nest = nests.build(lowered)
    lines: list[str] = []
    helpers: set[str] = set()
    methods: set[str] = set()
    kinds: list[str] = []
    heads: list[str] = []
    keeps = False
    for loop in nest.loops:
        text = nest.bounds[loop.name]
        lines.append(f"{'constexpr' if text.isdigit() else 'const'} int64_t {loop.name} = {text};")
    seen: set[str] = set()
    arrangements: list[Arrangement] = []
    for number, (stage, scratch) in enumerate(stages(nest, cores)):
        plan = arrange(stage, cores)
        if plan is None:
            raise Unsupported("reductions that depend on each other over different axes")
        for name, size in scratch:
            heads.append("memory")
            lines.append(f"const std::unique_ptr<real[]> {name}_held(new real[{size}]);")
            lines.append(f"real* const {name}_p = {name}_held.get();")
        writer = Writer(stage)
        values = keepable(stage, plan) if keep else []
        writer.kept = {expr.key: f"kept{i}" for i, expr in enumerate(values)}
        keeps |= bool(values)
        if values:
            heads.append("memory")
        write(writer, plan)
        lines += [
            "{" if number else "",
            *("  " * bool(number) + x for x in writer.lines),
            "}" if number else "",
        ]
        helpers |= writer.helpers
        methods |= writer.methods
        kinds.append(plan.kind)
        arrangements.append(plan)
    functions = []
    for name, numbers in lowered.graph.constants.items():
        if any(a.tensor == name for a in nest.loads.values()) and name not in seen:
            seen.add(name)
            dtype = lowered.graph.values[name].dtype
            items = ", ".join(
                literal(float(v), "double") if "float" in dtype else str(int(v)) for v in numbers
            )
            kind = C_TYPES[dtype]
            if dtype in ("bfloat16", "float16"):
                raise Unsupported("a constant tensor of half precision")
            functions.append(f"static const {kind} {name}_p[] = {{{items}}};")
    if "put_scalar" in helpers or "scatter" in methods:
        helpers.discard("put_scalar")
        functions.append(SET.strip())
    helpers.discard("put_scalar")
    functions.append(_THREADS.strip())
    functions.append(sweep_text(methods))
    tunables = _tunables(nest, arrangements)
    if "prefetch" in helpers:
        tunables.append(Tunable(name="PREFETCH", choices=(0, 1), default=1))
    includes = ["<memory>"] if heads else []
    return Piece([x for x in lines if x], "\n".join(functions), helpers, kinds, tunables, includes, keeps)


def _tunables(nest: Nest, plans: Sequence[Arrangement]) -> list[Tunable]:
    kinds = {p.kind for p in plans}
    reduces = any(p.row for p in plans)
    stored = max((count(s.access.strides) * _ELEMENT.get(s.access.dtype, 4) for s in nest.stores), default=0)
    found = [Tunable(name="UNROLL", choices=(1, 2, 4, 8), default=4 if reduces else 2)]
    found.append(Tunable(name="NT", choices=(0, 1), default=int(stored >= STREAM_BYTES)))
    if "flat" in kinds:
        found.append(Tunable(name="GRAIN", choices=(4096, 16384, 65536), default=16384))
    if kinds & {"rows", "split"}:
        found.append(Tunable(name="CHUNK", choices=(4096, 16384), default=4096))
    if "columns" in kinds:
        found.append(_block(plans))
    return [*found, *width.tunables()]


def _block(plans: Sequence[Arrangement]) -> Tunable:
    """Columns per tile: accumulators in the first-level cache, and a tile that is walked twice in the second."""
    plan = next(p for p in plans if p.kind == "columns")
    choices = (64, 128, 256, 512, 1024, 2048, 4096)
    passes = len({f.level for f in plan.row})
    limit = 4096
    if passes > 1:
        limit = max(64, (512 << 10) // 4 // max(count(plan.reduced), 1))
    tasks = count(plan.kept)
    width = plan.register.extent[0]
    while limit > 64 and tasks * -(-width // limit) < 4 and limit > width // 4:
        limit //= 2
    return Tunable(name="BLOCK", choices=choices, default=max(c for c in choices if c <= max(limit, 64)))
