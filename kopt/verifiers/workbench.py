"""One workload on the judge's bench: its reference runners, ring size, state and verify cases, kept warm.

A workbench outlives candidates; each candidate brings a fresh process and borrows a ring of the same layout.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from kopt.errors import ProblemError
from kopt.sandbox import RunnerHandle, Sandbox, SharedBuffer
from kopt.sandbox.buffers import first_bytes, memory_file
from kopt.verifiers import cases as verify_cases
from kopt.verifiers.cases import Cases, draw_seed
from kopt.verifiers.clock import last_level_cache, slots_for
from kopt.verifiers.dtypes import KINDS
from kopt.verifiers.layout import Layout
from kopt.verifiers.reference import Reference
from kopt.verifiers.ring import Ring
from kopt.words import Problem, Workload, WorkloadSpec

_COMPILE_CACHE_BYTES = 192 << 20


@dataclass(frozen=True)
class CompileCache:
    """Where Inductor's artefacts for this workload are kept between processes: opaque bytes."""

    load: Callable[[], bytes]
    save: Callable[[bytes], None]


class Workbench:
    """One workload under one initial seed.

    ``brief`` asks for fewer verify cases. With a ``compiler``, a runner that is being started, ``torch.compile``
    begins at once.
    """

    def __init__(
        self,
        problem: Problem,
        sandbox: Sandbox,
        workload: Workload,
        *,
        seed: int,
        smoke: bool = False,
        brief: bool = False,
        reference: Reference | None = None,
        cache: CompileCache | None = None,
        compiler: Future[RunnerHandle] | None = None,
    ) -> None:
        self.problem, self.sandbox, self.workload, self.seed, self.smoke = (
            problem,
            sandbox,
            workload,
            seed,
            smoke,
        )
        self.cache, self.brief = cache, brief or smoke or workload.held_out
        self.compiled: Reference | None = None
        self.compile_error: str | None = None
        self._compiling: threading.Thread | None = None
        self._pending: Reference | None = None
        self._closed = False
        self._sized = threading.Event()
        self._cases: Cases | None = None
        self._spare: list[SharedBuffer] = []
        self._compiler = compiler
        if compiler is not None:
            self.start_compiling()
        try:
            self.eager = reference or Reference(problem, sandbox)
            self.spec: WorkloadSpec = self.eager.select(workload, seed, smoke)
            self._refuse_unknown_dtypes()
            self.state: tuple[SharedBuffer, Layout] | None = self.eager.state(self.spec)
            self.call_seconds = 0.0
            self.layout = self._size_ring()
        except BaseException:
            self._closed = True
            raise
        finally:
            self._sized.set()

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.workload.name

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot."""
        return self.layout.stride

    def _refuse_unknown_dtypes(self) -> None:
        for tensor in (*self.spec.tensors, *self.spec.state, *self.spec.outputs):
            if tensor.dtype not in KINDS:
                raise ProblemError(
                    f"{tensor.name} has dtype {tensor.dtype}, which the judge cannot compare: use "
                    f"{', '.join(sorted(KINDS))}",
                    path=self.problem.path or self.problem.name,
                )

    def _size_ring(self) -> Layout:
        """Time the reference on two slots, then size the ring by what it takes."""
        layout = Layout.of([("input", self.spec.tensors), ("output", self.spec.outputs)], 2)
        self.eager.attach(layout)
        self.eager.generate([0, 1], [draw_seed(), draw_seed()])
        self.eager.round(0, 1)
        self.call_seconds = min(self.eager.round(0, 2) / 2 for _ in range(3))
        slots = slots_for(layout.stride, self.call_seconds, last_level_cache())
        if self.brief:  # never timed
            slots = min(slots, 8)
        if slots > 2:
            layout = Layout(slots, layout.stride, layout.places)
            self.eager.attach(layout)
        return layout

    @property
    def cases(self) -> Cases:
        """The verify cases, made on first use."""
        if self._cases is None:
            hidden, declared = (1, 1) if self.brief else (99, 2)
            if declared == 2 and sum(math.prod(o.shape) for o in self.spec.outputs) < 4096:
                declared = 4 if self.layout.stride <= 64 << 20 else 2  # few outputs show little of the error
            self._cases = verify_cases.build(
                self.eager, self.spec, self.problem.tolerance, hidden=hidden, declared=declared
            )
        return self._cases

    def start_compiling(self) -> None:
        """Begin ``torch.compile`` in a runner of its own, in the background; :meth:`compile` waits for it."""
        if self.compiled is None and self.compile_error is None and self._compiling is None:
            self._compiling = threading.Thread(target=self._compile, name="kopt-compile", daemon=True)
            self._compiling.start()

    def compile(self) -> Reference | None:
        """The compiled reference, or None with :attr:`compile_error` set."""
        self.start_compiling()
        if self._compiling is not None:
            self._compiling.join()
            self._compiling = None
        return self.compiled

    def _compile(self) -> None:
        reference: Reference | None = None
        try:
            ahead, self._compiler = self._compiler, None
            runner = ahead.result() if ahead else None
            reference = self._pending = Reference(self.problem, self.sandbox, runner)
            reference.select(self.workload, self.seed, self.smoke)
            self._sized.wait()
            if self._closed:
                raise RuntimeError("closed meanwhile")
            reference.attach(self.layout)
            reference.generate([0], [draw_seed()])
            body: dict[str, Any] = {"implementation": "compile"}
            if self.cache is None:
                reference.ask("use", body)
            else:
                self._compile_with(self.cache, reference, body)
            reference.round(0, 1)
            self.compiled = reference
        except Exception as error:
            self.compile_error = (str(error).splitlines() or ["torch.compile failed"])[0][:300]
            if reference is not None:
                reference.close()

    @staticmethod
    def _compile_with(cache: CompileCache, reference: Reference, body: dict[str, Any]) -> None:
        known = cache.load()
        with memory_file(known, "inductor") as fd:
            reply = reference.ask("use", {**body, "cache_bytes": len(known)}, [fd])
            length = reply.get("cache_bytes")
            if isinstance(length, int) and 0 < length <= _COMPILE_CACHE_BYTES and length != len(known):
                cache.save(first_bytes(fd, length))

    def renew(self) -> None:
        """Move the reference, under each implementation, to a ring in other memory."""
        for reference in (self.eager, self.compile()):
            if reference is not None:
                reference.attach(self.layout)

    def borrow(self) -> Ring:
        """A ring for one candidate, scrubbed of what the last one left."""
        buffer = self._spare.pop() if self._spare else None
        if buffer is not None:
            buffer.array[:] = 0
        return Ring(self.layout, buffer)

    def give_back(self, ring: Ring) -> None:
        """Take back the ring of a candidate whose processes are gone."""
        buffer, ring.rows = ring.buffer, np.empty((0, 0), np.uint8)
        self._spare.append(buffer)

    def close(self) -> None:
        """End the runners, free all memory."""
        self._closed = True
        if self._compiling is not None:
            if self._pending is not None:
                self._pending.runner.kill()
            self._compiling.join()
        for reference in (self.eager, self.compiled):
            if reference is not None:
                reference.close()
        for buffer in self._spare:
            buffer.close()
        self._spare.clear()
        if self.state is not None:
            self.state[0].close()
