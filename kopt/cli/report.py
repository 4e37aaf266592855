"""An evaluation as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kopt.cli.common import duration, gain
from kopt.cli.profiled import show_profile

if TYPE_CHECKING:
    from rich.console import Console

    from kopt.words import Evaluation

STYLES = {"correct": "bold green", "wrong": "bold red", "tampered": "bold magenta"}


def show_evaluation(out: Console, evaluation: Evaluation) -> None:
    """Stages, times, error, roofline, isolation and verdict."""
    from rich.markup import escape

    out.print(f"[bold]{escape(evaluation.problem)}[/]  candidate {evaluation.candidate[:12]}\n")
    out.print(_stages(evaluation))
    if evaluation.timing:
        out.print()
        out.print(_times(evaluation))
    out.print()
    for label, text in _facts(evaluation):
        out.print(f"[dim]{label:<12}[/]{escape(text)}", soft_wrap=True)
    if evaluation.localisation is not None:
        from kopt.verifiers.localise import lines

        out.print()
        for told in lines(evaluation.localisation):
            out.print(escape(told), soft_wrap=True)
    if evaluation.profile is not None:
        out.print()
        show_profile(out, evaluation.profile)
    style = STYLES.get(evaluation.verdict, "bold yellow")
    out.print(f"\n[{style}]{evaluation.verdict}[/]  {escape(evaluation.reason)}", soft_wrap=True)


def _stages(evaluation: Evaluation) -> Any:
    from rich.markup import escape

    table = _table("stage", "", "time", "found")
    for stage in evaluation.stages:
        mark = "[green]passed[/]" if stage.passed else "[red]failed[/]"
        table.add_row(stage.name.value, mark, duration(stage.seconds), escape(_detail(stage.detail)))
    return table


def _detail(detail: Mapping[str, Any]) -> str:
    """The plain values of a stage's detail on one line, shortened."""
    parts = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in detail.items()
        if isinstance(value, (bool, int, float, str))
        and value != ""
        and key not in ("digest", "reason", "log")
    ]
    text = " ".join(", ".join(parts).split())
    return text if len(text) <= 100 else text[:97] + "..."


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _times(evaluation: Evaluation) -> Any:
    table = _table("time per call", "median", "95 % interval", "speed-up", "")
    for side, timing in evaluation.timing.items():
        speedup = evaluation.speedup.get(side)
        remark = f"{duration(timing.without_copy)} without the copy" if timing.without_copy else ""
        interval = f"{duration(timing.low)} to {duration(timing.high)}"
        style = "bold " + ("green" if speedup.low > 1 else "yellow") if speedup else ""
        shown = f"[{style}]{gain(speedup)}[/]" if speedup else ""
        table.add_row(side, duration(timing.median), interval, shown, remark)
    if not any(side in evaluation.timing for side in evaluation.speedup):
        for side, speedup in evaluation.speedup.items():
            if speedup is not None:
                table.add_row(f"all over {side}", "", "", f"[bold]{gain(speedup)}[/]", "")
    return table


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    facts = []
    if evaluation.worst is not None:
        facts.append(("worst error", describe_error(evaluation)))
    roofline = evaluation.roofline
    if roofline is not None:
        bound = duration(roofline.bound_seconds)
        rate = f"{roofline.bandwidth / 1e9:.1f} GB/s, {roofline.flops / 1e9:.0f} Gflop/s measured here"
        facts.append(
            ("roofline", f"{roofline.percent:.0f} % of what {roofline.limit} allows ({bound}; {rate})")
        )
    sandbox = evaluation.sandbox
    missing = sandbox.get("missing") or {}
    text = str(sandbox.get("backend", "?"))
    if text == "none":
        text = "none: the candidate ran as you, with your files"
    elif missing:
        text += f", without {', '.join(missing)} (`kopt doctor` tells what that costs)"
    facts.append(("sandbox", text))
    keys = ("cpu", "threads", "torch", "compiler")
    shown = {"threads": "{} threads", "torch": "torch {}"}
    environment = [
        shown.get(k, "{}").format(evaluation.environment[k]) for k in keys if evaluation.environment.get(k)
    ]
    if environment:
        facts.append(("environment", ", ".join(environment)))
    facts.extend(("note", note) for note in evaluation.notes)
    return facts


def describe_error(evaluation: Evaluation) -> str:
    """The largest error against its budget, where it is, and both values there."""
    worst = evaluation.worst
    if worst is None:
        return "none"
    share = evaluation.errors.get("error_over_budget")
    if isinstance(share, (int, float)) and share == 0 and worst.count == 0:
        return "none, the outputs equal the truth exactly"
    place = f"{worst.output}[{', '.join(map(str, worst.index))}]" if worst.index else worst.output
    text = f"{place} expected {worst.expected:.9g}, got {worst.got:.9g}, budget {worst.budget:.3g}"
    if isinstance(share, (int, float)) and worst.count == 0:
        text = f"{share * 100:.0f} % of its budget: {text}"
    where = f"workload {worst.workload}, {worst.distribution} inputs"
    if worst.count:
        where += f"; {worst.count} of {worst.total} elements are beyond the budget"
    return f"{text} ({where})"


def _table(*headings: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        right = heading in ("time", "median")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "found")
    return table
