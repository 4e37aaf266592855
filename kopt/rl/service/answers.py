"""What a client is told: short, structured, and nothing that is hidden from candidates or belongs to the host.

Of hidden workloads and inputs a client hears that one failed, not which, nor what a candidate said about it: an
exception's text could carry what it saw.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kopt.agents.context import MACHINE
from kopt.problems.declared import declaration_of
from kopt.problems.shown import shown_text
from kopt.verifiers.localise import shown_to_proposers
from kopt.words import (
    Evaluation,
    Mismatch,
    Problem,
    ScalarSpec,
    Speedup,
    StageName,
    TensorSpec,
    Verdict,
    WorkloadSpec,
)

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator

MOST_LINE = 500
_PATH = re.compile(r"(?<![\w.)\]/])/(?:[^\s/:;'\"`,()<>]+/)+")
_DISTRIBUTION = re.compile(r"\s*\((?:[^()]*, )?[\w-]+ inputs\)")
_RAISED, _RETURNED = "raises ", "return what the reference returns"
"""How the judge's reasons begin or end where they quote a candidate's process (kopt.verifiers.contestant)."""
_HIDDEN = "it must hold for every size and for all values that the reference takes"


def line(text: str) -> str:
    """One short line without folders of this machine or names of hidden inputs."""
    one = _DISTRIBUTION.sub("", _PATH.sub("", " ".join(text.split())))
    return one if len(one) <= MOST_LINE else one[: MOST_LINE - 1] + "…"


def number(value: float, digits: int = 4) -> float | str:
    """Rounded to so many digits; what is not finite as text, for JSON has no word for it."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)


def speedup(found: Speedup) -> dict[str, Any]:
    """A ratio with its 95 % interval; ``certain`` is 'faster', 'slower' or 'neither'."""
    certain = "faster" if found.low > 1 else "slower" if found.high < 1 else "neither"
    return {
        "ratio": number(found.ratio),
        "low": number(found.low),
        "high": number(found.high),
        "certain": certain,
    }


def evaluation(record: Evaluation, known: Sequence[str]) -> dict[str, Any]:
    """The judge's record in a few fields.

    Args:
        record: what the judge wrote.
        known: names of the workloads that candidates may know of.
    """
    answer: dict[str, Any] = {"verdict": record.verdict.value, "reason": _reason(record, known)}
    answer["stages"] = [
        {"name": stage.name.value, "passed": stage.passed, "seconds": round(stage.seconds, 2)}
        for stage in record.stages
    ]
    worst = record.worst
    if record.verdict is Verdict.WRONG and worst is not None and worst.count and worst.workload in known:
        answer["worst"] = _worst(worst)
        steps = [line(told) for told in shown_to_proposers(record, known)]
        if steps:
            answer["explanation"] = steps
    timed = {name: speedup(found) for name, found in record.speedup.items() if found is not None}
    if timed:
        answer["speedup"] = timed
    own = {
        name.rpartition("/")[0] or "all": number(timing.median)
        for name, timing in record.timing.items()
        if name.rpartition("/")[2] == "candidate"
    }
    if own:
        answer["seconds_per_call"] = own
    if record.roofline is not None:
        answer["roofline"] = {
            "percent": round(record.roofline.percent, 1),
            "limit": record.roofline.limit,
        }
    if record.notes:
        answer["notes"] = [line(note) for note in record.notes[:3]]
    return answer


def _worst(worst: Mismatch) -> dict[str, Any]:
    return {
        "workload": worst.workload,
        "output": worst.output,
        "index": list(worst.index),
        "expected": number(worst.expected, 9),
        "got": number(worst.got, 9),
        "allowed_error": number(worst.budget, 3),
        "wrong_elements": worst.count,
        "of": worst.total,
    }


