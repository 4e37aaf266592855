"""Why a result is wrong, as far as the reference can tell: its steps beside the wrong output, in a process of its own.

Advice for whoever mends the candidate, a person or a model; no verdict depends on it, and what cannot be told is left
out. Only workloads that candidates may know of are told about: no held-out shape, no inputs of an adversary.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kopt.errors import KoptError
from kopt.verifiers.cases import DECLARED
from kopt.verifiers.layout import Layout
from kopt.verifiers.reference import Reference
from kopt.verifiers.verify import Exhibit
from kopt.words import Evaluation, Likeness, LikenessKind, Localisation, Span, Step, from_json

if TYPE_CHECKING:
    from kopt.verifiers.trial import Trial

SECONDS = 3.0
"""The most that damaged references may take in all."""
MOST_BYTES = 256 << 20
"""The largest slot that is compared."""
MOST_CALL_SECONDS = 0.3
"""The longest that the reference may take on it: it is run some dozens of times."""
_WAIT = 30.0
_MOST_NAME, _MOST_STEPS, _MOST_AXES = 80, 64, 32


def explain(trial: Trial) -> Localisation | None:
    """Compare what a trial found wrong with the reference's steps; None when that may or can not be told."""
    exhibit = trial.verified.exhibit
    evaluator = trial.evaluator
    if exhibit is None or exhibit.bench not in (*evaluator.timed, *evaluator.smoke):
        return None
    bench, worst = exhibit.bench, trial.verified.worst
    if worst is None or bench.slot_bytes > MOST_BYTES or bench.call_seconds > MOST_CALL_SECONDS:
        return None
    try:
        reply = _ask(exhibit, worst.index)
    except KoptError:
        return None
    return read(reply.get("found"))


def _ask(exhibit: Exhibit, index: tuple[int, ...]) -> dict[str, Any]:
    bench = exhibit.bench
    reference = Reference(bench.problem, bench.sandbox)
    try:
        reference.select(bench.workload, bench.seed, bench.smoke)
        ring = reference.attach(Layout(1, bench.layout.stride, bench.layout.places))
        ring.put_inputs(0, exhibit.case.inputs)
        ring.outputs_of(0)[exhibit.output][:] = exhibit.stored
        body = {"slot": 0, "output": exhibit.output, "index": list(index), "seconds": SECONDS}
        return reference.ask("localise", body, timeout=_WAIT)
    finally:
        reference.close()


def read(found: Any) -> Localisation | None:
    """What a reference's runner says, if it reads like an answer; names are cut to a printable line."""
    try:
        told = from_json(Localisation, found)
    except (ValidationError, RecursionError):
        return None
    numbers = {step.number for step in told.steps}
    if len(told.steps) > _MOST_STEPS or len(told.region) > _MOST_AXES or len(told.index) > _MOST_AXES:
        return None
    if len(numbers) < len(told.steps) or any(len(step.shape) > _MOST_AXES for step in told.steps):
        return None
    steps = tuple(replace(step, name=_line(step.name)) for step in told.steps)
    likeness = told.likeness and replace(told.likeness, name=_line(told.likeness.name))
    return replace(told, output=_line(told.output), steps=steps, likeness=likeness)


def _line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_MOST_NAME]


def lines(found: Localisation) -> list[str]:
    """A few lines for people and prompts: where it is wrong, the reference's values there, what it looks like."""
    told = []
    if any(_span(span) != ":" for span in found.region):
        inside = "" if found.solid else ", not everywhere in there"
        told.append(f"wrong elements lie in {found.output}[{', '.join(map(_span, found.region))}]{inside}")
    if found.steps:
        where = f", for {found.output}[{', '.join(map(str, found.index))}]" if found.index else ""
        told.append(f"the reference, step by step{where}:")
        told += [f"  {_step(step)}" for step in found.steps]
    if found.likeness is not None:
        told.append(f"likely: {_likeness(found.likeness, found.steps)}")
    return told


def _span(span: Span) -> str:
    if (span.first, span.last, span.every) == (0, span.size - 1, 1):
        return ":"
    if span.first == span.last:
        return f"{span.first} of {span.size}"
    every = f" by {span.every}" if span.every > 1 else ""
    return f"{span.first} to {span.last}{every} of {span.size}"


def shown_to_proposers(evaluation: Evaluation, known: Collection[str]) -> list[str]:
    """What whoever writes candidates may hear of a wrong one.

    That is nothing of workloads that are not ``known``, and no values of hidden inputs: they would show what these were
    drawn from.
    """
    found, worst = evaluation.localisation, evaluation.worst
    if found is None or worst is None or worst.workload not in known:
        return []
    return lines(found if worst.distribution == DECLARED else _without_values(found))


def _without_values(found: Localisation) -> Localisation:
    """Steps are but named: their arguments may be values as well."""
    steps = [
        replace(step, name=step.name.partition("(")[0], value=None, low=None, high=None)
        for step in found.steps
    ]
    return replace(found, steps=tuple(steps))


def _step(step: Step) -> str:
    line = f", line {step.line}" if step.line is not None else ""
    value = ""
    if step.value is not None:
        value = f": {step.value:.6g}"
    elif step.low is not None and step.high is not None:
        value = f": from {step.low:.4g} to {step.high:.4g}"
    return f"{step.number} {step.name}{line}, [{', '.join(map(str, step.shape))}]{value}"


_SEEMS = {
    LikenessKind.PRECISION: "rounding; the largest relative error is {value:.2g}: accumulate in a wider type, or in "
    "another order",
    LikenessKind.CONSTANT: "every wrong element is {value:.6g}",
    LikenessKind.STEP: "the wrong elements are the value of {step}: what follows it is missing",
    LikenessKind.WITHOUT: "the wrong elements are what the reference gives without {step}",
    LikenessKind.STATE: "the wrong elements are what the reference gives with {name} all {value:g}: it is not applied",
    LikenessKind.FACTOR: "the wrong elements are {ratio} times what they should be",
    LikenessKind.OFFSET: "the wrong elements are what they should be plus {value:.6g}",
    LikenessKind.TRANSPOSED: "the result is transposed: check which axis is contiguous",
    LikenessKind.SHIFTED: "the result is shifted by {value:+g} along axis {axis}: check the first index and the bounds",
}
_NAN = "every wrong element is NaN: it is never written, or 0/0 or inf - inf comes on the way"


def _likeness(found: Likeness, steps: tuple[Step, ...]) -> str:
    names = {step.number: f"step {step.number}, {step.name}" for step in steps}
    value = found.value if found.value is not None else 0.0
    if found.kind is LikenessKind.CONSTANT and math.isnan(value):
        return _NAN
    return _SEEMS[found.kind].format(
        step=names.get(found.step or 0, f"step {found.step}"),
        name=found.name,
        value=value,
        ratio=_ratio(value),
        axis=found.axis,
    )


def _ratio(value: float) -> str:
    """A factor, as 1/n where that is what it is."""
    inverse = 1 / value if value else 0.0
    whole = round(inverse) if abs(inverse) < 1e9 else 0
    if abs(whole) > 1 and abs(inverse - whole) < 2e-3 * abs(whole):
        return f"{value:.6g} (1/{whole})"
    return f"{value:.6g}"
