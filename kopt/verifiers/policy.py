"""Who does the work: the candidate's own code, or a library that it calls?

Three measurements, none of which reads the candidate's text:

* one call under a dispatcher trace, in a fresh runner: names operators, with their share of the reference's bytes
  and flops. The trace lives beside the candidate and is its word;
* the same runner with the library's operators withheld: outputs that are right then, in the judge's memory, were
  computed without them. Under ``strict`` they are withheld in every process, the timed one included;
* the imports of what was built, read by the judge from the artefact: what reaches a library past the dispatcher.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kopt.verifiers import symbols
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.reference import Reference
from kopt.verifiers.verify import Verified, run_cases
from kopt.words import Candidate, Delegation, Language, OperatorUse, Policy, Verdict

_NAME = re.compile(r"\w{1,40}::\w{1,80}")
_MOST_OPERATORS = 512
_SHOWN = 6
_MOVE = "move"


@dataclass(frozen=True)
class Work:
    """What the reference consists of: all its operators move and compute, and whether they only move."""

    bytes: int
    flops: float
    moves_only: bool


def work_of(reference: Reference) -> Work:
    """Trace the reference on its first slot.

    Raises:
        ProblemError: it stopped working.
    """
    found = list(operators(reference.ask("trace", {"slot": 0})))
    return Work(
        bytes=sum(use.bytes for _, use in found),
        flops=sum(use.flops for _, use in found),
        moves_only=all(kind == _MOVE for kind, _ in found),
    )


def native(artifact: bytes | None, language: Language) -> Delegation:
    """What a built object leaves to libraries; nothing where there is no host code."""
    if not artifact or language not in (Language.CPP, Language.TORCH):
        return Delegation()
    return Delegation(symbols=symbols.foreign(artifact, alone=language is Language.CPP))


def traced(contestant: Contestant, built: Delegation, work: Work) -> Delegation:
    """Trace a fresh contestant on one slot, then see whether it is right without the library.

    Raises:
        Failure: the candidate fails while the library is still there.
    """
    bench, ring = contestant.bench, contestant.ring
    case = bench.cases.cases[0]
    ring.put_inputs(0, case.inputs)
    found = operators(contestant.trace(0))
    uses = [_shared(use, work) for kind, use in found if kind != _MOVE or work.moves_only]
    uses.sort(key=lambda use: (-use.share_of_flops, -use.bytes, use.name))
    names: tuple[str, ...] = ()
    independent = True
    try:
        contestant.withhold(work.moves_only)
        run_cases(contestant, [case], bench.cases.mutates_inputs, Verified(), "without the library")
    except Failure:
        independent = False
    with suppress(Failure):  # it may be gone
        names = contestant.refused()
    for name in names:  # called where the trace does not look: on another thread, past a fallback
        if _NAME.fullmatch(name) and all(use.name != name for use in uses):
            uses.append(OperatorUse(name=name, calls=1, bytes=0, flops=0.0))
    return Delegation(operators=tuple(uses), symbols=built.symbols, independent=independent)


def refuse(policy: Policy, delegation: Delegation, candidate: Candidate) -> None:
    """Hold a delegation against a policy.

    Raises:
        Failure: ``rejected``; the reason names the operators.
    """
    if policy is not Policy.STRICT or not delegation.names:
        return
    kind = "calls" if delegation.operators else "its built object imports"
    advice = "write the kernel" if candidate.language is not Language.CPP else "compute it in the kernel"
    raise Failure(
        Verdict.REJECTED,
        f"leaves work to libraries ({kind} {told(delegation)}), which policy strict refuses: {advice}, "
        "or use --policy allow-library",
    )


def told(delegation: Delegation) -> str:
    """The names on one line, with shares where they are known."""
    words = [_with_share(use) for use in delegation.operators] + list(delegation.symbols)
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _with_share(use: OperatorUse) -> str:
    if use.share_of_flops >= 0.005:
        return f"{use.name} {use.share_of_flops:.0%} of the flops"
    return f"{use.name} {use.share_of_bytes:.0%} of the bytes" if use.share_of_bytes >= 0.005 else use.name


def _shared(use: OperatorUse, work: Work) -> OperatorUse:
    return OperatorUse(
        name=use.name,
        calls=use.calls,
        bytes=use.bytes,
        flops=use.flops,
        share_of_bytes=round(use.bytes / work.bytes, 4) if work.bytes else 0.0,
        share_of_flops=round(use.flops / work.flops, 4) if work.flops else 0.0,
    )


def operators(reply: Mapping[str, Any]) -> Iterator[tuple[str, OperatorUse]]:
    """What a runner listed, as far as it has the form it must have."""
    found = reply.get("operators")
    if not isinstance(found, dict):
        return
    for name, entry in list(found.items())[:_MOST_OPERATORS]:
        if not _NAME.fullmatch(str(name)) or not isinstance(entry, Sequence) or len(entry) != 4:
            continue
        kind, calls, size, flops = entry
        if isinstance(calls, int) and isinstance(size, int) and isinstance(flops, (int, float)):
            yield (
                str(kind),
                OperatorUse(
                    name=str(name),
                    calls=min(max(calls, 0), 1 << 40),
                    bytes=min(max(size, 0), 1 << 60),
                    flops=min(max(float(flops), 0.0), 1e30),
                ),
            )
