"""``kopt library`` and ``kopt why``: the verified kernels of this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kopt.cli.common import JsonOption, SandboxKind, SandboxOption, command, console, gain, print_json

if TYPE_CHECKING:
    from kopt.kernels.library import Entry

app = typer.Typer(no_args_is_help=True, help="Verified kernels: list, show, verify, remove.")
KernelArgument = Annotated[str, typer.Argument(metavar="KERNEL", help="A kernel's name.")]
WHY_EXAMPLES = "Example: kopt why rms_norm 4096x1024:float32"


def _trouble(entry: Entry) -> str | None:
    """Why a kernel would not run here, or None."""
    from kopt.kernels.machine import difference, facts

    changed = entry.changed()
    if changed:
        return f"changed since admission: {', '.join(changed)}"
    return difference(entry.certificate["machine"], facts())


@app.command("list")
@command
def list_kernels(as_json: JsonOption = False) -> None:
    """List the library's kernels and whether they are usable on this machine."""
    from kopt.kernels import TamperedKernel, library_directory
    from kopt.kernels.library import entries

    found = entries()
    if as_json:
        print_json(
            {
                "library": str(library_directory()),
                "kernels": [
                    {"error": str(e)}
                    if isinstance(e, TamperedKernel)
                    else {
                        "name": e.name,
                        "problem": e.certificate["problem"]["name"],
                        "speedup": e.certificate["evaluation"]["speedup"],
                        "trouble": _trouble(e),
                    }
                    for e in found
                ],
            }
        )
        return
    from rich.markup import escape
    from rich.table import Table

    out = console()
    if not found:
        out.print(f"no kernels in {library_directory()}: `kopt optimize rms_norm` admits one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kernel", "problem", "over eager", "over torch.compile", "usable here"):
        table.add_column(heading)
    for entry in found:
        if isinstance(entry, TamperedKernel):
            table.add_row("[red]?[/]", "", "", "", f"[red]{escape(str(entry))}[/]")
            continue
        speedup = entry.certificate["evaluation"]["speedup"]
        trouble = _trouble(entry)
        table.add_row(
            entry.name,
            entry.certificate["problem"]["name"],
            gain(speedup.get("eager")),
            gain(speedup.get("compile")),
            f"[yellow]{escape(trouble)}[/]" if trouble else "[green]yes[/]",
        )
    out.print(table)


@app.command("show")
@command
def show(
    kernel: KernelArgument,
    source: Annotated[bool, typer.Option("--source", help="Print the kernel's source.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a kernel: its verified domain, evidence, and how to call it."""
    from kopt.cli.terminal import echo
    from kopt.kernels.library import find

    entry = find(kernel)
    certificate = entry.certificate
    if source:
        for path in certificate["files"]:
            if path.startswith("candidate/"):
                echo(entry.read(path).decode())
        return
    if as_json:
        print_json({**certificate, "name": entry.name, "path": str(entry.path), "trouble": _trouble(entry)})
        return
    from rich.markup import escape

    out = console()
    candidate, problem, machine = certificate["candidate"], certificate["problem"], certificate["machine"]
    out.print(f"[bold]{entry.name}[/]  {candidate['language']}, for {escape(problem['name'])}")
    for key, name in (("eager", "eager"), ("compile", "torch.compile")):
        speedup = certificate["evaluation"]["speedup"].get(key)
        if speedup:
            out.print(f"  {gain(speedup)} over {name}")
    out.print("\n[bold]verified domain[/] (anything else runs the reference)")
    for spec in certificate["specs"]:
        names = [*spec["arguments"], *spec["state"]]
        call = ", ".join(_argument(a) for a in names)
        out.print(f"  {spec['workload']['name']}: f({call})", markup=False, soft_wrap=True)
    out.print(f"\n[bold]verified on[/] {escape(machine['cpu'])}, torch {machine['torch']}", soft_wrap=True)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(certificate["created_at"]))
    out.print(
        f"[dim]{made}, run {certificate['run']}, kopt {certificate['kopt']}, in {entry.path}[/]",
        soft_wrap=True,
    )
    trouble = _trouble(entry)
    if trouble:
        out.print(
            f"[yellow]not used here[/]: {escape(trouble)}; `kopt library verify {entry.name}`", soft_wrap=True
        )
    else:
        out.print(f"\nfrom kopt.kernels import load\n{entry.name} = load({entry.name!r})")


def _argument(spec: Mapping[str, Any]) -> str:
    if spec["kind"] == "scalar":
        return f"{spec['name']}={spec['value']!r}"
    return f"{spec['name']}: {spec['dtype']}{list(spec['shape'])}"


@app.command("verify")
@command
def verify(
    kernel: KernelArgument, sandbox: SandboxOption = SandboxKind.AUTO, as_json: JsonOption = False
) -> None:
    """Judge a kernel again on this machine, and renew its certificate if it is still right and faster.

    Exit status: 0 it is, 1 it is not (it stays as it was), 2 it cannot be used.
    """
    from kopt.rl.reverify import reverify

    evaluation, renewed = reverify(kernel, sandbox=sandbox.value)
    if as_json:
        print_json({"kernel": kernel, "renewed": renewed, "evaluation": evaluation})
    else:
        from kopt.cli.report import show_evaluation

        out = console()
        show_evaluation(out, evaluation)
        out.print(
            "certificate renewed" if renewed else "certificate [bold]not[/] renewed: it is not faster here"
        )
    raise typer.Exit(0 if renewed else 1)


@app.command("remove")
@command
def remove(kernel: KernelArgument) -> None:
    """Remove a kernel from the library."""
    from kopt.kernels.library import remove as remove_kernel

    remove_kernel(kernel)
    console().print(f"removed {kernel}")


def why(
    kernel: KernelArgument,
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="SHAPE...", help="Arguments as 4096x1024:float32 (float32 may be left out)."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell whether the kernel or the reference would run for contiguous arguments of these shapes, and why.

    Exit status: 0 the kernel, 1 the reference.
    """
    from kopt.kernels import load

    answer = load(kernel).why(*[_tensor(text) for text in arguments])
    if as_json:
        runs, _, reason = answer.partition(": ")
        print_json({"kernel": kernel, "runs": runs, "reason": reason})
    else:
        console().print(answer, markup=False, soft_wrap=True)
    raise typer.Exit(0 if answer.startswith("kernel") else 1)


def _tensor(text: str) -> Any:
    """A tensor like the one described; its pages are never touched."""
    import torch

    from kopt.errors import UsageError

    shape, _, kind = text.partition(":")
    dtype = getattr(torch, kind or "float32", None)
    try:
        sizes = [int(size) for size in shape.split("x")] if shape != "scalar" else []
        if not isinstance(dtype, torch.dtype) or min(sizes, default=1) < 0:
            raise ValueError
        return torch.empty(sizes, dtype=dtype)
    except (ValueError, RuntimeError):
        raise UsageError(f"{text!r} describes no tensor; write it as 4096x1024:float32") from None
