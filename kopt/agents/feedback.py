"""An evaluation as a model is told of it: one critical issue, a few figures, never a raw log.

What is hidden from candidates is hidden from the models that write them: of workloads and inputs that they may not
know they hear that one failed, not which.
"""

from __future__ import annotations

from collections.abc import Collection

from kopt.agents.methods import METHODS
from kopt.verifiers.localise import shown_to_proposers
from kopt.words import Evaluation, Mismatch, Speedup, Verdict

_MOST = 700
_MOST_EVIDENCE = 3


def describe(evaluation: Evaluation, known: Collection[str]) -> str:
    """What came of a candidate, in a few lines.

    Args:
        evaluation: the judge's record.
        known: names of the workloads that candidates may know of.
    """
    if evaluation.correct:
        return "\n".join(["verdict: correct", *_figures(evaluation), *_notes(evaluation)])
    return "\n".join([f"verdict: {evaluation.verdict.value}", *_issue(evaluation, known)])


def _issue(evaluation: Evaluation, known: Collection[str]) -> list[str]:
    stage = next((record.name.value for record in evaluation.stages if not record.passed), None)
    lines = [f"stage: {stage}"] if stage else []
    if evaluation.verdict is Verdict.WRONG and evaluation.worst is not None:
        issue = f"issue: {_mismatch(evaluation.worst, known)}"
        return [*lines, issue, *shown_to_proposers(evaluation, known)]
    return [*lines, f"issue: {_short(evaluation.reason)}"]


def _mismatch(worst: Mismatch, known: Collection[str]) -> str:
    if worst.workload not in known:
        return (
            "the result is wrong on a workload that is not shown to you: the kernel must hold for every shape"
        )
    place = f"{worst.output}[{', '.join(map(str, worst.index))}]" if worst.index else worst.output
    return (
        f"workload {worst.workload}: {place} should be {worst.expected:.9g} and is {worst.got:.9g} "
        f"(allowed error {worst.budget:.3g}); {worst.count} of {worst.total} elements are wrong"
    )


def _figures(evaluation: Evaluation) -> list[str]:
    lines = [
        f"speed-up over {name}: {_ratio(speedup)}"
        for name, speedup in sorted(evaluation.speedup.items())
        if speedup is not None
    ]
    roofline = evaluation.roofline
    if roofline is not None:
        lines.append(f"roofline: {roofline.percent:.0f} % of what {roofline.limit} allows on this machine")
    return [*(lines or ["it was not timed"]), *_bottleneck(evaluation)]


def _ratio(speedup: Speedup) -> str:
    faster = "" if speedup.low > 1 else ", not surely faster"
    return f"{speedup.ratio:.3g} (95 % interval {speedup.low:.3g} to {speedup.high:.3g}{faster})"


def _bottleneck(evaluation: Evaluation) -> list[str]:
    """Exactly one: the profile's with its evidence and the method against it, else what the roofline lets one guess."""
    if evaluation.profile is not None:
        bottleneck = evaluation.profile.bottleneck
        evidence = [f"evidence: {_short(line)}" for line in bottleneck.evidence[:_MOST_EVIDENCE]]
        return [
            f"bottleneck: {bottleneck.name.value}, as profiled",
            *evidence,
            f"method: {METHODS[bottleneck.name]}",
        ]
    roofline = evaluation.roofline
    if roofline is None:
        return []
    if roofline.percent >= 70:
        return [f"bottleneck: {roofline.limit}; little is left to gain but by moving or computing less"]
    return [
        f"bottleneck: not {roofline.limit}: something else (vectorisation, parallelism, extra passes over memory) "
        "keeps it waiting"
    ]


def _notes(evaluation: Evaluation) -> list[str]:
    return [f"note: {_short(note)}" for note in evaluation.notes[:2]]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"
