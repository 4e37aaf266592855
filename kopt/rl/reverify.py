"""Judge a library kernel again on this machine, and renew its certificate."""

from __future__ import annotations

from kopt.errors import UsageError
from kopt.kernels.library import admit, find
from kopt.rl.admit import built_artifact, certificate
from kopt.rl.strategy import is_win
from kopt.settings import Settings
from kopt.settings import settings as process_settings
from kopt.verifiers.evaluator import Evaluator
from kopt.words import Candidate, Evaluation, Policy, Problem, from_json


def reverify(
    name: str, *, sandbox: str = "auto", settings: Settings | None = None
) -> tuple[Evaluation, bool]:
    """Build, verify and time a kernel anew from its stored sources.

    Returns:
        The evaluation, and whether the certificate was renewed because the kernel is correct and faster here.

    Raises:
        KernelNotFound: there is no such kernel.
        TamperedKernel: its stored sources are not those that were admitted.
    """
    settings = settings or process_settings()
    entry = find(name, settings.library)
    old = entry.certificate
    files = {path: entry.read(path) for path in old["files"] if path != "artifact.so"}

    def below(folder: str) -> dict[str, str]:
        return {p.removeprefix(folder): c.decode() for p, c in files.items() if p.startswith(folder)}

    try:
        stored = {key: value for key, value in old["candidate"].items() if key != "digest"}
        candidate = from_json(Candidate, {**stored, "sources": below("candidate/")})
        stored = {key: old["problem"][key] for key in ("name", "format", "entry", "overrides", "tolerance")}
        problem = from_json(Problem, {**stored, "sources": below("reference/")})
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the certificate of {name} is incomplete ({error}); optimise the problem again"
        ) from None
    policy = old.get("evaluation", {}).get("policy", Policy.ALLOW_LIBRARY)  # the one it was admitted under
    with Evaluator(problem, sandbox=sandbox, settings=settings, policy=policy) as evaluator:
        evaluation = evaluator.evaluate(candidate, sanitize=True)
        renewed = is_win(evaluation)
        if renewed:
            artifact = built_artifact(evaluator, candidate)
            if artifact is not None:
                files["artifact.so"] = artifact
            document = certificate(
                problem,
                candidate,
                evaluation,
                evaluator.specs,
                str(old.get("run", "")),
                mutates_inputs=evaluator.mutates_inputs,
            )
            admit(entry.name, document, files, settings.library)
    return evaluation, renewed
