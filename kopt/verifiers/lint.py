"""The problem lint: wrong answers that the judge must notice, or the problem is weak (invariant 9).

Every mutant is checked exactly as a candidate is, on the very cases that candidates are verified on: it
counts as killed as soon as one case of one workload refutes it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from kopt.errors import ProblemError
from kopt.verifiers import claims
from kopt.verifiers.budget import BLOCK
from kopt.verifiers.cases import Case
from kopt.verifiers.compare import Expected
from kopt.verifiers.dtypes import KINDS, Array
from kopt.verifiers.layout import Layout
from kopt.verifiers.mutants import Mutant, byte_mutants, right
from kopt.verifiers.reference import Reference
from kopt.verifiers.workbench import Workbench
from kopt.words import Problem

_LOOK = 8 * BLOCK
_SHARE = 16
_MUTATING = "kopt.problems.mutating"


class Judge(Protocol):
    """What the lint needs of an evaluator: its workbenches."""

    @property
    def smoke(self) -> list[Workbench]:
        """Tiny shapes."""
        ...

    @property
    def untimed(self) -> list[Workbench]:
        """Held-out shapes and parameters."""
        ...

    timed: list[Workbench]


@dataclass(frozen=True)
class MutantResult:
    """What became of one mutant: ``why`` is what passing means or what refuted it, ``hint`` the next step."""

    name: str
    passed: bool
    why: str
    hint: str = ""


@dataclass(frozen=True)
class LintReport:
    """The lint of one problem."""

    problem: str
    mutants: tuple[MutantResult, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passing(self) -> tuple[MutantResult, ...]:
        """The mutants that the judge did not notice."""
        return tuple(mutant for mutant in self.mutants if mutant.passed)

    @property
    def clean(self) -> bool:
        """Whether no mutant passes."""
        return not self.passing


def lint(
    problem: Problem, evaluator: Judge, *, observer: Callable[[MutantResult], None] | None = None
) -> LintReport:
    """Try every mutant on a problem that an evaluator has opened.

    Args:
        problem: what is linted.
        evaluator: an :class:`kopt.verifiers.evaluator.Evaluator` of that problem.
        observer: told each result as it is known.

    Raises:
        ProblemError: the reference cannot be judged.
    """
    began = time.monotonic()
    alive: dict[str, MutantResult] = {}
    dead: dict[str, MutantResult] = {}
    notes: list[str] = []
    for bench in _benches(evaluator):
        _try_bench(problem, bench, alive, dead, notes)
        if not alive:
            break
    results = (*dead.values(), *alive.values())
    for result in results if observer else ():
        assert observer is not None
        observer(result)
    return LintReport(
        problem.name,
        tuple(sorted(results, key=lambda r: not r.passed)),
        tuple(dict.fromkeys(notes)),
        seconds=time.monotonic() - began,
    )


def _benches(evaluator: Judge) -> Iterator[Workbench]:
    """Smallest first, made only when reached: most mutants die early."""
    yield from evaluator.smoke
    yield from sorted(evaluator.timed, key=lambda bench: bench.slot_bytes)
    yield from evaluator.untimed


def _try_bench(
    problem: Problem,
    bench: Workbench,
    alive: dict[str, MutantResult],
    dead: dict[str, MutantResult],
    notes: list[str],
) -> None:
    """Run every mutant that is not yet refuted against one workload's cases."""
    first = not alive and not dead
    cases = bench.cases.cases
    several = len(bench.layout.role("output")) > 1
    names: set[str] = set()
    for mutant in byte_mutants(bench.layout):
        for output, place in enumerate(bench.layout.role("output")):
            name = f"{mutant.name} as {place.spec.name}" if several else mutant.name
            names.add(name)
            if name in dead or not (first or name in alive):
                continue
            refuted = _refute_bytes(mutant, cases, bench.layout, output)
            _settle(name, mutant.why, mutant.hint, refuted, bench, alive, dead)
    if not first and names.issuperset(alive):
        return  # nothing is left that needs the reference
    with contextlib.ExitStack() as stack:
        runner = _Runner(problem, bench, stack)
        for name, why, hint, act in runner.mutants(notes if first else []):
            if name in dead or not (first or name in alive):
                continue
            _settle(name, why, hint, runner.refute(act), bench, alive, dead)


def _settle(
    name: str,
    why: str,
    hint: str,
    refuted: str | None,
    bench: Workbench,
    alive: dict[str, MutantResult],
    dead: dict[str, MutantResult],
) -> None:
    if refuted == "" and name not in alive:
        return  # it has no meaning here
    if refuted is None:
        alive[name] = MutantResult(name, True, why, hint)
        return
    alive.pop(name, None)
    where = f"{bench.name} (smoke)" if bench.smoke else bench.name
    dead[name] = MutantResult(name, False, f"refuted by {where}, {refuted or 'whose shapes it does not fit'}")


def _refute_bytes(mutant: Mutant, cases: Sequence[Case], layout: Layout, output: int) -> str | None:
    """The distribution that refutes a mutant, None when none does, "" when it does not apply."""
    applied = False
    for number, case in enumerate(cases):
        answer = mutant.make(cases, number, layout, output)
        if answer is None:
            continue
        applied = True
        if wrong(case.expected[output], answer):
            return f"{case.distribution} inputs"
    return None if applied else ""