def _reason(record: Evaluation, known: Sequence[str]) -> str:
    if record.correct:
        return ""
    worst = record.worst
    hidden = worst is not None and worst.workload not in known and record.reason.startswith(worst.output)
    if record.verdict is Verdict.WRONG and hidden:
        return f"an output is wrong on a workload that is not shown: {_HIDDEN}"
    failed = next((stage for stage in record.stages if not stage.passed), None)
    quoted = record.reason.startswith(_RAISED) or record.reason.endswith(_RETURNED)
    if quoted and failed is not None and failed.name is StageName.VERIFY:
        seen = {case["workload"] for case in record.errors.get("cases", ())}
        seen.update(record.errors.get("not_verified", ()))
        if seen.issuperset(known):
            return f"it fails while it is verified, perhaps on a workload that is not shown: {_HIDDEN}"
    return line(record.reason)


def machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What an author needs to know of it."""
    return {
        name: line(value) if isinstance(value, str) else value
        for name in MACHINE
        if (value := environment.get(name))
    }


def description(problem: Problem, evaluator: Evaluator) -> dict[str, Any]:
    """What a candidate's author needs: the reference, the call, the workloads that may be known, the machine."""
    specs = evaluator.specs
    environment = evaluator.environment
    answer: dict[str, Any] = {
        "problem": problem.name,
        "reference": shown_text(problem),
        "call": _call(specs[0]),
        "workloads": [_workload(spec) for spec in specs],
        "machine": machine(environment),
        "policy": evaluator.policy.value,
    }
    varying = _varying(problem)
    if varying:
        answer["also_judged"] = f"on other sizes of {', '.join(varying)}, which are not shown"
    return answer


def _varying(problem: Problem) -> list[str]:
    if problem.format != "kopt":
        return []
    declared = declaration_of(problem.sources[problem.entry], problem.entry)
    return sorted({axis for sizes in declared.held_out.values() for axis in sizes})


def _call(spec: WorkloadSpec) -> dict[str, str]:
    """How a C++ candidate is called: every tensor in order, outputs last, nothing returned."""
    tensors = [*spec.tensors, *spec.state, *spec.outputs]
    names = [re.sub(r"\W", "_", tensor.name) for tensor in tensors]
    taken = ", ".join(f"tvm::ffi::TensorView {name}" for name in names)
    return {
        "order": f"run({', '.join(names)})",
        "cpp": "#include <tvm/ffi/container/tensor.h>\n#include <tvm/ffi/function.h>\n\n"
        f"void kernel({taken}) {{\n  // write every element of: "
        f"{', '.join(output.name for output in spec.outputs)}\n}}\n"
        "TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);\n",
    }


def _workload(spec: WorkloadSpec) -> dict[str, Any]:
    answer: dict[str, Any] = {"name": spec.workload.name}
    scalars = {a.name: a.value for a in spec.arguments if isinstance(a, ScalarSpec)}
    for role, tensors in (("inputs", spec.tensors), ("state", spec.state), ("outputs", spec.outputs)):
        if tensors:
            answer[role] = [_tensor(tensor) for tensor in tensors]
    if scalars:
        answer["scalars"] = {
            name: value if _plain(value) else str(value)[:200] for name, value in scalars.items()
        }
    if spec.bytes_required:
        answer["bytes"] = spec.bytes_required
    if spec.flops:
        answer["operations"] = number(spec.flops)
    return answer


def _plain(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, (bool, int, str))
        or (isinstance(value, float) and math.isfinite(value))
    )


def _tensor(tensor: TensorSpec) -> dict[str, Any]:
    answer: dict[str, Any] = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
    if tensor.strides != _contiguous(tensor.shape):
        answer["strides"] = list(tensor.strides)
    return answer


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def run(document: Mapping[str, Any], best: Evaluation | None, known: Sequence[str]) -> dict[str, Any]:
    """How an optimise run ended, from its result."""
    answer = {name: document[name] for name in ("run", "won", "kernel", "evaluated")}
    answer["reason"] = line(str(document["reason"]))
    if best is not None:
        answer["best"] = evaluation(best, known)
    return answer
