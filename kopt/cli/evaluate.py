"""``kopt evaluate``: judge one candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kopt.cli.common import (
    ArchOption,
    JsonOption,
    PolicyKind,
    PolicyOption,
    ProblemArgument,
    SandboxKind,
    SandboxOption,
    SetOption,
    console,
    parse_sets,
    print_json,
)

EXAMPLES = (
    "Exit status: 0 correct, 1 any other verdict, 2 unusable input.  "
    "Example: kopt evaluate softmax my_softmax.cpp --set batch_size=16.  Of code: kopt evaluate inversions faster.patch"
)


def evaluate(
    problem: ProblemArgument,
    candidate: Annotated[
        str,
        typer.Argument(
            metavar="CANDIDATE",
            help="A .cpp, .cu or .py file, or a solution as .json; for code problems a patch or a folder.",
        ),
    ],
    sets: SetOption = None,
    sandbox: SandboxOption = SandboxKind.AUTO,
    sanitize: Annotated[
        bool,
        typer.Option(
            "--sanitize",
            help="Also run C++ under Address-, UndefinedBehavior- and ThreadSanitizer, as before admission.",
        ),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Also profile what is right, and name its one bottleneck."),
    ] = False,
    policy: PolicyOption = PolicyKind.ALLOW_LIBRARY,
    arch: ArchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge one candidate: build it, verify it on hidden inputs, time it against eager and torch.compile.

    A change to a code problem is timed against the program as it was before.
    """
    from kopt.rl.api import evaluate as run_evaluate

    options: dict[str, Any] = {
        "overrides": parse_sets(sets),
        "sandbox": sandbox.value,
        "sanitize": sanitize,
        "profile": profile,
        "policy": policy.value,
        "arch": arch,
    }
    progress = console(stderr=True)
    if progress.is_terminal:
        with progress.status("opening the sandbox") as status:

            def observe(kind: str, payload: Mapping[str, Any]) -> None:
                if kind in ("stage", "sample"):
                    status.update(str(payload.get("name", payload.get("stage", kind))))

            evaluation = run_evaluate(problem, candidate, observer=observe, **options)
    else:
        evaluation = run_evaluate(problem, candidate, **options)
    if as_json:
        print_json(evaluation)
    else:
        from kopt.cli.report import show_evaluation

        show_evaluation(console(), evaluation)
    raise typer.Exit(0 if evaluation.correct else 1)