def wrong(expected: Expected, stored: Array) -> bool:
    """Whether the judge refuses an output: a look at three stretches first, since most mutants fail there."""
    size = expected.truth.size
    if expected.budget is not None and expected.blocks is not None and size > 4 * _LOOK:
        middle = size // 2 // BLOCK * BLOCK
        end = (size // BLOCK - 8) * BLOCK
        for start in (0, middle, end):
            part = slice(start, start + _LOOK)
            look = replace(
                expected,
                truth=expected.truth[part],
                budget=expected.budget[part],
                blocks=expected.blocks[start // BLOCK : (start + _LOOK) // BLOCK],
                special=None if expected.special is None else expected.special[part],
            )
            if not look.check(stored[part]).passed:
                return True
    return not expected.check(stored).passed


class _Runner:
    """A reference runner of its own, in which the reference may be damaged."""

    def __init__(self, problem: Problem, bench: Workbench, stack: contextlib.ExitStack) -> None:
        self.problem, self.bench, self.stack = problem, bench, stack
        self.layout = Layout(1, bench.layout.stride, bench.layout.places)
        self._reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """The runner, started again if a mutant has killed it."""
        if self._reference is None or not self._reference.runner.alive:
            reference = Reference(self.problem, self.bench.sandbox)
            self.stack.callback(reference.close)
            reference.select(self.bench.workload, self.bench.seed, self.bench.smoke)
            reference.attach(self.layout)
            self._reference = reference
        return self._reference

    def mutants(self, notes: list[str]) -> Iterator[tuple[str, str, str, Callable[[], None]]]:
        """Name, meaning, hint and action of every mutant that needs the reference."""
        spec = self.bench.spec
        dtypes = {t.dtype for t in (*spec.tensors, *spec.state, *spec.outputs)}
        lower = ["float16", "bfloat16"] if "float32" in dtypes else []
        lower += ["float32"] if "float64" in dtypes else []
        for dtype in lower:
            yield (
                f"computed in {dtype}",
                f"computing in {dtype} passes",
                "give no rtol/atol, so that the reference's own error decides; or other inputs",
                self._in(dtype),
            )
        for axis, which in ((0, "first"), (-1, "last")):
            yield (
                f"inputs cut along the {which} axis",
                f"ignoring the last 1/{_SHARE} of the inputs' {which} axis passes",
                "let the end of the inputs matter: other values, or a longer output",
                self._cut(axis),
            )
        operations, state, neutral = claims.pieces(self._invoke("survey", {}))
        for call, operand, operation in operations:
            yield (
                f"without {operation} (call {call}, operand {operand} instead)",
                f"leaving out {operation} (call {call}) changes nothing that is noticed",
                "draw inputs (or set constants) for which this operation matters",
                self._damaged({"operation": [call, operand]}),
            )
        for name in state:
            yield (
                f"without state {name}",
                f"ignoring {name} changes nothing that is noticed",
                "initialise it with values that matter, such as torch.randn",
                self._damaged({"state": name}),
            )
        for name, value in neutral.items():
            notes.append(
                f"{name} is all {value}: a candidate that ignores it cannot be told from a right one"
            )

    def refute(self, act: Callable[[], None]) -> str | None:
        """The distribution that refutes a mutant; None when none does, "" when it does not apply."""
        for case in self.bench.cases.cases:
            assert self.reference.ring is not None
            self.reference.ring.put_inputs(0, case.inputs)
            try:
                act()
            except _NotApplicable:
                return ""
            except ProblemError as error:
                return f"it fails: {str(error)[:120]}"
            for expected, stored in zip(case.expected, self.reference.ring.outputs_of(0), strict=True):
                if wrong(expected, stored):
                    return f"{case.distribution} inputs"
        return None

    def _invoke(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = self.reference.ask("invoke", {"target": f"{_MUTATING}:{function}", "args": args})
        except ProblemError:
            return {}  # a reference that cannot be taken apart has no operations to leave out
        result = reply.get("result")
        return result if isinstance(result, dict) else {}

    def _run(self) -> None:
        self.reference.round(0, 1)
        self.reference.flush([0])

    def _in(self, dtype: str) -> Callable[[], None]:
        return lambda: self._ask_precision(dtype)

    def _ask_precision(self, dtype: str) -> None:
        try:
            self.reference.ask("call_precision", {"slots": [0], "dtype": dtype})
        except ProblemError:
            raise _NotApplicable from None

    def _cut(self, axis: int) -> Callable[[], None]:
        def act() -> None:
            ring = self.reference.ring
            assert ring is not None
            done = False
            for place in self.layout.role("input"):
                shape = place.spec.shape
                if not KINDS[place.spec.dtype].floating or not shape or shape[axis] < 2:
                    continue
                if not place.spec.strides[axis]:  # cutting the end would cut all of it
                    continue
                raw = ring.slot(0)[place.offset : place.offset + place.nbytes]
                view = np.moveaxis(place.view(raw), axis, 0)
                view[-max(1, shape[axis] // _SHARE) :] = 0
                done = True
            if not done:
                raise _NotApplicable
            self._run()

        return act

    def _damaged(self, damage: dict[str, Any]) -> Callable[[], None]:
        def act() -> None:
            try:
                self.reference.ask("invoke", {"target": f"{_MUTATING}:damage", "args": damage})
                self.reference.ask("use", {"implementation": "eager"})
                self._run()
            finally:
                if self.reference.runner.alive:
                    self.reference.ask("invoke", {"target": f"{_MUTATING}:damage", "args": {}})
                    self.reference.ask("use", {"implementation": "eager"})

        return act


class _NotApplicable(Exception):
    """The mutant makes no sense for this workload."""


__all__ = ["LintReport", "MutantResult", "lint", "right", "wrong"]
