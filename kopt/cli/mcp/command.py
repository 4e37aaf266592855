"""The command itself: options, and which transport serves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from kopt.cli.common import (
    INTERRUPTED,
    PolicyKind,
    PolicyOption,
    SandboxKind,
    SandboxOption,
    console,
    print_json,
)
from kopt.errors import UsageError

EXAMPLES = (
    "Exit status: 0 the client went away, 2 unusable input, 130 Ctrl-C.  "
    "Example: kopt mcp --budget-evaluations 200; kopt mcp --problem my_program/; "
    "kopt mcp --http 8765 --token-file token.txt"
)


def mcp(
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="[HOST:]PORT",
            help="Serve streamable HTTP there, on loopback unless a host is given, instead of stdio.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="Holds the bearer token for --http; else one is made and printed once."
        ),
    ] = None,
    budget_evaluations: Annotated[
        int | None,
        typer.Option("--budget-evaluations", metavar="N", help="Most candidates to judge, for all clients."),
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option("--budget-seconds", metavar="S", help="Most seconds of work; waiting is free."),
    ] = None,
    problems: Annotated[
        list[Path] | None,
        typer.Option(
            "--problem",
            metavar="PATH",
            help="A problem file, or the folder of a code problem, that clients may ask for by its name; repeatable.",
        ),
    ] = None,
    sandbox: SandboxOption = SandboxKind.AUTO,
    policy: PolicyOption = PolicyKind.ALLOW_LIBRARY,
    skill: Annotated[
        bool, typer.Option("--skill", help="Print how a coding agent should work with the server, and exit.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --http: print address and token as one JSON object.")
    ] = False,
) -> None:
    """Serve problems, the judge and the library to a coding agent over MCP (docs/mcp.md).

    Over stdio stdout belongs to the protocol. The judge decides alone: clients choose neither sandbox nor policy.
    """
    from importlib import resources
    from importlib.util import find_spec

    if skill:
        typer.echo(resources.files("kopt.cli.mcp").joinpath("SKILL.md").read_text(encoding="utf-8").rstrip())
        return
    if http is None and (token_file is not None or as_json):
        raise UsageError("--token-file and --json go with --http; stdio needs no token and owns stdout")
    for name, limit in (("evaluations", budget_evaluations), ("seconds", budget_seconds)):
        if limit is not None and not 1 <= limit < math.inf:
            raise UsageError(
                f"--budget-{name} {limit} buys nothing: give at least 1, or leave it out for no limit"
            )
    if find_spec("mcp") is None:
        raise UsageError("kopt mcp needs the extra llm: pip install 'kopt[llm]'")
    import asyncio

    from kopt.rl.service.jobs import Service
    from kopt.rl.service.menu import Menu

    service = Service(
        menu=Menu.of(problems or ()),
        budget_evaluations=budget_evaluations,
        budget_seconds=budget_seconds,
        sandbox=sandbox.value,
        policy=policy.value,
    )
    if http is None:
        from kopt.cli.mcp.server import serve_stdio

        asyncio.run(serve_stdio(service))
        return
    from kopt.cli.mcp.over_http import (
        is_loopback,
        listen,
        new_token,
        parse_address,
        read_token,
        serve_http,
        url_of,
    )

    token = read_token(token_file) if token_file is not None else new_token()
    made = token if token_file is None else None
    listening = listen(*parse_address(http))
    if not is_loopback(listening):
        console(stderr=True).print(
            "other machines can reach this server, and what they send is not encrypted"
        )

    def ready() -> None:
        if as_json:
            print_json({"url": url_of(listening), "token": made})
        else:
            typer.echo(f"serving {url_of(listening)}")
            if made:
                typer.echo(f"token, not shown again: {made}")

    asyncio.run(serve_http(service, listening, token, ready))
    raise typer.Exit(INTERRUPTED)
