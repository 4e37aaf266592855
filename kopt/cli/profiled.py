"""A profile as people read it: the bottleneck last, where the eye rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kopt.cli.common import duration

if TYPE_CHECKING:
    from rich.console import Console

    from kopt.words import GpuLoop, HotLoop, Profile

_OPERATORS = 10


def show_profile(out: Console, profile: Profile) -> None:
    """Operators, loops with their assembly, GPU kernels, facts, bottleneck."""
    from rich.markup import escape

    if profile.operators:
        out.print(_operators(profile))
        out.print()
    for loop in profile.loops[:1]:
        out.print(f"[bold]hot loop[/] {escape(_loop(loop))}", soft_wrap=True)
        for line in (*loop.remarks, "", *loop.assembly):
            out.print(f"  {escape(line)}", soft_wrap=True)
        out.print()
    for loop in profile.loops[1:]:
        out.print(f"[bold]loop[/]     {escape(_loop(loop))}", soft_wrap=True)
    for kernel in profile.kernels:
        shown = "?" if kernel.occupancy is None else f"{kernel.occupancy:.0%} (held down by {kernel.limit})"
        out.print(
            escape(
                f"{kernel.name} on {kernel.target}: {kernel.registers} registers, {kernel.spill_bytes} bytes spilled, "
                f"{kernel.shared_bytes} bytes shared, occupancy {shown}"
            ),
            soft_wrap=True,
        )
        if kernel.loop is not None:
            _show_gpu_loop(out, kernel.loop)
    for label, text in _facts(profile):
        out.print(f"[dim]{label:<12}[/]{escape(text)}", soft_wrap=True)
    name = profile.bottleneck.name
    out.print(f"\n[bold]bottleneck: {name}[/]")
    for line in profile.bottleneck.evidence:
        out.print(f"  {escape(line)}", soft_wrap=True)


def _show_gpu_loop(out: Console, loop: GpuLoop) -> None:
    from rich.markup import escape

    kind = "hot loop" if loop.depth else "no loop: all of it"
    parts = [
        f"{loop.instructions} instructions",
        f"{loop.loads} loads of {loop.load_bytes} bytes",
        f"{loop.stores} stores of {loop.store_bytes} bytes",
        *(
            f"{count} {what}"
            for count, what in (
                (loop.tensor, "on tensor cores"),
                (loop.single, "in single or half precision"),
                (loop.double, "in double precision"),
                (loop.special, "special functions"),
                (loop.shared, "shared memory"),
                (loop.local, "local memory"),
                (loop.barriers, "barriers"),
            )
            if count
        ),
    ]
    out.print(f"  [bold]{kind}[/] {escape(f'{loop.place}: ' + ', '.join(parts))}", soft_wrap=True)
    for line in loop.assembly:
        out.print(f"    {escape(line)}", soft_wrap=True)


def _operators(profile: Profile) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("reference's operator", "calls", "time", "share", "MB moved", "Mflop"):
        table.add_column(heading, justify="left" if heading.startswith("ref") else "right")
    for one in profile.operators[:_OPERATORS]:
        table.add_row(
            escape(one.name),
            str(one.calls),
            duration(one.seconds),
            f"{one.share:.0%}",
            f"{one.bytes / 1e6:.3g}",
            f"{one.flops / 1e6:.3g}" if one.flops else "",
        )
    return table


def _loop(loop: HotLoop) -> str:
    width = f"vectors of {loop.vector_bytes} bytes" if loop.vector_bytes else "no vectors"
    parts = [
        loop.place,
        f"{loop.instructions} instructions",
        width,
        f"arithmetic {loop.packed} packed, {loop.scalar} scalar",
        f"{loop.memory} memory accesses",
    ]
    for count, what in (
        (loop.strided, "strided"),
        (loop.indirect, "indirect"),
        (loop.gathers, "gathers"),
        (loop.divisions, "divisions"),
        (loop.spills, "on the stack"),
    ):
        if count:
            parts.append(f"{count} {what}")
    if loop.calls:
        parts.append(f"calls {', '.join(loop.calls)}")
    return ", ".join(parts)


def _facts(profile: Profile) -> list[tuple[str, str]]:
    facts = []
    if profile.seconds is not None:
        text = f"{duration(profile.seconds)} a call"
        if profile.empty_seconds:
            text += f", {duration(profile.empty_seconds)} when the kernel does nothing"
        facts.append(("time", text))
    if profile.cores is not None:
        facts.append(("threads", f"the work of {profile.cores:.2g} of {profile.threads}"))
    if profile.bytes_required or profile.flops:
        facts.append(("required", f"{profile.bytes_required / 1e6:.3g} MB, {profile.flops / 1e6:.3g} Mflop"))
    if profile.roofline is not None:
        bound = duration(profile.roofline.bound_seconds)
        facts.append(
            (
                "roofline",
                f"{profile.roofline.percent:.0f} % of what {profile.roofline.limit} allows ({bound})",
            )
        )
    facts.extend((name.replace("_", " "), f"{value:.4g} a call") for name, value in profile.counters.items())
    facts.extend(("note", note) for note in profile.notes)
    return facts
