"""One loop nest as Triton kernels.

The arrangement is the one that the C++ schedules use: ``flat`` becomes a program per block of elements, ``rows`` a
program per row, ``columns`` a program per tile of columns. Where that makes too few programs to fill a GPU, each
reduction is shared out to several, whose partial results meet in scratch memory: a kernel per pass, each beginning
with the results of those before it (the two-stage reduction of Harris, *Optimizing Parallel Reduction in CUDA*).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

from kopt.agents.offline.arrangement import Arrangement, arrange
from kopt.agents.offline.axes import Size, times
from kopt.agents.offline.expr import Expr
from kopt.agents.offline.gpu.file import Launch
from kopt.agents.offline.gpu.kernel import START, Kernel, number, power_of_two
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.nest import Access, Fold, Loop, Nest, Store, count
from kopt.agents.offline.passes import levels
from kopt.agents.offline.staging import scratch_of

PROGRAMS = 512
"""So many programs keep a large GPU busy; reductions are shared out up to that."""
MAX_BLOCK = 8192
WORTH_SHARING = 1 << 14
"""Elements of one reduction from which it is worth a second kernel."""
PIECE = 2048
"""The longest block of a row that is shared out."""
FEW_CONSTANTS = 8


def launches(nest: Nest, name: str) -> tuple[list[Launch], list[str]]:
    """The kernels of one stage in order, and the kinds of their loops.

    Args:
        nest: a stage, which :func:`kopt.agents.offline.staging.stages` made.
        name: begins the names of the kernels.

    Raises:
        Unsupported: something has no Triton form.
    """
    # a program per row whatever the number of rows: sharing is decided here, by what a GPU needs
    plan = arrange(nest, cores=0)
    if plan is None:
        raise Unsupported("reductions that depend on each other over different axes")
    if not plan.final:
        return Stage(nest, plan, name).launches(), [plan.kind]
    rest = Nest(nest.lowered, list(plan.kept), dict(nest.loads), {}, [], nest.sizes, nest.bounds)
    ends = {f.name for f in plan.final}
    stores = [s for s in nest.stores if not ends & set(nest.names(s.expr))]
    rest.stores = [s for s in nest.stores if ends & set(nest.names(s.expr))]
    scratch: dict[str, Size] = {}
    for fold in plan.final:
        rows = Fold(f"{fold.name}_rows", fold.op, fold.expr, frozenset())
        access = scratch_of(rows, plan.kept, nest)
        stores.append(Store(access, fold.expr))
        scratch[access.tensor] = _product(plan.kept, nest.lowered.traces)
        rest.loads[rows.name] = access
        load = nest.lowered.pool.load(rows.name)
        rest.folds[fold.name] = Fold(fold.name, fold.op, load, frozenset(plan.kept))
    rows_of = {f.name: f for f in plan.row}
    first = Nest(nest.lowered, nest.loops, nest.loads, rows_of, stores, nest.sizes, nest.bounds)
    made = Stage(first, dataclasses.replace(plan, final=()), name).launches()
    made[0].scratch = {**made[0].scratch, **{t: nest.lowered.graph.size(n) for t, n in scratch.items()}}
    joined, kinds = launches(rest, f"{name}_joined")
    return [*made, *joined], [plan.kind, *kinds]


class Stage:
    """Writes the kernels of one arrangement."""

    def __init__(self, nest: Nest, plan: Arrangement, name: str) -> None:
        self.nest, self.plan, self.name = nest, plan, name
        self.graph = nest.lowered.graph
        self.k = Kernel(self.graph, name)
        self.index: dict[Loop, str] = {}
        width = plan.register.extent[0]
        whole = max(2, power_of_two(width))
        self.columns = plan.kind == "columns"
        self.block = min(whole, 128 if self.columns else 1024 if plan.kind == "flat" else MAX_BLOCK)
        self.chunks = self._chunks()
        if self.chunks > 1:
            self.block = min(self.block, PIECE)

    def _chunks(self) -> int:
        """How many programs share one reduction; 1 where rows alone keep a GPU busy."""
        width = self.plan.register.extent[0]
        tasks = count(self.plan.kept) * (-(-width // self.block) if self.columns else 1)
        work = count(self.plan.reduced) * (self.block if self.columns else 1)
        if not self.plan.row or work < WORTH_SHARING:
            return 1
        spans = 1 if self.columns else -(-width // PIECE)
        pieces = spans * count(o for o in self.plan.reduced if o is not self.plan.register)
        return 1 << (max(min(PROGRAMS // tasks, pieces), 1).bit_length() - 1)

    def launches(self) -> list[Launch]:
        """The kernels in order."""
        if self.chunks == 1:
            self._tasks()
            self._whole()
            return [self._launch()]
        passes = levels(self.plan.row)
        varying, _ = self._stores_by_kind()
        made = []
        for done, folds in enumerate(passes):
            self.k = Kernel(self.graph, f"{self.name}_{done}")
            self._tasks(shared=True)
            self._collected(passes[:done])
            self._partial(folds)
            launch = self._launch(shared=True)
            total = f"{self._tasks_on_host()} * CHUNKS{' * BLOCK' if self.columns else ''}"
            launch.scratch = {f"{fold.name}_part": total for fold in folds}
            made.append(launch)
        self.k = Kernel(self.graph, f"{self.name}_end")
        self._tasks(shared=bool(varying))
        self._collected(passes)
        self._results()
        return [*made, self._launch(shared=bool(varying))]

    def _launch(self, shared: bool = False) -> Launch:
        tasks = self._tasks_on_host()
        grid = f"{tasks} * CHUNKS" if shared else tasks
        constants = {"BLOCK": str(self.block)}
        if self.chunks > 1:
            constants["CHUNKS"] = str(self.chunks)
        return Launch(self.k, [grid], constants)

    def _tasks_on_host(self) -> str:
        traces = self.nest.lowered.traces
        tasks = self.graph.size(_product(self.plan.kept, traces))
        if self.columns or self.plan.kind == "flat":
            width = self.graph.size(self.plan.register.extent)
            blocks = f"triton.cdiv({width}, BLOCK)"
            return blocks if tasks == "1" else f"({tasks}) * {blocks}"
        return tasks if tasks.isdigit() else f"({tasks})"

    # Programs ----------------------------------------------------------------------------------------------

    def _tasks(self, shared: bool = False) -> None:
        """The beginning of a kernel: which row, or which tile of columns, this program has, and which share of it."""
        self.index = {}
        self.k.add("task = tl.program_id(0).to(tl.int64)")
        if shared:
            self.k.add("chunk = task % CHUNKS", "task = task // CHUNKS")
        if self.columns or self.plan.kind == "flat":
            width = self.k.size(self.plan.register.extent)
            if self.plan.kept:
                self.k.add(f"blocks = tl.cdiv({width}, BLOCK)")
                self.k.add("k = (task % blocks) * BLOCK + tl.arange(0, BLOCK)")
                self._decode("(task // blocks)", self.plan.kept)
            else:
                self.k.add("k = task * BLOCK + tl.arange(0, BLOCK)")
            self.k.add(f"inside = k < {width}")
            self.index[self.plan.register] = "k"
        else:
            self._decode("task", self.plan.kept)

    def _decode(self, flat: str, loops: Sequence[Loop]) -> None:
        inner: Size = (1,) * self.nest.lowered.traces
        for position, loop in reversed(list(enumerate(loops))):
            text = flat if set(inner) == {1} else f"{flat} // {self.k.size(inner)}"
            if position:
                text = f"({text}) % {self.k.size(loop.extent)}"
            self.index[loop] = f"i{loop.name[1:]}"
            self.k.add(f"{self.index[loop]} = {text}")
            inner = times([inner, loop.extent], self.nest.lowered.traces)

    # Passes that one program makes alone -------------------------------------------------------------------

    def _whole(self) -> None:
        for folds in levels(self.plan.row) if self.plan.row else ():
            self._begin(folds)
            with self._walk():
                self._add(folds)
            for fold in folds:
                if not self.columns:
                    self.k.add(f"{fold.name} = {self.k.collapsed(fold.op, f'{fold.name}_k')}")
        self._results()

    def _begin(self, folds: Sequence[Fold]) -> None:
        for fold in folds:
            name = fold.name if self.columns else f"{fold.name}_k"
            self.k.add(f"{name} = tl.full((BLOCK,), {START[fold.op]}, {self.k.real})")

    def _add(self, folds: Sequence[Fold]) -> None:
        known: dict[int, str] = {}
        for fold in folds:
            value = self._value(fold.expr, known)
            if self.columns:
                self.k.add(f"{fold.name} = {self.k.joined(fold.op, fold.name, value)}")
            else:
                part = f"tl.where(inside, {value}, {START[fold.op]})"
                self.k.add(f"{fold.name}_k = {self.k.joined(fold.op, f'{fold.name}_k', part)}")

    def _results(self) -> None:
        """What is stored once every reduction is known."""
        varying, once = self._stores_by_kind()
        if varying:
            with self._walk():
                self._store(varying)
        if self.chunks > 1 and varying and once:
            with self.k.block("if chunk == 0:"):
                self._store(once)
        else:
            self._store(once)

    def _stores_by_kind(self) -> tuple[list[Store], list[Store]]:
        """Outputs that vary along what is reduced, and others."""
        reduced = set(self.plan.reduced)
        varying = [s for s in self.nest.stores if set(s.access.strides) & reduced]
        return varying, [s for s in self.nest.stores if s not in varying]

    @contextlib.contextmanager
    def _walk(self) -> Iterator[None]:
        """Loops over what is reduced: all of it, or every CHUNKS-th piece."""
        saved = dict(self.index)
        walked = [o for o in self.plan.reduced if o is not self.plan.register]
        if self.chunks > 1:
            with self._pieces(walked):
                yield
        else:
            with contextlib.ExitStack() as stack:
                for loop in walked:
                    self.index[loop] = f"i{loop.name[1:]}"
                    stack.enter_context(self.k.loop(self.index[loop], "0", self.k.size(loop.extent)))
                if not self.columns:
                    width = self.k.size(self.plan.register.extent)
                    stack.enter_context(self.k.loop("begin", "0", width, "BLOCK"))
                    self._lanes("begin")
                yield
        self.index = saved

    @contextlib.contextmanager
    def _pieces(self, walked: Sequence[Loop]) -> Iterator[None]:
        total = self.k.size(_product(walked, self.nest.lowered.traces)) if walked else ""
        if self.columns:
            with self.k.loop("piece", "chunk", total, "CHUNKS"):
                self._decode("piece", walked)
                yield
            return
        width = self.k.size(self.plan.register.extent)
        self.k.add(f"spans = tl.cdiv({width}, BLOCK)")
        with self.k.loop("piece", "chunk", f"{total} * spans" if walked else "spans", "CHUNKS"):
            if walked:
                self._decode("(piece // spans)", walked)
            self._lanes("(piece % spans) * BLOCK" if walked else "piece * BLOCK")
            yield

    def _lanes(self, begin: str) -> None:
        self.k.add(f"k = {begin} + tl.arange(0, BLOCK)")
        self.k.add(f"inside = k < {self.k.size(self.plan.register.extent)}")
        self.index[self.plan.register] = "k"

    # Passes that programs share ----------------------------------------------------------------------------

    def _partial(self, folds: Sequence[Fold]) -> None:
        self._begin(folds)
        with self._walk():
            self._add(folds)
        for fold in folds:
            place = f"{self.k.pointer(f'{fold.name}_part')} + task * CHUNKS + chunk"
            if self.columns:
                place = f"{self.k.pointer(f'{fold.name}_part')} + (task * CHUNKS + chunk) * BLOCK + tl.arange(0, BLOCK)"
            value = fold.name if self.columns else self.k.collapsed(fold.op, f"{fold.name}_k")
            self.k.add(f"tl.store({place}, {value})")

    def _collected(self, passes: Sequence[Sequence[Fold]]) -> None:
        """Results of earlier passes, from the shares of all their programs."""
        for fold in (fold for folds in passes for fold in folds):
            part = self.k.pointer(f"{fold.name}_part")
            if not self.columns:
                self.k.add(f"{fold.name}_k = tl.load({part} + task * CHUNKS + tl.arange(0, CHUNKS))")
                self.k.add(f"{fold.name} = {self.k.collapsed(fold.op, f'{fold.name}_k')}")
                continue
            self.k.add(f"{fold.name} = tl.full((BLOCK,), {START[fold.op]}, {self.k.real})")
            with self.k.loop("share", "0", "CHUNKS"):
                place = f"{part} + (task * CHUNKS + share) * BLOCK + tl.arange(0, BLOCK)"
                self.k.add(f"{fold.name} = {self.k.joined(fold.op, fold.name, f'tl.load({place})')}")

    # Values ------------------------------------------------------------------------------------------------

    def _store(self, stores: Sequence[Store]) -> None:
        known: dict[int, str] = {}
        for store in stores:
            value = self._value(store.expr, known)
            lanes = self.index.get(self.plan.register) == "k"
            wide = lanes and self.plan.register in self.nest.free(store.expr) | set(store.access.strides)
            place = self._place(store.access)
            if wide and self.plan.register not in store.access.strides:
                raise Unsupported("outputs of different sizes in one pointwise loop")
            self.k.add(f"tl.store({place}, {value}{', mask=inside' if wide else ''})")

    def _place(self, access: Access) -> str:
        return " + ".join([self.k.pointer(access.tensor), *self._terms(access)])

    def _terms(self, access: Access) -> list[str]:
        terms = [self.k.size(access.offset)] if any(access.offset) else []
        return terms + [
            self.k.times(self.index[o], access.strides[o]) for o in self.nest.order(access.strides)
        ]

    def _value(self, root: Expr, known: dict[int, str]) -> str:
        return self.k.value(root, self._load, known)

    def _load(self, name: str) -> str:
        if name in self.nest.folds:
            return name
        if name in self.nest.sizes:
            return f"({self.k.size(self.nest.sizes[name])} * 1.0)"
        access = self.nest.loads[name]
        if not access.tensor:
            return self.k.counted(self._terms(access), integer=access.integer)
        if access.tensor in self.graph.constants:
            text = self._constant(access)
            return f"({text}).to(tl.int32)" if access.integer else text
        place = self._place(access)
        if access.pick:
            index, stride = access.pick
            self.k.add(f"{name}_at = tl.load({self._place(index)}{self._mask(index)}).to(tl.int64)")
            place += f" + {self.k.times(f'tl.maximum({name}_at, 0)', stride)}"
        # under a name of its own: a tensor may be called k, or task
        kind = "tl.int32" if access.integer else self.k.real
        self.k.add(f"{name}_v = tl.load({place}{self._mask(access)}).to({kind})")
        return f"{name}_v"

    def _mask(self, access: Access) -> str:
        """Lanes past the end load 0. An index that varies along the lanes makes what it picks vary, too."""
        along = self.plan.register in access.strides or (
            access.pick is not None and self.plan.register in access.pick[0].strides
        )
        return ", mask=inside, other=0" if along else ""

    def _constant(self, access: Access) -> str:
        """A small tensor of the reference itself: evenly spaced numbers are computed, few others are chosen among."""
        values = [float(v) for v in self.graph.constants[access.tensor]]
        at = " + ".join(self._terms(access)) or "0"
        step = values[1] - values[0] if len(values) > 1 else 0.0
        if all(v == values[0] + i * step for i, v in enumerate(values)):
            return f"(({at}) * {number(step)} + {number(values[0])})"
        if len(values) > FEW_CONSTANTS:
            raise Unsupported(f"a constant tensor of {len(values)} numbers is not passed to Triton kernels")
        text = number(values[-1])
        for i, v in reversed(list(enumerate(values[:-1]))):
            text = f"tl.where(({at}) == {i}, {number(v)}, {text})"
        return text


def _product(loops: Sequence[Loop], traces: int) -> Size:
    return times((loop.extent for loop in loops), traces)
