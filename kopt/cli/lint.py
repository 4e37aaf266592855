"""``kopt lint``: would a wrong answer pass this problem?"""

from __future__ import annotations

import typer

from kopt.cli.common import (
    JsonOption,
    ProblemArgument,
    SandboxKind,
    SandboxOption,
    SetOption,
    console,
    parse_sets,
    print_json,
)

EXAMPLES = (
    "Exit status: 0 no mutant passes, 1 some do, 2 the problem cannot be used.  "
    "Example: kopt lint my_problem.py"
)


def lint(
    problem: ProblemArgument,
    sets: SetOption = None,
    sandbox: SandboxOption = SandboxKind.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Try wrong answers (zeros, constants, a dropped term, lower precision, ...) and say which would pass."""
    from kopt.rl.api import lint as run_lint
    from kopt.rl.weakness import passing

    report = run_lint(problem, overrides=parse_sets(sets), sandbox=sandbox.value)
    names = passing(report)
    if as_json:
        print_json({**report, "problem": problem, "passing": names})
    else:
        _show(report, names)
    raise typer.Exit(1 if names else 0)


def _show(report: object, names: list[str]) -> None:
    from rich.markup import escape
    from rich.table import Table

    assert isinstance(report, dict)
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("mutant", "verdict", "why"):
        table.add_column(heading)
    for mutant in report["mutants"]:
        verdict = "[bold red]passes[/]" if mutant["passed"] else "[green]caught[/]"
        hint = f"; {mutant['hint']}" if mutant["passed"] and mutant.get("hint") else ""
        table.add_row(mutant["name"], verdict, escape(f"{mutant.get('why', '')}{hint}"))
    out.print(table)
    for note in report.get("notes", ()):
        out.print(f"[dim]note: {escape(note)}[/]")
    if names:
        out.print(
            f"\n[bold red]weak[/]: {', '.join(names)} would be accepted as correct; strengthen the inputs"
        )
    else:
        out.print(f"\n[bold green]sound[/]: none of {len(report['mutants'])} wrong answers passes")
