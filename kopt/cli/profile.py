"""``kopt profile``: where the time of a reference or a candidate goes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from kopt.cli.common import (
    ArchOption,
    JsonOption,
    ProblemArgument,
    SandboxKind,
    SandboxOption,
    SetOption,
    console,
    parse_sets,
    print_json,
)
from kopt.errors import UsageError

EXAMPLES = (
    "Exit status: 0 profiled, 1 the candidate is not right, so there is nothing to profile, 2 unusable input.  "
    "Examples: kopt profile softmax my_softmax.cpp; kopt profile softmax my_softmax.py --assembly softmax.sass"
)


def profile(
    problem: ProblemArgument,
    candidate: Annotated[
        str | None,
        typer.Argument(
            metavar="CANDIDATE",
            help="A .cpp, .cu or .py file, or a solution as .json; the reference when left away.",
        ),
    ] = None,
    sets: SetOption = None,
    assembly: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the candidate's whole disassembly there: x86-64 of C++, SASS of CUDA and Triton.",
            dir_okay=False,
        ),
    ] = None,
    sandbox: SandboxOption = SandboxKind.AUTO,
    arch: ArchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where time goes and name exactly one bottleneck; a candidate is verified first, and not compared."""
    from kopt.rl.api import profile as run_profile

    if assembly is not None and candidate is None:
        raise UsageError("--assembly is a candidate's: name its file after the problem")
    progress = console(stderr=True)
    status = progress.status("opening the sandbox") if progress.is_terminal else nullcontext()

    def observe(kind: str, payload: Mapping[str, Any]) -> None:
        if kind == "stage" and hasattr(status, "update"):
            status.update(str(payload.get("name", kind)))

    with status:
        found, evaluation = run_profile(
            problem,
            candidate,
            overrides=parse_sets(sets),
            sandbox=sandbox.value,
            arch=arch,
            observer=observe,
            assembly=assembly,
        )
    if as_json:
        judged = {} if evaluation is None else {"verdict": evaluation.verdict, "reason": evaluation.reason}
        digest = evaluation.candidate if evaluation is not None else None
        print_json({"problem": problem, "candidate": digest, **judged, "profile": found})
    elif found is not None:
        from kopt.cli.profiled import show_profile

        show_profile(console(), found)
    else:
        from kopt.cli.report import show_evaluation

        assert evaluation is not None
        show_evaluation(console(), evaluation)
    raise typer.Exit(0 if found is not None else 1)
