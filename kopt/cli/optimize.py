"""``kopt optimize``: search for a faster kernel, verify it, admit it to the library."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kopt.cli.common import (
    DollarsOption,
    EvaluationsOption,
    JsonOption,
    PolicyKind,
    PolicyOption,
    ProblemArgument,
    SandboxKind,
    SandboxOption,
    SecondsOption,
    SetOption,
    TokensOption,
    console,
    parse_sets,
    print_json,
)
from kopt.cli.strategy_options import takes_strategy_options

EXAMPLES = (
    "Exit status: 0 a verified faster kernel was found, 1 none was found, 2 unusable input, 130 Ctrl-C.  "
    "Example: kopt optimize my_problem.py --set batch_size=16 --budget-seconds 90.  With models: "
    "kopt optimize my_problem.py --model openai/NAME --model ollama/NAME --strategy evolve --population 12 --islands 3 "
    "--seed 7 --budget-dollars 5 --budget-seconds 3600.  With a coding agent: "
    "kopt optimize my_problem.py --agent 'CLI \"Follow TASK.md\"' --budget-evaluations 40"
)


class StrategyName(enum.StrEnum):
    """How to search."""

    OFFLINE = "offline"
    TUNE = "tune"
    REFINE = "refine"
    BEST_OF_N = "best-of-n"
    BEAM = "beam"
    EVOLVE = "evolve"


@takes_strategy_options
def optimize(
    problem: ProblemArgument,
    sets: SetOption = None,
    budget_seconds: SecondsOption = 120.0,
    budget_evaluations: EvaluationsOption = None,
    budget_dollars: DollarsOption = None,
    budget_tokens: TokensOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="PROVIDER/NAME[@URL]",
            help="A language model that proposes, as openai/NAME. May be repeated.",
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            metavar="CMD",
            help="A coding agent's command line that works on it, in a folder with TASK.md (docs/agents.md).",
        ),
    ] = None,
    candidate: Annotated[
        list[Path] | None,
        typer.Option(
            "--candidate",
            metavar="FILE",
            help="A kernel whose declared tunables are searched, without a model (docs/candidates.md). Repeatable.",
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            metavar="MODEL=IN,OUT",
            help="Dollars per million tokens, where none or another is published.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="KERNEL", help="Name in the library (the problem's).")
    ] = None,
    allow_weak: Annotated[
        bool, typer.Option("--allow-weak", help="Work on a problem that wrong answers pass (see kopt lint).")
    ] = False,
    strategy: Annotated[
        StrategyName | None,
        typer.Option(
            "--strategy",
            help="How to search: `offline` needs no key, `tune` a --candidate; the others need a model, whose default "
            "is `refine`.",
        ),
    ] = None,
    sandbox: SandboxOption = SandboxKind.AUTO,
    policy: PolicyOption = PolicyKind.ALLOW_LIBRARY,
    as_json: JsonOption = False,
    *,
    options: Mapping[str, float],
) -> None:
    """Search for a faster kernel, verify it and admit it to the library.

    The winner on a code problem (a folder with kopt.toml) is written as a git patch.
    Every step is persisted; after Ctrl-C or kill -9, `kopt runs resume` continues.
    """
    from kopt.cli.progress import progress
    from kopt.rl.optimize import optimize as run_optimize

    with progress(console(stderr=as_json)) as observer:
        result = run_optimize(
            problem,
            overrides=parse_sets(sets),
            budget_seconds=budget_seconds,
            budget_evaluations=budget_evaluations,
            name=name,
            strategy=strategy.value if strategy else None,
            options=options,
            models=model or (),
            agent=agent,
            candidates=candidate or (),
            prices=price or (),
            budget_dollars=budget_dollars,
            budget_tokens=budget_tokens,
            allow_weak=allow_weak,
            sandbox=sandbox.value,
            policy=policy.value,
            observer=observer,
        )
    if as_json:
        print_json(result.document())
    else:
        from kopt.cli.summary import show_result

        show_result(console(), result)
    raise typer.Exit(0 if result.won else 1)
