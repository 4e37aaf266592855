"""``kopt sandbox``: the image Docker sandboxes start from, and which back ends can be used."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kopt.cli.common import JsonOption, command, console, print_json

app = typer.Typer(no_args_is_help=True, help="Where untrusted code is run.")

BUILD_EXAMPLES = (
    "Exit status: 0 a runner was started in the image, 2 it cannot be built or used.  "
    "Example: kopt sandbox build --base debian:12-slim"
)
STATUS_EXAMPLES = "Exit status: 0 at least one back end can be used, 1 none can."


@app.command("build", epilog=BUILD_EXAMPLES)
@command
def build(
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="IMAGE", help="What to build on; this system's own public image if not given."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build again even if the image is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the image that `--sandbox docker` starts from, and prove it by starting a runner in it."""
    from kopt.sandbox import Role, daemon, image, open_sandbox

    err = console(stderr=True)
    started = time.monotonic()
    client = daemon.connect()
    with contextlib.closing(client), err.status("building the image") as status:
        built = image.build(
            client,
            base,
            force=force,
            tell=lambda line: status.update(f"building the image: {line.replace('[', '(')[:100]}"),
        )
    seconds = time.monotonic() - started
    with open_sandbox("docker") as sandbox:
        sandbox.spawn(Role.CANDIDATE).kill()
        report = sandbox.report
    if as_json:
        print_json({"image": built, "seconds": seconds, "isolation": report})
        return
    out = console()
    out.print(f"[bold]{built.tag}[/] from {built.base}, {built.bytes / 2**20:.0f} MiB, {seconds:.1f} s")
    out.print(f"  compiler   {built.compiler}")
    out.print(f"  digest     {built.digest}")
    out.print("a runner was started in it; use it with [bold]--sandbox docker[/]")


@app.command("status", epilog=STATUS_EXAMPLES)
@command
def status(as_json: JsonOption = False) -> None:
    """Tell which back ends can be used here, and what each that cannot be lacks."""
    from kopt.sandbox.status import backends

    found = backends()
    if as_json:
        print_json({"backends": found})
    else:
        _show(found)
    raise typer.Exit(0 if any(item["usable"] for item in found.values()) else 1)


def _show(found: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.markup import escape

    out = console()
    for name, item in found.items():
        mark = "[green]+[/]" if item["usable"] else "[yellow]-[/]"
        out.print(f"{mark} [bold]{name:<11}[/] {escape(str(item['detail']))}", soft_wrap=True)
        image = item.get("image")
        if image:
            out.print(f"  {'':<11} {escape(image['compiler'])}, {image['bytes'] / 2**20:.0f} MiB")
        if item.get("orphans"):
            out.print(
                f"  {'':<11} {item['orphans']} containers of killed judges; the next start removes them"
            )
