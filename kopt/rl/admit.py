"""Admitting a winner to the library, with the certificate that `kopt.kernels` checks before every use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kopt
from kopt.errors import UsageError
from kopt.kernels import KernelNotFound, TamperedKernel
from kopt.kernels.library import Entry, admit, check_name, find, kernel_name
from kopt.kernels.machine import difference, facts
from kopt.words import Candidate, Evaluation, Language, Problem, WorkloadSpec, to_json

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator

SCHEMA = "kopt/certificate/1"


def choose_name(wanted: str | None, problem: Problem, library: Path) -> str:
    """The name a winner on this problem will get, decided before anything is spent.

    Raises:
        UsageError: ``wanted`` is not a legal name, or another problem's kernel has it.
    """
    name = check_name(wanted) if wanted else kernel_name(problem.name)
    try:
        holder = find(name, library).certificate["problem"]["digest"]
    except (KernelNotFound, TamperedKernel, KeyError, TypeError):
        return name
    if holder == problem.digest:
        return name
    if wanted:
        raise UsageError(
            f"the library's kernel {name!r} is for another problem; choose another --name, "
            f"or `kopt library remove {name}`"
        )
    return kernel_name(f"{name[:54]}_{problem.digest[:8]}")


def admit_winner(
    name: str,
    *,
    problem: Problem,
    candidate: Candidate,
    evaluation: Evaluation,
    specs: Sequence[WorkloadSpec],
    mutates_inputs: bool,
    artifact: bytes | None,
    library: Path,
    run: str = "",
) -> Entry:
    """Put a verified candidate into the library.

    A usable kernel for the same problem that was measured to be faster stays, and is returned instead.
    """
    kept = _better_one(name, problem, evaluation, library)
    if kept is not None:
        return kept
    files = {f"candidate/{path}": text.encode() for path, text in candidate.sources.items()}
    files |= {f"reference/{path}": text.encode() for path, text in problem.sources.items()}
    if artifact is not None:
        files["artifact.so"] = artifact
    return admit(
        name,
        certificate(problem, candidate, evaluation, specs, run, mutates_inputs=mutates_inputs),
        files,
        library,
    )


def built_artifact(evaluator: Evaluator, candidate: Candidate) -> bytes | None:
    """What the judge built and timed, from the build cache; None for languages that build nothing."""
    if candidate.language is not Language.CPP:
        return None
    return evaluator.sandbox.builder.build(candidate, spec_json=to_json(evaluator.specs[0])).artifact


def certificate(
    problem: Problem,
    candidate: Candidate,
    evaluation: Evaluation,
    specs: Sequence[WorkloadSpec],
    run: str,
    *,
    mutates_inputs: bool,
) -> Mapping[str, Any]:
    """What was verified, where, with which result; the library adds the digest of every file.

    ``mutates_inputs``: whether the reference changes its inputs, so that kernels may too.
    """
    identity = to_json(candidate)
    return {
        "schema": SCHEMA,
        "kopt": kopt.__version__,
        "created_at": time.time(),
        "run": run,
        "problem": {
            "name": problem.name,
            "digest": problem.digest,
            "format": problem.format,
            "entry": problem.entry,
            "overrides": to_json(problem.overrides),
            "tolerance": to_json(problem.tolerance),
        },
        "candidate": {key: value for key, value in identity.items() if key != "sources"}
        | {"digest": candidate.digest},
        "specs": to_json(specs),
        "mutates_inputs": mutates_inputs,
        "machine": dict(facts()),
        "evaluation": to_json(evaluation),
    }


def _better_one(name: str, problem: Problem, evaluation: Evaluation, library: Path) -> Entry | None:
    try:
        entry = find(name, library)
        document = entry.certificate
        speedups = [s["ratio"] for s in document["evaluation"]["speedup"].values() if s]
        usable = difference(document["machine"], facts()) is None and not entry.changed()
        gain = evaluation.gain
        if document["problem"]["digest"] == problem.digest and usable and gain is not None:
            return entry if min(speedups) > gain.ratio else None
    except (KernelNotFound, TamperedKernel, KeyError, TypeError, ValueError):
        pass
    return None
