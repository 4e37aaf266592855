"""How a run ended, as people read it: the table of its candidates, the verdict and how to use the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kopt.cli.common import amount, call_seconds, duration, gain, shorten
from kopt.cli.report import STYLES, describe_error

if TYPE_CHECKING:
    from rich.console import Console

    from kopt.rl.result import RunResult
    from kopt.store import StoredEvaluation
    from kopt.words import Evaluation

SHOWN = 8
NOTES = 6
"""Notes that are printed: models may leave one for each of their replies."""


def show_result(out: Console, result: RunResult) -> None:
    """Table, summary, import line."""
    from rich.markup import escape

    if result.evaluations:
        out.print()
        out.print(candidates_table(result.evaluations, result.best))
    out.print()
    if result.won and result.best is not None:
        _show_winner(out, result, result.best)
    else:
        out.print(f"[bold yellow]{_nothing(result)}[/]  {escape(result.reason)}", soft_wrap=True)
        if result.best is not None:
            out.print(f"  the best correct candidate: {_gains(result.best)}", soft_wrap=True)
    for note in result.notes[:NOTES]:
        out.print(f"  [dim]note[/] {escape(note)}", soft_wrap=True)
    if len(result.notes) > NOTES:
        out.print(f"  [dim]{len(result.notes) - NOTES} more notes; `--json` has them all[/]", soft_wrap=True)
    paid = [amount(name, result.spent[name]) for name in ("dollars", "tokens") if result.spent.get(name)]
    if paid:
        out.print(f"  the models cost {', '.join(paid)}", soft_wrap=True)
    out.print(
        f"  [dim]{result.evaluated} candidate{'s'[result.evaluated == 1 :]} in {result.seconds:.0f} s; "
        f"`kopt runs show {result.run}` has every detail[/]",
        soft_wrap=True,
    )
    if result.patch:
        out.print(f"\n[bold]git apply {escape(str(result.patch))}[/]", soft_wrap=True)
    if result.kernel:
        out.print(f"\n[bold]from kopt.kernels import load\n{result.kernel} = load({result.kernel!r})[/]")


def _nothing(result: RunResult) -> str:
    return "nothing faster" if result.problem.format == "code" else "no faster kernel"


def _show_winner(out: Console, result: RunResult, best: Evaluation) -> None:
    out.print(f"[bold green]verified[/]  {result.problem.name}: [bold]{_gains(best)}[/]", soft_wrap=True)
    own = call_seconds(best)
    roofline = best.roofline
    if own is not None:
        text = f"  {duration(own)} per call"
        if roofline is not None:
            text += f", {roofline.percent:.0f} % of what {roofline.limit} allows on this machine"
        out.print(text, soft_wrap=True)
    if best.worst is not None:
        out.print(f"  worst error: {describe_error(best)}", soft_wrap=True, markup=False)
    if best.sandbox.get("backend") == "none":
        out.print("  [bold red]not isolated[/]: candidates ran as you (--sandbox none)")


def _gains(evaluation: Evaluation) -> str:
    timed = [f"{gain(s)} over {_side(name)}" for name, s in evaluation.speedup.items() if s is not None]
    return ", ".join(timed) or "not timed"


def _side(name: str) -> str:
    return {"compile": "torch.compile"}.get(name, name)


def candidates_table(
    evaluations: Sequence[StoredEvaluation], best: Evaluation | None, shown: int = SHOWN
) -> Any:
    """The best candidates by their most thorough evaluation, then how many others there were."""
    from rich.markup import escape
    from rich.table import Table

    latest: dict[str, StoredEvaluation] = {}
    for stored in sorted(evaluations, key=lambda s: s.effort == "full"):
        latest[stored.candidate] = stored
    ranked = sorted(latest.values(), key=_rank)
    code = any("before" in stored.evaluation.speedup for stored in ranked)
    sides = ["before"] if code else ["eager", "compile"]
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for heading in ("#", "verdict", *(f"over {_side(side)}" for side in sides), "per call", "judged"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("#", "per call") else "left")
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)  # it alone gives way
    for stored in ranked[:shown]:
        evaluation = stored.evaluation
        own = call_seconds(evaluation)
        style = STYLES.get(evaluation.verdict, "yellow")
        is_best = best is not None and best.candidate == stored.candidate
        what = _what(stored.notes, stored.proposer) if evaluation.correct else evaluation.reason
        table.add_row(
            f"{'[bold green]*[/] ' if is_best else ''}{stored.number}",
            f"[{style}]{evaluation.verdict}[/]",
            *(gain(evaluation.speedup.get(side)) for side in sides),
            duration(own) if own else "-",
            stored.effort,
            escape(shorten(what)),
        )
    if len(ranked) > shown:
        table.add_row("", f"[dim]{len(ranked) - shown} more[/]")
    return table


def _rank(stored: StoredEvaluation) -> tuple[bool, float, int]:
    speedup = stored.evaluation.gain
    return (not stored.evaluation.correct, -(speedup.ratio if speedup else 0.0), stored.number)


def _what(notes: Mapping[str, Any], proposer: str) -> str:
    from kopt.rl.loop import describe

    return describe(notes, proposer)
