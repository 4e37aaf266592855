"""``kopt redteam``: attack the judge, and say what stopped each attack."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from kopt.cli.common import JsonOption, SandboxKind, SandboxOption, console, print_json, shorten
from kopt.cli.honest import judge_all

if TYPE_CHECKING:
    from rich.console import Console

    from kopt.verifiers.redteam import Attack, Outcome

EXAMPLES = (
    "Exit status: 0 no attack succeeds (or no honest candidate is refused), 1 one does, 2 they cannot be run.  "
    "Example: kopt redteam --family A --family B"
)


def redteam(
    families: Annotated[
        list[str] | None,
        typer.Option("--family", metavar="A..G", help="Only attacks of this family. May be repeated."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--attack", metavar="NAME", help="Only the attack of this name. May be repeated."),
    ] = None,
    honest: Annotated[
        bool,
        typer.Option("--honest", help="Judge odd but honest candidates instead; none may be refused."),
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Only say which attacks there are and what they try.")
    ] = False,
    sandbox: SandboxOption = SandboxKind.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Run known attacks on sandbox and judge through the ordinary evaluation path; none may succeed."""
    from kopt.errors import UsageError
    from kopt.verifiers.redteam import attacks, run

    if honest:
        if families or names or listed:
            raise UsageError(
                "--honest judges all honest candidates; leave --family, --attack and --list away"
            )
        raise typer.Exit(judge_all(sandbox.value, as_json))
    chosen = attacks(families or ())
    if names:
        unknown = sorted(set(names) - {a.name for a in chosen})
        if unknown:
            raise UsageError(f"no attack named {', '.join(unknown)}; `kopt redteam --list` names them")
        chosen = [a for a in chosen if a.name in names]
    if not chosen:
        raise UsageError("no attack of that family is shipped; leave --family away")
    if listed:
        _list(chosen, as_json=as_json)
        return
    progress = console(stderr=True)
    status = progress.status("opening the sandbox") if progress.is_terminal else nullcontext()
    done = 0

    def observe(name: str, outcome: Outcome | None) -> None:
        nonlocal done
        if outcome is None:
            if hasattr(status, "update"):
                status.update(f"{done + 1} of {len(chosen)}  {name}")
            return
        done += 1
        mark = "[bold red]SUCCEEDED[/]" if outcome.succeeded else "stopped"
        progress.print(f"{done:>3}/{len(chosen)} {outcome.attack:<32} {outcome.verdict:<12} {mark}")

    with status:
        outcomes = run(chosen, sandbox=sandbox.value, observe=observe)
    succeeded = [o.attack for o in outcomes if o.succeeded]
    if as_json:
        print_json(
            {"attacks": outcomes, "tried": len(outcomes), "succeeded": succeeded, "sandbox": sandbox.value}
        )
    else:
        _show(console(), outcomes, succeeded)
    raise typer.Exit(1 if succeeded else 0)


def _list(chosen: Sequence[Attack], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"attack": a.name, "family": a.family, "entries": a.numbers, "tries": a.tries} for a in chosen
        ]
        print_json({"attacks": rows})
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("attack", "family", "entry", "what it tries"):
        table.add_column(heading)
    for one in chosen:
        table.add_row(one.name, one.family, " ".join(map(str, one.numbers)) or "-", escape(one.tries))
    console().print(table)


def _show(out: Console, outcomes: Sequence[Outcome], succeeded: Sequence[str]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from kopt.verifiers.redteam import FAMILIES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("attack", "family", "what it tried", "verdict", "what stopped it"):
        table.add_column(heading)
    for one in outcomes:
        color = "bold red" if one.succeeded else "green" if one.expected else "yellow"
        stopped = "[bold red]nothing[/]: " if one.succeeded else ""
        table.add_row(
            one.attack,
            FAMILIES[one.family],
            escape(one.tries),
            f"[{color}]{one.verdict}[/]",
            stopped + escape(shorten(one.stopped_by, 160)),
        )
    out.print(table)
    if succeeded:
        out.print(f"\n[bold red]broken[/]: {', '.join(succeeded)} of {len(outcomes)} attacks succeeded")
    else:
        out.print(f"\n[bold green]sound[/]: none of {len(outcomes)} attacks succeeded")
