"""Inputs with what the original prints for them.

Generated inputs are made anew, from seeds drawn here: what was seen of one set says nothing of the next. The truth is
the original program; where pairs are given it has to agree with them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from kopt.errors import ProblemError
from kopt.problems.code import Rules, pair, pair_names
from kopt.sandbox.commands import Place, Ran, run
from kopt.sandbox.errors import RunnerError
from kopt.sandbox.session import Sandbox
from kopt.verifiers.code.compare import difference
from kopt.words import Problem

Original = Callable[[bytes], Ran]
GENERATE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input and the answer to it. ``shown``: proposers know it. ``timed``: it is also measured."""

    name: str
    data: bytes
    expected: bytes
    shown: bool = False
    timed: bool = False


class Cases:
    """The cases of one problem."""

    def __init__(self, problem: Problem, rules: Rules, sandbox: Sandbox, original: Original) -> None:
        self._problem, self._rules, self._sandbox, self._original = problem, rules, sandbox, original
        self.pairs = self._given()
        self._kept: list[Case] | None = None

    def known(self) -> list[Case]:
        """One set for a whole session: what a search compares its candidates on."""
        if self._kept is None:
            self._kept = self.fresh()
        return self._kept

    def fresh(self) -> list[Case]:
        """The pairs, and newly generated inputs; shown first, then smallest first, those that are timed last."""
        made = [self._make(size) for size in self._rules.sizes]
        every = [*self.pairs, *made]
        if not any(case.timed for case in every):
            raise ProblemError("nothing is timed: name pairs or sizes in timed", path=self._problem.path)
        return sorted(every, key=lambda case: (case.timed, not case.shown, len(case.data)))

    def _given(self) -> list[Case]:
        rules, cases = self._rules, []
        names = pair_names(rules, self._problem.sources)
        everything = not rules.timed and not rules.sizes
        for name in names:
            data, expected = pair(rules, self._problem.sources, name)
            ran = self._answer(data, f"pair {name}")
            told = difference(rules, expected, ran.output)
            if told is not None:
                raise self._problem_error(f"the original is wrong on pair {name}: {told}")
            timed = name in rules.timed or everything
            cases.append(
                Case(name=name, data=data, expected=expected, shown=name in rules.shown, timed=timed)
            )
        return cases

    def _make(self, size: int) -> Case:
        rules = self._rules
        name = f"size {size}"
        command = f"{rules.generate} {size} {secrets.randbits(31)}"
        try:
            made = run(self._sandbox, Place(files=self._problem.sources), command, b"", GENERATE_SECONDS)
        except RunnerError as error:
            raise self._problem_error(f"`{command}` cannot be started: {error}") from None
        if made.status != 0 or not made.output:
            why = made.stopped or f"status {made.status}"
            raise self._problem_error(f"generate failed for {name} ({why}): {_last(made.tail)}")
        ran = self._answer(made.output, name)
        timed = size in rules.timed or (not rules.timed and size == max(rules.sizes))
        return Case(name=name, data=made.output, expected=ran.output, timed=timed)

    def _answer(self, data: bytes, name: str) -> Ran:
        ran = self._original(data)
        if ran.status != 0:
            why = ran.stopped or f"exit status {ran.status}"
            raise self._problem_error(f"the original fails on {name} ({why}): {_last(ran.tail)}")
        return ran

    def _problem_error(self, message: str) -> ProblemError:
        return ProblemError(" ".join(message.split()), path=self._problem.path)


def weaknesses(cases: list[Case], rules: Rules) -> list[str]:
    """Trivial programs that would pass: named as mutants are, found without running them."""
    expected = {case.expected for case in cases}
    found = []
    if len(expected) == 1:
        found.append("constant")
    if all(difference(rules, case.expected, case.data) is None for case in cases):
        found.append("identity")
    if all(difference(rules, case.expected, b"") is None for case in cases):
        found.append("silence")
    if all(case.shown for case in cases):
        found.append("known outputs")
    return found


def _last(tail: str) -> str:
    lines = tail.strip().splitlines()
    return lines[-1][:300] if lines else "it printed nothing"
