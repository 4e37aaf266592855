"""Run attacks through the ordinary evaluation path and say of each whether it got what it was after.

An attack succeeds when it is judged ``correct`` without being so, is declared faster than it is, or leaves an
effect outside its sandbox (:mod:`~kopt.verifiers.redteam.canaries`). After every attack on the sandbox (family G)
nothing of it may be left, a candidate that lived beside it must have noticed nothing, and an honest one must be judged
correct (:mod:`~kopt.verifiers.redteam.aftermath`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

from kopt.errors import UsageError
from kopt.settings import Settings
from kopt.settings import settings as default_settings
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.redteam.aftermath import watched
from kopt.verifiers.redteam.canaries import Canaries
from kopt.verifiers.redteam.corpus import Attack, problem_of
from kopt.verifiers.statistics import declared_faster
from kopt.words import Candidate, Evaluation, Verdict

CALL_SECONDS = 10.0
"""How long a hang may last: attacks that hang are many, and prove nothing more by hanging longer."""

BUILD_SECONDS = 30.0
MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one attack. ``stopped_by`` is one line: the judge's reason, or why correct is no success."""

    attack: str
    family: str
    numbers: tuple[int, ...]
    source: str
    tries: str
    problem: str
    verdict: Verdict
    expected: bool
    succeeded: bool
    stopped_by: str
    seconds: float


def judge(evaluator: Evaluator, attack: Attack, canaries: Canaries) -> Outcome:
    """Judge one attack as often as it asks for, then look at what it left.

    Raises:
        ProblemError: the reference stopped working.
    """
    began = time.monotonic()
    candidate = _armed(attack.candidate, canaries)
    usual, evaluator.policy = evaluator.policy, attack.policy
    with ExitStack() as keep:
        damage = None
        if attack.family == "G":
            damage = keep.enter_context(watched(evaluator, attack.problem, canaries))
        for _ in range(attack.runs):
            evaluation = evaluator.evaluate(candidate, effort=attack.effort)
            succeeded, how = _decide(attack, evaluation, canaries.harm(evaluation))
            if succeeded:
                break
        evaluator.policy = usual  # the honest one that comes after it leaves its work to the library
        if damage is not None and not succeeded:
            left = damage()
            succeeded, how = bool(left), left or how
    return Outcome(
        attack=attack.name,
        family=attack.family,
        numbers=attack.numbers,
        source=attack.source,
        tries=attack.tries,
        problem=attack.problem,
        verdict=evaluation.verdict,
        expected=evaluation.verdict in attack.expected,
        succeeded=succeeded,
        stopped_by=how,
        seconds=time.monotonic() - began,
    )


def _decide(attack: Attack, evaluation: Evaluation, harm: str) -> tuple[bool, str]:
    if harm:
        return True, harm
    if not evaluation.correct:
        return False, evaluation.reason
    gain = evaluation.gain
    shown = f"{gain.ratio:.2f}x [{gain.low:.2f}, {gain.high:.2f}]" if gain else "not timed"
    if Verdict.CORRECT not in attack.expected:
        return True, f"judged correct, {shown}"
    if declared_faster(gain):
        return True, f"declared faster than it is: {shown}"
    return False, f"it did the work and was timed honestly: {shown}"


def _armed(candidate: Candidate, canaries: Canaries) -> Candidate:
    """The candidate with the names of what is planted here written into its text."""
    sources = dict(candidate.sources)
    for mark, value in canaries.names.items():
        sources = {name: text.replace(mark, value) for name, text in sources.items()}
    return replace(candidate, sources=sources)


@contextmanager
def opened(name: str, sandbox: str, settings: Settings) -> Iterator[Evaluator]:
    """An evaluator for a problem that attacks name."""
    with Evaluator(problem_of(name), sandbox=sandbox, settings=settings) as evaluator:
        yield evaluator


def run(
    chosen: Iterable[Attack],
    *,
    sandbox: str = "auto",
    settings: Settings | None = None,
    observe: Callable[[str, Outcome | None], None] | None = None,
) -> list[Outcome]:
    """Judge attacks, one evaluator per problem; outcomes in the order of the attacks' names.

    ``observe`` is told each attack's name before (with None) and after it was judged.

    Raises:
        UsageError: an attack names a problem there is not, or ``sandbox`` is ``none``, where attacks would
            hit this machine.
        SandboxUnavailable: nothing here can isolate.
    """
    if sandbox == "none":
        raise UsageError(
            "attacks are never run with --sandbox none, they would hit this machine: use another"
        )
    base = settings or default_settings()
    less = {
        "call_seconds": min(base.call_seconds, CALL_SECONDS),
        "build_seconds": min(base.build_seconds, BUILD_SECONDS),
        "memory_bytes": min(base.memory_bytes, MEMORY_BYTES),
    }
    settings = base.model_copy(update=less)
    outcomes: list[Outcome] = []
    tell = observe or (lambda _name, _outcome: None)
    ordered = sorted(chosen, key=lambda a: (a.problem, a.name))
    with Canaries(base) as canaries:
        for problem, group in groupby(ordered, key=lambda a: a.problem):
            tell(f"opening {problem}", None)
            with opened(problem, sandbox, settings) as evaluator:
                for attack in group:
                    tell(attack.name, None)
                    outcomes.append(judge(evaluator, attack, canaries))
                    tell(attack.name, outcomes[-1])
    return sorted(outcomes, key=lambda o: o.attack)
