"""``kopt runs``: what was done, and continuing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kopt.cli.common import (
    DollarsOption,
    EvaluationsOption,
    JsonOption,
    SecondsOption,
    TokensOption,
    amount,
    command,
    console,
    gain,
    print_json,
)

if TYPE_CHECKING:
    from kopt.store import RunRecord, Store

app = typer.Typer(no_args_is_help=True, help="Runs: list, show, resume, remove.")
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]
STYLES = {"running": "cyan", "finished": "green", "failed": "red"}


def _store() -> Store:
    from kopt.settings import settings
    from kopt.store import Store

    return Store(settings().database_url)


@app.command("list")
@command
def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest runs."""
    with _store() as store:
        records = store.runs(limit)
    if as_json:
        print_json({"runs": records})
        return
    from rich.table import Table

    out = console()
    if not records:
        out.print("no runs yet: `kopt optimize rms_norm` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "problem", "status", "evaluations", "seconds", "kernel", "started"):
        right = heading in ("evaluations", "seconds")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for record in records:
        table.add_row(
            record.id,
            record.problem,
            f"[{STYLES.get(record.status, 'yellow')}]{record.status}[/]",
            f"{record.spent.get('evaluations', 0):.0f}",
            f"{record.spent.get('seconds', 0):.0f}",
            record.kernel or "-",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created_at)),
        )
    out.print(table)


@app.command("show")
@command
def show(
    run: RunArgument,
    events: Annotated[bool, typer.Option("--events", help="The whole history, event by event.")] = False,
    source: Annotated[
        int | None, typer.Option("--source", metavar="N", help="Print the sources of candidate N.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run: its candidates, how it ended, and how to go on."""
    with _store() as store:
        record = store.run(run)
        made = store.evaluations(record.id)
        history = store.events(record.id) if events or as_json else []
        if source is not None:
            _print_source(store, record, source)
            return
    if as_json:
        print_json({"run": record, "evaluations": made, "events": history})
        return
    from rich.markup import escape

    from kopt.cli.summary import candidates_table

    out = console()
    status = f"[{STYLES.get(record.status, 'yellow')}]{record.status}[/]"
    out.print(
        f"[bold]{escape(record.problem)}[/]  run {record.id}  {status}  {escape(record.reason)}",
        soft_wrap=True,
    )
    spent = {**dict.fromkeys(record.budget, 0.0), **record.spent}
    budget = ", ".join(
        amount(k, v) + (f" of {record.budget[k]:g}" if record.budget.get(k) else "")
        for k, v in spent.items()
        if v or record.budget.get(k)
    )
    out.print(f"[dim]strategy {record.strategy}; spent {budget or 'nothing yet'}[/]\n", soft_wrap=True)
    best = next((m.evaluation for m in reversed(made) if m.candidate == record.best), None)
    if made:
        out.print(candidates_table(made, best, shown=1000))
    for event in history:
        clock = time.strftime("%H:%M:%S", time.localtime(event.at))
        out.print(
            f"{event.sequence:>5}  {clock}  {event.kind:<20} {_event_line(event.payload)}", markup=False
        )
    if record.kernel:
        out.print(
            f"\nkernel [bold]{record.kernel}[/]: from kopt.kernels import load; f = load({record.kernel!r})"
        )
    if record.status.resumable:
        out.print(f"\nto go on: [bold]kopt runs resume {record.id}[/]")


def _event_line(payload: Any) -> str:
    parts = []
    for key, value in payload.items():
        if key == "gain" and value:
            parts.append(gain(value))
        elif isinstance(value, (str, int, float)) and value != "":
            parts.append(f"{key}={str(value)[:12] if key == 'candidate' else value}")
    return " ".join(" ".join(parts).split())[:120]


def _print_source(store: Store, record: RunRecord, number: int) -> None:
    from kopt.cli.terminal import echo
    from kopt.errors import UsageError

    digest = store.numbered(record.id, number)
    if digest is None:
        raise UsageError(
            f"run {record.id} has no candidate {number}; `kopt runs show {record.id}` lists them"
        )
    for path, text in store.candidate(record.id, digest).sources.items():
        echo(f"// {path}\n{text}" if path.endswith((".cpp", ".cu")) else f"# {path}\n{text}")


@app.command("resume")
@command
def resume(
    run: RunArgument,
    budget_seconds: SecondsOption = None,
    budget_evaluations: EvaluationsOption = None,
    budget_dollars: DollarsOption = None,
    budget_tokens: TokensOption = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a run after Ctrl-C or kill -9, or a finished one with a larger budget (of the whole run)."""
    from kopt.cli.progress import progress
    from kopt.rl.optimize import resume as run_resume

    with progress(console(stderr=as_json)) as observer:
        result = run_resume(
            run,
            budget_seconds=budget_seconds,
            budget_evaluations=budget_evaluations,
            budget_dollars=budget_dollars,
            budget_tokens=budget_tokens,
            observer=observer,
        )
    if as_json:
        print_json(result.document())
    else:
        from kopt.cli.summary import show_result

        show_result(console(), result)
    raise typer.Exit(0 if result.won else 1)


@app.command("remove")
@command
def remove(run: RunArgument) -> None:
    """Delete a run and all that was recorded for it; kernels it admitted stay in the library."""
    with _store() as store:
        record = store.run(run)
        store.remove_run(record.id)
    console().print(f"removed run {record.id}")
